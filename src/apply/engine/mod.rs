//! The engine: one task that does everything that has an order, in sending and in reading.
//!
//! Each turn of its loop: take in what has ended; decide what follows; choose what is next; commit all of it at once;
//! start the requests that have a permit and an intent on the disk; wait for something to happen. What ends during a
//! commit goes into the next one: one sync serves many requests, without a timer.
//!
//! A [`WorkSource`] decides what is requested and what follows from a result: `rows` or `reads`.

mod gate;
mod pace;
mod work;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::gate::Gate;
use self::pace::Pacing;
pub(super) use self::work::{EndedCall, InFlight, Output, Step, WorkSource};
use super::callers::{Callers, CompletedCall};
use super::due::DueQueue;
use super::events::{Event, Listener, Pace};
use super::health::HealthEvent;
use super::service::{Effects, ServiceState};
use super::{
    ApplyError, Completion, EngineEnd, EngineSettings, GUESSED_LATENCY, PACE, POLL, Requests, StopReason, log,
};
use crate::client::{Client, Transport};
use crate::clock::{BootTime, Clock, Now};
use crate::journal::{AttemptEnd, AttemptId, Journal, JournalError, Receipt};
use crate::model::call::{Call, Verdict};
use crate::model::operation::OperationId;
use crate::quota::{Buckets, Forecast, arrival};

/// Maximum number of items in one commit: other processes wait for the write lock.
const OFFER: usize = 256;

/// Sends the requests of a source, under the quota and with the journal.
pub(super) struct Engine<'a, T: Transport, W: WorkSource, L: Listener> {
    work: W,
    journal: Journal,
    callers: Callers<T>,
    clock: Clock,
    listener: &'a mut L,
    buckets: Buckets,
    concurrency: u32,
    deadline: Option<BootTime>,
    service: ServiceState,
    gate: Gate,
    pacing: Pacing,
    queue: DueQueue<W::Item>,
    in_flight: InFlight<W::Item>,
    /// Ends and outcomes for the next commit.
    output: Output,
    /// How many items are offered: more, as long as offered items need no request.
    offer: usize,
    calls: u64,
    reads: u64,
    comments: u64,
    quota_wait: Duration,
    stop: Option<StopReason>,
}

impl<'a, T: Transport, W: WorkSource, L: Listener> Engine<'a, T, W, L> {
    /// The journal's session has started.
    pub(super) fn new(
        work: W,
        journal: Journal,
        client: Arc<Client<T>>,
        settings: &EngineSettings,
        listener: &'a mut L,
    ) -> Result<Engine<'a, T, W, L>, JournalError> {
        let clock = journal.clock().clone();
        Ok(Engine {
            work,
            pacing: Pacing::new(journal.latency()?.unwrap_or(GUESSED_LATENCY)),
            journal,
            callers: Callers::new(client, clock.clone()),
            listener,
            buckets: Buckets::new(&settings.quota),
            concurrency: settings.concurrency.max(1),
            deadline: settings.stop_after.map(|after| clock.now().boot + after),
            clock,
            service: ServiceState::new(&settings.quota, settings.patience),
            gate: Gate::Open,
            queue: DueQueue::default(),
            in_flight: HashMap::new(),
            output: Output::default(),
            offer: 1,
            calls: 0,
            reads: 0,
            comments: 0,
            quota_wait: Duration::ZERO,
            stop: None,
        })
    }

    /// Works until nothing is left, or until it is stopped and no request is in flight. `stop` turns true when the user
    /// asks to stop.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(W, EngineEnd), ApplyError> {
        let worked = self.work_until_the_end(&mut stop).await;
        let Engine { calls, reads, comments, quota_wait, .. } = self;
        let requests = Requests { calls, reads, comments, throttled: self.service.throttled, quota_wait };
        self.tell(Event::Ended(requests));
        if let Err(error) = worked {
            return Err(ApplyError { error, journal: Some(Box::new(self.journal)), requests });
        }
        let end = EngineEnd {
            completion: self.stop.map_or(Completion::Finished, Completion::Stopped),
            journal: self.journal,
            requests,
        };
        Ok((self.work, end))
    }

    async fn work_until_the_end(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), JournalError> {
        let mut token_changes = self.callers.tokens().changes();
        loop {
            let now = self.clock.now();
            if *stop.borrow() {
                self.stop(StopReason::Requested);
            }
            if self.deadline.is_some_and(|deadline| now.boot >= deadline) {
                self.stop(StopReason::Deadline);
            }
            while let Some(completed) = self.callers.try_ended() {
                self.on_completion(&completed);
            }
            self.release_exhausted(now);
            self.check_token(now);
            let offered = self.choose(now)?;
            let batch = &self.output.batch;
            if !(offered.is_empty() && batch.ends.is_empty() && batch.finished.is_empty()) {
                self.commit(offered)?;
                continue;
            }
            if self.in_flight.is_empty() && (self.stop.is_some() || !self.has_work()) {
                return Ok(());
            }
            // A wait is reported before it starts, with the state at that time.
            self.report_pace(now);
            let wake = self.wake(now).min(self.pacing.due().unwrap_or(BootTime(i64::MAX)));
            let waits_for_quota = self.waits_for_quota(now.boot);
            tokio::select! {
                biased; // The same seed must give the same trace.
                completed = self.callers.ended() => {
                    self.on_completion(&completed);
                    // Requests that ended at the same moment share the commit.
                    tokio::task::yield_now().await;
                }
                () = self.clock.sleep_briefly_until(wake) => {}
                Ok(()) = token_changes.changed() => {}
                Ok(()) = stop.changed() => {}
            }
            if waits_for_quota {
                self.quota_wait += self.clock.now().boot.since(now.boot);
            }
        }
    }

    /// Whether a permit is all that is missing for the next request.
    fn waits_for_quota(&mut self, now: BootTime) -> bool {
        let has_slot = self.stop.is_none() && self.service.health.slots(self.free_slots(), now) > 0;
        let is_due = self.next_due(now).is_some_and(|due| due <= now);
        has_slot && is_due && !self.gate.is_open(now) && !self.service.is_paused(now)
    }

    /// Whether anything is left to request, items in flight aside.
    fn has_work(&mut self) -> bool {
        !self.queue.is_empty() || self.work.can_take()
    }

    /// Decides about items without attempts left once the service was clearly not at fault: it has responded since, or
    /// nothing else is left to test it with.
    fn release_exhausted(&mut self, now: Now) {
        let has_others = !self.in_flight.is_empty() || self.queue.next_due(now.boot).is_some();
        if self.stop.is_some() || (self.service.health.is_uncertain() && (has_others || self.work.can_take())) {
            return;
        }
        for mut item in self.queue.take_held() {
            let step = self.work.on_exhausted(&mut item, now, &mut self.output);
            self.take_step(item, step);
        }
        self.report();
    }

    /// Checks the token while there is something to request: an expired one is renewed.
    fn check_token(&mut self, now: Now) {
        if self.stop.is_none() && self.has_work() {
            if let Some(stop) = self.service.check_token(self.callers.tokens(), now) {
                self.stop(stop);
            }
            // The reported time of the next request doesn't hold while waiting for a token.
            self.pacing.changed |= self.service.awaits_token;
        }
    }

    /// The items for the next commit.
    fn choose(&mut self, now: Now) -> Result<Vec<W::Item>, JournalError> {
        let slots = self.service.health.slots(self.free_slots(), now.boot);
        let is_open = self.gate.is_open(now.boot) && !self.service.is_paused(now.boot);
        let most = if self.stop.is_some() || slots == 0 {
            0
        } else if is_open {
            self.offer.max(slots as usize)
        } else {
            W::AHEAD.saturating_sub(self.queue.ready())
        };
        self.output.batch.slots = if is_open { slots } else { 0 };
        let mut offered = Vec::new();
        while offered.len() < most.min(OFFER) {
            let due = if is_open { self.queue.pop(now.boot) } else { None };
            let Some(item) = due.map_or_else(|| self.work.take(&self.journal), |due| Ok(Some(due)))? else { break };
            self.work.request(&item, &mut self.output.batch);
            offered.push(item);
        }
        Ok(offered)
    }

    /// How many more requests may be in flight.
    fn free_slots(&self) -> u32 {
        self.concurrency.saturating_sub(u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX))
    }

    /// Commits what has ended and what is next, starts the requests that may go, and reports the rows that finished.
    fn commit(&mut self, offered: Vec<W::Item>) -> Result<(), JournalError> {
        let Output { batch, finished, .. } = std::mem::take(&mut self.output);
        let grant = |spent: &_, pause, now, wanted| self.buckets.grant(spent, pause, now, wanted);
        let receipts = self.journal.commit(&batch, grant)?;
        let now = self.clock.now();
        let of_reads = receipts.reads.into_iter().map(Receipt::Started);
        let of_each = receipts.starts.into_iter().chain(of_reads).chain(std::iter::repeat_with(|| Receipt::NoPermit));
        let (all, calls, mut unserved) = (offered.len(), self.calls, Vec::new());
        for (mut item, receipt) in offered.into_iter().zip(of_each) {
            match receipt {
                Receipt::Started(attempt) => self.send(attempt, item, now),
                Receipt::NoPermit => unserved.push(item),
                Receipt::InFlight => self.queue.wait(now.boot + POLL, item),
                receipt => {
                    let step = self.work.on_receipt(&mut item, receipt, now, &mut self.output);
                    self.take_step(item, step);
                }
            }
        }
        self.report();
        let started = self.calls - calls;
        let needed_no_call = all > 0 && started == 0 && unserved.is_empty();
        self.offer = if needed_no_call { (all * 2).min(OFFER) } else { 1 };
        if !unserved.is_empty() && started < batch.slots.max(1).into() {
            self.gate = Gate::closed(receipts.next, receipts.others_in_flight, now.boot);
            if let Some(stop) = self.service.stored_pause(receipts.pause, now) {
                self.stop(stop);
            }
        } else if batch.slots > 0 {
            self.gate = Gate::Open;
        }
        if batch.slots > 0 {
            for item in unserved.into_iter().rev() {
                self.queue.first(item);
            }
        } else {
            // Checked ahead: they queue behind earlier items.
            for item in unserved {
                self.queue.last(item);
            }
        }
        // After the requests have started, because the listener takes its time.
        if !finished.is_empty() {
            self.tell(Event::Finished(finished));
        }
        self.pacing.changed = true;
        self.report_pace(now);
        Ok(())
    }

    /// Sends a request whose intent is on the disk. Only this runs beside the loop.
    fn send(&mut self, attempt: AttemptId, mut item: W::Item, now: Now) {
        let call = self.work.call(&mut item);
        self.calls += 1;
        match &call {
            Call::Step(step) => self.comments += u64::from(step.operation == OperationId::Comment),
            Call::Read(_) | Call::List(_) => self.reads += 1,
        }
        self.service.health.on_start();
        self.in_flight.insert(attempt, item);
        self.callers.call(attempt, call, now);
    }

    /// Takes in the end of a request: what follows for its item and for all others.
    fn on_completion(&mut self, completed: &CompletedCall) {
        let CompletedCall { attempt, operation, result, at, took } = completed;
        let Some(mut item) = self.in_flight.remove(attempt) else { return };
        let is_unsent = result.verdict.is_unsent();
        self.gate.on_end(is_unsent);
        if is_unsent {
            self.calls -= 1;
            self.reads -= u64::from(operation.is_none());
            self.comments -= u64::from(*operation == Some(OperationId::Comment));
        } else {
            self.pacing.on_end(*took);
        }
        let health = &mut self.service.health;
        let streak = health.streak();
        // In an outage every request shows whether the outage has ended.
        let says_nothing =
            matches!(result.verdict, Verdict::Transient { .. }) && !health.is_down() && self.work.is_replaceable(&item);
        let event = if says_nothing { HealthEvent::None } else { health.record(&result.verdict, at.boot) };
        let (pause_until, effects) = self.service.pause(result, *at).unzip();
        self.follow(effects.unwrap_or_default());
        let (health, is_alone) = (&self.service.health, self.in_flight.is_empty() && self.queue.is_empty());
        let ended = EndedCall { completed, streak, event, health, is_alone };
        let (end, step) = self.work.on_completion(&mut item, &ended, &mut self.output);
        self.output.batch.ends.push(AttemptEnd { pause_until, ..end });
        self.take_step(item, step);
        if let Some(event) = self.output.event.take() {
            self.tell(event);
        }
        // A missing permission is a better reason than the failures that it causes.
        self.follow(Effects::of(event, *at, &result.message));
        self.report();
    }

    fn take_step(&mut self, item: W::Item, step: Step) {
        match step {
            Step::Ready => self.queue.first(item),
            Step::At(due) => self.queue.wait(due, item),
            Step::Exhausted => self.queue.hold(item),
            Step::Finished => {
                if let Some(next) = self.work.on_finished(item) {
                    self.queue.last(next);
                }
            }
        }
    }

    /// Reports the event of the source, if any.
    fn report(&mut self) {
        let (event, stop) = (self.output.event.take(), self.output.stop.take());
        self.follow(Effects { event, stop, forgives: false });
    }

    /// Applies the effects of a request's end, or of a commit, on the whole engine.
    fn follow(&mut self, effects: Effects) {
        if effects.forgives {
            let streak = self.service.health.streak().id;
            self.queue.release_held();
            for item in self.in_flight.values_mut().chain(self.queue.iter_mut()) {
                W::forgive(item, streak);
            }
        }
        if let Some(event) = effects.event {
            self.tell(event);
        }
        if let Some(stop) = effects.stop {
            self.stop(stop);
        }
    }

    /// When to continue, if no request ends before.
    fn wake(&mut self, now: Now) -> BootTime {
        let never = now.boot + Duration::from_hours(1);
        let deadline = self.deadline.filter(|_| self.stop.is_none()).unwrap_or(never);
        if self.stop.is_some() || self.free_slots() == 0 {
            return deadline;
        }
        if self.service.awaits_token {
            return deadline.min(now.boot + PACE);
        }
        let Some(due) = self.next_due(now.boot) else { return deadline };
        self.service.earliest(due.max(self.gate.opens(now.boot, never)), never).min(deadline)
    }

    /// When the next item is due, if one is before a request in flight has ended.
    fn next_due(&mut self, now: BootTime) -> Option<BootTime> {
        if self.work.can_take() { Some(now) } else { self.queue.next_due(now) }
    }

    /// Reports the pace and the estimated finish, if a report is due.
    fn report_pace(&mut self, now: Now) {
        if !self.pacing.take_due(now.boot) {
            return;
        }
        let due = self.next_due(now.boot);
        let Some((spent, pause)) = self.journal.spent() else { return };
        let calls = self.work.calls_left(&self.in_flight, self.queue.len());
        let ahead = Forecast { calls, concurrency: self.concurrency, latency: self.pacing.latency };
        let arrival = self.pacing.arrival(now.boot, calls, || arrival(&self.buckets, spent, pause, now.boot, ahead));
        let never = BootTime(i64::MAX);
        // A free permit starts no request if no item is due.
        let due = due.unwrap_or(now.boot).max(self.gate.opens(now.boot, never));
        let next_call = (due > now.boot).then(|| self.service.earliest(due, never));
        let pace = Pace {
            windows: self.buckets.in_use(spent, now.boot),
            next_call: next_call.filter(|at| *at < never).map(|at| now.wall_at(at)),
            arrival: now.wall_at(self.service.earliest(arrival, arrival)),
            in_flight: spent.in_flight,
            calls: self.calls,
            throttled: self.service.throttled,
        };
        self.tell(Event::Pace(pace));
    }

    fn stop(&mut self, why: StopReason) {
        if self.stop.is_none() {
            self.stop = Some(why.clone());
            self.tell(Event::Stopping { reason: why, in_flight: self.in_flight.len() });
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        log::event(&event);
        if let Err(error) = self.listener.on_event(event) {
            self.stop(StopReason::ListenerFailed { message: error.to_string() });
        }
    }
}
