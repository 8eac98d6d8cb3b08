//! What a check found, in numbers: all that the lines before the question need, whatever the input's size.

use std::collections::BTreeMap;

use super::RowError;
use super::duplicates::Repeats;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckStats {
    /// All rows that were read.
    pub rows: u64,
    /// Rows without an error, those of a results file that are done among them.
    pub valid: u64,
    /// Rows of the run: taken by `--only` (or not done), within `--limit`; valid or not.
    pub selected: u64,
    /// Of these, the ones without an error of their own (two that contradict each other are counted).
    pub sendable: u64,
    /// Rows of a fetched file that set nothing: they are part of the run, and left alone.
    pub nothing_asked: u64,
    /// Rows of a results file that are not taken, because they are done or by `--only`.
    pub skipped: u64,
    /// How many errors there are of each code.
    pub errors: BTreeMap<&'static str, u64>,
    /// How many warnings there are of each code.
    pub warnings: BTreeMap<&'static str, u64>,
    /// The properties of which cells that were not empty gave way to `--set`, and how many; counted where rows are taken.
    pub overridden: Vec<(String, u64)>,
    /// The last row of the run; 0 if it has none.
    pub last_selected: u64,
    /// The rows of incidents that stand in the input more than once.
    pub repeats: Repeats,
}

impl CheckStats {
    /// Whether any row, or two together, are wrong.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The rows of the run that contradict another row, sorted: both of two, with why.
    pub fn contradicting(&self) -> impl Iterator<Item = (u64, RowError)> {
        self.repeats.contradicting().take_while(|(row, _)| *row <= self.last_selected)
    }

    /// Rows of the run that can be sent: valid, and no other one contradicts them.
    #[must_use]
    pub fn sendable_alone(&self) -> u64 {
        self.sendable - self.repeats.count_contradicting(self.last_selected)
    }
}
