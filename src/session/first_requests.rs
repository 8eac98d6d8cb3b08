//! The first requests of a run, as they would be sent.

use super::counts::Counts;
use super::pages::Pages;
use super::prepared_run::PreparedRun;
use crate::journal::{JournalError, PendingRow};
use crate::model::change::Change;
use crate::model::edit::Edits;

/// A request as it would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstRequest {
    /// Such as `PATCH`.
    pub method: &'static str,
    /// Starts with a slash.
    pub path: String,
    /// JSON, exactly.
    pub body: String,
    /// What it changes.
    pub edits: Edits,
    /// The row's own bytes.
    pub source: Vec<u8>,
}

/// Maximum number of requests shown.
const SHOWN: usize = 3;

impl PreparedRun {
    /// The first requests of the rows that `counts` has counted.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn first_requests(&self, counts: &Counts) -> Result<Vec<FirstRequest>, JournalError> {
        let (mut pages, mut first) = (Pages::default(), Vec::new());
        while let Some(rows) = pages.pending(&self.journal, &self.handle)? {
            for PendingRow { row, source, change: Change { incident, edits }, .. } in rows {
                if counts.left_out.contains_key(&row) {
                    continue;
                }
                let edits = match () {
                    () if counts.without_comment.contains(&row) => edits.without_added(),
                    () if counts.only_comment.contains(&row) => edits.only_added(),
                    () => edits,
                };
                // The request for a list edit is unknown until its incident is read.
                let Some(change) = (Change { incident, edits }).resolved() else { continue };
                first.extend(self.target.contract.steps(&change).map(|step| FirstRequest {
                    method: step.method.as_str(),
                    path: step.path,
                    body: step.body.to_json(),
                    edits: step.body.edits.into(),
                    source: source.clone(),
                }));
                if first.len() >= SHOWN {
                    return Ok(first);
                }
            }
        }
        Ok(first)
    }
}
