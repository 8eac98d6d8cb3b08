//! Events: the interface between sending and reporting. Progress, results file and log read these events;
//! `apply` knows none of them.

use jiff::Timestamp;

use crate::model::outcome::{OutcomeKind, ResultRow};
use crate::model::quota_spec::Window;

/// Something that happened in a run. It is reported after its commit to the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Reading incidents has started: this many, if known.
    ReadingStarted(Option<u64>),
    /// This many more incidents have been read.
    IncidentsRead(u64),
    /// Sending has started or resumed.
    Started {
        /// The rows of the run.
        rows: u64,
        /// Of these, the rows that were finished before, by outcome.
        before: Vec<(OutcomeKind, u64)>,
    },
    /// The rows that finished with one commit.
    Finished(Vec<ResultRow>),
    /// The state of the quota and the queue; sent when it has changed, a few times a second at most.
    Pace(Pace),
    /// The tenant key pauses after a 429.
    Throttled {
        /// When the pause ends.
        until: Timestamp,
        /// What the server said, in one line.
        message: String,
    },
    /// The tenant key pauses because a response other than a 429 named a time.
    Busy {
        /// When the pause ends.
        until: Timestamp,
        /// What the server said, in one line.
        message: String,
    },
    /// The service is down, not the rows: the run pauses.
    ServiceDown {
        /// When the pause ends; then one request probes the service.
        until: Timestamp,
        /// The error of the last attempt, in one line.
        message: String,
    },
    /// The service responds again.
    ServiceUp,
    /// A row will be retried.
    Retry {
        /// The row's number.
        row: u64,
        /// Its attempts so far.
        attempts: u32,
        /// When it is retried.
        at: Timestamp,
        /// Why.
        message: String,
    },
    /// No request starts from now on; the engine waits for those in flight.
    Stopping {
        /// Why.
        reason: super::StopReason,
        /// How many requests are in flight.
        in_flight: usize,
    },
    /// Sending or reading has ended, even if the journal failed: the requests since its start.
    Ended(super::Requests),
}

/// The state of the quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Each window with its tokens in use.
    pub windows: Vec<(Window, u32)>,
    /// When the next request can start, if it has to wait.
    pub next_call: Option<Timestamp>,
    /// When the last row will finish, computed from the quota.
    pub arrival: Timestamp,
    /// Requests in flight.
    pub in_flight: u32,
    /// The requests of this process.
    pub calls: u64,
    /// The 429s that this process received.
    pub throttled: u64,
}

/// Receives events as they happen. It must not block for long: sending waits for it.
pub trait Listener {
    /// Handles one event.
    ///
    /// # Errors
    /// If the listener can't continue (the results file can't be written): the run stops after the requests in
    /// flight.
    fn on_event(&mut self, event: Event) -> std::io::Result<()>;
}

/// Nobody listens.
impl Listener for () {
    fn on_event(&mut self, _: Event) -> std::io::Result<()> {
        Ok(())
    }
}
