//! The figures of the quota: the time of a run relative to the floor, and the number of 429s (none). `cargo bench
//! --bench quota`.
//!
//! The emulator counts exactly, including rejected requests, and takes 20 to 300 ms per request. The floor is the time
//! of a client without any cost of its own that returns each token one window after the end of its request. It is
//! simulated here, independently of the program's arithmetic, with the latencies of the run.

#![expect(clippy::disallowed_methods, reason = "a bench makes files and measures time")]

mod setup;

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulk_triage::apply::Completion;
use bulk_triage::client::{ConsentedOrigin, HttpTransport, Reply, Request, SendError, Transport};
use bulk_triage::clock::{BootTime, Clock};

use setup::{Emulator, Prepared, Result, facts, median};

const LATENCY: &str = "20ms..300ms";
const SHORT: Case = Case { rows: 120, windows: &[(50, 2), (1_500, 60)] };
const LONG: Case = Case { rows: 600, windows: &[(50, 2), (500, 40)] };
const REPEATS: u64 = 3;

struct Case {
    rows: u64,
    /// Requests, and the length of the window in seconds.
    windows: &'static [(usize, u32)],
}

impl Case {
    fn quota(&self) -> String {
        let windows: Vec<_> = self.windows.iter().map(|(calls, seconds)| format!("{calls}/{seconds}s")).collect();
        windows.join(",")
    }
}

fn main() -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "medians of {REPEATS}; {}\n", facts()?)?;
    writeln!(out, "| rows | quota | calls at once | floor | run | run over floor | bound | 429s |")?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for (case, concurrency) in [(&SHORT, 8), (&SHORT, 32), (&LONG, 8)] {
        let runs: Vec<Run> = (0..REPEATS).map(|seed| Run::measured(case, concurrency, seed)).collect::<Result<_>>()?;
        let floor = median(runs.iter().map(|run| run.floor));
        let took = median(runs.iter().map(|run| run.took));
        let ratio = median(runs.iter().map(|run| run.took / run.floor));
        let throttled: u64 = runs.iter().map(|run| run.throttled).sum();
        let (rows, quota) = (case.rows, case.quota());
        writeln!(
            out,
            "| {rows} | {quota} | {concurrency} | {floor:.2} s | {took:.2} s | {ratio:.4} | ≤ 1.02 | {throttled} |"
        )?;
    }
    writeln!(out, "\n| processes at once, {} rows each, {} | time | 429s |", SHORT.rows, SHORT.quota())?;
    writeln!(out, "| --- | --- | --- |")?;
    for (name, processes, times) in [("one, and a second one right after", 1, 2), ("two", 2, 1), ("four", 4, 1)] {
        let (took, throttled) = side_by_side(&SHORT, processes, times)?;
        writeln!(out, "| {name} | {took:.1} s | {throttled} |")?;
    }
    Ok(())
}

/// The time of one run and its floor, in seconds.
struct Run {
    took: f64,
    floor: f64,
    throttled: u64,
}

impl Run {
    fn measured(case: &Case, concurrency: u32, seed: u64) -> Result<Run> {
        let emulator = Emulator::start(&case.quota(), LATENCY, seed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let calls = Arc::new(Mutex::new(Vec::new()));
        let transport = Timed {
            inner: HttpTransport::new(&ConsentedOrigin::by_user(emulator.origin.clone()), concurrency as usize)?,
            clock: Clock::machine(),
            calls: Arc::clone(&calls),
        };
        let sent = runtime.block_on(Prepared::rows(0, case.rows, &case.quota())?.send(transport, concurrency))?;
        assert_eq!(sent.end.completion, Completion::Finished);
        let counted = emulator.stop()?;
        assert_eq!(counted.requests, case.rows + counted.throttled, "each row is one request");
        let mut calls = calls.lock().map_err(|error| error.to_string())?.clone();
        calls.sort_unstable_by_key(|(start, _)| *start);
        let latencies: Vec<f64> = calls.iter().map(|(_, took)| took.as_secs_f64()).collect();
        let floor = floor(case, concurrency as usize, &latencies);
        Ok(Run { took: sent.took.as_secs_f64(), floor, throttled: counted.throttled })
    }
}

/// End of the last request if each starts as soon as a slot and a token of each window are free.
fn floor(case: &Case, concurrency: usize, latencies: &[f64]) -> f64 {
    let mut ends: Vec<f64> = Vec::new();
    let mut start = 0.0_f64;
    for latency in latencies {
        // This request takes the slot or token of the one that ended `calls` ends ago.
        let holds = case.windows.iter().map(|(calls, seconds)| (*calls, f64::from(*seconds)));
        for (calls, hold) in holds.chain([(concurrency, 0.0)]) {
            if let Some(place) = ends.len().checked_sub(calls) {
                start = start.max(ends[place] + hold);
            }
        }
        let end = start + latency;
        ends.insert(ends.partition_point(|other| *other <= end), end);
    }
    ends.last().copied().unwrap_or(0.0)
}

/// A transport that records start and duration of each request.
struct Timed {
    inner: HttpTransport,
    clock: Clock,
    calls: Arc<Mutex<Vec<(BootTime, Duration)>>>,
}

impl Transport for Timed {
    async fn send(&self, request: Request) -> std::result::Result<Reply, SendError> {
        let start = self.clock.now().boot;
        let reply = self.inner.send(request).await;
        let took = self.clock.now().boot.since(start);
        if let Ok(mut calls) = self.calls.lock() {
            calls.push((start, took));
        }
        reply
    }
}

/// Runs the program in several processes at once, repeatedly, each with a file of its own and all with one quota.
/// Returns the seconds and the number of 429s.
fn side_by_side(case: &Case, processes: u64, times: u64) -> Result<(f64, u64)> {
    let emulator = Emulator::start(&case.quota(), LATENCY, 0)?;
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let clock = Clock::machine();
    let start = clock.now().boot;
    for time in 0..times {
        let first = |process: u64| (time * processes + process) * case.rows;
        let started: Vec<Child> = (0..processes)
            .map(|process| start_run(&emulator, directory.path(), &case.quota(), first(process), case.rows))
            .collect::<Result<_>>()?;
        for mut child in started {
            let status = child.wait()?;
            assert!(status.success(), "{status}");
        }
    }
    let took = clock.now().boot.since(start).as_secs_f64();
    let counted = emulator.stop()?;
    assert_eq!(counted.requests, case.rows * processes * times + counted.throttled, "each row is one request");
    Ok((took, counted.throttled))
}

fn start_run(emulator: &Emulator, directory: &Path, quota: &str, first: u64, rows: u64) -> Result<Child> {
    let input = directory.join(format!("{first}.csv"));
    let lines = (1..=rows).map(|row| format!("{},Resolved,tuned\n", first + row));
    std::fs::write(&input, format!("incidentId,status,comment\n{}", lines.collect::<String>()))?;
    let origin = emulator.origin.to_string();
    let child = Command::new(env!("CARGO_BIN_EXE_bulk-triage"))
        .arg("--no-config")
        .args(["run", "--yes", "--quiet", "--base-url", &origin, "--quota", quota, "--state-dir"])
        .args([&directory.join("state"), &input])
        .current_dir(directory)
        .env("BULK_TRIAGE_TOKEN", "bench")
        .stdout(Stdio::null())
        .spawn()?;
    Ok(child)
}
