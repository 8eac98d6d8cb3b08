//! Format: which version of the journal a database file holds, and the steps from an older one to today's.
//!
//! Promises: a journal of a newer format is never written to; a step keeps every row, attempt and plan.

use std::path::Path;

use rusqlite::Connection;

use super::JournalError;

/// The format that this program writes.
const FORMAT: i64 = 3;
/// The oldest format that it can read. Format 1 was never released.
const OLDEST: i64 = 2;
/// Marks the file as ours (`btri`).
const APPLICATION: i64 = 0x6274_7269;

/// From [`OLDEST`] to [`FORMAT`], one step for each format.
const STEPS: [&str; 1] = [include_str!("format-3.sql")];

/// What a database file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing yet.
    Nothing,
    /// A journal of this program's format.
    Journal,
    /// A journal of an older format, to be brought up to date by this many of the last steps.
    Older(usize),
}

impl Content {
    /// # Errors
    /// If it is another program's (most have no mark, but have tables), or a format that this program can't read.
    pub(super) fn of(db: &Connection, path: &Path) -> Result<Content, JournalError> {
        let number = |pragma| db.pragma_query_value::<i64, _>(None, pragma, |row| row.get(0));
        let (application, found) = (number("application_id")?, number("user_version")?);
        if application != APPLICATION {
            let is_empty = db.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
            if is_empty && application == 0 {
                return Ok(Content::Nothing);
            }
            let why = "it is the database of another program".to_owned();
            return Err(JournalError::Damaged { path: path.to_owned(), why });
        }
        match usize::try_from(FORMAT - found) {
            Err(_) => Err(JournalError::Newer { path: path.to_owned(), found, known: FORMAT }),
            Ok(0) => Ok(Content::Journal),
            Ok(steps) if found >= OLDEST => Ok(Content::Older(steps)),
            Ok(_) => {
                let why =
                    format!("it has format {found}, which was never released; this program knows format {FORMAT}");
                Err(JournalError::Damaged { path: path.to_owned(), why })
            }
        }
    }

    /// Makes it a journal of this program's format. Call it within a transaction.
    ///
    /// # Errors
    /// If the database can't be written.
    pub(super) fn bring_up_to_date(self, db: &Connection, boot_id: &str) -> Result<(), rusqlite::Error> {
        match self {
            Content::Journal => return Ok(()),
            Content::Nothing => {
                db.execute_batch(include_str!("schema.sql"))?;
                db.pragma_update(None, "application_id", APPLICATION)?;
                db.execute("INSERT INTO machine (boot_id) VALUES (?1)", [boot_id])?;
            }
            Content::Older(steps) => {
                STEPS[STEPS.len() - steps..].iter().try_for_each(|step| db.execute_batch(step))?;
            }
        }
        db.pragma_update(None, "user_version", FORMAT)
    }
}
