//! What a command has done, counted from its events, for its metrics.

use std::cell::Cell;
use std::io;

use crate::apply::Requests;
use crate::apply::events::{Event, Listener};
use crate::report::outcome_counts::OutcomeCounts;

/// What a command has done so far.
#[derive(Debug, Default)]
pub(super) struct CommandStats {
    outcomes: Cell<OutcomeCounts>,
    /// The requests of sends and reads that have ended.
    ended: Cell<Requests>,
    /// Those of the one that has not, as far as its pace was told.
    current: Cell<Requests>,
}

impl CommandStats {
    /// The rows by outcome.
    pub(super) fn outcomes(&self) -> OutcomeCounts {
        self.outcomes.get()
    }

    /// The requests.
    pub(super) fn requests(&self) -> Requests {
        self.ended.get() + self.current.get()
    }

    /// Sets the rows by outcome.
    pub(super) fn set_outcomes(&self, outcomes: OutcomeCounts) {
        self.outcomes.set(outcomes);
    }

    /// Counts requests.
    pub(super) fn on_event(&self, event: &Event) {
        match event {
            Event::Pace(pace) => {
                self.current.set(Requests { calls: pace.calls, throttled: pace.throttled, ..Requests::default() });
            }
            Event::Ended(requests) => {
                self.current.take();
                self.ended.set(self.ended.get() + *requests);
            }
            _ => {}
        }
    }
}

/// Passes events on, and counts their requests.
pub(super) struct Counted<'a, L>(pub(super) &'a mut L, pub(super) &'a CommandStats);

impl<L: Listener> Listener for Counted<'_, L> {
    fn on_event(&mut self, event: Event) -> io::Result<()> {
        self.1.on_event(&event);
        self.0.on_event(event)
    }
}
