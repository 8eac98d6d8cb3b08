//! The formats in which a 429 states its waiting time: all that a client must understand.

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

use super::response::{ApiResponse, Trace, html_page};
use crate::model::quota_spec::{Window, duration_text};

/// The format of a 429. The comments are the help of `--throttle-form`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ThrottleForm {
    /// Message with a time: 2026-11-24T10:00:37.123Z
    #[default]
    Time,
    /// The same with seven decimals
    TimeLong,
    /// The same without the Z, but still UTC
    TimeNoZone,
    /// The same with a space instead of the T
    TimeSpace,
    /// Message: Try again in 37 seconds.
    InSeconds,
    /// Message: Try again in 00:00:37.
    InClock,
    /// Message: Retry after 37 sec.
    InSec,
    /// Message: maximum admitted 50 per 1m; a window, but no time
    Window,
    /// Body of an API gateway, with a message like in-seconds
    Gateway,
    /// Header Retry-After: 37
    HeaderSeconds,
    /// Header Retry-After: Tue, 24 Nov 2026 10:00:37 GMT
    HeaderDate,
    /// Header Retry-After: Tuesday, 24-Nov-26 10:00:37 GMT
    HeaderRfc850,
    /// Header Retry-After: Tue Nov 24 10:00:37 2026
    HeaderAsctime,
    /// Header x-ms-retry-after-ms: 36123
    HeaderMillis,
    /// Header RateLimit-Reset: 37
    Reset,
    /// Header X-RateLimit-Reset, in seconds since 1970
    ResetEpoch,
    /// Member retryAfter in the body, in seconds
    Member,
    /// Message in error.details
    Details,
    /// Header Retry-After: 1; the message has a later time, which applies
    Both,
    /// Plain text instead of JSON
    Text,
    /// HTML page
    Html,
    /// No body and no header
    Empty,
    /// A time one hour ago
    Past,
    /// A time 0.4 s before the Date header, as if the server rounds
    JustPassed,
    /// A time three days ahead
    Days,
}

impl ThrottleForm {
    /// The names of all forms.
    pub(super) fn names() -> Vec<String> {
        let values = ThrottleForm::value_variants().iter().filter_map(ThrottleForm::to_possible_value);
        values.map(|value| value.get_name().to_owned()).collect()
    }

    /// The response at `now` if requests may start again at `resume`, and the time that it states, if any. Times are
    /// rounded up to the precision of the format, so that a client that obeys is never early.
    pub(super) fn response(
        self,
        now: Timestamp,
        resume: Timestamp,
        shortest: Window,
        trace: &Trace,
    ) -> (ApiResponse, Option<Timestamp>) {
        let resume = match self {
            ThrottleForm::Past => now - SignedDuration::from_hours(1),
            ThrottleForm::JustPassed => {
                Timestamp::from_second(now.as_second()).unwrap_or(now) - SignedDuration::from_millis(400)
            }
            ThrottleForm::Days => now + SignedDuration::from_hours(72),
            _ => rounded_up(resume, 1_000_000),
        };
        let seconds = ceil_to(resume.duration_since(now).as_nanos().max(0), 1_000_000_000) / 1_000_000_000;
        let on_the_second = rounded_up(resume, 1_000_000_000);
        let in_seconds = rounded_up(now + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0)), 1);
        let utc = |format: &str, time: Timestamp| time.strftime(format).to_string();

        let exceeded = trace.too_many();
        let message = |text: String| ApiResponse::json(429, trace.error_body("TooManyRequests", &text));
        let at = |time: String| message(format!("{exceeded} Please wait until {time} before you send new requests."));
        let plain = || match trace {
            Trace::Classic { .. } => message(format!("{exceeded} Please wait before you send new requests.")),
            Trace::Graph { .. } => message(exceeded.to_owned()),
        };
        let again = format!("Rate limit is exceeded. Try again in {seconds} seconds.");

        match self {
            ThrottleForm::Time | ThrottleForm::Past | ThrottleForm::JustPassed | ThrottleForm::Days => {
                (at(format!("{resume:.3}")), Some(resume))
            }
            ThrottleForm::TimeLong => (at(format!("{resume:.7}")), Some(resume)),
            ThrottleForm::TimeNoZone => (at(utc("%Y-%m-%dT%H:%M:%S%.3f", resume)), Some(resume)),
            ThrottleForm::TimeSpace => (at(utc("%Y-%m-%d %H:%M:%S%.3f", resume)), Some(resume)),
            ThrottleForm::InSeconds => {
                (message(format!("{exceeded} Try again in {seconds} seconds.")), Some(in_seconds))
            }
            ThrottleForm::InClock => {
                let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
                (message(format!("{exceeded} Try again in {clock}.")), Some(in_seconds))
            }
            ThrottleForm::InSec => (message(format!("{exceeded} Retry after {seconds} sec.")), Some(in_seconds)),
            ThrottleForm::Window => {
                let (calls, length) = (shortest.calls, duration_text(shortest.length));
                let text = format!("API calls quota exceeded! maximum admitted {calls} per {length}.");
                (message(text), Some(now + shortest.length))
            }
            ThrottleForm::Gateway => {
                (ApiResponse::json(429, serde_json::json!({"statusCode": 429, "message": again})), Some(in_seconds))
            }
            ThrottleForm::HeaderSeconds => (plain().with("retry-after", seconds.to_string()), Some(in_seconds)),
            ThrottleForm::HeaderDate => {
                (plain().with("retry-after", utc("%a, %d %b %Y %H:%M:%S GMT", on_the_second)), Some(on_the_second))
            }
            ThrottleForm::HeaderRfc850 => {
                (plain().with("retry-after", utc("%A, %d-%b-%y %H:%M:%S GMT", on_the_second)), Some(on_the_second))
            }
            ThrottleForm::HeaderAsctime => {
                (plain().with("retry-after", utc("%a %b %e %H:%M:%S %Y", on_the_second)), Some(on_the_second))
            }
            ThrottleForm::HeaderMillis => {
                let millis = ceil_to(resume.duration_since(now).as_nanos().max(0), 1_000_000) / 1_000_000;
                (plain().with("x-ms-retry-after-ms", millis.to_string()), Some(resume))
            }
            ThrottleForm::Reset => (plain().with("ratelimit-reset", seconds.to_string()), Some(in_seconds)),
            ThrottleForm::ResetEpoch => {
                (plain().with("x-ratelimit-reset", on_the_second.as_second().to_string()), Some(on_the_second))
            }
            ThrottleForm::Member => {
                let mut body = trace.error_body("TooManyRequests", exceeded);
                body["error"]["retryAfter"] = serde_json::json!(i64::try_from(seconds).unwrap_or(0));
                (ApiResponse::json(429, body), Some(in_seconds))
            }
            ThrottleForm::Details => {
                let mut body = trace.error_body("TooManyRequests", exceeded);
                body["error"]["details"] = serde_json::json!([{"code": "Wait", "message": again}]);
                (ApiResponse::json(429, body), Some(in_seconds))
            }
            ThrottleForm::Both => (at(format!("{resume:.3}")).with("retry-after", "1".to_owned()), Some(resume)),
            ThrottleForm::Text => (ApiResponse::text(429, again), Some(in_seconds)),
            ThrottleForm::Html => {
                (ApiResponse::html(429, html_page("429 Too Many Requests", &again)), Some(in_seconds))
            }
            ThrottleForm::Empty => (ApiResponse::text(429, String::new()), None),
        }
    }
}

fn ceil_to(nanos: i128, step: i128) -> i128 {
    nanos + (step - nanos.rem_euclid(step)) % step
}

fn rounded_up(time: Timestamp, nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(ceil_to(time.as_nanosecond(), nanos)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn response(form: &str) -> (ApiResponse, Option<Timestamp>) {
        let now = "2026-11-24T10:00:00Z".parse().expect("a time");
        let resume = "2026-11-24T10:00:36.1221Z".parse().expect("a time");
        let shortest = Window { calls: 50, length: Duration::from_mins(1) };
        let trace = Trace::Classic { tracking: "trace".to_owned() };
        ThrottleForm::from_str(form, false).expect("a form").response(now, resume, shortest, &trace)
    }

    #[test]
    fn every_throttle_form_states_the_time() {
        for (form, text, named) in [
            ("time", "2026-11-24T10:00:36.123Z", Some("2026-11-24T10:00:36.123Z")),
            ("time-long", "2026-11-24T10:00:36.1230000Z", Some("2026-11-24T10:00:36.123Z")),
            ("time-no-zone", "2026-11-24T10:00:36.123 before", Some("2026-11-24T10:00:36.123Z")),
            ("time-space", "2026-11-24 10:00:36.123", Some("2026-11-24T10:00:36.123Z")),
            ("in-seconds", "ry again in 37 seconds", Some("2026-11-24T10:00:37Z")),
            ("in-clock", "in 00:00:37", Some("2026-11-24T10:00:37Z")),
            ("in-sec", "Retry after 37 sec.", Some("2026-11-24T10:00:37Z")),
            ("window", "API calls quota exceeded! maximum admitted 50 per 1m.", Some("2026-11-24T10:01:00Z")),
            ("gateway", r#"{"statusCode":429,"message":"Rate"#, Some("2026-11-24T10:00:37Z")),
            ("header-seconds", r#""code":"TooManyRequests""#, Some("2026-11-24T10:00:37Z")),
            ("header-date", r#""target":"trace""#, Some("2026-11-24T10:00:37Z")),
            ("header-rfc850", "TooManyRequests", Some("2026-11-24T10:00:37Z")),
            ("header-asctime", "TooManyRequests", Some("2026-11-24T10:00:37Z")),
            ("header-millis", "TooManyRequests", Some("2026-11-24T10:00:36.123Z")),
            ("reset", "TooManyRequests", Some("2026-11-24T10:00:37Z")),
            ("reset-epoch", "TooManyRequests", Some("2026-11-24T10:00:37Z")),
            ("member", r#""retryAfter":37"#, Some("2026-11-24T10:00:37Z")),
            ("details", "Try again in 37 seconds", Some("2026-11-24T10:00:37Z")),
            ("both", "2026-11-24T10:00:36.123Z", Some("2026-11-24T10:00:36.123Z")),
            ("text", "Try again in 37 seconds", Some("2026-11-24T10:00:37Z")),
            ("html", "<p>Rate limit is exceeded. Try again in 37 seconds.</p>", Some("2026-11-24T10:00:37Z")),
            ("empty", "", None),
            ("just-passed", "2026-11-24T09:59:59.600Z", Some("2026-11-24T09:59:59.6Z")),
            ("past", "2026-11-24T09:00:00.000Z", Some("2026-11-24T09:00:00Z")),
            ("days", "2026-11-27T10:00:00.000Z", Some("2026-11-27T10:00:00Z")),
        ] {
            let (response, resume) = response(form);
            assert_eq!(response.status, 429, "{form}");
            assert!(response.body.contains(text), "{form}: {}", response.body);
            assert_eq!(resume, named.map(|time| time.parse().expect("a time")), "{form}");
        }
    }

    #[test]
    fn retry_after_holds_seconds_or_a_date() {
        let header = |form| response(form).0.headers.into_iter().find(|(name, _)| *name == "retry-after");
        assert_eq!(header("header-seconds"), Some(("retry-after", "37".to_owned())));
        assert_eq!(header("header-date"), Some(("retry-after", "Tue, 24 Nov 2026 10:00:37 GMT".to_owned())));
        assert_eq!(header("both"), Some(("retry-after", "1".to_owned())));
        assert_eq!(header("time"), None);
        let other = |form| response(form).0.headers.remove(0);
        assert_eq!(other("header-rfc850"), ("retry-after", "Tuesday, 24-Nov-26 10:00:37 GMT".to_owned()));
        assert_eq!(other("header-asctime"), ("retry-after", "Tue Nov 24 10:00:37 2026".to_owned()));
        assert_eq!(other("header-millis"), ("x-ms-retry-after-ms", "36123".to_owned()));
        assert_eq!(other("reset"), ("ratelimit-reset", "37".to_owned()));
        assert_eq!(other("reset-epoch").0, "x-ratelimit-reset");
    }

    #[test]
    fn throttle_form_names_round_trip() {
        let named = ThrottleForm::names().into_iter().map(|name| ThrottleForm::from_str(&name, false));
        assert!(named.eq(ThrottleForm::value_variants().iter().map(|form| Ok(*form))));
        assert!(ThrottleForm::from_str("Time", false).is_err());
    }
}
