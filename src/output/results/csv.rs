//! Results as CSV: ten columns, then the row's own cells, all safe in a spreadsheet.

use std::borrow::Cow;

use crate::input::csv::{delimiter_byte, join, split};
use crate::model::outcome::{RESULT_COLUMNS, ResultRow};
use crate::text::{BOM, escape_formula, escape_formula_bytes, printable};

/// The header line of a results file.
pub(super) fn header(delimiter: char, bom: bool, columns: &[String]) -> Vec<u8> {
    let own = columns.iter().map(|name| escape_formula(name));
    let record = encode(delimiter, RESULT_COLUMNS.into_iter().map(Cow::Borrowed).chain(own).map(into_bytes));
    if bom { [BOM.as_bytes(), &record].concat() } else { record }
}

/// The line of a row.
///
/// The row's own cells keep their bytes, even if these are not UTF-8. A record with broken quotes, or a carriage return
/// outside quotes, becomes one cell, so that it has the same problem when the results are read as input.
pub(super) fn line(delimiter: char, row: &ResultRow) -> Vec<u8> {
    let outcome = &row.outcome;
    let number = |number: String| Cow::Owned(number.into_bytes());
    let text = |text: &str| into_bytes(Cow::Owned(escape_formula(&printable(text)).into_owned()));
    let first_ten = [
        number(row.row.to_string()),
        number(row.line.to_string()),
        text(&row.incident_id),
        text(outcome.kind.name()),
        text(outcome.code.as_str()),
        text(&outcome.message),
        number(outcome.http_status.map(|status| status.to_string()).unwrap_or_default()),
        number(row.attempts.to_string()),
        text(outcome.request_id.as_deref().unwrap_or_default()),
        number(outcome.finished_at.map(super::jsonl::time).unwrap_or_default()),
    ];
    let own = cells(&row.source, delimiter_byte(delimiter)).unwrap_or_else(|| vec![Cow::Borrowed(&row.source)]);
    encode(delimiter, first_ten.into_iter().chain(own.into_iter().map(escape_formula_bytes)))
}

fn encode<'a>(delimiter: char, cells: impl Iterator<Item = Cow<'a, [u8]>>) -> Vec<u8> {
    let mut line = join(cells, delimiter);
    line.push(b'\n');
    line
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The cells of a record; `None` if one of them is not well-formed. (The `csv` crate would accept it with other content.)
fn cells(record: &[u8], delimiter: u8) -> Option<Vec<Cow<'_, [u8]>>> {
    let mut cells = Vec::new();
    split(record, delimiter, &mut cells);
    cells.iter().map(|cell| cell.is_well_formed(record).then(|| cell.bytes(record))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
    use crate::text::unescape_formula_bytes;
    use proptest::prelude::*;

    fn row(source: &[u8]) -> ResultRow {
        ResultRow {
            row: 2,
            line: 3,
            incident_id: "924565".to_owned(),
            outcome: Outcome {
                http_status: Some(404),
                request_id: Some("c2b1".to_owned()),
                finished_at: Some("2026-11-24T10:00:37.12Z".parse().expect("valid")),
                ..Outcome::new(OutcomeKind::Failed, OutcomeCode::NotFound, "no such incident")
            },
            attempts: 1,
            source: source.to_vec(),
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("valid")
    }

    #[test]
    fn ten_columns_come_first() {
        let columns = ["incidentId".to_owned(), "=cmd".to_owned()];
        assert_eq!(
            text(header(';', true, &columns)),
            "\u{feff}row;line;incident_id;outcome;code;message;http_status;attempts;request_id;finished_at;\
             incidentId;'=cmd\n"
        );
        assert_eq!(
            text(line(';', &row(b"924565;\"a;\"\"b\"\"\""))),
            "2;3;924565;failed;not-found;no such incident;404;1;c2b1;2026-11-24T10:00:37.120Z;\
             924565;\"a;\"\"b\"\"\"\n"
        );
    }

    #[test]
    fn server_text_adds_no_formula_or_line() {
        let mut row = row(b"1");
        row.outcome.message = "=HYPERLINK(\"http://x\")\r\n\u{1b}[2J".to_owned();
        let line = text(line(',', &row));
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains("\"'=HYPERLINK("), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn invalid_record_is_kept_verbatim() {
        for (source, own) in [
            (&b"1,\"a\"b,c"[..], &b"\"1,\"\"a\"\"b,c\"\n"[..]),
            (b"1,\"a", b"\"1,\"\"a\"\n"),
            (b"1,a\rb", b"\"1,a\rb\"\n"),
            (b"1,a\xffb", b"1,a\xffb\n"),
            (b"1,=\xff", b"1,'=\xff\n"),
            (b"1", b"1\n"),
            (b"", b"\n"),
            (b"1,2,3,4,5,", b"1,2,3,4,5,\n"),
        ] {
            let line = line(',', &row(source));
            assert!(line.ends_with(&[b"Z,", own].concat()), "{}", String::from_utf8_lossy(&line));
        }
    }

    fn cell() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..12),
            "['=+@\t\r\n\",;＝－ -]{0,6}.{0,4}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn original_cells_round_trip(
            own in prop::collection::vec(cell(), 1..6),
            delimiter in prop::sample::select(vec![',', ';', '\t']),
        ) {
            let mut source = encode(delimiter, own.iter().map(|cell| Cow::Borrowed(&cell[..])));
            source.pop();
            let line = line(delimiter, &row(&source));
            let mut reader = ::csv::ReaderBuilder::new()
                .has_headers(false)
                .delimiter(delimiter_byte(delimiter))
                .from_reader(&line[..]);
            let records: Vec<_> = reader.byte_records().collect::<Result<_, _>>().expect("valid CSV");
            prop_assert_eq!(records.len(), 1);
            for cell in &records[0] {
                let first = String::from_utf8_lossy(cell).chars().next();
                prop_assert!(!first.is_some_and(|c| "=+-@\t\r\n＝＋－＠".contains(c)), "{:?}", cell);
            }
            let back: Vec<_> = records[0].iter().skip(RESULT_COLUMNS.len()).map(unescape_formula_bytes).collect();
            prop_assert_eq!(back, own.into_iter().map(Cow::<[u8]>::Owned).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_one_record(source in prop::collection::vec(any::<u8>(), 0..40)) {
            let line = line(',', &row(&source));
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(&line[..]);
            prop_assert_eq!(reader.byte_records().count(), 1);
        }
    }
}
