//! The run report: rows by how they ended, and a run's requests over time.
//!
//! Promise: memory does not grow with the rows or the requests.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::columns::{IS_HALF_DONE, IS_UNSETTLED, IS_UPDATE_APPLIED, report_columns, report_row};
use super::error::JournalError;
use super::opened::History;
use super::row::ReportRow;
use super::sql::{page, run_id, wall};
use crate::model::outcome::{OutcomeCode, OutcomeKind, RowCode};

/// Rows that ended alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeGroup {
    /// How.
    pub kind: OutcomeKind,
    /// Why; empty if there is nothing to add.
    pub code: RowCode,
    /// How many.
    pub rows: u64,
}

/// Which rows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFilter<'a> {
    /// Those of a group.
    Group(&'a OutcomeGroup),
    /// Those that were updated, or of which the update was applied and the comment, a step of its own, was not.
    Updated,
    /// Those that are of none of these kinds.
    NoneOf(&'a [OutcomeKind]),
}

/// The requests of a run over time, in pieces of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// When the first request started; `None` without requests.
    pub from: Option<Timestamp>,
    /// From there to the end of the last one.
    pub lasts: Duration,
    /// The pieces in which requests started, in their order.
    pub pieces: Vec<TimelinePiece>,
    /// Requests, updates and reads.
    pub calls: u64,
    /// Of these, the reads.
    pub reads: u64,
    /// Of these, the comments that are requests of their own.
    pub comments: u64,
    /// 429s.
    pub throttled: u64,
    /// Requests that ended without a response, or with a transient error.
    pub transient: u64,
    /// How often a 429 made the run wait, …
    pub pauses: u64,
    /// … how long in all, …
    pub paused: Duration,
    /// … and how long at most.
    pub longest_pause: Duration,
}

/// One piece of a [`Timeline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelinePiece {
    /// The first request in it, since the first of all.
    pub at: Duration,
    /// Requests that started in it.
    pub calls: u64,
    /// Of these, those that ended with a 429.
    pub throttled: u64,
}

/// How a row ended, as its results line says it.
fn kind() -> String {
    format!("CASE WHEN outcome IS NOT NULL THEN outcome WHEN {IS_UNSETTLED} THEN 'in-doubt' ELSE 'not-attempted' END")
}

/// And why.
fn code() -> String {
    format!(
        "CASE WHEN outcome IS NOT NULL OR NOT {IS_UNSETTLED} THEN coalesce(code, '')
              WHEN {IS_HALF_DONE} THEN '{}' ELSE '{}' END",
        OutcomeCode::HalfDone,
        OutcomeCode::Unsettled
    )
}

/// From the end of a 429 to the next request: those that were in flight beside it started before that end.
const PAUSES: &str = "
    SELECT count(*), coalesce(sum(next - refused), 0), coalesce(max(next - refused), 0) FROM
        (SELECT started_wall,
                max(CASE WHEN verdict = 'throttled' THEN ended_wall END) OVER (ORDER BY id) AS refused,
                lead(started_wall) OVER (ORDER BY id) AS next
         FROM attempts WHERE run = ?1)
    WHERE started_wall <= refused AND refused < next";

/// Reading for reports: outcomes and requests over time.
impl History {
    /// The rows of a run by how they ended and why, the most frequent first.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn outcome_groups(&self, run: &str) -> Result<Vec<OutcomeGroup>, JournalError> {
        let sql = format!(
            "SELECT {} AS kind, {} AS why, count(*) AS n FROM rows WHERE run = ?1 GROUP BY 1, 2 ORDER BY n DESC, 1, 2",
            kind(),
            code()
        );
        let group = |row: &Row<'_>| {
            let kind: String = row.get(0)?;
            let kind = kind.parse().unwrap_or(OutcomeKind::NotAttempted);
            Ok(OutcomeGroup { kind, code: row.get::<_, String>(1)?.into(), rows: row.get(2)? })
        };
        self.read(|db| Ok(db.prepare(&sql)?.query_map([run_id(db, run)?], group)?.collect::<Result<_, _>>()?))
    }

    /// Rows of a run after row `after`, in the input's order: at most `limit`, and fewer if they are long; none only after
    /// the last.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn report_rows(
        &self,
        run: &str,
        pick: RowFilter<'_>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ReportRow>, JournalError> {
        let (condition, wanted, code_wanted) = match pick {
            RowFilter::Group(group) => {
                (format!("{} = ?4 AND {} = ?5", kind(), code()), group.kind.name().into(), group.code.as_str())
            }
            RowFilter::Updated => (
                format!("({} = ?4 OR {IS_UPDATE_APPLIED}) AND ?5 = ''", kind()),
                OutcomeKind::Updated.name().into(),
                "",
            ),
            RowFilter::NoneOf(kinds) => {
                let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                // Names of ours, without a comma.
                (format!("instr(',' || ?4 || ',', ',' || {} || ',') = 0 AND ?5 = ''", kind()), names.join(","), "")
            }
        };
        let sql = format!(
            "SELECT {} FROM rows WHERE run = ?1 AND row > ?2 AND {condition} ORDER BY row LIMIT ?3",
            report_columns()
        );
        self.read(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(params![run_id(db, run)?, after, limit, wanted, code_wanted], report_row)?;
            page(rows.map(|row| Ok(row?)), |row: &ReportRow| {
                row.result.source.len() + row.change.as_ref().map_or(0, |change| change.edits.bytes())
            })
        })
    }

    /// The requests of a run over time, in at most `pieces` pieces.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn timeline(&self, run: &str, pieces: u64) -> Result<Timeline, JournalError> {
        self.read(|db| Ok(timeline(db, run_id(db, run)?, pieces)?))
    }
}

fn timeline(db: &Connection, run: i64, pieces: u64) -> Result<Timeline, rusqlite::Error> {
    let count = |row: &Row<'_>| {
        let counted = Timeline {
            calls: row.get(2)?,
            reads: row.get(3)?,
            comments: row.get(4)?,
            throttled: row.get(5)?,
            transient: row.get(6)?,
            ..Timeline::default()
        };
        Ok((row.get(0)?, row.get(1)?, counted))
    };
    let (from, until, counted): (Option<i64>, Option<i64>, _) = db.query_row(
        "SELECT min(started_wall), max(max(started_wall, coalesce(ended_wall, 0))), count(*),
                count(*) FILTER (WHERE kind = 0), count(*) FILTER (WHERE step = 1),
                count(*) FILTER (WHERE verdict = 'throttled'),
                count(*) FILTER (WHERE verdict IN ('transient', 'in-doubt'))
         FROM attempts WHERE run = ?1 AND verdict IS NOT 'unsent'",
        [run],
        count,
    )?;
    let (Some(from), Some(until)) = (from, until) else { return Ok(Timeline::default()) };
    let length = (until - from) / i64::try_from(pieces.max(1)).unwrap_or(i64::MAX) + 1;
    let mut statement = db.prepare(
        "SELECT min(started_wall) - ?2, count(*), count(*) FILTER (WHERE verdict = 'throttled')
         FROM attempts WHERE run = ?1 AND verdict IS NOT 'unsent' GROUP BY (started_wall - ?2) / ?3 ORDER BY 1",
    )?;
    let piece =
        |row: &Row<'_>| Ok(TimelinePiece { at: lasting(row.get(0)?), calls: row.get(1)?, throttled: row.get(2)? });
    let pieces = statement.query_map([run, from, length], piece)?.collect::<Result<_, _>>()?;
    let (pauses, paused, longest) = db.query_row(PAUSES, [run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(Timeline {
        from: Some(wall(from)),
        lasts: lasting(until - from),
        pieces,
        pauses,
        paused: lasting(paused),
        longest_pause: lasting(longest),
        ..counted
    })
}

/// A clock that was set back makes no time, not a negative one.
fn lasting(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
