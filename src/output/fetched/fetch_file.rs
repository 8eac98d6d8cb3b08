//! The finished file of `fetch`: what may stand at its path before, and how it is written.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::incident::Fetched;
use super::rows::{self, Columns};
use crate::contract::Contract;
use crate::files::{self, PathProblem, Refusal};
use crate::text::printable;

/// How the rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FetchFormat {
    Csv,
    Jsonl,
}

/// A path at which incidents can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFile {
    path: PathBuf,
    form: FetchFormat,
}

/// Why incidents can't be written there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write incidents to `{}`: {reason}", printable(&.path.to_string_lossy()))]
pub struct FetchPlaceError {
    pub(super) path: PathBuf,
    pub(super) reason: Reason,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error("its name must end in .csv, .jsonl or .ndjson")]
    Extension,
    #[error("{0}; name another file with `-o`")]
    Refused(Refusal),
    #[error("the file exists and was not fetched; move it away, or name another file with `-o`")]
    ForeignFile,
    #[error("the file exists and has been edited; move it away, or name another file with `-o`")]
    FilledIn,
    #[error("another fetch is writing it")]
    Held,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl FetchPlaceError {
    /// Whether another process is writing it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self.reason, Reason::Held)
    }

    /// The I/O error, if it is one.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl FetchFile {
    /// Inspects the path without a change.
    ///
    /// # Errors
    /// If its name ends otherwise; if it is a link, a directory, a device or a pipe, a file that was not fetched, or one
    /// that has been edited; if its directory can't be written.
    pub fn examine(path: &Path) -> Result<FetchFile, FetchPlaceError> {
        let failed = |reason| FetchPlaceError { path: path.to_owned(), reason };
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let form = match ending.as_deref() {
            Some("csv") => FetchFormat::Csv,
            Some("jsonl" | "ndjson") => FetchFormat::Jsonl,
            _ => return Err(failed(Reason::Extension)),
        };
        look_at(path, form).map_err(failed)?;
        Ok(FetchFile { path: path.to_owned(), form })
    }

    /// The path as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the incidents there. Returns the number of rows that it replaces.
    ///
    /// # Errors
    /// If another file is there by now, if it can't be written, or if `incidents` ends in an error.
    pub fn write(
        &self,
        contract: &Contract,
        incidents: impl Iterator<Item = io::Result<Fetched>>,
    ) -> Result<u64, FetchPlaceError> {
        let replaced = look_at(&self.path, self.form).map_err(|reason| self.failed(reason))?;
        let failed = |error| self.failed(Reason::Io(error));
        let columns = Columns::new(contract);
        files::replace(
            &self.path,
            |out| {
                if self.form == FetchFormat::Csv {
                    out.write_all(&columns.header()).map_err(failed)?;
                }
                for incident in incidents {
                    let incident = incident.map_err(failed)?;
                    let line = match self.form {
                        FetchFormat::Csv => columns.csv(&incident),
                        FetchFormat::Jsonl => columns.jsonl(&incident),
                    };
                    out.write_all(&line).map_err(failed)?;
                }
                Ok(())
            },
            failed,
        )?;
        Ok(replaced)
    }

    fn failed(&self, reason: Reason) -> FetchPlaceError {
        FetchPlaceError { path: self.path.clone(), reason }
    }
}

impl From<Refusal> for Reason {
    fn from(why: Refusal) -> Reason {
        match why {
            Refusal::Io(error) => Reason::Io(error),
            why => Reason::Refused(why),
        }
    }
}

impl From<PathProblem> for Reason {
    fn from(obstacle: PathProblem) -> Reason {
        match obstacle {
            // A fetch reads no file.
            PathProblem::Used => Reason::ForeignFile,
            PathProblem::Refused(why) => why.into(),
        }
    }
}

/// The number of rows of the earlier fetch at this path.
fn look_at(path: &Path, form: FetchFormat) -> Result<u64, Reason> {
    let judge = |file| {
        let file = BufReader::new(file);
        if form == FetchFormat::Csv { expect_empty_columns(file) } else { expect_empty_members(file) }
    };
    Ok(files::inspect(path, &[], judge)?.unwrap_or(0))
}

/// Of an earlier fetch as CSV: nothing was filled in.
fn expect_empty_columns(file: impl Read) -> Result<u64, Reason> {
    let mut reader = ::csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let Ok(header) = reader.byte_headers().cloned() else { return Err(Reason::ForeignFile) };
    let names = header.iter().map(|name| std::str::from_utf8(name).unwrap_or_default());
    let empty = rows::empty_columns(names).ok_or(Reason::ForeignFile)?;
    let mut rows = 0;
    for record in reader.byte_records() {
        let record = record.map_err(|_| Reason::ForeignFile)?;
        rows += 1;
        if record.iter().skip(1).take(empty).any(|cell| !cell.trim_ascii().is_empty()) {
            return Err(Reason::FilledIn);
        }
    }
    Ok(rows)
}

/// The same as JSONL.
fn expect_empty_members(file: impl BufRead) -> Result<u64, Reason> {
    let mut rows = 0;
    for line in file.lines() {
        let line = line.map_err(|_| Reason::ForeignFile)?;
        match rows::empty_members(&line) {
            Some(0) => rows += 1,
            Some(_) => return Err(Reason::FilledIn),
            None => return Err(Reason::ForeignFile),
        }
    }
    Ok(rows)
}
