//! The figure of sending: the pace relative to a bare `reqwest` loop, if every request has its permit, intent and
//! outcome in the journal, each synced to disk. `cargo bench --bench sending`.
//!
//! The quota is too large to matter. Both send the same updates to the same emulator, in turn; the ratio is the median
//! of the pairs, because other load on the machine affects both alike.

#![expect(clippy::disallowed_methods, reason = "a bench makes files and measures time")]

mod setup;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulk_triage::apply::Completion;
use bulk_triage::client::{ConsentedOrigin, HttpTransport, Origin};
use bulk_triage::clock::Clock;
use tokio::task::JoinSet;

use setup::{Emulator, Prepared, Result, facts, median};

/// Too large to delay a request.
const QUOTA: &str = "1000000/1s";
const PAIRS: usize = 7;
/// Approximate time of each run.
const SECONDS: u64 = 2;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Fails if a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "medians of {PAIRS} pairs; {}\n", facts()?)?;
    writeln!(out, "| server latency | calls at once | bare loop, calls/s | sending, calls/s | ratio | bound |")?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- |")?;
    for (milliseconds, bound) in [(5, 0.88), (20, 0.93)] {
        for concurrency in [8, 32] {
            let emulator = Emulator::start(QUOTA, &format!("{milliseconds}ms"), 0)?;
            let rows = (SECONDS * 1_000 / milliseconds * u64::from(concurrency)).min(6_000);
            let mut pairs = Vec::new();
            for pair in 0..PAIRS as u64 {
                let first = 2 * pair * rows;
                let bare = runtime.block_on(bare_loop(&emulator.origin, concurrency, first, rows))?;
                let sending = runtime.block_on(sending(&emulator.origin, concurrency, first + rows, rows))?;
                pairs.push((pace(rows, bare), pace(rows, sending)));
            }
            let counted = emulator.stop()?;
            assert_eq!((counted.requests, counted.throttled), (rows * 2 * PAIRS as u64, 0), "each row is one request");
            let bare = median(pairs.iter().map(|(bare, _)| *bare));
            let sending = median(pairs.iter().map(|(_, sending)| *sending));
            let ratio = median(pairs.iter().map(|(bare, sending)| sending / bare));
            writeln!(out, "| {milliseconds} ms | {concurrency} | {bare:.0} | {sending:.0} | {ratio:.3} | ≥ {bound} |")?;
        }
    }
    Ok(())
}

fn pace(rows: u64, took: Duration) -> f64 {
    f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) / took.as_secs_f64()
}

async fn sending(origin: &Origin, concurrency: u32, first: u64, rows: u64) -> Result<Duration> {
    let transport = HttpTransport::new(&ConsentedOrigin::by_user(origin.clone()), concurrency as usize)?;
    let sent = Prepared::rows(first, rows, QUOTA)?.send(transport, concurrency).await?;
    let calls = Some(sent.end.requests.calls);
    assert_eq!((sent.end.completion, calls), (Completion::Finished, Some(rows)));
    Ok(sent.took)
}

/// The simplest client: concurrent tasks, each of which sends one request after another.
async fn bare_loop(origin: &Origin, concurrency: u32, first: u64, rows: u64) -> Result<Duration> {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    let clock = Clock::machine();
    let next = Arc::new(AtomicU64::new(1));
    let mut tasks = JoinSet::new();
    let start = clock.now().boot;
    for _ in 0..concurrency {
        let (client, next, origin) = (client.clone(), Arc::clone(&next), origin.clone());
        tasks.spawn(async move {
            loop {
                let row = next.fetch_add(1, Ordering::Relaxed);
                if row > rows {
                    return Ok::<(), reqwest::Error>(());
                }
                let request = client
                    .patch(format!("{origin}/api/incidents/{}", first + row))
                    .header("authorization", "Bearer bench")
                    .header("content-type", "application/json")
                    .body(body(first + row));
                #[expect(clippy::disallowed_methods, reason = "a bench of the client needs another one")]
                let response = request.send().await?;
                response.error_for_status()?.bytes().await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(clock.now().boot.since(start))
}

/// The request body for an incident, as `Prepared` sends it.
fn body(incident: u64) -> String {
    format!(r#"{{"status":"Resolved","classification":"FalsePositive","comment":"Rule 4711, incident {incident}"}}"#)
}
