//! Splits a chunk into records, and CSV records into cells, in one pass.
//!
//! Promises: an unclosed quote, and text after a closing quote, are errors at their position; blank lines, and lines with
//! only empty cells, are lines but not records.

use memchr::memchr;

use super::byte_scan::ByteScan;
use super::chunks::{Chunk, LONGEST_RECORD};
use super::csv::{Cell, Quoting};
use super::error::InputError;

/// A record of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The first byte, as an offset in the chunk.
    pub start: usize,
    /// The end, before the line end, as an offset in the chunk.
    pub end: usize,
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// Whether it is longer than [`LONGEST_RECORD`]. The chunk has at least its beginning.
    pub is_too_large: bool,
}

/// Iterates over records.
pub struct RecordSplitter<'c> {
    chunk: &'c Chunk,
    /// `None` if every line is a record.
    delimiter: Option<u8>,
    /// The remaining delimiters, quotes and line ends.
    marks: ByteScan<'c, 3>,
    at: usize,
    line: u64,
    /// The file's name, for errors.
    name: &'c str,
}

impl<'c> RecordSplitter<'c> {
    /// At the start of a chunk of the file `name`.
    #[must_use]
    pub fn new(chunk: &'c Chunk, delimiter: Option<u8>, name: &'c str) -> RecordSplitter<'c> {
        let marks = ByteScan::new([delimiter.unwrap_or(b'\n'), b'"', b'\n'], &chunk.bytes);
        RecordSplitter { chunk, delimiter, marks, at: 0, line: chunk.first_line, name }
    }

    /// The next record. Its cells are put into `cells`, which is cleared first.
    ///
    /// # Errors
    /// If a quote is broken. The rest can't be split then.
    #[inline]
    pub fn next(&mut self, cells: &mut Vec<Cell>) -> Result<Option<Record>, InputError> {
        while self.at < self.chunk.bytes.len() {
            cells.clear();
            let (start, line) = (self.at, self.line);
            let (end, is_blank) = match self.delimiter {
                _ if self.chunk.is_too_large => {
                    self.at = self.chunk.bytes.len();
                    (self.at, false)
                }
                Some(delimiter) => {
                    let end = self.split_cells(delimiter, cells)?;
                    let record = &self.chunk.bytes[start..end];
                    (end, may_be_blank(record, delimiter) && cells.iter().all(|cell| is_blank(&cell.bytes(record))))
                }
                None => {
                    let end = self.split_line();
                    (end, self.chunk.bytes[start..end].trim_ascii().is_empty())
                }
            };
            if !is_blank {
                let is_too_large = self.chunk.is_too_large || end - start > LONGEST_RECORD;
                return Ok(Some(Record { start, end, line, is_too_large }));
            }
        }
        Ok(None)
    }

    /// The byte and line of the next record.
    #[must_use]
    pub fn position(&self) -> (usize, u64) {
        (self.at, self.line)
    }

    /// Finds the cells of the record that begins here. Returns its end.
    #[inline]
    fn split_cells(&mut self, delimiter: u8, cells: &mut Vec<Cell>) -> Result<usize, InputError> {
        let bytes = self.chunk.bytes.as_slice();
        let (record, line) = (self.at, self.line);
        let mut start = record;
        let mut quoting = Quoting::Bare;
        loop {
            let mark = self.marks.next().unwrap_or(bytes.len());
            match bytes.get(mark) {
                Some(b'"') if mark == start => quoting = self.close(mark, record, line)?,
                Some(b'"') => {}
                Some(byte) if *byte == delimiter => {
                    cells.push(Cell { range: start - record..mark - record, quoting });
                    quoting = Quoting::Bare;
                    start = mark + 1;
                }
                _ => {
                    self.line += 1;
                    self.at = mark + 1;
                    let end = if mark > record && bytes[mark - 1] == b'\r' { mark - 1 } else { mark };
                    cells.push(Cell { range: start - record..end - record, quoting });
                    return Ok(end);
                }
            }
        }
    }

    /// Finds the quote that closes the cell opened at `open`, in the record that begins at `record`. A delimiter or line end
    /// must follow. Returns the cell's quoting.
    fn close(&mut self, open: usize, record: usize, line: u64) -> Result<Quoting, InputError> {
        let bytes = self.chunk.bytes.as_slice();
        let mut quoting = Quoting::Quoted;
        while let Some(mark) = self.marks.next() {
            match bytes[mark] {
                b'"' => match bytes[mark + 1..] {
                    [b'"', ..] => {
                        quoting = Quoting::Doubled;
                        self.marks.next();
                    }
                    [] | [b'\n' | b'\r'] | [b'\n', ..] | [b'\r', b'\n', ..] => return Ok(quoting),
                    [byte, ..] if Some(byte) == self.delimiter => return Ok(quoting),
                    _ => {
                        let at = mark + 1 - record;
                        return Err(InputError::text_after_quote(self.name, &bytes[record..], line, at));
                    }
                },
                b'\n' => self.line += 1,
                _ => {}
            }
        }
        Err(InputError::unclosed_quote(self.name, &bytes[record..], line, open - record))
    }

    fn split_line(&mut self) -> usize {
        let bytes = self.chunk.bytes.as_slice();
        let end = memchr(b'\n', &bytes[self.at..]).map_or(bytes.len(), |found| self.at + found);
        let start = self.at;
        self.line += 1;
        self.at = end + 1;
        if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end }
    }
}

/// Whether all cells of a record may be empty. A quick test: most records begin with a letter or a digit.
#[inline]
fn may_be_blank(record: &[u8], delimiter: u8) -> bool {
    let is_filled = |first: &u8| first.is_ascii_graphic() && *first != b'"' && *first != delimiter;
    !record.first().is_some_and(is_filled)
}

/// Whether there is only white space.
#[inline]
fn is_blank(bytes: &[u8]) -> bool {
    match bytes.trim_ascii() {
        [] => true,
        [..0x80, ..] => false,
        text => std::str::from_utf8(text).is_ok_and(|text| text.trim().is_empty()),
    }
}
