//! The header of a CSV file: its delimiter, its ID column, and its line.

use super::csv;
use super::error::InputError;
use crate::model::diagnostic::{Diagnostic, codes};
use crate::text::Printable;

/// How many lines below the first one are searched for the header.
const LINES_SEARCHED: usize = 20;

/// The delimiter with which the header has an ID column, or otherwise the most frequent delimiter.
pub(super) fn find_delimiter(head: &[u8]) -> u8 {
    let mut in_quotes = false;
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let line_end = head[start..].iter().position(|byte| {
        in_quotes ^= *byte == b'"';
        *byte == b'\n' && !in_quotes
    });
    let line = &head[start..line_end.map_or(head.len(), |end| start + end)];
    let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    let score = |delimiter: &char| {
        let cells = csv::texts(&line, *delimiter);
        (has_id(cells.iter()), cells.len())
    };
    // If several are equal, `max_by_key` returns the last one: the comma.
    DELIMITERS.into_iter().max_by_key(score).map_or(b',', csv::delimiter_byte)
}

/// The delimiters of CSV.
const DELIMITERS: [char; 3] = ['\t', ';', ','];

/// The delimiter that a `sep=` line names.
pub(super) fn named_delimiter(name: &str, delimiter: char) -> Result<u8, InputError> {
    if DELIMITERS.contains(&delimiter) {
        return Ok(csv::delimiter_byte(delimiter));
    }
    let message = format!("the delimiter `{}` of the `sep=` line is not supported", Printable(&delimiter.to_string()));
    let help = Some("save the file with commas, semicolons or tabs".to_owned());
    Err(InputError::Invalid(vec![Diagnostic { help, ..Diagnostic::new(&codes::HEADER, name, message) }]))
}

pub(super) fn has_id(mut columns: impl Iterator<Item = impl AsRef<str>>) -> bool {
    columns.any(|column| normalized(column.as_ref()) == "incidentid")
}

/// The line of a header in `bytes`, which begin on line `line`.
pub(super) fn find_header(bytes: &[u8], line: u64) -> Option<u64> {
    let lines = bytes.split(|byte| *byte == b'\n').take(LINES_SEARCHED).map(String::from_utf8_lossy);
    let is_header =
        |text: &str| DELIMITERS.into_iter().any(|delimiter| has_id(csv::texts(text, delimiter).into_iter()));
    lines.zip(line..).find(|(text, _)| is_header(text.trim_end())).map(|(_, line)| line)
}

/// Advice about bytes that are not UTF-8, if they may be Windows-1252.
pub(crate) fn advice_for_encoding(bytes: &[u8]) -> Option<String> {
    let is_unassigned = |byte: &u8| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d);
    let may_be_windows = std::str::from_utf8(bytes).is_err() && !bytes.iter().any(is_unassigned);
    may_be_windows.then(|| "looks like Windows-1252; in Excel, save as CSV UTF-8".to_owned())
}

/// A column's name for comparisons: in lower case, without white space, underscores and hyphens.
#[must_use]
pub fn normalized(name: &str) -> String {
    let significant = name.chars().filter(|character| !character.is_whitespace() && !matches!(character, '_' | '-'));
    significant.flat_map(char::to_lowercase).collect()
}
