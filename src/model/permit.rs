//! Permits: what has been spent of a quota, what may be spent now, and the pause that stands above both.
//!
//! The journal knows what was spent, the quota what that allows; neither knows the other. These are the words in which
//! `apply` carries it between them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;

/// A request that got no response counts as ended this much after it was seen cut, or its process was seen gone: the
/// server may count it that late.
///
/// Not the settle time: this is about when a request is counted, that one about when its effect can be read.
pub const LATE_COUNT: Duration = Duration::from_secs(2);

/// A pause is stored for this long at most: a wrong or hostile date must not block a tenant for ever.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// What the ledger knows of the calls of a scope: all that the quota's arithmetic needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaUsage {
    /// Calls without an end: each holds a token of every window.
    pub in_flight: u32,
    /// The ends of the calls that are over, sorted; older ones than the longest window may be left out. A request
    /// without a response ends [`LATE_COUNT`] later than its client saw.
    pub ended: VecDeque<BootTime>,
}

/// A pause of the whole scope after a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Nothing is sent before.
    pub until: BootTime,
    /// Whether the one call that goes first when it is over is under way.
    pub probing: bool,
}

/// How many permits there are, and when to ask again for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Permits: calls that may go now, at most as many as were wanted.
    pub permits: u32,
    /// When the next permit is free, after these have been taken.
    pub next: NextPermit,
}

/// When there will be another permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextPermit {
    /// At this time, or at once where it has come.
    At(BootTime),
    /// One window after the end of a call that is still under way: known when it ends.
    AfterACallInFlight,
}
