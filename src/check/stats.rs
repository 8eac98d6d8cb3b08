//! The statistics of a check.

use std::collections::BTreeMap;

use super::RowError;
use super::duplicates::Repeats;

/// The statistics of a check. Their size does not grow with the input, except for repeated incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckStats {
    /// All rows of the input.
    pub rows: u64,
    /// Rows without an error, including the skipped ones.
    pub valid: u64,
    /// Rows of the run, valid or not: selected by `--only` (or not done), and within `--limit`.
    pub selected: u64,
    /// Selected rows without an error of their own. Rows that contradict each other are included.
    pub sendable: u64,
    /// Rows of a fetched file that set nothing. They are part of the run, but not sent.
    pub nothing_asked: u64,
    /// Rows of a results file that are not selected, because they are done or because of `--only`.
    pub skipped: u64,
    /// Selected rows with a comment, if the contract has a property for those of rows that resolve their incident.
    pub comments: CommentCounts,
    /// The number of errors by code.
    pub errors: BTreeMap<&'static str, u64>,
    /// The number of warnings by code.
    pub warnings: BTreeMap<&'static str, u64>,
    /// The number of cells that `--set` overrides, by property; empty cells don't count. Only if rows are kept.
    pub overridden: Vec<(String, u64)>,
    /// The last row of the run, or 0.
    pub last_selected: u64,
    /// The rows of incidents that occur several times.
    pub repeats: Repeats,
}

/// Rows with a comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommentCounts {
    /// Those that resolve their incident: `--comment-as resolving` moves their comment.
    pub resolving: u64,
    /// The others.
    pub others: u64,
}

impl CheckStats {
    /// Whether there is any error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The rows of the run that contradict another row, sorted, and why.
    pub fn contradicting(&self) -> impl Iterator<Item = (u64, RowError)> {
        self.repeats.contradicting().take_while(|(row, _)| *row <= self.last_selected)
    }

    /// Rows of the run that can be sent: they are valid, and no other row contradicts them.
    #[must_use]
    pub fn sendable_alone(&self) -> u64 {
        self.sendable - self.repeats.count_contradicting(self.last_selected)
    }
}
