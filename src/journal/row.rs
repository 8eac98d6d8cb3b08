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
    /// The ID, or the raw cell.
    pub incident: String,
    /// What to send, or the outcome if the row is invalid.
    pub change: Result<Change, Outcome>,
    /// The row's own bytes.
    pub source: Vec<u8>,
    /// Of a plan: the snapshot of its incident when the plan was created.
    pub planned: Option<Snapshot>,
}

/// Whose incidents are read before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadScope {
    /// Those of all rows.
    All,
    /// Those that a row needs: it edits a list, its plan has a snapshot, or its own incident was merged into this one.
    Needed,
}

/// The result of comparing a row with its incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffResult {
    /// The row's number.
    pub row: u64,
    /// How it ended, if it is finished.
    pub outcome: Option<Outcome>,
    /// Whether its incident differed from what it asks for.
    pub differs: bool,
    /// What is sent, if that differs from what was asked for: with complete lists, without values already set.
    pub edits: Option<Edits>,
}

/// A row's incident at two times.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshots {
    /// When it was last read.
    pub now: Snapshot,
    /// When its plan was created.
    pub planned: Option<Snapshot>,
    /// Whether a request of this run may have changed the incident already.
    pub is_touched: bool,
}

/// A row without an outcome. `L` is how its change edits lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow<L = ListEdit> {
    /// From 1.
    pub row: u64,
    /// The line on which it starts, from 1.
    pub line: u64,
    /// Its own bytes, without its line end.
    pub source: Vec<u8>,
    /// What to send.
    pub change: Change<L>,
    /// The number of its requests so far.
    pub attempts: u32,
    /// Whether an earlier request for it is in doubt.
    pub is_in_doubt: bool,
    /// Whether it has a snapshot of its incident.
    pub is_recorded: bool,
    /// Time of a read that differed from what it asks for; earlier updates by other runs do not count.
    pub differed_at: Option<Timestamp>,
    /// The row's own incident, if that was merged into the one that is updated.
    pub merged: Option<IncidentId>,
    /// What the row itself asks for, if the change is different: it has complete lists, or leaves out values already
    /// set.
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
    /// The snapshot of its incident, if that was read.
    pub before: Option<Snapshot>,
}

impl ReportRow {
    /// The incident that is updated, if the row's own was merged into it.
    #[must_use]
    pub fn merged_into(&self) -> Option<IncidentId> {
        let target = self.change.as_ref().map(|change| change.incident);
        target.filter(|target| target.to_string() != self.result.incident_id)
    }
}

#[cfg(test)]
impl<L> PendingRow<L> {
    /// The first row of an input, never sent.
    pub(crate) fn first(change: Change<L>) -> PendingRow<L> {
        PendingRow {
            row: 1,
            line: 2,
            source: Vec::new(),
            change,
            attempts: 0,
            is_in_doubt: false,
            is_recorded: false,
            differed_at: None,
            merged: None,
            asked: None,
        }
    }
}
