//! Options for requests and for sending a run, with their defaults.

use std::time::Duration;

use super::target::Target;
use crate::apply::EngineSettings;

/// The default for requests in flight.
pub const CONCURRENCY: u32 = 8;
/// The default for attempts per row.
pub const MAX_ATTEMPTS: u32 = 5;
/// The default dedup window: a nightly job is not affected by that of the previous night.
pub const REMEMBER: Duration = Duration::from_hours(12);
/// The default wait for a service that is down.
pub const PATIENCE: Duration = Duration::from_mins(10);
/// The default time that the service may take to show a change.
pub const SETTLE: Duration = Duration::from_secs(30);

/// How requests are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOptions {
    /// Maximum requests in flight, at least 1.
    pub concurrency: u32,
    /// Maximum attempts per row for transient errors, at least 1. 429s don't count.
    pub max_attempts: u32,
    /// How long to wait for a service that is down.
    pub patience: Duration,
}

impl Default for CallOptions {
    fn default() -> CallOptions {
        CallOptions { concurrency: CONCURRENCY, max_attempts: MAX_ATTEMPTS, patience: PATIENCE }
    }
}

/// How a run is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendOptions {
    /// How requests are made.
    pub calls: CallOptions,
    /// Stop after this many failed rows; `None`: if the first five fail with the same error.
    pub max_failures: Option<u64>,
    /// Start no request after this time.
    pub stop_after: Option<Duration>,
    /// The dedup window.
    pub remember: Duration,
    /// How long the service may take to show a change.
    pub settle: Duration,
}

impl Default for SendOptions {
    fn default() -> SendOptions {
        SendOptions {
            calls: CallOptions::default(),
            max_failures: None,
            stop_after: None,
            remember: REMEMBER,
            settle: SETTLE,
        }
    }
}

impl CallOptions {
    /// For the engine, to read only.
    #[must_use]
    pub fn to_read(&self, target: &Target, seed: u64) -> EngineSettings {
        let only_reads = SendOptions {
            calls: self.clone(),
            remember: Duration::ZERO,
            settle: Duration::ZERO,
            ..SendOptions::default()
        };
        only_reads.for_engine(target, seed)
    }
}

impl SendOptions {
    pub(super) fn for_engine(&self, target: &Target, seed: u64) -> EngineSettings {
        EngineSettings {
            quota: target.quota.clone(),
            concurrency: self.calls.concurrency,
            max_attempts: self.calls.max_attempts,
            patience: self.calls.patience,
            max_failures: self.max_failures,
            stop_after: self.stop_after,
            remember: self.remember,
            settle: self.settle,
            same_as: target.contract.same_as(),
            seed,
        }
    }
}
