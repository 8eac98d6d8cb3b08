//! The pace: what a process reports while it waits, compared with what it then does.
//!
//! Promises checked: before a request leaves after more than a second in which nothing left or ended, a pace was
//! reported that knows of all requests so far and names no other time for the next one. In runs without faults, the
//! estimated finish that is reported after the first window is right to 2 %.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bulk_triage::apply::events::Pace;
use bulk_triage::model::quota_spec::Window;
use jiff::Timestamp;

use super::scenario::{Command, Habit, Scenario};

/// Nobody waits longer than this without a report.
const LONG: Duration = Duration::from_secs(1);
/// The latency of a request, before any was measured.
const GUESSED_LATENCY: Duration = Duration::from_millis(400);

/// What one process has reported, and what it has done.
#[derive(Debug)]
pub(super) struct PaceWatch {
    /// The shortest window, if nothing happens to the run: then the estimated finish must be right.
    first_window: Option<Window>,
    latency: Duration,
    began: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    left: u64,
    /// When a request last left or ended.
    moved: Duration,
    /// The last pace, and the last one of an earlier moment: a commit reports it before its requests leave.
    told: Option<Told>,
    told_before: Option<Told>,
    /// The estimated finish as reported after the first window, and after how many requests.
    finish: Option<(Duration, u64)>,
}

/// In the world's time.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Duration,
    calls: u64,
    next_call: Option<Duration>,
}

impl PaceWatch {
    pub(super) fn new(scenario: &Scenario, command: &Command, now: Duration) -> PaceWatch {
        let shortest = scenario.quota.windows().iter().min_by_key(|window| window.length).copied();
        PaceWatch {
            first_window: shortest.filter(|_| scenario.is_quiet(command)),
            latency: Duration::from_millis(scenario.latency_ms).max(GUESSED_LATENCY),
            began: now,
            state: Mutex::new(State { moved: now, ..State::default() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic ends the seed")
    }

    /// A pace is reported at `now`, when the wall clock shows `wall`.
    pub(super) fn hears(&self, pace: &Pace, now: Duration, wall: Timestamp) {
        let in_world = |time: Timestamp| now + time.duration_since(wall).try_into().unwrap_or(Duration::ZERO);
        let mut state = self.state();
        if state.told.is_some_and(|told| told.at < now) {
            state.told_before = state.told;
        }
        state.told = Some(Told { at: now, calls: pace.calls, next_call: pace.next_call.map(in_world) });
        let is_window_over = self.first_window.is_some_and(|window| now > self.began + window.length);
        if is_window_over && state.finish.is_none() {
            state.finish = Some((in_world(pace.arrival), pace.calls));
        }
    }

    /// A request leaves. Returns what is wrong with the pace that was reported before.
    pub(super) fn leaves(&self, now: Duration) -> Option<String> {
        let mut state = self.state();
        let (left, moved) = (state.left, std::mem::replace(&mut state.moved, now));
        state.left += 1;
        if now <= moved + LONG {
            return None;
        }
        let waited = now.saturating_sub(moved);
        let told = state.told.filter(|told| told.at < now).or(state.told_before);
        let Some(told) = told.filter(|told| told.at >= moved) else {
            return Some(format!("a request left after a wait of {waited:?} without a reported pace"));
        };
        let is_wrong = |next: Duration| now + Duration::from_millis(1) < next || now > next + LONG;
        if told.calls < left {
            return Some(format!(
                "during a wait of {waited:?} the reported pace knew {} of {left} requests",
                told.calls
            ));
        }
        let next = told.next_call.filter(|next| is_wrong(*next))?;
        Some(format!("a request left at {now:?}, but the pace had named {next:?}"))
    }

    pub(super) fn ends(&self, now: Duration) {
        self.state().moved = now;
    }

    /// The request that ended was not sent: it does not count.
    pub(super) fn is_unsent(&self) {
        self.state().left -= 1;
    }

    /// The run has finished by itself. Returns what is wrong with the estimated finish.
    pub(super) fn finishes(&self) -> Option<String> {
        let state = self.state();
        let (told, calls) = state.finish?;
        let total = state.moved.saturating_sub(self.began);
        // Each window still to come waits for the latencies of the one before, which nobody knows.
        let per_window = u64::from(self.first_window?.calls);
        let waits = u32::try_from((state.left - calls).div_ceil(per_window) + 1).expect("a few rows");
        let allowed = total / 50 + self.latency * waits;
        let is_right = told.abs_diff(state.moved) <= allowed;
        let finished = state.moved;
        (!is_right).then(|| {
            format!("the run finished at {finished:?}, but {told:?} was estimated; {allowed:?} off is allowed")
        })
    }
}

impl Scenario {
    /// Whether nothing but latencies happens to the run of this command: then its finish can be predicted.
    fn is_quiet(&self, command: &Command) -> bool {
        let mut incidents: Vec<u64> = command.rows.iter().map(|row| row.incident).collect();
        incidents.sort_unstable();
        incidents.dedup();
        let is_untouched = self.faults == 0 && self.throttles == 0 && self.ended_early == 0 && !self.may_fail();
        let is_alone = !self.together && command.name == self.commands[0].name;
        let takes_all = self.incidents.iter().all(|incident| incident.habit == Habit::Takes);
        let is_kept = self.outage.is_none() && self.loses.is_none() && self.renewals.is_none() && !self.closes;
        is_untouched && !self.compares && is_alone && takes_all && is_kept && incidents.len() == command.rows.len()
    }
}
