//! Format: which version of the journal a database file holds, and the upgrades from older ones.
//!
//! Promises: a journal of a newer format is never written to; nor is one with a table, an index, a trigger or a view that
//! is not ours; a step keeps every row, attempt and plan.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::error::JournalError;
use super::sql::DbError;

/// The format that this program writes.
const FORMAT: i64 = 5;
/// The oldest format that it can read. Format 1 was never released.
const OLDEST: i64 = 2;
/// Marks the file as ours (`btri`).
const APPLICATION: i64 = 0x6274_7269;

/// The upgrades from [`OLDEST`] to [`FORMAT`], one per format.
const STEPS: [&str; 3] = [include_str!("format-3.sql"), include_str!("format-4.sql"), include_str!("format-5.sql")];

/// The whole schema of each earlier format, from [`OLDEST`] on.
const EARLIER: [&str; 3] = [include_str!("schema-2.sql"), include_str!("schema-3.sql"), include_str!("schema-4.sql")];

/// What a database file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing yet.
    Nothing,
    /// A journal of this program's format.
    Journal,
    /// A journal of an older format, to be upgraded by this many of the last steps.
    Older(usize),
}

impl Content {
    /// # Errors
    /// If it is another program's (most have no mark, but have tables), or a format that this program can't read.
    pub(super) fn of(db: &Connection, path: &Path) -> Result<Content, DbError> {
        let damaged = |why| DbError::from(JournalError::Damaged { path: path.to_owned(), why });
        let number = |pragma| db.pragma_query_value::<i64, _>(None, pragma, |row| row.get(0));
        let (application, found) = (number("application_id")?, number("user_version")?);
        if application != APPLICATION {
            let is_empty = db.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
            if is_empty && application == 0 {
                return Ok(Content::Nothing);
            }
            let why = "it is the database of another program".to_owned();
            return Err(damaged(why));
        }
        match usize::try_from(FORMAT - found) {
            Err(_) => Err(JournalError::Newer { path: path.to_owned(), found, known: FORMAT }.into()),
            Ok(steps) if found >= OLDEST => match strange_name(db, steps)? {
                None if steps == 0 => Ok(Content::Journal),
                None => Ok(Content::Older(steps)),
                Some(name) => {
                    let why = format!("`{name}` in it is not as this program creates it");
                    Err(damaged(why))
                }
            },
            Ok(_) => {
                let why =
                    format!("it has format {found}, which was never released; this program knows format {FORMAT}");
                Err(damaged(why))
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

/// What is in a database: kind, name, table, and the text that created it.
type Schema = BTreeSet<(String, String, String, Option<String>)>;

fn schema_of(db: &Connection) -> Result<Schema, rusqlite::Error> {
    let mut statement = db.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let entries = statement.query_map([], |entry| {
        let sql: Option<String> = entry.get(3)?;
        Ok((entry.get(0)?, entry.get(1)?, entry.get(2)?, sql.as_deref().map(without_comments)))
    })?;
    entries.collect()
}

/// The name of something in the database that no journal of `steps` formats ago has, or has with this text, if any. The
/// text of an upgraded table differs from that of a new one, so the schemas of all formats up to its own are allowed.
fn strange_name(db: &Connection, steps: usize) -> Result<Option<String>, rusqlite::Error> {
    let found = schema_of(db)?;
    let until = STEPS.len() - steps;
    let whole = if steps == 0 { include_str!("schema.sql") } else { EARLIER[until] };
    let mut first = None;
    let earlier = (0..until).map(|from| [&EARLIER[from..=from], &STEPS[from..until]].concat());
    for scripts in std::iter::once(vec![whole]).chain(earlier) {
        let ours = Connection::open_in_memory()?;
        scripts.iter().try_for_each(|script| ours.execute_batch(script))?;
        let ours = schema_of(&ours)?;
        if found == ours {
            return Ok(None);
        }
        let strange = found.symmetric_difference(&ours).next().map(|(_, name, ..)| name.clone());
        first = first.or(strange);
    }
    Ok(first)
}

/// The text without comments and with single blanks: a comment in a later revision changes nothing.
fn without_comments(sql: &str) -> String {
    let (mut text, mut is_quoted) = (String::new(), false);
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        is_quoted ^= c == '\'';
        if c == '-' && !is_quoted && rest.peek() == Some(&'-') {
            rest.find(|c| *c == '\n');
            text.push(' ');
        } else {
            text.push(c);
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_comments_and_blanks_are_ignored() {
        assert_eq!(without_comments("a  -- b ' c\n,\n d -- e"), "a , d");
        for (one, other) in [("CHECK (a = '--b')", "CHECK (a = '"), ("'--'), x('\n'", "''"), ("a - b", "a b")] {
            assert_ne!(without_comments(one), without_comments(other));
        }
        assert_eq!(without_comments("x('it''s -- in', 1) -- out"), "x('it''s -- in', 1)");
    }
}
