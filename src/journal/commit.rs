//! The one transaction of sending: it gathers the facts, decides, and writes the decision.
//!
//! Promises: when [`Journal::commit`] returns, all of it is on the disk (a [`Receipt::Started`](super::Receipt::Started)
//! may be sent), or none of it is. The time is read inside the transaction, after the wait for the write lock.

use std::time::Duration;

use rusqlite::TransactionBehavior;

use super::batch::{Batch, CallKind, Receipts};
use super::decide::{Rules, decide};
use super::error::JournalError;
use super::gather;
use super::ledger::Ledger;
use super::ledger_store::{CALL_LIMIT, LedgerKey, latency, refresh};
use super::opened::{History, Journal, Session};
use super::run::RunHandle;
use super::runs::scope_id;
use super::sql::{DbError, api_of, scope_of};
use super::write::Writer;
use crate::clock::BootTime;
use crate::model::change::TenantKey;
use crate::model::permit::{Grant, Pause, QuotaUsage};

/// Stands for "no run": the numbers of runs start with 1.
const NO_RUN: i64 = 0;

/// Sending: a session for one run, or for reads alone, and its commits.
impl Journal {
    /// Starts a session that sends a run: the commits that follow are its own.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn begin_session(
        &mut self,
        run: &RunHandle,
        longest_window: Duration,
        remember: Duration,
    ) -> Result<(), JournalError> {
        let scope = self.read(|db| Ok(scope_of(db, run)?))?;
        let rules = Rules { run: run.id, remember };
        self.begin(scope, longest_window, rules)
    }

    /// Starts a session that reads for no run: its requests count against the quota of the tenant key.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn begin_reading(&mut self, scope: &TenantKey, longest_window: Duration) -> Result<(), JournalError> {
        let scope = self.write(|tx| scope_id(tx, scope))?;
        self.begin(scope, longest_window, Rules { run: NO_RUN, ..Rules::default() })
    }

    fn begin(&mut self, scope: i64, longest_window: Duration, rules: Rules) -> Result<(), JournalError> {
        // A permit is held a little longer than its window, by the drift that the quota allows for.
        let longest_hold = longest_window + longest_window / 1_000 + CALL_LIMIT;
        self.session = Some(Session { scope, longest_hold, rules, ledger: Ledger::default() });
        match self.make_room() {
            Err(error @ JournalError::Interrupted { .. }) => Err(error),
            // This only makes the run faster.
            _ => Ok(()),
        }
    }

    /// Commits a batch of the session's run. `grant` returns how many requests may start, given the quota's usage, the
    /// pause, the time, and how many are wanted.
    ///
    /// # Errors
    /// If the journal can't be written: then nothing of the batch is stored.
    pub fn commit(
        &mut self,
        batch: &Batch,
        grant: impl FnOnce(&QuotaUsage, Option<Pause>, BootTime, u32) -> Grant,
    ) -> Result<Receipts, JournalError> {
        let result = self.try_commit(batch, grant);
        if result.is_err()
            && let Some(session) = &mut self.session
        {
            session.ledger.forget();
        }
        result.map_err(|error| self.dir.explain(error))
    }

    fn try_commit(
        &mut self,
        batch: &Batch,
        grant: impl FnOnce(&QuotaUsage, Option<Pause>, BootTime, u32) -> Grant,
    ) -> Result<Receipts, DbError> {
        let Journal { history: History { db, dir, clock }, session, turn, file, process, .. } = self;
        let Session { scope, longest_hold, rules, ledger } =
            session.as_mut().ok_or_else(|| dir.damaged("no run is being sent".to_owned()))?;
        let _turn = turn.take()?;
        dir.expect_present(*file)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = clock.now();
        let key = LedgerKey { scope: *scope, process: *process };

        refresh(ledger, &tx, dir.path(), key, now, now.boot - *longest_hold)?;
        // A read for a change without a comment needs no facts.
        let needing = batch
            .starts
            .iter()
            .filter(|request| request.kind == CallKind::Update || request.change.edits.added().is_some());
        let incidents = needing.flat_map(|request| [Some(request.change.incident), request.merged]).flatten();
        let facts = gather::facts(&tx, key.scope, &api_of(&tx, rules.run)?, incidents)?;
        let decision = decide(rules, facts, ledger, batch, now, grant);
        let receipts = Writer { tx: &tx, key, run: rules.run, now }.write(batch, decision, ledger)?;
        tx.commit()?;
        Ok(receipts)
    }

    /// The ledger and the pause as the last commit left them.
    #[must_use]
    pub fn spent(&self) -> Option<(&QuotaUsage, Option<Pause>)> {
        self.session.as_ref().map(|session| (&session.ledger.usage, session.ledger.pause.map(Pause::from)))
    }

    /// How long the last requests of the session's tenant key took, on average; `None` if there were none.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn latency(&self) -> Result<Option<Duration>, JournalError> {
        let Some(session) = &self.session else { return Ok(None) };
        self.read(|db| Ok(latency(db, session.scope)?))
    }
}
