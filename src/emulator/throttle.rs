//! The formats in which a 429 names its time: every one that a client must understand, by the list of the API's facts.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use super::answer::{Answer, error_body, html_page};
use crate::model::quota_spec::{Window, duration_text};

/// One form of a 429.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThrottleForm {
    /// The time in the message: `2026-11-24T10:00:37.123Z`.
    #[default]
    Time,
    /// With seven decimals.
    TimeLong,
    /// Without a zone, which means UTC.
    TimeNoZone,
    /// With a space for the `T`.
    TimeSpace,
    /// `try again in 37 seconds`.
    InSeconds,
    /// `try again in 00:00:37`.
    InClock,
    /// `Retry after 37 sec.`
    InSec,
    /// `maximum admitted 50 per 1m.`: a window and no time.
    Window,
    /// `{"statusCode":429,"message":"… Try again in 37 seconds."}`.
    Gateway,
    /// `Retry-After: 37`, and a body without a time.
    HeaderSeconds,
    /// `Retry-After: Tue, 24 Nov 2026 10:00:37 GMT`, and a body without a time.
    HeaderDate,
    /// The same in the form of RFC 850: `Tuesday, 24-Nov-26 10:00:37 GMT`.
    HeaderRfc850,
    /// The same in the form of C's `asctime`: `Tue Nov 24 10:00:37 2026`.
    HeaderAsctime,
    /// `x-ms-retry-after-ms: 36123`.
    HeaderMillis,
    /// `RateLimit-Reset: 37`.
    Reset,
    /// `X-RateLimit-Reset`, in seconds since 1970.
    ResetEpoch,
    /// A member of the body: `"retryAfter": 37`.
    Member,
    /// A message in `error.details`.
    Details,
    /// `Retry-After: 1`, and a later time in the message: the later one holds.
    Both,
    /// Plain text.
    Text,
    /// A page.
    Html,
    /// No body at all.
    Empty,
    /// A time that is past.
    Past,
    /// 0.4 s before the response's `Date`, as a server that rounds names it.
    JustPassed,
    /// A time three days ahead.
    Days,
}

const FORMS: [(ThrottleForm, &str); 25] = [
    (ThrottleForm::Time, "time"),
    (ThrottleForm::TimeLong, "time-long"),
    (ThrottleForm::TimeNoZone, "time-no-zone"),
    (ThrottleForm::TimeSpace, "time-space"),
    (ThrottleForm::InSeconds, "in-seconds"),
    (ThrottleForm::InClock, "in-clock"),
    (ThrottleForm::InSec, "in-sec"),
    (ThrottleForm::Window, "window"),
    (ThrottleForm::Gateway, "gateway"),
    (ThrottleForm::HeaderSeconds, "header-seconds"),
    (ThrottleForm::HeaderDate, "header-date"),
    (ThrottleForm::HeaderRfc850, "header-rfc850"),
    (ThrottleForm::HeaderAsctime, "header-asctime"),
    (ThrottleForm::HeaderMillis, "header-millis"),
    (ThrottleForm::Reset, "reset"),
    (ThrottleForm::ResetEpoch, "reset-epoch"),
    (ThrottleForm::Member, "member"),
    (ThrottleForm::Details, "details"),
    (ThrottleForm::Both, "both"),
    (ThrottleForm::Text, "text"),
    (ThrottleForm::Html, "html"),
    (ThrottleForm::Empty, "empty"),
    (ThrottleForm::Past, "past"),
    (ThrottleForm::JustPassed, "just-passed"),
    (ThrottleForm::Days, "days"),
];

impl ThrottleForm {
    /// All forms, as a test walks them.
    pub fn all() -> impl Iterator<Item = ThrottleForm> {
        FORMS.iter().map(|(form, _)| *form)
    }

    /// The response at `now` if requests may start again at `resume`, and the time that it names, if any. Times are
    /// rounded up to the precision of the format, so that a client that obeys is never early.
    pub(super) fn answer(
        self,
        now: Timestamp,
        resume: Timestamp,
        shortest: Window,
        tracking: &str,
    ) -> (Answer, Option<Timestamp>) {
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

        let exceeded = "You have sent too many requests in a given amount of time.";
        let message = |text: String| Answer::json(429, error_body("TooManyRequests", &text, tracking));
        let at = |time: String| message(format!("{exceeded} Please wait until {time} before you send new requests."));
        let plain = || message(format!("{exceeded} Please wait before you send new requests."));
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
                (Answer::json(429, serde_json::json!({"statusCode": 429, "message": again})), Some(in_seconds))
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
                let mut body = error_body("TooManyRequests", exceeded, tracking);
                body["error"]["retryAfter"] = serde_json::json!(i64::try_from(seconds).unwrap_or(0));
                (Answer::json(429, body), Some(in_seconds))
            }
            ThrottleForm::Details => {
                let mut body = error_body("TooManyRequests", exceeded, tracking);
                body["error"]["details"] = serde_json::json!([{"code": "Wait", "message": again}]);
                (Answer::json(429, body), Some(in_seconds))
            }
            ThrottleForm::Both => (at(format!("{resume:.3}")).with("retry-after", "1".to_owned()), Some(resume)),
            ThrottleForm::Text => (Answer::text(429, again), Some(in_seconds)),
            ThrottleForm::Html => (Answer::html(429, html_page("429 Too Many Requests", &again)), Some(in_seconds)),
            ThrottleForm::Empty => (Answer::text(429, String::new()), None),
        }
    }
}

fn ceil_to(nanos: i128, step: i128) -> i128 {
    nanos + (step - nanos.rem_euclid(step)) % step
}

fn rounded_up(time: Timestamp, nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(ceil_to(time.as_nanosecond(), nanos)).unwrap_or(time)
}

impl fmt::Display for ThrottleForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FORMS.iter().find(|(form, _)| form == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// A text that does not name a form of a 429.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a form of a 429: write {names}", names = form_names())]
pub struct UnknownThrottleForm(pub String);

fn form_names() -> String {
    FORMS.map(|(_, name)| name).join(", ")
}

impl FromStr for ThrottleForm {
    type Err = UnknownThrottleForm;
    fn from_str(text: &str) -> Result<ThrottleForm, UnknownThrottleForm> {
        let found = FORMS.iter().find(|(_, name)| *name == text);
        found.map(|(form, _)| *form).ok_or_else(|| UnknownThrottleForm(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(form: &str) -> (Answer, Option<Timestamp>) {
        let now = "2026-11-24T10:00:00Z".parse().expect("a time");
        let resume = "2026-11-24T10:00:36.1221Z".parse().expect("a time");
        let shortest = Window { calls: 50, length: Duration::from_mins(1) };
        form.parse::<ThrottleForm>().expect("a form").answer(now, resume, shortest, "trace")
    }

    /// What each form says, as the API's facts list them.
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
            let (answer, resume) = answer(form);
            assert_eq!(answer.status, 429, "{form}");
            assert!(answer.body.contains(text), "{form}: {}", answer.body);
            assert_eq!(resume, named.map(|time| time.parse().expect("a time")), "{form}");
        }
    }

    #[test]
    fn retry_after_holds_seconds_or_a_date() {
        let header = |form| answer(form).0.headers.into_iter().find(|(name, _)| *name == "retry-after");
        assert_eq!(header("header-seconds"), Some(("retry-after", "37".to_owned())));
        assert_eq!(header("header-date"), Some(("retry-after", "Tue, 24 Nov 2026 10:00:37 GMT".to_owned())));
        assert_eq!(header("both"), Some(("retry-after", "1".to_owned())));
        assert_eq!(header("time"), None);
        let other = |form| answer(form).0.headers.remove(0);
        assert_eq!(other("header-rfc850"), ("retry-after", "Tuesday, 24-Nov-26 10:00:37 GMT".to_owned()));
        assert_eq!(other("header-asctime"), ("retry-after", "Tue Nov 24 10:00:37 2026".to_owned()));
        assert_eq!(other("header-millis"), ("x-ms-retry-after-ms", "36123".to_owned()));
        assert_eq!(other("reset"), ("ratelimit-reset", "37".to_owned()));
        assert_eq!(other("reset-epoch").0, "x-ratelimit-reset");
    }

    #[test]
    fn throttle_form_names_round_trip() {
        for form in ThrottleForm::all() {
            assert_eq!(form.to_string().parse(), Ok(form));
        }
        assert!("Time".parse::<ThrottleForm>().is_err());
    }
}
