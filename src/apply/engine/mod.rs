//! The engine: one task that gives every step of sending and of reading its order.
//!
//! Each turn of its loop: take in what has ended; decide what follows; choose what is next; commit all of it at once;
//! start the requests that have a permit and an intent on the disk; wait for something to happen. What ends during a
//! commit is the next commit, so many requests share one sync without a timer.
//!
//! What is requested, and what a result means for it, is a [`WorkSource`]'s to say: `rows` or `reads`.

mod gate;
mod pace;
mod work;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::gate::Gate;
use self::pace::Pacing;
pub(super) use self::work::{EndedCall, InFlight, NextCommit, Offered, Served, WorkSource};
use super::callers::{Callers, CompletedCall};
use super::events::{Event, Listener, Pace};
use super::health::HealthEvent;
use super::service::{Effects, ServiceState};
use super::{ApplyError, Completion, EngineEnd, EngineSettings, GUESSED_LATENCY, PACE, StopReason, log};
use crate::client::{Client, Transport};
use crate::clock::{BootTime, Clock, Now};
use crate::journal::{AttemptEnd, AttemptId, Journal, JournalError};
use crate::model::call::{Call, Verdict};
use crate::quota::{Buckets, Forecast, arrival};

/// Makes the requests of a source, under the quota and with the journal.
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
    in_flight: InFlight<W::Item>,
    next: NextCommit,
    calls: u64,
    reads: u64,
    stop: Option<StopReason>,
}

impl<'a, T: Transport, W: WorkSource, L: Listener> Engine<'a, T, W, L> {
    /// The journal's session has begun.
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
            in_flight: HashMap::new(),
            next: NextCommit::default(),
            calls: 0,
            reads: 0,
            stop: None,
        })
    }

    /// Works until nothing is left, or until it is stopped and no request is in flight. `stop` turns true when the user
    /// asks to stop.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(W, EngineEnd), ApplyError> {
        if let Err(error) = self.work_until_the_end(&mut stop).await {
            return Err(ApplyError { error, journal: Some(Box::new(self.journal)) });
        }
        let end = EngineEnd {
            completion: self.stop.map_or(Completion::Finished, Completion::Stopped),
            journal: self.journal,
            calls: self.calls,
            reads: self.reads,
            throttled: self.service.throttled,
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
            if self.stop.is_none() {
                let is_idle = self.in_flight.is_empty();
                let effects = self.work.release_exhausted(now, &self.service.health, is_idle, &mut self.next);
                self.follow(effects);
            }
            self.check_token(now);
            let offered = self.choose(now)?;
            if !(offered.is_empty() && self.next.is_empty()) {
                self.commit(offered)?;
                continue;
            }
            if self.in_flight.is_empty() && (self.stop.is_some() || !self.work.has_work()) {
                return Ok(());
            }
            // A wait is reported before it begins, with what is true then.
            self.report_pace(now);
            let wake = self.wake(now).min(self.pacing.due().unwrap_or(BootTime(i64::MAX)));
            tokio::select! {
                biased; // The same seed must go the same way.
                completed = self.callers.ended() => {
                    self.on_completion(&completed);
                    // What has ended at the same moment shares the commit.
                    tokio::task::yield_now().await;
                }
                () = self.clock.sleep_briefly_until(wake) => {}
                Ok(()) = token_changes.changed() => {}
                Ok(()) = stop.changed() => {}
            }
        }
    }

    /// Checks the token while there is something to request: an expired one is renewed.
    fn check_token(&mut self, now: Now) {
        if self.stop.is_none() && self.work.has_work() {
            if let Some(stop) = self.service.check_token(self.callers.tokens(), now) {
                self.stop(stop);
            }
            // The reported time of the next request doesn't hold while a token is awaited.
            self.pacing.changed |= self.service.awaits_token;
        }
    }

    /// The items for the next commit.
    fn choose(&mut self, now: Now) -> Result<Vec<W::Item>, JournalError> {
        let free_slots = self.free_slots();
        let batch = &mut self.next.batch;
        batch.slots = 0;
        let slots = self.service.health.slots(free_slots, now.boot);
        if self.stop.is_some() || slots == 0 {
            return Ok(Vec::new());
        }
        if self.gate.is_open(now.boot) && !self.service.is_paused(now.boot) {
            batch.slots = slots;
        }
        self.work.offer(now.boot, &self.journal, batch)
    }

    /// How many more requests may be in flight.
    fn free_slots(&self) -> u32 {
        self.concurrency.saturating_sub(u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX))
    }

    /// Commits what has ended and what is next, starts the requests that may go, and reports the rows that finished.
    fn commit(&mut self, items: Vec<W::Item>) -> Result<(), JournalError> {
        let NextCommit { batch, finished } = std::mem::take(&mut self.next);
        let grant = |spent: &_, pause, now, wanted| self.buckets.grant(spent, pause, now, wanted);
        let receipts = self.journal.commit(&batch, grant)?;
        let now = self.clock.now();
        let (next_permit, pause, others_in_flight) = (receipts.next, receipts.pause, receipts.others_under_way);
        let offered = Offered { items, slots: batch.slots };
        let served = self.work.on_receipts(offered, receipts, now, &mut self.next);
        let lacks_permits = served.lacks_permits && served.started.len() < batch.slots.max(1) as usize;
        // The requests first: the listener takes its time.
        for (attempt, call, item) in served.started {
            self.send(attempt, call, item, now);
        }
        self.follow(served.effects);
        if lacks_permits {
            self.gate = Gate::closed(next_permit, others_in_flight, now.boot);
            if let Some(stop) = self.service.stored_pause(pause, now) {
                self.stop(stop);
            }
        } else if batch.slots > 0 {
            self.gate = Gate::Open;
        }
        if !finished.is_empty() {
            self.tell(Event::Finished(finished));
        }
        self.pacing.changed = true;
        self.report_pace(now);
        Ok(())
    }

    /// Sends a request whose intent is on the disk. The one thing here that runs beside the loop.
    fn send(&mut self, attempt: AttemptId, call: Call, item: W::Item, now: Now) {
        self.calls += 1;
        self.reads += u64::from(!matches!(call, Call::Step(_)));
        self.service.health.begins();
        self.in_flight.insert(attempt, item);
        self.callers.call(attempt, call, now);
    }

    /// A request has ended: what follows for its item and for all others.
    fn on_completion(&mut self, completed: &CompletedCall) {
        let CompletedCall { attempt, answer: result, at, took } = completed;
        let Some(item) = self.in_flight.remove(attempt) else { return };
        self.pacing.on_end(*took);
        self.gate.on_end(matches!(result.verdict, Verdict::Unsent { .. }));
        let health = &mut self.service.health;
        let streak = health.streak();
        // In an outage every request tells whether it is over.
        let says_nothing =
            matches!(result.verdict, Verdict::Transient { .. }) && !health.is_down() && self.work.is_replaceable(&item);
        let event = if says_nothing { HealthEvent::None } else { health.record(&result.verdict, at.boot) };
        let (pause_until, effects) = self.service.pause(result, *at).unzip();
        self.follow(effects.unwrap_or_default());
        let (health, is_alone) = (&self.service.health, self.in_flight.is_empty());
        let ended = EndedCall { completed, streak, event, health, is_alone };
        let (end, effects) = self.work.on_completion(item, &ended, &mut self.next);
        self.next.batch.ends.push(AttemptEnd { pause_until, ..end });
        if let Some(event) = effects.event {
            self.tell(event);
        }
        // A missing permission says more than the failure that it causes.
        self.follow(Effects::of(event, *at, &result.message));
        self.follow(Effects { event: None, ..effects });
    }

    /// What one request's end, or a commit, means for all others.
    fn follow(&mut self, effects: Effects) {
        if effects.forgives {
            self.work.forgive(&mut self.in_flight, self.service.health.streak().id);
        }
        if let Some(event) = effects.event {
            self.tell(event);
        }
        if let Some(stop) = effects.stop {
            self.stop(stop);
        }
    }

    /// When to go on, if no request ends before.
    fn wake(&self, now: Now) -> BootTime {
        let never = now.boot + Duration::from_hours(1);
        let deadline = self.deadline.filter(|_| self.stop.is_none()).unwrap_or(never);
        if self.stop.is_some() || self.free_slots() == 0 {
            return deadline;
        }
        if self.service.awaits_token {
            return deadline.min(now.boot + PACE);
        }
        let Some(due) = self.work.next_due(now.boot) else { return deadline };
        self.service.earliest(due.max(self.gate.opens(now.boot, never)), never).min(deadline)
    }

    /// Reports the pace and the estimated finish, if that is due.
    fn report_pace(&mut self, now: Now) {
        if !self.pacing.take_due(now.boot) {
            return;
        }
        let Some((spent, pause)) = self.journal.spent() else { return };
        let calls = self.work.calls_left(&self.in_flight);
        let ahead = Forecast { calls, concurrency: self.concurrency, latency: self.pacing.latency };
        let arrival = self.pacing.arrival(now.boot, calls, || arrival(&self.buckets, spent, pause, now.boot, ahead));
        let never = BootTime(i64::MAX);
        // A permit that nothing wants yet starts no request.
        let due = self.work.next_due(now.boot).unwrap_or(now.boot).max(self.gate.opens(now.boot, never));
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
