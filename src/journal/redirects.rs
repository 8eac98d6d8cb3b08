//! Merged incidents: rows that update the incident into which their own was merged.

use rusqlite::params;

use super::columns::{IS_UNSETTLED, MERGED};
use super::error::JournalError;
use super::opened::Journal;
use super::run::RunHandle;
use super::sql::run_id;
use crate::model::change::IncidentId;

/// Two rows with conflicting changes to one incident, found only after merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The row that is not finished.
    pub row: u64,
    /// The incident that both update.
    pub target: u64,
    /// The line of the other row.
    pub other_line: u64,
}

/// Runs and rows: rows whose incident was merged.
impl Journal {
    /// Redirects rows without an outcome whose incident was read and found merged into another: they update that one
    /// instead. Returns them with the incidents to read now. Rows in doubt stay as they are.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn retarget(&mut self, run: &RunHandle) -> Result<Vec<(IncidentId, u64)>, JournalError> {
        self.write(|tx| {
            // SQLite would read a number past the largest ID as a fraction.
            let mut follow = tx.prepare(&format!(
                "UPDATE rows SET target = before ->> '$.there.redirect', before = NULL
                 WHERE run = ?1 AND outcome IS NULL AND body IS NOT NULL AND NOT {IS_UNSETTLED}
                   AND typeof(before ->> '$.there.redirect') = 'integer'
                 RETURNING target, row"
            ))?;
            let followed = follow.query_map([run.id], |row| Ok((row.get::<_, u64>(0)?, row.get(1)?)))?;
            let followed = followed.map(|row| row.map(|(target, row)| Some((IncidentId::new(target)?, row))));
            Ok(followed.filter_map(Result::transpose).collect::<Result<_, _>>()?)
        })
    }

    /// Whether any rows of a run update another incident than their own.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn has_redirects(&self, run: &str) -> Result<bool, JournalError> {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM rows WHERE run = ?1 AND {MERGED} IS NOT NULL)");
        self.read(|db| Ok(db.query_row(&sql, [run_id(db, run)?], |row| row.get(0))?))
    }

    /// How many rows without an outcome update another incident than their own, and the lines of the first `named`.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn retargeted(&self, run: &RunHandle, named: usize) -> Result<(u64, Vec<u64>), JournalError> {
        let sql =
            format!("SELECT line FROM rows WHERE run = ?1 AND outcome IS NULL AND {MERGED} IS NOT NULL ORDER BY row");
        self.read(|db| {
            let mut statement = db.prepare(&sql)?;
            let (mut rows, mut first) = (0, Vec::new());
            for line in statement.query_map([run.id], |row| row.get(0))? {
                rows += 1;
                if first.len() < named {
                    first.push(line?);
                }
            }
            Ok((rows, first))
        })
    }

    /// Rows without an outcome that conflict with another row that updates the same incident.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn contradicting(&self, run: &RunHandle) -> Result<Vec<Contradiction>, JournalError> {
        let sql = format!(
            "SELECT target, row, line, coalesce(asked, body), outcome IS NULL FROM rows
             WHERE run = ?1 AND body IS NOT NULL
               AND target IN (SELECT target FROM rows WHERE run = ?1 AND outcome IS NULL AND {MERGED} IS NOT NULL)
             ORDER BY target, row"
        );
        self.read(|db| {
            let mut statement = db.prepare(&sql)?;
            let (mut found, mut group) = (Vec::new(), Vec::<TargetRow>::new());
            let mut rows = statement.query(params![run.id])?;
            while let Some(row) = rows.next()? {
                let one = TargetRow {
                    target: row.get(0)?,
                    row: row.get(1)?,
                    line: row.get(2)?,
                    asked: row.get(3)?,
                    is_open: row.get(4)?,
                };
                if group.first().is_some_and(|first| first.target != one.target) {
                    found.extend(contradictions(&group));
                    group.clear();
                }
                group.push(one);
            }
            found.extend(contradictions(&group));
            Ok(found)
        })
    }
}

/// A row that updates an incident that other rows update, too.
struct TargetRow {
    target: u64,
    row: u64,
    line: u64,
    asked: String,
    is_open: bool,
}

/// Of the rows that update one incident, the unfinished ones that conflict with another.
fn contradictions(group: &[TargetRow]) -> impl Iterator<Item = Contradiction> {
    group.iter().filter(|one| one.is_open).filter_map(|one| {
        let other = group.iter().find(|other| other.asked != one.asked)?;
        Some(Contradiction { row: one.row, target: one.target, other_line: other.line })
    })
}
