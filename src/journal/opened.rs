//! An open journal, and the two ways to use its database: reading, and a transaction under the write lock.

use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::decide::Rules;
use super::directory::{FileId, StateDir, file_system_of};
use super::error::JournalError;
use super::ledger::Ledger;
use super::location::StoreLocation;
use super::locks::{LivenessLock, WriteLock};
use super::sql::DbError;
use crate::clock::Clock;

/// Whether commits are synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A commit is on the disk when it returns.
    Synced,
    /// For simulations of crashes of the process, not of the machine.
    Unsynced,
}

/// A journal opened for reading. Reading waits for no other process, and leaves no trace in it.
#[derive(Debug)]
pub struct History {
    pub(super) db: Connection,
    pub(super) dir: StateDir,
    pub(super) clock: Clock,
}

/// Where a journal is stored, and by what: for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFacts {
    /// The directory, with all links resolved.
    pub directory: PathBuf,
    /// Its owner (uid).
    pub owner: u32,
    /// Its permission bits.
    pub mode: u32,
    /// The type of its file system.
    pub file_system: String,
    /// The free space for this user, in bytes.
    pub free: u64,
    /// The library, with its version.
    pub library: String,
}

impl History {
    /// Opens a journal for reading; `None` if there is none yet.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn open(location: &StoreLocation, clock: Clock) -> Result<Option<History>, JournalError> {
        let dir = StateDir::to_read(location)?;
        let db = dir.read_only()?;
        Ok(db.map(|db| History { db, dir, clock }))
    }

    /// The clock by which it records.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where it is stored.
    ///
    /// # Errors
    /// If its directory can't be examined.
    pub fn facts(&self) -> io::Result<StoreFacts> {
        let directory = self.dir.path().to_owned();
        let (found, space) = (std::fs::metadata(&directory)?, rustix::fs::statvfs(&directory)?);
        Ok(StoreFacts {
            owner: found.uid(),
            mode: found.mode() & 0o7777,
            file_system: file_system_of(&directory),
            free: space.f_bavail.saturating_mul(space.f_frsize),
            library: format!("SQLite {}", rusqlite::version()),
            directory,
        })
    }

    /// The error of content that no run of this program has written.
    #[must_use]
    pub fn damaged(&self, why: String) -> JournalError {
        self.dir.damaged(why)
    }

    pub(super) fn read<R>(&self, work: impl FnOnce(&Connection) -> Result<R, DbError>) -> Result<R, JournalError> {
        work(&self.db).map_err(|error| self.dir.explain(error))
    }
}

/// An open journal: one per process, used by one task at a time.
#[derive(Debug)]
pub struct Journal {
    pub(super) history: History,
    /// The database, as it was opened.
    pub(super) file: FileId,
    pub(super) durability: Durability,
    pub(super) turn: WriteLock,
    /// Held for life: whoever can take this lock knows that we are dead.
    #[expect(dead_code, reason = "holding it is its use")]
    pub(super) alive: LivenessLock,
    /// Our row in `processes`.
    pub(super) process: i64,
    /// The tenant key and the quota's longest window, once a session has started.
    pub(super) session: Option<Session>,
}

/// What stays the same for all commits of one run.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) scope: i64,
    /// The quota needs no attempts older than this.
    pub(super) longest_hold: Duration,
    pub(super) rules: Rules,
    pub(super) ledger: Ledger,
}

impl Deref for Journal {
    type Target = History;

    fn deref(&self) -> &History {
        &self.history
    }
}

impl Journal {
    /// One transaction, under the write lock.
    pub(super) fn write<R>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, DbError>,
    ) -> Result<R, JournalError> {
        let Journal { history: History { db, dir, .. }, turn, file, .. } = self;
        let attempt = || {
            let _turn = turn.take()?;
            dir.expect_present(*file)?;
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&tx)?;
            tx.commit()?;
            Ok(result)
        };
        attempt().map_err(|error| self.dir.explain(error))
    }
}
