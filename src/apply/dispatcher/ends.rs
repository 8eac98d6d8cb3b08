//! What follows when a call has ended: for its row, for the service, for the token, for the pause.

use std::time::Duration;

use super::super::events::{Event, Listener};
use super::super::health::News;
use super::super::row::{Ended, Streak, Then};
use super::super::{Stop, log};
use super::{Dispatcher, Gate};
use crate::client::{Renewal, Transport};
use crate::clock::{BootTime, Now};

impl<T: Transport, L: Listener> Dispatcher<'_, T, L> {
    /// A call has ended: what follows for its row.
    pub(super) fn take_in(&mut self, ended: &Ended) {
        let Some(mut hand) = self.flights.remove(&ended.attempt) else { return };
        self.latency = (self.latency * 7 + ended.took) / 8;
        if matches!(self.gate, Gate::UntilAnEnd) {
            self.gate = Gate::Open;
        }
        log::call(&hand, ended);
        // A row's try belongs to the streak in which it failed, also where it is the one that ends the patience.
        let streak = Streak { id: self.health.streak_id, counts: self.health.counts_tries() };
        let news = self.health.hear(&ended.answer.verdict, ended.at.boot);
        let (mut end, then) = hand.settle(ended, streak, &self.rules, &mut self.rng);
        if let Some(until) = end.pause_until {
            self.throttled += 1;
            end.pause_until = Some(self.pause(until, ended));
        }
        if news == News::Forbidden {
            // Not the row's fault: it is sent when the permission is there.
            end.outcome = None;
        }
        if let Some((_, outcome)) = &end.outcome {
            self.finished.push(hand.result(outcome.clone()));
            self.count(outcome.kind, &outcome.code);
        }
        self.ends.push(end);
        match then {
            Then::Over if news == News::Forbidden => self.queue.first(hand),
            Then::Over => self.queue.let_go(&hand),
            Then::Ready => self.queue.first(hand),
            Then::At(due) => {
                let (row, tries) = (hand.row.row, hand.tries());
                let (at, message) = (ended.at.wall_at(due), ended.answer.message.clone());
                self.tell(Event::Retry { row, tries, at, message });
                self.queue.wait(due, hand);
            }
            Then::UsedUp => self.queue.hold(hand),
            Then::Renew { token_generation } => {
                self.queue.first(hand);
                self.renew(token_generation, &ended.answer.message);
            }
        }
        self.follow(news, ended);
    }

    /// What an attempt's end says about the service.
    fn follow(&mut self, news: News, ended: &Ended) {
        let message = ended.answer.message.clone();
        match news {
            News::None => {}
            News::Down { until } => {
                self.forgive();
                self.tell(Event::ServiceDown { until: ended.at.wall_at(until), message });
            }
            News::GivenUp => {
                self.forgive();
                self.stop(Stop::ServiceDown { message });
            }
            News::Up => self.tell(Event::ServiceUp),
            News::Forbidden => self.stop(Stop::Forbidden { message }),
            News::Unauthorized => self.stop(Stop::Unauthorized { message }),
        }
    }

    /// It was the service, not the rows: the tries of this streak do not count.
    fn forgive(&mut self) {
        let streak = self.health.streak_id;
        self.flights.values_mut().for_each(|hand| hand.forgive(streak));
        self.queue.forgive(streak);
    }

    /// Rows whose tries are used up end when it is clear that it was not the service: it has answered since, or nothing
    /// else is left to try it with.
    pub(super) fn let_go_of_held(&mut self, now: Now) {
        let nothing_else = self.flights.is_empty() && self.queue.has_only_held();
        if self.stop.is_some() || (self.health.is_uncertain() && !nothing_else) {
            return;
        }
        for mut hand in self.queue.take_held() {
            match hand.use_up(now) {
                Ok(due) => self.queue.wait(due, hand),
                Err(outcome) => self.end_without_call(&hand, outcome),
            }
        }
    }

    fn renew(&mut self, generation: u64, message: &str) {
        match self.health.token_refused(generation, self.token_generation) {
            News::Unauthorized => self.stop(Stop::Unauthorized { message: message.to_owned() }),
            _ if generation < self.token_generation => {}
            _ => match self.client.tokens().renew(generation) {
                Renewal::Renewed => self.token_generation = self.client.tokens().current().1,
                Renewal::Same => {}
                Renewal::OtherTenant => {
                    let message = "the new token is for another tenant".to_owned();
                    self.stop(Stop::Unauthorized { message });
                }
                Renewal::Failed(error) => self.stop(Stop::Unauthorized { message: error.to_string() }),
            },
        }
    }

    /// A 429: until when the scope pauses, as the journal keeps it.
    fn pause(&mut self, until: BootTime, ended: &Ended) -> BootTime {
        let longest = self.settings.quota.longest();
        let wait = until.since(ended.at.boot);
        let wall = ended.at.wall_at(until);
        if wait > longest && wait > self.settings.patience {
            self.stop(Stop::PausedTooLong { until: wall });
        }
        if self.own_pause.is_none_or(|own| own < until) {
            self.own_pause = Some(until);
        }
        // Told again only where it is worth a line.
        if self.told_pause.is_none_or(|told| until > told + Duration::from_secs(1)) {
            self.told_pause = Some(until);
            self.tell(Event::Throttled { until: wall, message: ended.answer.message.clone() });
        }
        until.min(ended.at.boot + longest)
    }
}
