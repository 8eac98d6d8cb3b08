//! The result of a preflight: how many rows need no update, and how many can't be updated.

use std::collections::BTreeMap;

use super::named_lines::NamedLines;
use crate::model::outcome::{Outcome, RowCode};

/// Why incidents are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadReason {
    /// They are the incidents of the rows.
    First,
    /// Incidents of rows were merged into them.
    Merged,
}

/// The result of a preflight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreflightSummary {
    /// The incidents that were read.
    pub incidents: u64,
    /// The number of requests; `None` if they were read when the plan was created.
    pub calls: Option<u64>,
    /// Rows whose values are already set.
    pub already_so: u64,
    /// Rows that can't be updated, by code.
    pub problems: BTreeMap<String, (RowCode, NamedLines)>,
}

impl PreflightSummary {
    /// A number of incidents, read by a number of requests.
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

    /// Rows that are not sent because of the preflight.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.already_so + self.problems.values().map(|(_, lines)| lines.rows).sum::<u64>()
    }
}
