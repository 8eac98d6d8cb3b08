//! The plan's file: where a plan may be written, and how it gets its name.
//!
//! Promises: nothing is replaced but an empty file or a plan; the name is given in one step, to a whole plan.

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use crate::files::{self, OutputKind, PathError, PathProblem};
use crate::plan::{self, Header, PlanRow};

/// A path at which a plan can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    path: PathBuf,
    input: Option<PathBuf>,
}

const KIND: OutputKind = OutputKind { name: "the plan", option: "-o", used: "it is the input" };

impl PlanFile {
    /// Looks at what is there, and changes nothing. `input` is the input's path, where it has one.
    ///
    /// # Errors
    /// Where it is a link, a directory, a device or a pipe, the input itself, or a file that is no plan; where its
    /// directory can't be written.
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

    /// Writes a plan there. Returns its checksum.
    ///
    /// # Errors
    /// Where something else stands there by now, where it can't be written, and where `rows` ends in an error.
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
        files::replace(&self.path, write, failed)?;
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
