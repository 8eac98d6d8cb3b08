//! Permits: the used part of a quota, what may be used now, and the pause that overrides both.
//!
//! The journal knows what was used, the quota what that allows; neither knows the other. `apply` passes these types
//! between them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;

/// A request without a response counts as ended this long after the connection was cut or the process was found dead:
/// the server may count it that late.
///
/// Not the settle time: this is about when a request is counted, that one about when its effect can be read.
pub const LATE_COUNT: Duration = Duration::from_secs(2);

/// The longest stored pause: a wrong or hostile date must not block a tenant forever.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// The ledger's view of a tenant key: all that the quota's arithmetic needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaUsage {
    /// Requests in flight: each holds a token of every window.
    pub in_flight: u32,
    /// The ends of the finished requests, sorted; those older than the longest window may be left out. A request
    /// without a response ends [`LATE_COUNT`] later than its client noticed.
    pub ended: VecDeque<BootTime>,
}

/// A pause of the whole tenant key after a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// No request is sent before this time.
    pub until: BootTime,
    /// Whether the one request that probes the end of the pause is in flight.
    pub probing: bool,
}

/// The permits granted, and when to ask for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Requests that may be sent now, at most as many as were wanted.
    pub permits: u32,
    /// When the next permit is free, after these have been taken.
    pub next: NextPermit,
}

/// When there will be another permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextPermit {
    /// At this time, or immediately if it has passed.
    At(BootTime),
    /// One window after the end of a request that is in flight: known when it ends.
    AfterACallInFlight,
}
