//! The results files of a directory that are named by day: their names, and which of them are deleted.
//!
//! Promises: only a file of this user with such a name and the first line of results is deleted, through no link, and
//! never one that a run is writing.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::destination::{EMULATOR, holds_results, stem};
use crate::files;
use crate::input::InputShape;
use crate::journal::is_run_name;

/// The name of results in a directory of their own: `close.2026-11-28.7f3k.results.csv` for `close.csv`, and also if the
/// input is a results file of that name.
///
/// The day is that of `now` in UTC. `run` is the run's ID, or `emulator`. `input` is `None` for standard input.
#[must_use]
pub fn dated_name(input: Option<&Path>, now: Timestamp, run: &str, shape: &InputShape) -> PathBuf {
    let is_dated = input.and_then(Path::file_name).is_some_and(|name| run_of(&name.to_string_lossy()).is_some());
    let stem = stem(input);
    let without_day = Path::new(&stem).file_stem().filter(|_| is_dated).map(OsStr::to_owned);
    let mut name = without_day.unwrap_or(stem);
    name.push(format!(".{}.{run}.results.{}", now.strftime("%Y-%m-%d"), shape.extension()));
    name.into()
}

/// The run of a results file with a dated name. A run that was resumed from its own results has `7f3k-again` there.
fn run_of(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".csv").or_else(|| name.strip_suffix(".jsonl"))?.strip_suffix(".results")?;
    let (rest, run) = name.rsplit_once('.')?;
    let (stem, day) = rest.rsplit_once('.')?;
    let is_dated = !stem.is_empty() && day.len() == "2026-11-28".len() && day.parse::<Date>().is_ok();
    let run = run.strip_suffix("-again").unwrap_or(run);
    (is_dated && (is_run_name(run) || run == EMULATOR)).then_some(run)
}

/// Deletes the results files with a dated name that were last written longer ago than `keep`. Those for whose path and
/// run `is_needed` says so stay. Returns how many it deleted.
///
/// # Errors
/// If the directory can't be read, or another user has linked it. A file that can't be deleted stays.
pub fn delete_old(
    directory: &Path,
    keep: Duration,
    now: Timestamp,
    is_needed: impl Fn(&Path, &str) -> bool,
) -> io::Result<u64> {
    let directory = files::resolve(directory)?;
    let before = now.saturating_sub(SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX));
    let before = before.unwrap_or(Timestamp::MIN).as_second();
    let mut deleted = 0;
    for entry in fs::read_dir(&directory)?.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Some(run) = name.to_str().and_then(run_of) else { continue };
        let is_old = entry.metadata().is_ok_and(|found| found.is_file() && found.mtime() < before);
        if is_old && !is_needed(&path, run) {
            let end = files::delete_own(&path, |file| matches!(holds_results(file), Ok(true)));
            deleted += u64::from(end.is_ok());
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dated_names_are_as_documented() {
        let shape = InputShape::Jsonl { bom: false };
        let now: Timestamp = "2026-11-28T23:59:59Z".parse().expect("valid");
        for (input, name) in [
            (Some("close.jsonl"), "close.2026-11-28.7f3k.results.jsonl"),
            (Some("/data/close.v2.jsonl"), "close.v2.2026-11-28.7f3k.results.jsonl"),
            (Some("close.2026-11-01.6aaa.results.jsonl"), "close.2026-11-28.7f3k.results.jsonl"),
            (Some("close.6aaa.results.jsonl"), "close.2026-11-28.7f3k.results.jsonl"),
            (Some("close.2026-11-01.jsonl"), "close.2026-11-01.2026-11-28.7f3k.results.jsonl"),
            (None, "stdin.2026-11-28.7f3k.results.jsonl"),
        ] {
            assert_eq!(dated_name(input.map(Path::new), now, "7f3k", &shape), Path::new(name), "{input:?}");
            assert_eq!(run_of(name), Some("7f3k"));
        }
        assert_eq!(run_of("a.2026-11-28.7f3k-again.results.csv"), Some("7f3k"));
    }

    #[test]
    fn other_names_are_not_of_results() {
        for name in [
            "close.7f3k.results.csv",
            "close.2026-13-28.7f3k.results.csv",
            "close.2026-11-28.7f3k.results.csv.part",
            "close.2026-11-28.7f3k.results.2.csv",
            "close.2026-11-28.7f3k.csv",
            ".2026-11-28.7f3k.results.csv",
            "2026-11-28.7f3k.results.csv",
            "close.2026-11-28..results.csv",
            "close.20261128.7f3k.results.csv",
            "close.2026-11-28.backup.results.csv",
            "close.2026-11-28.copy.results.csv",
            "close.2026-11-28.7F3K.results.csv",
        ] {
            assert_eq!(run_of(name), None, "{name}");
        }
    }
}
