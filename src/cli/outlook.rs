//! What a forecast begins with, from the journal.

use std::time::Duration;

use super::target::Target;
use crate::apply::GUESSED_LATENCY;
use crate::cli::error::Error;
use crate::journal::{Journal, ReadOnlyJournal, RunHandle};
use crate::model::permit::{Pause, QuotaUsage};

/// What a forecast begins with.
pub(super) struct Outlook {
    /// What is spent of the quota.
    pub(super) spent: QuotaUsage,
    /// The pause, if there is one.
    pub(super) pause: Option<Pause>,
    /// How long a request takes: as measured before, if it was.
    pub(super) latency: Duration,
}

impl Outlook {
    /// Of a run in the journal.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn of_run(journal: &Journal, run: &RunHandle, target: &Target) -> Result<Outlook, Error> {
        let (spent, pause) = journal.ledger(run, target.quota.longest())?;
        Ok(Outlook { spent, pause, latency: journal.latency_of(run)?.unwrap_or(GUESSED_LATENCY) })
    }

    /// Of a dry run; without a journal, nothing is known.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn of_dry_run(peek: Option<&ReadOnlyJournal>, target: &Target) -> Result<Outlook, Error> {
        let Some(peek) = peek else {
            return Ok(Outlook { spent: QuotaUsage::default(), pause: None, latency: GUESSED_LATENCY });
        };
        let (spent, pause) = peek.ledger(target.quota.longest())?;
        Ok(Outlook { spent, pause, latency: peek.latency()?.unwrap_or(GUESSED_LATENCY) })
    }
}
