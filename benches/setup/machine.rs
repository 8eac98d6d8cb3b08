//! Facts about the machine, and medians.

use std::fs::File;
use std::io::{Seek as _, Write as _};

use bulk_triage::clock::Clock;

use super::Result;

/// Cores, and the time of a durable write in the directory of the journals.
pub(crate) fn facts() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{cores} cores; a durable write takes {:.2} ms", durable_write()? * 1e3))
}

/// Median time, in seconds, of a write like the journal's: overwrite pages of an existing file, then `fdatasync`.
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

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
