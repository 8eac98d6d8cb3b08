//! CSV records: finds their ends and cells, and writes them.
//!
//! Follows RFC 4180, and is strict where leniency would hide rows. A quote opens a cell if it follows a delimiter, a line end
//! or the start of the file; elsewhere outside quotes it is text. Inside quotes, a quote is doubled, or it closes the cell
//! before a delimiter or line end. Anything else is an error at its position.

use std::borrow::Cow;
use std::iter;
use std::ops::Range;

use super::byte_scan::ByteScan;
use crate::text::needs_quotes;
use bumpalo::Bump;
use memchr::{memchr, memchr_iter, memchr2, memrchr};

/// Searches for the end of a record. If it needs more bytes, it continues where it stopped.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The next byte to examine.
    pub(super) at: usize,
    /// The quote that is open.
    pub(super) open: Option<Opened>,
    /// The line ends so far, including those inside quotes.
    pub(super) newlines: u64,
}

/// The end of the last complete record of `bytes` (just after its line end). `bytes` begin with a record. Only finds quotes
/// and doesn't check what follows a closing quote: the record splitter does. `outside` is a buffer to reuse.
pub(super) fn last_end(bytes: &[u8], delimiter: u8, outside: &mut Vec<Range<usize>>) -> Option<usize> {
    outside.clear();
    let mut quotes = ByteScan::new([b'"'], bytes);
    let mut closed = 0;
    'outside: while let Some(open) = quotes.next() {
        if open > 0 && bytes[open - 1] != delimiter && bytes[open - 1] != b'\n' {
            continue;
        }
        outside.push(closed..open);
        closed = bytes.len();
        while let Some(quote) = quotes.next() {
            if bytes.get(quote + 1) != Some(&b'"') {
                closed = quote + 1;
                continue 'outside;
            }
            quotes.next();
        }
    }
    outside.push(closed..bytes.len());
    let newline = |part: &Range<usize>| memrchr(b'\n', &bytes[part.clone()]).map(|at| part.start + at + 1);
    outside.iter().rev().find_map(newline)
}

/// A quote that opened a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// Its position; `None` once its bytes are gone.
    pub(super) at: Option<usize>,
    /// The line ends before it in its record.
    pub(super) newlines: u64,
}

/// Text after a closing quote, at this byte.
#[derive(Debug)]
pub(super) struct TextAfterQuote(pub(super) usize);

impl Scan {
    /// The end of the record in `bytes` (just after its line end). `bytes` begin with the record, or with what
    /// [`Scan::forget`] left of it. `None`: more bytes are needed, or, if `ended`, there is no line end.
    pub(super) fn end_of_record(
        &mut self,
        bytes: &[u8],
        delimiter: u8,
        ended: bool,
    ) -> Result<Option<usize>, TextAfterQuote> {
        while let Some(found) = memchr2(b'"', b'\n', bytes.get(self.at..).unwrap_or_default()) {
            let found = self.at + found;
            if bytes[found] == b'\n' {
                self.newlines += 1;
                self.at = found + 1;
                if self.open.is_none() {
                    return Ok(Some(self.at));
                }
            } else if self.open.is_none() {
                let opens = found == 0 || bytes[found - 1] == delimiter || bytes[found - 1] == b'\n';
                self.open = opens.then_some(Opened { at: Some(found), newlines: self.newlines });
                self.at = found + 1;
            } else {
                match bytes[found + 1..] {
                    [b'"', ..] => self.at = found + 2,
                    [byte, ..] if byte == delimiter || byte == b'\n' => self.close(found),
                    [b'\r', b'\n', ..] => self.close(found),
                    [] | [b'\r'] if ended => self.close(found),
                    [] | [b'\r'] => {
                        self.at = found;
                        return Ok(None);
                    }
                    _ => return Err(TextAfterQuote(found + 1)),
                }
            }
        }
        self.at = bytes.len();
        Ok(None)
    }

    fn close(&mut self, quote: usize) {
        self.open = None;
        self.at = quote + 1;
    }

    /// The number of bytes at the front that are no longer needed, which the caller must drop. The last examined byte is
    /// still needed: it decides whether the next quote opens a cell.
    pub(super) fn forget(&mut self) -> usize {
        let gone = self.at.saturating_sub(1);
        self.at -= gone;
        if let Some(open) = &mut self.open {
            open.at = None;
        }
        gone
    }
}

/// A cell, by its position in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The cell's bytes in the record, including its quotes.
    pub range: Range<usize>,
    pub(super) quoting: Quoting,
}

/// The quoting of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// Without quotes.
    Bare,
    /// In quotes.
    Quoted,
    /// In quotes, with doubled quotes inside.
    Doubled,
}

impl Cell {
    /// The cell's text in its record.
    #[must_use]
    pub fn text<'r>(&self, record: &'r str) -> Cow<'r, str> {
        let written = self.written(record);
        if self.quoting != Quoting::Doubled {
            return Cow::Borrowed(written);
        }
        let mut text = String::with_capacity(written.len());
        undoubled(written, |part| text.push_str(part));
        Cow::Owned(text)
    }

    /// The same; if it contains doubled quotes, the text is written into `arena`.
    #[inline]
    #[must_use]
    pub fn text_in<'r>(&self, record: &'r str, arena: &'r Bump) -> &'r str {
        let written = self.written(record);
        if self.quoting == Quoting::Doubled { undoubled_in(written, arena) } else { written }
    }

    /// The cell's content, in a record that may not be UTF-8.
    #[must_use]
    pub fn bytes<'r>(&self, record: &'r [u8]) -> Cow<'r, [u8]> {
        let whole = &record[self.range.clone()];
        if self.quoting == Quoting::Bare {
            return Cow::Borrowed(whole);
        }
        let inner = whole[1..].strip_suffix(b"\"").unwrap_or(&whole[1..]);
        if self.quoting == Quoting::Quoted {
            return Cow::Borrowed(inner);
        }
        let mut content = Vec::with_capacity(inner.len());
        let mut rest = inner;
        while let Some(quote) = memchr(b'"', rest) {
            content.extend_from_slice(&rest[..=quote]);
            // Skips the second quote.
            rest = rest.get(quote + 2..).unwrap_or_default();
        }
        content.extend_from_slice(rest);
        Cow::Owned(content)
    }

    /// The cell without its outer quotes. The closing quote may be missing from the beginning of a record that was too large.
    #[inline]
    fn written<'r>(&self, record: &'r str) -> &'r str {
        if self.quoting == Quoting::Bare {
            return &record[self.range.clone()];
        }
        let inner = &record[self.range.start + 1..self.range.end];
        inner.strip_suffix('"').unwrap_or(inner)
    }

    /// Whether the cell is in quotes.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        self.quoting != Quoting::Bare
    }

    /// Whether the cell is closed by a quote, with nothing after it; or has no quotes and no carriage return.
    #[must_use]
    pub fn is_well_formed(&self, record: &[u8]) -> bool {
        let whole = &record[self.range.clone()];
        if self.quoting == Quoting::Bare {
            return !whole.contains(&b'\r');
        }
        quoted_length(whole).0 == whole.len() && memchr_iter(b'"', whole).count().is_multiple_of(2)
    }
}

/// Passes the parts of a text to `give`, which together have one quote for each doubled one.
#[inline]
fn undoubled<'r>(mut rest: &'r str, mut give: impl FnMut(&'r str)) {
    while let Some(quote) = memchr(b'"', rest.as_bytes()) {
        give(&rest[..=quote]);
        let after = &rest[quote + 1..];
        rest = after.strip_prefix('"').unwrap_or(after);
    }
    give(rest);
}

fn undoubled_in<'r>(written: &str, arena: &'r Bump) -> &'r str {
    let mut text = bumpalo::collections::String::with_capacity_in(written.len(), arena);
    undoubled(written, |part| text.push_str(part));
    text.into_bump_str()
}

/// Puts the cells of a record (without its line end) into `cells`, which is cleared first. Text after a closing quote,
/// which is an error elsewhere, becomes part of the cell.
pub fn split(record: &[u8], delimiter: u8, cells: &mut Vec<Cell>) {
    cells.clear();
    let mut delimiters = memchr_iter(delimiter, record);
    let mut start = 0;
    loop {
        let (length, quoting) = match record.get(start) {
            Some(b'"') => quoted_length(&record[start..]),
            _ => (0, Quoting::Bare),
        };
        // Skips delimiters inside quotes.
        let end = delimiters.find(|at| *at >= start + length).unwrap_or(record.len());
        cells.push(Cell { range: start..end, quoting });
        start = end + 1;
        if start > record.len() {
            return;
        }
    }
}

/// The length of the quoted cell at the start of `rest`, and its quoting.
fn quoted_length(rest: &[u8]) -> (usize, Quoting) {
    let mut at = 1;
    let mut quoting = Quoting::Quoted;
    while let Some(found) = memchr(b'"', &rest[at..]) {
        at += found + 1;
        if rest.get(at) != Some(&b'"') {
            return (at, quoting);
        }
        quoting = Quoting::Doubled;
        at += 1;
    }
    (rest.len(), quoting)
}

/// The cells of a record as texts.
#[must_use]
pub fn texts(record: &str, delimiter: char) -> Vec<Cow<'_, str>> {
    let mut cells = Vec::new();
    split(record.as_bytes(), delimiter_byte(delimiter), &mut cells);
    cells.iter().map(|cell| cell.text(record)).collect()
}

/// Joins cells to a record, without a line end. A cell that contains any common delimiter is quoted, because its reader may
/// split at a different one.
#[must_use]
pub fn join(cells: impl IntoIterator<Item = impl AsRef<[u8]>>, delimiter: char) -> Vec<u8> {
    let mut record = Vec::new();
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            record.push(delimiter_byte(delimiter));
        }
        let cell = cell.as_ref();
        if !needs_quotes(cell) {
            record.extend_from_slice(cell);
            continue;
        }
        record.push(b'"');
        for byte in cell {
            record.extend(iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
        }
        record.push(b'"');
    }
    record
}

/// A delimiter as a byte: it is a comma, a semicolon or a tab.
#[must_use]
pub fn delimiter_byte(delimiter: char) -> u8 {
    u8::try_from(delimiter).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_are_found_with_their_positions() {
        let record = "7,\"a, \"\"b\"\"\",,5\" disk";
        assert_eq!(texts(record, ','), ["7", "a, \"b\"", "", "5\" disk"]);
        let mut cells = Vec::new();
        split(record.as_bytes(), b',', &mut cells);
        assert_eq!(cells.iter().map(|cell| cell.range.clone()).collect::<Vec<_>>(), [0..1, 2..12, 13..13, 14..21]);
        assert_eq!(texts("", ','), [""]);
        assert_eq!(texts("a;", ';'), ["a", ""]);
        assert_eq!(texts("\"a\",", ','), ["a", ""]);
        assert_eq!(texts("\"a\"é,b", ','), ["a\"é", "b"], "text after a quote is no end");
    }

    proptest! {
        #[test]
        fn joined_cells_split_into_the_same(cells in prop::collection::vec("[a\",;\t\r\n ü]{0,6}", 1..6)) {
            for delimiter in [',', ';', '\t'] {
                let record = join(cells.iter().map(String::as_str), delimiter);
                let record = String::from_utf8(record).expect("made of texts");
                let split: Vec<_> = texts(&record, delimiter).into_iter().map(Cow::into_owned).collect();
                prop_assert_eq!(&split, &cells);
            }
        }

        #[test]
        fn any_bytes_can_be_split(record in "[a\",]{0,20}") {
            let cells = texts(&record, ',');
            prop_assert!(!cells.is_empty());
        }
    }
}
