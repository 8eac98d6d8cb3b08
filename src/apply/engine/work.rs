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

/// Decides what is requested, and what follows from a result. The engine does the rest: the queue, permits, pauses,
/// token, outages, commits.
pub(in super::super) trait WorkSource {
    /// What each request is for.
    type Item;

    /// How many items may be checked ahead while there is no permit: they may need no request.
    const AHEAD: usize = 0;

    /// Whether a new item can be taken now.
    fn can_take(&mut self) -> bool;

    /// Takes the next new item, if one can be taken now.
    fn take(&mut self, journal: &Journal) -> Result<Option<Self::Item>, JournalError>;

    /// Adds the request of an item to a commit.
    fn request(&self, item: &Self::Item, batch: &mut Batch);

    /// The call of an item, once its intent is on the disk.
    fn call(&mut self, item: &mut Self::Item) -> Call;

    /// Handles that the journal did not start the request of an item, for another reason than a missing permit.
    fn on_receipt(&mut self, _item: &mut Self::Item, _receipt: Receipt, _now: Now, _output: &mut Output) -> Step {
        Step::Ready
    }

    /// Takes in the end of a request: what is written about it, and what follows for its item.
    fn on_completion(
        &mut self,
        item: &mut Self::Item,
        ended: &EndedCall<'_>,
        output: &mut Output,
    ) -> (AttemptEnd, Step);

    /// Handles an item that has no attempts left, when the service was not at fault.
    fn on_exhausted(&mut self, _item: &mut Self::Item, _now: Now, _output: &mut Output) -> Step {
        Step::Finished
    }

    /// Ends an item. Returns another that has waited for it.
    fn on_finished(&mut self, _item: Self::Item) -> Option<Self::Item> {
        None
    }

    /// The service was down: an item's attempts of this streak do not count.
    fn forgive(item: &mut Self::Item, streak: u64);

    /// How many more requests will be needed, as far as known.
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
    /// It is due at this time.
    At(BootTime),
    /// It has no attempts left, unless the service was down.
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

/// A request that has ended, and what that tells about the service.
pub(in super::super) struct EndedCall<'a> {
    pub(in super::super) completed: &'a CompletedCall,
    /// The streak in which it failed, even if this attempt makes it an outage.
    pub(in super::super) streak: Streak,
    pub(in super::super) event: HealthEvent,
    pub(in super::super) health: &'a Health,
    /// Whether no other item is in flight or queued.
    pub(in super::super) is_alone: bool,
}
