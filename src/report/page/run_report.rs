//! What the report shows: a run after it, whether it came to its end or was stopped.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::journal::{OutcomeGroup, Timeline};
use crate::model::edit::Edits;
use crate::model::outcome::{OutcomeKind, ResultRow};
use crate::model::quota_spec::Quota;
use crate::model::setting::Settings;
use crate::report::outcome_counts::OutcomeCounts;

/// A run after it.
#[derive(Clone, Debug)]
pub struct RunReport<'a> {
    /// `7f3k`
    pub run: &'a str,
    /// How it stands, in a few words: `over`, `stopped early: …`.
    pub state: String,
    /// Whether an emulator that lived and died with it stood in for the API.
    pub is_emulated: bool,
    /// With the kind of it: `tenant 0b7e6d3c-…`; `None` where it is the origin.
    pub scope: Option<String>,
    /// Who called, where it is known.
    pub caller: Option<String>,
    /// Where the API is.
    pub origin: &'a str,
    /// The contract's name.
    pub contract: &'a str,
    /// The input as it was named.
    pub input: &'a str,
    /// Its options, each with the origin of its value.
    pub settings: Settings,
    /// The results file.
    pub results: &'a str,
    /// The windows that were kept.
    pub quota: &'a Quota,
    /// When it was loaded.
    pub started: Timestamp,
    /// When it was over.
    pub finished: Option<Timestamp>,
    /// All rows by outcome.
    pub outcomes: OutcomeCounts,
    /// The rows by outcome and code.
    pub groups: Vec<OutcomeGroup>,
    /// Calls over time, as they happened.
    pub timeline: Timeline,
    /// Of a plan, its checksum.
    pub checksum: Option<String>,
    /// What fits to be done next.
    pub next: Option<String>,
}

/// One row of it. They come in this order: those that failed, are invalid or in doubt, each [`OutcomeGroup`] together;
/// then all others, in the input's order.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReportRow {
    /// How it ended.
    pub result: ResultRow,
    /// What it changes; empty if it is invalid.
    pub edits: Edits,
    /// The same properties as they were before, where that is known.
    pub before: Option<Map<String, Value>>,
    /// What else the input says of it: column and text.
    pub context: Vec<(String, String)>,
}

/// Whether a row that ended so belongs to the first ones.
pub(super) fn is_trouble(kind: OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Failed | OutcomeKind::InDoubt | OutcomeKind::Invalid)
}
