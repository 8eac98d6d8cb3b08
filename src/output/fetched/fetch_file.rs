//! The finished file of `fetch`: what may stand at its path before, and how it is written.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::incident::Fetched;
use super::rows::{self, Columns};
use crate::contract::Contract;
use crate::files::{self, OutputKind, PathError, PathProblem};

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

/// A fetch reads no file.
pub(super) const KIND: OutputKind = OutputKind { name: "incidents", option: "-o", used: "" };

pub(super) const NOT_FETCHED: PathProblem = PathProblem::Kept("was not fetched");
const EDITED: PathProblem = PathProblem::Kept("has been edited");

impl FetchFile {
    /// Inspects the path without a change.
    ///
    /// # Errors
    /// If its name ends otherwise; if it is a link, a directory, a device or a pipe, a file that was not fetched, or one
    /// that has been edited; if its directory can't be written.
    pub fn examine(path: &Path) -> Result<FetchFile, PathError> {
        let failed = PathError::at(&KIND, path);
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let form = match ending.as_deref() {
            Some("csv") => FetchFormat::Csv,
            Some("jsonl" | "ndjson") => FetchFormat::Jsonl,
            _ => return Err(failed(PathProblem::Other("its name must end in .csv, .jsonl or .ndjson".to_owned()))),
        };
        earlier_rows(path, form).map_err(failed)?;
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
    ) -> Result<u64, PathError> {
        let replaced = earlier_rows(&self.path, self.form).map_err(PathError::at(&KIND, &self.path))?;
        let failed = PathError::at(&KIND, &self.path);
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
}

/// The number of rows of the earlier fetch at this path.
fn earlier_rows(path: &Path, form: FetchFormat) -> Result<u64, PathProblem> {
    let judge = |file| {
        let file = BufReader::new(file);
        if form == FetchFormat::Csv { expect_empty_columns(file) } else { expect_empty_members(file) }
    };
    Ok(files::inspect(path, &[], judge)?.unwrap_or(0))
}

/// Of an earlier fetch as CSV: nothing was filled in.
fn expect_empty_columns(file: impl Read) -> Result<u64, PathProblem> {
    let mut reader = ::csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let Ok(header) = reader.byte_headers().cloned() else { return Err(NOT_FETCHED) };
    let names = header.iter().map(|name| std::str::from_utf8(name).unwrap_or_default());
    let empty = rows::empty_columns(names).ok_or(NOT_FETCHED)?;
    let mut rows = 0;
    for record in reader.byte_records() {
        let record = record.map_err(|_| NOT_FETCHED)?;
        rows += 1;
        if record.iter().skip(1).take(empty).any(|cell| !cell.trim_ascii().is_empty()) {
            return Err(EDITED);
        }
    }
    Ok(rows)
}

/// The same as JSONL.
fn expect_empty_members(file: impl BufRead) -> Result<u64, PathProblem> {
    let mut rows = 0;
    for line in file.lines() {
        let line = line.map_err(|_| NOT_FETCHED)?;
        match rows::empty_members(&line) {
            Some(0) => rows += 1,
            Some(_) => return Err(EDITED),
            None => return Err(NOT_FETCHED),
        }
    }
    Ok(rows)
}
