//! A run's rows, as they are loaded, compared, sent and reported.

use jiff::Timestamp;

use crate::model::change::{Change, IncidentId};
use crate::model::edit::{Edits, Never};
use crate::model::list_edit::ListEdit;
use crate::model::outcome::{Outcome, ResultRow};
use crate::model::snapshot::Snapshot;

/// One row to be loaded.
#[derive(Clone, Debug)]
pub struct LoadRow {
    /// From 1.
    pub row: u64,
    /// From 1.
    pub line: u64,
    /// The id, or the cell that is none.
    pub incident: String,
    /// What to send, or the outcome of a row that is invalid.
    pub change: Result<Change, Outcome>,
    /// The row's own bytes.
    pub source: Vec<u8>,
    /// Of a plan: what its incident looked like when that was made.
    pub planned: Option<Snapshot>,
}

/// Whose incidents are read before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadScope {
    /// Those of all rows.
    All,
    /// Those without which a row can't be sent: it changes a list, its plan says what the incident was, or its own one
    /// was merged into it.
    Needed,
}

/// What comparing said of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffResult {
    /// Which.
    pub row: u64,
    /// It is over.
    pub outcome: Option<Outcome>,
    /// Its incident was otherwise than it asks for.
    pub is_otherwise: bool,
    /// What is sent, if that is not what was asked for: with complete lists, without what is set already.
    pub edits: Option<Edits>,
}

/// What was seen of a row's incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshots {
    /// Now.
    pub now: Snapshot,
    /// When its plan was made.
    pub planned: Option<Snapshot>,
    /// Whether a call of this run has changed the incident already.
    pub is_touched: bool,
}

/// One row without an outcome. `L` is how its change edits lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow<L = ListEdit> {
    /// From 1.
    pub row: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its own bytes, without its line end.
    pub source: Vec<u8>,
    /// What to send.
    pub change: Change<L>,
    /// Calls made for it so far.
    pub attempts: u32,
    /// Whether an earlier call for it is in doubt.
    pub is_in_doubt: bool,
    /// Whether what its incident looked like is recorded.
    pub is_recorded: bool,
    /// When its incident was read and was otherwise than it asks for: what was made before that counts no more.
    pub differed_at: Option<Timestamp>,
    /// The row's own incident, where that was merged into the one that is updated.
    pub merged: Option<IncidentId>,
    /// What the row itself asks for, if the change is something else: it has complete lists, or leaves out what is set
    /// already.
    pub asked: Option<Edits>,
}

impl PendingRow {
    /// What the row itself asks for.
    #[must_use]
    pub fn asked(&self) -> &Edits {
        self.asked.as_ref().unwrap_or(&self.change.edits)
    }

    /// The row as it is sent; `None` if a list edit is not resolved.
    #[must_use]
    pub fn resolved(self) -> Option<PendingRow<Never>> {
        Some(PendingRow {
            change: self.change.resolved()?,
            row: self.row,
            line: self.line,
            source: self.source,
            attempts: self.attempts,
            is_in_doubt: self.is_in_doubt,
            is_recorded: self.is_recorded,
            differed_at: self.differed_at,
            merged: self.merged,
            asked: self.asked,
        })
    }
}

/// A row with what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// How it ended.
    pub result: ResultRow,
    /// What is sent to its incident, or to the one into which that was merged; `None` if the row is invalid.
    pub change: Option<Change>,
    /// What its incident looked like before, where that was read.
    pub before: Option<Snapshot>,
}

impl ReportRow {
    /// The incident that is updated, where the row's own was merged into it.
    #[must_use]
    pub fn merged_into(&self) -> Option<IncidentId> {
        let target = self.change.as_ref().map(|change| change.incident);
        target.filter(|target| target.to_string() != self.result.incident_id)
    }
}
