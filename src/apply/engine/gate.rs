//! The gate: when to ask the journal for permits again.

use super::super::POLL;
use crate::clock::BootTime;
use crate::model::permit::NextPermit;

/// Whether to ask for permits. Asking too early is harmless: the journal grants none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Until(BootTime),
    /// Until one of our own requests ends.
    UntilAnEnd,
}

impl Gate {
    /// After a commit at `now` that lacked permits.
    pub(super) fn closed(next: NextPermit, others_in_flight: bool, now: BootTime) -> Gate {
        match next {
            NextPermit::At(at) => Gate::Until(at),
            NextPermit::AfterACallInFlight if others_in_flight => Gate::Until(now + POLL),
            NextPermit::AfterACallInFlight => Gate::UntilAnEnd,
        }
    }

    pub(super) fn is_open(self, now: BootTime) -> bool {
        self.opens(now, BootTime(i64::MAX)) <= now
    }

    /// When it opens; `never` if only the end of a request opens it.
    pub(super) fn opens(self, now: BootTime, never: BootTime) -> BootTime {
        match self {
            Gate::Open => now,
            Gate::Until(at) => at,
            Gate::UntilAnEnd => never,
        }
    }

    /// Takes in the end of a request; `was_unsent`: its permit is free at once.
    pub(super) fn on_end(&mut self, was_unsent: bool) {
        if was_unsent || *self == Gate::UntilAnEnd {
            *self = Gate::Open;
        }
    }
}
