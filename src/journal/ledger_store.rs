//! The ledger in the database: not a separate table but a view of the attempts, read again when another process has
//! written.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::ledger::{Ledger, StoredPause, counted_by};
use super::locks;
use super::sql::{DbError, boot};
use crate::clock::{BootTime, Now, micros};
use crate::model::permit::LATE_COUNT;

/// The longest that one request can take: an attempt without an end can't hold its permit longer than this.
pub(super) const CALL_LIMIT: Duration = Duration::from_mins(1);

const CALLS_IN_FLIGHT: &str = "SELECT count(*) FROM attempts WHERE scope = ?1 AND ended IS NULL";
const CALLS_ENDED: &str = "SELECT ended, http_status IS NOT NULL FROM attempts WHERE scope = ?1 AND ended IS NOT NULL AND ended > ?2 AND verdict IS NOT 'unsent' ORDER BY ended";
const OURS_IN_FLIGHT: &str = "SELECT id FROM attempts WHERE scope = ?1 AND ended IS NULL AND process = ?2";
const OTHERS: &str = "SELECT DISTINCT process FROM attempts WHERE scope = ?1 AND ended IS NULL AND process <> ?2";
const OTHERS_ANYWHERE: &str = "SELECT DISTINCT process FROM attempts WHERE ended IS NULL AND process <> ?1";
const PAUSE: &str = "SELECT pause_until, probe FROM scopes WHERE id = ?1 AND pause_until IS NOT NULL";
const RELEASE_PROBE: &str = "
    UPDATE scopes SET probe = NULL
    WHERE EXISTS (SELECT 1 FROM attempts WHERE id = scopes.probe AND process = ?1 AND ended IS NULL)";
const REAP: &str = "
    UPDATE attempts
    SET ended = max(started, min(?2, started + ?4)), ended_wall = max(started_wall, min(?3, started_wall + ?4)),
        verdict = 'lost'
    WHERE process = ?1 AND ended IS NULL";

/// All of the above, for a test of their query plans.
#[cfg(test)]
pub(super) const QUERIES: [&str; 8] =
    [CALLS_IN_FLIGHT, CALLS_ENDED, OURS_IN_FLIGHT, OTHERS, OTHERS_ANYWHERE, PAUSE, RELEASE_PROBE, REAP];

/// Whose ledger it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct LedgerKey {
    pub(super) scope: i64,
    pub(super) process: i64,
}

/// Brings the ledger up to date, inside a transaction.
pub(super) fn refresh(
    ledger: &mut Ledger,
    tx: &Transaction<'_>,
    dir: &Path,
    key: LedgerKey,
    now: Now,
    horizon: BootTime,
) -> Result<(), DbError> {
    let version = data_version(tx)?;
    if ledger.version != Some(version) || ledger.others() > 0 {
        let reaped = reap_dead(tx, dir, key.process, now, Some(key.scope))?;
        if reaped || ledger.version != Some(version) {
            read(ledger, tx, key, horizon)?;
            ledger.version = Some(version);
        }
    }
    ledger.drop_before(horizon);
    Ok(())
}

/// Reads the ledger anew.
pub(super) fn read(
    ledger: &mut Ledger,
    db: &Connection,
    key: LedgerKey,
    horizon: BootTime,
) -> Result<(), rusqlite::Error> {
    let LedgerKey { scope, process } = key;
    let mut statement = db.prepare_cached(CALLS_ENDED)?;
    let counted =
        statement.query_map([scope, (horizon - LATE_COUNT).0], |row| Ok(counted_by(boot(row.get(0)?), row.get(1)?)))?;
    ledger.usage.ended = counted.collect::<Result<_, _>>()?;
    // Those without a response are followed by later ends.
    ledger.usage.ended.make_contiguous().sort_unstable();
    ledger.usage.in_flight = db.prepare_cached(CALLS_IN_FLIGHT)?.query_row([scope], |row| row.get(0))?;
    let mut ours = db.prepare_cached(OURS_IN_FLIGHT)?;
    ledger.ours = ours.query_map([scope, process], |row| row.get(0))?.collect::<Result<_, _>>()?;
    ledger.pause = db
        .prepare_cached(PAUSE)?
        .query_row([scope], |row| Ok(StoredPause { until: boot(row.get(0)?), probe: row.get(1)? }))
        .optional()?;
    Ok(())
}

/// Computed from the last requests that got a response.
const LATENCY: &str = "
    SELECT avg(ended - started) FROM (
        SELECT started, ended FROM attempts
        WHERE scope = ?1 AND ended IS NOT NULL AND http_status IS NOT NULL ORDER BY ended DESC LIMIT 50)";

/// How long the last requests of a tenant key took, on average.
pub(super) fn latency(db: &Connection, scope: i64) -> Result<Option<Duration>, rusqlite::Error> {
    let micros: Option<f64> = db.query_row(LATENCY, [scope], |row| row.get(0))?;
    // A negative duration was measured across a change of the clock.
    Ok(micros.and_then(|micros| Duration::try_from_secs_f64(micros / 1e6).ok()))
}

fn data_version(db: &Connection) -> Result<i64, rusqlite::Error> {
    db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Ends the attempts of dead processes: now, or at the end of their time limit if that is earlier. An update
/// among them is in doubt. Returns whether there were any.
pub(super) fn reap_dead(
    tx: &Transaction<'_>,
    dir: &Path,
    ourselves: i64,
    now: Now,
    scope: Option<i64>,
) -> Result<bool, DbError> {
    let processes: Vec<i64> = match scope {
        Some(scope) => {
            tx.prepare_cached(OTHERS)?.query_map([scope, ourselves], |row| row.get(0))?.collect::<Result<_, _>>()?
        }
        None => tx.prepare(OTHERS_ANYWHERE)?.query_map([ourselves], |row| row.get(0))?.collect::<Result<_, _>>()?,
    };
    let mut reaped = false;
    for process in processes {
        if !locks::is_gone(dir, process)? {
            continue;
        }
        reaped = true;
        tx.execute(RELEASE_PROBE, [process])?;
        tx.execute(REAP, params![process, now.boot.0, now.wall.as_microsecond(), micros(CALL_LIMIT)])?;
    }
    Ok(reaped)
}
