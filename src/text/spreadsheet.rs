//! Escapes cells for spreadsheets, so that none runs as a formula.
//!
//! A spreadsheet may split a file at a different delimiter, or take a line end inside a cell for the end of a row. So a cell
//! can begin after each of these, and a `'` before its formula character makes it text there, too.
//!
//! Promises: [`unescape_formula`] reverses [`escape_formula`] for every text; a text that can't run is not changed.

use std::borrow::Cow;
use std::iter;

/// A spreadsheet may begin a cell after these bytes: common delimiters and line ends.
const BREAKS: [u8; 6] = *b",;\t|\r\n";

/// Whether a cell must be quoted, whatever the delimiter: it contains a common delimiter, a line end or a quote.
#[must_use]
pub fn needs_quotes(cell: &[u8]) -> bool {
    cell.iter().any(|byte| *byte == b'"' || BREAKS.contains(byte))
}

/// A cell of a file that a spreadsheet may open, with a `'` before each formula character that could begin a cell.
#[must_use]
pub fn escape_formula(cell: &str) -> Cow<'_, str> {
    as_text(escape_formula_bytes(cell.as_bytes().into()))
}

/// Reverses [`escape_formula`].
#[must_use]
pub fn unescape_formula(cell: &str) -> Cow<'_, str> {
    as_text(unescape_formula_bytes(cell.as_bytes()))
}

/// [`escape_formula`] for bytes that may not be UTF-8.
#[must_use]
pub fn escape_formula_bytes(cell: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let mut formulas = starts(&cell).filter(|at| is_formula(&cell[*at..], *at == 0)).peekable();
    if formulas.peek().is_none() {
        drop(formulas);
        return cell;
    }
    let mut escaped = Vec::with_capacity(cell.len() + 8);
    let mut copied = 0;
    for at in formulas {
        escaped.extend_from_slice(&cell[copied..at]);
        escaped.push(b'\'');
        copied = at;
    }
    escaped.extend_from_slice(&cell[copied..]);
    Cow::Owned(escaped)
}

/// [`unescape_formula`] for bytes that may not be UTF-8.
#[must_use]
pub fn unescape_formula_bytes(cell: &[u8]) -> Cow<'_, [u8]> {
    let is_escaped = |at: &usize| cell.get(*at) == Some(&b'\'') && is_formula(&cell[at + 1..], *at == 0);
    let mut plain = Vec::new();
    let mut copied = 0;
    for at in starts(cell).filter(is_escaped) {
        plain.extend_from_slice(&cell[copied..at]);
        copied = at + 1;
    }
    if copied == 0 {
        return Cow::Borrowed(cell);
    }
    plain.extend_from_slice(&cell[copied..]);
    Cow::Owned(plain)
}

fn as_text(cell: Cow<'_, [u8]>) -> Cow<'_, str> {
    match cell {
        Cow::Borrowed(cell) => str::from_utf8(cell).map(Cow::Borrowed),
        Cow::Owned(cell) => String::from_utf8(cell).map(Cow::Owned).map_err(|error| error.utf8_error()),
    }
    .expect("adding or removing a `'` keeps UTF-8 valid")
}

/// The positions at which a spreadsheet may begin a cell.
fn starts(cell: &[u8]) -> impl Iterator<Item = usize> {
    iter::once(0).chain(cell.iter().enumerate().filter(|(_, byte)| BREAKS.contains(byte)).map(|(at, _)| at + 1))
}

/// Whether a spreadsheet may run a cell that begins here: it has a formula character after any number of quotes. All
/// quotes count, including one that the program wrote, so that removing one always restores the text. A line end counts
/// only at the start of the whole cell; elsewhere it begins the next line, which is examined by itself.
fn is_formula(cell: &[u8], is_first: bool) -> bool {
    let quotes = cell.iter().take_while(|byte| matches!(byte, b'\'' | b'"')).count();
    match &cell[quotes..] {
        [b'\r', b'\n', ..] | [b'\n', ..] => is_first,
        // The second pattern is `＝`, `＋`, `－` and `＠`.
        [b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r', ..] | [0xef, 0xbc, 0x9d | 0x8b | 0x8d | 0xa0, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_formulas_are_escaped() {
        for formula in ["=1+1", "+1", "-1", "@SUM", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠1", "'=1", "'''-x"]
        {
            assert_eq!(escape_formula(formula), format!("'{formula}"));
        }
        for plain in ["", "a=1", "'", "'quoted'", " =1", "1-2", "x; =1", "a\r\nb\n\nc", "a,b|c;d", "x;", "\"", "5\" x"]
        {
            assert_eq!(escape_formula(plain), plain);
            assert_eq!(unescape_formula(plain), plain);
        }
    }

    #[test]
    fn formula_after_delimiter_or_line_end_is_escaped() {
        for (cell, escaped) in [
            ("x;=1+1", "x;'=1+1"),
            ("x\t=1+1", "x\t'=1+1"),
            ("x,@A1|+2", "x,'@A1|'+2"),
            ("x\n-1\r\n=2\r+3", "x\n'-1\r\n'=2\r'+3"),
            ("x;;＝1", "x;;'＝1"),
            ("x;\t=1", "x;'\t'=1"),
            ("x;\"=1", "x;'\"=1"),
            ("x;'=1", "x;''=1"),
            ("=a;=b", "'=a;'=b"),
        ] {
            assert_eq!(escape_formula(cell), escaped);
            assert_eq!(unescape_formula(escaped), cell);
        }
        assert_eq!(*escape_formula_bytes(b"\xff;=\xff"[..].into()), b"\xff;'=\xff"[..]);
    }

    proptest! {
        #[test]
        fn escaped_cell_round_trips(cell in "(['\"=+@＝－\\-\t\r\n,;|]|\\PC){0,12}") {
            let escaped = escape_formula(&cell);
            prop_assert_eq!(unescape_formula(&escaped), cell.as_str());
            prop_assert!(!escaped.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']));
            // Without its quotes, whichever of them a spreadsheet heeds, no part of it begins with a sign.
            let parts = escaped.split([',', ';', '\t', '|', '\r', '\n']).map(|part| part.trim_start_matches('"'));
            for part in parts {
                prop_assert!(!part.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']), "{:?}", escaped);
            }
        }
    }
}
