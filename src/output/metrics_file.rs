//! The file of metrics: which files it may replace, and how it is written.
//!
//! Promises: it replaces only an empty file or metrics; it is written atomically, and anyone can read it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::files::{self, OutputKind, PathError, PathProblem, Readers};

/// How every file of metrics begins.
pub(crate) const MARK: &str = "# HELP bulk_triage_last_run_";

/// The message `used` is empty: what a file holds decides.
const KIND: OutputKind = OutputKind { name: "metrics", option: "--metrics-file", used: "" };

/// Checks that metrics can be written at a path, and changes nothing.
///
/// # Errors
/// If its name does not end in `.prom`; if it is a link, a directory, a device, a pipe or another file; if its directory
/// can't be written.
pub(crate) fn examine(path: &Path) -> Result<(), PathError> {
    let failed = PathError::at(&KIND, path);
    if path.extension().is_none_or(|ending| ending != "prom") {
        let why = "its name must end in `.prom`: the textfile collector reads no other files";
        return Err(failed(PathProblem::Other(why.to_owned())));
    }
    let check = |file: File| {
        let mut start = Vec::new();
        file.take(MARK.len() as u64).read_to_end(&mut start)?;
        if start == MARK.as_bytes() { Ok(()) } else { Err(PathProblem::Kept("is not a metrics file")) }
    };
    files::inspect(path, &[], check).map(drop).map_err(failed)
}

/// Writes metrics.
///
/// # Errors
/// As [`examine`], or if the file can't be written.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), PathError> {
    examine(path)?;
    let failed = |error: io::Error| PathError::at(&KIND, path)(error);
    let write = |out: &mut dyn io::Write| out.write_all(text.as_bytes()).map_err(failed);
    files::replace(path, Readers::Anyone, write, failed).map(drop)
}
