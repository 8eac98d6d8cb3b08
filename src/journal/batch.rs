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

/// What is committed together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Attempts that have ended.
    pub ends: Vec<AttemptEnd>,
    /// Rows that are over without a call.
    pub over: Vec<(u64, Outcome)>,
    /// Calls that want to begin, in the order in which they are to be served.
    pub begins: Vec<StartRequest>,
    /// Reads that clear up nothing: of an incident, or (`None`) of a list. They come after the calls for rows.
    pub looks: Vec<Option<IncidentId>>,
    /// At most so many of both may begin.
    pub slots: u32,
    /// What rows' incidents looked like before, as JSON.
    pub befores: Vec<(u64, String)>,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// Which.
    pub attempt: AttemptId,
    /// When the response had come, or the wait for it was over.
    pub at: BootTime,
    /// The verdict's name.
    pub verdict: &'static str,
    /// Of an update: whether it was made; `None` where that is in doubt. Of a read: `None`.
    pub made: Option<bool>,
    /// Of the answer.
    pub http_status: Option<u16>,
    /// Of the answer.
    pub request_id: Option<String>,
    /// The row that is over with it.
    pub outcome: Option<(u64, Outcome)>,
    /// Attempts about which it has cleared up the doubt, and whether they were made.
    pub resolved: Vec<(AttemptId, bool)>,
    /// Of a read: the incident was merged into another one, and what was made went to the old one.
    pub is_merged: bool,
    /// After a 429: the scope pauses until then.
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
            made: None,
            http_status: result.http_status,
            request_id: result.request_id.clone(),
            outcome: None,
            resolved: Vec::new(),
            is_merged: false,
            pause_until: None,
        }
    }
}

/// A call that wants to begin.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The row for which it is.
    pub row: u64,
    /// The row's change.
    pub change: ResolvedChange,
    /// Which call.
    pub what: CallKind,
    /// When its incident was read and was otherwise: what other runs made before that counts no more.
    pub differed_at: Option<Timestamp>,
    /// What the row asks for, if the change is something else.
    pub asked: Option<Edits>,
    /// The row's own incident, where that was merged into the one that is updated.
    pub merged: Option<IncidentId>,
}

impl StartRequest {
    /// Of this row.
    #[must_use]
    pub fn new(row: &PendingRow<Never>, what: CallKind) -> StartRequest {
        let PendingRow { row, change, differed_at, asked, merged, .. } = row;
        let (change, asked) = (change.clone(), asked.clone());
        StartRequest { row: *row, change, what, differed_at: *differed_at, asked, merged: *merged }
    }
}

impl StartRequest {
    /// What the row itself asks for.
    pub(super) fn asked(&self) -> Edits {
        self.asked.clone().unwrap_or_else(|| self.change.edits.clone().into())
    }
}

/// The kinds of calls.
#[derive(Clone, Debug, PartialEq)]
pub enum CallKind {
    /// The change is sent, if it has not been made before.
    Update,
    /// The incident is read; for a change with a comment to clear up these doubts, if they are those that there are.
    Read(Vec<Doubt>),
}

/// What became of a [`StartRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum Receipt {
    /// It has a permit, and its intent is on the disk: send it.
    Started(AttemptId),
    /// There was no permit or no slot for it: ask again.
    NoPermit,
    /// The same change is under way; or, for a comment, another comment or a read of the incident: ask again when that
    /// has ended.
    InFlight,
    /// The change has been made before: the row is over.
    AlreadyApplied(AppliedBy),
    /// Its comment has been added by another change: ask again with the change without it.
    CommentMade,
    /// Read the incident first; not before the server can have had the last byte of these attempts.
    InDoubt(Vec<Doubt>),
    /// What was to be cleared up has been meanwhile, and the change was not made: no read is needed.
    Resolved,
}

/// What a commit returns.
#[derive(Clone, Debug)]
pub struct Receipts {
    /// One for each begin, in their order.
    pub begins: Vec<Receipt>,
    /// The attempts of the looks that may begin: the first ones.
    pub looks: Vec<AttemptId>,
    /// When another permit is free.
    pub next: NextPermit,
    /// Whether calls of other processes are under way: their end can't be foreseen, so it is looked for.
    pub others_under_way: bool,
    /// The pause, if there is one.
    pub pause: Option<Pause>,
}
