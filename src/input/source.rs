//! The source of an input. Only this file knows that `-` is standard input.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The name of standard input on a command line.
pub(super) const STANDARD_INPUT: &str = "-";

/// The source of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input: it can be read once.
    StandardInput,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// The source with this name, which was typed or is stored with a run.
    #[must_use]
    pub fn named(name: &OsStr) -> Source {
        if name == STANDARD_INPUT { Source::StandardInput } else { Source::File(name.into()) }
    }

    /// The name of the source; `-` for standard input.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Source::StandardInput => STANDARD_INPUT.into(),
            Source::File(path) => path.to_string_lossy(),
        }
    }

    /// The exact bytes of its name on a command line.
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
