//! Runs: loaded with all rows or none, found again, held by one process, gone on with, closed.

use std::path::Path;
use std::time::Duration;

use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::ledger::{CALL_LIMIT, Ledger, latency};
use super::{History, Journal, JournalError, Session, locks, wall};
use crate::model::change::TenantKey;
use crate::model::outcome::InputShape;
use crate::model::typed::Typed;

/// What a run keeps of its beginning: enough to show it, to go on with it, and to make its results again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMetadata {
    /// The input, as it was named.
    pub input: String,
    /// What the results need to know of it.
    pub shape: InputShape,
    /// Where the API is.
    pub origin: String,
    /// The contract, whole, as TOML: its file may change.
    pub contract: String,
    /// Where the results are written.
    pub results: String,
    /// The options that change what is sent, as they were typed, for the command that goes on.
    pub options: Vec<String>,
    /// All options of the command line that began it, as they were typed; none of a run of an older revision.
    #[serde(default)]
    pub typed: Typed,
    /// How long a change made by another run counts as made.
    pub remember: Duration,
}

/// A run of this journal that is held by this process.
#[derive(Debug)]
pub struct RunHandle {
    pub(super) id: i64,
    /// `7f3k`
    pub name: String,
    #[expect(dead_code, reason = "holding it is its use")]
    hold: locks::RunLock,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Rows are left to send.
    Unfinished,
    /// Every row has an outcome that stays.
    Over,
}

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

const OTHER_OF_PLAN: &str = "SELECT name FROM runs WHERE scope = (SELECT scope FROM runs WHERE id = ?1) AND plan = ?2";

/// What is left of a run that applied a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedRun {
    /// Its name.
    pub name: String,
    /// When it was finished.
    pub finished: jiff::Timestamp,
}

/// By what a run is known again when it is to be sent once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunKey {
    /// By its changes, in their order: the digest of them.
    Changes(Vec<u8>),
    /// By its plan: the checksum of it.
    Plan(String),
}

const NAME_IS_TAKEN: &str = "
    SELECT EXISTS (SELECT 1 FROM runs WHERE name = ?1) OR EXISTS (SELECT 1 FROM applied_plans WHERE run = ?1)";

/// In the place of a run's number: those of runs begin with 1.
const NO_RUN: i64 = 0;

/// Letters and digits that can't be taken for one another.
const NAME_LETTERS: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";

impl Journal {
    /// Begins a run that nobody sees until it is [`Journal::publish`].
    ///
    /// # Errors
    /// Where the journal can't be written.
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
        self.write(|tx| {
            let scope = scope_id(tx, scope)?;
            let name = new_name(tx, rng)?;
            tx.execute(
                "INSERT INTO runs (name, state, process, scope, contract, facts, created_wall)
                 VALUES (?1, 'loading', ?2, ?3, ?4, ?5, ?6)",
                params![name, process, scope, contract, facts_text(facts), created],
            )?;
            let id = tx.last_insert_rowid();
            let hold = locks::RunLock::take(&dir, &name)?;
            Ok(RunHandle { id, name, hold })
        })
    }

    /// Makes a loaded run one that can be sent: from here on it is there, whole.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub fn publish(&mut self, run: &RunHandle, facts: &RunMetadata, same: &RunKey) -> Result<(), JournalError> {
        self.write(|tx| {
            let (digest, plan) = match same {
                RunKey::Changes(digest) => (Some(digest), None),
                RunKey::Plan(checksum) => (None, Some(checksum)),
            };
            // Another process may have begun to apply the same plan since it was looked for.
            let other = tx.query_row(OTHER_OF_PLAN, params![run.id, plan], |row| row.get(0)).optional()?;
            if let Some(run) = other {
                return Err(JournalError::RunIsHeld { run, by: None });
            }
            tx.execute(
                "UPDATE runs SET state = 'ready', facts = ?2, digest = ?3, plan = ?4 WHERE id = ?1",
                params![run.id, facts_text(facts), digest, plan],
            )?;
            Ok(())
        })
    }

    /// The run of a plan: it has one, for ever.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn run_of_plan(&self, scope: &TenantKey, checksum: &str) -> Result<Option<String>, JournalError> {
        let name = self.db.query_row(RUN_OF_PLAN, [scope.as_str(), checksum], |row| row.get(0)).optional();
        name.map_err(|error| self.dir.explain(error.into()))
    }

    /// The run that applied a plan and was pruned since.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn pruned_run_of_plan(&self, scope: &TenantKey, checksum: &str) -> Result<Option<PrunedRun>, JournalError> {
        let pruned = self.db.query_row(PRUNED_RUN_OF_PLAN, [scope.as_str(), checksum], |row| {
            Ok(PrunedRun { name: row.get(0)?, finished: wall(row.get(1)?) })
        });
        pruned.optional().map_err(|error| self.dir.explain(error.into()))
    }

    /// Removes a run that was not begun.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub fn discard(&mut self, run: &RunHandle) -> Result<(), JournalError> {
        self.write(|tx| remove(tx, run.id))?;
        locks::forget_run(self.dir.path(), &run.name);
        Ok(())
    }

    /// The run that goes on when the same changes are given in the same order for the same scope and contract: not
    /// over, and its last call (or its beginning) within `remember`.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn unfinished_same(
        &self,
        scope: &TenantKey,
        contract: &str,
        digest: &[u8],
        remember: Duration,
    ) -> Result<Option<String>, JournalError> {
        let now = self.clock.now();
        let since = now.wall.as_microsecond().saturating_sub(crate::clock::micros(remember));
        let name = self
            .db
            .query_row(UNFINISHED_SAME, params![scope.as_str(), digest, contract, since], |row| row.get(0))
            .optional();
        name.map_err(|error| self.dir.explain(error.into()))
    }

    /// Takes hold of a run that is there. Rows in doubt are taken up again.
    ///
    /// # Errors
    /// [`JournalError::RunIsHeld`] where another process is sending it, [`JournalError::NoSuchRun`].
    pub fn acquire(&mut self, name: &str) -> Result<RunHandle, JournalError> {
        let id = self.run_id(name)?;
        let hold = locks::RunLock::take(self.dir.path(), name).map_err(|error| self.dir.explain(error))?;
        self.write(|tx| {
            tx.execute("UPDATE rows SET outcome = NULL WHERE run = ?1 AND outcome = 'in-doubt'", [id])?;
            Ok(())
        })?;
        Ok(RunHandle { id, name: name.to_owned(), hold })
    }

    /// Begins to send a run: what follows is committed for it.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn begin_session(
        &mut self,
        run: &RunHandle,
        longest_window: Duration,
        remember: Duration,
        appended: Option<&str>,
    ) -> Result<(), JournalError> {
        let scope = self.db.query_row("SELECT scope FROM runs WHERE id = ?1", [run.id], |row| row.get(0))?;
        self.begin(Session {
            remember,
            appended: appended.map(str::to_owned),
            ..session(scope, run.id, longest_window)
        })
    }

    /// Begins to read for no run: what follows is committed for the scope alone, whose quota it counts against.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub fn begin_reading(&mut self, scope: &TenantKey, longest_window: Duration) -> Result<(), JournalError> {
        let scope = self.write(|tx| scope_id(tx, scope))?;
        self.begin(session(scope, NO_RUN, longest_window))
    }

    /// How long the last requests of the session's scope took, on average; `None` if there were none.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn latency(&self) -> Result<Option<Duration>, JournalError> {
        let Some(session) = &self.session else { return Ok(None) };
        latency(&self.db, session.scope)
    }

    fn begin(&mut self, session: Session) -> Result<(), JournalError> {
        self.session = Some(session);
        match self.make_room() {
            Err(error @ JournalError::Interrupted { .. }) => Err(error),
            // Without it the run is slower, no more.
            _ => Ok(()),
        }
    }

    /// The results of a run are somewhere else than they were to be.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub fn moved_results(&mut self, run: &RunHandle, results: &str) -> Result<(), JournalError> {
        self.write(|tx| {
            let sql = "UPDATE runs SET facts = json_set(facts, '$.results', ?2) WHERE id = ?1";
            tx.execute(sql, params![run.id, results])?;
            Ok(())
        })
    }

    /// Marks a run as over if every row has an outcome that stays, and says how far it is.
    ///
    /// # Errors
    /// Where the journal can't be written.
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

    /// Removes runs that were over before `before`, with their rows and attempts, but for which plans they applied; and
    /// calls of no run (any more) that had ended by then. Returns how many runs. The file does not shrink: the room is
    /// used again.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub fn prune(&mut self, before: jiff::Timestamp) -> Result<u64, JournalError> {
        self.write(|tx| {
            let old: Vec<i64> = tx
                .prepare("SELECT id FROM runs WHERE state = 'over' AND finished_wall < ?1")?
                .query_map([before.as_microsecond()], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for run in &old {
                tx.execute(KEEP_PLAN, [run])?;
                tx.execute("DELETE FROM attempts WHERE run = ?1", [run])?;
                remove(tx, *run)?;
            }
            tx.execute(
                "DELETE FROM attempts WHERE run NOT IN (SELECT id FROM runs) AND ended_wall < ?1",
                [before.as_microsecond()],
            )?;
            Ok(old.len() as u64)
        })
    }

    /// One transaction, in turn with the other processes.
    pub(super) fn write<R>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, JournalError>,
    ) -> Result<R, JournalError> {
        let Journal { history: History { db, dir, .. }, turn, file, .. } = self;
        let attempt = || {
            let _turn = turn.take()?;
            dir.expect_there(*file)?;
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&tx)?;
            tx.commit()?;
            Ok(result)
        };
        attempt().map_err(|error| self.dir.explain(error))
    }
}

fn session(scope: i64, run: i64, longest_window: Duration) -> Session {
    Session {
        scope,
        // A token is out a little longer than its window, by the drift that the quota allows for.
        longest_hold: longest_window + longest_window / 1_000 + CALL_LIMIT,
        remember: Duration::ZERO,
        run,
        appended: None,
        ledger: Ledger::default(),
    }
}

fn scope_id(tx: &Transaction<'_>, scope: &TenantKey) -> Result<i64, JournalError> {
    tx.execute("INSERT OR IGNORE INTO scopes (name) VALUES (?1)", [scope.as_str()])?;
    Ok(tx.query_row("SELECT id FROM scopes WHERE name = ?1", [scope.as_str()], |row| row.get(0))?)
}

fn new_name(tx: &Transaction<'_>, rng: &mut fastrand::Rng) -> Result<String, JournalError> {
    loop {
        let name: String = (0..4).map(|_| char::from(NAME_LETTERS[rng.usize(..NAME_LETTERS.len())])).collect();
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

fn remove(tx: &Transaction<'_>, run: i64) -> Result<(), JournalError> {
    tx.execute("DELETE FROM rows WHERE run = ?1", [run])?;
    tx.execute("DELETE FROM runs WHERE id = ?1", [run])?;
    Ok(())
}

/// Whether somebody may want to send this run, now or later; also where that can't be told.
pub(super) fn is_to_be_sent(tx: &Transaction<'_>, name: &str) -> bool {
    let state = tx.query_row("SELECT state FROM runs WHERE name = ?1", [name], |row| row.get::<_, String>(0));
    !matches!(state.as_deref(), Ok("over") | Err(rusqlite::Error::QueryReturnedNoRows))
}

/// Removes what processes that are gone were loading.
pub(super) fn clear_half_loaded(tx: &Transaction<'_>, dir: &Path, ourselves: i64) -> Result<(), JournalError> {
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
