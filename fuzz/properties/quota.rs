//! Quotas and durations as they are typed.

use std::time::Duration;

use bulk_triage::clock::BootTime;
use bulk_triage::model::permit::QuotaUsage;
use bulk_triage::model::quota_spec::{Quota, duration_text, parse_duration};
use bulk_triage::quota::{Buckets, Forecast, arrival};
use bulk_triage::text::printable;

use super::assert_safe_to_print;

/// A text is a quota, a duration or an error; what is parsed is displayed as what it is, and can be reckoned with.
pub fn quotas(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match parse_duration(&text) {
        Ok(duration) => assert_eq!(parse_duration(&duration_text(duration)), Ok(duration)),
        Err(error) => assert_safe_to_print(&printable(&error.to_string())),
    }
    let quota: Quota = match text.parse() {
        Ok(quota) => quota,
        Err(error) => return assert_safe_to_print(&printable(&error.to_string())),
    };
    assert!(quota.windows().iter().all(|window| window.calls > 0 && !window.length.is_zero()));
    assert_eq!(quota.to_string().parse(), Ok(quota.clone()));
    assert!(quota.is_within(&quota) && quota.shortest() <= quota.longest());

    // As many calls at once as the tightest window holds, then one more: it waits for that window.
    let buckets = Buckets::new(&quota);
    let (now, latency) = (BootTime(0), Duration::from_millis(400));
    let tightest = quota.windows().iter().map(|window| window.calls).min().unwrap_or_default();
    let calls = tightest.min(2_000);
    assert_eq!(buckets.grant(&QuotaUsage::default(), None, now, calls).permits, calls);
    let ahead = Forecast { calls: u64::from(calls), concurrency: calls, latency };
    let last = |calls: u64| arrival(&buckets, &QuotaUsage::default(), None, now, Forecast { calls, ..ahead });
    assert_eq!(last(u64::from(calls)), now + latency);
    if calls == tightest {
        assert!(last(u64::from(calls) + 1) >= now + latency + quota.shortest());
    }
}
