//! The witness: reads the journal's file independently, to see what is on disk at the moment when something leaves.
//!
//! Promises: it only reads, with SQL of its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::life::Life;
use super::server::Origin;

/// The time that a response has named, a 429 or another that is retried, in the world's time.
#[derive(Clone, Copy, Debug)]
struct Told {
    attempt: i64,
    at: Duration,
    /// Nothing may be sent before.
    until: Duration,
    /// The pause may last until then, if that is known.
    latest: Option<Duration>,
}

/// Its own connection to the journal.
#[derive(Debug)]
pub(super) struct Witness {
    file: PathBuf,
    /// Opened when the file exists.
    db: Option<Connection>,
    /// Intents that have had their request.
    used: HashSet<i64>,
    /// The times that 429s have named.
    told: Vec<Told>,
    /// The request that goes first after the last of them.
    first: Option<(i64, Arc<Life>)>,
}

impl Witness {
    pub(super) fn new(state_dir: &Path) -> Witness {
        Witness { file: state_dir.join("journal.db"), db: None, used: HashSet::new(), told: Vec::new(), first: None }
    }

    #[expect(clippy::disallowed_methods, reason = "the witness must not see through the journal's eyes")]
    fn db(&mut self) -> &Connection {
        let file = &self.file;
        self.db.get_or_insert_with(|| {
            Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the journal is there")
        })
    }

    /// The intent of a request that is about to leave: open, for this incident and this body, and not used before.
    pub(super) fn intent(&mut self, incident: u64, body: Option<&str>) -> Option<Origin> {
        let found: Vec<Origin> = self
            .db()
            .prepare_cached(
                "SELECT a.id, a.run, a.row FROM attempts AS a LEFT JOIN rows ON rows.run = a.run AND rows.row = a.row
                 WHERE a.ended IS NULL AND a.incident = ?1 AND (a.kind > 0) = (?2 IS NOT NULL)
                   AND (?2 IS NULL OR ?2 = CASE
                       WHEN a.kind = 2 OR a.kind = 3 AND a.step = 0 THEN json_remove(rows.body, '$.comment')
                       WHEN a.kind = 3 THEN json_object('comment', rows.body ->> '$.comment')
                       ELSE rows.body END)
                 ORDER BY a.id",
            )
            .expect("the attempts can be read")
            .query_map(params![incident, body], |row| {
                Ok(Origin { attempt: row.get(0)?, run: row.get(1)?, row: row.get(2)? })
            })
            .and_then(Iterator::collect)
            .expect("the attempts can be read");
        found.into_iter().find(|origin| self.used.insert(origin.attempt))
    }

    /// A 429 says at `at`: nothing before `until`, and a pause until `latest` at most.
    pub(super) fn is_told(&mut self, attempt: i64, at: Duration, until: Duration, latest: Option<Duration>) {
        self.told.push(Told { attempt, at, until, latest });
    }

    /// Until when the responses received at `at` let a process pause, if that is known.
    pub(super) fn longest_pause(&self, at: Duration) -> Option<Duration> {
        let now = self.told.iter().filter(|told| told.at == at);
        now.map(|told| told.latest).reduce(|a, b| Some(a?.max(b?))).flatten()
    }

    /// Whether the response to this attempt has named a time.
    pub(super) fn was_told(&self, attempt: i64) -> bool {
        self.told.iter().any(|told| told.attempt == attempt)
    }

    /// A request has ended.
    pub(super) fn hears(&mut self, attempt: i64, status: u16) {
        let pauses = status == 429 || self.told.iter().any(|told| told.attempt == attempt);
        let was_first = self.first.take_if(|(first, _)| pauses || *first == attempt).is_some();
        if was_first && !pauses {
            self.told.clear();
        }
    }

    /// Why a request should not leave now: a 429 whose end is in the journal has named a later time, or the one request
    /// that goes first after it is still in flight.
    pub(super) fn goes_too_early(&mut self, attempt: i64, now: Duration, life: &Arc<Life>) -> Option<String> {
        // Of events at one moment, nobody can say which was committed first.
        let told: Vec<Told> = self.told.iter().copied().filter(|told| told.at < now).collect();
        let db = self.db();
        let is_known = |attempt: i64| {
            db.prepare_cached(
                "SELECT ended IS NOT NULL AND verdict IN ('throttled', 'transient') FROM attempts WHERE id = ?1",
            )
            .and_then(|mut statement| statement.query_row([attempt], |row| row.get(0)))
            .expect("the attempt can be read")
        };
        let until = told.into_iter().filter(|told| is_known(told.attempt)).map(|told| told.until).max()?;
        if now < until {
            return Some(format!("a response had named {until:?}"));
        }
        match &self.first {
            Some((first, its_life)) if !its_life.is_dead() => {
                Some(format!("a response had named {until:?}, and request {first}, which goes first, is in flight"))
            }
            _ => {
                self.first = Some((attempt, Arc::clone(life)));
                None
            }
        }
    }

    /// Whether the journal has an outcome of this row.
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
            .prepare_cached("SELECT id FROM runs WHERE name = ?1")
            .and_then(|mut statement| statement.query_row([name], |row| row.get(0)))
            .expect("the run can be read")
    }
}
