//! Check: every row of an input against a contract, before anything is sent.
//!
//! # The way of a chunk
//!
//! Two threads take the next chunk of the input in turn (`pipeline`). Whichever has it looks at its rows one by one
//! (`chunk`): `row` reads one, with `columns`, `value` and `rules`, and `judge` says what comes of it. What was found is
//! taken in the input's order; what lies across rows is looked at in the end (`across`).
//!
//! Promises: every problem of every row is told, in the rows' order; memory does not grow with the input, 24 bytes for
//! each row aside; equal changes have equal bodies.

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
pub use stats::CheckStats;
pub(crate) use suggest::nearest;

use crate::contract::Contract;
use crate::model::change::Change;
use crate::model::outcome::{NOTHING_ASKED_MESSAGE, OutcomeCode, OutcomeKind};

/// What rows are checked against, and which of them are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// What the API accepts.
    pub contract: &'a Contract,
    /// What is set on every row; wins over the row's cell.
    pub set: &'a [PropertyOverride],
    /// Only so many rows are the run, the first ones; all are checked.
    pub limit: Option<u64>,
    /// Of a results file, only the rows that ended so; without it, those that are not done.
    pub only: Option<&'a [OutcomeKind]>,
}

impl<'a> Rules<'a> {
    /// All rows, by the contract alone.
    #[must_use]
    pub fn new(contract: &'a Contract) -> Rules<'a> {
        Rules { contract, set: &[], limit: None, only: None }
    }
}

/// A row that is part of the run, with what it asks for or why it can't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRow {
    /// Its number, from 1.
    pub row: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The incident's number, or the cell as it stood where it is none.
    pub incident_id: String,
    /// The row's own record: of a results file, only the input's own columns (or object). UTF-8, or the bytes as they
    /// were where they are not; empty for a record that was too large to be kept. Without its line end.
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
    /// The diagnostic's code, or that of the row's outcome.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            NoChange::Invalid(error) => error.code,
            NoChange::NothingAsked => OutcomeCode::NothingAsked.name(),
        }
    }

    /// Why, in a sentence.
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
