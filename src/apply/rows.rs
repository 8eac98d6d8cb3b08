//! Sending: the rows of a run as the engine's work.
//!
//! What one row goes through is in `row_state`, which row waits for what in `queue`.

use std::sync::Arc;

use tokio::sync::watch;

use super::engine::{EndedCall, Engine, InFlight, NextCommit, Offered, Served, WorkSource};
use super::events::{Event, Listener};
use super::health::{FailureGuard, FailureLimit, Health, HealthEvent};
use super::in_doubt::OwnComments;
use super::queue::Queue;
use super::row_state::{RowPolicy, RowState, RowStep};
use super::service::Effects;
use super::{ApplyError, EngineEnd, EngineSettings, POLL, StopReason, log};
use crate::client::{Client, Transport};
use crate::clock::{BootTime, Now};
use crate::journal::{AttemptEnd, Batch, CallKind, Journal, JournalError, Receipt, Receipts, RunHandle, StartRequest};
use crate::model::call::Call;
use crate::model::outcome::Outcome;
use crate::model::step::Part;
use crate::retry::Policy;

/// Rows without a permit that are checked ahead: those that were applied before need none, and finish at once.
const AHEAD: usize = 1_000;
/// The most rows that are checked in one commit: other processes wait for their turn.
const OFFER: usize = 256;

/// Sends what is left of a run. Returns when all of it has finished, or when it was stopped and no request is in flight.
/// `stop` turns true when the user asks to stop.
///
/// The journal is written to where this is polled: on a thread of its own, since a commit waits for the disk. A runtime's
/// `block_on` is one.
///
/// # Errors
/// If the journal can't be read or written. Requests that were in flight are then in doubt, and the next start resolves
/// them.
pub async fn apply<T: Transport>(
    mut journal: Journal,
    run: &RunHandle,
    client: Arc<Client<T>>,
    settings: &EngineSettings,
    stop: watch::Receiver<bool>,
    listener: &mut impl Listener,
) -> Result<EngineEnd, ApplyError> {
    journal.begin_session(run, settings.quota.longest(), settings.remember)?;
    let outcomes = journal.outcomes(&run.name)?;
    let before: Vec<_> = outcomes.iter().filter_map(|(kind, count)| Some(((*kind)?, *count))).collect();
    let rows: u64 = outcomes.iter().map(|(_, count)| count).sum();
    let contract = client.contract();
    let work = Rows {
        run,
        queue: Queue::default(),
        policy: RowPolicy {
            contract: Arc::clone(contract),
            policy: Policy { max_attempts: settings.max_attempts.max(1) },
            same_as: settings.same_as.clone(),
            settle: settings.settle,
        },
        own_comments: OwnComments::new(journal.clock().now().boot),
        failures: FailureGuard::new(settings.max_failures, journal.first_outcomes(run, 5)?),
        rng: fastrand::Rng::with_seed(settings.seed),
        offer: 1,
        further_steps: if contract.operations.comment.is_some() { journal.rows_with_both(run)? } else { 0 },
        left: rows - before.iter().map(|(_, count)| count).sum::<u64>(),
    };
    let mut engine = Engine::new(work, journal, client, settings, listener)?;
    engine.tell(Event::Started { rows, before });
    let (_, end) = engine.run(stop).await?;
    Ok(end)
}

/// The rows of a run that have not finished.
struct Rows<'a> {
    run: &'a RunHandle,
    queue: Queue,
    policy: RowPolicy,
    own_comments: OwnComments,
    failures: FailureGuard,
    rng: fastrand::Rng,
    /// How many rows are offered: more, as long as they turn out to need no request.
    offer: usize,
    /// Rows without an outcome.
    left: u64,
    /// Of these, the rows whose comment is sent after another step.
    further_steps: u64,
}

impl Rows<'_> {
    /// The next row from the journal whose incident is free.
    fn take_up(&mut self, journal: &Journal) -> Result<Option<RowState>, JournalError> {
        while self.queue.wants_rows() {
            self.queue.add(journal.sendable(self.run, self.queue.last_read(), 256)?);
        }
        Ok(self.queue.take_up(&self.policy.contract))
    }

    /// A row's outcome is known. Returns why the run stops, if too many have failed.
    fn finish(&mut self, row: &RowState, outcome: &Outcome, next: &mut NextCommit) -> Option<StopReason> {
        next.finished.push(row.result(outcome.clone()));
        self.left = self.left.saturating_sub(1);
        // A service that answers unreadably says nothing of the file.
        let tells_of_file = row.unconfirmed.is_none();
        match self.failures.record(outcome.kind, &outcome.code, tells_of_file)? {
            FailureLimit::Failures(failed) => Some(StopReason::TooManyFailures { failed }),
            // With nothing left, five requests were all that the file could cost.
            FailureLimit::FirstRows { rows, code } => {
                (self.left > 0).then_some(StopReason::FirstRowsFailed { rows, code })
            }
        }
    }

    /// A step ends without a request, and the row with it if it is the last one.
    fn finish_step(&mut self, mut row: RowState, outcome: Outcome, next: &mut NextCommit) -> Option<StopReason> {
        self.further_steps = self.further_steps.saturating_sub(row.steps.has_next().into());
        let Some(outcome) = row.end_step(outcome) else {
            self.queue.due.first(row);
            return None;
        };
        let stop = self.finish(&row, &outcome, next);
        next.batch.over.push((row.row.row, outcome));
        self.queue.let_go(&row);
        stop
    }
}

impl WorkSource for Rows<'_> {
    type Item = RowState;

    fn has_work(&mut self) -> bool {
        !self.queue.is_empty()
    }

    fn offer(&mut self, now: BootTime, journal: &Journal, batch: &mut Batch) -> Result<Vec<RowState>, JournalError> {
        let mut offered = Vec::new();
        let most = match batch.slots as usize {
            0 => AHEAD.saturating_sub(self.queue.due.ready()),
            slots => self.offer.max(slots),
        };
        while offered.len() < most.min(OFFER) {
            let due = if batch.slots > 0 { self.queue.due.pop(now) } else { None };
            let Some(row) = due.map_or_else(|| self.take_up(journal), |due| Ok(Some(due)))? else { break };
            batch.begins.push(StartRequest::new(&row.row, row.steps.part, row.what.clone()));
            offered.push(row);
        }
        Ok(offered)
    }

    fn on_receipts(
        &mut self,
        offered: Offered<RowState>,
        receipts: Receipts,
        now: Now,
        next: &mut NextCommit,
    ) -> Served<RowState> {
        let Offered { items, slots } = offered;
        let (mut started, mut unserved, mut stop, all) = (Vec::new(), Vec::new(), None, items.len());
        for (mut row, receipt) in items.into_iter().zip(receipts.begins) {
            // It is sent next, or it has failed.
            let outcome = match receipt {
                Receipt::Started(attempt) => {
                    row.row.attempts += 1;
                    let call = match row.what {
                        CallKind::Update => {
                            Call::Step(self.policy.contract.step(row.steps.part, row.row.change.clone()))
                        }
                        CallKind::Read(_) => Call::Read(row.row.change.incident),
                    };
                    started.push((attempt, call, row));
                    continue;
                }
                Receipt::NoPermit => {
                    unserved.push(row);
                    continue;
                }
                Receipt::InFlight => {
                    self.queue.due.wait(now.boot + POLL, row);
                    continue;
                }
                Receipt::InDoubt(doubts) => {
                    let due = row.read_first(doubts, self.policy.settle);
                    self.queue.due.wait(due, row);
                    continue;
                }
                Receipt::AlreadyApplied(applied) => Some(row.made_before(&applied, now)),
                Receipt::CommentMade => {
                    row.leave_out_comment();
                    row.was_not_made(now)
                }
                Receipt::Resolved => row.was_not_made(now),
            };
            match outcome {
                Some(outcome) => stop = stop.or(self.finish_step(row, outcome, next)),
                None => self.queue.due.first(row),
            }
        }
        let nobody_needed_a_call = started.is_empty() && unserved.is_empty();
        self.offer = if nobody_needed_a_call && all > 0 { (all * 2).min(OFFER) } else { 1 };
        let lacks_permits = !unserved.is_empty();
        if slots == 0 {
            // Checked ahead: they stand behind those that were there before.
            for row in unserved {
                self.queue.due.last(row);
            }
        } else {
            for row in unserved.into_iter().rev() {
                self.queue.due.first(row);
            }
        }
        Served { started, lacks_permits, effects: Effects { stop, ..Effects::default() } }
    }

    fn on_completion(
        &mut self,
        mut row: RowState,
        ended: &EndedCall<'_>,
        next: &mut NextCommit,
    ) -> (AttemptEnd, Effects) {
        let completed = ended.completed;
        let what = match row.what {
            CallKind::Update if row.steps.part == Part::Comment => "Comment",
            CallKind::Update => "Update",
            CallKind::Read(_) => "Read",
        };
        log::call(Some(row.row.row), Some(row.row.change.incident), what, completed);
        let had_next = row.steps.has_next();
        let (mut end, step) =
            row.on_attempt_end(completed, ended.streak, &self.policy, &mut self.own_comments, &mut self.rng);
        if ended.event == HealthEvent::Forbidden {
            // Not the row's fault: it is sent when the permission is there.
            end.outcome = None;
        }
        let is_one_less = had_next && !row.steps.has_next();
        self.further_steps = self.further_steps.saturating_sub(is_one_less.into());
        let mut effects = Effects::default();
        if let Some((_, outcome)) = &end.outcome {
            effects.stop = self.finish(&row, outcome, next);
        }
        match step {
            // Also if the permission is missing: the run stops.
            RowStep::Over => self.queue.let_go(&row),
            RowStep::Ready => self.queue.due.first(row),
            RowStep::At(due) => {
                let (number, tries) = (row.row.row, row.tries());
                let (at, message) = (completed.at.wall_at(due), completed.answer.message.clone());
                effects.event = Some(Event::Retry { row: number, tries, at, message });
                self.queue.due.wait(due, row);
            }
            RowStep::ReadAt(due) => self.queue.due.wait(due, row),
            RowStep::UsedUp => self.queue.hold(row),
        }
        (end, effects)
    }

    /// Rows finish when it is clear that it was not the service: it has answered since, or nothing else is left to try
    /// it with.
    fn release_exhausted(&mut self, now: Now, health: &Health, is_idle: bool, next: &mut NextCommit) -> Effects {
        let nothing_else = is_idle && self.queue.has_only_held();
        let mut effects = Effects::default();
        if health.is_uncertain() && !nothing_else {
            return effects;
        }
        for mut row in self.queue.take_held() {
            match row.exhaust(now, self.policy.settle) {
                Ok(due) => self.queue.due.wait(due, row),
                Err(outcome) => effects.stop = effects.stop.or(self.finish_step(row, outcome, next)),
            }
        }
        effects
    }

    fn forgive(&mut self, in_flight: &mut InFlight<RowState>, streak: u64) {
        for row in in_flight.values_mut() {
            row.forgive(streak);
        }
        self.queue.forgive(streak);
    }

    fn next_due(&self, now: BootTime) -> Option<BootTime> {
        self.queue.next_due(now)
    }

    fn calls_left(&self, in_flight: &InFlight<RowState>) -> u64 {
        // The steps in flight need no other request.
        let updates = in_flight.values().filter(|row| matches!(row.what, CallKind::Update)).count();
        (self.left + self.further_steps).saturating_sub(updates as u64)
    }
}
