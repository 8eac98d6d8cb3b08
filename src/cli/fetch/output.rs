//! Where `fetch` writes: to a file, or to standard output.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use tempfile::TempDir;

use crate::cli::error::Error;
use crate::files::{open_input, temporary_dir};
use crate::output::fetched::FetchFile;

/// Where the incidents are written. Standard output gets the whole list or nothing: until it is whole, it is in a
/// temporary file.
pub(super) struct Output {
    pub(super) file: FetchFile,
    temporary: Option<TempDir>,
}

impl Output {
    /// Checks that the list can be written there; `-` is standard output. If there can be no temporary file, `otherwise` gets
    /// it.
    ///
    /// # Errors
    /// If it can't.
    pub(super) fn examine(output: &Path, otherwise: Option<&Path>) -> Result<Output, Error> {
        if output.as_os_str() != "-" {
            return Ok(Output { file: FetchFile::examine(output)?, temporary: None });
        }
        let dir = temporary_dir(otherwise).map_err(|source| Error::Io { what: "cannot create a directory", source })?;
        Ok(Output { file: FetchFile::examine(&dir.path().join("incidents.csv"))?, temporary: Some(dir) })
    }

    /// Whether the list goes to standard output.
    pub(super) fn is_stdout(&self) -> bool {
        self.temporary.is_some()
    }

    /// Writes the file to standard output, if the list goes there.
    ///
    /// # Errors
    /// If it can't be read or written.
    pub(super) fn finish(&self) -> Result<(), Error> {
        if !self.is_stdout() {
            return Ok(());
        }
        let mut whole = BufReader::new(open_input(self.file.path())?);
        // The mark is for spreadsheets that open the file; who reads a pipe knows that it is UTF-8.
        if whole.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
            whole.consume("\u{feff}".len());
        }
        io::copy(&mut whole, &mut io::stdout().lock()).map_err(Error::of_output("the list"))?;
        Ok(())
    }
}
