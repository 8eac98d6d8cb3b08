//! The counts of a run: one struct, made from the rows that are left, behind every number before the question.
//!
//! Promises: a row that is not sent is counted as left out, with its reason, and nowhere else; a row that occurs twice is
//! sent once and counted once.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use serde_json::{Map, Value};

use super::set_counts::SetCounts;
use crate::model::change::IncidentId;
use crate::model::edit::Edits;

/// Why a row is left out that has no outcome yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// An earlier run, or an earlier start of this one, has applied the same change.
    Applied,
    /// An earlier row has the same change.
    Repeated,
}

impl LeftOut {
    /// In a sentence.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            LeftOut::Applied => "the same change was applied by an earlier run",
            LeftOut::Repeated => "an earlier row has the same change",
        }
    }
}

/// What of its incident was recorded before a row is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Recorded<'a> {
    /// Nothing: what it replaces can't be restored.
    Nothing,
    /// Its values, or it will be read before the row is sent.
    Yes,
    /// These values.
    Values(&'a Map<String, Value>),
}

/// What a run will send, and what it leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// The rows that will be sent.
    pub rows: u64,
    /// The requests that send them, if each needs one attempt.
    pub requests: u64,
    /// What they set.
    pub sets: SetCounts,
    /// Of these, the rows that can't be undone.
    pub not_undoable: u64,
    /// Of these, the rows whose incident is read first: an earlier request may have applied them.
    pub in_doubt: u64,
    /// Rows with the change of an earlier row.
    pub repeated: u64,
    /// Rows that are invalid.
    pub invalid: u64,
    /// Rows of a fetched file that set nothing.
    pub nothing_asked: u64,
    /// Rows that `--limit` leaves out.
    pub limited: u64,
    /// Rows that had ended when the plan was created.
    pub ended_in_plan: u64,
    /// The rows whose comment is not repeated: it was added before. They are sent without it.
    pub without_comment: HashSet<u64>,
    /// The rows of which only the comment, a step of its own, is sent: the rest was applied before.
    pub only_comment: HashSet<u64>,
    /// The rows without an outcome that are left out, by number.
    pub left_out: HashMap<u64, LeftOut>,
}

/// Counts rows, in their order.
#[derive(Debug, Default)]
pub(super) struct Counter {
    counts: Counts,
    /// Incident and change of the rows so far: 16 bytes each.
    met: HashSet<(u64, u64)>,
    hasher: RandomState,
}

impl Counter {
    /// Whether no row before asks for the same; one that does is counted as left out.
    pub(super) fn is_first(&mut self, row: u64, incident: IncidentId, asked: &Edits) -> bool {
        let is_first = self.met.insert((incident.get(), self.hasher.hash_one(asked)));
        if !is_first {
            self.counts.repeated += 1;
            self.counts.left_out.insert(row, LeftOut::Repeated);
        }
        is_first
    }

    /// Leaves out a row that was applied before. Who did it is counted elsewhere.
    pub(super) fn leave_out_applied(&mut self, row: u64) {
        self.counts.left_out.insert(row, LeftOut::Applied);
    }

    /// Notes that a row will be sent without its comment.
    pub(super) fn leave_out_comment(&mut self, row: u64) {
        self.counts.without_comment.insert(row);
    }

    /// Notes that of a row only the comment will be sent.
    pub(super) fn leave_out_properties(&mut self, row: u64) {
        self.counts.only_comment.insert(row);
    }

    /// Counts a row that will be sent, by so many requests.
    pub(super) fn add(&mut self, edits: &Edits, requests: usize, recorded: Recorded<'_>, is_in_doubt: bool) {
        self.counts.rows += 1;
        self.counts.requests += requests as u64;
        self.counts.in_doubt += u64::from(is_in_doubt);
        self.counts.not_undoable += u64::from(matches!(recorded, Recorded::Nothing));
        let before = if let Recorded::Values(values) = recorded { Some(values) } else { None };
        self.counts.sets.add(edits, before);
    }

    /// What was counted.
    #[must_use]
    pub(super) fn finish(self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_row_counts_once() {
        let mut counter = Counter::default();
        let edits = crate::plan::decode(r#"{"status":"Resolved"}"#, false).expect("a body");
        for (row, incident) in [(1, 7), (2, 8), (3, 7)] {
            if counter.is_first(row, IncidentId::new(incident).expect("an id"), &edits) {
                counter.add(&edits, 2, Recorded::Nothing, false);
            }
        }
        let counts = counter.finish();
        assert_eq!((counts.rows, counts.requests, counts.repeated, counts.not_undoable), (2, 4, 1, 2));
        assert_eq!(counts.left_out.get(&3), Some(&LeftOut::Repeated));
    }
}
