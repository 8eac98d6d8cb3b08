//! A run's rows: loaded, and those that are not over read again, page by page.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::params;

use super::dedup::{READS_LAG, updates_for, was_set_otherwise};
use super::history::{ATTEMPTS, IS_UNSETTLED};
use super::redirects::MERGED;
use super::runs::RunHandle;
use super::{Journal, JournalError, stored_id, wall};
use crate::model::change::{Change, IncidentId};
use crate::model::list_edit::changes_lists;
use crate::model::outcome::Outcome;
use crate::model::snapshot::Snapshot;

/// One row to be loaded.
#[derive(Clone, Debug)]
pub struct LoadRow {
    /// From 1.
    pub row: u64,
    /// From 1.
    pub line: u64,
    /// The id, or the cell that is none.
    pub incident: String,
    /// What to send, or the outcome of a row that is invalid.
    pub change: Result<Change, Outcome>,
    /// The row's own bytes.
    pub source: Vec<u8>,
    /// Of a plan: what its incident looked like when that was made.
    pub planned: Option<Snapshot>,
}

/// Whose incidents are looked at before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadScope {
    /// Those of all rows.
    All,
    /// Those without which a row can't be sent: it changes a list, its plan says what the incident was, or its own one
    /// was merged into it.
    Needed,
}

/// What comparing said of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffResult {
    /// Which.
    pub row: u64,
    /// It is over.
    pub outcome: Option<Outcome>,
    /// Its incident was otherwise than it asks for.
    pub is_otherwise: bool,
    /// The body that is sent, if it is not the one that was asked for: with whole lists, without what is set already.
    pub body: Option<Arc<str>>,
}

/// What was seen of a row's incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshots {
    /// Now.
    pub now: Snapshot,
    /// When its plan was made.
    pub planned: Option<Snapshot>,
    /// Whether a call of this run has changed the incident already.
    pub is_touched: bool,
}

/// One row that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow {
    /// From 1.
    pub row: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its own bytes, without its line end.
    pub source: Vec<u8>,
    /// What to send.
    pub change: Change,
    /// Calls made for it so far.
    pub attempts: u32,
    /// Whether an earlier call for it is in doubt.
    pub is_in_doubt: bool,
    /// Whether what its incident looked like is recorded.
    pub is_recorded: bool,
    /// When its incident was read and was otherwise than it asks for: what was made before that counts no more.
    pub differed_at: Option<Timestamp>,
    /// The row's own incident, where that was merged into the one that is updated.
    pub merged: Option<IncidentId>,
    /// The body as it was asked for, if that of the change is another one: it has whole lists, or leaves out what is set
    /// already.
    pub asked: Option<Arc<str>>,
}

impl PendingRow {
    /// What the row itself asks for.
    #[must_use]
    pub fn asked(&self) -> &str {
        self.asked.as_deref().unwrap_or(&self.change.body)
    }
}

/// Of a row: whether what it asks for may hold a change of a list, as [`changes_lists`] looks first.
const MAY_CHANGE_LISTS: &str = "(asked IS NOT NULL AND instr(substr(asked, 2), '{') > 0)";

pub(super) fn pending_rows() -> String {
    format!(
        "SELECT row, target, body, appends, line, source, {ATTEMPTS}, {IS_UNSETTLED}, snapshot_at, {MERGED}, asked, before IS NOT NULL
         FROM rows
         WHERE run = ?1 AND row > ?2 AND outcome IS NULL AND body IS NOT NULL ORDER BY row LIMIT ?3"
    )
}

/// No more bytes of rows than this, and one more row, are read at once.
const PAGE_BYTES: usize = 1024 * 1024;

/// The first of these rows, as many as fit a page.
pub(super) fn page<T>(
    rows: impl Iterator<Item = Result<T, JournalError>>,
    bytes: impl Fn(&T) -> usize,
) -> Result<Vec<T>, JournalError> {
    let mut page = Vec::new();
    let mut filled = 0;
    for row in rows {
        let row = row?;
        filled += bytes(&row);
        page.push(row);
        if filled >= PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

impl Journal {
    /// Adds rows to a run that is being loaded.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub fn load(&mut self, run: &RunHandle, rows: &[LoadRow]) -> Result<(), JournalError> {
        self.write(|tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO rows
                     (run, row, line, incident, target, body, asked, appends, source, outcome, code, message, plan_snapshot,
                      before)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)",
            )?;
            for row in rows {
                let change = row.change.as_ref().ok();
                let outcome = row.change.as_ref().err();
                insert.execute(params![
                    run.id,
                    row.row,
                    row.line,
                    row.incident,
                    change.map(|change| stored_id(change.incident)),
                    change.map(|change| &*change.body),
                    change.map(|change| &*change.body).filter(|body| changes_lists(body)),
                    change.is_some_and(|change| change.appends),
                    row.source,
                    outcome.map(|outcome| outcome.kind.name()),
                    outcome.map(|outcome| &outcome.code),
                    outcome.map(|outcome| &outcome.message),
                    row.planned.as_ref().map(Snapshot::to_json),
                ])?;
            }
            Ok(())
        })
    }

    /// Marks rows of a run that is being loaded as invalid: those that contradict each other, known only at the end.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub fn load_invalid(&mut self, run: &RunHandle, rows: &[(u64, Outcome)]) -> Result<(), JournalError> {
        self.write(|tx| {
            let mut update = tx.prepare_cached(
                "UPDATE rows SET target = NULL, body = NULL, appends = 0, outcome = ?3, code = ?4, message = ?5
                 WHERE run = ?1 AND row = ?2",
            )?;
            for (row, outcome) in rows {
                update.execute(params![run.id, row, outcome.kind.name(), outcome.code, outcome.message])?;
            }
            Ok(())
        })
    }

    /// The incidents of the rows without an outcome, with the rows' numbers. Rows in doubt are left out: what is read
    /// of them tells whether they were made, not whether they are needed. But those that change lists have to know them.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn incidents(&self, run: &RunHandle, of: ReadScope) -> Result<Vec<(IncidentId, u64)>, JournalError> {
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT target, row FROM rows
             WHERE run = ?1 AND outcome IS NULL AND body IS NOT NULL AND ({MAY_CHANGE_LISTS} OR NOT {IS_UNSETTLED})
               AND (?2 OR {MAY_CHANGE_LISTS} OR plan_snapshot IS NOT NULL OR {MERGED} IS NOT NULL)"
        ))?;
        let rows = statement.query_map(params![run.id, of == ReadScope::All], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let incidents = rows.map(|row: Result<(u64, u64), _>| row.map(|(id, row)| (IncidentId::new(id), row)));
        let incidents = incidents.filter_map(|row| row.map(|(id, row)| Some((id?, row))).transpose());
        Ok(incidents.collect::<Result<_, _>>()?)
    }

    /// What was seen of a row's incident, if it was looked at.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn seen(&self, run: &RunHandle, row: u64) -> Result<Option<Snapshots>, JournalError> {
        let mut statement = self.db.prepare_cached(
            "SELECT before, plan_snapshot, EXISTS (
                 SELECT 1 FROM attempts AS a
                 WHERE a.scope = (SELECT scope FROM runs WHERE id = ?1) AND a.incident = rows.target
                   AND a.run = ?1 AND a.kind > 0 AND a.applied IS NOT 0)
             FROM rows WHERE run = ?1 AND row = ?2",
        )?;
        let (before, planned, is_touched): (Option<String>, Option<String>, bool) =
            statement.query_row(params![run.id, row], |found| Ok((found.get(0)?, found.get(1)?, found.get(2)?)))?;
        let read = |text: Option<String>| self.seen_in(text.as_deref(), run, row);
        let planned = read(planned)?;
        Ok(read(before)?.map(|now| Snapshots { now, planned, is_touched }))
    }

    fn seen_in(&self, text: Option<&str>, run: &RunHandle, row: u64) -> Result<Option<Snapshot>, JournalError> {
        text.map(Snapshot::from_json).transpose().map_err(|error| JournalError::Damaged {
            path: self.dir.database(),
            why: format!("row {row} of run {}: {error}", run.name),
        })
    }

    /// Whether an update of ours has set a property of the row to another value shortly before its incident was read at
    /// `at`: the read may be older than that.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn is_just_set_otherwise(
        &self,
        run: &RunHandle,
        row: &PendingRow,
        at: Timestamp,
        appended: Option<&str>,
    ) -> Result<bool, JournalError> {
        let pasts = updates_for(&self.db, self.scope_of(run)?, row.change.incident, row.merged)?;
        let since = self.clock.now().boot_at(at) - READS_LAG;
        Ok(was_set_otherwise(&pasts, row.asked(), since, appended))
    }

    /// Keeps what comparing said of rows, whose incidents were looked at then.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub fn compared(&mut self, run: &RunHandle, at: Timestamp, rows: &[DiffResult]) -> Result<(), JournalError> {
        self.write(|tx| {
            for settled in rows {
                let read_wall = settled.is_otherwise.then(|| at.as_microsecond());
                if settled.body.is_some() || read_wall.is_some() {
                    tx.prepare_cached(
                        "UPDATE rows
                         SET asked = coalesce(asked, iif(?3 <> body, body, NULL)), body = coalesce(?3, body),
                             snapshot_at = coalesce(?4, snapshot_at)
                         WHERE run = ?1 AND row = ?2",
                    )?
                    .execute(params![run.id, settled.row, settled.body.as_deref(), read_wall])?;
                }
                if let Some(outcome) = &settled.outcome {
                    super::commit::write_outcome(tx, run.id, settled.row, outcome)?;
                }
            }
            Ok(())
        })
    }

    /// The next rows without an outcome, after row `after`: at most `limit`, and fewer where they are long.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn pending(&self, run: &RunHandle, after: u64, limit: u32) -> Result<Vec<PendingRow>, JournalError> {
        let mut statement = self.db.prepare_cached(&pending_rows())?;
        let rows = statement.query_and_then(params![run.id, after, limit], |stored| {
            let row = stored.get(0)?;
            let target = stored.get::<_, Option<u64>>(1)?.and_then(IncidentId::new);
            let incident = target.ok_or_else(|| JournalError::Damaged {
                path: self.dir.database(),
                why: format!("row {row} of run {} has no incident", run.name),
            })?;
            let body: String = stored.get(2)?;
            Ok(PendingRow {
                row,
                line: stored.get(4)?,
                source: stored.get(5)?,
                change: Change { incident, body: body.into(), appends: stored.get(3)? },
                attempts: stored.get(6)?,
                is_in_doubt: stored.get(7)?,
                is_recorded: stored.get(11)?,
                differed_at: stored.get::<_, Option<i64>>(8)?.map(wall),
                merged: stored.get::<_, Option<u64>>(9)?.and_then(IncidentId::new),
                asked: stored.get::<_, Option<String>>(10)?.map(Arc::from),
            })
        })?;
        page(rows, |row| row.change.body.len() + row.source.len())
    }
}
