//! The fault loop: every system call that touches the program's files or network fails once, fails from then on, or is
//! where the process ends, before or after the call took effect. The point moves on by one call until a run ends
//! without reaching it.
//!
//! After each faulty run the same command is run again until it succeeds; then `check_final_state` must succeed. `cargo
//! test` strikes one call of each kind. `BULK_TRIAGE_FAULTS=all` strikes every call in every way, for three seeds (`3`:
//! for the third alone), and after every tenth crash ends the restarts as well, each one call later. A failure is
//! printed with the command that reproduces it.

mod shim;
mod trial;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) use shim::{Errno, How, Strike, shim};
use trial::{Trial, World};

/// Trials that run at once: they mostly wait.
const AT_ONCE: usize = 16;

/// Prints that this machine can't run the test; in CI that is a failure.
pub(crate) fn left_out<T>(why: &str) -> Option<T> {
    #[expect(clippy::disallowed_methods, reason = "whether this is CI")]
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!is_ci, "{why}");
    tell(&format!("LEFT OUT: {why}"));
    None
}

/// Whether root runs these tests. If not, prints what is skipped.
pub(crate) fn is_root(left_out: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        tell(&format!("LEFT OUT: {left_out}: only root can"));
    }
    is_root
}

/// Prints for the person who runs the tests.
#[expect(clippy::print_stdout, reason = "figures, and what was left out, shall be seen")]
pub(crate) fn tell(line: &str) {
    println!("{line}");
}

/// The value of a variable for the longer modes.
pub(crate) fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "how long the test may take")]
    std::env::var(name).ok()
}

/// The number of trials and starts.
#[derive(Default)]
struct Count {
    trials: AtomicUsize,
    starts: AtomicUsize,
    breaches: Mutex<Vec<String>>,
}

impl Count {
    /// Runs one trial. Returns whether the run reached the call to strike, or can't tell.
    fn hold(&self, trial: &Trial) -> bool {
        let held = trial.hold();
        self.trials.fetch_add(1, Ordering::Relaxed);
        self.starts.fetch_add(held.starts, Ordering::Relaxed);
        let came_to_it = held.struck.is_some() || held.breach.is_some();
        if let Some(breach) = held.breach {
            let alone = format!("BULK_TRIAGE_FAULTS='{trial}' cargo test --test it faults");
            let breach = format!("{breach}\n    {alone}");
            // Printed at once, because the longer mode takes long.
            tell(&breach);
            self.breaches.lock().expect("no panic").push(breach);
        }
        came_to_it
    }

    fn end(self, what: &str) {
        let (trials, starts) = (self.trials.into_inner(), self.starts.into_inner());
        tell(&format!("{what}: {trials} trials, {starts} starts of the program"));
        let breaches = self.breaches.into_inner().expect("no panic");
        assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
    }
}

/// Runs the trials, several at once.
fn each(trials: &[Trial], count: &Count) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
                    count.hold(trial);
                }
            });
        }
    });
}

/// Moves the point on by one until a run ends without reaching it. Returns the number of points.
fn all(count: &Count, trial_at: impl Fn(usize) -> Trial + Sync) -> usize {
    let (next, last, is_over) = (AtomicUsize::new(1), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if count.hold(&trial_at(at)) {
                        last.fetch_max(at, Ordering::Relaxed);
                    } else {
                        is_over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    last.into_inner()
}

/// One call of each kind in a run without faults, somewhere in the middle, struck in alternating ways.
fn one_of_each_kind() -> Vec<Trial> {
    let mut kinds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for point in trial::calls_of_a_good_run() {
        kinds.entry(point.kind()).or_default().push(point.number);
    }
    let middle = |numbers: Vec<usize>| numbers[numbers.len() / 2];
    let ways = How::ALL.into_iter().cycle();
    kinds.into_values().map(middle).zip(ways).map(|(at, how)| Trial::first(1, at, how)).collect()
}

#[test]
fn any_failing_system_call_keeps_the_promises() {
    if shim().is_none() {
        return;
    }
    let count = Count::default();
    match setting("BULK_TRIAGE_FAULTS").as_deref() {
        None => each(&one_of_each_kind(), &count),
        Some("all") => (1..=3).for_each(|seed| every_call(&count, seed)),
        Some(one) => match one.parse() {
            Ok(seed) => every_call(&count, seed),
            Err(_) => {
                count.hold(&one.parse().expect("a trial as it is printed"));
            }
        },
    }
    count.end("calls that fail or end the process");
}

fn every_call(count: &Count, seed: u64) {
    for how in How::ALL {
        let points = all(count, |at| Trial::first(seed, at, how));
        tell(&format!("seed {seed}, {how}: {points} points"));
    }
}

/// Crash after crash: each restart also ends, one call later than the one before.
#[test]
fn killed_restarts_keep_the_promises() {
    if shim().is_none() {
        return;
    }
    let points = trial::calls_of_a_good_run().len();
    let (firsts, step) = match setting("BULK_TRIAGE_FAULTS").as_deref() {
        None => ((points / 2..points).step_by(points), 60),
        Some("all") => ((1..points).step_by(10), 1),
        Some(_) => return,
    };
    let chain = |first| Trial { step, ..Trial::first(1, first, How::After) };
    let chains: Vec<Trial> = firsts.map(chain).collect();
    let count = Count::default();
    each(&chains, &count);
    count.end("restarts that end");
}

/// The same on the server's side: a response is lost, cut or useless, before and after the update was applied.
#[test]
fn any_lost_response_keeps_the_promises() {
    let faults = ["cut", "cut-after", "cut-half", "503", "503-after", "html-after", "other-after", "error-200-after"];
    let count = Count::default();
    let trial = |fault: &str, at: usize| Trial { world: World::losing(fault, at), ..Trial::undisturbed() };
    if setting("BULK_TRIAGE_FAULTS").is_some_and(|mode| mode == "all") {
        for fault in faults {
            all(&count, |at| trial(fault, at));
        }
    } else {
        let places = [1, 4, 9, 12, 15, 17, 18, 20];
        let spread: Vec<Trial> = faults.iter().zip(places).map(|(fault, at)| trial(fault, at)).collect();
        each(&spread, &count);
    }
    count.end("answers that are lost");
}

/// Between the steps of a row, and around them: a start that ends at any call, and any response that is lost. In the longer
/// mode every call also fails.
#[test]
fn crashes_between_steps_keep_the_promises() {
    if shim().is_none() {
        return;
    }
    let count = Count::default();
    let crash = |at, how| Trial::first(1, at, how).in_two_steps();
    let loss = |fault: &str, at| Trial { world: World::losing(fault, at), ..Trial::undisturbed() }.in_two_steps();
    let faults = ["cut", "cut-after", "503-after", "html-after", "error-200-after"];
    if setting("BULK_TRIAGE_FAULTS").is_some_and(|mode| mode == "all") {
        for how in How::ALL {
            let points = all(&count, |at| crash(at, how));
            tell(&format!("two steps, {how}: {points} points"));
        }
        for fault in faults {
            all(&count, |at| loss(fault, at));
        }
    } else {
        let points = Trial::undisturbed().in_two_steps().calls().len();
        let places = (1..=points).step_by((points / 16).max(1));
        let mut trials: Vec<Trial> =
            places.zip([How::Before, How::After].into_iter().cycle()).map(|(at, how)| crash(at, how)).collect();
        trials.extend((1..=36).step_by(7).zip(faults.into_iter().cycle()).map(|(at, fault)| loss(fault, at)));
        each(&trials, &count);
    }
    count.end("crashes and lost answers of runs with two steps");
}
