//! The buckets of a quota: one for each window, and the permits that all of them allow.

use std::collections::VecDeque;

use super::token_bucket::TokenBucket;
use crate::clock::BootTime;
use crate::model::permit::{Grant, NextPermit, Pause, QuotaUsage};
use crate::model::quota_spec::{Quota, Window};

/// The buckets of one quota.
#[derive(Clone, Debug)]
pub struct Buckets {
    pub(super) buckets: Vec<TokenBucket>,
}

impl Buckets {
    /// A bucket for each window.
    #[must_use]
    pub fn new(quota: &Quota) -> Buckets {
        Buckets { buckets: quota.windows().iter().copied().map(TokenBucket::new).collect() }
    }

    /// Grants up to `wanted` permits at `now`.
    #[must_use]
    pub fn grant(&self, spent: &QuotaUsage, pause: Option<Pause>, now: BootTime, wanted: u32) -> Grant {
        let (permits, next) = match pause {
            Some(pause) if now < pause.until => (0, NextPermit::At(pause.until)),
            Some(Pause { probing: true, .. }) => (0, NextPermit::AfterACallInFlight),
            Some(_) => match self.free(spent, now).min(wanted) {
                0 => (0, self.next(&spent.ended, spent.in_flight, now)),
                _ => (1, NextPermit::AfterACallInFlight),
            },
            None => {
                let permits = self.free(spent, now).min(wanted);
                (permits, self.next(&spent.ended, spent.in_flight + permits, now))
            }
        };
        Grant { permits, next }
    }

    /// The number of tokens that every bucket has at `now`.
    fn free(&self, spent: &QuotaUsage, now: BootTime) -> u32 {
        self.buckets.iter().map(|bucket| bucket.free(spent, now)).min().unwrap_or(0)
    }

    fn next(&self, ended: &VecDeque<BootTime>, in_flight: u32, now: BootTime) -> NextPermit {
        let mut latest = now;
        for bucket in &self.buckets {
            match bucket.next(ended, in_flight) {
                NextPermit::At(time) => latest = latest.max(time),
                after @ NextPermit::AfterACallInFlight => return after,
            }
        }
        NextPermit::At(latest)
    }

    /// Each window with its tokens in use at `now`.
    #[must_use]
    pub fn in_use(&self, spent: &QuotaUsage, now: BootTime) -> Vec<(Window, u32)> {
        self.buckets.iter().map(|bucket| (bucket.window(), bucket.in_use(spent, now))).collect()
    }
}
