//! Where the results of a run go.

use std::path::{Path, PathBuf};

use super::target::Target;
use crate::cli::error::Error;
use crate::input::Source;
use crate::output::results::{Destination, default_name};
use crate::session::PreparedRun;

/// Where the results of a run go. `results`: as typed.
///
/// # Errors
/// If nothing can be written there.
pub(super) fn destination(
    run: &PreparedRun,
    target: &Target,
    results: Option<&PathBuf>,
    input: &Source,
) -> Result<Destination, Error> {
    let (input, shape) = (input.path(), &run.metadata.shape);
    let name = if target.is_emulated { "emulator" } else { &run.handle.name };
    let path = match results {
        Some(path) => path.clone(),
        None if run.resumes => PathBuf::from(run.journal.run(&run.handle.name)?.facts.results),
        None => default_name(input, name, shape),
    };
    // A run that is resumed may be given its own results file: then it is the input, and stays as it is.
    let is_input = input.is_some_and(|input| same_file(input, &path));
    let path = if is_input && results.is_none() { default_name(input, &format!("{name}-again"), shape) } else { path };
    Ok(Destination::examine(&path, input, shape)?)
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}
