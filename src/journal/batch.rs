//! A batch: what is committed together, and what the commit returns.

use jiff::Timestamp;

use super::attempt::{AppliedBy, AttemptId, Doubt};
use super::row::PendingRow;
use crate::clock::BootTime;
use crate::model::call::CallResult;
use crate::model::change::{IncidentId, ResolvedChange};
use crate::model::edit::{Edits, Never};
use crate::model::outcome::Outcome;
use crate::model::permit::{NextPermit, Pause};
use crate::model::step::Part;

/// What is committed together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Attempts that have ended.
    pub ends: Vec<AttemptEnd>,
    /// Rows that finish without a request, with their outcomes.
    pub finished: Vec<(u64, Outcome)>,
    /// Requests for rows that want to start, in the order in which they are served.
    pub starts: Vec<StartRequest>,
    /// Reads that resolve nothing: of an incident, or (`None`) of a list. They come after the requests for rows.
    pub reads: Vec<Option<IncidentId>>,
    /// The maximum number of both that may start.
    pub slots: u32,
    /// The snapshots of rows' incidents, as JSON.
    pub snapshots: Vec<(u64, String)>,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// The attempt.
    pub attempt: AttemptId,
    /// When the response had arrived, or the wait for it ended.
    pub at: BootTime,
    /// The verdict's name.
    pub verdict: &'static str,
    /// Of an update: whether it was applied; `None` if that is in doubt. Of a read: `None`.
    pub applied: Option<bool>,
    /// `None` without a response.
    pub http_status: Option<u16>,
    /// The service's tracking ID of the request, if any.
    pub request_id: Option<String>,
    /// The row that finishes with it, and its outcome.
    pub outcome: Option<(u64, Outcome)>,
    /// Attempts whose doubt it has resolved, and whether they were applied.
    pub resolved: Vec<(AttemptId, bool)>,
    /// Of a read: the incident was merged into another, and what was applied went to the old one.
    pub is_merged: bool,
    /// After a 429: the tenant key pauses until then.
    pub pause_until: Option<BootTime>,
}

impl AttemptEnd {
    /// The end of an attempt with this result, which ends no row and resolves nothing.
    #[must_use]
    pub fn of(attempt: AttemptId, at: BootTime, result: &CallResult) -> AttemptEnd {
        AttemptEnd {
            attempt,
            at,
            verdict: result.verdict.name(),
            applied: None,
            http_status: result.http_status,
            request_id: result.request_id.clone(),
            outcome: None,
            resolved: Vec::new(),
            is_merged: false,
            pause_until: None,
        }
    }
}

/// A request that wants to start.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The row's number.
    pub row: u64,
    /// What is sent, or whose incident is read.
    pub change: ResolvedChange,
    /// Which part of the row's change that is.
    pub part: Part,
    /// Whether it updates or reads.
    pub kind: CallKind,
    /// Time of a read that differed; earlier updates by other runs do not count.
    pub differed_at: Option<Timestamp>,
    /// What the row asks for, if the change is something else.
    pub asked: Option<Edits>,
    /// The row's own incident, if that was merged into the one that is updated.
    pub merged: Option<IncidentId>,
}

impl StartRequest {
    /// The request of a row for this part of what it asks for.
    #[must_use]
    pub fn new(row: &PendingRow<Never>, part: Part, kind: CallKind) -> StartRequest {
        let PendingRow { row, change, differed_at, asked, merged, .. } = row;
        let (change, asked) = (change.clone(), asked.clone());
        StartRequest { row: *row, change, part, kind, differed_at: *differed_at, asked, merged: *merged }
    }
}

impl StartRequest {
    /// What the row itself asks for.
    pub(super) fn asked(&self) -> Edits {
        self.asked.clone().unwrap_or_else(|| self.change.edits.clone().into())
    }
}

/// What a request of a row does.
#[derive(Clone, Debug, PartialEq)]
pub enum CallKind {
    /// The change is sent, if it has not been applied before.
    Update,
    /// The incident is read; for a change with a comment, to resolve these doubts, if they are the current ones.
    Read(Vec<Doubt>),
}

/// What became of a [`StartRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum Receipt {
    /// It has a permit, and its intent is on the disk: send it.
    Started(AttemptId),
    /// There was no permit or no slot for it: offer it again.
    NoPermit,
    /// The same change is in flight; or, for a comment, another comment or a read of the incident: offer it again
    /// when that has ended.
    InFlight,
    /// The change has been applied before: the row is finished.
    AlreadyApplied(AppliedBy),
    /// Its comment has been added by another change: offer the change again without it.
    CommentApplied,
    /// Read the incident first, but not before the server must have received the last byte of these attempts.
    InDoubt(Vec<Doubt>),
    /// The doubts have been resolved meanwhile, and the change was not applied: no read is needed.
    Resolved,
}

/// What a commit returns.
#[derive(Clone, Debug)]
pub struct Receipts {
    /// One per request, in their order.
    pub starts: Vec<Receipt>,
    /// The attempts of the reads that may start: the first ones.
    pub reads: Vec<AttemptId>,
    /// When the next permit is free.
    pub next: NextPermit,
    /// Whether requests of other processes are in flight: their end can't be predicted, so ask again.
    pub others_in_flight: bool,
    /// The pause, if there is one.
    pub pause: Option<Pause>,
}
