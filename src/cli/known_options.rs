//! The options of the command line: which command takes which, and which hold paths. A run keeps those as absolute paths;
//! the next command has them relative to the current directory if that is shorter.
//!
//! Promise: all of it follows from clap, so a new option needs nothing here.

use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use clap::{Arg, Command, ValueHint};

use super::settings::argument;
use crate::contract::BUILT_IN;
use crate::model::setting::Settings;

/// The whole command line, as it is declared.
static COMMAND: OnceLock<Command> = OnceLock::new();

/// Registers the command line, before anything is suggested or kept.
pub(super) fn register(command: Command) {
    // A second start in one process has the same.
    let _ = COMMAND.set(command);
}

/// The same after clap has given global options to each subcommand. That takes a while, and most commands suggest nothing.
fn built() -> Option<&'static Command> {
    static BUILT: OnceLock<Option<Command>> = OnceLock::new();
    let build = |mut command: Command| {
        command.build();
        command
    };
    BUILT.get_or_init(|| COMMAND.get().cloned().map(build)).as_ref()
}

/// Whether the subcommand takes the option.
pub(super) fn takes(subcommand: &str, name: &str) -> bool {
    let find = |all| subcommand.split(' ').try_fold(all, |command: &Command, name| command.find_subcommand(name));
    built().and_then(find).is_some_and(|command| argument(command, name).is_some())
}

/// The argument that is this option, of any command.
fn any_argument<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    argument(command, name).or_else(|| command.get_subcommands().find_map(|below| any_argument(below, name)))
}

/// These options as a run keeps them: with absolute paths, because the next command may be started in another directory.
pub(super) fn with_absolute_paths(settings: &Settings) -> Settings {
    with_paths(settings, |path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

/// These options as they are printed: with paths from the current directory if those are shorter.
pub(super) fn with_short_paths(settings: &Settings) -> Settings {
    let Ok(here) = std::env::current_dir() else { return settings.clone() };
    with_paths(settings, |path| shorter(path, &here).unwrap_or_else(|| path.to_owned()))
}

fn with_paths(settings: &Settings, change: impl Fn(&Path) -> PathBuf) -> Settings {
    let mut changed = Settings::default();
    for one in settings.iter() {
        let argument = COMMAND.get().and_then(|command| any_argument(command, &one.name));
        let value = one.value.as_ref().map(|value| match argument {
            Some(argument) if is_path(argument, value) => {
                let path = change(Path::new(value)).to_string_lossy().into_owned();
                if is_path(argument, &path) { path } else { format!("./{path}") }
            }
            _ => value.clone(),
        });
        changed.push(&one.name, value, one.origin.clone());
    }
    changed
}

/// Whether a value of this option is a path.
fn is_path(argument: &Arg, value: &str) -> bool {
    match argument.get_value_hint() {
        // What clap says of a `PathBuf`.
        ValueHint::AnyPath => value != "-",
        // The option takes the name of a contract, too.
        ValueHint::FilePath => !BUILT_IN.contains(&value),
        _ => false,
    }
}

/// An absolute path as seen from `here`, if that is shorter.
fn shorter(path: &Path, here: &Path) -> Option<PathBuf> {
    if !path.is_absolute() {
        return None;
    }
    let mut seen = PathBuf::new();
    let (ancestor, rest) = here.ancestors().find_map(|ancestor| Some((ancestor, path.strip_prefix(ancestor).ok()?)))?;
    seen.extend(here.strip_prefix(ancestor).ok()?.components().map(|_| Component::ParentDir));
    seen.push(rest);
    (seen.as_os_str().len() < path.as_os_str().len()).then_some(seen)
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use crate::model::setting::Origin;
    use clap::CommandFactory as _;

    fn typed(options: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in options {
            settings.push(*name, Some((*value).to_owned()), Origin::Flag);
        }
        settings
    }

    #[test]
    fn only_paths_are_kept_absolute() {
        register(Cli::command());
        let words = [("--contract", "defender"), ("--results", "-"), ("--set", "comment=a.csv"), ("--quota", "5/1m")];
        assert_eq!(with_absolute_paths(&typed(&words)), typed(&words));
        assert_eq!(with_short_paths(&typed(&words)), typed(&words));
        let here = std::env::current_dir().expect("a directory");
        let absolute = |name: &str| here.join(name).to_str().expect("UTF-8").to_owned();
        for (name, path) in [("--contract", "my.toml"), ("--token-file", "tok"), ("--state-dir", "a/state")] {
            let kept = with_absolute_paths(&typed(&[(name, path)]));
            assert_eq!(kept, typed(&[(name, &absolute(path))]));
            assert_eq!(with_short_paths(&kept), typed(&[(name, path)]));
        }
        // A file that is named like a contract, and one that is named like standard output.
        for (name, path) in [("--contract", "defender"), ("--results", "-")] {
            let printed = with_short_paths(&typed(&[(name, &absolute(path))]));
            assert_eq!(printed, typed(&[(name, &format!("./{path}"))]));
        }
    }

    #[test]
    fn paths_are_printed_the_shorter_way() {
        for (path, seen) in [
            ("/home/me/work/tok", Some("tok")),
            ("/home/me/work/a/b", Some("a/b")),
            ("/home/me/other/tok", Some("../other/tok")),
            ("/home/me/work/../tok", Some("../tok")),
            ("/home/me", Some("..")),
            ("/etc/tok", None),
            ("/home/you/tok", None),
            ("tok", None),
        ] {
            assert_eq!(shorter(Path::new(path), Path::new("/home/me/work")).as_deref(), seen.map(Path::new), "{path}");
        }
    }

    /// A suggested command may take an option of another one.
    #[test]
    fn equal_options_hold_paths_in_all_commands() {
        fn check(command: &Command, all: &Command) {
            for argument in command.get_arguments() {
                let Some(name) = argument.get_long().map(|long| format!("--{long}")) else { continue };
                let first = any_argument(all, &name).expect("it is there").get_value_hint();
                assert_eq!(argument.get_value_hint(), first, "{} {name}", command.get_name());
            }
            command.get_subcommands().for_each(|below| check(below, all));
        }
        let mut all = Cli::command();
        all.build();
        check(&all, &all);
    }
}
