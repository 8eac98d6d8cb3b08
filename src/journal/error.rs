//! Errors of the journal: what a caller can act on, without the database library.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::Refusal;

/// Why the journal can't do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The state directory can't be created, written or trusted.
    #[error("cannot use the state directory {}: {why}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The state directory, or a file in it, could be another user's.
    #[error("cannot use {}: {why}", .path.display())]
    Untrusted {
        /// The directory or the file.
        path: PathBuf,
        /// What is wrong with it.
        why: Refusal,
    },
    /// The journal was written by a newer version of this program.
    #[error("the journal {} has format {found}, and this program knows format {known}: use a newer bulk-triage", .path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The file is not a journal, or its content is damaged.
    #[error("the journal {} is damaged: {why}", .path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// There is no room left to write.
    #[error("no space left for the journal in {}", .path.display())]
    Full {
        /// The state directory.
        path: PathBuf,
    },
    /// There is no room left for the journal of a dry run, which is in no file with a name.
    #[error("no space left for the rows of a dry run in {}", .path.display())]
    TemporaryFull {
        /// The directory for temporary files.
        path: PathBuf,
    },
    /// The store failed to read or write.
    #[error("cannot use the journal: {0}")]
    Store(StoreError),
    /// A lock or another file beside the database failed.
    #[error("cannot use the journal's directory: {0}")]
    Io(#[from] io::Error),
    /// The database was deleted or moved while it was used: another process would create a new one.
    #[error("the journal {} is gone: it was deleted or moved while in use", .path.display())]
    Gone {
        /// The database file.
        path: PathBuf,
    },
    /// The user asked to stop while another process kept the journal.
    #[error("stopped while waiting for the journal, which is locked by {}", holder(*.by))]
    Interrupted {
        /// The number of the process, if it is known.
        by: Option<u32>,
    },
    /// Another process is sending this run.
    #[error("run {run} is being sent by another process{}", .by.map(|by| format!(" (process {by})")).unwrap_or_default())]
    RunIsHeld {
        /// The run's name.
        run: String,
        /// The number of the process, if it is known. In another container it means another process.
        by: Option<u32>,
    },
    /// Another process has started the same run, and is not sending it now.
    #[error("run {run} with the same changes was started in the meantime")]
    StartedElsewhere {
        /// The run's name.
        run: String,
    },
    /// No run has this name.
    #[error("no run `{0}`")]
    NoSuchRun(String),
}

/// What kind of failure a [`StoreError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Another program kept the store locked for too long.
    Busy,
    /// The machine could not read or write it.
    Unreadable,
    /// The store refused a request: an internal error.
    Refused,
}

/// A failure of the store that only its text explains.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

impl StoreError {
    pub(super) fn new(kind: StoreErrorKind, source: impl Error + Send + Sync + 'static) -> StoreError {
        StoreError { kind, source: Box::new(source) }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

/// Names the process that holds the journal.
#[must_use]
pub fn holder(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"))
}

/// The error of a file or directory that is not used.
pub(super) fn untrusted(path: &Path, why: Refusal) -> JournalError {
    match why {
        Refusal::Io(error) => JournalError::Io(error),
        why => JournalError::Untrusted { path: path.to_owned(), why },
    }
}
