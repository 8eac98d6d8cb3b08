//! The plan's file: where a plan may be written, and how it gets its name.
//!
//! Promises: nothing is replaced but an empty file or a plan; the name is given in one step, to a whole plan.

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use crate::files::{self, PathProblem, Refusal};
use crate::plan::{self, Header, PlanRow};
use crate::text::printable;

/// A path at which a plan can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    path: PathBuf,
    input: Option<PathBuf>,
}

/// Why a plan can't be written there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the plan to `{}`: {reason}", printable(&.path.to_string_lossy()))]
pub struct PlanPlaceError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("the plan needs a file; name one with `-o`")]
    StandardOutput,
    #[error("{0}; name another file with `-o`")]
    Refused(Refusal),
    #[error("it is the input; name another file with `-o`")]
    Input,
    #[error("the file exists and is not a plan; move it away, or name another file with `-o`")]
    ForeignFile,
    #[error("{0}")]
    Io(io::Error),
}

impl PlanPlaceError {
    /// What the machine said, if it was the machine.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl PlanFile {
    /// Looks at what is there, and changes nothing. `input` is the input's path, where it has one.
    ///
    /// # Errors
    /// Where it is a link, a directory, a device or a pipe, the input itself, or a file that is no plan; where its
    /// directory can't be written.
    pub fn examine(path: &Path, input: Option<&Path>) -> Result<PlanFile, PlanPlaceError> {
        let reason = if path == Path::new("-") { Err(Reason::StandardOutput) } else { look_at(path, input) };
        reason.map_err(|reason| PlanPlaceError { path: path.to_owned(), reason })?;
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
    pub fn write<E: From<PlanPlaceError>>(
        &self,
        header: &Header,
        rows: impl Iterator<Item = Result<PlanRow, E>>,
    ) -> Result<String, E> {
        let failed = |reason| E::from(PlanPlaceError { path: self.path.clone(), reason });
        look_at(&self.path, self.input.as_deref()).map_err(failed)?;
        let failed = |error| failed(Reason::Io(error));
        let mut checksum = String::new();
        let write = |out: &mut dyn Write| {
            checksum = plan::write(out, header, rows, failed)?;
            Ok(())
        };
        files::replace(&self.path, write, failed)?;
        Ok(checksum)
    }
}

impl From<PathProblem> for Reason {
    fn from(obstacle: PathProblem) -> Reason {
        match obstacle {
            PathProblem::Used => Reason::Input,
            PathProblem::Refused(Refusal::Io(error)) => Reason::Io(error),
            PathProblem::Refused(why) => Reason::Refused(why),
        }
    }
}

fn look_at(path: &Path, input: Option<&Path>) -> Result<(), Reason> {
    files::inspect(path, input.as_slice(), |file| {
        let mut beginning = Vec::new();
        file.take(64).read_to_end(&mut beginning).map_err(Reason::Io)?;
        if plan::is_plan(&beginning) { Ok(()) } else { Err(Reason::ForeignFile) }
    })
    .map(drop)
}
