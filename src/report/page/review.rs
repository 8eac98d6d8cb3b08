//! What the review page shows: a run before it is sent.

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
    /// What stands before the question too.
    pub preview: &'a Preview,
    /// The contract's name.
    pub contract: &'a str,
    /// The property that is added to what is there (a comment).
    pub appended: Option<&'a str>,
    /// The windows that are kept.
    pub quota: &'a Quota,
    /// The calls of the run over time, by the quota's arithmetic: at most [`super::POINTS`].
    pub forecast: Vec<Point>,
    /// What the check found doubtful.
    pub warnings: Warnings,
    /// Of a plan, its checksum.
    pub checksum: Option<String>,
    /// The command that sends it.
    pub next: Option<String>,
}

/// One row of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReviewRow {
    /// From 1.
    pub row: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The incident, or the id's cell as it stands where it is none.
    pub incident: String,
    /// What it changes; empty if it can't be sent.
    pub edits: Edits,
    /// The same properties as the server shows them, where that was looked at.
    pub before: Option<Map<String, Value>>,
    /// What else the input says of it.
    pub context: Context,
    /// Why it is not sent, where it is not.
    pub left_out: Option<String>,
    /// What else is to be said of it.
    pub note: Option<String>,
}

impl ReviewRow {
    /// What a property was when the row was fetched, in words, where that is not known any better.
    pub(super) fn was(&self, property: &str, now: Timestamp) -> Option<String> {
        let known = self.before.as_ref().and_then(|before| before.get(property));
        self.context.fetched.as_ref().filter(|_| self.edits.of(property).is_some())?.said(property, known, now)
    }
}

/// So many messages are kept of each code.
const MESSAGES: usize = 3;

/// The check's warnings, counted, with the first ones of each code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings(pub(super) BTreeMap<&'static str, (u64, Vec<String>)>);

impl Warnings {
    /// Counts a warning; an error is none.
    pub fn add(&mut self, diagnostic: &Diagnostic) {
        if diagnostic.severity != Severity::Warning {
            return;
        }
        let (count, messages) = self.0.entry(diagnostic.code).or_default();
        *count += 1;
        if messages.len() < MESSAGES {
            let place = diagnostic.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            messages.push(format!("{place}{}", diagnostic.message));
        }
    }
}
