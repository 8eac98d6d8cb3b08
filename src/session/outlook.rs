//! What a forecast begins with, from the journal.

use std::time::Duration;

use crate::apply::GUESSED_LATENCY;
use crate::journal::{Journal, JournalError, ReadOnlyJournal, RunHandle};
use crate::model::permit::{Pause, QuotaUsage};
use crate::model::quota_spec::Quota;

/// What a forecast begins with.
pub struct Outlook {
    /// What is spent of the quota.
    pub spent: QuotaUsage,
    /// The pause, if there is one.
    pub pause: Option<Pause>,
    /// How long a request takes: as measured before, if it was.
    pub latency: Duration,
}

impl Outlook {
    /// Of a run in the journal.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn of_run(journal: &Journal, run: &RunHandle, quota: &Quota) -> Result<Outlook, JournalError> {
        let (spent, pause) = journal.ledger(run, quota.longest())?;
        Ok(Outlook { spent, pause, latency: journal.latency_of(run)?.unwrap_or(GUESSED_LATENCY) })
    }

    /// Of a dry run; without a journal, nothing is known.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn of_dry_run(history: Option<&ReadOnlyJournal>, quota: &Quota) -> Result<Outlook, JournalError> {
        let Some(history) = history else {
            return Ok(Outlook { spent: QuotaUsage::default(), pause: None, latency: GUESSED_LATENCY });
        };
        let (spent, pause) = history.ledger(quota.longest())?;
        Ok(Outlook { spent, pause, latency: history.latency()?.unwrap_or(GUESSED_LATENCY) })
    }
}
