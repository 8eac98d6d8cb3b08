//! Where an input comes from. The one place that knows that `-` means standard input.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// How standard input is named on a command line.
pub(super) const STANDARD_INPUT: &str = "-";

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input: it can be read once.
    StandardInput,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// The source of this name: as it was typed, or kept with a run.
    #[must_use]
    pub fn named(name: &OsStr) -> Source {
        if name == STANDARD_INPUT { Source::StandardInput } else { Source::File(name.into()) }
    }

    /// Its name, `-` for standard input.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Source::StandardInput => STANDARD_INPUT.into(),
            Source::File(path) => path.to_string_lossy(),
        }
    }

    /// Its name as it is given on a command line, whatever its bytes.
    #[must_use]
    pub fn argument(&self) -> &OsStr {
        match self {
            Source::StandardInput => STANDARD_INPUT.as_ref(),
            Source::File(path) => path.as_os_str(),
        }
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Source::StandardInput => None,
            Source::File(path) => Some(path),
        }
    }
}

impl From<std::ffi::OsString> for Source {
    fn from(name: std::ffi::OsString) -> Source {
        Source::named(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_dash_is_standard_input() {
        assert_eq!(Source::named(OsStr::new("-")), Source::StandardInput);
        for name in ["./-", "a.csv", "--", "-x", ""] {
            assert_eq!(Source::named(OsStr::new(name)).path(), Some(Path::new(name)));
        }
    }
}
