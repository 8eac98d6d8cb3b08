//! What follows when a call has ended: for its row, for the service, for the pause.

use super::super::callers::CompletedCall;
use super::super::events::{Event, Listener};
use super::super::health::HealthEvent;
use super::super::log;
use super::super::row_state::{RowStep, Streak};
use super::super::service::ServiceState;
use super::{Dispatcher, Gate};
use crate::client::Transport;
use crate::clock::Now;

impl<T: Transport, L: Listener> Dispatcher<'_, T, L> {
    /// A call has ended: what follows for its row.
    pub(super) fn on_completion(&mut self, ended: &CompletedCall) {
        let Some(mut hand) = self.in_flight.remove(&ended.attempt) else { return };
        self.latency = (self.latency * 7 + ended.took) / 8;
        if matches!(self.gate, Gate::UntilAnEnd) {
            self.gate = Gate::Open;
        }
        log::call(&hand, ended);
        // A row's try belongs to the streak in which it failed, also where it is the one that ends the patience.
        let streak = Streak { id: self.service.health.streak_id, counts: self.service.health.counts_tries() };
        let news = self.service.health.record(&ended.answer.verdict, ended.at.boot);
        let (mut end, then) = hand.on_attempt_end(ended, streak, &self.rules, &mut self.own_comments, &mut self.rng);
        if let Some((kept, follows)) = self.service.pause(&ended.answer, ended.at) {
            end.pause_until = Some(kept);
            self.follow(follows);
        }
        if news == HealthEvent::Forbidden {
            // Not the row's fault: it is sent when the permission is there.
            end.outcome = None;
        }
        if let Some((_, outcome)) = &end.outcome {
            self.finished.push(hand.result(outcome.clone()));
            self.count(&hand, outcome);
        }
        self.ends.push(end);
        match then {
            // Also where the permission is missing: the run stops.
            RowStep::Over => self.queue.let_go(&hand),
            RowStep::Ready => self.queue.first(hand),
            RowStep::At(due) => {
                let (row, tries) = (hand.row.row, hand.tries());
                let (at, message) = (ended.at.wall_at(due), ended.answer.message.clone());
                self.tell(Event::Retry { row, tries, at, message });
                self.queue.wait(due, hand);
            }
            RowStep::ReadAt(due) => self.queue.wait(due, hand),
            RowStep::UsedUp => self.queue.hold(hand),
        }
        self.follow(ServiceState::follows(news, ended.at, &ended.answer.message));
    }

    /// Rows whose tries are used up end when it is clear that it was not the service: it has answered since, or nothing
    /// else is left to try it with.
    pub(super) fn release_exhausted(&mut self, now: Now) {
        let nothing_else = self.in_flight.is_empty() && self.queue.has_only_held();
        if self.stop.is_some() || (self.service.health.is_uncertain() && !nothing_else) {
            return;
        }
        for mut hand in self.queue.take_held() {
            match hand.exhaust(now, self.rules.settle) {
                Ok(due) => self.queue.wait(due, hand),
                Err(outcome) => self.end_without_call(&hand, outcome),
            }
        }
    }
}
