//! The facts for decisions: all updates of a batch's incidents, and the reads of them in flight, by one query.

use rusqlite::{Connection, Row, params};

use super::attempt::AttemptId;
use super::columns::{StoredChange, stored_change};
use super::decide::{AttemptKind, Facts, PriorUpdate, part_of};
use super::row::PendingRow;
use super::run::RunHandle;
use super::sql::{DbError, api_of, boot, id_list, scope_of, wall};
use crate::model::change::IncidentId;
use crate::model::step::Part;

/// The updates of incidents by one API, and the reads in flight that belong to no row.
pub(super) const ATTEMPTS_OF_INCIDENTS: &str = "
    SELECT a.incident, a.process, a.id, a.kind = 0, a.run, a.row, runs.name, runs.state = 'over', a.started, a.ended,
           a.ended_wall, a.applied, a.verdict, rows.body, rows.appends, rows.asked, a.kind, a.step
    FROM json_each(?2) AS wanted
    CROSS JOIN attempts AS a ON a.scope = ?1 AND a.incident = wanted.value
    LEFT JOIN rows ON rows.run = a.run AND rows.row = a.row
    LEFT JOIN runs ON runs.id = a.run
    WHERE a.kind > 0 AND rows.row IS NOT NULL AND runs.api = ?3 OR a.kind = 0 AND a.ended IS NULL";

/// The facts about these incidents from the attempts of a tenant key at an API.
pub(super) fn facts(
    db: &Connection,
    scope: i64,
    api: &str,
    incidents: impl IntoIterator<Item = IncidentId>,
) -> Result<Facts, rusqlite::Error> {
    let mut facts = Facts::default();
    let Some(wanted) = id_list(incidents) else { return Ok(facts) };
    let mut statement = db.prepare_cached(ATTEMPTS_OF_INCIDENTS)?;
    let mut attempts = statement.query(params![scope, wanted, api])?;
    while let Some(row) = attempts.next()? {
        let Some(incident) = IncidentId::new(row.get(0)?) else { continue };
        let attempt = AttemptId { session: row.get(1)?, number: row.get(2)? };
        if row.get(3)? {
            facts.reads.insert((incident, attempt));
        } else {
            facts.updates.entry(incident).or_default().push(update(row, incident, attempt)?);
        }
    }
    for updates in facts.updates.values_mut() {
        updates.sort_by_key(|update| update.attempt.number);
    }
    Ok(facts)
}

fn update(row: &Row<'_>, incident: IncidentId, attempt: AttemptId) -> Result<PriorUpdate, rusqlite::Error> {
    let StoredChange { mut change, asked } = stored_change(row, incident, [13, 14, 15])?;
    let asked = asked.unwrap_or_else(|| change.edits.clone());
    let kind = row.get(16)?;
    let part = part_of(kind, row.get(17)?);
    // Its row's comment was left out.
    let sent = if kind == AttemptKind::UpdateWithoutComment as u8 { Part::Properties } else { part };
    if sent != Part::Whole {
        change.edits = sent.of(&change.edits);
    }
    Ok(PriorUpdate {
        attempt,
        run: row.get(4)?,
        row: row.get(5)?,
        run_name: row.get(6)?,
        run_is_finished: row.get(7)?,
        started: boot(row.get(8)?),
        ended: row.get::<_, Option<i64>>(9)?.map(boot),
        ended_wall: wall(row.get::<_, Option<i64>>(10)?.unwrap_or(0)),
        applied: row.get(11)?,
        verdict: row.get(12)?,
        asked,
        part,
        change,
    })
}

/// The same for the rows of a run.
pub(super) fn facts_of_rows(db: &Connection, run: &RunHandle, rows: &[&PendingRow]) -> Result<Facts, DbError> {
    let incidents = rows.iter().flat_map(|row| [Some(row.change.incident), row.merged]).flatten();
    Ok(facts(db, scope_of(db, run)?, &api_of(db, run.id)?, incidents)?)
}
