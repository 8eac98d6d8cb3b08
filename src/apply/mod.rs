//! Apply: sends the rows of a run that is in the journal, and reads incidents.
//!
//! One loop, the `engine`, does everything that has an order: it commits to the journal, takes permits, starts requests
//! and takes in how they end. Requests run beside it (`callers`), up to the concurrency; nothing else here happens at
//! the same time. What the engine works on is in `rows` (sending) and `reads`. The states of one row are in
//! `row_state`, how rows come from the journal in `intake`, what reads show of attempts in doubt in `in_doubt`, what
//! responses tell about the service in `health` and `service`. Progress, results and log follow it through [`events`].

mod callers;
mod due;
mod engine;
pub mod events;
mod fetch;
mod health;
mod in_doubt;
mod intake;
mod log;
mod page_size;
mod preflight;
mod reads;
mod row_state;
mod row_steps;
mod rows;
mod service;

#[cfg(test)]
mod tests;

pub use fetch::{ListSource, LocalFilter, ServerFilter, not_newer};
pub use preflight::PreflightSource;
pub use reads::{ReadResult, ReadSource, Wanted, read};
pub use rows::apply;

use std::ops::Add;
use std::time::Duration;

use jiff::Timestamp;

use crate::contract::SameAs;
use crate::journal::{Journal, JournalError};
use crate::model::outcome::RowCode;
use crate::model::quota_spec::Quota;

/// How often to ask again while requests of other processes are in flight: nothing signals their end.
const POLL: Duration = Duration::from_millis(50);
/// The pace is reported no more often than this.
const PACE: Duration = Duration::from_millis(250);

/// How long a request takes, until one was measured.
pub const GUESSED_LATENCY: Duration = Duration::from_millis(400);

/// Options for requests and for sending a run.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The quota to respect.
    pub quota: Quota,
    /// Maximum requests in flight, at least 1.
    pub concurrency: u32,
    /// Maximum attempts per row for transient errors, at least 1.
    pub max_attempts: u32,
    /// How long to wait for a service that is down.
    pub patience: Duration,
    /// Stop after this many failed rows; `None`: if the first five fail with the same error.
    pub max_failures: Option<u64>,
    /// Start no request of a row after this time.
    pub stop_after: Option<Duration>,
    /// The dedup window.
    pub remember: Duration,
    /// How long the service may take to show a change.
    pub settle: Duration,
    /// Values that are equal by the contract.
    pub same_as: SameAs,
    /// The seed of the random delays.
    pub seed: u64,
}

/// What [`apply`] and [`read`] return.
#[derive(Debug)]
pub struct EngineEnd {
    /// Whether all was done.
    pub completion: Completion,
    /// The journal.
    pub journal: Journal,
    /// The requests of this process.
    pub requests: Requests,
}

/// The requests of a process. An attempt without a connection doesn't count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// All of them.
    pub calls: u64,
    /// Of these, the reads.
    pub reads: u64,
    /// Of these, the comments that are requests of their own.
    pub comments: u64,
    /// The 429s among the responses.
    pub throttled: u64,
    /// How long an item that was due, and could have been sent, waited for a permit.
    pub quota_wait: Duration,
}

impl Add for Requests {
    type Output = Requests;

    fn add(self, other: Requests) -> Requests {
        Requests {
            calls: self.calls + other.calls,
            reads: self.reads + other.reads,
            comments: self.comments + other.comments,
            throttled: self.throttled + other.throttled,
            quota_wait: self.quota_wait + other.quota_wait,
        }
    }
}

/// Whether all was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Every row that can be sent has its outcome; or the source has nothing left to read.
    Finished,
    /// It was stopped before that.
    Stopped(StopReason),
}

/// Why the engine stopped before all was done.
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
        /// How many rows had failed.
        failed: u64,
    },
    /// The first rows all failed with the same error: the file or the contract is probably the wrong one.
    #[error("the first {rows} rows all failed with `{code}`: is it the right file?")]
    FirstRowsFailed {
        /// How many.
        rows: usize,
        /// The code they had in common.
        code: RowCode,
    },
    /// The service was down for longer than `--patience`.
    #[error("the service is down ({message}), for longer than --patience allows")]
    ServiceDown {
        /// The error of the last attempt.
        message: String,
    },
    /// No connection is possible, and a retry can't fix it.
    #[error("{message}")]
    Unreachable {
        /// Why, and what to do.
        message: String,
    },
    /// The service asks for a pause longer than the longest window and `--patience`.
    #[error("the service accepts no requests until {}", until.strftime("%Y-%m-%d %H:%M:%S UTC"))]
    PausedTooLong {
        /// When that pause would end.
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
        /// What happened to it, and when.
        message: String,
    },
    /// No new token could be got for longer than `--patience`.
    #[error("{message}, for longer than --patience allows")]
    SignInDown {
        /// The error of the last attempt.
        message: String,
    },
    /// The permission is missing.
    #[error("the permission is missing: {message}")]
    Forbidden {
        /// What the service said.
        message: String,
    },
    /// A policy of the tenant refuses the token.
    #[error(
        "Conditional Access blocks the token: {}; ask an administrator to find the policy in Entra's sign-in log, and to \
         exclude the application or user from it",
        message.trim_end_matches('.')
    )]
    Blocked {
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
    /// A listener can't continue: the results file can't be written.
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

/// Sending or reading can't continue: the journal failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ApplyError {
    /// How.
    #[source]
    pub error: JournalError,
    /// The journal, to read what was done.
    pub journal: Option<Box<Journal>>,
    /// The requests until then, those in flight included.
    pub requests: Requests,
}

impl From<JournalError> for ApplyError {
    fn from(error: JournalError) -> ApplyError {
        ApplyError { error, journal: None, requests: Requests::default() }
    }
}
