//! A run in the journal that has not been sent, and what can be done with it: preview, send, discard.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

use super::acquire::acquire;
use super::error::SessionError;
use super::import::Imported;
use super::observer::{Observer, Step};
use super::options::SendOptions;
use super::past::Past;
use super::preflight_summary::PreflightSummary;
use super::target::Target;
use crate::apply::events::Listener;
use crate::apply::{self, ApplyError, Completion, EngineEnd, Requests};
use crate::client::{Client, Transport};
use crate::clock::Clock;
use crate::journal::{Journal, JournalError, RunHandle, RunKey, RunMetadata, RunState};
use crate::model::outcome::OutcomeCode;

/// A run in the journal that has not been sent.
#[derive(Debug)]
pub struct PreparedRun {
    /// Where it goes.
    pub target: Target,
    /// The journal that holds it.
    pub journal: Journal,
    /// Which run it is.
    pub handle: RunHandle,
    /// Whether it was started by an earlier process.
    pub resumes: bool,
    /// The counts of the import; empty if it is resumed by its ID.
    pub imported: Imported,
    /// What the journal keeps about its start.
    pub metadata: RunMetadata,
    /// The key by which the same run is found.
    pub key: RunKey,
    /// The summary of the preflight, if there was one.
    pub compared: Option<PreflightSummary>,
    /// The requests of the preflight.
    pub reads: ReadStats,
    pub(super) clock: Clock,
    pub(super) rng: fastrand::Rng,
    pub(super) past: Past,
    #[expect(dead_code, reason = "the directory of a journal that goes with the run, removed when it is dropped")]
    pub(super) scratch: Option<TempDir>,
    pub(super) observer: Observer,
}

/// The requests of a preflight.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadStats {
    /// All of them.
    pub calls: u64,
    /// The 429s among the responses.
    pub throttled: u64,
    /// How long they took.
    pub lasted: Duration,
}

/// How sending ended.
#[derive(Debug)]
pub struct RunEnd {
    /// Whether every row that can be sent was sent.
    pub completion: Completion,
    /// Whether every row has its outcome.
    pub state: RunState,
    /// How many rows without an outcome may have been applied.
    pub unsettled: u64,
    /// How many rows show other values than requested, those of earlier processes included.
    pub differs: u64,
    /// The requests.
    pub requests: Requests,
    /// The journal, to read the results from.
    pub journal: Journal,
    /// Which run it is.
    pub handle: RunHandle,
    /// Why the journal failed, if it did. What was sent is in it, and the next start resumes the run.
    pub failed: Option<JournalError>,
}

impl PreparedRun {
    /// The clock of its session.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Resumes the run with the same changes that did not finish within `remember`, if there is one. If not,
    /// [`PreparedRun::publish`] fails if another process has published one since.
    ///
    /// # Errors
    /// If the journal fails, or another process sends that run.
    pub fn or_resume_matching(mut self, remember: Duration) -> Result<PreparedRun, SessionError> {
        let Target { contract, tenant, .. } = &self.target;
        let same = self.journal.unfinished_same(tenant, &contract.name, &self.imported.digest, remember)?;
        if let Some(name) = same.filter(|_| self.imported.rows > 0) {
            self.journal.discard(&self.handle)?;
            self.handle = acquire(&mut self.journal, &name, contract)?;
            self.resumes = true;
        } else {
            self.key = RunKey::Changes { digest: self.imported.digest.clone(), within: remember };
        }
        Ok(self)
    }

    /// Discards it, unless it is resumed. The requests of its preflight still count against the quota.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn discard(mut self) -> Result<(), JournalError> {
        if self.resumes { Ok(()) } else { self.journal.discard(&self.handle) }
    }

    /// Makes the run visible to other processes, which can then resume it. `results` is the path of its results file.
    ///
    /// # Errors
    /// If another process has published the same run, or the journal can't be written. The run is then discarded.
    pub fn publish(&mut self, results: String) -> Result<(), JournalError> {
        if self.resumes {
            // If they can't be stored, sending will fail and say so.
            let _ = self.journal.keep_options(&self.handle, &self.metadata);
            return Ok(());
        }
        self.metadata.results = results;
        self.journal.publish(&self.handle, &self.metadata, &self.key).inspect_err(|_| {
            // If it can't be removed now, the next start removes it.
            let _ = self.journal.discard(&self.handle);
        })?;
        self.observer.tell(Step::Published);
        Ok(())
    }

    /// Sends the unfinished rows of a published run. When `stop` turns true, it stops after the requests in flight.
    ///
    /// # Errors
    /// If the journal fails. What was sent is in it, if it still exists, and the next start resumes the run.
    pub async fn send<T: Transport>(
        self,
        client: Arc<Client<T>>,
        options: &SendOptions,
        stop: watch::Receiver<bool>,
        listener: &mut impl Listener,
    ) -> Result<RunEnd, SessionError> {
        let PreparedRun { target, journal, handle, mut rng, .. } = self;
        let settings = options.for_engine(&target, rng.u64(..));
        // The engine's future is large.
        let sent = Box::pin(apply::apply(journal, &handle, client, &settings, stop, listener)).await;
        let (mut journal, completion, requests, mut failed) = match sent {
            Ok(EngineEnd { completion, journal, requests }) => (journal, completion, requests, None),
            Err(ApplyError { error, journal: Some(journal), requests }) => {
                (*journal, Completion::Finished, requests, Some(error))
            }
            Err(ApplyError { error, journal: None, .. }) => return Err(error.into()),
        };
        let mut state = RunState::Unfinished;
        if failed.is_none() {
            match journal.close(&handle) {
                Ok(found) => state = found,
                Err(error) => failed = Some(error),
            }
        }
        // Of a journal that is lost, nothing is known.
        let unsettled = journal.unsettled(&handle.name).unwrap_or(0);
        let differs = journal.rows_with_code(&handle.name, OutcomeCode::Differs).unwrap_or(0);
        Ok(RunEnd { completion, state, unsettled, differs, requests, journal, handle, failed })
    }
}
