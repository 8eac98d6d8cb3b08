//! Opens and creates files. Every opened file is checked, and only the opening of an input may wait for a pipe.

#![expect(clippy::disallowed_methods, reason = "the one file that opens and creates files")]

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::{NamedTempFile, TempDir};

use super::refusal::{Refusal, Rule, is_trusted, kind_of};

/// Opens a file that the user names as input. It may belong to anyone, and be a pipe or a device.
pub(crate) fn open_input(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Opens a secret whose links were resolved and whose type was checked. Guards against TOCTOU: if a link or pipe has
/// replaced it, opening does not follow or wait for that. The caller checks the opened file.
pub(crate) fn open_named_secret(resolved: &Path) -> io::Result<File> {
    with_flags(OpenOptions::new().read(true), OFlags::empty()).open(resolved)
}

/// The controlling terminal.
pub(crate) fn open_terminal() -> io::Result<File> {
    File::open("/dev/tty")
}

/// Reads a text of the kernel below `/proc`.
pub(crate) fn read_kernel_text(path: &str) -> io::Result<String> {
    fs::read_to_string(path)
}

/// For what one of the program's own files is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// To read an existing file.
    Reading,
    /// To read and write an existing file.
    Writing,
    /// To read and write a file, which is created if it is missing.
    Creating,
}

/// Opens one of the program's own files, by [`Rule::Private`].
pub(crate) fn open_own(path: &Path, purpose: For) -> Result<File, Refusal> {
    let mut options = OpenOptions::new();
    options.read(true).write(purpose != For::Reading).create(purpose == For::Creating).mode(0o600);
    open_checked(path, &mut options, Rule::Private)
}

/// Fails if the file exists and is not the program's own. Does not open it: `SQLite` does.
pub(crate) fn expect_own(path: &Path) -> Result<(), Refusal> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        found => Rule::Private.check(&found?),
    }
}

/// Opens a log and appends to it. It is created if it is missing. A device of this user or root, such as `/dev/null`, is
/// allowed.
pub(super) fn open_to_log(path: &Path) -> Result<File, Refusal> {
    let is_device = |found: &Metadata| found.file_type().is_char_device() && is_trusted(found.uid());
    if fs::symlink_metadata(path).is_ok_and(|found| is_device(&found)) {
        let file = with_flags(OpenOptions::new().append(true), OFlags::NOCTTY).open(path)?;
        if !is_device(&file.metadata()?) {
            return Err(Refusal::Kind("a different file now"));
        }
        // Writes wait for a slow terminal, as for every reader of a log.
        let flags = rustix::fs::fcntl_getfl(&file).map_err(io::Error::from)?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(io::Error::from)?;
        return Ok(file);
    }
    open_checked(path, OpenOptions::new().append(true).create(true).mode(0o600), Rule::Output)
}

/// Opens an existing output to examine it.
pub(super) fn open_output(path: &Path) -> Result<File, Refusal> {
    open_checked(path, OpenOptions::new().read(true), Rule::Output)
}

/// Opens a file that others write, too, and appends to it. It is created if it is missing.
pub(crate) fn append_to(path: &Path) -> Result<File, Refusal> {
    let mut options = OpenOptions::new();
    let file = with_flags(options.read(true).append(true).create(true).mode(0o600), OFlags::empty()).open(path)?;
    let found = file.metadata()?;
    if found.is_file() { Ok(file) } else { Err(Refusal::Kind(kind_of(&found))) }
}

/// Guards against TOCTOU: the path can change between check and use, so the open file is checked. The first check only
/// gives links and pipes, which fail to open, their own error.
fn open_checked(path: &Path, options: &mut OpenOptions, rule: Rule) -> Result<File, Refusal> {
    if let Ok(found) = fs::symlink_metadata(path) {
        rule.check(&found)?;
    }
    let file = with_flags(options, OFlags::empty()).open(path)?;
    rule.check(&file.metadata()?)?;
    Ok(file)
}

/// Opens without following a link or waiting for a pipe.
fn with_flags(options: &mut OpenOptions, more: OFlags) -> &mut OpenOptions {
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK | more).bits().cast_signed())
}

/// Opens a directory, to examine it, change its mode or sync it.
pub(super) fn open_directory(path: &Path) -> io::Result<File> {
    with_flags(OpenOptions::new().read(true), OFlags::DIRECTORY).open(path)
}

/// Syncs the names in a directory to disk.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    open_directory(path)?.sync_all()
}

/// Creates a directory and its parents for this user alone. An existing one stays as it is.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A directory for this user alone that is removed when it is dropped: among the temporary files, or in `parent`.
pub(super) fn create_temporary_dir(parent: Option<&Path>) -> io::Result<TempDir> {
    parent.map_or_else(tempfile::tempdir, tempfile::tempdir_in)
}

/// A file without a name, in this directory.
pub(crate) fn unnamed_in(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory)
}

/// A file with an unused name that begins with `prefix`.
pub(super) fn create_named(directory: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(prefix).tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The target of a path can change after it was examined: opening it decides.
    #[test]
    fn opening_refuses_links_and_pipes_without_waiting() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("secret"), "secret").expect("writes");
        symlink(at("secret"), at("link")).expect("links");
        symlink(directory.path(), at("to-directory")).expect("links");
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.expect("mkfifo").success());
        let secret = open_named_secret(&at("secret")).expect("opens");
        assert!(rustix::fs::fcntl_getfl(&secret).expect("flags").contains(OFlags::NONBLOCK));
        assert!(open_directory(directory.path()).is_ok() && open_directory(&at("to-directory")).is_err());
        assert!(open_named_secret(&at("link")).is_err() && append_to(&at("link")).is_err());
        for name in ["link", "pipe", "to-directory"] {
            for rule in [Rule::Private, Rule::Output] {
                assert!(matches!(open_checked(&at(name), OpenOptions::new().read(true), rule), Err(Refusal::Kind(_))));
            }
        }
    }
}
