//! The world around the program: its time, its dice, the trace, and the breaches.
//!
//! Promises: nothing here is shared with the program but its public seams; the same seed draws the same dice in the
//! same order, because everything runs on one thread.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bulk_triage::clock::{BootTime, Clock, Now, micros};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::scenario::Scenario;
use super::server::Server;
use super::witness::Witness;

/// Shared by everything that a seed moves.
#[derive(Debug)]
pub(super) struct World {
    pub(super) scenario: Scenario,
    began: Instant,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) dice: fastrand::Rng,
    pub(super) server: Server,
    pub(super) witness: Witness,
    pub(super) faults_left: u32,
    pub(super) throttles_left: u32,
    /// What happened, one line each; `None` if nobody will read it.
    pub(super) trace: Option<Vec<String>>,
    /// What must not have happened.
    pub(super) breaches: Vec<String>,
    machine: Machine,
}

/// The machine's clocks.
#[derive(Debug)]
struct Machine {
    starts: u32,
    /// Its boot time minus the world's time.
    boot: i64,
    /// How far its wall clock is off, in microseconds.
    off: i64,
}

impl World {
    /// What every clock shows when the world begins, if nobody has set it.
    pub(super) const BEGAN: &str = "2026-11-24T10:00:00Z";

    pub(super) fn new(scenario: Scenario, state_dir: &std::path::Path, traced: bool) -> World {
        let state = State {
            dice: fastrand::Rng::with_seed(scenario.seed ^ 0x5eed),
            server: Server::new(&scenario),
            witness: Witness::new(state_dir),
            faults_left: scenario.faults,
            throttles_left: scenario.throttles,
            trace: traced.then(Vec::new),
            breaches: Vec::new(),
            machine: Machine { starts: 1, boot: micros(Duration::from_hours(1)), off: 0 },
        };
        World { scenario, began: Instant::now(), state: Mutex::new(state) }
    }

    /// Everything that changes. Not held across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic ends the seed")
    }

    /// The world's time since it began.
    pub(super) fn time(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) async fn sleep_until(&self, time: Duration) {
        tokio::time::sleep_until(self.began + time).await;
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.time() + duration).await;
    }

    /// The clock of a process that starts now.
    pub(super) fn clock(&self) -> Clock {
        let machine = &self.state().machine;
        let boot = BootTime(micros(self.time()) + machine.boot);
        let wall = self.wall(machine.off);
        Clock::simulated(Now { boot, wall }, &format!("start {}", machine.starts))
    }

    /// What the server's clock shows.
    pub(super) fn server_wall(&self) -> Timestamp {
        self.wall(self.scenario.server_skew_ms * 1_000)
    }

    /// What the clock of `createdTime` shows.
    pub(super) fn created_wall(&self) -> Timestamp {
        self.wall(self.scenario.created_skew_ms * 1_000)
    }

    fn wall(&self, off: i64) -> Timestamp {
        let began: Timestamp = World::BEGAN.parse().expect("a time");
        began + SignedDuration::from_micros(micros(self.time()) + off)
    }

    /// Between two starts the clock may be set, and the machine rebooted.
    pub(super) fn pass_time(&self) {
        let state = &mut *self.state();
        let machine = &mut state.machine;
        if self.scenario.steps && state.dice.bool() {
            // Within the tolerance for a server's `Date`.
            let most = 72_000_000_000;
            machine.off = state.dice.i64(-most..=most);
        }
        if self.scenario.reboots && state.dice.bool() {
            machine.starts += 1;
            machine.boot = -micros(self.time()) + state.dice.i64(1_000_000..60_000_000);
        }
    }

    /// Draws a number of milliseconds.
    pub(super) fn draw_ms(&self, range: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.state().dice.u64(range))
    }

    /// Records what happened.
    pub(super) fn note(&self, what: impl std::fmt::Display) {
        let time = self.time().as_secs_f64();
        if let Some(trace) = &mut self.state().trace {
            trace.push(format!("{time:>12.3} {what}"));
        }
    }

    /// Records what must not have happened.
    pub(super) fn breach(&self, what: impl std::fmt::Display) {
        let line = format!("{:>12.3} BREACH {what}", self.time().as_secs_f64());
        let state = &mut *self.state();
        state.trace.iter_mut().for_each(|trace| trace.push(line.clone()));
        state.breaches.push(line);
    }
}
