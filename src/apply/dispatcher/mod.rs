//! The dispatcher: one task that gives every step its order.
//!
//! Each turn of its loop: take in what has ended; decide, row by row, what follows; choose who is next; commit all of it
//! at once; start the calls that have a permit and an intent on the disk; wait for something to happen. What ends during
//! a commit is the next commit, so many calls share one sync without a timer.
//!
//! The loop is here; what a call's end leads to is in `ends`, who is next and how it is sent in `begins`, what is told of
//! the pace in `pace`.

mod complete;
mod pace;
mod start;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::callers::Callers;
use super::events::{Event, Listener};
use super::health::{FailureGuard, FailureLimit};
use super::in_doubt::OwnComments;
use super::queue::Queue;
use super::row_state::{RowPolicy, RowState};
use super::service::{Effects, ServiceState};
use super::{ApplyError, EngineSettings, GUESSED_LATENCY, PACE, StopReason, log};
use crate::client::{Client, Transport};
use crate::clock::{BootTime, Clock, Now};
use crate::journal::{AttemptId, Journal, JournalError, RunHandle};
use crate::model::outcome::{Outcome, OutcomeKind, ResultRow, RowCode};
use crate::quota::Buckets;
use crate::retry::Policy;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Every row that can be sent has its outcome.
    Over,
    /// It was stopped before.
    Stopped(StopReason),
}

/// What [`apply`] returns.
#[derive(Debug)]
pub struct RunEnd {
    /// How it ended.
    pub ending: Completion,
    /// The journal.
    pub journal: Journal,
    /// Requests sent by this process.
    pub calls: u64,
    /// Of these, the reads.
    pub reads: u64,
    /// 429s seen by this process.
    pub throttled: u64,
}

/// Sends what is left of a run, and returns when all of it is over or when it was stopped and no call is under way.
/// `stop` turns true when the user asks to stop.
///
/// The journal is written to where this is polled: on a thread of its own, since a commit waits for the disk. A runtime's
/// `block_on` is one.
///
/// # Errors
/// Where the journal can't be read or written. Calls that were under way are then in doubt, and the next start clears
/// them up.
pub async fn apply<T: Transport>(
    mut journal: Journal,
    run: &RunHandle,
    client: Arc<Client<T>>,
    settings: EngineSettings,
    clock: Clock,
    stop: watch::Receiver<bool>,
    listener: &mut impl Listener,
) -> Result<RunEnd, ApplyError> {
    let begun = begin(&mut journal, run, &settings)?;
    let started = clock.now();
    let latency = journal.latency()?.unwrap_or(GUESSED_LATENCY);
    let mut dispatcher = Dispatcher {
        buckets: Buckets::new(&settings.quota),
        rules: RowPolicy {
            contract: Arc::clone(client.contract()),
            policy: Policy { max_attempts: settings.max_attempts.max(1) },
            same_as: settings.same_as.clone(),
            settle: settings.settle,
        },
        own_comments: OwnComments::new(started.boot),
        rng: fastrand::Rng::with_seed(settings.seed),
        service: ServiceState::new(&settings.quota, settings.patience),
        failures: FailureGuard::new(settings.max_failures, begun.first),
        deadline: settings.stop_after.map(|after| started.boot + after),
        left: begun.left,
        journal,
        run,
        callers: Callers::new(client, clock.clone()),
        settings,
        clock,
        listener,
        queue: Queue::default(),
        in_flight: HashMap::new(),
        over: Vec::new(),
        ends: Vec::new(),
        finished: Vec::new(),
        gate: Gate::Open,
        offer: 1,
        told_pace: None,
        arrival: None,
        pace_changed: true,
        latency,
        calls: 0,
        reads: 0,
        stop: None,
    };
    dispatcher.tell(Event::Started { rows: begun.rows, before: begun.before });
    dispatcher.run(stop).await
}

/// What the journal knows of the run when it begins, or goes on.
struct RunStart {
    rows: u64,
    left: u64,
    before: Vec<(OutcomeKind, u64)>,
    first: Vec<(OutcomeKind, RowCode)>,
}

fn begin(journal: &mut Journal, run: &RunHandle, settings: &EngineSettings) -> Result<RunStart, JournalError> {
    journal.begin_session(run, settings.quota.longest(), settings.remember)?;
    let outcomes = journal.outcomes(&run.name)?;
    Ok(RunStart {
        rows: outcomes.iter().map(|(_, count)| count).sum(),
        left: outcomes.iter().filter(|(kind, _)| kind.is_none()).map(|(_, count)| count).sum(),
        before: outcomes.iter().filter_map(|(kind, count)| Some(((*kind)?, *count))).collect(),
        first: journal.first_outcomes(run, 5)?,
    })
}

struct Dispatcher<'a, T: Transport, L: Listener> {
    journal: Journal,
    run: &'a RunHandle,
    callers: Callers<T>,
    settings: EngineSettings,
    clock: Clock,
    listener: &'a mut L,
    buckets: Buckets,
    rules: RowPolicy,
    own_comments: OwnComments,
    rng: fastrand::Rng,
    service: ServiceState,
    failures: FailureGuard,
    deadline: Option<BootTime>,

    queue: Queue,
    /// Calls under way.
    in_flight: HashMap<AttemptId, RowState>,

    /// For the next commit: rows that are over without a call, and calls that have ended.
    over: Vec<(u64, Outcome)>,
    ends: Vec<crate::journal::AttemptEnd>,
    /// Rows that are over with the next commit.
    finished: Vec<ResultRow>,

    /// When to ask for permits again.
    gate: Gate,
    /// How many rows are offered: more, as long as they turn out to be over without a call.
    offer: usize,
    told_pace: Option<BootTime>,
    pace_changed: bool,
    /// The time of arrival, and when it was computed.
    arrival: Option<(BootTime, BootTime)>,
    /// A moving average, for the time of arrival.
    latency: Duration,
    /// Rows without an outcome.
    left: u64,
    calls: u64,
    reads: u64,
    stop: Option<StopReason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Until(BootTime),
    /// Until a call of ours, or of another process, ends.
    UntilAnEnd,
}

impl<T: Transport, L: Listener> Dispatcher<'_, T, L> {
    async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<RunEnd, ApplyError> {
        match self.until_the_end(&mut stop).await {
            Ok(()) => {
                let ending = self.stop.map_or(Completion::Over, Completion::Stopped);
                Ok(RunEnd {
                    ending,
                    journal: self.journal,
                    calls: self.calls,
                    reads: self.reads,
                    throttled: self.service.throttled,
                })
            }
            Err(error) => Err(ApplyError { error, journal: Some(Box::new(self.journal)) }),
        }
    }

    async fn until_the_end(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), JournalError> {
        let mut token_changes = self.callers.tokens().changes();
        loop {
            let now = self.clock.now();
            if *stop.borrow() {
                self.stop(StopReason::Requested);
            }
            if self.deadline.is_some_and(|deadline| now.boot >= deadline) {
                self.stop(StopReason::Deadline);
            }
            while let Some(ended) = self.callers.try_ended() {
                self.on_completion(&ended);
            }
            self.release_exhausted(now);
            if !self.queue.is_empty() {
                if let Some(stop) = self.service.check_token(self.callers.tokens(), now) {
                    self.stop(stop);
                }
                // The reported time of the next request doesn't hold while a token is awaited.
                self.pace_changed |= self.service.awaits_token;
            }
            let (offered, slots) = self.choose(now)?;
            if !(self.ends.is_empty() && self.over.is_empty() && offered.is_empty()) {
                self.commit(offered, slots)?;
                continue;
            }
            if self.in_flight.is_empty() && (self.stop.is_some() || self.queue.is_empty()) {
                break;
            }
            self.tell_pace(now);
            // Nothing can be done now: until a call ends, a time comes, or the user asks to stop.
            let wake = self.wake(now).min(self.pace_due().unwrap_or(BootTime(i64::MAX)));
            tokio::select! {
                biased; // The same seed shall go the same way.
                ended = self.callers.ended() => {
                    self.on_completion(&ended);
                    // What has ended at the same moment shares the commit.
                    tokio::task::yield_now().await;
                }
                () = self.clock.sleep_briefly_until(wake) => {}
                Ok(()) = token_changes.changed() => {}
                Ok(()) = stop.changed() => {}
            }
        }
        Ok(())
    }

    fn end_without_call(&mut self, hand: &RowState, outcome: Outcome) {
        self.count(hand, &outcome);
        self.finished.push(hand.result(outcome.clone()));
        self.over.push((hand.row.row, outcome));
        self.queue.let_go(hand);
    }

    /// A row's outcome is known: are there too many that failed?
    fn count(&mut self, hand: &RowState, outcome: &Outcome) {
        self.left = self.left.saturating_sub(1);
        // A service that answers unreadably says nothing of the file.
        let tells_of_file = hand.unconfirmed.is_none();
        match self.failures.record(outcome.kind, &outcome.code, tells_of_file) {
            Some(FailureLimit::Failures(failed)) => self.stop(StopReason::TooManyFailures { failed }),
            // With nothing left, five calls were all that the file could cost.
            Some(FailureLimit::FirstRows { rows, code }) if self.left > 0 => {
                self.stop(StopReason::FirstRowsFailed { rows, code });
            }
            _ => {}
        }
    }

    /// When to look again, if no call ends before.
    fn wake(&self, now: Now) -> BootTime {
        let never = now.boot + Duration::from_hours(1);
        let deadline = self.deadline.filter(|_| self.stop.is_none()).unwrap_or(never);
        let is_full = self.in_flight.len() >= self.settings.concurrency.max(1) as usize;
        if self.stop.is_some() || is_full {
            return deadline;
        }
        if self.service.awaits_token {
            return deadline.min(now.boot + PACE);
        }
        let Some(next) = self.queue.next_due(now.boot) else { return deadline };
        let gate = match self.gate {
            Gate::Open => now.boot,
            Gate::Until(at) => at,
            Gate::UntilAnEnd => never,
        };
        let down = self.service.health.wake(never).unwrap_or(now.boot);
        self.service.not_before_pause(next.max(gate).max(down)).min(deadline)
    }

    /// What a call's end means for all others.
    fn follow(&mut self, follows: Effects) {
        if follows.forgives {
            let streak = self.service.health.streak_id;
            self.in_flight.values_mut().for_each(|hand| hand.forgive(streak));
            self.queue.forgive(streak);
        }
        if let Some(event) = follows.event {
            self.tell(event);
        }
        if let Some(stop) = follows.stop {
            self.stop(stop);
        }
    }

    fn stop(&mut self, why: StopReason) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(why.clone());
        let in_flight = self.in_flight.len();
        self.tell(Event::Stopping { reason: why, in_flight });
    }

    fn tell(&mut self, event: Event) {
        log::event(&event);
        if let Err(error) = self.listener.on_event(event) {
            self.stop(StopReason::ListenerFailed { message: error.to_string() });
        }
    }
}
