//! Sending: the rows of a run as the engine's work.
//!
//! The states of one row are in `row_state`, how rows come from the journal in `intake`.

use std::sync::Arc;

use tokio::sync::watch;

use super::engine::{EndedCall, Engine, InFlight, Output, Step, WorkSource};
use super::events::{Event, Listener};
use super::health::{FailureGuard, FailureLimit, HealthEvent};
use super::in_doubt::OwnComments;
use super::intake::Intake;
use super::row_state::{RowPolicy, RowState, RowStep};
use super::{ApplyError, EngineEnd, EngineSettings, StopReason, log};
use crate::client::{Client, Transport};
use crate::clock::Now;
use crate::journal::{AttemptEnd, Batch, CallKind, Journal, JournalError, Receipt, RunHandle, StartRequest};
use crate::model::call::Call;
use crate::model::outcome::Outcome;
use crate::model::step::Part;
use crate::retry::Policy;

/// Sends the unfinished rows of a run. Returns when all have finished, or when it was stopped and no request is in
/// flight. `stop` turns true when the user asks to stop.
///
/// The journal is written to on the thread that polls this. Use a separate one, since a commit waits for the disk: a
/// runtime's `block_on` does.
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
        intake: Intake::default(),
        policy: RowPolicy {
            contract: Arc::clone(contract),
            policy: Policy { max_attempts: settings.max_attempts.max(1) },
            same_as: settings.same_as.clone(),
            settle: settings.settle,
        },
        own_comments: OwnComments::new(journal.clock().now().boot),
        failures: FailureGuard::new(settings.max_failures, journal.first_outcomes(run, 5)?),
        rng: fastrand::Rng::with_seed(settings.seed),
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
    intake: Intake,
    policy: RowPolicy,
    own_comments: OwnComments,
    failures: FailureGuard,
    rng: fastrand::Rng,
    /// Rows without an outcome.
    left: u64,
    /// Of these, the rows whose comment is sent after another step.
    further_steps: u64,
}

impl Rows<'_> {
    /// A row's outcome is known. The run stops if too many have failed.
    fn finish(&mut self, row: &RowState, outcome: &Outcome, output: &mut Output) {
        output.finished.push(row.result(outcome.clone()));
        self.left = self.left.saturating_sub(1);
        // A service with unreadable responses tells nothing about the file.
        let tells_of_file = row.unconfirmed.is_none();
        let stop = match self.failures.record(outcome.kind, &outcome.code, tells_of_file) {
            Some(FailureLimit::Failures(failed)) => StopReason::TooManyFailures { failed },
            // With no rows left, stopping would save no requests.
            Some(FailureLimit::FirstRows { rows, code }) if self.left > 0 => StopReason::FirstRowsFailed { rows, code },
            _ => return,
        };
        output.stop.get_or_insert(stop);
    }

    /// Ends a step without a request, and the row with it if that is its last step.
    fn finish_step(&mut self, row: &mut RowState, outcome: Outcome, output: &mut Output) -> Step {
        self.further_steps = self.further_steps.saturating_sub(row.steps.has_next().into());
        let Some(outcome) = row.end_step(outcome) else { return Step::Ready };
        self.finish(row, &outcome, output);
        output.batch.finished.push((row.row.row, outcome));
        Step::Finished
    }
}

impl WorkSource for Rows<'_> {
    type Item = RowState;

    const AHEAD: usize = 1_000;

    fn can_take(&mut self) -> bool {
        self.intake.can_take_up()
    }

    /// The next row from the journal whose incident has no active row.
    fn take(&mut self, journal: &Journal) -> Result<Option<RowState>, JournalError> {
        while self.intake.wants_rows() {
            self.intake.add(journal.sendable(self.run, self.intake.last_read(), 256)?);
        }
        Ok(self.intake.take_up(&self.policy.contract))
    }

    fn request(&self, row: &RowState, batch: &mut Batch) {
        batch.starts.push(StartRequest::new(&row.row, row.steps.part, row.kind.clone()));
    }

    fn call(&mut self, row: &mut RowState) -> Call {
        row.row.attempts += 1;
        match row.kind {
            CallKind::Update => Call::Step(self.policy.contract.step(row.steps.part, row.row.change.clone())),
            CallKind::Read(_) => Call::Read(row.row.change.incident),
        }
    }

    fn on_receipt(&mut self, row: &mut RowState, receipt: Receipt, now: Now, output: &mut Output) -> Step {
        let outcome = match receipt {
            Receipt::AlreadyApplied(applied) => Some(row.already_applied(&applied, now)),
            Receipt::InDoubt(doubts) => return Step::At(row.read_first(doubts, self.policy.settle)),
            Receipt::CommentApplied => {
                row.leave_out_comment();
                row.was_not_made(now)
            }
            Receipt::Resolved => row.was_not_made(now),
            Receipt::Started(_) | Receipt::NoPermit | Receipt::InFlight => None,
        };
        outcome.map_or(Step::Ready, |outcome| self.finish_step(row, outcome, output))
    }

    fn on_completion(&mut self, row: &mut RowState, ended: &EndedCall<'_>, output: &mut Output) -> (AttemptEnd, Step) {
        let completed = ended.completed;
        let what = match row.kind {
            CallKind::Update if row.steps.part == Part::Comment => "Comment",
            CallKind::Update => "Update",
            CallKind::Read(_) => "Read",
        };
        log::call(Some(row.row.row), Some(row.row.change.incident), what, completed);
        row.row.attempts -= u32::from(completed.result.verdict.is_unsent());
        let had_next = row.steps.has_next();
        let (mut end, step) =
            row.on_attempt_end(completed, ended.streak, &self.policy, &mut self.own_comments, &mut self.rng);
        if matches!(ended.event, HealthEvent::Forbidden | HealthEvent::Blocked) {
            // Not the row's fault: it is sent once the permission was granted.
            end.outcome = None;
        }
        let is_one_less = had_next && !row.steps.has_next();
        self.further_steps = self.further_steps.saturating_sub(is_one_less.into());
        if let Some((_, outcome)) = &end.outcome {
            self.finish(row, outcome, output);
        }
        let step = match step {
            // Also if the permission is missing: the run stops.
            RowStep::Finished => Step::Finished,
            RowStep::Ready => Step::Ready,
            RowStep::At(due) => {
                let (at, message) = (completed.at.wall_at(due), completed.result.message.clone());
                output.event = Some(Event::Retry { row: row.row.row, attempts: row.attempts(), at, message });
                Step::At(due)
            }
            RowStep::ReadAt(due) => Step::At(due),
            RowStep::Exhausted => Step::Exhausted,
        };
        (end, step)
    }

    fn on_exhausted(&mut self, row: &mut RowState, now: Now, output: &mut Output) -> Step {
        match row.exhaust(now, self.policy.settle) {
            Ok(due) => Step::At(due),
            Err(outcome) => self.finish_step(row, outcome, output),
        }
    }

    fn on_finished(&mut self, row: RowState) -> Option<RowState> {
        self.intake.let_go(&row)
    }

    fn forgive(row: &mut RowState, streak: u64) {
        row.forgive(streak);
    }

    fn calls_left(&self, in_flight: &InFlight<RowState>, _: usize) -> u64 {
        // The steps in flight need no further request.
        let updates = in_flight.values().filter(|row| matches!(row.kind, CallKind::Update)).count();
        (self.left + self.further_steps).saturating_sub(updates as u64)
    }
}
