//! Splits a chunk into records, and CSV records into cells, in one pass.
//!
//! Promises: a quote that never closes, and text after a closing quote, are errors at their place; blank lines, and
//! lines whose cells are all empty, are lines, not records.

use memchr::memchr;

use super::byte_scan::Marks;
use super::chunks::{Chunk, LONGEST_RECORD};
use super::csv::{Cell, Quoting};
use super::error::InputError;

/// One record of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its first byte in the chunk.
    pub start: usize,
    /// Its end, before the line end.
    pub end: usize,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Whether it is longer than [`LONGEST_RECORD`]; the chunk holds at least its beginning.
    pub is_too_large: bool,
}

/// Iterates over records.
pub struct Cutter<'c> {
    chunk: &'c Chunk,
    /// Without one, a record is a line.
    delimiter: Option<u8>,
    /// The remaining delimiters, quotes and line ends.
    marks: Marks<'c, 3>,
    at: usize,
    line: u64,
    /// The file's name, for errors.
    name: &'c str,
}

impl<'c> Cutter<'c> {
    /// At the start of a chunk of the file `name`.
    #[must_use]
    pub fn new(chunk: &'c Chunk, delimiter: Option<u8>, name: &'c str) -> Cutter<'c> {
        let marks = Marks::new([delimiter.unwrap_or(b'\n'), b'"', b'\n'], &chunk.bytes);
        Cutter { chunk, delimiter, marks, at: 0, line: chunk.first_line, name }
    }

    /// The next record; its cells are put into `cells`, which is emptied first.
    ///
    /// # Errors
    /// If a quote is broken: nothing after it can be split.
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
                    let end = self.cut_cells(delimiter, cells)?;
                    let record = &self.chunk.bytes[start..end];
                    (end, may_be_blank(record, delimiter) && cells.iter().all(|cell| is_blank(&cell.bytes(record))))
                }
                None => {
                    let end = self.cut_line();
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
    pub fn place(&self) -> (usize, u64) {
        (self.at, self.line)
    }

    /// Where the record ends that begins here, its cells found.
    #[inline]
    fn cut_cells(&mut self, delimiter: u8, cells: &mut Vec<Cell>) -> Result<usize, InputError> {
        let bytes = self.chunk.bytes.as_slice();
        let (record, line) = (self.at, self.line);
        let mut start = record;
        let mut form = Quoting::Bare;
        loop {
            let mark = self.marks.next().unwrap_or(bytes.len());
            match bytes.get(mark) {
                Some(b'"') if mark == start => form = self.close(mark, record, line)?,
                Some(b'"') => {}
                Some(byte) if *byte == delimiter => {
                    cells.push(Cell { range: start - record..mark - record, form });
                    form = Quoting::Bare;
                    start = mark + 1;
                }
                _ => {
                    self.line += 1;
                    self.at = mark + 1;
                    let end = if mark > record && bytes[mark - 1] == b'\r' { mark - 1 } else { mark };
                    cells.push(Cell { range: start - record..end - record, form });
                    return Ok(end);
                }
            }
        }
    }

    /// Moves past the quote that closes the cell opened at `open`, in the record that begins at `record`; a delimiter
    /// or line end is next. Returns the cell's quoting.
    fn close(&mut self, open: usize, record: usize, line: u64) -> Result<Quoting, InputError> {
        let bytes = self.chunk.bytes.as_slice();
        let mut form = Quoting::Quoted;
        while let Some(mark) = self.marks.next() {
            match bytes[mark] {
                b'"' => match bytes[mark + 1..] {
                    [b'"', ..] => {
                        form = Quoting::Doubled;
                        self.marks.next();
                    }
                    [] | [b'\n' | b'\r'] | [b'\n', ..] | [b'\r', b'\n', ..] => return Ok(form),
                    [byte, ..] if Some(byte) == self.delimiter => return Ok(form),
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

    fn cut_line(&mut self) -> usize {
        let bytes = self.chunk.bytes.as_slice();
        let end = memchr(b'\n', &bytes[self.at..]).map_or(bytes.len(), |found| self.at + found);
        let start = self.at;
        self.line += 1;
        self.at = end + 1;
        if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end }
    }
}

/// Whether all cells of a record may be empty. Most records begin with a letter or a digit, so this looks no further.
#[inline]
fn may_be_blank(record: &[u8], delimiter: u8) -> bool {
    let is_filled = |first: &u8| first.is_ascii_graphic() && *first != b'"' && *first != delimiter;
    !record.first().is_some_and(is_filled)
}

/// Whether nothing but white space is there.
#[inline]
fn is_blank(bytes: &[u8]) -> bool {
    match bytes.trim_ascii() {
        [] => true,
        [..0x80, ..] => false,
        text => std::str::from_utf8(text).is_ok_and(|text| text.trim().is_empty()),
    }
}
