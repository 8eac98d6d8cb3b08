//! The simulation: the program's own scheduler, retry, journal, engine and results, on paused time, against a fake
//! network and a model of the server. One seed decides everything that varies: files, settings, latencies, faults,
//! throttling by others, deaths at any moment, clocks, reboots, two parallel processes. After each seed the promises
//! are checked against the model.
//!
//! A failing seed is printed with the command that reproduces it. Add it to `corpus.txt`, and it runs first from then
//! on.
//!
//! | file | owns |
//! | --- | --- |
//! | `scenario` | what a seed decides in advance |
//! | `world` | time, dice and trace |
//! | `server` | the model of the service |
//! | `network` | the fake transport |
//! | `fate` | what happens to one request |
//! | `throttled` | the formats of a 429 |
//! | `connections` | connections that are kept, and closed by the server |
//! | `graph` | what the contract `graph` spells otherwise |
//! | `renewal` | tokens that expire, with late successors |
//! | `pace` | what a process reports while it waits |
//! | `life` | a process that can die |
//! | `process` | one start of the program |
//! | `lists` | reading lists, with its own server and promises |
//! | `history` | the starts of a seed, one after another |
//! | `witness` | what is on disk |
//! | `checks`, `step_checks` | the promises |

mod checks;
mod connections;
mod fate;
mod graph;
mod history;
mod life;
mod lists;
mod network;
mod pace;
mod process;
mod renewal;
mod scenario;
mod server;
mod step_checks;
mod throttled;
mod witness;
mod world;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use history::{Verdict, play};

/// Seeds that have failed before.
const CORPUS: &str = include_str!("corpus.txt");

/// The default number of seeds.
const SEEDS: u64 = 300;

#[test]
fn no_seed_breaks_a_promise() {
    if let Some(seed) = number("BULK_TRIAGE_SEED") {
        let verdict = play(seed, true);
        print(&verdict.trace);
        assert!(verdict.breaches.is_empty(), "seed {seed}: {}", verdict.breaches.join("\n"));
        return;
    }
    let first = number("BULK_TRIAGE_FIRST_SEED");
    let from = first.unwrap_or(0);
    let known = corpus().filter(|_| first.is_none());
    let seeds: Vec<u64> = known.chain(from..from + number("BULK_TRIAGE_SEEDS").unwrap_or(SEEDS)).collect();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || {
            while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                let breaches =
                    catch_unwind(|| play(*seed, false).breaches).unwrap_or_else(|_| vec!["panic".to_owned()]);
                if !breaches.is_empty() {
                    let before = next.swap(seeds.len(), Ordering::Relaxed);
                    failed.lock().expect("no panic").push((before, *seed, breaches));
                }
            }
        };
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    if let Some((seeds, seed, breaches)) = failed.into_inner().expect("no panic").first() {
        panic!(
            "after {seeds} seeds: seed {seed} breaks a promise:\n{}\nrun it alone:\n  \
             BULK_TRIAGE_SEED={seed} cargo test --test it no_seed_breaks_a_promise -- --nocapture\n\
             and put it into tests/it/simulation/corpus.txt",
            breaches.join("\n")
        );
    }
}

#[test]
fn same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let (Verdict { trace, .. }, again) = (play(seed, true), play(seed, true));
        assert_eq!(trace, again.trace, "seed {seed}");
    }
}

#[expect(clippy::print_stdout, reason = "the trace of one seed is what was asked for")]
fn print(trace: &[String]) {
    println!("{}", trace.join("\n"));
}

fn corpus() -> impl Iterator<Item = u64> {
    let lines = CORPUS.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(|line| line.parse().expect("a seed"))
}

#[expect(clippy::disallowed_methods, reason = "how many seeds, and which, is told to a test by its environment")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
