//! One window as a token bucket whose tokens come back exactly one window after the call that used them has ended.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;
use crate::model::permit::{NextPermit, QuotaUsage};
use crate::model::quota_spec::Window;

/// Two machines' clocks do not run at one rate: a token stays out longer by this part of its window (100 ppm, which
/// is more than disciplined clocks differ by), and by the microsecond to which times are cut.
const DRIFT: u32 = 10_000;

/// The tokens of one window.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    window: Window,
    hold: Duration,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(window: Window) -> TokenBucket {
        TokenBucket { window, hold: window.length + window.length / DRIFT + Duration::from_micros(1) }
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// How long after the end of its call a token comes back.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.hold
    }

    /// Tokens out at `now`: those of the calls under way, and of those that ended less than a window ago.
    #[must_use]
    pub fn in_use(&self, spent: &QuotaUsage, now: BootTime) -> u32 {
        let returned = spent.ended.partition_point(|end| *end + self.hold <= now);
        let held = spent.ended.len() - returned;
        spent.in_flight.saturating_add(u32::try_from(held).unwrap_or(u32::MAX))
    }

    /// Tokens left at `now`.
    #[must_use]
    pub fn free(&self, spent: &QuotaUsage, now: BootTime) -> u32 {
        self.window.calls.saturating_sub(self.in_use(spent, now))
    }

    /// When a token is there for one more call, with so many under way.
    #[must_use]
    pub fn next(&self, ended: &VecDeque<BootTime>, in_flight: u32) -> NextPermit {
        let Some(left) = self.window.calls.checked_sub(in_flight).filter(|left| *left > 0) else {
            return NextPermit::AfterACallInFlight;
        };
        // With `left` tokens for calls that are over, the `left`-th youngest of them must have come back.
        match ended.len().checked_sub(left as usize) {
            Some(at) => NextPermit::At(ended[at] + self.hold),
            None => NextPermit::At(BootTime(i64::MIN)),
        }
    }
}
