//! What the engine works on: rows to send, or incidents to read.

use std::collections::HashMap;

use super::super::callers::CompletedCall;
use super::super::health::{Health, HealthEvent, Streak};
use super::super::service::Effects;
use crate::clock::{BootTime, Now};
use crate::journal::{AttemptEnd, AttemptId, Batch, Journal, JournalError, Receipts};
use crate::model::call::Call;
use crate::model::outcome::ResultRow;

/// The items whose requests are in flight.
pub(in super::super) type InFlight<T> = HashMap<AttemptId, T>;

/// Says what is requested, and takes the results. The engine does the rest: permits, pauses, token, outages, commits.
pub(in super::super) trait WorkSource {
    /// What a request is made for.
    type Item;

    /// Whether anything is left to request, items in flight aside.
    fn has_work(&mut self) -> bool;

    /// Takes the next items, and adds their requests to the batch, which says how many of them may start. If none may,
    /// only items that may turn out to need no request are taken.
    fn offer(&mut self, now: BootTime, journal: &Journal, batch: &mut Batch) -> Result<Vec<Self::Item>, JournalError>;

    /// Takes what was offered, with the receipts of the commit at `now`.
    fn on_receipts(
        &mut self,
        offered: Offered<Self::Item>,
        receipts: Receipts,
        now: Now,
        next: &mut NextCommit,
    ) -> Served<Self::Item>;

    /// A request has ended: what is written about it, and what to report.
    fn on_completion(
        &mut self,
        item: Self::Item,
        ended: &EndedCall<'_>,
        next: &mut NextCommit,
    ) -> (AttemptEnd, Effects);

    /// Decides about the items that have no attempts left. `is_idle`: no request is in flight.
    fn release_exhausted(&mut self, _now: Now, _health: &Health, _is_idle: bool, _next: &mut NextCommit) -> Effects {
        Effects::default()
    }

    /// It was the service: the attempts of this streak do not count.
    fn forgive(&mut self, in_flight: &mut InFlight<Self::Item>, streak: u64);

    /// When the next item wants its request, if one does before a request in flight has ended.
    fn next_due(&self, now: BootTime) -> Option<BootTime>;

    /// How many more requests will be needed, as far as is known.
    fn calls_left(&self, in_flight: &InFlight<Self::Item>) -> u64;

    /// Whether other requests can replace this one: then its failure does not mean an outage.
    fn is_replaceable(&self, _item: &Self::Item) -> bool {
        false
    }
}

/// Items whose requests were in a commit.
pub(in super::super) struct Offered<T> {
    pub(in super::super) items: Vec<T>,
    /// How many requests could start.
    pub(in super::super) slots: u32,
}

/// What became of the items that were offered.
pub(in super::super) struct Served<T> {
    /// They have their permit and their intent on the disk: to be sent.
    pub(in super::super) started: Vec<(AttemptId, Call, T)>,
    /// Whether others lack a permit.
    pub(in super::super) lacks_permits: bool,
    pub(in super::super) effects: Effects,
}

/// What the next commit writes, and what is reported after it.
#[derive(Debug, Default)]
pub(in super::super) struct NextCommit {
    pub(in super::super) batch: Batch,
    /// Rows that finish with it.
    pub(in super::super) finished: Vec<ResultRow>,
}

impl NextCommit {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.ends.is_empty() && self.batch.over.is_empty()
    }
}

/// A request that has ended, and what that says of the service.
pub(in super::super) struct EndedCall<'a> {
    pub(in super::super) completed: &'a CompletedCall,
    /// An attempt belongs to the streak in which it failed, even if it is the one that makes it an outage.
    pub(in super::super) streak: Streak,
    pub(in super::super) event: HealthEvent,
    pub(in super::super) health: &'a Health,
    /// Whether no other request is in flight.
    pub(in super::super) is_alone: bool,
}
