//! Detects files that change while they are read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A regular file, and its metadata before it was read.
#[derive(Debug)]
pub(super) struct Watch {
    file: File,
    /// The path at which it was opened; `None` for standard input.
    path: Option<PathBuf>,
    was: Metadata,
}

impl Watch {
    /// Records a file before it is read; `None` for a pipe or a device, which can't be compared.
    pub(super) fn new(file: &File, path: Option<&Path>) -> io::Result<Option<Watch>> {
        let was = file.metadata()?;
        if !was.is_file() {
            return Ok(None);
        }
        Ok(Some(Watch { file: file.try_clone()?, path: path.map(Path::to_owned), was }))
    }

    /// How the file has changed since then; `None` if it is unchanged.
    pub(super) fn change(&self) -> Option<&'static str> {
        let Ok(is) = self.file.metadata() else { return Some("it can no longer be examined") };
        if is.len() != self.was.len() {
            return Some(if is.len() < self.was.len() { "it is shorter now" } else { "it is longer now" });
        }
        if (is.mtime(), is.mtime_nsec()) != (self.was.mtime(), self.was.mtime_nsec()) {
            return Some("it was written to");
        }
        let identity = |file: &Metadata| (file.dev(), file.ino());
        let is_elsewhere =
            |path: &PathBuf| path.metadata().map_or(true, |there| identity(&there) != identity(&self.was));
        self.path.as_ref().is_some_and(is_elsewhere).then_some("it was replaced or removed")
    }
}
