//! Atomic replace: a temporary file gets its final name when it is complete. Leftovers of killed processes are removed.
//!
//! Promises: a temporary file has mode 0600 while it is written, and is locked from its creation until it is dropped, also
//! under its final name.
//! The next run of this user that writes into the same directory removes temporary files that no process writes.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::NamedTempFile;

use super::open::{For, create_named, open_own, sync_directory};
use super::output_path::{directory_of, resolve_parent};

/// The prefix of temporary files; no other file has it.
const PREFIX: &str = ".bulk-triage.draft.";

/// Who can read a file that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Mode 0600.
    Owner,
    /// Mode 0644.
    Anyone,
}

/// Writes a whole file and gives it the name, atomically and durably. The returned file is at its end and locked.
///
/// # Errors
/// If `write` fails, or the file can't be written (worded by `failed`): the old file is unchanged.
pub(crate) fn replace<E>(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<File, E> {
    let path = resolve_parent(path).map_err(|why| failed(why.into()))?;
    let directory = directory_of(&path);
    remove_leftovers(directory);
    let mut temporary = create(directory).map_err(&failed)?;
    let mut out = BufWriter::new(temporary.as_file_mut());
    write(&mut out)?;
    out.flush().map_err(&failed)?;
    drop(out);
    if readers == Readers::Anyone {
        temporary.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(&failed)?;
    }
    temporary.as_file().sync_all().map_err(&failed)?;
    let file = temporary.persist(&path).map_err(|error| failed(error.error))?;
    sync_directory(directory).map_err(&failed)?;
    Ok(file)
}

/// A new, locked temporary file in this directory.
///
/// # Errors
/// If it can't be created.
fn create(directory: &Path) -> io::Result<NamedTempFile> {
    loop {
        let file = create_named(directory, PREFIX)?;
        lock(file.as_file())?;
        // Before it was locked, another run may have removed it as a leftover.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Removes temporary files that no process has locked. If that fails, they stay, which is harmless.
fn remove_leftovers(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let is_temporary = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_temporary && open_own(&entry.path(), For::Reading).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Locks a file, unless its file system has no locks: the lock only guards against mistakes.
fn lock(file: &File) -> io::Result<()> {
    match file.lock() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).expect("lists").count()
    }

    #[test]
    fn only_abandoned_temporary_files_are_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let held = create(directory.path()).expect("a file");
        let (_, left) = create(directory.path()).expect("a file").keep().expect("is kept");
        fs::write(directory.path().join(".results.csv"), "of the user").expect("writes");
        fs::create_dir(directory.path().join(".bulk-triage.draft.d")).expect("makes");
        remove_leftovers(directory.path());
        assert!(held.path().exists() && !left.exists());
        assert_eq!(names(directory.path()), 3);
    }
}
