//! How a run's rows are stored: the one place that turns columns into rows, changes, snapshots and outcomes.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Error, Row, Transaction, params};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::row::{LoadRow, PendingRow, ReportRow};
use super::sql::{stored_id, wall};
use crate::model::change::{Change, IncidentId};
use crate::model::edit::Edits;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind, ResultRow, RowCode};
use crate::model::snapshot::Snapshot;
use crate::plan::decode;

/// The attempts at a row, found by its incident.
macro_rules! attempts_at_row {
    () => {
        "attempts AS a
         WHERE a.scope = (SELECT scope FROM runs WHERE id = rows.run) AND a.incident = rows.target
           AND a.run = rows.run AND a.row = rows.row"
    };
}

/// Of a row: whether it has no outcome, and an update for it is in doubt or in flight, or another run has found since
/// that it was applied.
pub(super) const IS_UNSETTLED: &str = concat!(
    "(outcome IS NULL AND EXISTS (SELECT 1 FROM ",
    attempts_at_row!(),
    " AND a.kind > 0 AND a.applied IS NOT 0))"
);

/// Of a row: whether its update, as a separate step, was applied to the incident.
pub(super) const IS_UPDATE_APPLIED: &str = concat!(
    "EXISTS (SELECT 1 FROM ",
    attempts_at_row!(),
    " AND a.kind = 3 AND a.step = 0 AND a.applied = 1 AND a.verdict IS NOT 'redirected')"
);

/// Of an unsettled row: whether its update was applied, and its comment, a separate step, is still to be sent.
pub(super) const IS_HALF_DONE: &str = concat!(
    "(EXISTS (SELECT 1 FROM ",
    attempts_at_row!(),
    " AND a.kind = 3 AND a.step = 0 AND a.applied = 1) AND NOT EXISTS (SELECT 1 FROM ",
    attempts_at_row!(),
    " AND a.kind = 3 AND a.step = 1 AND a.applied IS NOT 0))"
);

/// Of a row: the number of its requests.
pub(super) const ATTEMPTS: &str =
    concat!("(SELECT count(*) FROM ", attempts_at_row!(), " AND a.verdict IS NOT 'unsent')");

/// Of a row: its own incident, if another is updated instead.
pub(super) const MERGED: &str = "CASE WHEN target <> CAST(incident AS INTEGER) THEN CAST(incident AS INTEGER) END";

/// Of a row: whether what it asks for may contain a list edit.
pub(super) const MAY_CHANGE_LISTS: &str = "(asked IS NOT NULL AND instr(substr(asked, 2), '{') > 0)";

/// Adds a row, with the columns of [`insert`].
const INSERT: &str = "
    INSERT INTO rows
        (run, row, line, incident, target, body, asked, appends, source, outcome, code, message, plan_snapshot, before)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)";

/// Adds a row to a run.
pub(super) fn insert(tx: &Transaction<'_>, run: i64, row: &LoadRow) -> Result<(), Error> {
    let change = row.change.as_ref().ok();
    let outcome = row.change.as_ref().err();
    let body = change.map(|change| change.edits.to_json());
    tx.prepare_cached(INSERT)?.execute(params![
        run,
        row.row,
        row.line,
        row.incident,
        change.map(|change| stored_id(change.incident)),
        body,
        body.as_ref().filter(|_| change.is_some_and(|change| change.edits.edit_lists())),
        change.is_some_and(|change| change.edits.added().is_some()),
        row.source,
        outcome.map(|outcome| outcome.kind.name()),
        outcome.map(|outcome| outcome.code.as_str()),
        outcome.map(|outcome| &outcome.message),
        row.planned.as_ref().map(Snapshot::to_json),
    ])?;
    Ok(())
}

/// Stores a row's outcome.
pub(super) fn write_outcome(tx: &Transaction<'_>, run: i64, row: u64, outcome: &Outcome) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE rows
         SET outcome = ?3, code = ?4, message = ?5, http_status = ?6, request_id = ?7, finished_wall = ?8
         WHERE run = ?1 AND row = ?2",
    )?
    .execute(params![
        run,
        row,
        outcome.kind.name(),
        outcome.code.as_str(),
        outcome.message,
        outcome.http_status,
        outcome.request_id,
        outcome.finished_at.map(Timestamp::as_microsecond),
    ])?;
    Ok(())
}

/// Stores what a row sends if that differs from what it asks for: with complete lists, without values already set. Also
/// stores when its incident was read, if that read differed.
pub(super) fn write_resolved(
    tx: &Transaction<'_>,
    run: i64,
    row: u64,
    edits: Option<&Edits>,
    snapshot_at: Option<i64>,
) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE rows
         SET asked = coalesce(asked, iif(?3 <> body, body, NULL)), body = coalesce(?3, body),
             snapshot_at = coalesce(?4, snapshot_at)
         WHERE run = ?1 AND row = ?2",
    )?
    .execute(params![run, row, edits.map(Edits::to_json), snapshot_at])?;
    Ok(())
}

/// What a row sends, and what it asked for if that is different.
pub(super) struct StoredChange {
    pub(super) change: Change,
    pub(super) asked: Option<Edits>,
}

/// The change in the columns `body`, `appends` and `asked`, at these positions. If it is damaged,
/// [`Error::FromSqlConversionFailure`] says how.
pub(super) fn stored_change(
    row: &Row<'_>,
    incident: IncidentId,
    [body, appends, asked]: [usize; 3],
) -> Result<StoredChange, Error> {
    let edits = stored_edits(row, body, appends)?.unwrap_or_default();
    Ok(StoredChange { change: Change { incident, edits }, asked: stored_edits(row, asked, appends)? })
}

/// The edits in the column `body`, as [`Edits::to_json`] wrote them; `None` if it is empty.
fn stored_edits(row: &Row<'_>, body: usize, appends: usize) -> Result<Option<Edits>, Error> {
    let (text, appends): (Option<String>, _) = (row.get(body)?, row.get(appends)?);
    let edits = text.map(|text| decode(&text, appends)).transpose();
    edits.map_err(|why| Error::FromSqlConversionFailure(body, Type::Text, why.into()))
}

/// The rows without an outcome after row `?2`.
pub(super) fn pending_rows() -> String {
    format!(
        "SELECT row, target, body, appends, asked, line, source, {ATTEMPTS}, {IS_UNSETTLED}, snapshot_at, {MERGED},
                before IS NOT NULL
         FROM rows
         WHERE run = ?1 AND row > ?2 AND outcome IS NULL AND body IS NOT NULL ORDER BY row LIMIT ?3"
    )
}

/// A row of [`pending_rows`]; if it is damaged, its number and the problem.
pub(super) fn pending_row(stored: &Row<'_>) -> Result<Result<PendingRow, (u64, String)>, Error> {
    let row = stored.get(0)?;
    let Some(incident) = stored.get::<_, Option<u64>>(1)?.and_then(IncidentId::new) else {
        return Ok(Err((row, "it has no incident".to_owned())));
    };
    let StoredChange { change, asked } = match stored_change(stored, incident, [2, 3, 4]) {
        Err(Error::FromSqlConversionFailure(_, _, why)) => return Ok(Err((row, why.to_string()))),
        stored => stored?,
    };
    Ok(Ok(PendingRow {
        row,
        line: stored.get(5)?,
        source: stored.get(6)?,
        change,
        attempts: stored.get(7)?,
        is_in_doubt: stored.get(8)?,
        is_recorded: stored.get(11)?,
        differed_at: stored.get::<_, Option<i64>>(9)?.map(wall),
        merged: stored.get::<_, Option<u64>>(10)?.and_then(IncidentId::new),
        asked,
    }))
}

/// The columns that [`result_row`] reads.
pub(super) fn result_columns() -> String {
    format!(
        "row, line, incident, outcome, code, message, http_status, request_id, finished_wall, {ATTEMPTS}, source, \
         CASE WHEN NOT {IS_UNSETTLED} THEN NULL WHEN {IS_HALF_DONE} THEN 'no comment' \
              WHEN {IS_UPDATE_APPLIED} THEN 'comment in doubt' ELSE 'in doubt' END, \
         target, {MERGED}"
    )
}

pub(super) fn result_row(row: &Row<'_>) -> Result<ResultRow, Error> {
    let kind: Option<String> = row.get(3)?;
    let outcome = match row.get::<_, Option<String>>(11)?.as_deref() {
        Some("no comment") => {
            let message = "the update was applied, but the comment was not added: the next run sends it";
            Outcome::new(OutcomeKind::InDoubt, OutcomeCode::HalfDone, message)
        }
        Some(unsettled) => {
            let is_comment = unsettled == "comment in doubt";
            let what = if is_comment { "the comment may have been added" } else { "it may have been applied" };
            let message = format!("{what}: the run ended before this was resolved; the next run resolves it");
            Outcome::new(OutcomeKind::InDoubt, OutcomeCode::Unsettled, message)
        }
        None => Outcome {
            kind: kind.and_then(|name| name.parse().ok()).unwrap_or(OutcomeKind::NotAttempted),
            code: row.get::<_, Option<String>>(4)?.map(RowCode::from).unwrap_or_default(),
            message: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
            http_status: row.get(6)?,
            request_id: row.get(7)?,
            finished_at: row.get::<_, Option<i64>>(8)?.map(wall),
        },
    };
    let merged: Option<u64> = row.get(13)?;
    let target: Option<u64> = row.get(12)?;
    Ok(ResultRow {
        row: row.get(0)?,
        line: row.get(1)?,
        incident_id: row.get(2)?,
        outcome: match merged.and(target) {
            Some(target) => outcome.of_target(target),
            None => outcome,
        },
        attempts: row.get(9)?,
        source: row.get(10)?,
    })
}

/// The columns that [`report_row`] reads.
pub(super) fn report_columns() -> String {
    format!("{}, body, before, appends", result_columns())
}

pub(super) fn report_row(row: &Row<'_>) -> Result<ReportRow, Error> {
    // A snapshot that can't be read is not shown.
    let before = json(row, 15).ok().flatten();
    let target = row.get::<_, Option<u64>>(12)?.and_then(IncidentId::new);
    let change = target.zip(stored_edits(row, 14, 16)?).map(|(incident, edits)| Change { incident, edits });
    Ok(ReportRow { result: result_row(row)?, change, before })
}

/// The value of a JSON column; `None` if the column is empty.
///
/// # Errors
/// The problem, if it is not such JSON.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Option<T>, String> {
    let stored: Option<Value> = row.get(column).map_err(|error| match error {
        Error::FromSqlConversionFailure(_, _, why) => why.to_string(),
        other => other.to_string(),
    })?;
    stored.map(T::deserialize).transpose().map_err(|error| error.to_string())
}
