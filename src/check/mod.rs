//! Checks every row of an input against a contract, before anything is sent.
//!
//! # The path of a chunk
//!
//! Two threads take the next chunk of the input in turn (`pipeline`) and check its rows one by one (`chunk`): `row` parses
//! a row with `columns`, `value` and `rules`, and `validate` checks the rules between its values and creates its change.
//! The results are collected in the input's order. At the end, `duplicates` compares the rows of the same incident.
//!
//! Promises: every problem of every row is reported, in the order of the rows; memory does not grow with the input, except
//! for 24 bytes per row; equal changes have equal bodies.

mod checker;
mod chunk;
mod columns;
mod duplicates;
mod id;
mod overrides;
mod pipeline;
mod placeholder;
mod row;
mod rules;
mod stats;
mod suggest;
mod validate;
mod value;

#[cfg(test)]
mod tests;

pub use duplicates::Repeats;
pub use overrides::{PropertyOverride, SetError};
pub use pipeline::check;
pub use stats::{CheckStats, CommentCounts};
pub(crate) use suggest::nearest;

use crate::contract::Contract;
use crate::model::change::Change;
use crate::model::outcome::{NOTHING_ASKED_MESSAGE, OutcomeCode, OutcomeKind};

/// The rules for the rows, and which of them are selected.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The contract that rows are checked against.
    pub contract: &'a Contract,
    /// Values for every row, which override its cells.
    pub set: &'a [PropertyOverride],
    /// The maximum number of rows that are selected. All rows are checked.
    pub limit: Option<u64>,
    /// The outcomes of the selected rows in a results file. `None`: the rows that are not done.
    pub only: Option<&'a [OutcomeKind]>,
    /// Whether the comment of a row that resolves its incident is sent as the contract's property for that.
    pub comment_resolves: bool,
}

impl<'a> Rules<'a> {
    /// Selects all rows, and checks them only against the contract.
    #[must_use]
    pub fn new(contract: &'a Contract) -> Rules<'a> {
        Rules { contract, set: &[], limit: None, only: None, comment_resolves: false }
    }
}

/// A row of the run, with its change or the reason why it has no change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRow {
    /// The row's number, counted from 1.
    pub row: u64,
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// The incident's ID, or the raw cell.
    pub incident_id: String,
    /// The original record without its line end, which need not be UTF-8. For a results file, only the input's own columns
    /// or object. Empty if the record was too large.
    pub source: Vec<u8>,
    /// The change, or why there is none.
    pub verdict: Result<Change, NoChange>,
}

/// Why a row has no change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoChange {
    /// It is invalid.
    Invalid(RowError),
    /// It is a row of a fetched file that was not filled in.
    NothingAsked,
}

impl NoChange {
    /// The code of the diagnostic or of the row's outcome.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            NoChange::Invalid(error) => error.code,
            NoChange::NothingAsked => OutcomeCode::NothingAsked.name(),
        }
    }

    /// The message of the diagnostic or of the row's outcome.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            NoChange::Invalid(error) => &error.message,
            NoChange::NothingAsked => NOTHING_ASKED_MESSAGE,
        }
    }
}

/// Why a row is invalid: its first error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The diagnostic's code.
    pub code: &'static str,
    /// The diagnostic's message.
    pub message: String,
}
