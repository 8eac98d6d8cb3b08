//! Answers that say when calls may begin again.

use std::time::Duration;

use bulk_triage::client::throttle::resume;
use bulk_triage::model::call::Resume;
use jiff::Timestamp;

use super::checked::CONTRACT;

/// No time is longer: what an answer asks beyond it is cut to it.
const LONGEST: Duration = Duration::from_hours(10 * 366 * 24);

/// A wait is never shorter than `Retry-After` says, nor than without the body; it is never nothing.
///
/// The data are the two headers, `Retry-After` and `Date`, each on a line, and the body.
pub fn throttling(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (retry_after, date, body) = (String::from_utf8_lossy(part()), String::from_utf8_lossy(part()), part());
    let now: Timestamp = "2026-11-24T10:00:00Z".parse().expect("a time");
    let headers: Vec<_> = [("retry-after", retry_after.as_ref()), ("date", date.as_ref())]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let wait = |resume: Option<Resume>| match resume? {
        Resume::After(wait) => Some(wait),
        Resume::At(time) => Duration::try_from(time.duration_since(now)).ok(),
        Resume::JustPassed => Some(Duration::from_secs(1)),
    };
    let names = &CONTRACT.api.error;
    let of_all = wait(resume(&headers, body, names, now));
    let of_headers = wait(resume(&headers, b"", names, now));
    // A time that has just passed gives way to any that is ahead.
    let has_just_passed = resume(&headers, b"", names, now) == Some(Resume::JustPassed);
    assert!(of_all >= of_headers || has_just_passed, "{of_all:?} is shorter than {of_headers:?}");
    assert!(of_all.is_none_or(|wait| !wait.is_zero()));

    let digits = retry_after.trim();
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(seconds) = digits.parse()
        && seconds > 0
    {
        assert!(of_all >= Some(Duration::from_secs(seconds).min(LONGEST)), "{of_all:?}");
    }
}
