//! The checker, and one chunk: its rows checked one by one, by one thread.

use bumpalo::Bump;

use super::columns::{self, Role, Roles};
use super::duplicates::RowFingerprint;
use super::row::{ParsedRow, own_cells};
use super::rules::ReadyContract;
use super::validate::NumberedRecord;
use super::value::{Problem, Requested};
use super::{CheckedRow, PropertyOverride, Rules};
use foldhash::fast::RandomState;

use crate::input::csv::Cell;
use crate::input::{Chunk, Cutter, FileKind, INCIDENT_ID, Input, InputError, Record, advice_for_encoding};
use crate::model::diagnostic::{Diagnostic, codes};
use crate::model::outcome::{InputShape, OutcomeKind};
use crate::text::truncate;

/// All that the check of a row needs to know; shared by the threads.
pub(super) struct Checker<'a> {
    pub(super) contract: ReadyContract<'a>,
    /// What `--set` asks of each property.
    pub(super) set: Vec<Requested<'a>>,
    /// What is doubtful about it, and about the columns.
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) roles: Roles<'a>,
    /// Of the input's own CSV columns.
    pub(super) columns: Vec<Role<'a>>,
    delimiter: Option<u8>,
    pub(super) origin: FileKind,
    is_utf16: bool,
    pub(super) only: Option<&'a [OutcomeKind]>,
    pub(super) file: String,
    pub(super) keeps_rows: bool,
    pub(super) hasher: RandomState,
}

/// What was found in a chunk.
pub(super) struct CheckedChunk {
    /// The chunk, to be used again.
    pub(super) chunk: Chunk,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The rows of the run, where they are kept.
    pub(super) rows: Vec<CheckedRow>,
    pub(super) seen: Vec<RowFingerprint>,
    /// For each property, how many cells that were not empty gave way to `--set`, in the rows of the run.
    pub(super) overridden: Vec<u64>,
    /// All its rows. They are numbered from 1 here; whoever takes them knows how many came before.
    pub(super) read: u64,
    pub(super) valid: u64,
    pub(super) skipped: u64,
    /// Rows that are not skipped.
    pub(super) taken: u64,
    /// Of these, the ones that were selected and are valid.
    pub(super) sendable: u64,
    /// Rows of a fetched file that were selected and set nothing.
    pub(super) nothing_asked: u64,
    /// The last row that was selected; 0 if none was.
    pub(super) last_selected: u64,
    /// Why nothing after these rows can be read.
    pub(super) broken: Option<InputError>,
}

impl CheckedChunk {
    /// Takes none of its rows into the run.
    pub(super) fn select_none(&mut self) {
        self.rows.clear();
        self.overridden.clear();
        self.sendable = 0;
        self.nothing_asked = 0;
    }
}

/// What most chunks don't hold: looked for once in a chunk, so that not every cell is searched.
#[derive(Clone, Copy)]
pub(super) struct Rare {
    /// Bytes that are no printable ASCII, line feeds aside. All others are among them.
    pub(super) unprintable: bool,
    pub(super) carriage_returns: bool,
    nuls: bool,
}

impl Rare {
    fn of(bytes: &[u8]) -> Rare {
        // Written so that compilers make vector instructions of it.
        let is_other = |byte: u8| !matches!(byte, b' '..=b'~') && byte != b'\n';
        let unprintable = bytes.iter().fold(0, |found, byte| found | u8::from(is_other(*byte))) != 0;
        let has = |byte| unprintable && memchr::memchr(byte, bytes).is_some();
        Rare { unprintable, carriage_returns: has(b'\r'), nuls: has(0) }
    }
}

impl<'a> Checker<'a> {
    /// `arena` takes what `--set` asks.
    pub(super) fn new(
        input: &Input,
        rules: &Rules<'a>,
        keeps_rows: bool,
        arena: &'a Bump,
    ) -> Result<Checker<'a>, InputError> {
        let contract = ReadyContract::new(rules.contract);
        let origin = input.origin();
        let (set, mut warnings) = read_set(&contract, rules, arena);
        let named_roles = Roles::new(&contract, origin.is_portal_export, &set);
        let sets_all = !rules.set.is_empty();
        let (columns, column_warnings) =
            columns::of_header(input, &named_roles, &contract, sets_all).map_err(InputError::Invalid)?;
        warnings.extend(column_warnings);
        let delimiter = match input.shape() {
            InputShape::Csv { delimiter, .. } => u8::try_from(*delimiter).ok(),
            InputShape::Jsonl { .. } => None,
        };
        if delimiter.is_none() && origin.is_portal_export && !sets_all {
            let message = "a portal export shows incidents, not changes".to_owned();
            return Err(InputError::Invalid(vec![input.header_diagnostic(&codes::PORTAL_NEEDS_SET, None, message)]));
        }
        Ok(Checker {
            set,
            warnings,
            roles: named_roles,
            columns,
            delimiter,
            origin,
            is_utf16: input.is_utf16(),
            only: rules.only,
            file: input.name().to_owned(),
            keeps_rows,
            hasher: RandomState::default(),
            contract,
        })
    }

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
        let mut cutter = Cutter::new(&chunk, self.delimiter, &self.file);
        loop {
            let record = match cutter.next(&mut cells) {
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

/// What `--set` asks of each property, and what is doubtful about it.
fn read_set<'a>(
    contract: &ReadyContract<'a>,
    rules: &Rules<'a>,
    arena: &'a Bump,
) -> (Vec<Requested<'a>>, Vec<Diagnostic>) {
    let mut warnings = Vec::new();
    let mut set = vec![Requested::Leave; contract.properties.len()];
    for PropertyOverride { property, cell } in rules.set {
        let Some(place) = contract.properties.iter().position(|known| known.name == property) else { continue };
        let mut problems = Vec::new();
        set[place] = contract.read_cell(place, cell, arena, &mut problems);
        warnings.extend(problems.into_iter().map(|problem| {
            let diagnostic = Diagnostic::new(problem.code, "--set", problem.message);
            Diagnostic {
                field: Some(property.clone()),
                value: Some(truncate(cell, 200)),
                help: problem.help.or(diagnostic.help),
                ..diagnostic
            }
        }));
    }
    (set, warnings)
}

fn first_invalid(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |_| 0)
}
