//! Dates as servers write them: HTTP's own, and ISO 8601 with all its liberties.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::fmt::strtime;
use jiff::tz::Offset;

/// A date of an HTTP header in any of its three forms ([RFC 9110, section 5.6.7]), read at `now`:
/// `Tue, 24 Nov 2026 10:00:37 GMT`, `Tuesday, 24-Nov-26 10:00:37 GMT`, `Tue Nov 24 10:00:37 2026`.
///
/// [RFC 9110, section 5.6.7]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
pub(super) fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    fixed_date(text).or_else(|| rfc_850(text, now)).or_else(|| asctime(text))
}

/// The preferred form, with or without the weekday.
pub(super) fn fixed_date(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);
    PARSER.parse_timestamp(text.trim()).ok()
}

/// The form of RFC 850. A two-digit year that seems to be more than 50 years ahead is past.
fn rfc_850(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (_weekday, date) = text.split_once(", ")?;
    let date = date_time("%d-%b-%y %H:%M:%S GMT", date)?;
    let this_year = Offset::UTC.to_datetime(now).year();
    let year = this_year - this_year.rem_euclid(100) + date.year().rem_euclid(100);
    let year = if year > this_year + 50 { year - 100 } else { year };
    Offset::UTC.to_timestamp(date.with().year(year).build().ok()?).ok()
}

/// The form of C's `asctime`.
fn asctime(text: &str) -> Option<Timestamp> {
    let (_weekday, date) = text.split_once(' ')?;
    Offset::UTC.to_timestamp(date_time("%b %e %H:%M:%S %Y", date)?).ok()
}

fn date_time(format: &str, text: &str) -> Option<DateTime> {
    strtime::parse(format, text).ok()?.to_datetime().ok()
}

/// An ISO 8601 time, if all of `text` is one.
pub(super) fn iso(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    iso_prefix(text).filter(|(_, length)| *length == text.len()).map(|(time, _)| time)
}

/// The ISO 8601 time at the start of `text`, and its length in bytes: `2026-11-24T10:00:37.1234567+01:00`, with a
/// space for the `T`, without seconds, without a zone (UTC then). Decimals past the ninth are dropped.
pub(super) fn iso_prefix(text: &str) -> Option<(Timestamp, usize)> {
    const MOST_DECIMALS: usize = 9;
    if !fits(text, "0000-00-00T00:00") {
        return None;
    }
    let mut end = 16;
    if fits(&text[end..], ":00") {
        end += 3;
    }
    // Rebuilt in the one form that every parser takes. All bytes up to `end` are ASCII.
    let mut clean = format!("{}T{}", &text[..10], &text[11..end]);
    if end == 19 && fits(&text[end..], ".0") {
        let decimals = text[end + 1..].bytes().take_while(u8::is_ascii_digit).count();
        clean.push('.');
        clean.push_str(&text[end + 1..end + 1 + decimals.min(MOST_DECIMALS)]);
        end += 1 + decimals;
    }
    let rest = &text[end..];
    let offset = rest.strip_prefix(' ').unwrap_or(rest);
    if rest.starts_with(['Z', 'z']) {
        clean.push('Z');
        end += 1;
    } else if let Some(form) = ["+00:00", "+0000"].into_iter().find(|form| fits(offset, form)) {
        clean.push_str(&offset[..form.len()]);
        end += rest.len() - offset.len() + form.len();
    } else {
        clean.push('Z');
    }
    clean.parse().ok().map(|time| (time, end))
}

/// Whether the start of `text` has this form, where `0` is any digit, `T` a `T` or a space, `+` a sign, `.` a decimal
/// point.
pub(super) fn fits(text: &str, form: &str) -> bool {
    text.len() >= form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't' | b' '),
            b'+' => matches!(byte, b'+' | b'-'),
            b'.' => matches!(byte, b'.' | b','),
            _ => byte == form,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn iso_times_are_parsed_in_every_form() {
        for (text, time) in [
            ("2026-11-24T10:00:37Z", "2026-11-24T10:00:37Z"),
            ("2026-11-24T10:00:37.123Z", "2026-11-24T10:00:37.123Z"),
            ("2026-11-24 10:00:37", "2026-11-24T10:00:37Z"),
            ("2026-11-24t10:00:37z", "2026-11-24T10:00:37Z"),
            ("2026-11-24T10:00:37.1234567", "2026-11-24T10:00:37.1234567Z"),
            ("2026-11-24T10:00:37.123456789999Z", "2026-11-24T10:00:37.123456789Z"),
            ("2026-11-24T10:00:37,5Z", "2026-11-24T10:00:37.5Z"),
            ("2026-11-24T10:00:37+01:00", "2026-11-24T09:00:37Z"),
            ("2026-11-24 10:00:37.5 -0500", "2026-11-24T15:00:37.5Z"),
            ("2026-11-24T10:00", "2026-11-24T10:00:00Z"),
        ] {
            assert_eq!(iso(text), Some(time.parse().expect("plain form")), "{text}");
        }
        for text in ["", "2026-11-24", "2026-13-24T10:00:37Z", "2026-11-24T10:00:37Q", "10:00:37", "2026-11-24T1é:00"]
        {
            assert_eq!(iso(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_are_parsed_with_any_weekday() {
        let time = "2026-11-24T10:00:37Z".parse().ok();
        for text in ["Tue, 24 Nov 2026 10:00:37 GMT", "Mon, 24 Nov 2026 10:00:37 GMT", "24 Nov 2026 10:00:37 GMT"] {
            assert_eq!(http_date(text, now()), time, "{text}");
        }
        assert_eq!(http_date("soon", now()), None);
    }

    fn now() -> Timestamp {
        "2026-11-24T10:00:00Z".parse().expect("plain form")
    }

    /// The example of RFC 9110, and a date of these years in each form.
    #[test]
    fn three_forms_of_http_dates_are_parsed() {
        for (text, time) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            ("Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            ("Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37Z"),
            ("Tuesday, 24-Nov-26 10:00:37 GMT", "2026-11-24T10:00:37Z"),
            ("Tue Nov 24 10:00:37 2026", "2026-11-24T10:00:37Z"),
        ] {
            assert_eq!(http_date(text, now()), time.parse().ok(), "{text}");
        }
        for text in ["Sunday, 06-Nov-94", "Sunday, 31-Feb-94 08:49:37 GMT", "Sun Nov 31 08:49:37 1994", "Sun", "a, b"] {
            assert_eq!(http_date(text, now()), None, "{text}");
        }
    }

    #[test]
    fn two_digit_years_over_50_ahead_are_past() {
        let year = |text: &str, now: &str| {
            let date = format!("Monday, 01-Jun-{text} 00:00:00 GMT");
            let now = now.parse().expect("plain form");
            http_date(&date, now).map(|time| Offset::UTC.to_datetime(time).year())
        };
        for (text, expected) in [("26", 2026), ("27", 2027), ("76", 2076), ("77", 1977), ("99", 1999), ("00", 2000)] {
            assert_eq!(year(text, "2026-11-24T10:00:00Z"), Some(expected), "{text}");
        }
        assert_eq!(year("69", "2070-01-01T00:00:00Z"), Some(2069));
        assert_eq!(year("70", "1999-01-01T00:00:00Z"), Some(1970));
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in r"(?s).*|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}.{0,20}") {
            if let Some((_, length)) = iso_prefix(&text) {
                prop_assert!(text.is_char_boundary(length));
            }
            let _ = http_date(&text, now());
        }
    }
}
