//! Throttling: when requests may start again after a response.
//!
//! Promises: of all times in the response, header or body, the latest counts, so no request is early. Any bytes are
//! accepted; what can't be parsed is ignored.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::body::{self, plain_text, text};
use super::date::{http_date, iso};
use super::retry_text::{TimeHint, parse_hints};
use crate::contract::ErrorMembers;
use crate::model::call::Resume;

/// Maximum trusted difference of the server's clock from ours; beyond it, its times are read by our clock.
const BELIEVABLE_SKEW: SignedDuration = SignedDuration::from_hours(24);
/// A time at most this long ago has just passed: the window is about to open, or opened in transit.
const JUST_PASSED: SignedDuration = SignedDuration::from_secs(2);
/// A reset above this is a time in seconds since 1970, and above the second one in milliseconds.
const EPOCH_SECONDS: u64 = 1_000_000_000;
const EPOCH_MILLIS: u64 = 100_000_000_000;

/// The headers that [`resume`] and [`retry`] read.
pub(super) const HEADERS: [&str; 8] = [
    "date",
    "retry-after",
    "retry-after-ms",
    "x-ms-retry-after-ms",
    "ratelimit-reset",
    "x-ratelimit-reset",
    "ratelimit-remaining",
    "x-ratelimit-remaining",
];

/// When requests may start again after a 429 that arrived at `now`: the latest time in a header, a member or a text of
/// the body; if none is ahead, the window in the text. `None` means: wait the shortest window.
///
/// If the response has a `Date`, times are measured from that, so that a wrong clock here doesn't matter.
#[must_use]
pub fn resume(headers: &[(String, String)], body: &[u8], names: &ErrorMembers, now: Timestamp) -> Option<Resume> {
    let body = Body::read(body, names);
    let in_text: Vec<TimeHint> = body.texts.iter().flat_map(|text| parse_hints(text)).collect();
    let window = || {
        let windows =
            in_text.iter().filter_map(|said| if let TimeHint::Window(window) = said { Some(*window) } else { None });
        windows.filter(|window| !window.is_zero()).max().map(Resume::After)
    };
    let said = in_headers(headers, now).into_iter().chain(in_resets(headers, now));
    latest(said.chain(body.in_members(now)).chain(in_text.iter().copied()), headers, now).or_else(window)
}

/// When requests may start again after any other response that is retried, if it names a time. A text counts only if it
/// mentions a retry: other errors contain times, too.
#[must_use]
pub fn retry(headers: &[(String, String)], body: &[u8], names: &ErrorMembers, now: Timestamp) -> Option<Resume> {
    let body = Body::read(body, names);
    let speaks_of_it = |text: &&String| {
        let text = text.to_lowercase();
        text.contains("retry") || text.contains("try again")
    };
    let in_text: Vec<TimeHint> = body.texts.iter().filter(speaks_of_it).flat_map(|text| parse_hints(text)).collect();
    // The reset of a quota that is not used up is no reason to wait.
    let remaining = named(headers, "ratelimit-remaining").chain(named(headers, "x-ratelimit-remaining"));
    let is_used_up = remaining.filter_map(|value| value.trim().parse::<u64>().ok()).all(|left| left == 0);
    let resets = if is_used_up { in_resets(headers, now) } else { Vec::new() };
    let said = in_headers(headers, now).into_iter().chain(resets).chain(body.in_members(now)).chain(in_text);
    latest(said, headers, now)
}

/// The latest of these times, measured from the response's `Date`.
fn latest(said: impl Iterator<Item = TimeHint>, headers: &[(String, String)], now: Timestamp) -> Option<Resume> {
    let server_time = named(headers, "date")
        .find_map(|date| http_date(date, now))
        .filter(|time| (*time - now).abs() <= BELIEVABLE_SKEW);
    let delay = |said: TimeHint| match said {
        TimeHint::After(delay) => SignedDuration::try_from(delay).ok().filter(SignedDuration::is_positive),
        TimeHint::At(time) => Some(time.duration_since(server_time.unwrap_or(now))),
        TimeHint::Window(_) => None,
    };
    let (delay, said) = said.filter_map(|said| Some((delay(said)?, said))).max_by_key(|(delay, _)| *delay)?;
    match said {
        _ if delay < -JUST_PASSED => None,
        _ if !delay.is_positive() => Some(Resume::JustPassed),
        TimeHint::At(time) if server_time.is_none() => Some(Resume::At(time)),
        _ => Duration::try_from(delay).ok().map(Resume::After),
    }
}

fn named<'a>(headers: &'a [(String, String)], wanted: &'static str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

/// `Retry-After` (RFC 9110, section 10.2.3), and two headers with milliseconds.
fn in_headers(headers: &[(String, String)], now: Timestamp) -> Vec<TimeHint> {
    let millis = named(headers, "retry-after-ms").chain(named(headers, "x-ms-retry-after-ms"));
    let millis = millis.filter_map(|value| number(value, "ms"));
    named(headers, "retry-after").filter_map(|value| retry_after(value, now)).chain(millis).collect()
}

/// When a quota is reset: a number of seconds from now, or a time.
fn in_resets(headers: &[(String, String)], now: Timestamp) -> Vec<TimeHint> {
    let reset = |value: &str| {
        let digits = value.trim().split(['.', ',', ';']).next().unwrap_or_default().trim();
        let at = match digits.parse::<u64>() {
            Ok(millis) if millis > EPOCH_MILLIS => Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok(),
            Ok(seconds) if seconds > EPOCH_SECONDS => Timestamp::from_second(i64::try_from(seconds).ok()?).ok(),
            _ => return retry_after(digits, now).or_else(|| retry_after(value, now)),
        };
        at.map(TimeHint::At)
    };
    named(headers, "ratelimit-reset").chain(named(headers, "x-ratelimit-reset")).filter_map(reset).collect()
}

/// Seconds, or a date; ISO 8601 is tolerated.
fn retry_after(value: &str, now: Timestamp) -> Option<TimeHint> {
    number(value, "s").or_else(|| http_date(value, now).or_else(|| iso(value)).map(TimeHint::At))
}

/// A number of this unit, if the text is nothing else.
fn number(value: &str, unit: &str) -> Option<TimeHint> {
    let value = value.trim();
    let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !whole.is_empty();
    is_number.then(|| parse_hints(&format!("{value} {unit}")).into_iter().next()).flatten()
}

/// The parts of a body that may contain a time.
struct Body {
    /// Values of members that name a time, with their unit.
    members: Vec<(String, &'static str)>,
    texts: Vec<String>,
}

/// Maximum depth: `error.innererror.details`.
const DEEPEST: u8 = 4;
/// The maximum number of parts of one error that are read.
const MOST_DETAILS: usize = 100;

impl Body {
    fn read(body: &[u8], names: &ErrorMembers) -> Body {
        let mut read = Body { members: Vec::new(), texts: Vec::new() };
        read.object(body, names, DEEPEST);
        if read.texts.is_empty() {
            read.texts.push(plain_text(body));
        }
        read
    }

    fn object(&mut self, json: &[u8], names: &ErrorMembers, depth: u8) {
        let times = [(&names.seconds, "s"), (&names.milliseconds, "ms")];
        let times = times.into_iter().flat_map(|(names, unit)| names.iter().map(move |name| (name.as_str(), unit)));
        let texts = names.texts.iter();
        let wanted: Vec<&str> =
            texts.clone().chain(&names.nested).map(String::as_str).chain(times.clone().map(|(name, _)| name)).collect();
        let Ok(members) = body::members(json, &wanted) else { return };
        self.texts.extend(texts.filter_map(|name| text(&members, name)));
        for (name, unit) in times {
            let value = members.get(name).map(|value| text(&members, name).unwrap_or_else(|| value.get().to_owned()));
            self.members.extend(value.map(|value| (value, unit)));
        }
        if depth == 0 {
            return;
        }
        for nested in names.nested.iter().filter_map(|name| members.get(name)) {
            match serde_json::from_str::<Vec<&serde_json::value::RawValue>>(nested.get()) {
                Ok(list) => {
                    list.iter().take(MOST_DETAILS).for_each(|one| self.object(one.get().as_bytes(), names, depth - 1));
                }
                Err(_) => self.object(nested.get().as_bytes(), names, depth - 1),
            }
        }
    }

    fn in_members(&self, now: Timestamp) -> Vec<TimeHint> {
        let said = |(value, unit): &(String, &'static str)| match number(value, unit) {
            Some(said) => vec![said],
            None => retry_after(value, now).map_or_else(|| parse_hints(value), |said| vec![said]),
        };
        self.members.iter().flat_map(said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::classify::tests::contract;
    use super::*;
    use proptest::prelude::*;

    fn names() -> ErrorMembers {
        contract().api.error
    }

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a plain time")
    }

    fn after(seconds: u64) -> Resume {
        Resume::After(Duration::from_secs(seconds))
    }

    fn named(headers: &[(&str, &str)], body: &str) -> Option<Resume> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        resume(&headers, body.as_bytes(), &names(), at(NOW))
    }

    #[test]
    fn every_header_form_is_parsed() {
        let then = Some(Resume::At(at("2026-11-24T10:00:37Z")));
        for (value, expected) in [
            ("37", Some(after(37))),
            (" 37 ", Some(after(37))),
            ("36.5", Some(Resume::After(Duration::from_millis(36_500)))),
            ("Tue, 24 Nov 2026 10:00:37 GMT", then),
            ("2026-11-24T10:00:37Z", then),
            ("0", None),
            ("-5", None),
            ("soon", None),
            ("", None),
            (".", None),
            ("Tue, 24 Nov 2026 09:00:37 GMT", None),
        ] {
            assert_eq!(named(&[("retry-after", value)], ""), expected, "{value:?}");
        }
        assert!(matches!(
            named(&[("retry-after", "99999999999999999999999")], ""),
            Some(Resume::After(long)) if long > Duration::from_hours(10_000)
        ));
    }

    #[test]
    fn every_body_form_is_parsed() {
        let then = Some(Resume::At(at("2026-11-24T10:00:37Z")));
        let error = |message: &str| {
            format!(r#"{{"error":{{"code":"TooManyRequests","message":"{message}","target":"0f8fad5b-5m-37s"}}}}"#)
        };
        for (body, expected) in [
            (error("wait until 2026-11-24T10:00:37Z please"), then),
            (error("wait until 2026-11-24T10:00:37"), then),
            (error("wait until 2026-11-24 10:00:37."), then),
            (error("ab 2026-11-24T10:00:37.0000000 wieder"), then),
            (error("Too many requests, try again in 37 seconds"), Some(after(37))),
            (error("Too many requests, try again in 00:00:37"), Some(after(37))),
            (error("Too many requests. Retry after 37 sec."), Some(after(37))),
            (error("API calls quota exceeded! maximum admitted 50 per 1m."), Some(after(60))),
            (error("API calls quota exceeded! maximum admitted 1500 per 1h."), Some(after(3_600))),
            (error("maximum admitted 50 per 1m. Try again in 37 seconds."), Some(after(37))),
            (error("maximum admitted 50 per 0m."), None),
            (
                r#"{"statusCode":429,"message":"Rate limit is exceeded. Try again in 37 seconds."}"#.to_owned(),
                Some(after(37)),
            ),
            (
                "<html><style>a{b:99s}</style><body><h1>429</h1>Retry in 37 seconds</body></html>".to_owned(),
                Some(after(37)),
            ),
            (r#"{"retry":"in 37 seconds"}"#.to_owned(), Some(after(37))),
            (String::new(), None),
            (error("busy"), None),
            (error("since 2026-11-24T09:00:00Z"), None),
            (error("sent twice"), None),
            (error("in 2 days, 2026-11-26T10:00:00Z"), Some(Resume::At(at("2026-11-26T10:00:00Z")))),
        ] {
            assert_eq!(named(&[], &body), expected, "{body}");
        }
    }

    #[test]
    fn other_throttling_headers_are_parsed() {
        let millis = |millis| Some(Resume::After(Duration::from_millis(millis)));
        let then = Some(Resume::At(at("2026-11-24T10:00:37Z")));
        let epoch = at("2026-11-24T10:00:37Z").as_second();
        let (seconds, thousandths) = (epoch.to_string(), format!("{epoch}000"));
        for (name, value, expected) in [
            ("retry-after", "Tuesday, 24-Nov-26 10:00:37 GMT", then),
            ("retry-after", "Tue Nov 24 10:00:37 2026", then),
            ("x-ms-retry-after-ms", "90000", millis(90_000)),
            ("x-ms-retry-after-ms", "0.5", millis(1)),
            ("retry-after-ms", "1500", millis(1_500)),
            ("ratelimit-reset", "37", Some(after(37))),
            ("ratelimit-reset", "37;w=60", Some(after(37))),
            ("x-ratelimit-reset", "37", Some(after(37))),
            ("x-ratelimit-reset", seconds.as_str(), then),
            ("ratelimit-reset", seconds.as_str(), then),
            ("x-ratelimit-reset", thousandths.as_str(), then),
            ("x-ratelimit-reset", "Tue, 24 Nov 2026 10:00:37 GMT", then),
            ("x-ratelimit-reset", "soon", None),
            ("x-ms-retry-after-ms", "-1", None),
        ] {
            assert_eq!(named(&[(name, value)], ""), expected, "{name}: {value}");
        }
        let both = [("retry-after", "10"), ("x-ms-retry-after-ms", "90000"), ("ratelimit-reset", "20")];
        assert_eq!(named(&both, "in 37 seconds"), Some(after(90)), "the latest wins");
    }

    #[test]
    fn error_members_and_details_are_parsed() {
        let then = Some(Resume::At(at("2026-11-24T10:00:37Z")));
        for (body, expected) in [
            (r#"{"retryAfter":37}"#, Some(after(37))),
            (r#"{"retryAfter":"37"}"#, Some(after(37))),
            (r#"{"retryAfter":"37s"}"#, Some(after(37))),
            (r#"{"retryAfter":"2026-11-24T10:00:37Z"}"#, then),
            (r#"{"retry_after_ms":37000}"#, Some(after(37))),
            (r#"{"error":{"code":"x","message":"busy","retryAfter":37}}"#, Some(after(37))),
            (r#"{"error":{"code":"x","retry_after_ms":"37000"}}"#, Some(after(37))),
            (r#"{"error":{"message":"busy","details":[{"message":"Try again in 37 seconds."}]}}"#, Some(after(37))),
            (r#"{"details":[{"message":"a"},{"message":"until 2026-11-24T10:00:37Z"}]}"#, then),
            (r#"{"error":{"details":[{"retryAfter":37}]}}"#, Some(after(37))),
            (r#"{"error":{"innererror":{"message":"Try again in 37 seconds."}}}"#, Some(after(37))),
            (
                r#"{"error":{"message":"in 5 seconds","details":[{"message":"in 37 seconds"}]},"retryAfter":9}"#,
                Some(after(37)),
            ),
            (r#"{"retryAfter":null,"retry_after_ms":[],"details":7}"#, None),
        ] {
            assert_eq!(named(&[], body), expected, "{body}");
        }
    }

    #[test]
    fn retried_errors_name_times_too() {
        let retry = |headers: &[(&str, &str)], body: &str| {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            retry(&headers, body.as_bytes(), &names(), at(NOW))
        };
        for (headers, body, expected) in [
            (&[("retry-after", "8")][..], "", Some(after(8))),
            (&[("x-ms-retry-after-ms", "8000")], "", Some(after(8))),
            (&[("ratelimit-reset", "8")], "", Some(after(8))),
            (&[("ratelimit-reset", "8"), ("ratelimit-remaining", "3")], "", None),
            (&[("ratelimit-reset", "8"), ("ratelimit-remaining", "0")], "", Some(after(8))),
            (&[], r#"{"error":{"retryAfter":8}}"#, Some(after(8))),
            (&[], r#"{"error":{"message":"Please retry after 8 seconds."}}"#, Some(after(8))),
            (&[], "<h1>503</h1>Try again in 8 seconds", Some(after(8))),
            (&[], "no response from the backend within 60 seconds", None),
            (&[], "retry; 50 per 1m", None),
            (&[], "", None),
        ] {
            assert_eq!(retry(headers, body), expected, "{headers:?} {body}");
        }
    }

    /// The named time from 3 s before to 1 s after the response's `Date`.
    #[test]
    fn just_passed_and_past_times_are_distinguished() {
        for (time, expected) in [
            ("09:59:57", None),
            ("09:59:57.999", None),
            ("09:59:58", Some(Resume::JustPassed)),
            ("09:59:59", Some(Resume::JustPassed)),
            ("09:59:59.586", Some(Resume::JustPassed)),
            ("10:00:00", Some(Resume::JustPassed)),
            ("10:00:00.5", Some(Resume::After(Duration::from_millis(500)))),
            ("10:00:01", Some(after(1))),
        ] {
            let body = format!("until 2026-11-24T{time}Z");
            assert_eq!(named(&[("date", "Tue, 24 Nov 2026 10:00:00 GMT")], &body), expected, "{time}");
            // A wrong clock here doesn't matter.
            let headers = [("date".to_owned(), "Tue, 24 Nov 2026 10:00:00 GMT".to_owned())];
            assert_eq!(resume(&headers, body.as_bytes(), &names(), at("2026-11-24T13:07:00Z")), expected, "{time}");
        }
        assert_eq!(named(&[], "until 2026-11-24T09:59:59Z"), Some(Resume::JustPassed), "by our clock without a `Date`");
        assert_eq!(named(&[("retry-after", "0")], ""), None, "a duration has not passed");
        let with_window = named(&[], "50 per 1m, until 2026-11-24T09:59:59Z");
        assert_eq!(with_window, Some(Resume::JustPassed));
    }

    #[test]
    fn later_time_of_header_and_body_wins() {
        assert_eq!(named(&[("retry-after", "10")], "in 37 seconds"), Some(after(37)));
        assert_eq!(named(&[("retry-after", "50")], "in 37 seconds"), Some(after(50)));
        assert_eq!(named(&[("retry-after", "10")], "50 per 1m"), Some(after(10)), "a window is no time");
        let then = Some(Resume::At(at("2026-11-24T10:00:37Z")));
        assert_eq!(named(&[("retry-after", "30")], "at 2026-11-24T10:00:37Z"), then);
        assert_eq!(named(&[("retry-after", "10"), ("retry-after", "20")], ""), Some(after(20)));
    }

    #[test]
    fn wrong_local_clock_changes_nothing() {
        let body = "at 2026-11-24T09:00:37Z";
        assert_eq!(named(&[("date", "Tue, 24 Nov 2026 09:00:00 GMT")], body), Some(after(37)));
        assert_eq!(named(&[("date", "Tue, 24 Nov 2026 11:00:00 GMT")], "at 2026-11-24T10:59:00Z"), None);
        let nonsense = named(&[("date", "Thu, 01 Jan 1970 00:00:00 GMT")], "at 2026-11-24T10:00:37Z");
        assert_eq!(nonsense, Some(Resume::At(at("2026-11-24T10:00:37Z"))), "too far off to be believed");
    }

    proptest! {
        #[test]
        fn any_response_gives_a_time_or_none(header in "(?s).*|[0-9.]{0,30}", date in ".*", body: Vec<u8>) {
            let headers = [("retry-after".to_owned(), header), ("date".to_owned(), date)];
            let _ = resume(&headers, &body, &names(), at(NOW));
            let _ = resume(&[], &body, &names(), Timestamp::MAX);
            let _ = resume(&headers, &body, &names(), Timestamp::MIN);
            let _ = retry(&headers, &body, &names(), at(NOW));
        }
    }
}
