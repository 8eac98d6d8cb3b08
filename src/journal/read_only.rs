//! A dry run's view of the journal, which leaves no trace in it.

use std::ops::Deref;
use std::time::Duration;

use rusqlite::OptionalExtension as _;

use super::decide::DedupQuery;
use super::error::JournalError;
use super::gather;
use super::ledger::Ledger;
use super::ledger_store::{self, LedgerKey};
use super::location::StoreLocation;
use super::opened::History;
use super::prior_runs::{PriorRuns, WillSend};
use crate::clock::Clock;
use crate::contract::Contract;
use crate::model::change::{Change, TenantKey};
use crate::model::permit::{Pause, QuotaUsage};
use crate::model::step::Part;

/// Stands for "no session": the numbers of sessions start with 1.
const NO_SESSION: i64 = 0;

/// A journal opened for reading, for one tenant key.
#[derive(Debug)]
pub struct ReadOnlyJournal {
    history: History,
    scope: i64,
    /// The machine has restarted since the journal was written: its boot times mean nothing.
    is_old_boot: bool,
}

impl Deref for ReadOnlyJournal {
    type Target = History;

    fn deref(&self) -> &History {
        &self.history
    }
}

/// Reading for reports: a dry run.
impl ReadOnlyJournal {
    /// `None` if there is no journal yet, or nothing of this tenant key in it.
    ///
    /// # Errors
    /// If there is a journal that can't be read.
    pub fn open(
        location: &StoreLocation,
        scope: &TenantKey,
        clock: Clock,
    ) -> Result<Option<ReadOnlyJournal>, JournalError> {
        let Some(history) = History::open(location, clock)? else { return Ok(None) };
        let (boot_id, scope): (String, _) = history.read(|db| {
            let boot_id = db.query_row("SELECT boot_id FROM machine", [], |row| row.get(0))?;
            let sql = "SELECT id FROM scopes WHERE name = ?1";
            Ok((boot_id, db.query_row(sql, [scope.as_str()], |row| row.get(0)).optional()?))
        })?;
        let is_old_boot = boot_id != history.clock.boot_id();
        Ok(scope.map(|scope| ReadOnlyJournal { history, scope, is_old_boot }))
    }

    /// Adds to `prior` what earlier runs mean for changes. Returns which part of each will be sent.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn add_prior_runs(
        &self,
        changes: &[&Change],
        contract: &Contract,
        remember: Duration,
        prior: &mut PriorRuns,
    ) -> Result<Vec<WillSend>, JournalError> {
        let now = self.clock.now();
        let incidents = changes.iter().map(|change| change.incident);
        let mut facts = self.read(|db| Ok(gather::facts(db, self.scope, contract.api_path(), incidents)?))?;
        if self.is_old_boot {
            for update in facts.updates.values_mut().flatten() {
                update.ended = update.ended.map(|_| now.boot_at(update.ended_wall));
            }
        }
        let since = now.boot - remember;
        let will_send = changes.iter().map(|change| {
            let query =
                DedupQuery { run: 0, row: 0, since, comments_since: since, asked: &change.edits, part: Part::Whole };
            prior.add(&facts, change, None, query, contract)
        });
        Ok(will_send.collect())
    }

    /// How long the last requests of the tenant key took, on average; `None` if there were none.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn latency(&self) -> Result<Option<Duration>, JournalError> {
        self.read(|db| Ok(ledger_store::latency(db, self.scope)?))
    }

    /// The requests of the tenant key that ended within `longest_window` or are in flight, and its pause.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn ledger(&self, longest_window: Duration) -> Result<(QuotaUsage, Option<Pause>), JournalError> {
        let mut ledger = Ledger::default();
        if !self.is_old_boot {
            let key = LedgerKey { scope: self.scope, process: NO_SESSION };
            let horizon = self.clock.now().boot - 2 * longest_window;
            self.read(|db| Ok(ledger_store::read(&mut ledger, db, key, horizon)?))?;
        }
        Ok((ledger.usage, ledger.pause.map(Pause::from)))
    }
}
