//! What looking at the incidents has shown: how many rows need no update, which ones can't have one, what changes.

use std::collections::BTreeMap;

use crate::model::outcome::Outcome;
use crate::report::humanize::{count, counted};

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

/// What a preflight costs: `incidents`, and the fewest and the most requests that it can take. A page of a list shows up to
/// 100 incidents whose numbers are close together; others are read alone.
#[must_use]
pub fn looking(why: ReadReason, incidents: u64, (fewest, most): (u64, u64)) -> String {
    let counted_incidents = counted(incidents, "incident");
    let reads = match why {
        ReadReason::First => format!("reading {counted_incidents}"),
        ReadReason::Merged => format!("reading {counted_incidents} into which others were merged"),
    };
    if fewest == most {
        return format!("{reads} ({})", counted(most, "request"));
    }
    format!("{reads} ({} to {})", count(fewest), counted(most, "request"))
}

/// `lines 2, 7, …`, of so many rows.
pub(super) fn named(rows: u64, lines: &[u64]) -> String {
    let named: Vec<String> = lines.iter().map(u64::to_string).collect();
    let more = if rows > lines.len() as u64 { ", …" } else { "" };
    format!("{} {}{more}", if rows == 1 { "line" } else { "lines" }, named.join(", "))
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
    problems: BTreeMap<String, (u64, Vec<u64>)>,
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
        let (rows, lines) = self.problems.entry(outcome.code.clone()).or_default();
        *rows += 1;
        if lines.len() < NAMED {
            lines.push(line);
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let how = match self.calls {
            Some(calls) => format!("in {}", counted(calls, "request")),
            None => "when the plan was created".to_owned(),
        };
        let looked = format!("{} read {how}", counted(self.incidents, "incident"));
        vec![looked]
    }

    /// Rows that are not sent because of it.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.already_so + self.problems.values().map(|(rows, _)| rows).sum::<u64>()
    }

    /// The rows that need no change, as they are left out.
    pub(super) fn skipped_line(&self) -> Option<String> {
        let rows = self.already_so;
        (rows > 0).then(|| format!("{} with all values already set: skipped", counted(rows, "row")))
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|(code, (rows, lines))| {
            let why = match code.as_str() {
                "not-found" => "no such incident",
                "redirected" => "the incident was merged into another one",
                "contradiction" => "another row has a conflicting change",
                "changed-since" => "the incident has changed since the plan was created",
                _ => "the incident cannot be read",
            };
            format!("{} not sent, {why} ({})", counted(*rows, "row"), named(*rows, lines))
        })
    }
}
