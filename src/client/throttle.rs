//! Throttling: when a 429 lets calls through again.
//!
//! Promises: of all that the answer names, header or body, the latest counts, so nobody comes back early. Any bytes are
//! an answer; what can't be understood is no time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::body::{ErrorBody, plain_text};
use super::date::{http_date, iso};
use super::prose::{Said, times};
use crate::attempt::Resume;

/// The server's clock is believed this far from ours; past that, a time it names is read by our clock.
const BELIEVABLE_SKEW: SignedDuration = SignedDuration::from_hours(24);

/// When calls may begin again, by an answer that came at `now`: `Retry-After` (RFC 9110, section 10.2.3) or the body's
/// text, the later of the two; where neither names a time, the window that the text names. A time that has passed is
/// none. `None` means: wait the shortest window.
///
/// Where the answer has a `Date`, times are measured from that, so that a clock that is wrong here changes nothing.
#[must_use]
pub fn resume(headers: &[(String, String)], body: &[u8], now: Timestamp) -> Option<Resume> {
    let named =
        |wanted: &'static str| headers.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let server_time = named("date").find_map(http_date).filter(|time| (*time - now).abs() <= BELIEVABLE_SKEW);
    let message = ErrorBody::read(body).and_then(|error| error.message).unwrap_or_else(|| plain_text(body));
    let in_text = times(&message);

    let delay = |said: Said| match said {
        Said::After(delay) => Some(delay),
        Said::At(time) => Duration::try_from(time.duration_since(server_time.unwrap_or(now))).ok(),
        Said::Window(_) => None,
    };
    let latest = named("retry-after")
        .filter_map(retry_after)
        .chain(in_text.iter().copied())
        .filter_map(|said| delay(said).filter(|delay| !delay.is_zero()).map(|delay| (delay, said)))
        .max_by_key(|(delay, _)| *delay);
    match latest {
        Some((_, Said::At(time))) if server_time.is_none() => Some(Resume::At(time)),
        Some((delay, _)) => Some(Resume::After(delay)),
        None => in_text
            .iter()
            .filter_map(|said| if let Said::Window(window) = said { Some(*window) } else { None })
            .filter(|window| !window.is_zero())
            .max()
            .map(Resume::After),
    }
}

/// The header's value: seconds, or a date; ISO 8601 is tolerated.
fn retry_after(value: &str) -> Option<Said> {
    let value = value.trim();
    let seconds = || {
        let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !whole.is_empty();
        is_number.then(|| times(&format!("{value} s")).into_iter().next()).flatten()
    };
    seconds().or_else(|| http_date(value).or_else(|| iso(value)).map(Said::At))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a plain time")
    }

    fn after(seconds: u64) -> Resume {
        Resume::After(Duration::from_secs(seconds))
    }

    fn named(headers: &[(&str, &str)], body: &str) -> Option<Resume> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        resume(&headers, body.as_bytes(), at(NOW))
    }

    #[test]
    fn the_header_is_read_in_every_form() {
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
    fn the_body_is_read_in_every_form() {
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
            (error(r"37 \u79d2\u5f8c"), Some(after(37))),
            (
                r#"{"statusCode":429,"message":"Rate limit is exceeded. Try again in 37 seconds."}"#.to_owned(),
                Some(after(37)),
            ),
            ("Versuchen Sie es in 37 Sekunden erneut.".to_owned(), Some(after(37))),
            (
                "<html><style>a{b:99s}</style><body><h1>429</h1>Retry in 37 seconds</body></html>".to_owned(),
                Some(after(37)),
            ),
            (r#"{"retry":"in 37 seconds"}"#.to_owned(), Some(after(37))),
            (String::new(), None),
            (error("busy"), None),
            (error("since 2026-11-24T09:00:00Z"), None),
            (error("in 2 days, 2026-11-26T10:00:00Z"), Some(Resume::At(at("2026-11-26T10:00:00Z")))),
        ] {
            assert_eq!(named(&[], &body), expected, "{body}");
        }
    }

    #[test]
    fn of_header_and_body_the_later_counts() {
        assert_eq!(named(&[("retry-after", "10")], "in 37 seconds"), Some(after(37)));
        assert_eq!(named(&[("retry-after", "50")], "in 37 seconds"), Some(after(50)));
        assert_eq!(named(&[("retry-after", "10")], "50 per 1m"), Some(after(10)), "a window is no time");
        let then = Some(Resume::At(at("2026-11-24T10:00:37Z")));
        assert_eq!(named(&[("retry-after", "30")], "at 2026-11-24T10:00:37Z"), then);
        assert_eq!(named(&[("retry-after", "10"), ("retry-after", "20")], ""), Some(after(20)));
    }

    #[test]
    fn a_clock_that_is_wrong_here_changes_nothing() {
        let body = "at 2026-11-24T09:00:37Z";
        assert_eq!(named(&[("date", "Tue, 24 Nov 2026 09:00:00 GMT")], body), Some(after(37)));
        assert_eq!(named(&[("date", "Tue, 24 Nov 2026 11:00:00 GMT")], "at 2026-11-24T10:59:00Z"), None);
        let nonsense = named(&[("date", "Thu, 01 Jan 1970 00:00:00 GMT")], "at 2026-11-24T10:00:37Z");
        assert_eq!(nonsense, Some(Resume::At(at("2026-11-24T10:00:37Z"))), "too far off to be believed");
    }

    proptest! {
        #[test]
        fn any_answer_names_a_time_or_none(header in "(?s).*|[0-9.]{0,30}", date in ".*", body: Vec<u8>) {
            let headers = [("retry-after".to_owned(), header), ("date".to_owned(), date)];
            let _ = resume(&headers, &body, at(NOW));
            let _ = resume(&[], &body, Timestamp::MAX);
            let _ = resume(&headers, &body, Timestamp::MIN);
        }
    }
}
