//! The witness: reads the journal's file for itself, to see what is on the disk at the moment when something leaves.
//!
//! Promises: it only reads, with SQL of its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::server::Origin;

/// A connection of its own to the journal.
#[derive(Debug)]
pub(super) struct Witness {
    file: PathBuf,
    /// Opened when there is something to see.
    db: Option<Connection>,
    /// Intents that have had their call.
    used: HashSet<i64>,
    /// What 429s have named: the attempt, and the world's time before which nothing may be sent.
    pub(super) named: Vec<(i64, Duration)>,
}

impl Witness {
    pub(super) fn new(state_dir: &Path) -> Witness {
        Witness { file: state_dir.join("journal.db"), db: None, used: HashSet::new(), named: Vec::new() }
    }

    #[expect(clippy::disallowed_methods, reason = "the witness must not see through the journal's eyes")]
    fn db(&mut self) -> &Connection {
        let file = &self.file;
        self.db.get_or_insert_with(|| {
            Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the journal is there")
        })
    }

    /// The intent of a call that is about to leave: open, for this incident and this body, and not used before.
    pub(super) fn intent(&mut self, incident: u64, body: Option<&str>) -> Option<Origin> {
        let found: Vec<Origin> = self
            .db()
            .prepare_cached(
                "SELECT a.id, a.run, a.row FROM attempts AS a JOIN rows ON rows.run = a.run AND rows.row = a.row
                 WHERE a.ended IS NULL AND a.incident = ?1 AND a.updates = (?2 IS NOT NULL)
                   AND (?2 IS NULL OR rows.body = ?2) ORDER BY a.id",
            )
            .expect("the attempts can be read")
            .query_map(params![incident, body], |row| {
                Ok(Origin { attempt: row.get(0)?, run: row.get(1)?, row: row.get(2)? })
            })
            .and_then(Iterator::collect)
            .expect("the attempts can be read");
        found.into_iter().find(|origin| self.used.insert(origin.attempt))
    }

    /// The latest time, after `now`, that a 429 named whose end is in the journal.
    pub(super) fn nothing_before(&mut self, now: Duration) -> Option<Duration> {
        let ahead: Vec<(i64, Duration)> = self.named.iter().copied().filter(|(_, until)| *until > now).collect();
        let db = self.db();
        let is_known = |attempt: i64| {
            db.prepare_cached("SELECT ended IS NOT NULL AND verdict = 'throttled' FROM attempts WHERE id = ?1")
                .and_then(|mut statement| statement.query_row([attempt], |row| row.get(0)))
                .expect("the attempt can be read")
        };
        ahead.into_iter().filter(|(attempt, _)| is_known(*attempt)).map(|(_, until)| until).max()
    }

    /// Whether the journal holds an outcome of this row.
    pub(super) fn is_over(&mut self, run: &str, row: u64) -> bool {
        self.db()
            .prepare_cached(
                "SELECT outcome IS NOT NULL FROM rows JOIN runs ON runs.id = rows.run
                 WHERE runs.name = ?1 AND rows.row = ?2",
            )
            .and_then(|mut statement| statement.query_row(params![run, row], |row| row.get(0)))
            .expect("the row can be read")
    }

    /// The number of a run.
    pub(super) fn run(&mut self, name: &str) -> i64 {
        self.db()
            .query_row("SELECT id FROM runs WHERE name = ?1", [name], |row| row.get(0))
            .expect("the run can be read")
    }
}
