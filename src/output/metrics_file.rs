//! The file of metrics: which files it may replace, and how it is written.
//!
//! Promises: it replaces only an empty file or metrics; it is written atomically, and anyone can read it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::files::{self, Access, OutputKind, PathError, PathProblem};

/// A path at which metrics can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetricsFile(PathBuf);

/// How every file of metrics begins.
pub(crate) const MARK: &str = "# HELP bulk_triage_last_run_";

/// The message `used` is empty: what a file holds decides.
const KIND: OutputKind = OutputKind { name: "metrics", option: "--metrics-file", used: "" };

impl MetricsFile {
    /// Examines the path without changing anything.
    ///
    /// # Errors
    /// If its name does not end in `.prom`; if it is a link, a directory, a device, a pipe or another file; if its
    /// directory can't be written.
    pub(crate) fn examine(path: &Path) -> Result<MetricsFile, PathError> {
        let file = MetricsFile(path.to_owned());
        if path.extension().is_none_or(|ending| ending != "prom") {
            let why = "its name must end in `.prom`: the textfile collector reads no other files";
            return Err(PathError::at(&KIND, path)(PathProblem::Other(why.to_owned())));
        }
        file.examine_again()?;
        Ok(file)
    }

    /// Writes the metrics.
    ///
    /// # Errors
    /// If a different file exists by now, or it can't be written.
    pub(crate) fn write(&self, text: &str) -> Result<(), PathError> {
        self.examine_again()?;
        let failed = |error: io::Error| PathError::at(&KIND, &self.0)(error);
        let write = |out: &mut dyn io::Write| out.write_all(text.as_bytes()).map_err(failed);
        files::replace(&self.0, Access::AnyoneReads, write, failed).map(drop)
    }

    fn examine_again(&self) -> Result<(), PathError> {
        let check = |file: File| {
            let mut start = Vec::new();
            file.take(MARK.len() as u64).read_to_end(&mut start)?;
            if start == MARK.as_bytes() { Ok(()) } else { Err(PathProblem::Kept("is not a metrics file")) }
        };
        files::inspect(&self.0, &[], check).map(drop).map_err(PathError::at(&KIND, &self.0))
    }
}
