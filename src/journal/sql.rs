//! What all SQL shares: its error inside the journal, and how ids and times are stored.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _};

use super::error::{JournalError, StoreError, StoreErrorKind};
use super::run::RunHandle;
use crate::clock::BootTime;
use crate::model::change::IncidentId;

/// The version of `SQLite`, and whether it was built with the flags of `.cargo/config.toml`.
#[must_use]
pub fn sqlite_build() -> (&'static str, bool) {
    let query = "SELECT sqlite_compileoption_used('DEFAULT_MEMSTATUS=0')";
    let has_flags = Connection::open_in_memory().and_then(|db| db.query_row(query, [], |row| row.get(0)));
    (rusqlite::version(), has_flags.unwrap_or(false))
}

/// An error inside the journal, before [`super::directory::StateDir::explain`] makes it one for callers.
#[derive(Debug)]
pub(super) enum DbError {
    Sql(rusqlite::Error),
    Journal(JournalError),
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> DbError {
        DbError::Sql(error)
    }
}

impl From<JournalError> for DbError {
    fn from(error: JournalError) -> DbError {
        DbError::Journal(error)
    }
}

impl From<std::io::Error> for DbError {
    fn from(error: std::io::Error) -> DbError {
        DbError::Journal(error.into())
    }
}

/// The error of the database library for callers.
pub(super) fn store_error(error: rusqlite::Error) -> JournalError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure) => StoreErrorKind::Unreadable,
        _ => StoreErrorKind::Refused,
    };
    JournalError::Store(StoreError::new(kind, error))
}

/// A stored time.
pub(super) fn boot(micros: i64) -> BootTime {
    BootTime(micros)
}

/// A stored wall time; the epoch if it is out of range, as in a damaged database.
pub(super) fn wall(micros: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

pub(super) fn stored_id(incident: IncidentId) -> i64 {
    // An id is at most `i64::MAX`.
    i64::try_from(incident.get()).unwrap_or(i64::MAX)
}

/// Incidents as one parameter: a JSON list, each of them once; `None` if there are none.
pub(super) fn id_list(incidents: impl IntoIterator<Item = IncidentId>) -> Option<String> {
    let mut ids: Vec<u64> = incidents.into_iter().map(IncidentId::get).collect();
    ids.sort_unstable();
    ids.dedup();
    number_list(&ids)
}

/// Numbers as one parameter: a JSON list; `None` if there are none.
pub(super) fn number_list(numbers: &[u64]) -> Option<String> {
    // `Debug` of a list of numbers is JSON.
    (!numbers.is_empty()).then(|| format!("{numbers:?}"))
}

/// The tenant key of a run, by its number.
pub(super) fn scope_of(db: &Connection, run: &RunHandle) -> Result<i64, rusqlite::Error> {
    db.prepare_cached("SELECT scope FROM runs WHERE id = ?1")?.query_row([run.id], |row| row.get(0))
}

/// The API of a run, by its number; empty for no run.
pub(super) fn api_of(db: &Connection, run: i64) -> Result<String, rusqlite::Error> {
    let api = db.prepare_cached("SELECT api FROM runs WHERE id = ?1")?.query_row([run], |row| row.get(0)).optional()?;
    Ok(api.unwrap_or_default())
}

/// No more bytes of rows than this, and one more row, are read at once.
const PAGE_BYTES: usize = 1024 * 1024;

/// The first of these rows, as many as fit a page.
pub(super) fn page<T>(
    rows: impl Iterator<Item = Result<T, DbError>>,
    bytes: impl Fn(&T) -> usize,
) -> Result<Vec<T>, DbError> {
    let mut page = Vec::new();
    let mut filled = 0;
    for row in rows {
        let row = row?;
        filled += bytes(&row);
        page.push(row);
        if filled >= PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

/// The number of the run with this name.
pub(super) fn run_id(db: &Connection, name: &str) -> Result<i64, DbError> {
    let found =
        db.prepare_cached("SELECT id FROM runs WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()?;
    found.ok_or_else(|| JournalError::NoSuchRun(name.to_owned()).into())
}
