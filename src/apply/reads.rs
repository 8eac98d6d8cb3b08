//! Reading: requests that change nothing, under the same quota and journal as those for rows.
//!
//! A [`ReadSource`] decides what is read, in which order; this file decides when a read is retried. A read does no
//! harm: it is never in doubt.
//!
//! Promise: reading has finished only if the source says that it has nothing left to read. An empty queue does not
//! prove it: in an outage, too, nothing is in flight.

use std::sync::Arc;

use tokio::sync::watch;

use super::engine::{EndedCall, Engine, InFlight, Output, Step, WorkSource};
use super::events::{Event, Listener};
use super::{ApplyError, Completion, EngineEnd, EngineSettings, StopReason, log};
use crate::client::{Client, Transport};
use crate::journal::{AttemptEnd, Batch, Journal, JournalError};
use crate::model::call::{Call, CallResult, Page, Verdict, WhyUnsent};
use crate::retry::{Policy, RetryDecision, delay, outage_pause};

/// Decides what is read, and takes the results.
pub trait ReadSource {
    /// What to read next.
    fn next(&mut self) -> Wanted;

    /// Takes the result of a request: an incident, a list, or a permanent error.
    ///
    /// # Errors
    /// If nothing more can be read, or what was read can't be kept.
    fn on_result(&mut self, call: &Call, result: &CallResult) -> Result<ReadResult, StopReason>;

    /// What to request after a transient error of a page and a delay; `None`: the next requests of the source replace
    /// it.
    ///
    /// # Errors
    /// If there is no other way to read the incidents of the page.
    fn page_failed(&mut self, page: &Page, result: &CallResult) -> Result<Option<Call>, StopReason>;

    /// Whether reads of single incidents can replace a page: then its failure does not mean an outage.
    fn can_read_singly(&self) -> bool;

    /// How many requests are left, as far as known: for the estimated finish.
    fn calls_left(&self) -> u64;
}

/// What a source requests next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This request.
    Call(Call),
    /// Unknown until a request in flight has ended.
    Later,
    /// The source has nothing left to read.
    Nothing,
}

/// The result of taking in a response.
#[derive(Debug, Default)]
pub struct ReadResult {
    /// The snapshots of rows' incidents, as JSON, for the journal.
    pub snapshots: Vec<(u64, String)>,
    /// How many more incidents have been read.
    pub incidents: u64,
}

/// Makes the source's requests until it has nothing left to read, or until it is stopped. The journal's session has
/// started. The journal is written to on the thread that polls this.
///
/// # Errors
/// If the journal can't be read or written.
pub async fn read<T: Transport>(
    journal: Journal,
    client: Arc<Client<T>>,
    settings: &EngineSettings,
    stop: watch::Receiver<bool>,
    source: &mut impl ReadSource,
    listener: &mut impl Listener,
) -> Result<EngineEnd, ApplyError> {
    let work = Reads {
        source,
        next: None,
        last_wanted: None,
        policy: Policy { max_attempts: settings.max_attempts.max(1) },
        rng: fastrand::Rng::with_seed(settings.seed),
    };
    // Reads have no deadline.
    let settings = EngineSettings { stop_after: None, ..settings.clone() };
    let (reads, mut end) = Engine::new(work, journal, client, &settings, listener)?.run(stop).await?;
    if end.completion == Completion::Finished && reads.last_wanted != Some(Wanted::Nothing) {
        // Nothing is in flight that it could depend on.
        let message = "the reader waits for nothing".to_owned();
        end.completion = Completion::Stopped(StopReason::ListFailed { message });
    }
    Ok(end)
}

/// A request and how often it has failed.
#[derive(Debug)]
struct PendingRead {
    call: Call,
    attempts: u32,
}

/// The reads of a source that have not finished.
struct Reads<'a, R: ReadSource> {
    source: &'a mut R,
    /// The next request of the source, if it was asked already.
    next: Option<Call>,
    /// Its last reply, if that was not a request and no request has ended since.
    last_wanted: Option<Wanted>,
    policy: Policy,
    rng: fastrand::Rng,
}

impl<R: ReadSource> Reads<'_, R> {
    /// After a failed page: what replaces it, or why nothing more is read.
    fn page_failed(&mut self, read: &mut PendingRead, page: &Page, ended: &EndedCall<'_>) -> Result<Step, StopReason> {
        let result = &ended.completed.result;
        let after = Step::At(ended.completed.at.boot + delay(read.attempts.max(1), &mut self.rng));
        match self.source.page_failed(page, result) {
            Ok(Some(call)) if call == read.call => Ok(after),
            Ok(Some(call)) => {
                *read = PendingRead { call, attempts: 0 };
                Ok(after)
            }
            Ok(None) => Ok(Step::Finished),
            // An outage is no reason to give up early.
            Err(_) if ended.health.is_down() && !result.is_truncated => Ok(after),
            Err(why) => Err(why),
        }
    }

    /// The next step after any other request.
    fn decide(&mut self, read: &PendingRead, ended: &EndedCall<'_>, output: &mut Output) -> Result<Step, StopReason> {
        let (result, at) = (&ended.completed.result, ended.completed.at.boot);
        Ok(match self.policy.decide(&result.verdict, read.attempts.max(1), &mut self.rng) {
            RetryDecision::Retry { after } => Step::At(at + after),
            // It is unclear yet whether this request or the service failed: it waits for the other requests, if any.
            RetryDecision::GiveUp { .. } if self.may_be_the_service(ended) => Step::At(at + outage_pause(1)),
            // A read is never unconfirmed.
            RetryDecision::Done { .. }
            | RetryDecision::Compare
            | RetryDecision::Read
            | RetryDecision::GiveUp { .. } => {
                let ReadResult { snapshots, incidents } = self.source.on_result(&read.call, result)?;
                output.batch.snapshots.extend(snapshots);
                output.event = Some(Event::IncidentsRead(incidents));
                Step::Finished
            }
            RetryDecision::Immediately | RetryDecision::Pause => Step::Ready,
        })
    }

    /// Whether the service may be down: it is, or other requests can tell.
    fn may_be_the_service(&self, ended: &EndedCall<'_>) -> bool {
        let is_the_last = ended.is_alone && self.next.is_none() && self.source.calls_left() == 0;
        ended.health.is_down() || (ended.health.is_uncertain() && !is_the_last)
    }
}

impl<R: ReadSource> WorkSource for Reads<'_, R> {
    type Item = PendingRead;

    /// Asks the source, unless it can't have a request now.
    fn can_take(&mut self) -> bool {
        if self.next.is_none() && self.last_wanted.is_none() {
            match self.source.next() {
                Wanted::Call(call) => self.next = Some(call),
                other => self.last_wanted = Some(other),
            }
        }
        self.next.is_some()
    }

    fn take(&mut self, _: &Journal) -> Result<Option<PendingRead>, JournalError> {
        self.can_take();
        Ok(self.next.take().map(|call| PendingRead { call, attempts: 0 }))
    }

    fn request(&self, read: &PendingRead, batch: &mut Batch) {
        batch.reads.push(read.call.incident());
    }

    fn call(&mut self, read: &mut PendingRead) -> Call {
        read.call.clone()
    }

    fn on_completion(
        &mut self,
        read: &mut PendingRead,
        ended: &EndedCall<'_>,
        output: &mut Output,
    ) -> (AttemptEnd, Step) {
        let (completed, result) = (ended.completed, &ended.completed.result);
        let what = if matches!(read.call, Call::List(_)) { "List" } else { "Read" };
        log::call(None, read.call.incident(), what, completed);
        self.last_wanted = None;
        let is_transient =
            matches!(result.verdict, Verdict::Transient { .. } | Verdict::Unsent(WhyUnsent::NoConnection(_)));
        read.attempts += u32::from(is_transient && ended.streak.counts);
        let step = match read.call.clone() {
            Call::List(page) if is_transient => self.page_failed(read, &page, ended),
            _ => self.decide(read, ended, output),
        };
        let step = step.unwrap_or_else(|stop| {
            output.stop = Some(stop);
            Step::Finished
        });
        (AttemptEnd::of(completed.attempt, completed.at.boot, result), step)
    }

    fn forgive(read: &mut PendingRead, _: u64) {
        read.attempts = 0;
    }

    fn calls_left(&self, _: &InFlight<PendingRead>, queued: usize) -> u64 {
        self.source.calls_left() + queued as u64 + u64::from(self.next.is_some())
    }

    fn is_replaceable(&self, read: &PendingRead) -> bool {
        matches!(read.call, Call::List(_)) && self.source.can_read_singly()
    }
}
