//! Where the results of a run go, and which older ones are deleted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;

use super::arguments::SendArgs;
use super::target::Target;
use super::terminal::say;
use crate::cli::error::Error;
use crate::files::is_same_file;
use crate::input::Source;
use crate::journal::{History, JournalError, RunState};
use crate::model::setting::Settings;
use crate::output::results::{Destination, EMULATOR, dated_name, default_name, delete_old};
use crate::session::PreparedRun;

/// Where the results of a run go.
///
/// # Errors
/// If nothing can be written there.
pub(super) fn destination(
    run: &PreparedRun,
    target: &Target,
    args: &SendArgs,
    input: &Source,
) -> Result<Destination, Error> {
    let (input, shape) = (input.path(), &run.metadata.shape);
    let name = if target.is_emulated { EMULATOR } else { &run.handle.name };
    let now = run.clock().now().wall;
    let unnamed = |name: &str| match results_dir(args) {
        Some(dir) => dir.join(dated_name(input, now, name, shape)),
        None => default_name(input, name, shape),
    };
    let path = match &args.results {
        Some(path) => path.clone(),
        None if run.resumes => PathBuf::from(run.journal.run(&run.handle.name)?.facts.results),
        None => unnamed(name),
    };
    // A run that is resumed may be given its own results file: then it is the input, and stays as it is.
    let is_input = input.is_some_and(|input| is_same_file(input, &path));
    let path = if is_input && args.results.is_none() { unnamed(&format!("{name}-again")) } else { path };
    Ok(Destination::examine(&path, input, shape)?)
}

/// The directory of the results, unless their file was named.
fn results_dir(args: &SendArgs) -> Option<&Path> {
    args.results_dir.as_deref().filter(|_| args.results.is_none())
}

/// The quota's ledger and what `--remember` looks at by default are younger than this, and so are results that somebody
/// may still need.
pub(super) const YOUNGEST_DELETED: Duration = Duration::from_hours(24);

/// Checks how long results are kept.
///
/// # Errors
/// If it is less than a day, or was typed without a directory.
pub(super) fn expect_retention(args: &SendArgs, typed: &Settings) -> Result<(), Error> {
    if typed.has("--results-keep") && results_dir(args).is_none() {
        return Err(Error::usage("--results-keep needs --results-dir: only files in that directory are deleted"));
    }
    if args.results_keep.is_some_and(|keep| keep < YOUNGEST_DELETED) {
        return Err(Error::usage("--results-keep must be at least a day (24h)"));
    }
    Ok(())
}

/// Deletes old results in the directory of the results, except those of unfinished runs, the input, and `results`, which
/// were written now. If that fails, they stay, which is told. The earlier of both clocks counts, and `offset` is that of the
/// service's: with a date that is weeks ahead, this machine's would delete them too early. If it is unknown, all stay.
pub(super) fn delete_old_results(
    args: &SendArgs,
    input: Option<&Path>,
    results: &Path,
    journal: &History,
    offset: Option<SignedDuration>,
) -> u64 {
    let (Some(dir), Some(keep), Some(offset)) = (results_dir(args), args.results_keep, offset) else { return 0 };
    let ours = journal.clock().now().wall;
    let now = ours.saturating_add(offset.min(SignedDuration::ZERO)).unwrap_or(ours);
    let is_in_use = |path: &Path| is_same_file(path, results) || input.is_some_and(|input| is_same_file(path, input));
    let is_unfinished = |run: &str| match journal.run(run) {
        Ok(run) => run.state == RunState::Unfinished,
        Err(error) => !matches!(error, JournalError::NoSuchRun(_)),
    };
    let is_needed = |path: &Path, run: &str| is_in_use(path) || is_unfinished(run);
    delete_old(dir, keep, now, is_needed).unwrap_or_else(|error| {
        say(&format!("cannot delete old results in {}: {error}", dir.display()));
        0
    })
}

pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}
