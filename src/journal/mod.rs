//! The journal: the database of runs, rows and attempts. All SQL of the program is in this folder.
//!
//! It is what survives: an attempt is on disk before its bytes leave, an attempt's end and its row's outcome are one
//! transaction, and a run's rows are there all together or not at all. Several processes share one journal, and with it
//! the quota and what was done before. Its public face shows no SQL, so that another store can stand beside it.
//!
//! | file | owns |
//! | --- | --- |
//! | `store` | the directory and the database file: whose they are, settings |
//! | `format` | the format's version, and the steps from older ones |
//! | `locks` | whose turn it is to write; who is alive; who holds a run |
//! | `runs` | a run's beginning, its holder, its end |
//! | `rows` | a run's rows: loaded, and those left to send |
//! | `merged` | rows that update the incident into which their own was merged |
//! | `history` | what is read without a turn: runs as they are shown, and their results |
//! | `run_report` | what a run came to, and its calls over time, for its report |
//! | `commit` | the one transaction of sending: ends and outcomes, permits and intents |
//! | `ledger` | the calls that the quota counts, and the pause of the scope |
//! | `peek` | a look without a trace, for a dry run |
//! | `made` | what earlier calls have made, or may have made, of an incident |

mod commit;
mod dedup;
mod format;
mod history;
mod ledger;
mod locks;
mod read_only;
mod redirects;
mod rows;
mod run_report;
mod runs;
mod store;

pub use commit::{AttemptEnd, AttemptId, Batch, CallKind, Receipt, Receipts, StartRequest};
pub use dedup::{AppliedBy, Doubt, KnownUpdate, Made, PriorRuns, WillSend};
pub use history::{History, RunSummary};
pub use locks::Patience;
pub use read_only::ReadOnlyJournal;
pub use redirects::Contradiction;
pub use rows::{DiffResult, LoadRow, PendingRow, ReadScope, Snapshots};
pub use run_report::{OutcomeGroup, ReportRow, RowFilter, Timeline, TimelinePiece};
pub use runs::{PrunedRun, RunHandle, RunKey, RunMetadata, RunState};
pub use store::{Durability, StateDir};

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::clock::{BootTime, Clock};
use crate::files::Refusal;
use crate::model::change::IncidentId;

/// An open journal: one for each process, used by one task at a time.
#[derive(Debug)]
pub struct Journal {
    /// What is read of it.
    history: History,
    /// The database, as it was opened.
    file: store::FileId,
    durability: Durability,
    turn: locks::WriteLock,
    /// Held for life: whoever can take this lock knows that we are gone.
    #[expect(dead_code, reason = "holding it is its use")]
    alive: locks::LivenessLock,
    /// Our row in `processes`.
    process: i64,
    /// The scope that is sent to, once a session has begun.
    session: Option<Session>,
}

/// What stays the same for all commits of one run.
#[derive(Debug)]
struct Session {
    scope: i64,
    /// Nothing older than this is asked for by the quota.
    longest_hold: std::time::Duration,
    /// How long a change made by another run counts as made.
    remember: std::time::Duration,
    run: i64,
    /// The property that is added to what is there, if the contract has one.
    appended: Option<String>,
    ledger: ledger::Ledger,
}

/// Why the journal can't do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The state directory can't be made, written or trusted.
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
        /// Which.
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
    /// The file is no journal, or its content is damaged.
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
    /// Reading or writing failed.
    #[error("cannot use the journal: {0}")]
    Sql(rusqlite::Error),
    /// A lock or another file beside the database failed.
    #[error("cannot use the journal's directory: {0}")]
    Io(#[from] std::io::Error),
    /// The database was deleted or moved while it was used: another process would begin a new one.
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
        /// The number of the process, where it is known. In another container it is another one's.
        by: Option<u32>,
    },
    /// No run bears this name.
    #[error("no run `{0}`")]
    NoSuchRun(String),
}

/// Who holds the journal, in words.
#[must_use]
pub fn holder(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"))
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> JournalError {
        JournalError::Sql(error)
    }
}

/// What is said of a file or directory that is not used.
fn untrusted(path: &Path, why: Refusal) -> JournalError {
    match why {
        Refusal::Io(error) => JournalError::Io(error),
        why => JournalError::Untrusted { path: path.to_owned(), why },
    }
}

impl Deref for Journal {
    type Target = History;

    fn deref(&self) -> &History {
        &self.history
    }
}

impl History {
    /// The state directory.
    #[must_use]
    pub fn dir(&self) -> &StateDir {
        &self.dir
    }

    /// The clock by which it records.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// A stored time.
fn boot(micros: i64) -> BootTime {
    BootTime(micros)
}

fn stored_id(incident: IncidentId) -> i64 {
    // An id is at most `i64::MAX`.
    i64::try_from(incident.get()).unwrap_or(i64::MAX)
}

/// A stored wall time; out of range only where the database is damaged, then the epoch.
fn wall(micros: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
