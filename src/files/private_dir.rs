//! A private directory: refused if others can enter it.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::links::resolve;
use super::open::{create_directory, create_temporary_dir, open_directory};
use super::refusal::{Refusal, ourselves};

/// A directory for this user alone that is removed when it is dropped. If there can be none among the temporary files
/// (in a container whose root is read-only), it is created in `otherwise`, such as the state directory.
pub(crate) fn temporary_dir(otherwise: Option<&Path>) -> io::Result<TempDir> {
    create_temporary_dir(None).or_else(|error| {
        let Some(parent) = otherwise.and_then(|path| PrivateDir::create(path).ok()) else { return Err(error) };
        create_temporary_dir(Some(parent.path()))
    })
}

/// A directory that this user owns and nobody else can enter.
#[derive(Clone, Debug)]
pub(crate) struct PrivateDir {
    /// The path with all links resolved.
    path: PathBuf,
}

impl PrivateDir {
    /// Creates it with mode 0700 if it is missing. An empty directory of this user gets that mode; nothing else
    /// changes.
    ///
    /// # Errors
    /// If another user owns it or a link to it, if others can enter it and it is not empty, or if it can't be created.
    pub(crate) fn create(path: &Path) -> Result<PrivateDir, Refusal> {
        let path = resolve(path)?;
        create_directory(&path)?;
        let directory = opened(&path)?;
        match check(&directory.metadata()?) {
            Err(Refusal::Mode { .. }) if is_empty(&path)? => {
                directory.set_permissions(Permissions::from_mode(0o700))?;
            }
            checked => checked?,
        }
        Ok(PrivateDir { path })
    }

    /// Opens the directory only to read it, and changes nothing. It may be missing. If it is empty, others may enter it.
    ///
    /// # Errors
    /// As [`PrivateDir::create`].
    pub(crate) fn to_read(path: &Path) -> Result<PrivateDir, Refusal> {
        let path = resolve(path)?;
        let directory = match opened(&path) {
            Err(Refusal::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(PrivateDir { path }),
            directory => directory?,
        };
        match check(&directory.metadata()?) {
            Err(Refusal::Mode { .. }) if is_empty(&path)? => {}
            checked => checked?,
        }
        Ok(PrivateDir { path })
    }

    /// The directory, with all links resolved.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens it. If another user owns it, that is why it can't be opened.
fn opened(path: &Path) -> Result<File, Refusal> {
    open_directory(path).map_err(|error| {
        let denied = (error.kind() == io::ErrorKind::PermissionDenied).then(|| std::fs::metadata(path).ok()).flatten();
        denied.and_then(|found| check(&found).err()).unwrap_or(Refusal::Io(error))
    })
}

fn check(found: &std::fs::Metadata) -> Result<(), Refusal> {
    if found.uid() != ourselves() {
        return Err(Refusal::Owner(found.uid()));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Refusal::Mode { what: "read or write", mode, fix: "700" });
    }
    Ok(())
}

fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(std::fs::read_dir(path)?.next().is_none())
}
