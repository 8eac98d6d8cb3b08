//! What `apply` tells: the interface between sending and reporting. Progress, results file and log read these events;
//! `apply` knows none of them.

use jiff::Timestamp;

use crate::model::outcome::{OutcomeKind, ResultRow};
use crate::model::quota_spec::Window;

/// Something that happened in a run. An event comes after what it tells is committed to the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Incidents are looked at: so many, where that is known.
    ReadingStarted(Option<u64>),
    /// So many incidents more have been looked at.
    IncidentsRead(u64),
    /// Sending begins (or goes on).
    Started {
        /// The rows of the run.
        rows: u64,
        /// Of these, the ones that were over before, by outcome.
        before: Vec<(OutcomeKind, u64)>,
    },
    /// Rows are over: those of one commit.
    Finished(Vec<ResultRow>),
    /// What the quota and the queue look like now; sent when it changed, a few times a second at most.
    Pace(Pace),
    /// The scope pauses after a 429.
    Throttled {
        /// Until then.
        until: Timestamp,
        /// What the server said, in one line.
        message: String,
    },
    /// The scope pauses because a response other than a 429 named a time.
    Busy {
        /// Until then.
        until: Timestamp,
        /// What the server said, in one line.
        message: String,
    },
    /// The service is down, not the rows: the run pauses.
    ServiceDown {
        /// Until then; one call goes first.
        until: Timestamp,
        /// What the last attempt met, in one line.
        message: String,
    },
    /// The service answers again.
    ServiceUp,
    /// A row is tried again.
    Retry {
        /// The row's number.
        row: u64,
        /// How many attempts it has had.
        attempts: u32,
        /// When it is tried again.
        at: Timestamp,
        /// Why.
        message: String,
    },
    /// No new calls are made from now on; those under way are waited for.
    Stopping {
        /// Why.
        reason: super::StopReason,
        /// How many calls are under way.
        in_flight: usize,
    },
}

/// What the quota is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Each window with the tokens of it that are in use.
    pub windows: Vec<(Window, u32)>,
    /// When the next call can go, where it has to wait.
    pub next_call: Option<Timestamp>,
    /// When the last row will be over, by the quota's arithmetic.
    pub arrival: Timestamp,
    /// Calls under way.
    pub in_flight: u32,
    /// The calls made by this process.
    pub calls: u64,
    /// The 429s seen by this process.
    pub throttled: u64,
}

/// Takes events as they come. It must not block for long: sending waits for it.
pub trait Listener {
    /// Is told one event.
    ///
    /// # Errors
    /// Where the listener can't go on (the results file can't be written): the run stops, calls under way are waited
    /// for.
    fn on_event(&mut self, event: Event) -> std::io::Result<()>;
}
