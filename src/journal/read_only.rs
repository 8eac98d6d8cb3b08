//! A look at the journal that leaves no trace in it: for a dry run.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::dedup::{DedupQuery, PriorRuns, WillSend, updates_of};
use super::ledger::{Ledger, latency};
use super::{JournalError, StateDir};
use crate::clock::Clock;
use crate::model::change::{Change, TenantKey};
use crate::model::permit::{Pause, QuotaUsage};

/// A journal opened for reading, in one scope.
#[derive(Debug)]
pub struct ReadOnlyJournal {
    db: Connection,
    clock: Clock,
    scope: i64,
    /// The machine was started anew since the journal was written: its boot times are of no use.
    is_old_boot: bool,
}

impl ReadOnlyJournal {
    /// `None` where there is no journal yet, or nothing of this scope in it.
    ///
    /// # Errors
    /// Where the journal is there and can't be read.
    pub fn open(
        dir: &std::path::Path,
        scope: &TenantKey,
        clock: Clock,
    ) -> Result<Option<ReadOnlyJournal>, JournalError> {
        let dir = StateDir::to_read(dir)?;
        let Some(db) = dir.read_only()? else { return Ok(None) };
        let open = || {
            let boot_id: String = db.query_row("SELECT boot_id FROM machine", [], |row| row.get(0))?;
            let found =
                db.query_row("SELECT id FROM scopes WHERE name = ?1", [scope.as_str()], |row| row.get(0)).optional()?;
            let is_old_boot = boot_id != clock.boot_id();
            Ok(found.map(|scope| ReadOnlyJournal { db, clock, scope, is_old_boot }))
        };
        open().map_err(|error: rusqlite::Error| dir.explain(error.into()))
    }

    /// Adds to `earlier` what earlier runs have to do with one change. Says whether it will be sent.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn add_prior_runs(
        &self,
        change: &Change,
        remember: Duration,
        appended: Option<&str>,
        earlier: &mut PriorRuns,
    ) -> Result<WillSend, JournalError> {
        let now = self.clock.now();
        let mut pasts = updates_of(&self.db, self.scope, change.incident)?;
        if self.is_old_boot {
            for past in &mut pasts {
                past.ended = past.ended.map(|_| now.boot_at(past.ended_wall));
            }
        }
        let since = now.boot - remember;
        let asker = DedupQuery { run: 0, row: 0, since, comments_since: since, appended, asked: &change.body };
        Ok(earlier.add(&pasts, change, asker))
    }

    /// How long the last requests of the scope took, on average; `None` if there were none.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn latency(&self) -> Result<Option<Duration>, JournalError> {
        latency(&self.db, self.scope)
    }

    /// The calls of the scope that ended within `longest_window` or are under way, and its pause.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn ledger(&self, longest_window: Duration) -> Result<(QuotaUsage, Option<Pause>), JournalError> {
        let mut ledger = Ledger::default();
        if !self.is_old_boot {
            ledger.read(&self.db, self.scope, 0, self.clock.now().boot - 2 * longest_window)?;
        }
        Ok((ledger.spent, ledger.pause.map(Pause::from)))
    }
}
