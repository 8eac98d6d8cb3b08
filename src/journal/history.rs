//! History: runs as they are shown, their results in the input's order, and the state of the quota.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::params;

use super::columns::{self, ATTEMPTS, IS_UNSETTLED, result_columns, result_row};
use super::error::JournalError;
use super::ledger::Ledger;
use super::ledger_store::{self, LedgerKey};
use super::locks;
use super::opened::{History, Journal};
use super::run::{RunHandle, RunState, RunSummary};
use super::sql::{page, run_id, scope_of, wall};
use crate::model::change::TenantKey;
use crate::model::outcome::{OutcomeCode, OutcomeKind, ResultRow, RowCode};
use crate::model::permit::{Pause, QuotaUsage};

/// Reading for reports: runs and their results.
impl History {
    /// The rows of a run by outcome; `None`: those without one.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn outcomes(&self, run: &str) -> Result<Vec<(Option<OutcomeKind>, u64)>, JournalError> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT outcome, count(*) FROM rows WHERE run = ?1 GROUP BY outcome")?;
            let counts = statement.query_map([run_id(db, run)?], |row| {
                let outcome: Option<String> = row.get(0)?;
                Ok((outcome.and_then(|name| name.parse().ok()), row.get(1)?))
            })?;
            Ok(counts.collect::<Result<_, _>>()?)
        })
    }

    /// The codes of the rows of a run that finished first, in that order: at most `limit`. Excludes rows skipped by
    /// --compare; they were reported before the prompt.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn first_outcomes(&self, run: &RunHandle, limit: u32) -> Result<Vec<(OutcomeKind, RowCode)>, JournalError> {
        let sql = format!(
            "SELECT outcome, code FROM rows
             WHERE run = ?1 AND finished_wall IS NOT NULL AND outcome <> 'invalid' AND (before IS NULL OR {ATTEMPTS} > 0)
             ORDER BY finished_wall LIMIT ?2"
        );
        self.read(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(params![run.id, limit], |row| {
                let outcome: String = row.get(0)?;
                let kind = outcome.parse().unwrap_or(OutcomeKind::NotAttempted);
                Ok((kind, row.get::<_, Option<String>>(1)?.map(RowCode::from).unwrap_or_default()))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How many rows without an outcome may have been applied.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn unsettled(&self, run: &str) -> Result<u64, JournalError> {
        let sql = format!("SELECT count(*) FROM rows WHERE run = ?1 AND {IS_UNSETTLED}");
        self.read(|db| Ok(db.prepare_cached(&sql)?.query_row([run_id(db, run)?], |row| row.get(0))?))
    }

    /// How many rows ended with this code.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn rows_with_code(&self, run: &str, code: OutcomeCode) -> Result<u64, JournalError> {
        let sql = "SELECT count(*) FROM rows WHERE run = ?1 AND code = ?2";
        self.read(|db| {
            Ok(db.prepare_cached(sql)?.query_row(params![run_id(db, run)?, code.name()], |row| row.get(0))?)
        })
    }

    /// The lines of the results after row `after`, in the input's order: at most `limit`, and fewer if they are long; none
    /// only after the last. With `only_over`, rows without an outcome are left out; else they are `not-attempted`, or
    /// `in-doubt` if a request for them may have been applied.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn results(&self, run: &str, after: u64, limit: u32, only_over: bool) -> Result<Vec<ResultRow>, JournalError> {
        let sql = format!(
            "SELECT {} FROM rows
             WHERE run = ?1 AND row > ?2 AND (NOT ?4 OR outcome IS NOT NULL) ORDER BY row LIMIT ?3",
            result_columns()
        );
        self.read(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(params![run_id(db, run)?, after, limit, only_over], result_row)?;
            page(rows.map(|row| Ok(row?)), |row| row.source.len())
        })
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn runs(&self) -> Result<Vec<RunSummary>, JournalError> {
        let names = self.read(|db| {
            let mut statement = db.prepare("SELECT name FROM runs WHERE state <> 'loading' ORDER BY id DESC")?;
            Ok(statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?)
        })?;
        names.iter().map(|name| self.run(name)).collect()
    }

    /// One run.
    ///
    /// # Errors
    /// [`JournalError::NoSuchRun`], or if the journal can't be read.
    pub fn run(&self, name: &str) -> Result<RunSummary, JournalError> {
        let unsettled = self.unsettled(name)?;
        let mut sums = BTreeMap::new();
        for (outcome, count) in self.outcomes(name)? {
            let count = if outcome.is_none() { count - unsettled } else { count };
            *sums.entry(outcome.unwrap_or(OutcomeKind::NotAttempted)).or_insert(0) += count;
        }
        *sums.entry(OutcomeKind::InDoubt).or_insert(0) += unsettled;
        let outcomes = sums.into_iter().filter(|(_, count)| *count > 0).collect();
        self.read(|db| {
            let id = run_id(db, name)?;
            let (calls, throttled) = db.query_row(
                "SELECT count(*), count(*) FILTER (WHERE verdict = 'throttled')
                 FROM attempts WHERE run = ?1 AND verdict IS NOT 'unsent'",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let sql = "SELECT state = 'over', scopes.name, contract, facts, created_wall, finished_wall, plan
                       FROM runs JOIN scopes ON scopes.id = runs.scope WHERE runs.id = ?1";
            let mut statement = db.prepare_cached(sql)?;
            let mut found = statement.query([id])?;
            let row = found.next()?.ok_or_else(|| JournalError::NoSuchRun(name.to_owned()))?;
            let facts = columns::json(row, 3).and_then(|facts| facts.ok_or_else(|| "it has no metadata".to_owned()));
            Ok(RunSummary {
                name: name.to_owned(),
                state: if row.get(0)? { RunState::Over } else { RunState::Unfinished },
                is_held: locks::is_held(self.dir.path(), name),
                scope: TenantKey::from_stored(row.get(1)?),
                contract: row.get(2)?,
                plan: row.get(6)?,
                facts: facts.map_err(|why| self.dir.damaged(format!("run {name}: {why}")))?,
                created: wall(row.get(4)?),
                finished: row.get::<_, Option<i64>>(5)?.map(wall),
                outcomes,
                calls,
                throttled,
            })
        })
    }
}

/// Reading for reports: the quota of a run's tenant key.
impl Journal {
    /// The requests that ended within `longest_window` or are in flight, and the pause.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn ledger(
        &self,
        run: &RunHandle,
        longest_window: Duration,
    ) -> Result<(QuotaUsage, Option<Pause>), JournalError> {
        let mut ledger = Ledger::default();
        let horizon = self.clock.now().boot - 2 * longest_window;
        self.read(|db| {
            let key = LedgerKey { scope: scope_of(db, run)?, process: self.process };
            Ok(ledger_store::read(&mut ledger, db, key, horizon)?)
        })?;
        Ok((ledger.usage, ledger.pause.map(Pause::from)))
    }

    /// How long the last requests took, on average; `None` if there were none.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn latency_of(&self, run: &RunHandle) -> Result<Option<Duration>, JournalError> {
        self.read(|db| Ok(ledger_store::latency(db, scope_of(db, run)?)?))
    }
}
