//! What looking at the incidents has shown: how many rows need no update, which ones can't have one, what changes.

use std::collections::BTreeMap;

use crate::model::outcome::{Outcome, RowCode};

/// So many lines are named of the rows that can't be updated.
pub const NAMED: usize = 5;

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
    /// Rows that can't be updated: by code how many, and the lines of the first.
    pub problems: BTreeMap<String, (RowCode, u64, Vec<u64>)>,
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
        let (_, rows, lines) =
            self.problems.entry(outcome.code.to_string()).or_insert_with(|| (outcome.code.clone(), 0, Vec::new()));
        *rows += 1;
        if lines.len() < NAMED {
            lines.push(line);
        }
    }

    /// Rows that are not sent because of it.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.already_so + self.problems.values().map(|(_, rows, _)| rows).sum::<u64>()
    }
}
