//! Writes a results file: creates it with the finished rows, appends further rows, and finally sorts it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::destination::Destination;
use super::{csv, jsonl};
use crate::files::{self, OutputError, Readers};
use crate::input::InputShape;
use crate::model::outcome::ResultRow;
use crate::text::BOM;

/// A results file that is being written.
#[derive(Debug)]
pub struct ResultsFile {
    path: PathBuf,
    shape: InputShape,
    /// Holds the file's lock, so that no other run writes to it.
    file: File,
    /// The length of the complete lines, in bytes.
    length: u64,
}

impl ResultsFile {
    /// Creates the file with the rows that are already finished (none in a new run). It may replace the file that
    /// `destination` found.
    ///
    /// If these are all rows of a run, in order, the results are complete.
    ///
    /// # Errors
    /// If a different file exists by now, if it can't be written, or if `finished` yields an error.
    pub fn create<E>(
        destination: &Destination,
        shape: InputShape,
        finished: impl IntoIterator<Item = Result<ResultRow, E>>,
    ) -> Result<ResultsFile, OutputError<E>> {
        // Time has passed since the first check, because of the prompt.
        destination.examine_again().map_err(OutputError::Path)?;
        let path = destination.path().to_owned();
        let file = replace(&path, &shape, finished)?;
        let length = file.metadata().map_err(|error| OutputError::Write(named(&path, &error)))?.len();
        Ok(ResultsFile { path, shape, file, length })
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends finished rows.
    ///
    /// # Errors
    /// If they can't be written. The error names the file, which is unchanged.
    pub fn append(&mut self, rows: &[ResultRow]) -> io::Result<()> {
        let lines: Vec<u8> = rows.iter().flat_map(|row| encode(&self.shape, row)).collect();
        self.file.write_all_at(&lines, self.length).map_err(|error| {
            // A part may have been written before the disk was full.
            let _ = self.file.set_len(self.length);
            named(&self.path, &error)
        })?;
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Replaces the file with one in the input's order. Returns its path, which is a different one if another file has
    /// the name by now.
    ///
    /// # Errors
    /// If it can't be written, or if `ordered` yields an error. The unsorted file then still exists.
    pub fn finish<E>(
        &self,
        ordered: impl IntoIterator<Item = Result<ResultRow, E>>,
    ) -> Result<PathBuf, OutputError<E>> {
        let failed = |error: io::Error| OutputError::Write(named(&self.path, &error));
        let path = if self.is_ours().map_err(failed)? { self.path.clone() } else { free_name(&self.path) };
        replace(&path, &self.shape, ordered)?;
        Ok(path)
    }

    /// Whether the path still has this file, or none.
    fn is_ours(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// `close.7f3k.results.2.csv` for `close.7f3k.results.csv`, or the next number if that exists.
fn free_name(path: &Path) -> PathBuf {
    let numbered = |number: u64| {
        let mut name = path.file_stem().unwrap_or_default().to_owned();
        name.push(format!(".{number}"));
        if let Some(ending) = path.extension() {
            name.push(".");
            name.push(ending);
        }
        path.with_file_name(name)
    };
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    (2..1_000).map(numbered).find(is_free).unwrap_or_else(|| numbered(fastrand::u64(1_000..)))
}

/// Writes a results file atomically and durably.
fn replace<E>(
    path: &Path,
    shape: &InputShape,
    rows: impl IntoIterator<Item = Result<ResultRow, E>>,
) -> Result<File, OutputError<E>> {
    let failed = |error: io::Error| OutputError::Write(named(path, &error));
    files::replace(
        path,
        Readers::Owner,
        |out| {
            out.write_all(&header(shape)).map_err(failed)?;
            for row in rows {
                out.write_all(&encode(shape, &row.map_err(OutputError::Rows)?)).map_err(failed)?;
            }
            Ok(())
        },
        failed,
    )
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("results file `{}`: {error}", path.display()))
}

fn header(shape: &InputShape) -> Vec<u8> {
    match shape {
        InputShape::Csv { delimiter, bom, columns } => csv::header(*delimiter, *bom, columns),
        InputShape::Jsonl { bom: true } => BOM.into(),
        InputShape::Jsonl { bom: false } => Vec::new(),
    }
}

/// The line of a row, with its line end.
fn encode(shape: &InputShape, row: &ResultRow) -> Vec<u8> {
    match shape {
        InputShape::Csv { delimiter, .. } => csv::line(*delimiter, row),
        InputShape::Jsonl { .. } => jsonl::line(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::{Outcome, OutcomeKind, RowCode};
    use std::convert::Infallible;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const HEADER: &str =
        "row,line,incident_id,outcome,code,message,http_status,attempts,request_id,finished_at,incidentId\n";

    fn shape() -> InputShape {
        InputShape::Csv { delimiter: ',', bom: false, columns: vec!["incidentId".to_owned()] }
    }

    fn row(number: u64) -> ResultRow {
        ResultRow {
            row: number,
            line: number + 1,
            incident_id: number.to_string(),
            outcome: Outcome::new(OutcomeKind::Updated, RowCode::Empty, ""),
            attempts: 1,
            source: number.to_string().into_bytes(),
        }
    }

    fn line(number: u64) -> String {
        format!("{number},{},{number},updated,,,,1,,,{number}\n", number + 1)
    }

    fn rows(numbers: &[u64]) -> impl Iterator<Item = Result<ResultRow, Infallible>> {
        numbers.iter().map(|number| Ok(row(*number)))
    }

    #[test]
    fn results_grow_and_end_in_input_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("results.csv");
        let destination = Destination::examine(&path, None, &shape()).expect("free");
        let read = || fs::read_to_string(&path).expect("reads");

        let mut file = ResultsFile::create(&destination, shape(), rows(&[3])).expect("creates");
        assert_eq!(read(), [HEADER, &line(3)].concat());
        file.append(&[row(2)]).expect("appends");
        file.append(&[row(1)]).expect("appends");
        assert_eq!(read(), [HEADER, &line(3), &line(2), &line(1)].concat());
        file.finish(rows(&[1, 2, 3])).expect("finishes");
        assert_eq!(read(), [HEADER, &line(1), &line(2), &line(3)].concat());

        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).expect("lists").count(), 1, "nothing is left beside it");
        assert!(Destination::examine(&path, None, &shape()).expect("ours").replaces());
    }

    #[test]
    fn failed_write_keeps_the_old_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("results.csv");
        let destination = Destination::examine(&path, None, &shape()).expect("free");
        let mut file = ResultsFile::create(&destination, shape(), rows(&[])).expect("creates");
        file.append(&[row(1)]).expect("appends");
        let error = file.finish([Ok(row(1)), Err("the journal is damaged")]).expect_err("fails");
        assert_eq!(error.to_string(), "the journal is damaged");
        assert_eq!(fs::read_to_string(&path).expect("reads"), [HEADER, &line(1)].concat());
        assert_eq!(fs::read_dir(directory.path()).expect("lists").count(), 1);
    }

    #[test]
    fn two_runs_do_not_write_one_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("results.csv");
        let destination = Destination::examine(&path, None, &shape()).expect("free");
        let first = ResultsFile::create(&destination, shape(), rows(&[])).expect("creates");
        let second = ResultsFile::create(&destination, shape(), rows(&[]));
        assert!(matches!(second, Err(OutputError::Path(_))), "{second:?}");
        drop(first);
        ResultsFile::create(&destination, shape(), rows(&[])).expect("the first one is over");
    }

    #[test]
    fn link_created_later_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, victim) = (directory.path().join("results.csv"), directory.path().join("victim"));
        let destination = Destination::examine(&path, None, &shape()).expect("free");
        fs::write(&victim, "precious").expect("writes");
        std::os::unix::fs::symlink(&victim, &path).expect("links");
        let refused = ResultsFile::create(&destination, shape(), rows(&[]));
        assert!(matches!(refused, Err(OutputError::Path(_))), "{refused:?}");
        assert_eq!(fs::read_to_string(&victim).expect("reads"), "precious");
    }
}
