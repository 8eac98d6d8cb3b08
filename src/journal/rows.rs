//! A run's rows: loading, snapshots, diffs; and paging through those without an outcome.

use std::collections::BTreeMap;

use rusqlite::params;

use super::columns::{self, IS_UNSETTLED, MAY_CHANGE_LISTS, MERGED, pending_rows};
use super::error::JournalError;
use super::opened::Journal;
use super::row::{DiffResult, LoadRow, PendingRow, ReadScope, Snapshots};
use super::run::RunHandle;
use super::sql::{number_list, page};
use crate::clock::BootTime;
use crate::model::change::IncidentId;
use crate::model::edit::Never;
use crate::model::outcome::Outcome;

/// The snapshots of rows, and whether a request of their run may have changed the incident since.
pub(super) const SNAPSHOTS: &str = "
    SELECT rows.row, rows.before, rows.plan_snapshot, EXISTS (
        SELECT 1 FROM attempts AS a
        WHERE a.scope = (SELECT scope FROM runs WHERE id = ?1) AND a.incident = rows.target
          AND a.run = ?1 AND a.kind > 0 AND a.applied IS NOT 0)
    FROM json_each(?2) AS wanted CROSS JOIN rows ON rows.run = ?1 AND rows.row = wanted.value
    WHERE rows.before IS NOT NULL";

/// Runs and rows: a run's rows.
impl Journal {
    /// Adds rows to a run that is being loaded.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn load(&mut self, run: &RunHandle, rows: &[LoadRow]) -> Result<(), JournalError> {
        self.write(|tx| {
            for row in rows {
                columns::insert(tx, run.id, row)?;
            }
            Ok(())
        })
    }

    /// Marks rows of a run that is being loaded as invalid: those that contradict each other, known only at the end.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn load_invalid(&mut self, run: &RunHandle, rows: &[(u64, Outcome)]) -> Result<(), JournalError> {
        self.write(|tx| {
            let mut update = tx.prepare_cached(
                "UPDATE rows SET target = NULL, body = NULL, appends = 0, outcome = ?3, code = ?4, message = ?5
                 WHERE run = ?1 AND row = ?2",
            )?;
            for (row, outcome) in rows {
                update.execute(params![run.id, row, outcome.kind.name(), outcome.code.as_str(), outcome.message])?;
            }
            Ok(())
        })
    }

    /// The incidents of the rows without an outcome, with the rows' numbers. Excludes rows in doubt: a read of theirs
    /// shows whether they were applied, not whether they are needed. But rows that edit lists need a snapshot.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn incidents(&self, run: &RunHandle, of: ReadScope) -> Result<Vec<(IncidentId, u64)>, JournalError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(&format!(
                "SELECT target, row FROM rows
                 WHERE run = ?1 AND outcome IS NULL AND body IS NOT NULL AND ({MAY_CHANGE_LISTS} OR NOT {IS_UNSETTLED})
                   AND (?2 OR {MAY_CHANGE_LISTS} OR plan_snapshot IS NOT NULL OR {MERGED} IS NOT NULL)"
            ))?;
            let rows =
                statement.query_map(params![run.id, of == ReadScope::All], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let incidents = rows.map(|row: Result<(u64, u64), _>| row.map(|(id, row)| (IncidentId::new(id), row)));
            let incidents = incidents.filter_map(|row| row.map(|(id, row)| Some((id?, row))).transpose());
            Ok(incidents.collect::<Result<_, _>>()?)
        })
    }

    /// The snapshots of those of these rows whose incidents were read, by row.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn snapshots(&self, run: &RunHandle, rows: &[u64]) -> Result<BTreeMap<u64, Snapshots>, JournalError> {
        let mut snapshots = BTreeMap::new();
        let Some(wanted) = number_list(rows) else { return Ok(snapshots) };
        self.read(|db| {
            let mut statement = db.prepare_cached(SNAPSHOTS)?;
            let mut found = statement.query(params![run.id, wanted])?;
            while let Some(stored) = found.next()? {
                let row = stored.get(0)?;
                let damaged = |why| self.dir.damaged(format!("row {row} of run {}: {why}", run.name));
                let planned = columns::json(stored, 2).map_err(damaged)?;
                let is_touched = stored.get(3)?;
                if let Some(now) = columns::json(stored, 1).map_err(damaged)? {
                    snapshots.insert(row, Snapshots { now, planned, is_touched });
                }
            }
            Ok(snapshots)
        })
    }

    /// Stores the diffs of rows whose incidents were read at `read_at`.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn compared(&mut self, run: &RunHandle, read_at: BootTime, rows: &[DiffResult]) -> Result<(), JournalError> {
        let at = self.clock.now().wall_at(read_at).as_microsecond();
        self.write(|tx| {
            for compared in rows {
                let snapshot_at = compared.differs.then_some(at);
                if compared.edits.is_some() || snapshot_at.is_some() {
                    columns::write_resolved(tx, run.id, compared.row, compared.edits.as_ref(), snapshot_at)?;
                }
                if let Some(outcome) = &compared.outcome {
                    columns::write_outcome(tx, run.id, compared.row, outcome)?;
                }
            }
            Ok(())
        })
    }

    /// The next rows without an outcome, after row `after`: at most `limit`, and fewer if they are long.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn pending(&self, run: &RunHandle, after: u64, limit: u32) -> Result<Vec<PendingRow>, JournalError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(&pending_rows())?;
            let rows = statement.query_and_then(params![run.id, after, limit], |stored| {
                let damaged = |(row, why)| self.dir.damaged(format!("row {row} of run {}: {why}", run.name));
                Ok(columns::pending_row(stored)?.map_err(damaged)?)
            })?;
            page(rows, |row| row.change.edits.bytes() + row.source.len())
        })
    }

    /// How many rows without an outcome both add a comment and set properties: two steps, if the API has them.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn rows_with_both(&self, run: &RunHandle) -> Result<u64, JournalError> {
        let sql = "SELECT count(*) FROM rows
                   WHERE run = ?1 AND outcome IS NULL AND appends AND (SELECT count(*) FROM json_each(body)) > 1";
        self.read(|db| Ok(db.prepare_cached(sql)?.query_row([run.id], |row| row.get(0))?))
    }

    /// The same rows as they are sent.
    ///
    /// # Errors
    /// If the journal can't be read, or a list edit is not resolved: every incident was read before its row is sent.
    pub fn sendable(&self, run: &RunHandle, after: u64, limit: u32) -> Result<Vec<PendingRow<Never>>, JournalError> {
        let resolve = |row: PendingRow| {
            let why = format!("row {} of run {} has a list edit in the place of the list", row.row, run.name);
            row.resolved().ok_or_else(|| self.dir.damaged(why))
        };
        self.pending(run, after, limit)?.into_iter().map(resolve).collect()
    }
}
