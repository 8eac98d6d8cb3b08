//! Opening a journal for writing: the database's settings, and the cleanup after dead processes.
//!
//! Promise: every setting that durability depends on is read back.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::directory::{FileId, StateDir, trust_nothing_in};
use super::error::{JournalError, untrusted};
use super::format::Content;
use super::ledger_store::reap_dead;
use super::location::StoreLocation;
use super::locks::{self, Patience, Silent};
use super::opened::{Durability, History, Journal};
use super::runs::{clear_half_loaded, is_to_be_sent};
use super::sql::DbError;
use crate::clock::{Clock, micros};
use crate::files::{self, For};
use crate::model::permit::LONGEST_PAUSE;

/// The oldest `SQLite` whose WAL two connections can't corrupt.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The pages in the write-ahead log at which it is copied into the database, and started anew.
const LOG_PAGES: u32 = 1_000;
/// Their size with headers, and some more: the commit that passes the mark still fits.
const LOG_BYTES: u64 = (LOG_PAGES as u64 + 100) * (4_096 + 24);

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

impl Journal {
    /// Opens a journal, creates it if it is missing, and cleans up after dead processes: their requests count as
    /// ended now, and what they were loading is removed.
    ///
    /// # Errors
    /// If the directory or the database is not the user's alone, damaged, newer than this program, or can't be written.
    pub fn open(location: &StoreLocation, clock: Clock, durability: Durability) -> Result<Journal, JournalError> {
        Journal::open_with_patience(location, clock, durability, Arc::new(Silent))
    }

    /// Opens a journal in a new directory, and unlinks its files: they are gone when this process ends, however it
    /// ends.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_unnamed(location: &StoreLocation, clock: Clock) -> Result<Journal, JournalError> {
        let dir = StateDir::temporary(location)?;
        let opened = open(&dir, clock, Durability::Unsynced, Arc::new(Silent));
        let journal = opened.map_err(|error| dir.explain(error))?;
        dir.remove_names()?;
        Ok(journal)
    }

    /// As [`Journal::open`], but reports every long wait for another process to `patience`.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with_patience(
        location: &StoreLocation,
        clock: Clock,
        durability: Durability,
        patience: Arc<dyn Patience>,
    ) -> Result<Journal, JournalError> {
        let dir = StateDir::create(location)?;
        open(&dir, clock, durability, patience).map_err(|error| dir.explain(error))
    }

    /// Allocates the write-ahead log in full, before speed matters: a commit that extends it has to sync more than its
    /// own bytes. Only speed depends on it.
    ///
    /// # Errors
    /// If there is no room: then the log is as long as before. [`JournalError::Interrupted`], as for every write.
    pub(super) fn make_room(&self) -> Result<(), JournalError> {
        // Nobody else writes to it now.
        let _turn = self.turn.take()?;
        let path = self.dir.log();
        let log = files::open_own(&path, For::Writing).map_err(|why| untrusted(&path, why))?;
        let length = log.metadata()?.len();
        if self.durability == Durability::Unsynced || length >= LOG_BYTES {
            return Ok(());
        }
        // SQLite ignores what follows its frames: each of them has a salt and a checksum.
        let mut places = (length..LOG_BYTES).step_by(ZEROS.len());
        let allocated = places.try_for_each(|at| log.write_all_at(&ZEROS, at)).and_then(|()| log.sync_all());
        Ok(allocated.or_else(|error| log.set_len(length).and(Err(error)))?)
    }
}

fn open(dir: &StateDir, clock: Clock, durability: Durability, patience: Arc<dyn Patience>) -> Result<Journal, DbError> {
    let path = dir.database();
    let damaged = |why: String| DbError::Journal(dir.damaged(why));
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(damaged(format!("SQLite {} is too old", rusqlite::version())));
    }
    let turn = locks::WriteLock::open(dir.path(), patience)?;
    let guard = turn.take()?;
    // SQLite would make the file 0644.
    let file = files::open_own(&path, For::Creating).map_err(|why| untrusted(&path, why))?;
    let file = FileId::of(&file.metadata()?);
    dir.expect_own_files()?;
    #[expect(clippy::disallowed_methods, reason = "the one place that opens the database")]
    let mut db = Connection::open(&path)?;
    trust_nothing_in(&db)?;
    dir.expect_present(file)?;
    db.set_prepared_statement_cache_capacity(64);
    // Query plans don't depend on bound values; SQLite would replan at each use for statistics that it doesn't have.
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
    reap_dead(&tx, dir.path(), process, now, None)?;
    clear_half_loaded(&tx, dir.path(), process)?;
    locks::remove_what_was_left(dir.path(), |run| is_to_be_sent(&tx, run));
    tx.commit()?;
    drop(guard);
    let history = History { db, dir: dir.clone(), clock };
    Ok(Journal { history, file, durability, turn, alive, process, session: None })
}

fn number(db: &Connection, pragma: &str) -> Result<i64, rusqlite::Error> {
    db.pragma_query_value(None, pragma, |row| row.get(0))
}

/// After a reboot the old boot times mean nothing: the wall times beside them decide, and a time in the future counts as
/// now.
fn rebase(tx: &Transaction<'_>, clock: &Clock) -> Result<(), DbError> {
    let now = clock.now();
    let shift = now.boot.0.saturating_sub(now.wall.as_microsecond());
    // A clock that was set back must not make a pause longer than it was when the last attempt ended.
    tx.execute(
        "UPDATE scopes SET pause_until = min(pause_until_wall + ?1, ?2 + min(?3, max(0,
             pause_until - ifnull((SELECT max(ended) FROM attempts WHERE scope = scopes.id), pause_until - ?3))))",
        [shift, now.boot.0, micros(LONGEST_PAUSE)],
    )?;
    // At the next boot the clock counts from here.
    tx.execute("UPDATE scopes SET pause_until_wall = pause_until - ?1", [shift])?;
    tx.execute(
        "UPDATE attempts SET started = min(started_wall + ?1, ?2), ended = min(ended_wall + ?1, ?2)",
        [shift, now.boot.0],
    )?;
    tx.execute("UPDATE machine SET boot_id = ?1", [clock.boot_id()])?;
    Ok(())
}
