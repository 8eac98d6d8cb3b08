//! Attempts: their IDs, what they applied, which are in doubt.

use std::sync::Arc;

use jiff::Timestamp;

use crate::clock::BootTime;
use crate::model::change::Change;

/// Identifies an attempt: its session, and its number in that session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// One opening of the journal by one process.
    pub session: i64,
    /// Unique in the session. In this store it grows over all sessions, in the order of their commits.
    pub number: i64,
}

/// The earlier update that applied a change.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct AppliedBy {
    /// The run's name.
    pub run: String,
    /// Whether that is the run that asks.
    pub own_run: bool,
    /// Whether it is the same row: its update got no response, and a read showed that it was applied.
    pub own_row: bool,
    /// Whether the incident had been merged into another one: the update went to the old one.
    pub was_redirected: bool,
    /// Whether its response showed only a part of it.
    pub was_partly_shown: bool,
    /// When it ended.
    pub at: Timestamp,
}

/// An attempt that may have added its comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// The attempt.
    pub attempt: AttemptId,
    /// What it asked for.
    pub change: Change,
    /// When it was sent, or a moment before.
    pub started: BootTime,
    /// When it ended: the server has received its last byte by then.
    pub ended: BootTime,
    /// Whether it is an attempt at the row that asks.
    pub own_row: bool,
    /// The changes with a comment that are known to have been applied to this incident.
    pub known: Arc<[KnownUpdate]>,
}

/// A change that is known to have been applied: between these two times, or shortly after.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownUpdate {
    /// What was asked for.
    pub change: Change,
    /// When it was sent, or a moment before.
    pub started: BootTime,
    /// When its request ended.
    pub ended: BootTime,
}
