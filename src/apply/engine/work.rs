//! What the engine works on: rows to send, or incidents to read.

use std::collections::HashMap;

use super::super::StopReason;
use super::super::callers::CompletedCall;
use super::super::events::Event;
use super::super::health::{Health, HealthEvent, Streak};
use crate::clock::{BootTime, Now};
use crate::journal::{AttemptEnd, AttemptId, Batch, Journal, JournalError, Receipt};
use crate::model::call::Call;
use crate::model::outcome::ResultRow;

/// The items whose requests are in flight.
pub(in super::super) type InFlight<T> = HashMap<AttemptId, T>;

/// Says what is requested, and what follows from a result. The engine does the rest: the queue, permits, pauses, token,
/// outages, commits.
pub(in super::super) trait WorkSource {
    /// What requests are made for.
    type Item;

    /// How many items may be checked ahead while there is no permit: they may turn out to need no request.
    const AHEAD: usize = 0;

    /// Whether a new item can be taken now.
    fn can_take(&mut self) -> bool;

    /// Takes the next new item, if one can be taken now.
    fn take(&mut self, journal: &Journal) -> Result<Option<Self::Item>, JournalError>;

    /// Adds the request of an item to a commit.
    fn request(&self, item: &Self::Item, batch: &mut Batch);

    /// The request of an item has its intent on the disk: what is sent.
    fn call(&mut self, item: &mut Self::Item) -> Call;

    /// The journal did not start the request of an item, and the reason was not a missing permit.
    fn on_receipt(&mut self, _item: &mut Self::Item, _receipt: Receipt, _now: Now, _output: &mut Output) -> Step {
        Step::Ready
    }

    /// A request has ended: what is written about it, and what follows for its item.
    fn on_completion(
        &mut self,
        item: &mut Self::Item,
        ended: &EndedCall<'_>,
        output: &mut Output,
    ) -> (AttemptEnd, Step);

    /// An item has no attempts left, and that was not the service's fault.
    fn on_exhausted(&mut self, _item: &mut Self::Item, _now: Now, _output: &mut Output) -> Step {
        Step::Finished
    }

    /// An item has finished. Returns another one that has waited for that.
    fn on_finished(&mut self, _item: Self::Item) -> Option<Self::Item> {
        None
    }

    /// It was the service: an item's attempts of this streak do not count.
    fn forgive(item: &mut Self::Item, streak: u64);

    /// How many more requests will be needed, as far as is known.
    fn calls_left(&self, in_flight: &InFlight<Self::Item>, queued: usize) -> u64;

    /// Whether other requests can replace this one: then its failure does not mean an outage.
    fn is_replaceable(&self, _item: &Self::Item) -> bool {
        false
    }
}

/// What follows for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// Nothing more is requested for it.
    Finished,
    /// It is next.
    Ready,
    /// Its turn comes at this time.
    At(BootTime),
    /// It has no attempts left, unless they were the service's fault.
    Exhausted,
}

/// What is written and reported next.
#[derive(Debug, Default)]
pub(in super::super) struct Output {
    pub(in super::super) batch: Batch,
    /// Rows that finish with the batch.
    pub(in super::super) finished: Vec<ResultRow>,
    pub(in super::super) event: Option<Event>,
    pub(in super::super) stop: Option<StopReason>,
}

/// A request that has ended, and what that says of the service.
pub(in super::super) struct EndedCall<'a> {
    pub(in super::super) completed: &'a CompletedCall,
    /// An attempt belongs to the streak in which it failed, even if it is the one that makes it an outage.
    pub(in super::super) streak: Streak,
    pub(in super::super) event: HealthEvent,
    pub(in super::super) health: &'a Health,
    /// Whether no other item is in flight or queued.
    pub(in super::super) is_alone: bool,
}
