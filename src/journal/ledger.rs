//! The quota's ledger: the requests that count, and the pause, as far as known; kept in memory between commits.

use std::collections::BTreeSet;

use crate::clock::BootTime;
use crate::model::permit::{LATE_COUNT, Pause, QuotaUsage};

/// The requests and the pause of one tenant key.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) usage: QuotaUsage,
    pub(super) pause: Option<StoredPause>,
    /// The numbers of our attempts in flight.
    pub(super) ours: BTreeSet<i64>,
    /// The store's version when this was read; a different one means that another process has written.
    pub(super) version: Option<i64>,
}

/// A pause with the attempt that probes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredPause {
    pub(super) until: BootTime,
    pub(super) probe: Option<i64>,
}

impl From<StoredPause> for Pause {
    fn from(pause: StoredPause) -> Pause {
        Pause { until: pause.until, probing: pause.probe.is_some() }
    }
}

impl Ledger {
    /// What was read may be wrong (a commit failed): the next commit reads it again.
    pub(super) fn forget(&mut self) {
        self.version = None;
    }

    /// The requests in flight of other processes.
    pub(super) fn others(&self) -> u32 {
        self.usage.in_flight.saturating_sub(u32::try_from(self.ours.len()).unwrap_or(u32::MAX))
    }

    /// Adds a request of ours that is in flight.
    pub(super) fn start(&mut self, number: i64) {
        self.ours.insert(number);
        self.usage.in_flight += 1;
    }

    /// Ends a request of ours: `counts` says when, and whether it got a response; `None` if it was never sent.
    /// Returns whether it was in flight.
    pub(super) fn end(&mut self, number: i64, counts: Option<(BootTime, bool)>) -> bool {
        if !self.ours.remove(&number) {
            return false;
        }
        self.usage.in_flight = self.usage.in_flight.saturating_sub(1);
        if let Some((at, has_response)) = counts {
            let at = counted_by(at, has_response);
            let place = self.usage.ended.partition_point(|end| *end <= at);
            self.usage.ended.insert(place, at);
        }
        true
    }

    /// Drops the ends that the quota does not ask for.
    pub(super) fn drop_before(&mut self, horizon: BootTime) {
        while self.usage.ended.front().is_some_and(|end| *end < horizon) {
            self.usage.ended.pop_front();
        }
    }
}

/// When the server has surely counted a request that ended at `ended`.
pub(super) fn counted_by(ended: BootTime, has_response: bool) -> BootTime {
    if has_response { ended } else { ended + LATE_COUNT }
}
