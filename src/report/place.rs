//! The place of a file that is to be written: what stands there, and whether anything may.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Why nothing may be written at a place, whatever it is that would be.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// It is something else than an ordinary file.
    NotAFile(&'static str),
    /// It is a file that the command uses already.
    Used,
    /// It can't be looked at, or not be written.
    Io(io::Error),
}

/// Looks at a place, and changes nothing. What `judge` says of the file that is there comes back; an empty one, or none,
/// is not judged. `used` are files that the command uses already.
///
/// # Errors
/// Where there is an [`Obstacle`], or the file is not one that may be replaced.
pub(super) fn look_at<T, R: From<Obstacle>>(
    path: &Path,
    used: &[&Path],
    judge: impl FnOnce(File) -> Result<T, R>,
) -> Result<Option<T>, R> {
    let io = |error| R::from(Obstacle::Io(error));
    let judged = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(io(error)),
        Ok(found) if !found.is_file() => return Err(Obstacle::NotAFile(kind_of(&found)).into()),
        Ok(found) if used.iter().any(|used| is_same(used, &found)) => return Err(Obstacle::Used.into()),
        Ok(found) if found.len() == 0 => None,
        Ok(_) => Some(judge(open_as_it_is(path).map_err(io)?)?),
    };
    expect_writable(directory_of(path)).map_err(io)?;
    Ok(judged)
}

pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Tries whether a file can be made in a directory. Nothing is left of it.
///
/// # Errors
/// Where it can't.
fn expect_writable(directory: &Path) -> io::Result<()> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(directory, access).map_err(io::Error::from)?;
    // Rights on paper are not rights in fact: try.
    tempfile::tempfile_in(directory).map(drop)
}

/// Opens a file to look at. What is there may be exchanged between two looks: no link is followed, no pipe waited for.
///
/// # Errors
/// Where it can't be read.
fn open_as_it_is(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// What something is that is no ordinary file.
pub(super) fn kind_of(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "no ordinary file"
    }
}

/// Whether `other` leads to what was found.
fn is_same(other: &Path, found: &Metadata) -> bool {
    fs::metadata(other).is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
}
