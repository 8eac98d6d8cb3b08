//! Checks the rows of a chunk one by one.

use bumpalo::Bump;

use super::checker::{CheckedChunk, Checker, Rare};
use super::columns::Role;
use super::row::{ParsedRow, original_cells};
use super::validate::NumberedRecord;
use super::value::Problem;
use crate::input::csv::Cell;
use crate::input::{Chunk, INCIDENT_ID, Record, RecordSplitter, advice_for_encoding};
use crate::model::diagnostic::codes;

impl Checker<'_> {
    /// Checks a chunk. Only the first `limit` rows that are not skipped are selected for the run.
    pub(super) fn check(&self, chunk: Chunk, limit: u64) -> CheckedChunk {
        let overridden = vec![0; self.contract.properties.len()];
        let mut checked = CheckedChunk { overridden, ..CheckedChunk::default() };
        let text = std::str::from_utf8(&chunk.bytes).ok();
        let rare = Rare::of(&chunk.bytes);
        let has_replaced = self.is_utf16 && text.is_some_and(|text| text.contains('\u{fffd}'));
        let mut cells = Vec::new();
        let arena = Bump::new();
        let mut parsed = ParsedRow::new(&self.set, &arena);
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
            parsed.reset();
            let bytes = &chunk.bytes[record.start..record.end];
            let text = match text {
                Some(text) => text.get(record.start..record.end),
                None => std::str::from_utf8(bytes).ok(),
            };
            match text {
                _ if record.is_too_large => {
                    let message = "the record is longer than 1 MiB";
                    parsed.report(Problem::new(&codes::ROW_TOO_LARGE, message), None, Some(0..0));
                }
                Some(text) if !has_replaced || !text.contains('\u{fffd}') => {
                    if rare.nuls && text.contains('\0') {
                        let at = text.find('\0').unwrap_or(0);
                        let problem = Problem::new(&codes::NUL_BYTE, "the row contains a NUL byte");
                        parsed.report(problem, None, Some(at..at + 1));
                    } else if self.delimiter.is_some() {
                        self.read_csv(text, rare, &cells, &mut parsed);
                    } else {
                        self.read_jsonl(text, &mut parsed);
                    }
                }
                text => {
                    let at = text.map_or_else(|| first_invalid(bytes), |text| text.find('\u{fffd}').unwrap_or(0));
                    let message = "the row contains bytes that are not text in the file's encoding";
                    let end = (at + 1).min(bytes.len());
                    let help = advice_for_encoding(bytes);
                    let problem = Problem { help, ..Problem::new(&codes::NOT_UTF8, message) };
                    parsed.report(problem, None, Some(at..end));
                }
            }
            if parsed.is_blank {
                checked.read -= 1;
                continue;
            }
            if record.end == chunk.bytes.len() {
                self.warn_if_unterminated(&record, &cells, &mut parsed);
            }
            if let Some(delimiter) = self.delimiter.filter(|_| self.origin.is_results && !parsed.is_skipped) {
                parsed.original = original_cells(bytes, delimiter, &mut cells);
            }
            self.finish(
                &NumberedRecord { row: checked.read, record: &record, bytes },
                &mut parsed,
                limit,
                &mut checked,
            );
        }
        checked.chunk = chunk;
        checked
    }
}

impl Checker<'_> {
    /// Warns about a last record without a line end, if its last cell is the ID: a part of the ID may be missing.
    fn warn_if_unterminated(&self, record: &Record, cells: &[Cell], parsed: &mut ParsedRow<'_>) {
        let Some(incident) = parsed.id.filter(|_| self.columns.last() == Some(&Role::Id)) else { return };
        let message =
            format!("line {} ends with the ID {incident}, and the file ends there without a line end", record.line);
        let span = cells.last().map(|cell| cell.range.clone());
        parsed.report(Problem::new(&codes::UNTERMINATED_LINE, message), Some(INCIDENT_ID), span);
    }
}

fn first_invalid(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |_| 0)
}
