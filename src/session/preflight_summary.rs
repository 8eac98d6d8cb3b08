//! What looking at the incidents has shown: how many rows need no update, which ones can't have one, what changes.

use std::collections::BTreeMap;

use super::named_lines::NamedLines;
use crate::model::outcome::{Outcome, RowCode};

/// Why incidents are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadReason {
    /// They are those of the rows.
    First,
    /// Those were merged into them.
    Merged,
}

/// What looking has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreflightSummary {
    /// The incidents that were looked at.
    pub incidents: u64,
    /// By so many calls; `None`: by a plan, when that was made.
    pub calls: Option<u64>,
    /// Rows whose incident is already as they ask for.
    pub already_so: u64,
    /// Rows that can't be updated, by code.
    pub problems: BTreeMap<String, (RowCode, NamedLines)>,
}

impl PreflightSummary {
    /// So many incidents, by so many calls.
    #[must_use]
    pub fn new(incidents: u64, calls: Option<u64>) -> PreflightSummary {
        PreflightSummary { incidents, calls, ..PreflightSummary::default() }
    }

    /// Counts a row that is not sent.
    pub fn add_end(&mut self, outcome: &Outcome, line: u64) {
        if outcome.kind.is_done() {
            self.already_so += 1;
            return;
        }
        let problem = self.problems.entry(outcome.code.to_string());
        problem.or_insert_with(|| (outcome.code.clone(), NamedLines::default())).1.add(line);
    }

    /// Rows that are not sent because of it.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.already_so + self.problems.values().map(|(_, lines)| lines.rows).sum::<u64>()
    }
}
