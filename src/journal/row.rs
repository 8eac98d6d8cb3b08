//! A run's rows, as they are loaded, compared, sent and reported.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::change::{Change, IncidentId};
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
    /// The body that is sent, if it is not the one that was asked for: with whole lists, without what is set already.
    pub body: Option<Arc<str>>,
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

/// One row that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow {
    /// From 1.
    pub row: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its own bytes, without its line end.
    pub source: Vec<u8>,
    /// What to send.
    pub change: Change,
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
    /// The body as it was asked for, if that of the change is another one: it has whole lists, or leaves out what is set
    /// already.
    pub asked: Option<Arc<str>>,
}

impl PendingRow {
    /// What the row itself asks for.
    #[must_use]
    pub fn asked(&self) -> &str {
        self.asked.as_deref().unwrap_or(&self.change.body)
    }
}

/// A row with what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// How it ended.
    pub result: ResultRow,
    /// The change's body; `None` of a row that is invalid.
    pub body: Option<String>,
    /// The incident that is updated: its own, or the one into which that was merged; `None` of a row that is invalid.
    pub target: Option<IncidentId>,
    /// What its incident looked like before, where that was read.
    pub before: Option<Snapshot>,
}

impl ReportRow {
    /// What was asked for; `None` of a row that is invalid. `appended` is the property that is added to what is there.
    #[must_use]
    pub fn change(&self, appended: &str) -> Option<Change> {
        let body = self.body.as_deref()?;
        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).unwrap_or_default();
        Some(Change { incident: self.target?, body: body.into(), appends: members.contains_key(appended) })
    }

    /// The incident that is updated, where the row's own was merged into it.
    #[must_use]
    pub fn merged_into(&self) -> Option<IncidentId> {
        self.target.filter(|target| target.to_string() != self.result.incident_id)
    }
}
