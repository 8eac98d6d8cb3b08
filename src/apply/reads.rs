//! Reading: requests that change nothing, under the same quota and journal as those for rows.
//!
//! What is read, and in which order, is a [`ReadSource`]'s to say; here a read waits for its turn and is tried again. It
//! does no harm: nothing of it is ever in doubt.
//!
//! Promise: reading has finished only if the source says that it has nothing left to read. An empty queue is no such
//! statement: in an outage, too, nothing is in flight.

use std::sync::Arc;

use tokio::sync::watch;

use super::due::DueQueue;
use super::engine::{EndedCall, Engine, InFlight, NextCommit, Offered, Served, WorkSource};
use super::events::{Event, Listener};
use super::service::Effects;
use super::{ApplyError, Completion, EngineEnd, EngineSettings, StopReason, log};
use crate::client::{Client, Transport};
use crate::clock::{BootTime, Now};
use crate::journal::{AttemptEnd, Batch, Journal, JournalError, Receipts};
use crate::model::call::{Call, CallResult, Page, Verdict};
use crate::retry::{Policy, RetryDecision, delay, outage_pause};

/// Says what is read, and takes it.
pub trait ReadSource {
    /// What to read next.
    fn next(&mut self) -> Wanted;

    /// Takes what a request has shown: an incident, a list, or an error that stays.
    ///
    /// # Errors
    /// If nothing more can be read, or what was read can't be kept.
    fn on_result(&mut self, call: &Call, result: &CallResult) -> Result<ReadResult, StopReason>;

    /// What to request after a transient error of a page.
    ///
    /// # Errors
    /// If there is no other way to read what the page would have shown.
    fn page_failed(&mut self, page: &Page, result: &CallResult) -> Result<Course, StopReason>;

    /// Whether reads of single incidents can replace a page: then its failure does not mean an outage.
    fn can_read_singly(&self) -> bool;

    /// How many requests are left, as far as is known: for the estimated finish.
    fn calls_left(&self) -> u64;
}

/// What a source wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This request.
    Call(Call),
    /// It depends on the requests in flight.
    Later,
    /// The source has nothing left to read.
    Nothing,
}

/// What follows for a page that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// This request takes its place, after a delay.
    Request(Call),
    /// The source names other requests when it is asked.
    Ask,
}

/// What a request has shown.
#[derive(Debug, Default)]
pub struct ReadResult {
    /// The snapshots of rows' incidents, as JSON, for the journal.
    pub snapshots: Vec<(u64, String)>,
    /// How many more incidents are known.
    pub incidents: u64,
}

/// Makes the source's requests until it has nothing left to read, or until it is stopped. The journal's session has
/// begun. The journal is written to where this is polled.
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
        last_wanted: None,
        queue: DueQueue::default(),
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
    tries: u32,
}

/// The reads of a source that have not finished.
struct Reads<'a, R: ReadSource> {
    source: &'a mut R,
    /// What the source said last, if it named no request and none has ended since.
    last_wanted: Option<Wanted>,
    queue: DueQueue<PendingRead>,
    policy: Policy,
    rng: fastrand::Rng,
}

impl<R: ReadSource> Reads<'_, R> {
    /// Asks the source for one more request, unless it can't name one.
    fn ask(&mut self) -> Option<PendingRead> {
        if self.last_wanted.is_some() {
            return None;
        }
        match self.source.next() {
            Wanted::Call(call) => Some(PendingRead { call, tries: 0 }),
            other => {
                self.last_wanted = Some(other);
                None
            }
        }
    }

    /// A page was not read: what takes its place, or why nothing more is read.
    fn page_failed(&mut self, page: &Page, read: PendingRead, ended: &EndedCall<'_>) -> Result<(), StopReason> {
        let result = &ended.completed.answer;
        let after = ended.completed.at.boot + delay(read.tries.max(1), &mut self.rng);
        match self.source.page_failed(page, result) {
            Ok(Course::Request(call)) => {
                let tries = if call == read.call { read.tries } else { 0 };
                self.queue.wait(after, PendingRead { call, tries });
            }
            Ok(Course::Ask) => {}
            // An outage is no reason to give up before its time.
            Err(_) if ended.health.is_down() && !result.is_truncated => self.queue.wait(after, read),
            Err(why) => return Err(why),
        }
        Ok(())
    }

    /// What follows for any other request: its result, if that is final.
    fn decide(&mut self, read: PendingRead, ended: &EndedCall<'_>) -> Result<ReadResult, StopReason> {
        let (result, at) = (&ended.completed.answer, ended.completed.at.boot);
        match self.policy.decide(&result.verdict, read.tries.max(1), &mut self.rng) {
            RetryDecision::Again { after } => self.queue.wait(at + after, read),
            // Whether it is this request or the service is not clear yet: it waits for the others, if there are any.
            RetryDecision::GiveUp { .. } if self.may_be_the_service(ended) => {
                self.queue.wait(at + outage_pause(1), read);
            }
            // No read is unconfirmed.
            RetryDecision::Done { .. }
            | RetryDecision::Compare
            | RetryDecision::Look
            | RetryDecision::GiveUp { .. } => return self.source.on_result(&read.call, result),
            RetryDecision::AtOnce | RetryDecision::Pause => self.queue.first(read),
        }
        Ok(ReadResult::default())
    }

    /// Whether the service may be down: it is, or there is something else to tell by.
    fn may_be_the_service(&self, ended: &EndedCall<'_>) -> bool {
        let is_the_last = ended.is_alone && self.queue.is_empty() && self.source.calls_left() == 0;
        ended.health.is_down() || (ended.health.is_uncertain() && !is_the_last)
    }
}

impl<R: ReadSource> WorkSource for Reads<'_, R> {
    type Item = PendingRead;

    fn has_work(&mut self) -> bool {
        if self.queue.is_empty()
            && let Some(read) = self.ask()
        {
            self.queue.last(read);
        }
        !self.queue.is_empty()
    }

    fn offer(&mut self, now: BootTime, _: &Journal, batch: &mut Batch) -> Result<Vec<PendingRead>, JournalError> {
        let next = std::iter::from_fn(|| self.queue.pop(now).or_else(|| self.ask()));
        let offered: Vec<PendingRead> = next.take(batch.slots as usize).collect();
        batch.looks = offered.iter().map(|read| read.call.incident()).collect();
        Ok(offered)
    }

    fn on_receipts(
        &mut self,
        offered: Offered<PendingRead>,
        receipts: Receipts,
        _: Now,
        _: &mut NextCommit,
    ) -> Served<PendingRead> {
        let mut items = offered.items.into_iter();
        let started = receipts.looks.into_iter().zip(&mut items);
        let started: Vec<_> = started.map(|(attempt, read)| (attempt, read.call.clone(), read)).collect();
        let lacks_permits = items.len() > 0;
        items.rev().for_each(|read| self.queue.first(read));
        Served { started, lacks_permits, effects: Effects::default() }
    }

    fn on_completion(
        &mut self,
        mut read: PendingRead,
        ended: &EndedCall<'_>,
        next: &mut NextCommit,
    ) -> (AttemptEnd, Effects) {
        let result = &ended.completed.answer;
        let what = if matches!(read.call, Call::List(_)) { "List" } else { "Read" };
        log::call(None, read.call.incident(), what, ended.completed);
        self.last_wanted = None;
        let is_transient = matches!(result.verdict, Verdict::Transient { .. } | Verdict::Unsent { .. });
        read.tries += u32::from(is_transient && ended.streak.counts);
        let outcome = match &read.call {
            Call::List(page) if is_transient => {
                let page = page.clone();
                self.page_failed(&page, read, ended).map(|()| ReadResult::default())
            }
            _ => self.decide(read, ended),
        };
        let mut effects = Effects::default();
        match outcome {
            Ok(ReadResult { snapshots, incidents }) => {
                next.batch.befores.extend(snapshots);
                effects.event = (incidents > 0).then_some(Event::IncidentsRead(incidents));
            }
            Err(stop) => effects.stop = Some(stop),
        }
        (AttemptEnd::of(ended.completed.attempt, ended.completed.at.boot, result), effects)
    }

    fn forgive(&mut self, in_flight: &mut InFlight<PendingRead>, _: u64) {
        in_flight.values_mut().chain(self.queue.iter_mut()).for_each(|read| read.tries = 0);
    }

    fn next_due(&self, now: BootTime) -> Option<BootTime> {
        // Without a request at hand, the source may name one, unless it waits for those in flight.
        self.queue.next_due(now).or_else(|| self.last_wanted.is_none().then_some(now))
    }

    fn calls_left(&self, _: &InFlight<PendingRead>) -> u64 {
        self.source.calls_left() + self.queue.len() as u64
    }

    fn is_replaceable(&self, read: &PendingRead) -> bool {
        matches!(read.call, Call::List(_)) && self.source.can_read_singly()
    }
}
