//! The content of a run report: a run that is finished or was stopped.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::journal::{OutcomeGroup, Timeline};
use crate::model::edit::Edits;
use crate::model::outcome::{OutcomeKind, ResultRow};
use crate::model::quota_spec::Quota;
use crate::model::setting::Settings;
use crate::report::outcome_counts::OutcomeCounts;

/// A run that is finished or was stopped.
#[derive(Clone, Debug)]
pub struct RunReport<'a> {
    /// The run's ID: `7f3k`.
    pub run: &'a str,
    /// The state in a few words: `all rows are done`, `stopped early: …`.
    pub state: String,
    /// Whether the run was sent to an emulator of its own.
    pub is_emulated: bool,
    /// The tenant key as it is displayed: `tenant 0b7e6d3c-…`; `None` if it is the origin.
    pub scope: Option<String>,
    /// The caller, if known.
    pub caller: Option<String>,
    /// The API's origin.
    pub origin: &'a str,
    /// The contract's name.
    pub contract: &'a str,
    /// The input as it was named.
    pub input: &'a str,
    /// The options, each with the origin of its value.
    pub settings: Settings,
    /// The results file.
    pub results: &'a str,
    /// The quota in force.
    pub quota: &'a Quota,
    /// When the run was created.
    pub started: Timestamp,
    /// When the run finished.
    pub finished: Option<Timestamp>,
    /// The number of rows by outcome.
    pub outcomes: OutcomeCounts,
    /// The number of rows by outcome and code.
    pub groups: Vec<OutcomeGroup>,
    /// The requests over time.
    pub timeline: Timeline,
    /// The checksum, if it was a plan.
    pub checksum: Option<String>,
    /// The command to run next.
    pub next: Option<String>,
}

/// A row of a run report. First come the rows that failed, are invalid or in doubt, sorted by [`OutcomeGroup`]; then all
/// others, in the input's order.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReportRow {
    /// The row as in the results.
    pub result: ResultRow,
    /// The edits; empty if the row is invalid.
    pub edits: Edits,
    /// The previous values of the same properties, if known.
    pub before: Option<Map<String, Value>>,
    /// The link to the incident in the portal: one that the contract accepts.
    pub link: Option<String>,
    /// The other columns of the input: name and text.
    pub context: Vec<(String, String)>,
}

/// Whether the outcome is listed under "Failures".
pub(super) fn is_trouble(kind: OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Failed | OutcomeKind::InDoubt | OutcomeKind::Invalid)
}
