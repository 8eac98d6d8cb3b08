//! What is known before a run is sent: earlier runs, the state of the quota, the latency of the service.

use std::time::Duration;

use super::error::SessionError;
use super::past::Past;
use super::prepared_run::PreparedRun;
use crate::apply::GUESSED_LATENCY;
use crate::journal::{History, JournalError, PendingRow, PriorRuns, WillSend};
use crate::model::change::Change;
use crate::model::permit::{Pause, QuotaUsage};

/// The starting point of an estimate.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// The quota in use.
    pub spent: QuotaUsage,
    /// The pause, if there is one.
    pub pause: Option<Pause>,
    /// How long a request takes: as measured in earlier runs, else a guess.
    pub latency: Duration,
}

impl PreparedRun {
    /// The journal of earlier runs; `None` if there is none, or the tenant is not known.
    #[must_use]
    pub fn history(&self) -> Option<&History> {
        match &self.past {
            Past::Own => Some(&self.journal),
            Past::Other(past) => Some(past),
            Past::None | Past::Unknown => None,
        }
    }

    /// Adds to `prior` what earlier runs mean for rows. Returns which part of each will be sent.
    pub(super) fn add_prior_runs(
        &self,
        rows: &[&PendingRow],
        remember: Duration,
        prior: &mut PriorRuns,
    ) -> Result<Vec<WillSend>, JournalError> {
        let contract = &self.target.contract;
        match &self.past {
            Past::Own => self.journal.add_prior_runs(&self.handle, rows, contract, remember, prior),
            Past::Other(past) => {
                let changes: Vec<&Change> = rows.iter().map(|row| &row.change).collect();
                past.add_prior_runs(&changes, contract, remember, prior)
            }
            Past::None | Past::Unknown => Ok(vec![WillSend::All; rows.len()]),
        }
    }

    /// The state of the quota and the latency of the service, from the journal.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn outlook(&self) -> Result<Outlook, SessionError> {
        let longest = self.target.quota.longest();
        let ((spent, pause), latency) = match &self.past {
            Past::Own => (self.journal.ledger(&self.handle, longest)?, self.journal.latency_of(&self.handle)?),
            Past::Other(past) => (past.ledger(longest)?, past.latency()?),
            Past::None | Past::Unknown => Default::default(),
        };
        Ok(Outlook { spent, pause, latency: latency.unwrap_or(GUESSED_LATENCY) })
    }
}
