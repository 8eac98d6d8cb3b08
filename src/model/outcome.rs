//! Outcomes: how one row ended, and the ten columns of a results file.
//!
//! Promises: every row of a run has exactly one of the six outcomes in the results; the columns' names and order are
//! the format that users' scripts read.

use jiff::Timestamp;

pub use super::outcome_code::{OutcomeCode, RowCode};
pub use super::outcome_kind::{OutcomeKind, UnknownOutcome};

/// A row's outcome with all that its results line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One of the six outcomes.
    pub kind: OutcomeKind,
    /// The reason, as a word that scripts can compare.
    pub code: RowCode,
    /// The reason, as a sentence.
    pub message: String,
    /// The status of the last response.
    pub http_status: Option<u16>,
    /// The last response's ID for support.
    pub request_id: Option<String>,
    /// When the outcome was known.
    pub finished_at: Option<Timestamp>,
}

impl Outcome {
    /// An outcome without a response.
    #[must_use]
    pub fn new(kind: OutcomeKind, code: impl Into<RowCode>, message: impl Into<String>) -> Outcome {
        Outcome {
            kind,
            code: code.into(),
            message: message.into(),
            http_status: None,
            request_id: None,
            finished_at: None,
        }
    }

    /// The outcome of a row of a fetched file without a filled cell.
    #[must_use]
    pub fn nothing_asked() -> Outcome {
        Outcome::new(OutcomeKind::Unchanged, OutcomeCode::NothingAsked, NOTHING_ASKED_MESSAGE)
    }

    /// The outcome of an update without a response, if the incident shows that it was applied.
    #[must_use]
    pub fn found_by_reading() -> Outcome {
        let message = "no response was received; the incident shows that the update was applied";
        Outcome::new(OutcomeKind::Updated, OutcomeCode::FoundByReading, message)
    }

    /// The outcome of a row whose incident was merged into `target`, which is updated instead: the message says so.
    #[must_use]
    pub fn of_target(self, target: u64) -> Outcome {
        let of_target = format!("incident {target}, into which this one was merged");
        let message = if self.message.is_empty() { of_target } else { format!("{of_target}: {}", self.message) };
        Outcome { message, ..self }
    }
}

/// The message of an `unchanged` row that sets nothing.
pub const NOTHING_ASKED_MESSAGE: &str = "the row sets nothing";

/// The columns that a results file has before the input's own.
pub const RESULT_COLUMNS: [&str; 10] = [
    "row",
    "line",
    "incident_id",
    "outcome",
    "code",
    "message",
    "http_status",
    "attempts",
    "request_id",
    "finished_at",
];

/// A line of a results file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRow {
    /// The row's number, from 1.
    pub row: u64,
    /// The line on which it starts, from 1.
    pub line: u64,
    /// The incident, or the ID's cell as it was if it is invalid.
    pub incident_id: String,
    /// The row's outcome.
    pub outcome: Outcome,
    /// The requests for the row, including reads.
    pub attempts: u32,
    /// The row's own bytes, without its line end.
    pub source: Vec<u8>,
}
