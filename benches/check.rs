//! The figures of `check`: its time relative to reading the file with the `csv` crate, its peak memory, and the time of
//! small commands. `cargo bench --bench check`.
//!
//! Runs the program itself. Times are medians of pairs, measured in turn: other load on the machine affects both alike.

#![expect(clippy::disallowed_methods, reason = "a bench makes files and measures time")]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROWS: u64 = 1_000_000;
const PAIRS: usize = 15;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let large = folder.path().join("large.csv");
    let small = folder.path().join("small.csv");
    write_rows(&large, ROWS)?;
    write_rows(&small, 10)?;
    let megabytes = large.metadata()?.len() / 1_000_000;

    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let read = read_with_csv(&large)?;
        let check = run_check(&large)?;
        pairs.push((read, check));
    }
    let ratio = median(pairs.iter().map(|(read, check)| check.as_secs_f64() / read.as_secs_f64()));
    let read = median(pairs.iter().map(|(read, _)| read.as_secs_f64()));
    let check = median(pairs.iter().map(|(_, check)| check.as_secs_f64()));
    let memory = peak_memory(&large)?;
    let version = median((0..PAIRS).filter_map(|_| run(&["--version"]).ok()).map(|time| time.as_secs_f64()));
    let ten_rows = median((0..PAIRS).filter_map(|_| run_check(&small).ok()).map(|time| time.as_secs_f64()));

    let mut out = std::io::stdout().lock();
    writeln!(out, "{ROWS} rows, {megabytes} MB; medians of {PAIRS}\n")?;
    writeln!(out, "| figure | bound | measured |\n| --- | --- | --- |")?;
    writeln!(out, "| reading with `csv`'s `ByteRecord` | | {:.0} ms |", read * 1e3)?;
    writeln!(out, "| `check` | | {:.0} ms |", check * 1e3)?;
    writeln!(out, "| `check` over reading | ≤ 1.25 | {ratio:.2} |")?;
    writeln!(out, "| peak memory of `check` | ≤ 48 MiB | {:.1} MiB |", memory / 1024.0)?;
    writeln!(out, "| `--version` | ≤ 10 ms | {:.1} ms |", version * 1e3)?;
    writeln!(out, "| `check` of ten rows | ≤ 10 ms | {:.1} ms |", ten_rows * 1e3)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// Rows like those of an export, with unordered ids.
fn write_rows(path: &Path, rows: u64) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    writeln!(out, "incidentId,status,assignedTo,classification,determination,tags,comment")?;
    for row in 0..rows {
        // The factor is odd, so ids below 2²⁴ do not repeat.
        let id = 1 + row.wrapping_mul(0x9e_3779) % (1 << 24);
        match row % 4 {
            0 => writeln!(out, "{id},Resolved,ana.silva@contoso.com,FalsePositive,,tuned; 2026-11,Tuned rule DL-17")?,
            1 => writeln!(
                out,
                "{id},Resolved,jo.berg@contoso.com,TruePositive,Malware,,\"Host rebuilt, accounts reset\""
            )?,
            2 => writeln!(out, "{id},Resolved,,False positive,,,Scanner of the vulnerability team (announced)")?,
            _ => writeln!(out, "{id},Active,ana.silva@contoso.com,,,,\"He said \"\"again\"\"\"")?,
        }
    }
    Ok(out.flush()?)
}

fn read_with_csv(path: &Path) -> Result<Duration> {
    let start = now();
    let mut reader = csv::Reader::from_path(path)?;
    let mut record = csv::ByteRecord::new();
    let mut cells = 0;
    while reader.read_byte_record(&mut record)? {
        cells += record.len();
    }
    assert!(cells > 0);
    Ok(start.elapsed())
}

fn run_check(path: &Path) -> Result<Duration> {
    run(&["check", &path.to_string_lossy()])
}

fn run(arguments: &[&str]) -> Result<Duration> {
    let start = now();
    let status = Command::new(env!("CARGO_BIN_EXE_bulk-triage"))
        .arg("--no-config")
        .args(arguments)
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(start.elapsed()) } else { Err(format!("{arguments:?}: {status}").into()) }
}

/// Peak resident set of a check, in KiB. The kernel keeps the maximum, so the last value read while it runs counts.
fn peak_memory(path: &Path) -> Result<f64> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bulk-triage"))
        .arg("--no-config")
        .arg("check")
        .arg(path)
        .stdout(Stdio::null())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    while child.try_wait()?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = mark.and_then(|mark| mark.trim().strip_suffix(" kB")) {
            peak = kib.trim().parse()?;
        }
    }
    Ok(peak)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
