//! The pace: when it is reported, and the estimate of when the last request will end.

use std::time::Duration;

use super::super::PACE;
use crate::clock::BootTime;

/// The estimate is computed no more often than this for each request that remains: its cost grows with them.
const PER_REQUEST: Duration = Duration::from_micros(200);

/// When the pace was reported, and what the estimate needs.
#[derive(Debug)]
pub(super) struct Pacing {
    /// Something has changed since the last report.
    pub(super) changed: bool,
    reported: Option<BootTime>,
    /// How long a request takes: a moving average.
    pub(super) latency: Duration,
    /// When the estimate was computed, and the estimate.
    estimate: Option<(BootTime, BootTime)>,
}

impl Pacing {
    pub(super) fn new(latency: Duration) -> Pacing {
        Pacing { changed: true, reported: None, latency, estimate: None }
    }

    /// Takes in the end of a request.
    pub(super) fn on_end(&mut self, took: Duration) {
        self.latency = (self.latency * 7 + took) / 8;
    }

    /// When the next report is due, if something has changed.
    pub(super) fn due(&self) -> Option<BootTime> {
        self.changed.then(|| self.reported.map_or(BootTime(i64::MIN), |reported| reported + PACE))
    }

    /// Whether a report is due now; if so, counts it as done.
    pub(super) fn take_due(&mut self, now: BootTime) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            self.changed = false;
            self.reported = Some(now);
        }
        is_due
    }

    /// When the last of `calls` requests will end; calls `compute` if the last estimate is too old.
    pub(super) fn arrival(&mut self, now: BootTime, calls: u64, compute: impl FnOnce() -> BootTime) -> BootTime {
        let lasts = PER_REQUEST * u32::try_from(calls).unwrap_or(u32::MAX);
        match self.estimate {
            Some((computed, arrival)) if now < computed + lasts => arrival,
            _ => self.estimate.insert((now, compute())).1,
        }
    }
}
