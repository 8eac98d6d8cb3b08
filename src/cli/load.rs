//! Loading: an input's rows, checked, into the journal; all of them or none.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::report::ReviewRows;
use super::row_options::notes;
use crate::check::{CheckStats, CheckedRow, NoChange, Rules, check};
use crate::cli::error::Error;
use crate::compare::parts;
use crate::input::{Input, InputError};
use crate::journal::{Journal, JournalError, LoadRow, PriorRuns, ReadOnlyJournal, RunHandle, RunMetadata, WillSend};
use crate::model::change::{Change, TenantKey};
use crate::model::diagnostic::Diagnostic;
use crate::model::list_edit::changes_lists;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
use crate::plan::PlanRow;
use crate::report::page::ContextColumns;
use crate::report::preview::{Counter, Counts, FirstRequest, LeftOut, Recorded};

/// What was read, in numbers.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Rows that can be sent.
    pub(super) rows: u64,
    /// Rows that are invalid, and left out.
    pub(super) invalid: u64,
    /// Rows of a fetched file that set nothing.
    pub(super) nothing_asked: u64,
    /// Rows that `--limit` leaves out.
    pub(super) limited: u64,
    /// Cells that `--set` overrides, by property.
    pub(super) overridden: Vec<(String, u64)>,
    /// What the input is beside rows, in a line each.
    pub(super) notes: Vec<String>,
    /// Names the changes in their order: equal for equal changes.
    pub(super) digest: Vec<u8>,
}

/// Checks the rows, and passes those of the run to `keep`, a batch at a time, in their order.
///
/// # Errors
/// Where the input is not valid (what is wrong has been told), or `keep` fails.
fn read(
    input: Input,
    rules: &Rules<'_>,
    skip_invalid: bool,
    tell: &mut dyn FnMut(Diagnostic),
    keep: &mut dyn FnMut(&[CheckedRow]) -> Result<(), Error>,
) -> Result<(Loaded, CheckStats), Error> {
    let mut loaded = Loaded::default();
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
    let checked = check(input, rules, Some(&mut take), tell);
    if let Err(InputError::Invalid(whole)) = &checked {
        whole.iter().cloned().for_each(&mut *tell);
    }
    let tally = match (checked, failed) {
        (_, Some(error)) => return Err(error),
        (checked, None) => checked?,
    };
    if tally.has_errors() && !skip_invalid {
        return Err(Error::InvalidRows);
    }
    loaded.rows = tally.sendable_alone();
    loaded.invalid = tally.selected - loaded.rows;
    loaded.nothing_asked = tally.nothing_asked;
    loaded.limited = tally.rows.saturating_sub(tally.skipped + tally.selected + tally.nothing_asked);
    loaded.overridden.clone_from(&tally.overridden);
    loaded.notes = notes(origin, &tally);
    loaded.digest = hasher.finalize().to_vec();
    Ok((loaded, tally))
}

fn add_to_digest(hasher: &mut Sha256, change: &Change) {
    hasher.update(change.incident.get().to_le_bytes());
    hasher.update((change.body.len() as u64).to_le_bytes());
    hasher.update(change.body.as_bytes());
}

/// Rows are written to the journal so many at a time: a neighbour waits for its turn no longer than that takes.
const BATCH: usize = 2_000;
/// And no more bytes of them, or some long comments would be held in memory by the thousand.
const BATCH_BYTES: usize = 1024 * 1024;

/// Rows on their way into the journal.
struct Batches<'a> {
    journal: &'a mut Journal,
    run: &'a RunHandle,
    batch: Vec<LoadRow>,
    bytes: usize,
}

impl<'a> Batches<'a> {
    fn new(journal: &'a mut Journal, run: &'a RunHandle) -> Batches<'a> {
        Batches { journal, run, batch: Vec::with_capacity(BATCH), bytes: 0 }
    }

    fn add(&mut self, row: LoadRow) -> Result<(), Error> {
        self.bytes += row.source.len();
        self.batch.push(row);
        if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.journal.load(self.run, &self.batch)?;
            self.batch.clear();
            self.bytes = 0;
        }
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        Ok(self.journal.load(self.run, &self.batch)?)
    }
}

/// Loads the rows of a plan, as `read` hands them on, into a run that nobody sees yet.
///
/// # Errors
/// Where `read` fails, or the journal can't be written. What was loaded is the caller's to discard.
pub(super) fn from_plan(
    journal: &mut Journal,
    run: &RunHandle,
    read: impl FnOnce(&mut dyn FnMut(PlanRow) -> Result<(), Error>) -> Result<(), Error>,
) -> Result<Loaded, Error> {
    let mut loaded = Loaded::default();
    let mut batches = Batches::new(journal, run);
    read(&mut |row| {
        match &row.change {
            Ok(_) => loaded.rows += 1,
            Err(outcome) => {
                loaded.invalid += u64::from(outcome.kind == OutcomeKind::Invalid);
                loaded.nothing_asked += u64::from(outcome.code == OutcomeCode::NothingAsked);
            }
        }
        let PlanRow { row, line, incident, change, before, source } = row;
        batches.add(LoadRow { row, line, incident, change, source, planned: before })
    })?;
    batches.end()?;
    Ok(loaded)
}

/// Loads an input into the journal, as a run that nobody sees yet.
///
/// # Errors
/// Where the input is not valid (nothing of it stays), or the journal can't be written.
#[expect(clippy::too_many_arguments, reason = "each is one part of the run that begins")]
pub(super) fn into_journal(
    journal: &mut Journal,
    input: Input,
    rules: &Rules<'_>,
    skip_invalid: bool,
    tell: &mut dyn FnMut(Diagnostic),
    scope: &TenantKey,
    facts: &RunMetadata,
    rng: &mut fastrand::Rng,
) -> Result<(RunHandle, Loaded), Error> {
    let run = journal.create_run(scope, &rules.contract.name, facts, rng)?;
    let mut batches = Batches::new(journal, &run);
    let read =
        read(input, rules, skip_invalid, tell, &mut |rows| rows.iter().try_for_each(|row| batches.add(load_row(row))));
    let read = read.and_then(|read| batches.end().map(|()| read));
    let finished = read.and_then(|(loaded, tally)| {
        let mut contradicting =
            tally.contradicting().map(|(row, error)| (row, invalid(error.code, &error.message))).peekable();
        while contradicting.peek().is_some() {
            let batch: Vec<(u64, Outcome)> = contradicting.by_ref().take(BATCH).collect();
            journal.load_invalid(&run, &batch)?;
        }
        Ok(loaded)
    });
    match finished {
        Ok(loaded) => Ok((run, loaded)),
        Err(error) => {
            journal.discard(&run)?;
            Err(error)
        }
    }
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

/// What a dry run finds out.
#[derive(Debug, Default)]
pub(super) struct DryRun {
    /// What was read.
    pub(super) loaded: Loaded,
    /// What of it would be sent.
    pub(super) counts: Counts,
    /// What earlier runs have to do with it.
    pub(super) earlier: PriorRuns,
    /// The first requests, as they would be sent.
    pub(super) first: Vec<FirstRequest>,
    /// Rows that turned out to be invalid in the end, by their number, and why.
    pub(super) contradicting: BTreeMap<u64, String>,
}

/// So many requests are shown.
const SHOWN: usize = 3;

/// Reads an input as [`into_journal`] does, and keeps nothing of it.
///
/// # Errors
/// As [`into_journal`].
#[expect(clippy::too_many_arguments, reason = "each is one part of what is looked at")]
pub(super) fn for_dry_run(
    input: Input,
    rules: &Rules<'_>,
    skip_invalid: bool,
    tell: &mut dyn FnMut(Diagnostic),
    peek: Option<&ReadOnlyJournal>,
    remember: Duration,
    appended: Option<&str>,
    mut rows: Option<&mut ReviewRows>,
    now: Timestamp,
) -> Result<DryRun, Error> {
    let mut first = Vec::new();
    let context = ContextColumns::new(input.shape(), rules.contract);
    let mut counting =
        Counting { peek, remember, appended, counter: Counter::default(), earlier: PriorRuns::default() };
    let mut keep = |batch: &[CheckedRow]| {
        let changes = batch.iter().filter_map(|row| Some((row.row, row.verdict.as_ref().ok()?)));
        let mut counted = counting.count(&changes.collect::<Vec<_>>())?.into_iter();
        for row in batch {
            let mut see = |left_out, repeats| rows.as_mut().map_or(Ok(()), |rows| rows.add(row, left_out, repeats));
            let (Ok(change), Some(counted)) = (&row.verdict, row.verdict.as_ref().ok().and_then(|_| counted.next()))
            else {
                see(None, false)?;
                continue;
            };
            let body = match counted {
                Ok(body) => body,
                Err(left_out) => {
                    see(Some(left_out.reason()), false)?;
                    continue;
                }
            };
            // The request for a list edit is not known before its incident is read.
            if first.len() < SHOWN && !changes_lists(&change.body) {
                let update = &rules.contract.operations.update;
                let (method, path) = (update.method.as_str(), update.path_of(change.incident));
                let was = context.of(&row.source).fetched.and_then(|fetched| fetched.line(&change.body, now));
                let body = body.to_string();
                first.push((row.row, FirstRequest { method, path, body, was }));
            }
            see(None, body != change.body)?;
        }
        Ok(())
    };
    let (loaded, tally) = read(input, rules, skip_invalid, tell, &mut keep)?;
    let contradicting: BTreeMap<u64, String> = tally.contradicting().map(|(row, error)| (row, error.message)).collect();
    if !contradicting.is_empty()
        && let Some(rows) = rows
    {
        // That these are invalid is known in the end only: without them, once more.
        counting = Counting { counter: Counter::default(), earlier: PriorRuns::default(), ..counting };
        let mut changes =
            rows.changes()?.filter(|row| !row.as_ref().is_ok_and(|(row, _)| contradicting.contains_key(row)));
        loop {
            let batch = changes.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>()?;
            if batch.is_empty() {
                break;
            }
            counting.count(&batch.iter().map(|(row, change)| (*row, change)).collect::<Vec<_>>())?;
        }
    }
    first.retain(|(row, _)| !contradicting.contains_key(row));
    let first = first.into_iter().map(|(_, request)| request).collect();
    let Counting { counter, earlier, .. } = counting;
    Ok(DryRun { loaded, counts: counter.finish(), earlier, first, contradicting })
}

/// Counts the rows of a dry run.
struct Counting<'a> {
    peek: Option<&'a ReadOnlyJournal>,
    remember: Duration,
    appended: Option<&'a str>,
    counter: Counter,
    earlier: PriorRuns,
}

impl Counting<'_> {
    /// Counts rows. Returns for each the body that will be sent, or why it is left out.
    fn count(&mut self, rows: &[(u64, &Change)]) -> Result<Vec<Result<Arc<str>, LeftOut>>, JournalError> {
        let counter = &mut self.counter;
        let is_first = rows.iter().map(|(row, change)| counter.is_first(*row, change.incident, &change.body));
        let is_first: Vec<bool> = is_first.collect();
        let first: Vec<&Change> =
            rows.iter().zip(&is_first).filter(|(_, is_first)| **is_first).map(|((_, change), _)| *change).collect();
        let mut will_send = match self.peek {
            Some(peek) => peek.add_prior_runs(&first, self.remember, self.appended, &mut self.earlier)?,
            None => vec![WillSend::All; first.len()],
        }
        .into_iter();
        let counted = rows.iter().zip(is_first).map(|((row, change), is_first)| {
            let will_send = if is_first { will_send.next() } else { None };
            will_send.map_or(Err(LeftOut::Repeated), |will_send| self.count_first(*row, change, will_send))
        });
        Ok(counted.collect())
    }

    /// Counts a row whose change no earlier row asks for.
    fn count_first(&mut self, row: u64, change: &Change, will_send: WillSend) -> Result<Arc<str>, LeftOut> {
        let body = match will_send {
            WillSend::All => Arc::clone(&change.body),
            WillSend::WithoutComment => {
                self.counter.leave_out_comment(row);
                parts(&change.body, self.appended.unwrap_or_default()).0.unwrap_or_default().into()
            }
            WillSend::Nothing => {
                self.counter.leave_out_applied(row);
                return Err(LeftOut::Applied);
            }
        };
        let recorded = if changes_lists(&change.body) { Recorded::Yes } else { Recorded::Nothing };
        self.counter.add(&body, recorded, false);
        Ok(body)
    }
}
