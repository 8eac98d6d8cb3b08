//! Runs: loaded with all rows or none, found again, held by one process, resumed, closed, pruned.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Params, Transaction, params};

use super::error::JournalError;
use super::locks::{self, RunLock};
use super::opened::Journal;
use super::run::{PrunedRun, RunHandle, RunKey, RunMetadata, RunState};
use super::sql::{DbError, run_id, wall};
use crate::clock::micros;
use crate::contract::Contract;
use crate::model::change::TenantKey;

pub(super) const UNFINISHED_SAME: &str = "
    SELECT runs.name FROM runs JOIN scopes ON scopes.id = runs.scope
    WHERE scopes.name = ?1 AND runs.digest = ?2 AND runs.contract = ?3 AND runs.state = 'ready'
      AND coalesce((SELECT started_wall FROM attempts WHERE id = (SELECT max(id) FROM attempts WHERE run = runs.id)),
                   runs.created_wall) > ?4
    ORDER BY runs.id DESC LIMIT 1";

pub(super) const RUN_OF_PLAN: &str = "
    SELECT runs.name FROM runs JOIN scopes ON scopes.id = runs.scope
    WHERE scopes.name = ?1 AND runs.plan = ?2 AND runs.state <> 'loading'";

const PRUNED_RUN_OF_PLAN: &str = "
    SELECT run, finished_wall FROM applied_plans JOIN scopes ON scopes.id = applied_plans.scope
    WHERE scopes.name = ?1 AND applied_plans.plan = ?2";

/// What stays of a run that is pruned: a plan is applied once.
const KEEP_PLAN: &str = "
    INSERT OR REPLACE INTO applied_plans (scope, plan, run, finished_wall)
    SELECT scope, plan, name, finished_wall FROM runs WHERE id = ?1 AND plan IS NOT NULL";

/// The tenant key and the contract of a run with rows that can be sent.
const SENT_TO: &str = "
    SELECT scopes.name, runs.contract FROM runs JOIN scopes ON scopes.id = runs.scope
    WHERE runs.id = ?1 AND EXISTS (SELECT 1 FROM rows WHERE run = ?1 AND body IS NOT NULL)";

const OTHER_OF_PLAN: &str = "SELECT name FROM runs WHERE scope = (SELECT scope FROM runs WHERE id = ?1) AND plan = ?2";

const NAME_IS_TAKEN: &str = "
    SELECT EXISTS (SELECT 1 FROM runs WHERE name = ?1) OR EXISTS (SELECT 1 FROM applied_plans WHERE run = ?1)";

/// Letters and digits that can't be taken for one another.
const NAME_LETTERS: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";
const NAME_LENGTH: usize = 4;

/// Whether a text can be the name of a run.
#[must_use]
pub fn is_run_name(text: &str) -> bool {
    text.len() == NAME_LENGTH && text.bytes().all(|byte| NAME_LETTERS.contains(&byte))
}

/// Runs and rows: a run's life.
impl Journal {
    /// Creates a run that nobody sees until [`Journal::publish`].
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn create_run(
        &mut self,
        scope: &TenantKey,
        contract: &str,
        facts: &RunMetadata,
        rng: &mut fastrand::Rng,
    ) -> Result<RunHandle, JournalError> {
        let process = self.process;
        let created = self.clock.now().wall.as_microsecond();
        let dir = self.dir.path().to_owned();
        let api = Contract::from_toml(&facts.contract).map(|contract| contract.api_path().to_owned());
        let api = api.map_err(|why| self.dir.damaged(format!("the run's contract: {why}")))?;
        self.write(|tx| {
            let scope = scope_id(tx, scope)?;
            let name = new_name(tx, rng)?;
            tx.execute(
                "INSERT INTO runs (name, state, process, scope, contract, facts, created_wall, api)
                 VALUES (?1, 'loading', ?2, ?3, ?4, ?5, ?6, ?7)",
                params![name, process, scope, contract, facts_text(facts), created, api],
            )?;
            let id = tx.last_insert_rowid();
            let hold = RunLock::take(&dir, &name)?;
            Ok(RunHandle { id, name, hold })
        })
    }

    /// Makes a loaded run one that can be sent: from now on it is visible as a whole.
    ///
    /// # Errors
    /// If another process has published the same run since it was looked for, or the journal can't be written:
    /// [`JournalError::RunIsHeld`] if that process is sending it, [`JournalError::StartedElsewhere`] if not.
    pub fn publish(&mut self, run: &RunHandle, facts: &RunMetadata, same: &RunKey) -> Result<(), JournalError> {
        let now = self.clock.now().wall.as_microsecond();
        let dir = self.dir.path().to_owned();
        self.write(|tx| {
            let (digest, plan, other) = match same {
                RunKey::Changes { digest, within } => {
                    let sent = tx.query_row(SENT_TO, [run.id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                    let since = now.saturating_sub(micros(*within));
                    let other = |(scope, contract): (String, String)| {
                        name_of(tx, UNFINISHED_SAME, params![scope, digest, contract, since])
                    };
                    (Some(digest), None, sent.map(other).transpose()?.flatten())
                }
                RunKey::Plan(checksum) => {
                    (None, Some(checksum), name_of(tx, OTHER_OF_PLAN, params![run.id, checksum])?)
                }
            };
            if let Some(other) = other {
                // If the lock can be taken, nobody is sending it.
                RunLock::take(&dir, &other)?;
                return Err(JournalError::StartedElsewhere { run: other }.into());
            }
            tx.execute(
                "UPDATE runs SET state = 'ready', facts = ?2, digest = ?3, plan = ?4 WHERE id = ?1",
                params![run.id, facts_text(facts), digest, plan],
            )?;
            Ok(())
        })
    }

    /// The run of a plan. A plan has one run.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn run_of_plan(&self, scope: &TenantKey, checksum: &str) -> Result<Option<String>, JournalError> {
        self.read(|db| name_of(db, RUN_OF_PLAN, [scope.as_str(), checksum]))
    }

    /// The run that applied a plan and was pruned since.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn pruned_run_of_plan(&self, scope: &TenantKey, checksum: &str) -> Result<Option<PrunedRun>, JournalError> {
        self.read(|db| {
            let pruned = db.query_row(PRUNED_RUN_OF_PLAN, [scope.as_str(), checksum], |row| {
                Ok(PrunedRun { name: row.get(0)?, finished: wall(row.get(1)?) })
            });
            Ok(pruned.optional()?)
        })
    }

    /// Removes a run that was not started.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn discard(&mut self, run: &RunHandle) -> Result<(), JournalError> {
        self.write(|tx| Ok(remove(tx, run.id)?))?;
        locks::forget_run(self.dir.path(), &run.name);
        Ok(())
    }

    /// The run to resume if the same changes are given in the same order for the same tenant key and contract:
    /// unfinished, and its last request (or its start) within `remember`.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn unfinished_same(
        &self,
        scope: &TenantKey,
        contract: &str,
        digest: &[u8],
        remember: Duration,
    ) -> Result<Option<String>, JournalError> {
        let since = self.clock.now().wall.as_microsecond().saturating_sub(micros(remember));
        self.read(|db| name_of(db, UNFINISHED_SAME, params![scope.as_str(), digest, contract, since]))
    }

    /// Holds an existing run. Its rows in doubt are pending again.
    ///
    /// # Errors
    /// [`JournalError::RunIsHeld`] if another process is sending it, [`JournalError::NoSuchRun`].
    pub fn acquire(&mut self, name: &str) -> Result<RunHandle, JournalError> {
        let (id, hold) = self.read(|db| Ok((run_id(db, name)?, RunLock::take(self.dir.path(), name)?)))?;
        self.write(|tx| {
            tx.execute("UPDATE rows SET outcome = NULL WHERE run = ?1 AND outcome = 'in-doubt'", [id])?;
            Ok(())
        })?;
        Ok(RunHandle { id, name: name.to_owned(), hold })
    }

    /// The results of a run are at a different path than planned.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn moved_results(&mut self, run: &RunHandle, results: &str) -> Result<(), JournalError> {
        self.write(|tx| {
            let sql = "UPDATE runs SET facts = json_set(facts, '$.results', ?2) WHERE id = ?1";
            tx.execute(sql, params![run.id, results])?;
            Ok(())
        })
    }

    /// Keeps the options of the process that resumes a run.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn keep_options(&mut self, run: &RunHandle, facts: &RunMetadata) -> Result<(), JournalError> {
        self.write(|tx| {
            let sql = "UPDATE runs SET facts = json_patch(facts, ?2) WHERE id = ?1";
            let options = serde_json::json!({ "typed": facts.typed, "settings": facts.settings });
            tx.execute(sql, params![run.id, options.to_string()])?;
            Ok(())
        })
    }

    /// Marks a run as finished if every row has a final outcome, and returns its state.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn close(&mut self, run: &RunHandle) -> Result<RunState, JournalError> {
        let now = self.clock.now().wall.as_microsecond();
        let changed = self.write(|tx| {
            Ok(tx.execute(
                "UPDATE runs SET state = 'over', finished_wall = ?2
                 WHERE id = ?1 AND NOT EXISTS
                    (SELECT 1 FROM rows WHERE run = ?1 AND (outcome IS NULL OR outcome = 'in-doubt'))",
                [run.id, now],
            )?)
        })?;
        if changed == 0 {
            return Ok(RunState::Unfinished);
        }
        locks::forget_run(self.dir.path(), &run.name);
        Ok(RunState::Over)
    }

    /// Removes runs that finished at least `older_than` ago, with their rows and attempts, but keeps which plans they
    /// applied; and requests of no run (any more) that had ended by then. Both clocks must say so: while the date is wrong,
    /// requests that count against the quota would be forgotten. Returns the number of runs. The file does not shrink: the
    /// room is used again.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn prune(&mut self, older_than: Duration) -> Result<u64, JournalError> {
        let now = self.clock.now();
        let before = now.wall.as_microsecond().saturating_sub(micros(older_than));
        let boot_before = (now.boot - older_than).0;
        self.write(|tx| {
            let old: Vec<i64> = tx
                .prepare(
                    "SELECT id FROM runs WHERE state = 'over' AND finished_wall < ?1
                     AND NOT EXISTS (SELECT 1 FROM attempts WHERE run = runs.id AND ended > ?2)",
                )?
                .query_map([before, boot_before], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for run in &old {
                tx.execute(KEEP_PLAN, [run])?;
                tx.execute("DELETE FROM attempts WHERE run = ?1", [run])?;
                remove(tx, *run)?;
            }
            let sql = "DELETE FROM attempts WHERE run NOT IN (SELECT id FROM runs) AND ended_wall < ?1 AND ended <= ?2";
            tx.execute(sql, [before, boot_before])?;
            Ok(old.len() as u64)
        })
    }
}

fn name_of(db: &Connection, sql: &str, params: impl Params) -> Result<Option<String>, DbError> {
    Ok(db.query_row(sql, params, |row| row.get(0)).optional()?)
}

pub(super) fn scope_id(tx: &Transaction<'_>, scope: &TenantKey) -> Result<i64, DbError> {
    tx.execute("INSERT OR IGNORE INTO scopes (name) VALUES (?1)", [scope.as_str()])?;
    Ok(tx.query_row("SELECT id FROM scopes WHERE name = ?1", [scope.as_str()], |row| row.get(0))?)
}

fn new_name(tx: &Transaction<'_>, rng: &mut fastrand::Rng) -> Result<String, DbError> {
    loop {
        let name: String =
            (0..NAME_LENGTH).map(|_| char::from(NAME_LETTERS[rng.usize(..NAME_LETTERS.len())])).collect();
        let taken: bool = tx.query_row(NAME_IS_TAKEN, [&name], |row| row.get(0))?;
        if !taken {
            return Ok(name);
        }
    }
}

fn facts_text(facts: &RunMetadata) -> String {
    // Strings, numbers and a list of them: there is nothing in it that JSON can't hold.
    serde_json::to_string(facts).expect("facts are plain data")
}

fn remove(tx: &Transaction<'_>, run: i64) -> Result<(), rusqlite::Error> {
    tx.execute("DELETE FROM rows WHERE run = ?1", [run])?;
    tx.execute("DELETE FROM runs WHERE id = ?1", [run])?;
    Ok(())
}

/// Whether somebody may want to send this run, now or later; also if that can't be read.
pub(super) fn is_to_be_sent(tx: &Transaction<'_>, name: &str) -> bool {
    let state = tx.query_row("SELECT state FROM runs WHERE name = ?1", [name], |row| row.get::<_, String>(0));
    !matches!(state.as_deref(), Ok("over") | Err(rusqlite::Error::QueryReturnedNoRows))
}

/// Removes what processes that are gone were loading.
pub(super) fn clear_half_loaded(tx: &Transaction<'_>, dir: &Path, ourselves: i64) -> Result<(), DbError> {
    let half: Vec<(i64, i64)> = tx
        .prepare("SELECT id, process FROM runs WHERE state = 'loading' AND process <> ?1")?
        .query_map([ourselves], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (run, process) in half {
        if locks::is_gone(dir, process)? {
            remove(tx, run)?;
        }
    }
    Ok(())
}
