//! A window as a token bucket.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;
use crate::model::permit::{NextPermit, QuotaUsage};
use crate::model::quota_spec::Window;

/// The clocks of two machines run at different rates, so a token returns later by this fraction of its window (100 ppm,
/// more than the difference of synchronized clocks), and by one microsecond, the precision of times.
const DRIFT: u32 = 10_000;

/// Each token returns one full window after the call that used it *ended* (a sliding-window log), not at a steady rate.
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

    /// How long a token is held after the end of its request.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.hold
    }

    /// Tokens in use at `now`: of requests in flight, and of those that ended less than a window ago.
    #[must_use]
    pub fn in_use(&self, spent: &QuotaUsage, now: BootTime) -> u32 {
        let returned = spent.ended.partition_point(|end| *end + self.hold <= now);
        let held = spent.ended.len() - returned;
        spent.in_flight.saturating_add(u32::try_from(held).unwrap_or(u32::MAX))
    }

    /// The tokens left at `now`.
    #[must_use]
    pub fn free(&self, spent: &QuotaUsage, now: BootTime) -> u32 {
        self.window.calls.saturating_sub(self.in_use(spent, now))
    }

    /// When a token is free for one more request, with this many requests in flight.
    #[must_use]
    pub fn next(&self, ended: &VecDeque<BootTime>, in_flight: u32) -> NextPermit {
        let Some(left) = self.window.calls.checked_sub(in_flight).filter(|left| *left > 0) else {
            return NextPermit::AfterACallInFlight;
        };
        // With `left` tokens for finished requests, the token of the `left`-th newest of them must have returned.
        match ended.len().checked_sub(left as usize) {
            Some(at) => NextPermit::At(ended[at] + self.hold),
            None => NextPermit::At(BootTime(i64::MIN)),
        }
    }
}
