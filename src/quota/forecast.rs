//! The estimated finish time: it simulates the quota instead of using an average rate.

use std::collections::VecDeque;
use std::time::Duration;

use super::buckets::Buckets;
use crate::clock::BootTime;
use crate::model::permit::{Pause, QuotaUsage};

/// The requests to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    /// Requests that remain.
    pub calls: u64,
    /// Maximum requests in flight.
    pub concurrency: u32,
    /// The duration of a request.
    pub latency: Duration,
}

/// When the last request will end, provided that nobody else uses the quota and no request is throttled.
#[must_use]
pub fn arrival(
    buckets: &Buckets,
    spent: &QuotaUsage,
    pause: Option<Pause>,
    now: BootTime,
    ahead: Forecast,
) -> BootTime {
    run_ahead(buckets, spent, pause, now, ahead, |_| ())
}

/// Like [`arrival`]; also passes the start of each request to `starts`, in order.
///
/// Requests start in order and take equally long, so their ends are sorted, and request `k` needs the token of request
/// `k - calls`, where `calls` is the size of the window. Cost: one step for each request and window.
pub fn run_ahead(
    buckets: &Buckets,
    spent: &QuotaUsage,
    pause: Option<Pause>,
    now: BootTime,
    ahead: Forecast,
    mut starts: impl FnMut(BootTime),
) -> BootTime {
    let from = pause.map_or(now, |pause| pause.until.max(now));
    let concurrency = ahead.concurrency.max(1) as usize;
    let mut ends: VecDeque<BootTime> = spent.ended.iter().copied().filter(|end| *end <= now).collect();
    let in_flight_end = now + ahead.latency;
    ends.extend(std::iter::repeat_n(in_flight_end, spent.in_flight as usize));
    // Requests that have ended don't limit the concurrency.
    let first_in_flight = ends.len() - spent.in_flight as usize;
    let mut last = if spent.in_flight > 0 { in_flight_end } else { from };
    let longest = buckets.buckets.iter().map(|bucket| bucket.window().calls as usize).max().unwrap_or(0);
    let mut dropped = 0;
    for _ in 0..ahead.calls {
        let mut start = from;
        for bucket in &buckets.buckets {
            if let Some(at) = ends.len().checked_sub(bucket.window().calls as usize) {
                start = start.max(ends[at] + bucket.hold());
            }
        }
        if let Some(at) = ends.len().checked_sub(concurrency).filter(|at| at + dropped >= first_in_flight) {
            start = start.max(ends[at]);
        }
        starts(start);
        last = start + ahead.latency;
        ends.push_back(last);
        if ends.len() > longest.max(concurrency) {
            ends.pop_front();
            dropped += 1;
        }
    }
    last
}
