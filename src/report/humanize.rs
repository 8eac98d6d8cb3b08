//! Formats numbers, durations, times and text for people.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::quota_spec::{Window, duration_text};
use crate::text::printable;

/// The width of all output: 80 columns without the last one, because some terminals wrap there.
pub(super) const WIDTH: usize = 79;

/// `36,000`.
pub(super) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// `12.35 GiB`.
pub(crate) fn bytes(number: u64) -> String {
    indicatif::BinaryBytes(number).to_string()
}

/// `1 row`, `1,000 rows`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

/// `6 rows set nothing: skipped`, for a fetched file.
#[must_use]
pub fn left_alone(rows: u64) -> String {
    format!("{} {} nothing: skipped", counted(rows, "row"), if rows == 1 { "sets" } else { "set" })
}

/// The two largest units of a duration: `12 s`, `19 min 36 s`, `2 h`, `1 d 6 h`; below a second in milliseconds.
pub(crate) fn lasting(duration: Duration) -> String {
    match duration.as_millis() {
        0 => return "0 s".to_owned(),
        millis @ 1..1_000 => return format!("{millis} ms"),
        _ => {}
    }
    let seconds = duration.as_secs();
    let units = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let largest = units.iter().position(|(number, _)| *number > 0).unwrap_or(0);
    let shown = units.iter().skip(largest).take(2).filter(|(number, _)| *number > 0);
    shown.map(|(number, unit)| format!("{number} {unit}")).collect::<Vec<_>>().join(" ")
}

/// The time until `then` in whole seconds, rounded up, so that it is never too short.
pub(super) fn until(now: Timestamp, then: Timestamp) -> String {
    let millis = u64::try_from(then.duration_since(now).as_millis()).unwrap_or(0);
    lasting(Duration::from_secs(millis.div_ceil(1_000)))
}

/// A time of day in UTC, with the date if it differs from that of `now`.
pub(super) fn clock_time(now: Timestamp, time: Timestamp, precision: Precision) -> String {
    let day = |time: Timestamp| time.strftime("%F ").to_string();
    let date = if day(time) == day(now) { String::new() } else { day(time) };
    let clock = match precision {
        Precision::Minute => "%H:%M UTC",
        Precision::Second => "%T UTC",
    };
    format!("{date}{}", time.strftime(clock))
}

/// The precision of a displayed time.
#[derive(Clone, Copy)]
pub(super) enum Precision {
    Minute,
    Second,
}

/// The period of a window: `this minute`, `this hour`, `in 2s`.
pub(super) fn period(window: Window) -> Cow<'static, str> {
    match window.length.as_millis() {
        60_000 => "this minute".into(),
        3_600_000 => "this hour".into(),
        _ => format!("in {}", duration_text(window.length)).into(),
    }
}

/// Text from outside in at most `width` characters, safe to print.
pub(super) fn fitted(text: &str, width: usize) -> String {
    // Very long text need not be escaped completely.
    let start: String = text.chars().take(width.saturating_add(1)).collect();
    cut(&printable(&start), width)
}

/// Cuts text to the columns of a terminal, without the last one. If there is no terminal, cuts nothing.
pub(super) fn cut_to(text: &str, columns: Option<usize>) -> String {
    columns.map_or_else(|| text.to_owned(), |columns| cut(text, columns.saturating_sub(1)))
}

/// The first `width` characters of a text that is safe to print.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The columns that a text takes on a terminal. East Asian characters and emoji take two; an estimate that is too high is
/// harmless.
pub(super) fn columns_of(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

pub(super) fn width_of(character: char) -> usize {
    if character < '\u{1100}' || matches!(character, '\u{2010}'..='\u{2027}') { 1 } else { 2 }
}

/// The text on lines of at most `width` columns, wrapped between words.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    filled(text.split(' '), width).join("\n")
}

/// The parts on lines of at most `width` columns, separated by spaces. No part is split, and none with `::` begins a
/// line: GitHub Actions would run it as a command.
pub(super) fn filled<'a>(parts: impl Iterator<Item = &'a str>, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(part),
            Some(line) if part.starts_with("::") || columns_of(line) + 1 + columns_of(part) <= width => {
                line.push(' ');
                line.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

/// The time since `then`, in minutes, hours or days.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> String {
    match now.duration_since(then).as_mins().max(0) {
        minutes @ ..60 => format!("{minutes} min"),
        minutes @ 60..2_880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1_440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("valid")
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1_000, 36_000, 1_234_567].map(count), ["0", "999", "1,000", "36,000", "1,234,567"]);
        assert_eq!([0, 1, 2_000].map(|n| counted(n, "row")), ["0 rows", "1 row", "2,000 rows"]);
    }

    #[test]
    fn durations_have_two_units() {
        let seconds = [0, 1, 60, 61, 1_176, 3_600, 3_661, 7_205, 108_000];
        assert_eq!(
            seconds.map(|seconds| lasting(Duration::from_secs(seconds))),
            ["0 s", "1 s", "1 min", "1 min 1 s", "19 min 36 s", "1 h", "1 h 1 min", "2 h", "1 d 6 h"]
        );
        assert_eq!(lasting(Duration::from_millis(4_860)), "4 s");
        assert_eq!(lasting(Duration::from_millis(860)), "860 ms");
    }

    #[test]
    fn remaining_time_is_rounded_up() {
        let now = at("2026-11-24T10:00:00Z");
        assert_eq!(until(now, at("2026-11-24T10:00:11.001Z")), "12 s");
        assert_eq!(until(now, at("2026-11-24T10:00:00Z")), "0 s");
        assert_eq!(until(now, at("2026-11-24T09:00:00Z")), "0 s");
    }

    #[test]
    fn time_on_another_day_has_its_date() {
        let now = at("2026-11-24T23:00:00Z");
        assert_eq!(clock_time(now, at("2026-11-24T23:42:10Z"), Precision::Minute), "23:42 UTC");
        assert_eq!(clock_time(now, at("2026-11-25T00:42:10Z"), Precision::Second), "2026-11-25 00:42:10 UTC");
    }

    #[test]
    fn long_text_is_truncated_and_safe() {
        assert_eq!(fitted("abcdef", 6), "abcdef");
        assert_eq!(fitted("abcdefg", 6), "abcde…");
        assert!(!fitted("\u{1b}[2J\u{202e}", 40).contains(['\u{1b}', '\u{202e}']));
        assert!(fitted("\u{1b}\u{1b}\u{1b}", 6).chars().count() <= 6);
    }

    #[test]
    fn age_is_in_minutes_hours_or_days() {
        let then: Timestamp = "2026-11-24T10:00:00Z".parse().expect("a time");
        for (now, said) in [
            ("2026-11-24T09:00:00Z", "0 min"),
            ("2026-11-24T10:59:59Z", "59 min"),
            ("2026-11-24T11:00:00Z", "1 h"),
            ("2026-11-26T09:59:59Z", "47 h"),
            ("2026-11-26T10:00:00Z", "2 days"),
        ] {
            assert_eq!(age(then, now.parse().expect("a time")), said);
        }
    }
}
