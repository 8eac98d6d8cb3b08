//! The machine: what its facts are, and how figures that vary are put into one number.

use std::fs::File;
use std::io::{Seek as _, Write as _};

use bulk_triage::clock::Clock;

use super::Result;

/// Cores, and what it takes to make a commit durable in the directory where the journals are.
pub(crate) fn facts() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{cores} cores; a durable write takes {:.2} ms", durable_write()? * 1e3))
}

/// Seconds for what a commit of the journal asks of the disk: some pages over others in a file that is there, then
/// `fdatasync`. The median of many.
fn durable_write() -> Result<f64> {
    static PAGES: [u8; 6 * 4096] = [7; 6 * 4096];
    let clock = Clock::machine();
    let mut file: File = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    for _ in 0..200 {
        file.write_all(&PAGES)?;
    }
    file.sync_all()?;
    file.rewind()?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = clock.now().boot;
        file.write_all(&PAGES)?;
        file.sync_data()?;
        times.push(clock.now().boot.since(start).as_secs_f64());
    }
    Ok(median(times))
}

/// The one in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
