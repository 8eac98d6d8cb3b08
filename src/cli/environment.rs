//! The environment: the one reader of it, and of where things are kept by default.

use std::ffi::OsString;
use std::path::PathBuf;

use etcetera::BaseStrategy as _;
use secrecy::SecretString;

use super::GlobalArgs;
use crate::error::Error;

/// What the environment says.
#[derive(Debug)]
pub(super) struct Environment {
    /// `BULK_TRIAGE_TOKEN`, where it is set and not empty.
    pub(super) token: Option<SecretString>,
    /// `CREDENTIALS_DIRECTORY`: where systemd mounts a unit's secrets.
    pub(super) credentials_directory: Option<PathBuf>,
    /// `NO_COLOR`, where it is set and not empty (no-color.org).
    pub(super) no_color: bool,
}

impl Environment {
    /// Reads it.
    #[must_use]
    pub(super) fn read() -> Environment {
        Environment {
            // What is not UTF-8 is no token either: that is said, rather than that there is none.
            token: variable("BULK_TRIAGE_TOKEN").map(|token| SecretString::from(token.to_string_lossy().into_owned())),
            credentials_directory: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            no_color: variable("NO_COLOR").is_some(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where the journal is kept: `--state-dir`, else `$XDG_STATE_HOME/bulk-triage`.
///
/// # Errors
/// Where nothing is said and there is no home directory.
pub(super) fn state_dir(global: &GlobalArgs) -> Result<PathBuf, Error> {
    if let Some(dir) = &global.state_dir {
        return Ok(dir.clone());
    }
    let base = etcetera::base_strategy::Xdg::new().ok().and_then(|xdg| xdg.state_dir());
    base.map(|base| base.join("bulk-triage")).ok_or_else(|| Error::Usage {
        message: "there is no home directory to keep the journal in".to_owned(),
        hint: Some("name a directory with --state-dir".to_owned()),
    })
}

/// Leaves no picture of the memory, with a token in it, on the disk.
pub(super) fn forbid_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    // Where that is refused, it is by somebody who has the right to look into this process anyway.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}
