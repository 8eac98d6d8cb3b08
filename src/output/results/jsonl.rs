//! Results as JSONL: ten members, and `input` with the exact object of the row.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::outcome::{OutcomeKind, ResultRow};

/// The members of a line, in the order of [`crate::model::outcome::RESULT_COLUMNS`].
#[derive(Serialize)]
struct Members<'a> {
    row: u64,
    line: u64,
    incident_id: &'a str,
    outcome: OutcomeKind,
    code: &'a str,
    message: &'a str,
    http_status: Option<u16>,
    attempts: u32,
    request_id: Option<&'a str>,
    #[serde(serialize_with = "time_or_null")]
    finished_at: Option<Timestamp>,
    input: Input<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    /// An object; or a text, if the input was a results file that had a text here.
    Json(&'a RawValue),
    /// Anything else (the row is invalid), as text.
    Other(String),
}

/// The line of a row.
pub(super) fn line(row: &ResultRow) -> Vec<u8> {
    let outcome = &row.outcome;
    let members = Members {
        row: row.row,
        line: row.line,
        incident_id: &row.incident_id,
        outcome: outcome.kind,
        code: outcome.code.as_str(),
        message: &outcome.message,
        http_status: outcome.http_status,
        attempts: row.attempts,
        request_id: outcome.request_id.as_deref(),
        finished_at: outcome.finished_at,
        input: own_json(&row.source)
            .map_or_else(|| Input::Other(String::from_utf8_lossy(&row.source).into_owned()), Input::Json),
    };
    let mut bytes = serde_json::to_vec(&members).expect("strings, numbers and checked JSON");
    bytes.push(b'\n');
    bytes
}

fn own_json(source: &[u8]) -> Option<&RawValue> {
    let value: &RawValue = serde_json::from_slice(source).ok()?;
    (value.get().starts_with(['{', '"']) && !value.get().contains('\n')).then_some(value)
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn time_or_null<S: Serializer>(value: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(time).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::{Outcome, RESULT_COLUMNS, RowCode};
    use proptest::prelude::*;

    fn row(source: &[u8]) -> ResultRow {
        ResultRow {
            row: 2,
            line: 3,
            incident_id: "7".to_owned(),
            outcome: Outcome::new(OutcomeKind::NotAttempted, RowCode::Empty, "=1\n\"\u{1b}"),
            attempts: 0,
            source: source.to_vec(),
        }
    }

    fn text(source: &[u8]) -> String {
        String::from_utf8(line(&row(source))).expect("JSON is UTF-8")
    }

    #[test]
    fn original_object_is_kept_verbatim() {
        assert_eq!(
            text(br#"{"b" : 1.0, "a":"\u00e9", "a":2}"#),
            "{\"row\":2,\"line\":3,\"incident_id\":\"7\",\"outcome\":\"not-attempted\",\"code\":\"\",\
             \"message\":\"=1\\n\\\"\\u001b\",\"http_status\":null,\"attempts\":0,\"request_id\":null,\
             \"finished_at\":null,\"input\":{\"b\" : 1.0, \"a\":\"\\u00e9\", \"a\":2}}\n"
        );
    }

    #[test]
    fn other_lines_become_text() {
        for (source, input) in [
            (&b"[1]"[..], r#""input":"[1]"}"#),
            (b"{\"a\":", r#""input":"{\"a\":"}"#),
            (b"{\"a\":\"\xff\"}", "\"input\":\"{\\\"a\\\":\\\"\u{fffd}\\\"}\"}"),
            (b"", r#""input":""}"#),
            (b" \"{\\\"a\\\":1}\" ", r#""input":"{\"a\":1}"}"#),
        ] {
            assert!(text(source).trim_end().ends_with(input), "{}", text(source));
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(text(deep.as_bytes()).contains(&deep));
    }

    proptest! {
        #[test]
        fn any_bytes_are_one_line_with_the_members(source in prop::collection::vec(any::<u8>(), 0..40)) {
            let line = text(&source);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).expect("an object");
            let names: Vec<_> = members.keys().map(String::as_str).collect();
            prop_assert_eq!(names, [&RESULT_COLUMNS[..], &["input"]].concat());
        }
    }
}
