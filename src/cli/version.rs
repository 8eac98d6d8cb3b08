//! `--version --verbose`: what this program was built from.

use std::env::consts::{ARCH, OS};
use std::ffi::OsString;

use crate::journal::sqlite_build;

/// These two have no constant for their version. A test compares `Cargo.lock`.
const RUSTLS: &str = "0.23.46";
const RING: &str = "0.17.14";

/// Whether the command line, which asks for the version, also asks for more.
pub(super) fn is_detailed(arguments: &[OsString]) -> bool {
    let is_short = |word: &str| word.starts_with('-') && !word.starts_with("--") && word.contains('v');
    arguments.iter().skip(1).filter_map(|word| word.to_str()).any(|word| word == "--verbose" || is_short(word))
}

/// The version and all that decides what the program does on this machine, a line each. No time: the same source is the
/// same program.
pub(super) fn details() -> String {
    let environment = if cfg!(target_env = "musl") { " musl" } else { "" };
    let features = if cfg!(feature = "emulator") { "emulator" } else { "none" };
    let (sqlite, has_flags) = sqlite_build();
    let flags = if has_flags { "with the flags of .cargo/config.toml" } else { "with default flags" };
    format!(
        "bulk-triage {}\nrevision: {}\ntarget: {ARCH} {OS}{environment}\nfeatures: {features}\n\
         SQLite: {sqlite} {flags}\nTLS: rustls {RUSTLS}, ring {RING}\n",
        env!("CARGO_PKG_VERSION"),
        option_env!("BULK_TRIAGE_REVISION").unwrap_or("unknown"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        for (name, version) in [("rustls", RUSTLS), ("ring", RING)] {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
            assert!(lock.contains(&entry), "update the version of {name} in this file");
        }
    }

    #[test]
    fn verbose_is_found_in_any_form() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(["b -V --verbose", "b -vV", "b -Vv", "b --version -v"].iter().all(|line| is_detailed(&words(line))));
        assert!(["b -V", "b --version"].iter().all(|line| !is_detailed(&words(line))));
    }
}
