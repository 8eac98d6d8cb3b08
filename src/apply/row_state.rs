//! The state of one row: from the end of an attempt to the next request or to the outcome.
//!
//! A [`RowState`] is a row that was taken up and has not finished. [`RowState::on_attempt_end`] takes the end of an
//! attempt, and returns what is written to the journal and what comes next. Pure: the engine waits, sends and commits.

use std::sync::Arc;
use std::time::Duration;

use super::callers::CompletedCall;
use super::health::Streak;
use super::in_doubt::{Evidence, Found, OwnComments, ReadBefore, ReadTiming, matches, next_read, resolve};
use super::row_steps::RowSteps;
use crate::clock::{BootTime, Now};
use crate::contract::{Contract, SameAs};
use crate::journal::{AppliedBy, AttemptEnd, AttemptId, CallKind, Doubt, PendingRow};
use crate::model::call::{CallResult, Verdict, WhyUnsent};
use crate::model::change::Change;
use crate::model::edit::{Edits, Never};
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind, ResultRow};
use crate::model::step::{Part, Repeat};
use crate::retry::{Policy, RetryDecision};

/// A row that was taken up.
#[derive(Clone, Debug)]
pub(super) struct RowState {
    /// Its change is that of the current step.
    pub(super) row: PendingRow<Never>,
    pub(super) steps: RowSteps,
    /// Its size in bytes: what is sent and was asked for, and the row's own bytes for the results.
    pub(super) bytes: usize,
    /// What its next request does.
    pub(super) kind: CallKind,
    /// What is known of its current step.
    step: StepState,
    /// What the incident showed before its next update.
    before: Option<ReadBefore>,
    /// The last of its updates whose successful response lacked the incident.
    pub(super) unconfirmed: Option<AttemptId>,
    /// The result of the last request of any kind.
    last: Option<CallResult>,
}

/// What the attempts of one step have shown: the next step starts anew.
#[derive(Clone, Debug, Default)]
struct StepState {
    /// One of its updates may have been applied: no read has disproved it since.
    may_be_applied: bool,
    /// When the last of those ended, if that was in this process.
    doubtful_until: Option<BootTime>,
    /// The last of those, if it was in this process.
    doubtful: Option<AttemptId>,
    /// When the last read of its incident started.
    read_at: Option<BootTime>,
    /// Its updates are used up; a final read shows whether one of them was applied.
    is_final_read: bool,
    /// The connection was closed during its last request: a read about it needs no wait.
    reads_at_once: bool,
    /// The counted attempts, at updates and at reads.
    updates: AttemptCount,
    reads: AttemptCount,
    /// The message of the last response to an update: the row keeps it if a read ends it.
    last_update: Option<String>,
}

/// Attempts; separately those that will not count if their streak becomes an outage.
#[derive(Clone, Copy, Debug, Default)]
struct AttemptCount {
    settled: u32,
    uncertain: u32,
    streak: u64,
}

impl AttemptCount {
    fn add(&mut self, streak: u64) {
        self.fold(streak);
        self.uncertain += 1;
    }

    /// Counts the attempts of an earlier streak for good.
    fn fold(&mut self, streak: u64) {
        if self.streak != streak {
            self.settled += self.uncertain;
            self.uncertain = 0;
            self.streak = streak;
        }
    }

    fn count(&self) -> u32 {
        self.settled + self.uncertain
    }
}

/// The next step of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowStep {
    /// It has finished: the outcome is in the [`AttemptEnd`].
    Finished,
    /// It is next again.
    Ready,
    /// It is retried at this time.
    At(BootTime),
    /// Its incident is read again at this time: the service may show the change later.
    ReadAt(BootTime),
    /// It has no attempts left, unless they were the service's fault.
    Exhausted,
}

/// What all rows of a run share.
#[derive(Clone, Debug)]
pub(super) struct RowPolicy {
    /// What the API accepts, and by which requests.
    pub(super) contract: Arc<Contract>,
    pub(super) policy: Policy,
    /// Values that are equal by the contract.
    pub(super) same_as: SameAs,
    /// How long the service may take to show a change.
    pub(super) settle: Duration,
}

impl RowState {
    pub(super) fn new(mut row: PendingRow<Never>, contract: &Contract) -> RowState {
        let asked = row.asked.as_ref().map_or(0, Edits::bytes);
        let bytes = row.change.edits.bytes() + row.source.len() + asked;
        let steps = RowSteps::first(&mut row, contract);
        RowState {
            bytes,
            steps,
            step: StepState { may_be_applied: row.is_in_doubt, ..StepState::default() },
            before: None,
            row,
            kind: CallKind::Update,
            unconfirmed: None,
            last: None,
        }
    }

    /// Its line of the results, with this outcome.
    pub(super) fn result(&self, outcome: Outcome) -> ResultRow {
        let target = self.row.change.incident;
        let (own, outcome) = match self.row.merged {
            Some(own) => (own, outcome.of_target(target.get())),
            None => (target, outcome),
        };
        ResultRow {
            row: self.row.row,
            line: self.row.line,
            incident_id: own.to_string(),
            outcome,
            attempts: self.row.attempts,
            source: self.row.source.clone(),
        }
    }

    /// Whether it adds a comment.
    fn adds(&self) -> bool {
        self.row.change.edits.repeat() == Repeat::AppendsOnce
    }

    /// The counted attempts at its current request.
    pub(super) fn attempts(&self) -> u32 {
        match self.kind {
            CallKind::Update => self.step.updates.count(),
            CallKind::Read(_) => self.step.reads.count(),
        }
    }

    /// The service was down: the attempts of this streak do not count.
    pub(super) fn forgive(&mut self, streak: u64) {
        for attempts in [&mut self.step.updates, &mut self.step.reads] {
            attempts.fold(streak);
            attempts.uncertain = 0;
        }
    }

    /// The journal requires a read of the incident first. Returns when.
    pub(super) fn read_first(&mut self, doubts: Vec<Doubt>, settle: Duration) -> BootTime {
        let ended = last_end(&doubts);
        self.kind = CallKind::Read(doubts);
        if self.step.reads_at_once {
            return BootTime(i64::MIN);
        }
        ended.and_then(|ended| next_read(ended, settle, self.step.read_at)).unwrap_or(BootTime(i64::MIN))
    }

    /// The journal knows that another change has added its comment. Only its properties are left.
    pub(super) fn leave_out_comment(&mut self) {
        let Change { incident, edits } = &self.row.change;
        if edits.sets_any() {
            self.row.asked.get_or_insert_with(|| edits.clone().into());
            self.row.change = Change { incident: *incident, edits: edits.without_added() };
        }
    }

    /// Its current step has ended with this outcome. Returns the row's outcome; `None` if its next step is due.
    pub(super) fn end_step(&mut self, outcome: Outcome) -> Option<Outcome> {
        let outcome = self.steps.end(&mut self.row, outcome);
        if outcome.is_none() {
            self.kind = CallKind::Update;
            self.step = StepState::default();
        }
        outcome
    }

    /// Its outcome if the journal knows that its change was already applied.
    pub(super) fn already_applied(&self, by: &AppliedBy, now: Now) -> Outcome {
        let at = by.at.strftime("%Y-%m-%d %H:%M:%S UTC");
        let mut outcome = if by.was_redirected {
            let run = if by.own_run { "this run" } else { &*format!("run {}", by.run) };
            let message = format!("the incident was merged: the update of {at} by {run} went to the old one");
            Outcome::new(OutcomeKind::Failed, OutcomeCode::Redirected, message)
        } else if by.own_row && self.steps.part == Part::Properties {
            // By an earlier process, before the comment step.
            let differs = by.was_partly_shown.then_some(OutcomeCode::Differs);
            let message =
                if by.was_partly_shown { "the response showed other values for some of the properties" } else { "" };
            Outcome::new(OutcomeKind::Updated, differs, message)
        } else if by.own_row {
            Outcome::new(
                OutcomeKind::Updated,
                OutcomeCode::FoundByReading,
                format!("applied at {at}, found by reading"),
            )
        } else if by.own_run {
            Outcome::new(
                OutcomeKind::Unchanged,
                OutcomeCode::DoneBefore,
                format!("applied at {at} by an earlier row of this run"),
            )
        } else {
            Outcome::new(OutcomeKind::Unchanged, OutcomeCode::DoneBefore, format!("applied at {at} by run {}", by.run))
        };
        outcome.finished_at = Some(now.wall);
        outcome
    }

    /// Takes in the end of an attempt: returns what is written about it, and the next step.
    pub(super) fn on_attempt_end(
        &mut self,
        ended: &CompletedCall,
        streak: Streak,
        rules: &RowPolicy,
        own: &mut OwnComments,
        rng: &mut fastrand::Rng,
    ) -> (AttemptEnd, RowStep) {
        let CompletedCall { attempt, result, at, took, .. } = ended;
        let attempts = match self.kind {
            CallKind::Update => &mut self.step.updates,
            CallKind::Read(_) => &mut self.step.reads,
        };
        attempts.fold(streak.id);
        if streak.counts
            && matches!(
                result.verdict,
                Verdict::Transient { .. } | Verdict::Unconfirmed | Verdict::Unsent(WhyUnsent::NoConnection(_))
            )
        {
            attempts.add(streak.id);
        }
        // While the service is down no attempt is a row's last.
        let most = if streak.counts { u32::MAX } else { rules.policy.max_attempts.saturating_sub(1) };
        let next = rules.policy.decide(&result.verdict, attempts.count().min(most), rng);

        let is_update = matches!(self.kind, CallKind::Update);
        self.step.reads_at_once = next == RetryDecision::Immediately;
        self.last = Some(result.clone());
        if is_update {
            self.step.last_update = Some(result.message.clone());
            if was_applied(&result.verdict).is_none() {
                self.step.may_be_applied = true;
                self.step.doubtful_until = Some(at.boot);
                self.step.doubtful = Some(*attempt);
            }
        }
        if let Verdict::Updated { added: Some(added), .. } = &result.verdict {
            own.record(added, *at, *took);
        }
        let applied = if is_update { was_applied(&result.verdict) } else { None };
        let mut end = AttemptEnd { applied, ..AttemptEnd::of(*attempt, at.boot, result) };
        let then = match next {
            RetryDecision::Done { kind, code } => {
                let is_about_the_row = is_update || result.verdict == Verdict::NotFound;
                let outcome = if is_about_the_row { of_result(kind, code, result, *at) } else { self.unreadable(*at) };
                end.outcome = Some((self.row.row, outcome));
                RowStep::Finished
            }
            RetryDecision::Compare => self.compare(ended, rules, own, &mut end),
            RetryDecision::Read => {
                self.unconfirmed = Some(*attempt);
                // If it adds a comment, the next commit returns the attempts in doubt.
                if self.adds() {
                    RowStep::Ready
                } else {
                    self.kind = CallKind::Read(Vec::new());
                    next_read(at.boot, rules.settle, self.step.read_at).map_or(RowStep::Ready, RowStep::ReadAt)
                }
            }
            RetryDecision::Retry { after } => RowStep::At(at.boot + after),
            RetryDecision::GiveUp { .. } => RowStep::Exhausted,
            RetryDecision::Immediately | RetryDecision::Pause => RowStep::Ready,
        };
        let Some((row, outcome)) = end.outcome.take() else { return (end, then) };
        match self.end_step(outcome) {
            Some(outcome) => {
                end.outcome = Some((row, outcome));
                (end, then)
            }
            None => (end, RowStep::Ready),
        }
    }

    /// Its attempts are used up for good. Returns the time of a final read, or its outcome.
    pub(super) fn exhaust(&mut self, now: Now, settle: Duration) -> Result<BootTime, Outcome> {
        match self.kind {
            CallKind::Read(_) => Err(self.unreadable(now)),
            CallKind::Update if !self.step.may_be_applied => Err(self.gave_up(now)),
            CallKind::Update => {
                self.step.is_final_read = true;
                // If it adds a comment, the next commit returns the attempts in doubt.
                self.kind = CallKind::Read(Vec::new());
                let ended = *self.step.doubtful_until.get_or_insert(now.boot);
                Ok(next_read(ended, settle, self.step.read_at).unwrap_or(now.boot))
            }
        }
    }

    /// Decides by what a read of the incident shows, or has it read again.
    fn compare(
        &mut self,
        ended: &CompletedCall,
        rules: &RowPolicy,
        own: &mut OwnComments,
        end: &mut AttemptEnd,
    ) -> RowStep {
        let Verdict::Read { incident, server_time } = &ended.result.verdict else { return RowStep::Ready };
        let CallKind::Read(doubts) = &self.kind else { return RowStep::Ready };
        let started = ended.at.boot - ended.took;
        let evidence = Evidence {
            incident,
            seen: ReadTiming { at: ended.at, took: ended.took, server_time: *server_time },
            same_as: &rules.same_as,
            settle: rules.settle,
            before: self.before.as_ref(),
        };
        let found = resolve(doubts, &evidence, own);
        end.is_merged = incident.redirect.is_some();
        let is = |doubt: &&Doubt, wanted| found.contains(&(doubt.attempt, wanted));
        let is_late_enough = |doubt: &Doubt| next_read(doubt.ended, rules.settle, Some(started)).is_none();
        let applied = doubts.iter().filter(|doubt| is(doubt, Found::Applied)).map(|doubt| (doubt.attempt, true));
        let absent = doubts.iter().filter(|doubt| is(doubt, Found::Absent) && is_late_enough(doubt));
        end.resolved = applied.chain(absent.map(|doubt| (doubt.attempt, false))).collect();
        let own_is_applied = doubts.iter().any(|doubt| doubt.own_row && is(&doubt, Found::Applied));
        let is_so = !self.adds() && matches(&self.row.change.edits, incident, &rules.same_as);
        // Remembered as applied: repeating the command sends nothing.
        if is_so && let Some(attempt) = self.step.doubtful {
            end.resolved.push((attempt, true));
        }
        if own_is_applied || is_so {
            let outcome = match incident.redirect {
                Some(to) => Outcome::new(OutcomeKind::Failed, OutcomeCode::Redirected, went_to_the_old_one(to)),
                None => Outcome::found_by_reading(),
            };
            end.outcome = Some((self.row.row, self.with_last(outcome, ended.at)));
            return RowStep::Finished;
        }
        let open: Vec<&Doubt> = doubts.iter().filter(|doubt| !is(doubt, Found::Applied)).collect();
        let until = if self.adds() { last_end(open.iter().copied()) } else { self.step.doubtful_until };
        self.step.read_at = Some(started);
        if let Some(due) = until.and_then(|until| next_read(until, rules.settle, self.step.read_at)) {
            return RowStep::ReadAt(due);
        }
        let unexplained = open.into_iter().find(|doubt| is(doubt, Found::Unexplained));
        let outcome = if let Some(doubt) = unexplained {
            Some(self.unexplained(doubt, ended.at))
        } else {
            self.before = Some(ReadBefore::new(incident, ended.at.boot));
            self.was_not_made(ended.at)
        };
        end.outcome = outcome.map(|outcome| (self.row.row, outcome));
        if end.outcome.is_some() { RowStep::Finished } else { RowStep::Ready }
    }

    /// The incident has a comment that may be from this attempt, but that can't be proven.
    fn unexplained(&self, doubt: &Doubt, now: Now) -> Outcome {
        let may_be_its_own = doubt.own_row || doubt.change.edits.added_text() == self.row.change.edits.added_text();
        let (kind, message) = if may_be_its_own {
            let message = "it may have been applied: the response was lost, and the incident has a new comment that may \
                           be this one; check the incident";
            (OutcomeKind::InDoubt, message)
        } else {
            let message = "not sent: another row's comment is in doubt, and the incident has a new comment that may be \
                           that one; check the incident";
            (OutcomeKind::Failed, message)
        };
        self.with_last(Outcome::new(kind, OutcomeCode::Unexplained, message.to_owned()), now)
    }

    /// None of its updates was applied: it is sent, or it finishes if its attempts are used up.
    pub(super) fn was_not_made(&mut self, now: Now) -> Option<Outcome> {
        if self.step.is_final_read {
            return Some(self.gave_up(now));
        }
        self.kind = CallKind::Update;
        self.step.may_be_applied = false;
        self.step.reads = AttemptCount::default();
        None
    }

    fn gave_up(&self, now: Now) -> Outcome {
        let attempts = match self.step.updates.count() {
            1 => "1 attempt".to_owned(),
            more => format!("{more} attempts"),
        };
        let message = format!("failed after {attempts}; the last: {}", self.last_words());
        self.with_last(Outcome::new(OutcomeKind::Failed, OutcomeCode::GaveUp, message), now)
    }

    /// The incident can't be read. An attempt of our own stays in doubt; without one, nothing was sent.
    fn unreadable(&self, now: Now) -> Outcome {
        let why = self.last.as_ref().map_or("no response", |last| &last.message);
        // Without a comment the journal has no doubts: the read is for its own attempt.
        let is_for_others = matches!(&self.kind, CallKind::Read(doubts)
            if !doubts.is_empty() && !doubts.iter().any(|doubt| doubt.own_row));
        let outcome = if self.step.is_final_read || !is_for_others {
            let message =
                format!("it may have been applied: no response was received, and the incident cannot be read: {why}");
            Outcome::new(OutcomeKind::InDoubt, OutcomeCode::Unreadable, message)
        } else {
            let message = format!("not sent: another run's update is in doubt, and the incident cannot be read: {why}");
            Outcome::new(OutcomeKind::Failed, OutcomeCode::Unreadable, message)
        };
        self.with_last(outcome, now)
    }

    fn last_words(&self) -> &str {
        self.step.last_update.as_deref().unwrap_or("no response")
    }

    /// An outcome with the data of the last response.
    fn with_last(&self, outcome: Outcome, now: Now) -> Outcome {
        let last = self.last.as_ref();
        Outcome {
            http_status: last.and_then(|last| last.http_status),
            request_id: last.and_then(|last| last.request_id.clone()),
            finished_at: Some(now.wall),
            ..outcome
        }
    }
}

/// When the last of these attempts ended.
fn last_end<'a>(doubts: impl IntoIterator<Item = &'a Doubt>) -> Option<BootTime> {
    doubts.into_iter().map(|doubt| doubt.ended).max()
}

/// Whether an update was applied, by its verdict; `None`: in doubt.
fn was_applied(verdict: &Verdict) -> Option<bool> {
    match verdict {
        Verdict::Updated { .. } | Verdict::Redirected { .. } => Some(true),
        Verdict::Transient { may_have_applied: true }
        | Verdict::Dropped { may_have_applied: true }
        | Verdict::Unconfirmed
        | Verdict::Unexpected => None,
        _ => Some(false),
    }
}

fn went_to_the_old_one(to: u64) -> String {
    format!("the incident was merged into {to}: the update went to the old one")
}

fn of_result(kind: OutcomeKind, code: Option<OutcomeCode>, result: &CallResult, at: Now) -> Outcome {
    let message = match &result.verdict {
        Verdict::Updated { differs: Some(differs), .. } | Verdict::NotApplied { differs } => differs.clone(),
        Verdict::Redirected { to } => went_to_the_old_one(*to),
        _ => result.message.clone(),
    };
    Outcome {
        http_status: result.http_status,
        request_id: result.request_id.clone(),
        finished_at: Some(at.wall),
        ..Outcome::new(kind, code, message)
    }
}

#[cfg(test)]
#[path = "tests/row_state.rs"]
mod tests;
