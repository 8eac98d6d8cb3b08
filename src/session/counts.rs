//! The counts of a run: every number shown before the prompt comes from this struct.
//!
//! Promises: a row that is not sent is counted once, as left out, with its reason; a row that occurs twice is
//! sent once and counted once.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use serde_json::{Map, Value};

use super::set_counts::SetCounts;
use crate::check::CommentCounts;
use crate::contract::Resolving;
use crate::model::change::IncidentId;
use crate::model::edit::Edits;

/// Why a row without an outcome is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// An earlier run, or an earlier start of this one, has applied the same change.
    Applied,
    /// An earlier row has the same change.
    Repeated,
}

impl LeftOut {
    /// The reason, as part of a sentence.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            LeftOut::Applied => "the same change was applied by an earlier run",
            LeftOut::Repeated => "an earlier row has the same change",
        }
    }
}

/// What is recorded of a row's incident before the row is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Recorded<'a> {
    /// Nothing: the replaced values can't be restored.
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
    /// Their requests, if each needs one attempt.
    pub requests: u64,
    /// What they set.
    pub sets: SetCounts,
    /// Of these, the rows that can't be undone.
    pub not_undoable: u64,
    /// Of these, the rows whose incident is read first: an earlier request may have applied them.
    pub in_doubt: u64,
    /// Of these, the rows that add a comment, if the contract has a property for those of rows that resolve their incident.
    pub comments: CommentCounts,
    /// Rows with the change of an earlier row.
    pub repeated: u64,
    /// Rows that are invalid.
    pub invalid: u64,
    /// Rows of a fetched file that set nothing.
    pub nothing_asked: u64,
    /// Rows that `--limit` leaves out.
    pub limited: u64,
    /// Rows that had ended when the plan was created.
    pub finished_in_plan: u64,
    /// The rows whose comment is not repeated: it was added before. They are sent without it.
    pub without_comment: HashSet<u64>,
    /// The rows of which only the comment, a separate step, is sent: the rest was applied before.
    pub only_comment: HashSet<u64>,
    /// The rows without an outcome that are left out, by number.
    pub left_out: HashMap<u64, LeftOut>,
}

/// Counts rows, in their order.
#[derive(Debug, Default)]
pub(super) struct Counter {
    counts: Counts,
    /// Incident and change of the rows so far: 16 bytes each.
    seen: HashSet<(u64, u64)>,
    hasher: RandomState,
}

impl Counter {
    /// Whether no earlier row asks for the same; if one does, counts this row as left out.
    pub(super) fn is_first(&mut self, row: u64, incident: IncidentId, asked: &Edits) -> bool {
        let is_first = self.seen.insert((incident.get(), self.hasher.hash_one(asked)));
        if !is_first {
            self.counts.repeated += 1;
            self.counts.left_out.insert(row, LeftOut::Repeated);
        }
        is_first
    }

    /// Leaves out a row that was applied before. By which run, is counted elsewhere.
    pub(super) fn leave_out_applied(&mut self, row: u64) {
        self.counts.left_out.insert(row, LeftOut::Applied);
    }

    /// Notes that a row will be sent without its comment.
    pub(super) fn leave_out_comment(&mut self, row: u64) {
        self.counts.without_comment.insert(row);
    }

    /// Notes that only the comment of a row will be sent.
    pub(super) fn leave_out_properties(&mut self, row: u64) {
        self.counts.only_comment.insert(row);
    }

    /// Counts a row that will be sent, with this many requests.
    pub(super) fn add(&mut self, edits: &Edits, requests: usize, recorded: Recorded<'_>, is_in_doubt: bool) {
        self.counts.rows += 1;
        self.counts.requests += requests as u64;
        self.counts.in_doubt += u64::from(is_in_doubt);
        self.counts.not_undoable += u64::from(matches!(recorded, Recorded::Nothing));
        let before = if let Recorded::Values(values) = recorded { Some(values) } else { None };
        self.counts.sets.add(edits, before);
    }

    /// Counts the comment of a row that will be sent, if it adds one: whether it could be that of the resolution.
    pub(super) fn add_comment(&mut self, edits: &Edits, rule: &Resolving) {
        if edits.added().is_none() {
            return;
        }
        let resolves = edits.of(&rule.property).is_some_and(|edit| edit.value() == rule.value.as_str());
        let is_set = rule.comment.as_ref().is_some_and(|comment| edits.of(comment).is_some());
        self.counts.comments.resolving += u64::from(resolves && !is_set);
        self.counts.comments.others += u64::from(!resolves);
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
