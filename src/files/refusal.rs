//! Refusal: why a file or directory is not used.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;

use crate::text::printable;

/// Why a file or directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is something other than a regular file.
    #[error("it is {0}")]
    Kind(&'static str),
    /// Another user owns it.
    #[error("it belongs to another user (uid {0})")]
    Owner(u32),
    /// Another user created a link in its path.
    #[error("the link {} belongs to another user (uid {owner})", printable(&.link.to_string_lossy()))]
    Link {
        /// The link.
        link: PathBuf,
        /// The link's owner (uid).
        owner: u32,
    },
    /// It has several names.
    #[error("it has {0} hard links")]
    HardLinks(u64),
    /// Its mode gives others too many permissions.
    #[error("others can {what} it (mode {mode:03o})")]
    Mode {
        /// `write` or `read or write`.
        what: &'static str,
        /// Its permission bits.
        mode: u32,
        /// The argument for `chmod` that corrects it.
        fix: &'static str,
    },
    /// Its directory is not used, and so neither is what is in it.
    #[error("its directory is not safe: {0}")]
    Directory(Box<Refusal>),
    /// The command uses it for something else.
    #[error("the command already uses that file or its directory")]
    Used,
    /// It can't be opened or examined.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Refusal> for io::Error {
    fn from(why: Refusal) -> io::Error {
        match why {
            Refusal::Io(error) => error,
            why => io::Error::other(why),
        }
    }
}

/// The rule that a file must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// For the program's own files: nobody else can read or write it.
    Private,
    /// For outputs: nobody else can write it. The user decides who can read it.
    Output,
}

impl Rule {
    /// Checks the metadata of an open file, or of a path without following links.
    pub(super) fn check(self, found: &Metadata) -> Result<(), Refusal> {
        if !found.is_file() {
            return Err(Refusal::Kind(kind_of(found)));
        }
        let is_owned = match self {
            Rule::Private => found.uid() == ourselves(),
            Rule::Output => is_trusted(found.uid()),
        };
        if !is_owned {
            return Err(Refusal::Owner(found.uid()));
        }
        // 0 if it was deleted after it was opened.
        if found.nlink() > 1 {
            return Err(Refusal::HardLinks(found.nlink()));
        }
        let mode = found.mode() & 0o777;
        match self {
            Rule::Private if mode & 0o077 != 0 => Err(Refusal::Mode { what: "read or write", mode, fix: "600" }),
            Rule::Output if mode & 0o022 != 0 => Err(Refusal::Mode { what: "write", mode, fix: "go-w" }),
            _ => Ok(()),
        }
    }
}

pub(super) fn ourselves() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether the owner is this user or root.
pub(super) fn is_trusted(owner: u32) -> bool {
    owner == ourselves() || owner == 0
}

/// The type of something that is not a regular file.
pub(crate) fn kind_of(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "no ordinary file"
    }
}
