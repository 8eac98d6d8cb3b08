//! Outcomes: how one row ended, and the ten columns of a results file.
//!
//! Promises: every row of a run has exactly one of the six outcomes in the results; the columns' names and order are
//! the format that users' scripts read.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How one row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// The API made the change.
    Updated,
    /// Nothing was sent: it was so already, or an earlier call had made the change.
    Unchanged,
    /// The API refused it, or every try failed.
    Failed,
    /// The row itself is wrong; nothing was sent.
    Invalid,
    /// It may have been made, and could not be found out.
    InDoubt,
    /// The run was stopped before.
    NotAttempted,
}

impl OutcomeKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [OutcomeKind; 6] = [
        OutcomeKind::Updated,
        OutcomeKind::Unchanged,
        OutcomeKind::Failed,
        OutcomeKind::Invalid,
        OutcomeKind::InDoubt,
        OutcomeKind::NotAttempted,
    ];

    /// Those that ask for somebody's attention when a run is over.
    pub const TROUBLES: [OutcomeKind; 3] = [OutcomeKind::Failed, OutcomeKind::InDoubt, OutcomeKind::Invalid];

    /// As it stands in the results file and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OutcomeKind::Updated => "updated",
            OutcomeKind::Unchanged => "unchanged",
            OutcomeKind::Failed => "failed",
            OutcomeKind::Invalid => "invalid",
            OutcomeKind::InDoubt => "in-doubt",
            OutcomeKind::NotAttempted => "not-attempted",
        }
    }

    /// Whether nothing is left to do for such a row.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, OutcomeKind::Updated | OutcomeKind::Unchanged)
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an outcome: enter updated, unchanged, failed, invalid, in-doubt or not-attempted")]
pub struct UnknownOutcome(pub String);

impl FromStr for OutcomeKind {
    type Err = UnknownOutcome;
    fn from_str(text: &str) -> Result<OutcomeKind, UnknownOutcome> {
        let wanted = text.trim();
        OutcomeKind::ALL.into_iter().find(|kind| kind.name() == wanted).ok_or_else(|| UnknownOutcome(text.to_owned()))
    }
}

/// A row's outcome with all that its results line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which of the six.
    pub kind: OutcomeKind,
    /// Why, as a stable code (`not-found`, `done-before`, …); empty where there is nothing to add.
    pub code: String,
    /// Why, in a sentence.
    pub message: String,
    /// Of the last answer.
    pub http_status: Option<u16>,
    /// The tracking id of the last answer.
    pub request_id: Option<String>,
    /// When it was known, by the wall clock.
    pub finished_at: Option<Timestamp>,
}

impl Outcome {
    /// The code of an update whose response shows only a part of the change.
    pub const DIFFERS: &str = "differs";

    /// An outcome without a call behind it.
    #[must_use]
    pub fn new(kind: OutcomeKind, code: &str, message: impl Into<String>) -> Outcome {
        Outcome {
            kind,
            code: code.to_owned(),
            message: message.into(),
            http_status: None,
            request_id: None,
            finished_at: None,
        }
    }

    /// Of a row of a fetched file that was not filled in.
    #[must_use]
    pub fn nothing_asked() -> Outcome {
        Outcome::new(OutcomeKind::Unchanged, NOTHING_ASKED, NOTHING_ASKED_MESSAGE)
    }

    /// Of an update whose answer was lost: the incident shows that it was made.
    #[must_use]
    pub fn found_by_reading() -> Outcome {
        let message = "no response was received; the incident shows that the update was applied";
        Outcome::new(OutcomeKind::Updated, "found-by-reading", message)
    }

    /// Of a row whose incident was merged into `target`, which is updated instead: its message says so.
    #[must_use]
    pub fn of_target(self, target: u64) -> Outcome {
        let of_target = format!("incident {target}, into which this one was merged");
        let message = if self.message.is_empty() { of_target } else { format!("{of_target}: {}", self.message) };
        Outcome { message, ..self }
    }
}

/// The code of an `unchanged` row that sets nothing.
pub const NOTHING_ASKED: &str = "nothing-asked";

/// What is said of it.
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

/// One line of a results file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRow {
    /// The row's number, from 1.
    pub row: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The incident, or the id's cell as it stood where it is none.
    pub incident_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The calls made for it, reads included.
    pub attempts: u32,
    /// The row's own bytes, without its line end.
    pub source: Vec<u8>,
}

/// What the input was, as far as its results need it: kept with the run, so that they can be made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "lowercase")]
pub enum InputShape {
    /// A CSV file.
    Csv {
        /// `,`, `;` or a tab.
        delimiter: char,
        /// Whether it began with a byte order mark.
        bom: bool,
        /// The names of its own columns, as they stood.
        columns: Vec<String>,
    },
    /// A JSONL file.
    Jsonl {
        /// Whether it began with a byte order mark.
        bom: bool,
    },
}

impl InputShape {
    /// The ending of a file of this format: `csv` or `jsonl`.
    #[must_use]
    pub fn extension(&self) -> &'static str {
        match self {
            InputShape::Csv { .. } => "csv",
            InputShape::Jsonl { .. } => "jsonl",
        }
    }
}
