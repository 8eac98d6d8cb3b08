//! Cuts a stream into chunks of whole records, numbered by row and line.
//!
//! Promises: a chunk holds only whole records; a record longer than [`LONGEST_RECORD`] is read past and only its
//! beginning kept; rows and lines are counted as an editor counts them (blank lines are lines, not rows).

use std::io::Read;

use super::csv::{Opened, Scan, TextAfterQuote};
use super::error::InputError;
use crate::diagnostic::{Diagnostic, codes};

/// The longest record in bytes, without its line end: 1 MiB.
pub const LONGEST_RECORD: usize = 1024 * 1024;

/// How much of a longer record is kept, to show which one it is.
const KEPT_OF_LONGER: usize = 1024;

/// How many bytes are read before records are cut off: enough that threads seldom meet, little enough that many chunks
/// fit into memory.
pub(super) const CHUNK_SIZE: usize = 128 * 1024;

/// Some whole records.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The bytes of the records and of what lies between them.
    pub bytes: Vec<u8>,
    /// The records, blank lines left out.
    pub records: Vec<Record>,
    /// The row number of the first record.
    pub first_row: u64,
}

/// One record of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it begins in the chunk's bytes.
    pub start: usize,
    /// Where it ends, before its line end.
    pub end: usize,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Whether it is longer than [`LONGEST_RECORD`]; the chunk holds at least its beginning.
    pub is_too_large: bool,
}

/// How records end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a line end outside quotes; with the delimiter.
    Csv(u8),
    /// By a line end.
    Lines,
}

/// The stream and what was read of it and not given out.
pub(super) struct Records {
    name: String,
    reader: Box<dyn Read>,
    ended: bool,
    buffer: Vec<u8>,
    framing: Framing,
    line: u64,
    next_row: u64,
    chunk_size: usize,
}

impl Records {
    pub(super) fn new(name: &str, reader: Box<dyn Read>, chunk_size: usize) -> Records {
        Records {
            name: name.to_owned(),
            reader,
            ended: false,
            buffer: Vec::new(),
            framing: Framing::Lines,
            line: 1,
            next_row: 1,
            chunk_size,
        }
    }

    /// Says how records end, and the number of the first one (a header is row 0). Before the first chunk is taken.
    pub(super) fn frame(&mut self, framing: Framing, first_row: u64) {
        self.framing = framing;
        self.next_row = first_row;
    }

    /// The first bytes of the stream, at least `size` where there are so many.
    pub(super) fn peek(&mut self, size: usize) -> Result<&[u8], InputError> {
        self.fill(size)?;
        Ok(&self.buffer)
    }

    /// The next whole records; `None` at the end. `chunk` is used again, what was in it is lost.
    pub(super) fn next(&mut self, mut chunk: Chunk) -> Result<Option<Chunk>, InputError> {
        chunk.bytes.clear();
        chunk.records.clear();
        chunk.first_row = self.next_row;
        self.fill(self.chunk_size)?;
        let mut scan = Scan::default();
        let mut start = 0;
        loop {
            match self.end_of_record(&mut scan) {
                Ok(Some(end)) => {
                    self.push(&mut chunk, start, end);
                    self.pass(&mut scan)?;
                    start = end;
                }
                // What is whole is given out first; the next call meets the same again, at the start of the buffer.
                Ok(None) | Err(_) if start > 0 => break,
                Err(broken) => return Err(self.broken_quote(&broken)),
                Ok(None) if self.ended => {
                    if let Some(open) = scan.open {
                        return Err(self.unclosed_quote(open));
                    }
                    start = self.buffer.len();
                    self.push(&mut chunk, 0, start);
                    break;
                }
                Ok(None) if self.buffer.len() > LONGEST_RECORD + 2 => return self.skip(scan, chunk).map(Some),
                Ok(None) => self.fill(self.buffer.len() + self.chunk_size)?,
            }
        }
        if start == 0 {
            return Ok(None);
        }
        chunk.bytes.extend_from_slice(&self.buffer[start..]);
        std::mem::swap(&mut chunk.bytes, &mut self.buffer);
        chunk.bytes.truncate(start);
        Ok(Some(chunk))
    }

    /// Reads past a record that is too large, and gives out its beginning.
    fn skip(&mut self, mut scan: Scan, mut chunk: Chunk) -> Result<Chunk, InputError> {
        chunk.bytes.extend_from_slice(&self.buffer[..KEPT_OF_LONGER]);
        chunk.records.push(Record { start: 0, end: KEPT_OF_LONGER, line: self.line, is_too_large: true });
        self.next_row += 1;
        loop {
            self.buffer.drain(..scan.forget());
            self.fill(self.buffer.len() + self.chunk_size)?;
            match self.end_of_record(&mut scan) {
                Ok(Some(end)) => {
                    self.pass(&mut scan)?;
                    self.buffer.drain(..end);
                    return Ok(chunk);
                }
                Ok(None) if self.ended => {
                    self.buffer.clear();
                    return scan.open.map_or(Ok(chunk), |open| Err(self.unclosed_quote(open)));
                }
                Ok(None) => {}
                Err(broken) => {
                    self.line += scan.newlines;
                    return Err(self.broken_quote(&broken));
                }
            }
        }
    }

    fn end_of_record(&self, scan: &mut Scan) -> Result<Option<usize>, TextAfterQuote> {
        match self.framing {
            Framing::Csv(delimiter) => scan.end_of_record(&self.buffer, delimiter, self.ended),
            Framing::Lines => {
                let rest = self.buffer.get(scan.at..).unwrap_or_default();
                let end = memchr::memchr(b'\n', rest).map(|found| scan.at + found + 1);
                scan.at = end.unwrap_or(self.buffer.len());
                scan.newlines += u64::from(end.is_some());
                Ok(end)
            }
        }
    }

    /// Adds the record at `start..end` (its line end included), unless it is a blank line.
    fn push(&mut self, chunk: &mut Chunk, start: usize, end: usize) {
        let record = &self.buffer[start..end];
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        let is_blank = match self.framing {
            Framing::Csv(_) => record.is_empty(),
            Framing::Lines => record.trim_ascii().is_empty(),
        };
        if !is_blank {
            let is_too_large = record.len() > LONGEST_RECORD;
            chunk.records.push(Record { start, end: start + record.len(), line: self.line, is_too_large });
            self.next_row += 1;
        }
    }

    /// Counts the lines of the record that was found.
    fn pass(&mut self, scan: &mut Scan) -> Result<(), InputError> {
        self.line += std::mem::take(&mut scan.newlines);
        if self.line > u64::from(u32::MAX) {
            return Err(InputError::of_file(&codes::TOO_MANY_LINES, &self.name, codes::TOO_MANY_LINES.meaning));
        }
        Ok(())
    }

    /// Reads until the buffer holds `size` bytes or the stream ends.
    fn fill(&mut self, size: usize) -> Result<(), InputError> {
        let missing = size.saturating_sub(self.buffer.len());
        if self.ended || missing == 0 {
            return Ok(());
        }
        let read = self.reader.by_ref().take(missing as u64).read_to_end(&mut self.buffer);
        let read = read.map_err(|source| InputError::Unreadable { name: self.name.clone(), source })?;
        self.ended = read < missing;
        Ok(())
    }

    fn broken_quote(&self, TextAfterQuote(at): &TextAfterQuote) -> InputError {
        let message = "text follows a closing quote, so it is not known where the cell ends";
        let diagnostic = Diagnostic::new(&codes::TEXT_AFTER_QUOTE, &self.name, message);
        InputError::Invalid(vec![diagnostic.at(&self.buffer, self.line, *at..at + 1)])
    }

    fn unclosed_quote(&self, open: Opened) -> InputError {
        let message = "a quote opens here and never closes: the rest of the file would be one cell";
        let diagnostic = Diagnostic::new(&codes::UNCLOSED_QUOTE, &self.name, message);
        let line = self.line + open.newlines;
        InputError::Invalid(vec![match open.at {
            Some(at) => diagnostic.at(&self.buffer, self.line, at..at + 1),
            None => Diagnostic { line: Some(line), ..diagnostic },
        }])
    }
}
