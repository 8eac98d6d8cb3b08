//! The state directory and the database file: rights, settings, what a person is told when one fails.
//!
//! Promises: the directory is the user's alone (0700) and the files are 0600 from their first moment, or neither is used;
//! nothing is read of a database with another schema than ours; every setting that durability rests on is read back.

use std::fs::Metadata;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::format::Content;
use super::locks::{self, Patience, Silent};
use super::{History, Journal, JournalError, untrusted};
use crate::clock::{Clock, micros};
use crate::files::{self, For, PrivateDir, Refusal};
use crate::model::permit::LONGEST_PAUSE;

/// The oldest `SQLite` whose WAL two connections can't damage.
const OLDEST_SQLITE: i32 = 3_051_003;

/// So many pages are in the write-ahead log before it is copied into the database, and begun anew.
const LOG_PAGES: u32 = 1_000;
/// What they take, each with its header, and some more: the commit that passes the mark is not cut.
const LOG_BYTES: u64 = (LOG_PAGES as u64 + 100) * (4_096 + 24);

/// A larger journal is not copied to be read.
const LARGEST_COPY: u64 = 64 << 20;

/// What to do about a directory.
const OTHER: &str = "name another one with --state-dir";

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Whether commits are synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A commit is on the disk when it returns.
    Synced,
    /// For simulations of crashes of the process, not of the machine.
    Unsynced,
}

/// The directory of the journal and its locks.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    patience: Arc<dyn Patience>,
}

impl StateDir {
    /// The directory at `path`, which is created if it is missing.
    ///
    /// # Errors
    /// [`JournalError::Untrusted`] if another user owns it, can enter it or has made a link to it;
    /// [`JournalError::Directory`] if it can't be created or written, is no directory, or lies on a network file system
    /// (the journal's locks and shared memory need one host).
    pub fn open(path: &Path) -> Result<StateDir, JournalError> {
        let refuse = |why: String| JournalError::Directory { path: path.to_owned(), why: format!("{why}; {OTHER}") };
        let directory = PrivateDir::create(path).map_err(|why| refused(path, why))?;
        expect_local(path, directory.path())?;
        // Rights on paper are not rights in fact (read-only mounts, quotas): try.
        files::unnamed_in(directory.path()).map_err(|error| refuse(error.to_string()))?;
        Ok(StateDir { path: directory.path().to_owned(), patience: Arc::new(Silent) })
    }

    /// Whoever opens the journal there waits for other processes like this.
    #[must_use]
    pub fn with_patience(self, patience: Arc<dyn Patience>) -> StateDir {
        StateDir { patience, ..self }
    }

    /// A directory that is only read, and may be missing. Nothing in it is changed.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub(super) fn to_read(path: &Path) -> Result<StateDir, JournalError> {
        let directory = PrivateDir::to_read(path).map_err(|why| refused(path, why))?;
        let there = directory.path().ancestors().find(|above| above.exists());
        expect_local(path, there.unwrap_or(Path::new(".")))?;
        Ok(StateDir { path: directory.path().to_owned(), patience: Arc::new(Silent) })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
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
    fn log(&self) -> PathBuf {
        self.path.join("journal.db-wal")
    }

    /// Fails if the database, or a file that `SQLite` keeps beside it, is there and could be another user's.
    fn expect_own_files(&self) -> Result<(), JournalError> {
        for name in ["journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal"] {
            let path = self.path.join(name);
            files::expect_own(&path).map_err(|why| untrusted(&path, why))?;
        }
        Ok(())
    }

    /// Fails where the database is no longer the file that was opened.
    pub(super) fn expect_there(&self, file: FileId) -> Result<(), JournalError> {
        let path = self.database();
        let is_there = std::fs::metadata(&path).is_ok_and(|found| FileId::of(&found) == file);
        if is_there { Ok(()) } else { Err(JournalError::Gone { path }) }
    }

    pub(super) fn explain(&self, error: JournalError) -> JournalError {
        let full = || JournalError::Full { path: self.path.clone() };
        let sql = match error {
            JournalError::Sql(sql) => sql,
            JournalError::Io(error) if is_full(&error) => return full(),
            error => return error,
        };
        match sql.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => full(),
            // SQLite doesn't say why a file can't be opened to write, or a file beside the database made, or grown.
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure) if self.has_no_room() => {
                full()
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                JournalError::Damaged { path: self.database(), why: sql.to_string() }
            }
            _ => JournalError::Sql(sql),
        }
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

/// Fails if the directory lies where no journal can be.
fn expect_local(shown: &Path, directory: &Path) -> Result<(), JournalError> {
    let Some(kind) = unfit_file_system(directory) else { return Ok(()) };
    let why = format!("it is on {kind}, where locks are unreliable; {OTHER}");
    Err(JournalError::Directory { path: shown.to_owned(), why })
}

/// Nothing that a database says of itself is run: a schema is compared with ours, and these are for what is not seen.
fn trust_nothing_in(db: &Connection) -> Result<(), rusqlite::Error> {
    db.busy_timeout(Duration::from_secs(30))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// The database's name as `SQLite` takes it. If nobody changes the file, none is needed beside it.
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

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    number: u64,
}

impl FileId {
    fn of(facts: &Metadata) -> FileId {
        FileId { device: facts.dev(), number: facts.ino() }
    }
}

impl Journal {
    /// Opens the journal in `dir`, makes it where it is missing, and clears up after processes that are gone: their
    /// calls count as ended now, what they were loading is removed.
    ///
    /// # Errors
    /// Where the file is damaged, newer than this program, or can't be written.
    pub fn open(dir: &StateDir, clock: Clock, durability: Durability) -> Result<Journal, JournalError> {
        open(dir, clock, durability).map_err(|error| dir.explain(error))
    }

    /// Makes the write-ahead log as long as it will be, before there is haste: a commit that makes it longer has to sync
    /// more than its own bytes. Nothing but speed depends on it.
    ///
    /// # Errors
    /// Where there is no room: then the log is as long as before. [`JournalError::Interrupted`], as all that writes.
    pub(super) fn make_room(&self) -> Result<(), JournalError> {
        // Nobody else writes to it now.
        let _turn = self.turn.take()?;
        let path = self.dir.log();
        let log = files::open_own(&path, For::Writing).map_err(|why| untrusted(&path, why))?;
        let length = log.metadata()?.len();
        if self.durability == Durability::Unsynced || length >= LOG_BYTES {
            return Ok(());
        }
        // What lies behind its frames means nothing to SQLite: each of them bears a mark and a sum.
        let mut places = (length..LOG_BYTES).step_by(ZEROS.len());
        let made = places.try_for_each(|at| log.write_all_at(&ZEROS, at)).and_then(|()| log.sync_all());
        Ok(made.or_else(|error| log.set_len(length).and(Err(error)))?)
    }
}

fn open(dir: &StateDir, clock: Clock, durability: Durability) -> Result<Journal, JournalError> {
    let path = dir.database();
    let damaged = |why: String| JournalError::Damaged { path: path.clone(), why };
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(damaged(format!("SQLite {} is too old", rusqlite::version())));
    }
    let turn = locks::WriteLock::open(dir.path(), Arc::clone(&dir.patience))?;
    let guard = turn.take()?;
    // SQLite would make the file 0644.
    let file = files::open_own(&path, For::Creating).map_err(|why| untrusted(&path, why))?;
    let file = FileId::of(&file.metadata()?);
    dir.expect_own_files()?;
    #[expect(clippy::disallowed_methods, reason = "the one place that opens the database")]
    let mut db = Connection::open(&path)?;
    trust_nothing_in(&db)?;
    dir.expect_there(file)?;
    db.set_prepared_statement_cache_capacity(64);
    // Plans don't depend on what is bound; else SQLite plans anew at each use, for the sake of statistics it hasn't got.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let content = Content::of(&db, &path)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(damaged(format!("its file system does not allow a write-ahead log (mode `{mode}`)")));
    }
    let level = match durability {
        Durability::Synced => 2,
        Durability::Unsynced => 0,
    };
    db.pragma_update(None, "synchronous", level)?;
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    if number(&db, "synchronous")? != level {
        return Err(damaged("commits cannot be made durable".to_owned()));
    }

    let now = clock.now();
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    content.bring_up_to_date(&tx, clock.boot_id())?;
    let boot_id: String = tx.query_row("SELECT boot_id FROM machine", [], |row| row.get(0))?;
    if boot_id != clock.boot_id() {
        rebase(&tx, &clock)?;
    }
    tx.execute("INSERT INTO processes (started_wall) VALUES (?1)", [now.wall.as_microsecond()])?;
    let process = tx.last_insert_rowid();
    let alive = locks::LivenessLock::show(dir.path(), process)?;
    super::ledger::reap_dead(&tx, dir.path(), process, now, None)?;
    super::runs::clear_half_loaded(&tx, dir.path(), process)?;
    locks::remove_what_was_left(dir.path(), |run| super::runs::is_to_be_sent(&tx, run));
    tx.commit()?;
    drop(guard);
    let history = History { db, dir: dir.clone(), clock };
    Ok(Journal { history, file, durability, turn, alive, process, session: None })
}

fn number(db: &Connection, pragma: &str) -> Result<i64, rusqlite::Error> {
    db.pragma_query_value(None, pragma, |row| row.get(0))
}

/// After a start of the machine the old boot times mean nothing: the wall times beside them decide, and what lies in
/// the future counts as now.
fn rebase(tx: &rusqlite::Transaction<'_>, clock: &Clock) -> Result<(), JournalError> {
    let now = clock.now();
    let shift = now.boot.0.saturating_sub(now.wall.as_microsecond());
    // A clock that went back must not stretch a pause past what was left of it when the last attempt ended.
    tx.execute(
        "UPDATE scopes SET pause_until = min(pause_until_wall + ?1, ?2 + min(?3, max(0,
             pause_until - ifnull((SELECT max(ended) FROM attempts WHERE scope = scopes.id), pause_until - ?3))))",
        [shift, now.boot.0, micros(LONGEST_PAUSE)],
    )?;
    // At the next start the clock counts from here.
    tx.execute("UPDATE scopes SET pause_until_wall = pause_until - ?1", [shift])?;
    tx.execute(
        "UPDATE attempts SET started = min(started_wall + ?1, ?2), ended = min(ended_wall + ?1, ?2)",
        [shift, now.boot.0],
    )?;
    tx.execute("UPDATE machine SET boot_id = ?1", [clock.boot_id()])?;
    Ok(())
}

/// The file system that the path lies on, if it can't hold a journal.
#[cfg(target_os = "linux")]
fn unfit_file_system(path: &Path) -> Option<&'static str> {
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "the kernel's type varies by machine")]
    let magic = rustix::fs::statfs(path).ok()?.f_type as u32;
    unfit_file_system_of(magic)
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

#[cfg(all(test, target_os = "linux"))]
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
