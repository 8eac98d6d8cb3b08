//! Apply: sends the rows of a run that is in the journal.
//!
//! One task, the `dispatcher`, does everything that has an order: it commits to the journal, takes permits, starts
//! calls, and hears how they end. Calls run beside it (`callers`), as many as the concurrency says; that is the only
//! thing here that happens at the same time as anything else. What one row goes through is in `row`, who waits for what
//! in `queue`, what to do in doubt in `doubt`, what the answers say of the service in `health`. Reports hear of it by
//! [`events`].

mod callers;
mod dispatcher;
pub mod events;
mod fetch;
mod health;
mod in_doubt;
mod log;
mod page_size;
mod preflight;
mod queue;
mod read_loop;
mod row_state;
mod service;

#[cfg(test)]
mod tests;

pub use dispatcher::{Completion, RunEnd, apply};
pub use fetch::{ListSource, LocalFilter, ServerFilter, not_newer};
pub use preflight::PreflightSource;
pub use read_loop::{Course, ReadEnd, ReadEnds, ReadResult, ReadSource, Wanted, read};

use std::time::Duration;

use jiff::Timestamp;

use crate::contract::SameAs;
use crate::journal::{Journal, JournalError};
use crate::model::outcome::RowCode;
use crate::model::quota_spec::Quota;

/// Tokens that other processes free are looked for this often.
const LOOK: Duration = Duration::from_millis(50);
/// The pace is told no more often than this.
const PACE: Duration = Duration::from_millis(250);

/// How long a request takes, as long as none was measured.
pub const GUESSED_LATENCY: Duration = Duration::from_millis(400);

/// How a run is sent.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The windows that are kept.
    pub quota: Quota,
    /// Calls under way at once, at least 1.
    pub concurrency: u32,
    /// Tries at one row for errors that may pass, at least 1.
    pub max_attempts: u32,
    /// How long to wait for a service that is down.
    pub patience: Duration,
    /// Stop when so many rows have failed; without it, when the first five all fail alike.
    pub max_failures: Option<u64>,
    /// Make no new call after this.
    pub stop_after: Option<Duration>,
    /// How long a change made by another run counts as made.
    pub remember: Duration,
    /// How long the service may take to show a change.
    pub settle: Duration,
    /// Values that are equal by the contract.
    pub same_as: SameAs,
    /// Of the dice for delays.
    pub seed: u64,
}

/// Why a run stopped before it was over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The user asked for it, by a signal.
    #[error("Ctrl-C or a signal")]
    Requested,
    /// `--stop-after`.
    #[error("the time of --stop-after is up")]
    Deadline,
    /// `--max-failures`.
    #[error("{failed} {} failed, as many as --max-failures allows", if *failed == 1 { "row has" } else { "rows have" })]
    TooManyFailures {
        /// So many rows had failed.
        failed: u64,
    },
    /// The first rows all failed in one way: the file or the contract is likely to be the wrong one.
    #[error("the first {rows} rows all failed with `{code}`: is it the right file?")]
    FirstRowsFailed {
        /// So many.
        rows: usize,
        /// The code they had in common.
        code: RowCode,
    },
    /// The service was down for longer than `--patience`.
    #[error("the service is down ({message}), for longer than --patience allows")]
    ServiceDown {
        /// What the last attempt met.
        message: String,
    },
    /// No connection is possible, and a retry can't fix it.
    #[error("{message}")]
    Unreachable {
        /// Why, and what to do.
        message: String,
    },
    /// The service asks for a pause longer than the longest window and than `--patience`.
    #[error("the service accepts no requests until {}", until.strftime("%Y-%m-%d %H:%M:%S UTC"))]
    PausedTooLong {
        /// Until then.
        until: Timestamp,
    },
    /// The token was refused twice, or the new one is another tenant's.
    #[error("the token is refused: {message}")]
    Unauthorized {
        /// What the service, or the renewal, said.
        message: String,
    },
    /// The token has expired or was refused, and there is no other.
    #[error("{message}")]
    NotRenewed {
        /// What of it, and when.
        message: String,
    },
    /// The permission is missing.
    #[error("the permission is missing: {message}")]
    Forbidden {
        /// What the service said.
        message: String,
    },
    /// The API refuses the query of a list (400).
    #[error("the API rejects the query: {message}")]
    QueryRejected {
        /// What the API said.
        message: String,
    },
    /// The list of incidents can't be read to its end.
    #[error("cannot read the list of incidents: {message}")]
    ListFailed {
        /// What the API said, or what is wrong with the list.
        message: String,
    },
    /// A listener can't go on: the results file can't be written.
    #[error("{message}")]
    ListenerFailed {
        /// The error.
        message: String,
    },
}

impl StopReason {
    /// Whether a signal asked for it, such as Ctrl-C.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self == StopReason::Requested
    }
}

/// Why sending can't go on: the journal failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ApplyError {
    /// How.
    #[source]
    pub error: JournalError,
    /// The journal, to be read: what was done stays to be told.
    pub journal: Option<Box<Journal>>,
}

impl From<JournalError> for ApplyError {
    fn from(error: JournalError) -> ApplyError {
        ApplyError { error, journal: None }
    }
}
