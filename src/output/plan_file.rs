//! The file of a plan: which files it may replace, and how it is written.
//!
//! Promises: it replaces only an empty file or a plan; it is written atomically.

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use crate::files::{self, OutputKind, PathError, PathProblem, Readers};
use crate::plan::{self, Header, PlanRow};

/// A path at which a plan can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    path: PathBuf,
    input: Option<PathBuf>,
}

const KIND: OutputKind = OutputKind { name: "the plan", option: "-o", used: "it is the input" };

impl PlanFile {
    /// Examines the path without changing anything. `input` is the input's path, if it has one.
    ///
    /// # Errors
    /// If it is a link, a directory, a device, a pipe, the input itself, or a file that is not a plan; if its directory
    /// can't be written.
    pub fn examine(path: &Path, input: Option<&Path>) -> Result<PlanFile, PathError> {
        let needs_file = || PathProblem::Other("the plan needs a file; name one with `-o`".to_owned());
        let examined = if path == Path::new("-") { Err(needs_file()) } else { examine(path, input) };
        examined.map_err(PathError::at(&KIND, path))?;
        Ok(PlanFile { path: path.to_owned(), input: input.map(Path::to_owned) })
    }

    /// The path as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a plan. Returns its checksum.
    ///
    /// # Errors
    /// If a different file exists by now, if it can't be written, or if `rows` yields an error.
    pub fn write<E: From<PathError>>(
        &self,
        header: &Header,
        rows: impl Iterator<Item = Result<PlanRow, E>>,
    ) -> Result<String, E> {
        examine(&self.path, self.input.as_deref()).map_err(PathError::at(&KIND, &self.path))?;
        let failed = |error: io::Error| E::from(PathError::at(&KIND, &self.path)(error));
        let mut checksum = String::new();
        let write = |out: &mut dyn Write| {
            checksum = plan::write(out, header, rows, failed)?;
            Ok(())
        };
        files::replace(&self.path, Readers::Owner, write, failed)?;
        Ok(checksum)
    }
}

fn examine(path: &Path, input: Option<&Path>) -> Result<(), PathProblem> {
    files::inspect(path, input.as_slice(), |file| {
        let mut beginning = Vec::new();
        file.take(64).read_to_end(&mut beginning)?;
        if plan::is_plan(&beginning) { Ok(()) } else { Err(PathProblem::Kept("is not a plan")) }
    })
    .map(drop)
}
