//! The quota's ledger: not a table of its own but a view of the attempts, kept in memory and brought up to date when
//! another process has written.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{JournalError, boot, locks};
use crate::clock::{BootTime, Now, micros};
use crate::model::permit::{LATE_COUNT, Pause, QuotaUsage};

/// The longest that one call can take: an attempt without an end can't hold its token longer than this.
pub(super) const CALL_LIMIT: Duration = Duration::from_mins(1);

const CALLS_UNDER_WAY: &str = "SELECT count(*) FROM attempts WHERE scope = ?1 AND ended IS NULL";
const CALLS_OVER: &str = "SELECT ended, http_status IS NOT NULL FROM attempts WHERE scope = ?1 AND ended IS NOT NULL AND ended > ?2 AND verdict IS NOT 'unsent' ORDER BY ended";
const OURS_UNDER_WAY: &str = "SELECT count(*) FROM attempts WHERE scope = ?1 AND ended IS NULL AND process = ?2";
const OTHERS: &str = "SELECT DISTINCT process FROM attempts WHERE scope = ?1 AND ended IS NULL AND process <> ?2";
const OTHERS_ANYWHERE: &str = "SELECT DISTINCT process FROM attempts WHERE ended IS NULL AND process <> ?1";
const PAUSE: &str = "SELECT pause_until, probe FROM scopes WHERE id = ?1 AND pause_until IS NOT NULL";
const LET_GO_OF_PROBE: &str = "
    UPDATE scopes SET probe = NULL
    WHERE EXISTS (SELECT 1 FROM attempts WHERE id = scopes.probe AND process = ?1 AND ended IS NULL)";
const BURY: &str = "
    UPDATE attempts
    SET ended = max(started, min(?2, started + ?4)), ended_wall = max(started_wall, min(?3, started_wall + ?4)),
        verdict = 'lost'
    WHERE process = ?1 AND ended IS NULL";

/// All of the above: a test looks at how they are answered.
#[cfg(test)]
pub(super) const QUERIES: [&str; 8] =
    [CALLS_UNDER_WAY, CALLS_OVER, OURS_UNDER_WAY, OTHERS, OTHERS_ANYWHERE, PAUSE, LET_GO_OF_PROBE, BURY];

/// What is known of the calls and of the pause of one scope.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) spent: QuotaUsage,
    pub(super) pause: Option<StoredPause>,
    /// Of the calls under way, those of other processes.
    pub(super) others: u32,
    /// The database's `data_version` when this was read; another one means that another process has written.
    version: Option<i64>,
}

/// A pause with the attempt that tries it out.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredPause {
    pub(super) until: BootTime,
    pub(super) probe: Option<i64>,
}

impl From<StoredPause> for Pause {
    fn from(pause: StoredPause) -> Pause {
        Pause { until: pause.until, probing: pause.probe.is_some() }
    }
}

impl Ledger {
    /// Brings the ledger up to date, inside a transaction.
    pub(super) fn look(
        &mut self,
        tx: &Transaction<'_>,
        dir: &Path,
        scope: i64,
        process: i64,
        now: Now,
        horizon: BootTime,
    ) -> Result<(), JournalError> {
        let version = data_version(tx)?;
        if self.version != Some(version) || self.others > 0 {
            let buried = reap_dead(tx, dir, process, now, Some(scope))?;
            if buried || self.version != Some(version) {
                self.read(tx, scope, process, horizon)?;
                self.version = Some(version);
            }
        }
        while self.spent.ended.front().is_some_and(|end| *end < horizon) {
            self.spent.ended.pop_front();
        }
        Ok(())
    }

    /// What was read may be wrong (a commit failed): read it again at the next look.
    pub(super) fn forget(&mut self) {
        self.version = None;
    }

    pub(super) fn read(
        &mut self,
        tx: &Connection,
        scope: i64,
        process: i64,
        horizon: BootTime,
    ) -> Result<(), JournalError> {
        let mut statement = tx.prepare_cached(CALLS_OVER)?;
        let counted = statement
            .query_map([scope, (horizon - LATE_COUNT).0], |row| Ok(counted_by(boot(row.get(0)?), row.get(1)?)))?;
        self.spent.ended = counted.collect::<Result<_, _>>()?;
        // Those without a response stand behind later ends.
        self.spent.ended.make_contiguous().sort_unstable();
        self.spent.in_flight = tx.prepare_cached(CALLS_UNDER_WAY)?.query_row([scope], |row| row.get(0))?;
        let ours: u32 = tx.prepare_cached(OURS_UNDER_WAY)?.query_row([scope, process], |row| row.get(0))?;
        self.others = self.spent.in_flight - ours;
        self.pause = tx
            .prepare_cached(PAUSE)?
            .query_row([scope], |row| Ok(StoredPause { until: boot(row.get(0)?), probe: row.get(1)? }))
            .optional()?;
        Ok(())
    }

    /// One of our calls has ended, with a response or without.
    pub(super) fn unsent(&mut self) {
        self.spent.in_flight = self.spent.in_flight.saturating_sub(1);
    }

    /// One has ended.
    pub(super) fn ended(&mut self, at: BootTime, has_response: bool) {
        self.spent.in_flight = self.spent.in_flight.saturating_sub(1);
        let at = counted_by(at, has_response);
        let place = self.spent.ended.partition_point(|end| *end <= at);
        self.spent.ended.insert(place, at);
    }
}

/// When the server has counted a request for certain that ended at `ended`.
fn counted_by(ended: BootTime, has_response: bool) -> BootTime {
    if has_response { ended } else { ended + LATE_COUNT }
}

/// Of the last requests that got a response.
const LATENCY: &str = "
    SELECT avg(ended - started) FROM (
        SELECT started, ended FROM attempts
        WHERE scope = ?1 AND ended IS NOT NULL AND http_status IS NOT NULL ORDER BY ended DESC LIMIT 50)";

/// How long the last requests of a scope took, on average.
pub(super) fn latency(db: &Connection, scope: i64) -> Result<Option<Duration>, JournalError> {
    let micros: Option<f64> = db.query_row(LATENCY, [scope], |row| row.get(0))?;
    // A time that is no duration was measured over a change of the clock.
    Ok(micros.and_then(|micros| Duration::try_from_secs_f64(micros / 1e6).ok()))
}

fn data_version(db: &Connection) -> Result<i64, rusqlite::Error> {
    db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Ends the attempts of processes that are gone: now, or at the end of their time limit if that is earlier. An update
/// among them is in doubt. Returns whether there were any.
pub(super) fn reap_dead(
    tx: &Transaction<'_>,
    dir: &Path,
    ourselves: i64,
    now: Now,
    scope: Option<i64>,
) -> Result<bool, JournalError> {
    let processes: Vec<i64> = match scope {
        Some(scope) => {
            tx.prepare_cached(OTHERS)?.query_map([scope, ourselves], |row| row.get(0))?.collect::<Result<_, _>>()?
        }
        None => tx.prepare(OTHERS_ANYWHERE)?.query_map([ourselves], |row| row.get(0))?.collect::<Result<_, _>>()?,
    };
    let mut buried = false;
    for process in processes {
        if !locks::is_gone(dir, process)? {
            continue;
        }
        buried = true;
        tx.execute(LET_GO_OF_PROBE, [process])?;
        tx.execute(BURY, params![process, now.boot.0, now.wall.as_microsecond(), micros(CALL_LIMIT)])?;
    }
    Ok(buried)
}
