//! Settings files: read whole, and only if nobody but the user or root can have written them, where that matters.

use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::links::resolve;
use super::open::{open_directory, open_named_secret};
use super::refusal::{Refusal, is_trusted, kind_of};

/// In bytes. Settings are a page or two; a longer file is something else, or endless.
const LONGEST: u64 = 1024 * 1024;

/// The permissions to write, of a group and of others.
const WRITE: u32 = 0o022;
/// Others can add files to such a directory, but not replace any.
const STICKY: u32 = 0o1000;

/// Who may have written a settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenBy {
    /// Only the user or root: nobody else owns or can write the file or its directory.
    UserOrRoot,
    /// Anyone: what it sets is checked by its reader.
    Anyone,
}

/// The text of a settings file; `None` if nothing is there. Links are followed if the user or root made them.
pub(crate) fn read_settings(path: &Path, by: WrittenBy) -> Result<Option<String>, Refusal> {
    match read(path, by) {
        // A link without a target is there.
        Err(Refusal::Io(error)) if is_missing(&error) && std::fs::symlink_metadata(path).is_err() => Ok(None),
        text => text.map(Some),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read(path: &Path, by: WrittenBy) -> Result<String, Refusal> {
    let path = resolve(path)?;
    let file = open_named_secret(&path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(Refusal::Kind(kind_of(&found)));
    }
    if by == WrittenBy::UserOrRoot {
        expect_unwritable(&found)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = open_directory(directory)?.metadata()?;
        if directory.mode() & STICKY == 0 {
            expect_unwritable(&directory).map_err(|why| Refusal::Directory(Box::new(why)))?;
        }
    }
    let mut text = String::new();
    let read = file.take(LONGEST + 1).read_to_string(&mut text)?;
    if read as u64 > LONGEST {
        return Err(io::Error::other("it is larger than 1 MiB").into());
    }
    Ok(text)
}

/// Checks that nobody but this user and root owns or can write it.
fn expect_unwritable(found: &Metadata) -> Result<(), Refusal> {
    if !is_trusted(found.uid()) {
        return Err(Refusal::Owner(found.uid()));
    }
    let mode = found.mode() & 0o777;
    if mode & WRITE != 0 { Err(Refusal::Mode { what: "write", mode, fix: "go-w" }) } else { Ok(()) }
}
