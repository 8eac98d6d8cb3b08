//! Files as a whole: encodings, CSV, JSONL.

use bulk_triage::check::CheckedRow;
use bulk_triage::input::InputShape;
use bulk_triage::input::normalized;
use bulk_triage::model::diagnostic::codes;
use serde_json::Value;

use super::checked::{Check, Checked};
use super::split_number;

/// What is not UTF-8 is told, and a text means the same in every encoding that is read.
pub fn encodings(data: &[u8]) {
    let (kind, data) = split_number(data);
    let name = ["f.csv", "f.jsonl", "f"][usize::from(kind) % 3];
    Check::plain().of(name, data);

    let text = String::from_utf8_lossy(data);
    let utf8 = Check::plain().of(name, &[b"\xef\xbb\xbf", text.as_bytes()].concat());
    // Other kinds of file are told by their first bytes, and U+FFFD by where it comes from.
    let is_other_kind = utf8.end.as_ref().is_err_and(|found| found[0].code == codes::WRONG_KIND.name);
    if is_other_kind || text.contains('\u{fffd}') || text.starts_with(['\0', '\u{feff}']) {
        return;
    }
    let units = || text.encode_utf16();
    let little = units().flat_map(u16::to_le_bytes);
    let big = units().flat_map(u16::to_be_bytes);
    for utf16 in
        [[0xff, 0xfe].into_iter().chain(little).collect::<Vec<u8>>(), [0xfe, 0xff].into_iter().chain(big).collect()]
    {
        assert_eq!(Check::plain().of(name, &utf16), utf8);
    }
}

/// CSV means the same in chunks of any size, and what is sent is what another reader finds in the file.
pub fn csv(data: &[u8]) {
    let (size, text) = split_number(data);
    let whole = Check::plain().of("f.csv", text);
    assert_eq!(Check { chunk_size: usize::from(size), ..Check::plain() }.of("f.csv", text), whole);

    let Ok(text) = std::str::from_utf8(text) else { return };
    if has_preamble(text) {
        return;
    }
    // To the other reader a lone CR ends a record; here it is an error.
    if text.replace("\r\n", "\n").contains('\r') {
        return;
    }
    let Some(InputShape::Csv { delimiter, columns, .. }) = own_file(&whole) else { return };
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(u8::try_from(*delimiter).expect("ASCII"))
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let records = reader.records().map(|record| record.expect("text"));
    // A record without a filled cell is a blank line.
    let is_filled = |record: &::csv::StringRecord| record.iter().any(|cell| !cell.trim().is_empty());
    let records: Vec<::csv::StringRecord> = records.filter(is_filled).collect();
    assert_eq!(records.len(), whole.rows.len() + 1);
    assert_eq!(records[0], *columns);
    let place = |wanted: &str| columns.iter().position(|column| normalized(column) == wanted);
    for (row, record) in whole.rows.iter().zip(&records[1..]) {
        let cell = |wanted: &str| place(wanted).map_or("", |place| &record[place]);
        assert_is_asked(row, cell);
    }
}

/// JSONL means the same in chunks of any size, and what is sent is what another reader finds in each line.
pub fn jsonl(data: &[u8]) {
    let (size, text) = split_number(data);
    let whole = Check::plain().of("f.jsonl", text);
    assert_eq!(Check { chunk_size: usize::from(size), ..Check::plain() }.of("f.jsonl", text), whole);

    if own_file(&whole).is_none() {
        return;
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if has_preamble(&String::from_utf8_lossy(text)) {
        return;
    }
    let is_blank = |line: &[u8]| {
        let is_empty = |value: &Value| value.is_null() || value.as_str() == Some("");
        let object = serde_json::from_slice::<serde_json::Map<String, Value>>(line);
        line.trim_ascii().is_empty() || object.is_ok_and(|object| object.values().all(is_empty))
    };
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).collect();
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return;
    }
    assert_eq!(lines.len(), whole.rows.len());
    for (row, line) in whole.rows.iter().zip(lines) {
        // What is too deep for the other reader, or an escape that it refuses in a carried member, is passed over here.
        let Ok(Value::Object(line)) = serde_json::from_slice(line) else { continue };
        let member = |wanted: &str| line.iter().find(|(name, _)| normalized(name) == wanted).map(|(_, value)| value);
        assert_is_asked(row, |wanted| member(wanted).and_then(Value::as_str).unwrap_or_default());
    }
}

/// Whether there may be lines above the header that are passed over, which the other reader knows nothing of.
fn has_preamble(text: &str) -> bool {
    let text = text.trim_start_matches(['\u{feff}', '\r', '\n', '"', ' ']).to_lowercase();
    text.starts_with("sep=") || text.starts_with("#type")
}

/// What is known of a file that was read to its end and is neither results nor a portal's export.
fn own_file(checked: &Checked) -> Option<&InputShape> {
    let (shape, origin) = checked.file.as_ref().filter(|_| checked.end.is_ok())?;
    (!origin.is_results && !origin.is_portal_export).then_some(shape)
}

/// The comment and the owner of a change are what stands in the row, to the byte.
fn assert_is_asked<'r>(row: &CheckedRow, cell: impl Fn(&str) -> &'r str) {
    let Ok(change) = &row.verdict else { return };
    assert_eq!(change.edits.added_text().unwrap_or_default(), cell("comment"), "{change:?}");
    let owner = Some(cell("assignedto")).filter(|owner| !owner.trim().eq_ignore_ascii_case("<clear>"));
    let values = change.edits.values();
    let assigned = values.get("assignedTo").and_then(Value::as_str);
    assert_eq!(assigned.unwrap_or_default(), owner.unwrap_or_default(), "{change:?}");
}
