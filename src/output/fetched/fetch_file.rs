//! The finished file of `fetch`: which files it may replace, and how it is written.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::incident::Fetched;
use super::rows::{self, Columns};
use crate::contract::Contract;
use crate::files::{self, OutputKind, PathError, PathProblem, Readers};

/// The format of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FetchFormat {
    Csv,
    Jsonl,
}

/// A path at which incidents can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFile {
    path: PathBuf,
    format: FetchFormat,
}

/// The message `used` is empty: a fetch reads no file.
pub(super) const KIND: OutputKind = OutputKind { name: "incidents", option: "-o", used: "" };

pub(super) const NOT_FETCHED: PathProblem = PathProblem::Kept("was not fetched");
const EDITED: PathProblem = PathProblem::Kept("has been edited");

impl FetchFile {
    /// Examines the path without changing anything.
    ///
    /// # Errors
    /// If its name has a different ending; if it is a link, a directory, a device, a pipe, a file that was not fetched, or
    /// a fetched file that was edited; if its directory can't be written.
    pub fn examine(path: &Path) -> Result<FetchFile, PathError> {
        let failed = PathError::at(&KIND, path);
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let format = match ending.as_deref() {
            Some("csv") => FetchFormat::Csv,
            Some("jsonl" | "ndjson") => FetchFormat::Jsonl,
            _ => return Err(failed(PathProblem::Other("its name must end in .csv, .jsonl or .ndjson".to_owned()))),
        };
        earlier_rows(path, format).map_err(failed)?;
        Ok(FetchFile { path: path.to_owned(), format })
    }

    /// The path as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the incidents. Returns the number of rows that were replaced.
    ///
    /// # Errors
    /// If a different file exists by now, if it can't be written, or if `incidents` yields an error.
    pub fn write(
        &self,
        contract: &Contract,
        incidents: impl Iterator<Item = io::Result<Fetched>>,
    ) -> Result<u64, PathError> {
        let replaced = earlier_rows(&self.path, self.format).map_err(PathError::at(&KIND, &self.path))?;
        let failed = PathError::at(&KIND, &self.path);
        let columns = Columns::new(contract);
        files::replace(
            &self.path,
            Readers::Owner,
            |out| {
                if self.format == FetchFormat::Csv {
                    out.write_all(&columns.header()).map_err(failed)?;
                }
                for incident in incidents {
                    let incident = incident.map_err(failed)?;
                    let line = match self.format {
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

/// The number of rows of an earlier fetch at this path.
fn earlier_rows(path: &Path, format: FetchFormat) -> Result<u64, PathProblem> {
    let check = |file| {
        let file = BufReader::new(file);
        if format == FetchFormat::Csv { expect_empty_columns(file) } else { expect_empty_members(file) }
    };
    Ok(files::inspect(path, &[], check)?.unwrap_or(0))
}

/// The number of rows of an earlier fetch as CSV.
///
/// # Errors
/// If it is a different file, or was filled in.
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

/// The same for JSONL.
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
