//! Times in a message: `Try again in 37 seconds.`, `… in 00:00:37`, `… at 2026-11-24T10:00:37Z`.
//!
//! Units are English. Clock-like durations and dates are found in any language, as the words around a time don't
//! matter. So a limit in the same text ("1500 calls in 1 hour") can pass for a wait; `throttle` takes the longest, and
//! waiting too long is safe.

use std::time::Duration;

use jiff::Timestamp;

use super::date::{fits, fixed_date, iso_prefix};

/// A time in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeHint {
    /// A point in time.
    At(Timestamp),
    /// A length of time.
    After(Duration),
    /// The window of a quota: `50 per 1m`.
    Window(Duration),
}

/// Units: their length in milliseconds, and the words for them.
const UNITS: [(u64, &[&str]); 5] = [
    (1, &["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"]),
    (1_000, &["s", "sec", "secs", "second", "seconds"]),
    (60_000, &["m", "min", "mins", "minute", "minutes"]),
    (3_600_000, &["h", "hr", "hrs", "hour", "hours"]),
    (86_400_000, &["d", "day", "days"]),
];

/// The longest time: far from any overflow, far beyond any patience.
const LONGEST: u64 = 10 * 366 * 86_400_000;

/// All times in `text`, in their order.
pub(super) fn parse_hints(text: &str) -> Vec<TimeHint> {
    let mut said = Vec::new();
    let mut at = 0;
    while let Some(digit) = text[at..].find(|c: char| c.is_ascii_digit()) {
        at += digit;
        // `429` of `x429`, `37` of `12:37`, the groups of a tracking ID: not the start of a number.
        let is_start = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "-_.:#".contains(c));
        let found = if is_start { time_at(text, at) } else { None };
        let length = found.map_or_else(
            || digits(&text[at..]),
            |(time, length)| {
                said.push(time);
                length
            },
        );
        at += length;
    }
    let unnumbered = text.match_indices("per ").filter_map(|(at, per)| unit(&text[at + per.len()..]));
    said.extend(unnumbered.map(|(millis, _)| TimeHint::Window(Duration::from_millis(millis))));
    said
}

/// The time that starts with the digit at `at`, and its length in bytes.
fn time_at(text: &str, at: usize) -> Option<(TimeHint, usize)> {
    /// `24 Nov 2026 10:00:37 GMT`
    const HTTP_DATE: usize = 24;
    let rest = &text[at..];
    if let Some((time, length)) = iso_prefix(rest) {
        return Some((TimeHint::At(time), length));
    }
    if let Some(time) = rest.get(..HTTP_DATE).filter(|date| date.ends_with("GMT")).and_then(fixed_date) {
        return Some((TimeHint::At(time), HTTP_DATE));
    }
    let (millis, length) = clock(rest).or_else(|| amounts(rest))?;
    let duration = Duration::from_millis(millis.min(LONGEST));
    let before = text[..at].trim_end();
    let is_window = ["per", "/"].iter().any(|rate| before.ends_with(rate));
    Some((if is_window { TimeHint::Window(duration) } else { TimeHint::After(duration) }, length))
}

/// `00:00:37`, `1.02:00:00.5` (a day and two hours): milliseconds and the length in bytes. A time of day is not a
/// duration.
fn clock(text: &str) -> Option<(u64, usize)> {
    let (days, start) = match digits(text) {
        count if fits(&text[count..], ".00:00:00") => (number(&text[..count]), count + 1),
        _ => (0, 0),
    };
    let time = &text[start..];
    let hours = digits(time);
    if hours > 2 || !fits(&time[hours..], ":00:00") {
        return None;
    }
    let mut end = hours + 6;
    let mut seconds = number(&time[..hours]) * 3_600 + number(&time[hours + 1..hours + 3]) * 60;
    seconds += number(&time[hours + 4..end]);
    if fits(&time[end..], ".0") {
        seconds += 1;
        end += 1 + digits(&time[end + 1..]);
    }
    let next = time[end..].trim_start().to_ascii_lowercase();
    let of_the_day = ["am", "pm", "a.m", "p.m", "utc", "gmt", "z"].iter().any(|word| next.starts_with(word));
    let millis = days.saturating_mul(86_400_000).saturating_add(seconds * 1_000);
    (!of_the_day).then_some((millis, start + end))
}

/// `37 seconds`, `1 h 5 min`: milliseconds and the length in bytes.
fn amounts(text: &str) -> Option<(u64, usize)> {
    /// Maximum number of characters between two amounts of one time: ` and `.
    const GAP: usize = 5;
    let (mut millis, mut smallest, mut end) = amount(text)?;
    loop {
        let rest = &text[end..];
        let gap = rest.char_indices().take(GAP + 1).find(|(_, c)| c.is_ascii_digit()).map(|(gap, _)| gap);
        match gap.and_then(|gap| amount(&rest[gap..]).map(|amount| (gap, amount))) {
            Some((gap, (more, unit, length))) if unit < smallest => {
                millis = millis.saturating_add(more);
                smallest = unit;
                end += gap + length;
            }
            _ => return Some((millis, end)),
        }
    }
}

/// A number and its unit: milliseconds (rounded up), the unit's, and the length in bytes.
fn amount(text: &str) -> Option<(u64, u64, usize)> {
    let (thousandths, number) = decimal(text);
    let rest = &text[number..];
    let word = rest.trim_start_matches([' ', '\u{a0}', '\u{202f}', '-']);
    if rest.len() - word.len() > 4 {
        return None;
    }
    let (unit, length) = unit(word)?;
    Some((thousandths.saturating_mul(unit).div_ceil(1_000), unit, text.len() - word.len() + length))
}

/// The unit at the start of `text`: milliseconds and the word's length in bytes.
fn unit(text: &str) -> Option<(u64, usize)> {
    let length = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let is_it = |(_, words): &&(u64, &[&str])| words.iter().any(|word| word.eq_ignore_ascii_case(&text[..length]));
    UNITS.iter().find(is_it).map(|(millis, _)| (*millis, length))
}

/// The number at the start of `text`, in thousandths (rounded up), and its length in bytes. `37.5` and `37,5` have
/// decimals; of `1,500` the longer reading is taken.
fn decimal(text: &str) -> (u64, usize) {
    let whole = digits(text);
    let value = number(&text[..whole]);
    if !fits(&text[whole..], ".0") {
        return (value.saturating_mul(1_000), whole);
    }
    let decimals = digits(&text[whole + 1..]);
    let fraction = &text[whole + 1..whole + 1 + decimals];
    let length = whole + 1 + decimals;
    if text[whole..].starts_with(',') && decimals == 3 {
        return (value.saturating_mul(1_000).saturating_add(number(fraction)).saturating_mul(1_000), length);
    }
    let thousandths = number(&format!("{fraction:0<3}")[..3]) + u64::from(decimals > 3);
    (value.saturating_mul(1_000).saturating_add(thousandths), length)
}

/// How many digits `text` starts with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The value of some digits, at most the largest value.
fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn english_durations_are_found() {
        for (text, seconds) in [
            ("try again in 37 seconds", 37),
            ("Retry after 37 sec.", 37),
            ("Try again in 37s", 37),
            ("after a 37-second break", 37),
            ("in 37 second(s)", 37),
            ("in 00:00:37", 37),
            ("in 01:02:03.25", 3_724),
            ("in 1.00:00:37", 86_437),
            ("in 2 minutes", 120),
            ("in 1 minute and 5 seconds", 65),
            ("in 1m30s", 90),
            ("in 1 hour", 3_600),
            ("in 2 days", 172_800),
            ("in 36.5 seconds", 37),
            ("in 1,500 seconds", 1_500),
            ("in 36\u{a0}500 ms or 37\u{a0}s", 37),
        ] {
            let longest = parse_hints(text).into_iter().filter_map(|said| match said {
                TimeHint::After(duration) => Some(duration.as_millis().div_ceil(1_000)),
                _ => None,
            });
            assert_eq!(longest.max(), Some(seconds), "{text}");
        }
    }

    #[test]
    fn text_without_a_time_gives_none() {
        for text in [
            "50 calls",
            "quota of 1500 exceeded, 37% over",
            "tracking id 0f8fad5b-d9cb-469f-a165-70867728950e",
            "id a7s-37s-5m is x37s",
            "error 429 (HTTP/1.1), code 0x37",
            "at 10:00:37 UTC, or 10:00:37 PM",
            "5 sectors, 5 minimum",
            "37秒, 37 Sekunden",
            "37",
            "",
        ] {
            assert_eq!(parse_hints(text), [], "{text}");
        }
    }

    #[test]
    fn quota_windows_are_not_wait_times() {
        let second = Duration::from_secs(1);
        for (text, expected) in [
            ("maximum admitted 50 per 1m.", vec![TimeHint::Window(60 * second)]),
            ("50 calls per minute", vec![TimeHint::Window(60 * second)]),
            ("1500 per 1h", vec![TimeHint::Window(3_600 * second)]),
            ("50/60s, wait 37 s", vec![TimeHint::Window(60 * second), TimeHint::After(37 * second)]),
        ] {
            assert_eq!(parse_hints(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_found_within_a_text() {
        let time = |text: &str| TimeHint::At(text.parse().expect("plain form"));
        for text in [
            "Calls may begin at 2026-11-24T10:00:37.0Z, not before.",
            "Neue Aufrufe ab 2026-11-24 10:00:37 möglich",
            "(2026-11-24T11:00:37+01:00)",
            "after Tue, 24 Nov 2026 10:00:37 GMT.",
        ] {
            assert_eq!(parse_hints(text), [time("2026-11-24T10:00:37Z")], "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_parsed(
            text in r"(?s).*|([0-9]{1,25}[ .,:-]?(s|min|h|é|per )?[ 0-9:]{0,9}){1,5}",
        ) {
            for said in parse_hints(&text) {
                if let TimeHint::After(duration) | TimeHint::Window(duration) = said {
                    prop_assert!(duration <= Duration::from_millis(LONGEST));
                }
            }
        }
    }
}
