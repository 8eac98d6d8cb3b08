//! History: runs as they are shown, their results in the input's order, and what earlier runs mean for a new one.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::dedup::{DedupQuery, PriorRuns, WillSend, since, updates_for};
use super::ledger::{Ledger, latency};
use super::redirects::MERGED;
use super::rows::{PendingRow, page};
use super::runs::{RunHandle, RunMetadata, RunState};
use super::{Journal, JournalError, StateDir, locks, wall};
use crate::clock::Clock;
use crate::model::change::TenantKey;
use crate::model::outcome::{Outcome, OutcomeKind, ResultRow};
use crate::model::permit::{Pause, QuotaUsage};

/// A run, for the list.
#[derive(Clone, Debug)]
pub struct RunSummary {
    /// `7f3k`
    pub name: String,
    /// How far it is.
    pub state: RunState,
    /// Whether a process is sending it now.
    pub is_held: bool,
    /// Whose incidents.
    pub scope: TenantKey,
    /// The contract's name.
    pub contract: String,
    /// The checksum of the plan that it applies.
    pub plan: Option<String>,
    /// Its beginning.
    pub facts: RunMetadata,
    /// When it was loaded.
    pub created: Timestamp,
    /// When it was over.
    pub finished: Option<Timestamp>,
    /// Its rows by outcome; rows without one are `not-attempted`.
    pub outcomes: Vec<(OutcomeKind, u64)>,
    /// Calls made.
    pub calls: u64,
    /// 429s among the answers.
    pub throttled: u64,
}

impl RunSummary {
    /// All rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.outcomes.iter().map(|(_, count)| count).sum()
    }
}

/// What can be read of a journal. Reading waits for no other process, and leaves no trace in it.
#[derive(Debug)]
pub struct History {
    pub(super) db: Connection,
    pub(super) dir: StateDir,
    pub(super) clock: Clock,
}

impl History {
    /// Opens the journal in `dir` for reading; `None` if there is none yet.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn open(dir: &Path, clock: Clock) -> Result<Option<History>, JournalError> {
        let dir = StateDir::to_read(dir)?;
        let db = dir.read_only()?;
        Ok(db.map(|db| History { db, dir, clock }))
    }

    /// The rows of a run by outcome; `None`: those without one.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn outcomes(&self, run: &str) -> Result<Vec<(Option<OutcomeKind>, u64)>, JournalError> {
        let id = self.run_id(run)?;
        let mut statement =
            self.db.prepare_cached("SELECT outcome, count(*) FROM rows WHERE run = ?1 GROUP BY outcome")?;
        let counts = statement.query_map([id], |row| {
            let outcome: Option<String> = row.get(0)?;
            Ok((outcome.and_then(|name| name.parse().ok()), row.get(1)?))
        })?;
        Ok(counts.collect::<Result<_, _>>()?)
    }

    /// The codes of the first rows of a run that were over, in the order in which they were: at most `limit`. Rows that
    /// were not sent because of what was read are none: they were said before the question.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn first_outcomes(&self, run: &RunHandle, limit: u32) -> Result<Vec<(OutcomeKind, String)>, JournalError> {
        let mut statement = self.db.prepare_cached(
            &format!("SELECT outcome, code FROM rows
             WHERE run = ?1 AND finished_wall IS NOT NULL AND outcome <> 'invalid' AND (before IS NULL OR {ATTEMPTS} > 0)
             ORDER BY finished_wall LIMIT ?2"),
        )?;
        let rows = statement.query_map(params![run.id, limit], |row| {
            let outcome: String = row.get(0)?;
            Ok((
                outcome.parse().unwrap_or(OutcomeKind::NotAttempted),
                row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many rows without an outcome may have been made all the same.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn unsettled(&self, run: &str) -> Result<u64, JournalError> {
        let id = self.run_id(run)?;
        let sql = format!("SELECT count(*) FROM rows WHERE run = ?1 AND {IS_UNSETTLED}");
        Ok(self.db.prepare_cached(&sql)?.query_row([id], |row| row.get(0))?)
    }

    /// How many rows ended with this code.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn rows_with_code(&self, run: &str, code: &str) -> Result<u64, JournalError> {
        let id = self.run_id(run)?;
        let sql = "SELECT count(*) FROM rows WHERE run = ?1 AND code = ?2";
        Ok(self.db.prepare_cached(sql)?.query_row(params![id, code], |row| row.get(0))?)
    }

    /// The lines of the results after row `after`, in the input's order: at most `limit`, and fewer where they are long;
    /// none only after the last. With `only_over`, rows without an outcome are left out; else they are `not-attempted`,
    /// or `in-doubt` where a call for them may have been carried out.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn results(&self, run: &str, after: u64, limit: u32, only_over: bool) -> Result<Vec<ResultRow>, JournalError> {
        let id = self.run_id(run)?;
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT {} FROM rows
             WHERE run = ?1 AND row > ?2 AND (NOT ?4 OR outcome IS NOT NULL) ORDER BY row LIMIT ?3",
            result_columns()
        ))?;
        let rows = statement.query_map(params![id, after, limit, only_over], result_row)?;
        page(rows.map(|row| Ok(row?)), |row| row.source.len())
    }

    /// All runs, the youngest first.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn runs(&self) -> Result<Vec<RunSummary>, JournalError> {
        let mut statement = self.db.prepare("SELECT name FROM runs WHERE state <> 'loading' ORDER BY id DESC")?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        names.iter().map(|name| self.run(name)).collect()
    }

    /// One run.
    ///
    /// # Errors
    /// [`JournalError::NoSuchRun`], or where the journal can't be read.
    pub fn run(&self, name: &str) -> Result<RunSummary, JournalError> {
        let id = self.run_id(name)?;
        let unsettled = self.unsettled(name)?;
        let mut sums = BTreeMap::new();
        for (outcome, count) in self.outcomes(name)? {
            let count = if outcome.is_none() { count - unsettled } else { count };
            *sums.entry(outcome.unwrap_or(OutcomeKind::NotAttempted)).or_insert(0) += count;
        }
        *sums.entry(OutcomeKind::InDoubt).or_insert(0) += unsettled;
        let outcomes = sums.into_iter().filter(|(_, count)| *count > 0).collect();
        let (calls, throttled) = self.db.query_row(
            "SELECT count(*), count(*) FILTER (WHERE verdict = 'throttled') FROM attempts WHERE run = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let is_held = locks::is_held(self.dir.path(), name);
        let (state, scope, contract, facts, created, finished, plan): (String, String, String, String, i64, _, _) =
            self.db.query_row(
                "SELECT state, scopes.name, contract, facts, created_wall, finished_wall, plan
                 FROM runs JOIN scopes ON scopes.id = runs.scope WHERE runs.id = ?1",
                [id],
                |row| {
                    let facts = (row.get(3)?, row.get(4)?);
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        facts.0,
                        facts.1,
                        row.get::<_, Option<i64>>(5)?,
                        row.get(6)?,
                    ))
                },
            )?;
        let facts = serde_json::from_str(&facts).map_err(|error| JournalError::Damaged {
            path: self.dir.database(),
            why: format!("run {name}: {error}"),
        })?;
        Ok(RunSummary {
            name: name.to_owned(),
            state: if state == "over" { RunState::Over } else { RunState::Unfinished },
            is_held,
            scope: TenantKey::from_stored(scope),
            contract,
            plan,
            facts,
            created: wall(created),
            finished: finished.map(wall),
            outcomes,
            calls,
            throttled,
        })
    }

    pub(super) fn run_id(&self, name: &str) -> Result<i64, JournalError> {
        self.db
            .prepare_cached("SELECT id FROM runs WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()
            .map_err(|error| self.dir.explain(error.into()))?
            .ok_or_else(|| JournalError::NoSuchRun(name.to_owned()))
    }
}

impl Journal {
    /// Adds to `earlier` what earlier runs have to do with a row of a run that has not begun, or goes on. Says whether it
    /// will be sent.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn earlier(
        &self,
        run: &RunHandle,
        row: &PendingRow,
        remember: Duration,
        appended: Option<&str>,
        earlier: &mut PriorRuns,
    ) -> Result<WillSend, JournalError> {
        let (since, comments_since) = since(self.clock.now(), remember, row.differed_at);
        let asker = DedupQuery { run: run.id, row: row.row, since, comments_since, appended, asked: row.asked() };
        let pasts = updates_for(&self.db, self.scope_of(run)?, row.change.incident, row.merged)?;
        Ok(earlier.add(&pasts, &row.change, asker))
    }

    /// The calls of the run's scope that ended within `longest_window` or are under way, and its pause.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn ledger(
        &self,
        run: &RunHandle,
        longest_window: Duration,
    ) -> Result<(QuotaUsage, Option<Pause>), JournalError> {
        let mut ledger = Ledger::default();
        ledger.read(&self.db, self.scope_of(run)?, self.process, self.clock.now().boot - 2 * longest_window)?;
        Ok((ledger.spent, ledger.pause.map(Pause::from)))
    }

    /// How long the last requests of the run's scope took, on average; `None` if there were none.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn latency_of(&self, run: &RunHandle) -> Result<Option<Duration>, JournalError> {
        latency(&self.db, self.scope_of(run)?)
    }

    pub(super) fn scope_of(&self, run: &RunHandle) -> Result<i64, JournalError> {
        Ok(self.db.query_row("SELECT scope FROM runs WHERE id = ?1", [run.id], |row| row.get(0))?)
    }
}

/// The attempts at a row, found by its incident.
macro_rules! attempts_at_row {
    () => {
        "attempts AS a
         WHERE a.scope = (SELECT scope FROM runs WHERE id = rows.run) AND a.incident = rows.target
           AND a.run = rows.run AND a.row = rows.row"
    };
}

/// Of a row: whether it has no outcome, and an update for it is in doubt or under way, or was found made by another run
/// since.
pub(super) const IS_UNSETTLED: &str = concat!(
    "(outcome IS NULL AND EXISTS (SELECT 1 FROM ",
    attempts_at_row!(),
    " AND a.kind > 0 AND a.applied IS NOT 0))"
);

/// Of a row: the calls made for it.
pub(super) const ATTEMPTS: &str = concat!("(SELECT count(*) FROM ", attempts_at_row!(), ")");

/// What [`result_row`] reads of a row.
pub(super) fn result_columns() -> String {
    format!(
        "row, line, incident, outcome, code, message, http_status, request_id, finished_wall, {ATTEMPTS}, source, \
         {IS_UNSETTLED}, target, {MERGED}"
    )
}

pub(super) fn result_row(row: &Row<'_>) -> Result<ResultRow, rusqlite::Error> {
    let kind: Option<String> = row.get(3)?;
    let outcome = if row.get(11)? {
        let message = "it may have been applied: the run ended before this was resolved; the next run resolves it";
        Outcome::new(OutcomeKind::InDoubt, "unsettled", message)
    } else {
        Outcome {
            kind: kind.and_then(|name| name.parse().ok()).unwrap_or(OutcomeKind::NotAttempted),
            code: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
            message: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
            http_status: row.get(6)?,
            request_id: row.get(7)?,
            finished_at: row.get::<_, Option<i64>>(8)?.map(wall),
        }
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
