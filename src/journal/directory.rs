//! The state directory: its permissions, its files, and the database opened for reading.
//!
//! Promises: the directory is the user's alone (0700) and the files are 0600 from their first moment, or neither is used;
//! a database whose schema is not ours is not read.

use std::fs::Metadata;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{JournalError, untrusted};
use super::format::Content;
use super::location::StoreLocation;
use super::locks;
use super::sql::{DbError, store_error};
use crate::files::{self, PrivateDir, Refusal};

/// In bytes: a larger journal is not copied to be read.
const LARGEST_COPY: u64 = 64 << 20;

/// The hint for a directory that can't be used.
const OTHER: &str = "name another one with --state-dir";

/// The directory of the journal and its locks.
#[derive(Clone, Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    /// A new directory below the one for temporary files: no other process uses what is in it.
    is_temporary: bool,
}

impl StateDir {
    /// The directory of a journal, which is created if it is missing.
    ///
    /// # Errors
    /// [`JournalError::Untrusted`] if another user owns it, can enter it or has created a link to it;
    /// [`JournalError::Directory`] if it can't be created or written, is not a directory, or lies on a network file
    /// system (the journal's locks and shared memory need one host).
    pub(super) fn create(location: &StoreLocation) -> Result<StateDir, JournalError> {
        let StoreLocation::Directory(path) = location;
        let refuse = |why: String| JournalError::Directory { path: path.clone(), why: format!("{why}; {OTHER}") };
        let directory = PrivateDir::create(path).map_err(|why| refused(path, why))?;
        expect_local(path, directory.path())?;
        // Permissions are not enough (read-only mounts, quotas): try.
        files::unnamed_in(directory.path()).map_err(|error| refuse(error.to_string()))?;
        Ok(StateDir { path: directory.path().to_owned(), is_temporary: false })
    }

    /// The directory of a journal that goes with this process, in a new directory for temporary files.
    ///
    /// # Errors
    /// If it can't be created.
    pub(super) fn temporary(location: &StoreLocation) -> Result<StateDir, JournalError> {
        let StoreLocation::Directory(path) = location;
        let directory = PrivateDir::create(path).map_err(|why| match why {
            Refusal::Io(error) if is_full(&error) => temporary_full(),
            why => refused(path, why),
        })?;
        Ok(StateDir { path: directory.path().to_owned(), is_temporary: true })
    }

    /// A directory that is only read, and may be missing. Nothing in it is changed.
    ///
    /// # Errors
    /// As [`StateDir::create`].
    pub(super) fn to_read(location: &StoreLocation) -> Result<StateDir, JournalError> {
        let StoreLocation::Directory(path) = location;
        let directory = PrivateDir::to_read(path).map_err(|why| refused(path, why))?;
        let existing = directory.path().ancestors().find(|above| above.exists());
        expect_local(path, existing.unwrap_or(Path::new(".")))?;
        Ok(StateDir { path: directory.path().to_owned(), is_temporary: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("journal.db")
    }

    /// The database, opened for reading; `None` if there is none yet.
    ///
    /// It is copied into memory if it is of an older format, to be brought up to date there, and if nobody uses it:
    /// `SQLite` would create files beside it, which a reader can't remove.
    pub(super) fn read_only(&self) -> Result<Option<Connection>, JournalError> {
        let path = self.database();
        self.expect_own_files()?;
        let Ok(facts) = std::fs::metadata(&path) else { return Ok(None) };
        let open = || {
            let alone = (facts.len() <= LARGEST_COPY).then(|| locks::keep_turns_away(&self.path)).flatten();
            let alone = alone.filter(|_| !self.log().exists());
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            #[expect(clippy::disallowed_methods, reason = "the one place that opens the database for reading")]
            let db = Connection::open_with_flags(uri(&path, alone.is_some()), flags)?;
            trust_nothing_in(&db)?;
            let content = Content::of(&db, &path)?;
            match content {
                Content::Nothing => Ok(None),
                Content::Journal if alone.is_none() => Ok(Some(db)),
                Content::Journal | Content::Older(_) => {
                    let mut copy = Connection::open_in_memory()?;
                    trust_nothing_in(&copy)?;
                    Backup::new(&db, &mut copy)?.run_to_completion(1_000, Duration::ZERO, None)?;
                    content.bring_up_to_date(&copy, "")?;
                    Ok(Some(copy))
                }
            }
        };
        open().map_err(|error| self.explain(error))
    }

    /// The write-ahead log.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("journal.db-wal")
    }

    /// The database, and the files that `SQLite` keeps beside it.
    fn files(&self) -> [PathBuf; 4] {
        ["journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal"].map(|name| self.path.join(name))
    }

    /// Unlinks these open files: `SQLite` continues to use them.
    pub(super) fn remove_names(&self) -> io::Result<()> {
        self.files().iter().try_for_each(|path| match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
    }

    /// Fails if the database, or a file that `SQLite` keeps beside it, exists and could be another user's.
    pub(super) fn expect_own_files(&self) -> Result<(), JournalError> {
        for path in self.files() {
            files::expect_own(&path).map_err(|why| untrusted(&path, why))?;
        }
        Ok(())
    }

    /// Fails if the database is no longer the file that was opened. A temporary one has no name.
    pub(super) fn expect_present(&self, file: FileId) -> Result<(), JournalError> {
        let path = self.database();
        let is_there = self.is_temporary || std::fs::metadata(&path).is_ok_and(|found| FileId::of(&found) == file);
        if is_there { Ok(()) } else { Err(JournalError::Gone { path }) }
    }

    /// The error for callers: they can act on a full disk and on damage.
    pub(super) fn explain(&self, error: DbError) -> JournalError {
        let full = || {
            if self.is_temporary { temporary_full() } else { JournalError::Full { path: self.path.clone() } }
        };
        let sql = match error {
            DbError::Sql(sql) => sql,
            DbError::Journal(JournalError::Io(error)) if is_full(&error) => return full(),
            DbError::Journal(error) => return error,
        };
        match sql.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => full(),
            // SQLite doesn't say why it can't open a file for writing, or can't create or grow one beside the database.
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure) if self.has_no_room() => {
                full()
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => self.damaged(sql.to_string()),
            _ => store_error(sql),
        }
    }

    /// The error of content that no run of this program has written.
    pub(super) fn damaged(&self, why: String) -> JournalError {
        JournalError::Damaged { path: self.database(), why }
    }

    fn has_no_room(&self) -> bool {
        let written = files::unnamed_in(&self.path).and_then(|mut file| file.write_all(&[0; 1 << 14]));
        written.is_err_and(|error| is_full(&error))
    }
}

fn refused(path: &Path, why: Refusal) -> JournalError {
    match why {
        Refusal::Io(error) => JournalError::Directory { path: path.to_owned(), why: format!("{error}; {OTHER}") },
        why => JournalError::Untrusted { path: path.to_owned(), why },
    }
}

/// The user knows the directory that has no room, not the one that is created in it for a moment.
fn temporary_full() -> JournalError {
    JournalError::TemporaryFull { path: std::env::temp_dir() }
}

/// Fails if the directory lies where no journal can be.
fn expect_local(shown: &Path, directory: &Path) -> Result<(), JournalError> {
    let Some(kind) = unfit_file_system(directory) else { return Ok(()) };
    let why = format!("it is on {kind}, where locks are unreliable; {OTHER}");
    Err(JournalError::Directory { path: shown.to_owned(), why })
}

/// Runs no code that a database brings along: the schema is compared with ours, and these settings cover the rest.
pub(super) fn trust_nothing_in(db: &Connection) -> Result<(), rusqlite::Error> {
    db.busy_timeout(Duration::from_secs(30))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// The database's URI for `SQLite`. If nobody changes the file, no other file is needed beside it.
fn uri(path: &Path, is_unchanging: bool) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            other => uri.extend(["%".to_owned(), format!("{other:02X}")]),
        }
    }
    uri + if is_unchanging { "?immutable=1" } else { "" }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Identifies the file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    number: u64,
}

impl FileId {
    pub(super) fn of(facts: &Metadata) -> FileId {
        FileId { device: facts.dev(), number: facts.ino() }
    }
}

/// The file system of the path, if it can't hold a journal.
#[cfg(target_os = "linux")]
fn unfit_file_system(path: &Path) -> Option<&'static str> {
    unfit_file_system_of(magic_of(path)?)
}

/// The number of the file system's type, by `statfs(2)`.
#[cfg(target_os = "linux")]
fn magic_of(path: &Path) -> Option<u32> {
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "the kernel's type varies by machine")]
    rustix::fs::statfs(path).ok().map(|found| found.f_type as u32)
}

/// The name of the file system's type, for people.
#[cfg(target_os = "linux")]
pub(super) fn file_system_of(path: &Path) -> String {
    let Some(magic) = magic_of(path) else { return "unknown".to_owned() };
    let name = match magic {
        0xEF53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683E => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794C_7630 => "overlay",
        0x2FC1_2FC1 => "zfs",
        0xF2F5_2010 => "f2fs",
        _ => return format!("type {magic:#x}"),
    };
    name.to_owned()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn file_system_of(_: &Path) -> String {
    "unknown".to_owned()
}

/// The file systems on which a write-ahead log is not safe, or no file can be, by the magic numbers of `statfs(2)`.
#[cfg(target_os = "linux")]
fn unfit_file_system_of(magic: u32) -> Option<&'static str> {
    match magic {
        0x6969 => Some("a network file system (NFS)"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("a network file system (SMB)"),
        0x5346_414F | 0x6B41_4653 => Some("a network file system (AFS)"),
        0x00C3_6400 => Some("a network file system (Ceph)"),
        0x9FA0 | 0x6265_6572 => Some("a file system of the kernel"),
        0x0102_1997 => Some("a network file system (9P)"),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn unfit_file_system(_: &Path) -> Option<&'static str> {
    None
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are those of `statfs(2)` and of the kernel's `magic.h`.
    #[test]
    fn network_file_systems_are_recognized_local_ones_pass() {
        let network: [u32; 8] =
            [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x5346_414f, 0x6b41_4653, 0x00c3_6400, 0x0102_1997];
        let local: [u32; 8] =
            [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0x4d44, 0xf2f5_2010];
        assert!(network.iter().all(|magic| unfit_file_system_of(*magic).is_some()));
        assert!(local.iter().all(|magic| unfit_file_system_of(*magic).is_none()));
    }
}
