//! Checks one chunk: its rows one by one, by one thread.

use bumpalo::Bump;

use super::checker::{CheckedChunk, Checker, Rare};
use super::columns::Role;
use super::row::{ParsedRow, own_cells};
use super::validate::NumberedRecord;
use super::value::Problem;
use crate::input::csv::Cell;
use crate::input::{Chunk, INCIDENT_ID, Record, RecordSplitter, advice_for_encoding};
use crate::model::diagnostic::codes;

impl Checker<'_> {
    /// Checks a chunk. Of the rows that are not skipped, only the first `limit` are the run.
    pub(super) fn check(&self, chunk: Chunk, limit: u64) -> CheckedChunk {
        let mut checked = CheckedChunk {
            diagnostics: Vec::new(),
            rows: Vec::new(),
            seen: Vec::new(),
            overridden: vec![0; self.contract.properties.len()],
            read: 0,
            valid: 0,
            skipped: 0,
            taken: 0,
            sendable: 0,
            nothing_asked: 0,
            last_selected: 0,
            broken: None,
            chunk: Chunk::default(),
        };
        let text = std::str::from_utf8(&chunk.bytes).ok();
        let rare = Rare::of(&chunk.bytes);
        let has_replaced = self.is_utf16 && text.is_some_and(|text| text.contains('\u{fffd}'));
        let mut cells = Vec::new();
        let arena = Bump::new();
        let mut reading = ParsedRow::new(&self.set, &arena);
        let mut splitter = RecordSplitter::new(&chunk, self.delimiter, &self.file);
        loop {
            let record = match splitter.next(&mut cells) {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(broken) => {
                    checked.broken = Some(broken);
                    break;
                }
            };
            checked.read += 1;
            reading.reset();
            let bytes = &chunk.bytes[record.start..record.end];
            let text = match text {
                Some(text) => text.get(record.start..record.end),
                None => std::str::from_utf8(bytes).ok(),
            };
            match text {
                _ if record.is_too_large => {
                    let message = "the record is longer than 1 MiB";
                    reading.tell(Problem::new(&codes::ROW_TOO_LARGE, message), None, Some(0..0));
                }
                Some(text) if !has_replaced || !text.contains('\u{fffd}') => {
                    if rare.nuls && text.contains('\0') {
                        let at = text.find('\0').unwrap_or(0);
                        let problem = Problem::new(&codes::NUL_BYTE, "the row contains a NUL byte");
                        reading.tell(problem, None, Some(at..at + 1));
                    } else if self.delimiter.is_some() {
                        self.read_csv(text, rare, &cells, &mut reading);
                    } else {
                        self.read_jsonl(text, &mut reading);
                    }
                }
                text => {
                    let at = text.map_or_else(|| first_invalid(bytes), |text| text.find('\u{fffd}').unwrap_or(0));
                    let message = "the row contains bytes that are not text in the file's encoding";
                    let end = (at + 1).min(bytes.len());
                    let help = advice_for_encoding(bytes);
                    let problem = Problem { help, ..Problem::new(&codes::NOT_UTF8, message) };
                    reading.tell(problem, None, Some(at..end));
                }
            }
            if reading.is_blank {
                checked.read -= 1;
                continue;
            }
            if record.end == chunk.bytes.len() {
                self.tell_of_unterminated(&record, &cells, &mut reading);
            }
            if let Some(delimiter) = self.delimiter.filter(|_| self.origin.is_results && !reading.is_skipped) {
                reading.own = own_cells(bytes, delimiter, &mut cells);
            }
            self.finish(
                &NumberedRecord { row: checked.read, record: &record, bytes },
                &mut reading,
                limit,
                &mut checked,
            );
        }
        checked.chunk = chunk;
        checked
    }
}

impl Checker<'_> {
    /// Of a record at the end of the file without a line end: where its last cell is the ID, a part of the ID may be
    /// missing.
    fn tell_of_unterminated(&self, record: &Record, cells: &[Cell], reading: &mut ParsedRow<'_>) {
        let Some(incident) = reading.id.filter(|_| self.columns.last() == Some(&Role::Id)) else { return };
        let message =
            format!("line {} ends with the ID {incident}, and the file ends there without a line end", record.line);
        let spot = cells.last().map(|cell| cell.range.clone());
        reading.tell(Problem::new(&codes::UNTERMINATED_LINE, message), Some(INCIDENT_ID), spot);
    }
}

fn first_invalid(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |_| 0)
}
