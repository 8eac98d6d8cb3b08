//! Splits a stream into chunks of whole records, numbered by row and line.
//!
//! Promises: a chunk has only complete records; a record longer than [`LONGEST_RECORD`] is skipped, and only its beginning
//! is kept; lines are counted as an editor counts them (blank lines are lines, but not rows).

use std::io::Read;
use std::ops::Range;

use super::csv::{Scan, TextAfterQuote, last_end};
use super::error::InputError;
use crate::model::diagnostic::codes;

/// The longest record in bytes, without its line end: 1 MiB.
pub const LONGEST_RECORD: usize = 1024 * 1024;

/// How much of a longer record is kept, to identify it.
const KEPT_OF_LONGER: usize = 1024;

/// The size of a chunk in bytes: large enough that threads seldom wait for each other, small enough that many chunks fit
/// into memory.
pub(super) const CHUNK_SIZE: usize = 128 * 1024;

/// Some complete records; [`RecordSplitter`](super::RecordSplitter) splits them.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The records, with their line ends.
    pub bytes: Vec<u8>,
    /// The line on which they begin, counted from 1.
    pub first_line: u64,
    /// Whether this is the beginning of a record that is longer than [`LONGEST_RECORD`].
    pub is_too_large: bool,
}

/// How records end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a line end outside quotes. The value is the delimiter.
    Csv(u8),
    /// By any line end.
    Lines,
}

/// The stream, and the bytes that were read but not returned.
pub(super) struct Records {
    name: String,
    reader: Box<dyn Read + Send>,
    ended: bool,
    buffer: Vec<u8>,
    framing: Framing,
    line: u64,
    chunk_size: usize,
    /// The ranges outside quotes, while a chunk is split.
    outside: Vec<Range<usize>>,
}

impl Records {
    pub(super) fn new(name: &str, reader: Box<dyn Read + Send>, chunk_size: usize) -> Records {
        Records {
            name: name.to_owned(),
            reader,
            ended: false,
            buffer: Vec::new(),
            framing: Framing::Lines,
            line: 1,
            chunk_size,
            outside: Vec::new(),
        }
    }

    /// Sets how records end. Call it before the first chunk is taken.
    pub(super) fn frame(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// The first bytes of the stream: at least `size`, or all of it.
    pub(super) fn peek(&mut self, size: usize) -> Result<&[u8], InputError> {
        self.fill(size)?;
        Ok(&self.buffer)
    }

    /// Skips peeked bytes, and counts the line ends in them.
    pub(super) fn skip_peeked(&mut self, bytes: usize, lines: u64) -> Result<(), InputError> {
        self.buffer.drain(..bytes);
        self.count_lines(lines)
    }

    /// The next whole records; `None` at the end. Reuses `chunk`, whose content is lost.
    pub(super) fn next(&mut self, mut chunk: Chunk) -> Result<Option<Chunk>, InputError> {
        chunk.bytes.clear();
        chunk.first_line = self.line;
        chunk.is_too_large = false;
        self.fill(self.chunk_size)?;
        let end = loop {
            let end = match self.framing {
                Framing::Csv(delimiter) => last_end(&self.buffer, delimiter, &mut self.outside),
                Framing::Lines => memchr::memrchr(b'\n', &self.buffer).map(|found| found + 1),
            };
            match end {
                Some(end) => break end,
                None if self.buffer.len() > LONGEST_RECORD + 2 => return self.skip(chunk).map(Some),
                None if self.ended => break self.buffer.len(),
                None => self.fill(self.buffer.len() + self.chunk_size)?,
            }
        };
        if end == 0 {
            return Ok(None);
        }
        chunk.bytes.extend_from_slice(&self.buffer[end..]);
        std::mem::swap(&mut chunk.bytes, &mut self.buffer);
        chunk.bytes.truncate(end);
        self.count_lines(memchr::memchr_iter(b'\n', &chunk.bytes).count() as u64)?;
        Ok(Some(chunk))
    }

    /// Skips a record that is too large, and returns its beginning.
    fn skip(&mut self, mut chunk: Chunk) -> Result<Chunk, InputError> {
        chunk.bytes.extend_from_slice(&self.buffer[..KEPT_OF_LONGER]);
        chunk.is_too_large = true;
        let mut scan = Scan::default();
        loop {
            match self.end_of_record(&mut scan) {
                Ok(Some(end)) => {
                    self.count_lines(scan.newlines)?;
                    self.buffer.drain(..end);
                    return Ok(chunk);
                }
                Ok(None) if self.ended => {
                    self.buffer.clear();
                    let open = scan.open.map(|open| self.line + open.newlines);
                    return open.map_or(Ok(chunk), |line| Err(InputError::unclosed_quote_on(&self.name, line)));
                }
                Ok(None) => {
                    self.buffer.drain(..scan.forget());
                    self.fill(self.buffer.len() + self.chunk_size)?;
                }
                Err(TextAfterQuote(at)) => {
                    let line = self.line + scan.newlines;
                    return Err(InputError::text_after_quote(&self.name, &self.buffer, line, at));
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

    fn count_lines(&mut self, newlines: u64) -> Result<(), InputError> {
        self.line += newlines;
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
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::RecordSplitter;
    use super::*;
    use proptest::prelude::*;

    /// Each record's row, line and text; then the code and place of the error, if it ended with one.
    type Cut = (Vec<(u64, u64, String)>, Option<(&'static str, Option<u64>, Option<u64>)>);

    fn cut(bytes: &[u8], chunk_size: usize, framing: Framing) -> Cut {
        let mut records = Records::new("f", Box::new(io::Cursor::new(bytes.to_vec())), chunk_size);
        records.frame(framing);
        let mut found = Vec::new();
        match cut_all(&mut records, &mut found) {
            Ok(()) => (found, None),
            Err(InputError::Invalid(wrong)) => (found, Some((wrong[0].code, wrong[0].line, wrong[0].column))),
            Err(error) => panic!("{error}"),
        }
    }

    fn cut_all(records: &mut Records, found: &mut Vec<(u64, u64, String)>) -> Result<(), InputError> {
        let delimiter = match records.framing {
            Framing::Csv(delimiter) => Some(delimiter),
            Framing::Lines => None,
        };
        while let Some(chunk) = records.next(Chunk::default())? {
            let mut splitter = RecordSplitter::new(&chunk, delimiter, "f");
            while let Some(record) = splitter.next(&mut Vec::new())? {
                let text = String::from_utf8_lossy(&chunk.bytes[record.start..record.end]);
                found.push((found.len() as u64 + 1, record.line, text.into_owned()));
            }
        }
        Ok(())
    }

    fn csv(text: &str) -> Cut {
        cut(text.as_bytes(), 64, Framing::Csv(b','))
    }

    #[test]
    fn rows_and_lines_are_counted_separately() {
        let (records, error) = csv("a,b\r\n\n1,\"x\ny\"\n2,5\" disk\r\n\r\n3,z");
        let records: Vec<_> = records.iter().map(|(row, line, text)| (*row, *line, text.as_str())).collect();
        assert_eq!(records, [(1, 1, "a,b"), (2, 3, "1,\"x\ny\""), (3, 5, "2,5\" disk"), (4, 7, "3,z")]);
        assert_eq!(error, None);
    }

    #[test]
    fn broken_quote_is_reported_after_earlier_rows() {
        let (records, error) = csv("a,b\n1,x\n2,\"open\n3,y\n4,z\n");
        assert_eq!(records.len(), 2);
        assert_eq!(error, Some(("unclosed-quote", Some(3), Some(3))));
        let (records, error) = csv("a,b\n1,\"He said \"hello\" to me\"\n2,y\n");
        assert_eq!(records.len(), 1);
        assert_eq!(error, Some(("text-after-quote", Some(2), Some(13))));
        assert_eq!(csv("a\n\"x\"\r\n\"y\"\r").1, None);
        assert_eq!(csv("a\n\"x\"\ry\n").1, Some(("text-after-quote", Some(2), Some(4))));
    }

    #[test]
    fn oversized_record_is_skipped() {
        let cell = "x\n\"\"".repeat(LONGEST_RECORD / 4 * 10);
        let text = format!("a,b\n1,\"{cell}\"\n2,y\n3,z\n");
        let (records, error) = cut(text.as_bytes(), CHUNK_SIZE, Framing::Csv(b','));
        let lines: Vec<_> = records.iter().map(|(row, line, _)| (*row, *line)).collect();
        let after = 2 + (LONGEST_RECORD as u64 / 4 * 10) + 1;
        assert_eq!(lines, [(1, 1), (2, 2), (3, after), (4, after + 1)]);
        assert_eq!(records[1].2.len(), KEPT_OF_LONGER);
        assert_eq!(error, None);

        let unclosed = format!("a,b\n1,x\n2,\"{}\n", "y".repeat(3 * LONGEST_RECORD));
        let (records, error) = cut(unclosed.as_bytes(), CHUNK_SIZE, Framing::Csv(b','));
        assert_eq!(records.len(), 2);
        assert_eq!(error.map(|(code, line, _)| (code, line)), Some(("unclosed-quote", Some(3))));

        let line = format!("{}\n{{}}\n", "z".repeat(2 * LONGEST_RECORD));
        assert_eq!(cut(line.as_bytes(), CHUNK_SIZE, Framing::Lines).0[1], (2, 2, "{}".to_owned()));
    }

    #[test]
    fn longest_record_passes_one_byte_more_fails() {
        for (length, is_too_large) in [(LONGEST_RECORD, false), (LONGEST_RECORD + 1, true), (LONGEST_RECORD + 2, true)]
        {
            for end in ["", "\n", "\r\n", "\r\n1\n"] {
                let text = "x".repeat(length) + end;
                let mut records = Records::new("f", Box::new(io::Cursor::new(text)), CHUNK_SIZE);
                records.frame(Framing::Csv(b','));
                let chunk = records.next(Chunk::default()).expect("no quotes").expect("a record");
                let record = RecordSplitter::new(&chunk, Some(b','), "f").next(&mut Vec::new()).expect("no quotes");
                assert_eq!(record.map(|record| record.is_too_large), Some(is_too_large), "{length} {end:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn chunk_size_makes_no_difference(
            text in "[a\",\r\n]{0,60}", chunk_size in 1_usize..9, is_csv in any::<bool>(),
        ) {
            let framing = if is_csv { Framing::Csv(b',') } else { Framing::Lines };
            prop_assert_eq!(cut(text.as_bytes(), chunk_size, framing), cut(text.as_bytes(), 1000, framing));
        }

        #[test]
        fn valid_files_split_like_the_csv_crate(
            rows in prop::collection::vec((prop::collection::vec("[ab\",;\r\n ü]{0,5}", 2..4), 0_usize..3, "\r?\n"), 0..8),
            chunk_size in 1_usize..40,
        ) {
            let mut text = Vec::new();
            for (cells, blank_lines, line_end) in &rows {
                text.extend(super::super::csv::join(cells.iter().map(String::as_str), ','));
                text.extend(line_end.as_bytes());
                text.extend(line_end.repeat(*blank_lines).as_bytes());
            }
            let (found, error) = cut(&text, chunk_size, Framing::Csv(b','));
            prop_assert_eq!(error, None);
            let found: Vec<Vec<String>> = found.iter().map(|(_, _, record)| {
                super::super::csv::texts(record, ',').into_iter().map(std::borrow::Cow::into_owned).collect()
            }).collect();
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_slice());
            let expected: Vec<Vec<String>> = reader.records()
                .map(|record| record.expect("text").iter().map(str::to_owned).collect())
                .filter(|cells: &Vec<String>| cells.iter().any(|cell| !cell.trim().is_empty()))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
