//! The pace: what the quota and the queue look like, told a few times a second.

use std::time::Duration;

use super::super::PACE;
use super::super::events::{Event, Listener, Pace};
use super::{Dispatcher, Gate};
use crate::client::Transport;
use crate::clock::{BootTime, Now};
use crate::journal::CallKind;
use crate::quota::{Forecast, arrival};

/// When it will arrive is computed no more often than this for each row that is left: the cost grows with them.
const ARRIVAL: Duration = Duration::from_micros(200);

impl<T: Transport, L: Listener> Dispatcher<'_, T, L> {
    /// When the pace is to be told, if something has changed since it was.
    pub(super) fn pace_due(&self) -> Option<BootTime> {
        self.pace_changed.then(|| self.told_pace.map_or(BootTime(i64::MIN), |told| told + PACE))
    }

    pub(super) fn tell_pace(&mut self, now: Now) {
        if self.pace_due().is_none_or(|due| now.boot < due) {
            return;
        }
        self.pace_changed = false;
        self.told_pace = Some(now.boot);
        let Some((spent, pause)) = self.journal.spent() else { return };
        let (windows, in_flight) = (self.buckets.in_use(spent, now.boot), spent.in_flight);
        let stays = ARRIVAL * u32::try_from(self.left).unwrap_or(u32::MAX);
        let arrival = match self.arrival {
            Some((computed, arrival)) if now.boot < computed + stays => arrival,
            _ => {
                let concurrency = self.settings.concurrency.max(1);
                // The rows of updates under way need no other call.
                let updates = self.in_flight.values().filter(|hand| matches!(hand.what, CallKind::Update)).count();
                let calls = self.left.saturating_sub(updates as u64);
                let ahead = Forecast { calls, concurrency, latency: self.latency };
                let arrival = arrival(&self.buckets, spent, pause, now.boot, ahead);
                self.arrival = Some((now.boot, arrival));
                arrival
            }
        };
        let arrival = self.service.not_before_pause(arrival);
        let next_call = match self.gate {
            Gate::Until(at) if at > now.boot => Some(now.wall_at(self.service.not_before_pause(at))),
            _ => None,
        };
        self.tell(Event::Pace(Pace {
            windows,
            next_call,
            arrival: now.wall_at(arrival),
            in_flight,
            calls: self.calls,
            throttled: self.service.throttled,
        }));
    }
}
