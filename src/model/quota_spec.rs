//! Windows and quotas as they are written: `50/1m,1500/1h`, and durations as they are typed: `90s`.
//!
//! Promises: a parsed value is displayed in the same form, which parses to the same value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;

/// A limit: this many requests in any period of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// At least 1.
    pub calls: u32,
    /// At least 1 ms.
    pub length: Duration,
}

/// One or more windows, all in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quota(Vec<Window>);

impl Quota {
    /// A quota of these windows; `None` without any.
    #[must_use]
    pub fn new(windows: Vec<Window>) -> Option<Quota> {
        (!windows.is_empty()).then_some(Quota(windows))
    }

    /// The windows, in the order in which they were written.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.0
    }

    /// The length of the longest window: older requests don't count.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.0.iter().map(|window| window.length).max().unwrap_or_default()
    }

    /// The length of the shortest window.
    #[must_use]
    pub fn shortest(&self) -> Duration {
        self.0.iter().map(|window| window.length).min().unwrap_or_default()
    }

    /// Whether keeping `self` also keeps `other`: each window of `other` is implied by one of ours.
    ///
    /// A window of ours implies another when any period of the other's length, covered with periods of our length,
    /// holds no more requests than the other allows.
    #[must_use]
    pub fn is_within(&self, other: &Quota) -> bool {
        other.0.iter().all(|theirs| {
            self.0.iter().any(|ours| {
                let periods = theirs.length.as_nanos().div_ceil(ours.length.as_nanos().max(1));
                periods.saturating_mul(u128::from(ours.calls)) <= u128::from(theirs.calls)
            })
        })
    }
}

/// Why a quota or a duration can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct ParseWindowError {
    value: String,
    expected: &'static str,
}

const QUOTA_FORM: &str = "a quota: enter requests/period, separated by commas, such as `50/1m,1500/1h`";
const DURATION_FORM: &str = "a duration: enter whole numbers with `ms`, `s`, `m`, `h` or `d`, such as `90s`";

impl FromStr for Quota {
    type Err = ParseWindowError;

    fn from_str(text: &str) -> Result<Quota, ParseWindowError> {
        let wrong = || ParseWindowError { value: text.to_owned(), expected: QUOTA_FORM };
        let windows = text
            .split(',')
            .map(|part| {
                let (calls, length) = part.trim().split_once('/')?;
                let calls = whole_number(calls.trim())?.try_into().ok().filter(|calls| *calls > 0)?;
                let length = parse_duration(length.trim()).ok().filter(|length| !length.is_zero())?;
                Some(Window { calls, length })
            })
            .collect::<Option<Vec<_>>>();
        windows.and_then(Quota::new).ok_or_else(wrong)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, window) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}/{}", window.calls, duration_text(window.length))?;
        }
        Ok(())
    }
}

/// Parses a duration such as `500ms`, `90s`, `1h30m`, `12h`, `30d`, or `0`. A day has 24 hours.
///
/// # Errors
/// If the text is anything else, negative, fractional, or longer than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, ParseWindowError> {
    /// Far below an overflow of microseconds.
    const LONGEST: Duration = Duration::from_hours(876_600);
    let parse = || match text {
        "0" => Some(Duration::ZERO),
        // jiff also takes signs, fractions, spaces and `ago`.
        _ if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            let parse = |text| SpanParser::new().parse_unsigned_duration(text).ok();
            // jiff takes no days, because a calendar has longer ones.
            let days = text.split_once('d').and_then(|(days, rest)| Some((whole_number(days)?, rest)));
            let Some((days, rest)) = days else { return parse(text) };
            let days = Duration::from_hours(days.checked_mul(24).filter(|hours| *hours <= 876_600)?);
            if rest.is_empty() { Some(days) } else { parse(rest)?.checked_add(days) }
        }
        _ => None,
    };
    let duration = parse().filter(|duration| *duration <= LONGEST && duration.subsec_nanos() % 1_000_000 == 0);
    duration.ok_or_else(|| ParseWindowError { value: text.to_owned(), expected: DURATION_FORM })
}

/// The shortest exact form of a duration: `1m`, `90s`, `500ms`.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis > 0 && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    if millis == 0 { "0".to_owned() } else { format!("{millis}ms") }
}

fn whole_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quota_is_parsed_as_documented() {
        let quota: Quota = "50/1m,1500/1h".parse().expect("the design's own form");
        assert_eq!(quota.windows()[0], Window { calls: 50, length: Duration::from_mins(1) });
        assert_eq!(quota.windows()[1], Window { calls: 1500, length: Duration::from_hours(1) });
        assert_eq!(quota.to_string(), "50/1m,1500/1h");
    }

    #[test]
    fn invalid_quota_is_rejected() {
        for text in ["", "50", "0/1m", "50/0s", "50/1w", "-1/1m", "50/1m,", "1.5/1m", "50/1", "99999999999/1m"] {
            assert!(text.parse::<Quota>().is_err(), "{text}");
        }
    }

    #[test]
    fn tighter_quota_is_within_a_looser_one() {
        let contract: Quota = "50/1m,1500/1h".parse().expect("valid");
        for (text, within) in [
            ("50/1m,1500/1h", true),
            ("40/1m,1000/1h", true),
            ("10/1m", true),
            ("50/1m", false),
            ("1500/1h", false),
            ("50/30s,1500/1h", false),
            ("50/2m,1500/2h", true),
        ] {
            let quota: Quota = text.parse().expect("valid");
            assert_eq!(quota.is_within(&contract), within, "{text}");
        }
    }

    #[test]
    fn durations_are_whole_numbers_with_units() {
        let millis = |text: &str| parse_duration(text).ok().map(|duration| duration.as_millis());
        for (text, expected) in [
            ("0", 0),
            ("500ms", 500),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("1d12h", 129_600_000),
            ("876600h", 3_155_760_000_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "1",
            "00",
            "d",
            "1day",
            "d1h",
            "1h1d",
            "36526d",
            "99999999999999999999d",
            "1.5h",
            "-1s",
            "+1s",
            "1 s",
            "1us",
            "1s ago",
            "876601h",
            "99999999999999999999h",
            "PT1S",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn displayed_quota_parses_to_itself(windows in prop::collection::vec((1u32.., 1u64..10_000_000), 1..4)) {
            let windows = windows.into_iter()
                .map(|(calls, millis)| Window { calls, length: Duration::from_millis(millis) })
                .collect();
            let quota = Quota::new(windows).expect("not empty");
            prop_assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota));
        }

        #[test]
        fn any_text_is_a_quota_or_an_error(text in ".*") {
            let _ = text.parse::<Quota>();
            let _ = parse_duration(&text);
        }
    }
}
