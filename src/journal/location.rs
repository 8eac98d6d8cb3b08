//! Where a journal is.

use std::path::PathBuf;

/// Where a journal is: today a directory of this machine; a store that several machines share will have a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreLocation {
    /// A private directory on a local file system, which holds the database and its locks.
    Directory(PathBuf),
}

impl From<PathBuf> for StoreLocation {
    fn from(directory: PathBuf) -> StoreLocation {
        StoreLocation::Directory(directory)
    }
}
