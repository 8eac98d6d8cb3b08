//! The import: checked rows go into the journal, all of them or none.

use std::io;

use sha2::{Digest as _, Sha256};

use super::error::SessionError;
use super::observer::{Observer, Step};
use super::plan_file::Plan;
use crate::check::{CheckStats, CheckedRow, NoChange, Rules, check};
use crate::input::{FileKind, Input, InputError};
use crate::journal::{Journal, JournalError, LoadRow, RunHandle};
use crate::model::change::Change;
use crate::model::diagnostic::Diagnostic;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
use crate::plan::PlanRow;

/// What was imported, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Rows that can be sent.
    pub rows: u64,
    /// Rows that are invalid, and left out.
    pub invalid: u64,
    /// Rows of a fetched file that set nothing.
    pub nothing_asked: u64,
    /// Rows that `--limit` leaves out.
    pub limited: u64,
    /// Cells that `--set` overrides, by property.
    pub overridden: Vec<(String, u64)>,
    /// The kind of the input.
    pub kind: FileKind,
    /// All rows of the input.
    pub all: u64,
    /// Rows of a results file that are not sent again.
    pub skipped: u64,
    /// The SHA-256 of the changes in their order: equal for equal changes.
    pub digest: Vec<u8>,
}

/// Checks the rows, and passes those of the run to `keep`, a batch at a time, in their order.
///
/// # Errors
/// If the input is invalid (each diagnostic was reported), or `keep` fails.
fn read(
    input: Input,
    rules: &Rules<'_>,
    skip_invalid: bool,
    on_diagnostic: &mut dyn FnMut(Diagnostic),
    keep: &mut dyn FnMut(&[CheckedRow]) -> Result<(), SessionError>,
) -> Result<(Imported, CheckStats), SessionError> {
    let mut imported = Imported::default();
    let origin = input.origin();
    let mut hasher = Sha256::new();
    let mut failed = None;
    let mut take = |rows: Vec<CheckedRow>| {
        rows.iter().filter_map(|row| row.verdict.as_ref().ok()).for_each(|change| add_to_digest(&mut hasher, change));
        keep(&rows).map_err(|error| {
            failed = Some(error);
            io::Error::other("cannot keep the rows")
        })
    };
    let checked = check(input, rules, Some(&mut take), on_diagnostic);
    if let Err(InputError::Invalid(whole)) = &checked {
        whole.iter().cloned().for_each(&mut *on_diagnostic);
    }
    let stats = match (checked, failed) {
        (_, Some(error)) => return Err(error),
        (checked, None) => checked?,
    };
    if stats.has_errors() && !skip_invalid {
        return Err(SessionError::InvalidRows);
    }
    imported.rows = stats.sendable_alone();
    imported.invalid = stats.selected - imported.rows;
    imported.nothing_asked = stats.nothing_asked;
    imported.limited = stats.rows.saturating_sub(stats.skipped + stats.selected + stats.nothing_asked);
    imported.overridden.clone_from(&stats.overridden);
    (imported.kind, imported.all, imported.skipped) = (origin, stats.rows, stats.skipped);
    imported.digest = hasher.finalize().to_vec();
    Ok((imported, stats))
}

fn add_to_digest(hasher: &mut Sha256, change: &Change) {
    hasher.update(change.incident.get().to_le_bytes());
    let body = change.edits.to_json();
    hasher.update((body.len() as u64).to_le_bytes());
    hasher.update(body.as_bytes());
}

/// Rows written to the journal at a time: limits how long another process waits for the write lock.
pub(super) const BATCH: usize = 2_000;
/// Bytes written at a time: thousands of long comments don't fit into memory.
const BATCH_BYTES: usize = 1024 * 1024;

/// Adds rows to a run that no other process sees yet, a batch at a time.
pub(super) struct Batches<'a> {
    pub(super) journal: &'a mut Journal,
    pub(super) run: &'a RunHandle,
    pub(super) observer: &'a mut Observer,
    pub(super) rows: usize,
    pub(super) batch: Vec<LoadRow>,
    pub(super) bytes: usize,
}

impl Batches<'_> {
    /// The journal, to read other runs.
    pub(super) fn journal(&self) -> &Journal {
        self.journal
    }

    pub(super) fn add(&mut self, row: LoadRow) -> Result<(), JournalError> {
        self.bytes += row.source.len();
        self.batch.push(row);
        if self.batch.len() >= self.rows || self.bytes >= BATCH_BYTES { self.end() } else { Ok(()) }
    }

    pub(super) fn end(&mut self) -> Result<(), JournalError> {
        self.journal.load(self.run, &self.batch)?;
        self.batch.clear();
        self.bytes = 0;
        self.observer.tell(Step::Loaded);
        Ok(())
    }

    /// Marks added rows as invalid: some conflicts are known only at the end of the input.
    fn mark_invalid(&mut self, stats: &CheckStats) -> Result<(), JournalError> {
        self.end()?;
        let mut found = stats.contradicting().map(|(row, error)| (row, invalid(error.code, &error.message))).peekable();
        while found.peek().is_some() {
            let batch: Vec<(u64, Outcome)> = found.by_ref().take(self.rows).collect();
            self.journal.load_invalid(self.run, &batch)?;
            self.observer.tell(Step::Loaded);
        }
        Ok(())
    }
}

/// Imports the rows of a plan.
///
/// # Errors
/// If the plan can't be read again, or the journal can't be written. The caller discards what was loaded.
pub(super) fn import_plan(batches: &mut Batches<'_>, plan: &Plan) -> Result<Imported, SessionError> {
    let mut imported = Imported::default();
    plan.each_row(|row| {
        match &row.change {
            Ok(_) => imported.rows += 1,
            Err(outcome) => {
                imported.invalid += u64::from(outcome.kind == OutcomeKind::Invalid);
                imported.nothing_asked += u64::from(outcome.code == OutcomeCode::NothingAsked);
            }
        }
        let PlanRow { row, line, incident, change, before, source } = row;
        Ok(batches.add(LoadRow { row, line, incident, change: change.map(Change::from), source, planned: before })?)
    })?;
    Ok(imported)
}

/// Imports an input.
///
/// # Errors
/// If the input is invalid, or the journal can't be written. The caller discards what was loaded.
pub(super) fn import(
    batches: &mut Batches<'_>,
    input: Input,
    rules: &Rules<'_>,
    skip_invalid: bool,
    on_diagnostic: &mut dyn FnMut(Diagnostic),
) -> Result<Imported, SessionError> {
    let (imported, stats) = read(input, rules, skip_invalid, on_diagnostic, &mut |rows| {
        Ok(rows.iter().try_for_each(|row| batches.add(load_row(row)))?)
    })?;
    batches.mark_invalid(&stats)?;
    Ok(imported)
}

fn load_row(row: &CheckedRow) -> LoadRow {
    LoadRow {
        row: row.row,
        line: row.line,
        incident: row.incident_id.clone(),
        change: row.verdict.clone().map_err(|none| match none {
            NoChange::Invalid(error) => invalid(error.code, &error.message),
            NoChange::NothingAsked => Outcome::nothing_asked(),
        }),
        source: row.source.clone(),
        planned: None,
    }
}

fn invalid(code: &str, message: &str) -> Outcome {
    Outcome::new(OutcomeKind::Invalid, code, message)
}
