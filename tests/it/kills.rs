//! Real kills: SIGKILL at random moments, then the same command again, then the final checks.
//!
//! `cargo test` kills fifty times, `BULK_TRIAGE_KILLS=1000` a thousand. The longer mode also stops processes for longer
//! than a request may take, and continues them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::faults::{setting, tell};
use crate::final_checks::{check_final_state, check_final_state_of_steps, rows_with_comments};
use crate::program::{Ended, Program, fault_of, with_contract};

const ROWS: u64 = 40;
/// After so many kills a run may finish: most of it is done by then.
const KILLS_OF_ONE_RUN: usize = 6;
/// Runs in parallel: they mostly wait.
const AT_ONCE: usize = 10;
/// The longest life of a killed start: about as long as a run without a kill.
const LONGEST: Duration = Duration::from_millis(900);
/// Longer than a request may take.
const LONGER_THAN_A_CALL: Duration = Duration::from_secs(62);

const COMMAND: &str =
    "a.csv --results r.csv --quota 100000/1s --concurrency 8 --patience 0 --max-attempts 20 --no-progress";

/// A run of many rows, to a service with some faults of its own.
fn world(seed: u64) -> Program {
    let program = Program::new().file("a.csv", rows_with_comments(ROWS));
    program.emulator(|settings| {
        settings.seed = seed;
        settings.latency = Duration::from_millis(1)..=Duration::from_millis(25);
        settings.faults = ["503:4%", "cut-after:4%"].into_iter().map(fault_of).collect();
    })
}

/// The final check of a program: of rows with one step, or with two.
type Check = fn(&Program, u64, &str) -> Result<(), String>;

/// Runs it until it finishes, then the final checks.
fn to_the_end(program: &Program, check: Check) -> Result<(), String> {
    for _ in 0..KILLS_OF_ONE_RUN {
        let ended = program.send(COMMAND);
        match ended.code {
            Some(0) => {
                return check(program, ROWS, "r.csv").map_err(|breach| format!("{breach}\n{}", ended.printed()));
            }
            Some(4) => {}
            code => return Err(format!("a restart ends with {code:?}\n{}", ended.printed())),
        }
    }
    Err("it is never done".to_owned())
}

/// Kills one run repeatedly, at moments drawn by the seed. Returns the number of kills.
fn kill(seed: u64) -> Result<usize, String> {
    kill_repeatedly(seed, check_final_state, |program, moments| {
        program.start_sending(COMMAND).kill_after(LONGEST.mul_f64(moments.f64()))
    })
}

/// Kills one run with two steps repeatedly, each time shortly after the service has decided a few more requests: between
/// the steps of a row, and around them. Returns the number of kills.
fn kill_between_steps(seed: u64) -> Result<usize, String> {
    with_contract("graph", || {
        kill_repeatedly(seed, check_final_state_of_steps, |program, moments| {
            let requests = program.requests().len() + moments.usize(1..=12);
            let mut running = program.start_sending(COMMAND);
            while program.requests().len() < requests && !running.ends_within(Duration::from_millis(1)) {}
            running.kill_after(Duration::from_millis(moments.u64(0..=5)))
        })
    })
}

/// Starts one run repeatedly, each time killed by `killed` unless it has ended. Returns the number of kills.
fn kill_repeatedly(
    seed: u64,
    check: Check,
    killed: impl Fn(&Program, &mut fastrand::Rng) -> Ended,
) -> Result<usize, String> {
    let program = world(seed);
    let mut moments = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    for _ in 0..KILLS_OF_ONE_RUN {
        let ended = killed(&program, &mut moments);
        match ended.code {
            None => kills += 1,
            Some(0) => break,
            Some(4) => {}
            code => return Err(format!("it ends with {code:?}\n{}", ended.printed())),
        }
    }
    to_the_end(&program, check).map(|()| kills)
}

/// Runs it for seeds from 1 on, several at once, until `count` is reached. Returns the sum of the results.
fn until(count: usize, one: impl Fn(u64) -> Result<usize, String> + Sync) -> usize {
    let (done, seeds, breaches) = (AtomicUsize::new(0), AtomicUsize::new(1), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < count {
                    let seed = seeds.fetch_add(1, Ordering::Relaxed) as u64;
                    match one(seed) {
                        Ok(times) => drop(done.fetch_add(times, Ordering::Relaxed)),
                        Err(breach) => {
                            done.store(count, Ordering::Relaxed);
                            breaches.lock().expect("no panic").push(format!("seed {seed}: {breach}"));
                        }
                    }
                }
            });
        }
    });
    let breaches = breaches.into_inner().expect("no panic");
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    done.into_inner()
}

fn wanted() -> Option<usize> {
    setting("BULK_TRIAGE_KILLS").map(|kills| kills.parse().expect("a number of kills"))
}

#[test]
fn repeated_kills_keep_the_promises() {
    let kills = until(wanted().unwrap_or(50), kill);
    tell(&format!("{kills} kills"));
}

#[test]
fn kills_between_steps_keep_the_promises() {
    let kills = until(wanted().unwrap_or(25), kill_between_steps);
    tell(&format!("{kills} kills of runs with two steps"));
}

/// Only in the longer mode: each takes a minute.
#[test]
fn process_stopped_beyond_timeouts_keeps_the_promises() {
    let Some(kills) = wanted() else { return };
    let stopped = until(kills / 25, |seed| {
        let program = world(seed);
        let mut running = program.start_sending(COMMAND);
        let moment = LONGEST.mul_f64(fastrand::Rng::with_seed(seed).f64());
        if running.ends_within(moment) || running.try_signal(Signal::STOP).is_err() {
            return to_the_end(&program, check_final_state).map(|()| 0);
        }
        // It had ended already, if it can: a signal also reaches a process that nobody has waited for yet.
        if running.ends_within(LONGER_THAN_A_CALL) {
            return to_the_end(&program, check_final_state).map(|()| 0);
        }
        let _ = running.try_signal(Signal::CONT);
        let ended = running.end();
        if !matches!(ended.code, Some(0 | 4)) {
            return Err(format!("it ends with {:?}\n{}", ended.code, ended.printed()));
        }
        to_the_end(&program, check_final_state).map(|()| 1)
    });
    tell(&format!("{stopped} processes stopped for {LONGER_THAN_A_CALL:?}"));
}
