//! The buckets against an independent count of sliding windows, and against the optimum of any client.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::BootTime;
use crate::model::permit::{NextPermit, Pause, QuotaUsage};
use crate::model::quota_spec::{Quota, Window};

const MS: i64 = 1_000;

fn quota(text: &str) -> Quota {
    text.parse().expect("a valid quota")
}

fn spent(in_flight: u32, ended_ms: &[i64]) -> QuotaUsage {
    QuotaUsage { in_flight, ended: ended_ms.iter().map(|ms| BootTime(ms * MS)).collect() }
}

#[test]
fn token_returns_one_window_after_request_end() {
    let buckets = Buckets::new(&quota("2/10s"));
    let spent = spent(0, &[1_000, 3_000]);
    let just_before = BootTime(11_000 * MS);
    assert_eq!(buckets.grant(&spent, None, just_before, 5).permits, 0);
    let back = BootTime(11_001 * MS + 1);
    let grant = buckets.grant(&spent, None, back, 5);
    assert_eq!(grant.permits, 1);
    assert_eq!(grant.next, NextPermit::At(BootTime(13_001 * MS + 1)));
}

#[test]
fn requests_in_flight_hold_their_tokens() {
    let buckets = Buckets::new(&quota("2/10s"));
    let grant = buckets.grant(&spent(1, &[]), None, BootTime(0), 5);
    assert_eq!((grant.permits, grant.next), (1, NextPermit::AfterACallInFlight));
}

#[test]
fn pause_blocks_all_then_admits_one_request() {
    let buckets = Buckets::new(&quota("50/1m"));
    let until = BootTime(5_000 * MS);
    let pause = Some(Pause { until, probing: false });
    let before = buckets.grant(&spent(0, &[]), pause, BootTime(4_999 * MS), 8);
    assert_eq!((before.permits, before.next), (0, NextPermit::At(until)));
    let first = buckets.grant(&spent(0, &[]), pause, until, 8);
    assert_eq!((first.permits, first.next), (1, NextPermit::AfterACallInFlight));
    let others = buckets.grant(&spent(1, &[]), Some(Pause { until, probing: true }), until, 8);
    assert_eq!(others.permits, 0);
}

#[test]
fn requests_need_tokens_after_a_pause_too() {
    let buckets = Buckets::new(&quota("2/1s"));
    let pause = Some(Pause { until: BootTime(0), probing: false });
    let full = buckets.grant(&spent(0, &[0, 100]), pause, BootTime(200 * MS), 8);
    assert_eq!(full.permits, 0);
    assert!(matches!(full.next, NextPermit::At(at) if at >= BootTime(1_000 * MS)), "{:?}", full.next);
    assert_eq!(buckets.grant(&spent(0, &[]), pause, BootTime(200 * MS), 0).permits, 0);
}

#[test]
fn each_window_reports_its_usage() {
    let buckets = Buckets::new(&quota("2/1s,10/1m"));
    let in_use = buckets.in_use(&spent(1, &[0, 5_000]), BootTime(5_500 * MS));
    let in_use: Vec<(u32, u32)> = in_use.iter().map(|(window, calls)| (window.calls, *calls)).collect();
    assert_eq!(in_use, [(2, 2), (10, 3)]);
}

/// Simulates a client with these latencies. Returns start and end of each request, in microseconds.
fn client(quota: &Quota, concurrency: usize, latencies: &[i64]) -> Vec<(i64, i64)> {
    let buckets = Buckets::new(quota);
    let mut calls: Vec<(i64, i64)> = Vec::new();
    let mut now = 0;
    let mut waiting = latencies.iter();
    let mut left = latencies.len();
    while left > 0 {
        let under_way = calls.iter().filter(|(_, end)| *end > now).count();
        let mut ended: Vec<i64> = calls.iter().map(|(_, end)| *end).filter(|end| *end <= now).collect();
        ended.sort_unstable();
        let spent = QuotaUsage {
            in_flight: u32::try_from(under_way).expect("few"),
            ended: ended.into_iter().map(BootTime).collect::<VecDeque<_>>(),
        };
        let wanted = (concurrency - under_way).min(left);
        let grant = buckets.grant(&spent, None, BootTime(now), u32::try_from(wanted).expect("few"));
        for _ in 0..grant.permits {
            let latency = waiting.next().expect("one for each call");
            calls.push((now, now + latency));
            left -= 1;
        }
        let next_end = calls.iter().map(|(_, end)| *end).filter(|end| *end > now).min();
        let next_token = match grant.next {
            NextPermit::At(time) if time.0 > now => Some(time.0),
            _ => None,
        };
        match next_end.into_iter().chain(next_token).min() {
            Some(next) => now = next,
            None => break,
        }
    }
    calls
}

proptest! {
    /// The server counts each request at any time between its start and its end, in sliding windows of its own.
    #[test]
    fn no_window_is_exceeded_whenever_the_server_counts(
        latencies in prop::collection::vec((1i64..3_000, 0.0f64..=1.0), 1..150),
        concurrency in 1usize..12,
        calls in 1u32..12,
        window_ms in 20u64..3_000,
    ) {
        let long = Window { calls: calls * 3, length: Duration::from_millis(window_ms * 5) };
        let short = Window { calls, length: Duration::from_millis(window_ms) };
        let quota = Quota::new(vec![short, long]).expect("two");
        let times: Vec<i64> = latencies.iter().map(|(ms, _)| ms * MS).collect();
        let sent = client(&quota, concurrency, &times);
        prop_assert_eq!(sent.len(), latencies.len(), "every request is sent");
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small numbers of a test")]
        let mut counted: Vec<i64> = sent.iter().zip(&latencies)
            .map(|((start, end), (_, when))| start + ((end - start) as f64 * when) as i64)
            .collect();
        counted.sort_unstable();
        for window in quota.windows() {
            let length = crate::clock::micros(window.length);
            for (at, time) in counted.iter().enumerate() {
                let inside = counted[..=at].iter().filter(|earlier| **earlier >= time - length).count();
                prop_assert!(inside <= window.calls as usize, "{} calls in {:?}", inside, window);
            }
        }
    }

    /// If requests take no time, each window is full.
    #[test]
    fn optimal_makespan_is_reached(rows in 1usize..200, calls in 1u32..20, window_ms in 10u64..1_000) {
        let quota = Quota::new(vec![Window { calls, length: Duration::from_millis(window_ms) }]).expect("one");
        let sent = client(&quota, 1_000, &vec![1; rows]);
        let last = sent.iter().map(|(start, _)| *start).max().unwrap_or(0);
        let full_windows = i64::try_from((rows - 1) / calls as usize).expect("few");
        let hold = crate::clock::micros(TokenBucket::new(quota.windows()[0]).hold());
        prop_assert_eq!(last, full_windows * (hold + 1));
    }

    #[test]
    fn forecast_is_exact(
        rows in 1usize..200,
        latency in 1i64..500,
        calls in 1u32..20,
        window_ms in 10u64..1_000,
        concurrency in 1usize..12,
    ) {
        let quota = Quota::new(vec![
            Window { calls, length: Duration::from_millis(window_ms) },
            Window { calls: calls * 4, length: Duration::from_millis(window_ms * 10) },
        ]).expect("two");
        let sent = client(&quota, concurrency, &vec![latency * MS; rows]);
        let over = sent.iter().map(|(_, end)| *end).max().unwrap_or(0);
        let ahead = Forecast {
            calls: rows as u64,
            concurrency: u32::try_from(concurrency).expect("few"),
            latency: Duration::from_millis(latency.unsigned_abs()),
        };
        let buckets = Buckets::new(&quota);
        let told = |spent: QuotaUsage, calls: usize, now| {
            arrival(&buckets, &spent, None, BootTime(now), Forecast { calls: calls as u64, ..ahead })
        };
        prop_assert_eq!(told(QuotaUsage::default(), rows, 0), BootTime(over));
        // Also midway: after the first requests have started and, if they are sequential, after half have ended.
        let begun = sent.iter().filter(|(start, _)| *start == 0).count();
        let under_way = QuotaUsage { in_flight: u32::try_from(begun).expect("few"), ..QuotaUsage::default() };
        prop_assert_eq!(told(under_way, rows - begun, 0), BootTime(over));
        if concurrency == 1 {
            let ended = sent.iter().take(rows / 2).map(|(_, end)| BootTime(*end)).collect::<VecDeque<_>>();
            let now = ended.back().map_or(0, |end| end.0);
            prop_assert_eq!(told(QuotaUsage { in_flight: 0, ended }, rows - rows / 2, now), BootTime(over));
        }
    }
}

#[test]
fn three_thousand_rows_take_the_minimum_time() {
    let ahead = Forecast { calls: 3_000, concurrency: 8, latency: Duration::from_millis(400) };
    let told = arrival(&Buckets::new(&quota("50/1m,1500/1h")), &QuotaUsage::default(), None, BootTime(0), ahead);
    // An independent simulation of the policy takes 5,356 s; the allowance for clock drift adds 0.4 s.
    let seconds = told.0 / 1_000_000;
    assert!((5_355..=5_358).contains(&seconds), "{seconds} s");
}
