//! The content of a review: a run before it is sent.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::chart::Point;
use super::context::Context;
use crate::model::diagnostic::{Diagnostic, Severity};
use crate::model::edit::Edits;
use crate::model::quota_spec::Quota;
use crate::report::preview::Preview;

/// A run before it is sent.
#[derive(Clone, Debug)]
pub struct Review<'a> {
    /// The preview, as before the prompt.
    pub preview: &'a Preview,
    /// The contract's name.
    pub contract: &'a str,
    /// The property that is appended (a comment).
    pub appended: Option<&'a str>,
    /// The quota in force.
    pub quota: &'a Quota,
    /// The expected requests over time: at most [`super::POINTS`].
    pub forecast: Vec<Point>,
    /// The warnings of the check.
    pub warnings: Warnings,
    /// The checksum, if it is a plan.
    pub checksum: Option<String>,
    /// The command that sends the run.
    pub next: Option<String>,
}

/// A row of a review.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReviewRow {
    /// The row's number, counted from 1.
    pub row: u64,
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// The incident's ID, or the raw cell.
    pub incident: String,
    /// The link to the incident in the portal: one that the contract accepts.
    pub link: Option<String>,
    /// The edits; empty if the row can't be sent.
    pub edits: Edits,
    /// The current values of the same properties, if the incident was read.
    pub before: Option<Map<String, Value>>,
    /// The other columns of the input.
    pub context: Context,
    /// Why the row is not sent.
    pub left_out: Option<String>,
    /// A further note.
    pub note: Option<String>,
}

impl ReviewRow {
    /// The value of a property when it was fetched, as text, unless the current value is the same.
    pub(super) fn was(&self, property: &str, now: Timestamp) -> Option<String> {
        let known = self.before.as_ref().and_then(|before| before.get(property));
        self.context.fetched.as_ref().filter(|_| self.edits.of(property).is_some())?.text(property, known, now)
    }
}

/// The maximum number of messages that are kept for each code.
const MESSAGES: usize = 3;

/// The warnings of the check: for each code, their number and the first messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings(pub(super) BTreeMap<&'static str, (u64, Vec<String>)>);

impl Warnings {
    /// Counts a warning; ignores an error.
    pub fn add(&mut self, diagnostic: &Diagnostic) {
        if diagnostic.severity != Severity::Warning {
            return;
        }
        let (count, messages) = self.0.entry(diagnostic.code).or_default();
        *count += 1;
        if messages.len() < MESSAGES {
            let line = diagnostic.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            messages.push(format!("{line}{}", diagnostic.message));
        }
    }
}
