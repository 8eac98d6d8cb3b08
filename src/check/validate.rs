//! Judging a row that was read: the rules between its values, the body of its change, what is kept and told of it.

use std::hash::{BuildHasher, Hasher};

use super::checker::{CheckedChunk, Checker};
use super::duplicates::RowFingerprint;
use super::row::{LocatedProblem, ParsedRow, SourceSpan};
use super::suggest::either;
use super::value::{Problem, Requested};
use super::{CheckedRow, NoChange, RowError};
use crate::input::Record;
use crate::model::change::{Change, IncidentId};
use crate::model::diagnostic::{Diagnostic, Severity, codes};
use crate::model::edit::PropertyEdit;

impl<'a> Checker<'a> {
    /// Judges a row that was read: the rules between its values, its body, what is kept of it.
    pub(super) fn finish(
        &self,
        at: &NumberedRecord<'_>,
        reading: &mut ParsedRow<'_>,
        limit: u64,
        checked: &mut CheckedChunk,
    ) {
        if reading.is_skipped {
            checked.skipped += 1;
            checked.valid += 1;
            return;
        }
        let sets_nothing = reading.is_whole && self.judge(reading);
        let is_selected = checked.taken < limit;
        let is_valid = reading.found.iter().all(|found| found.problem.code.severity == Severity::Warning);
        if sets_nothing && is_valid {
            checked.valid += 1;
            checked.nothing_asked += u64::from(is_selected);
            if self.keeps_rows && is_selected {
                checked.rows.push(checked_row(at, reading, Err(NoChange::NothingAsked)));
            }
            checked.diagnostics.extend(reading.found.drain(..).map(|found| self.diagnostic(at, found)));
            return;
        }
        checked.taken += 1;
        if is_selected {
            checked.last_selected = at.row;
        }
        let mut change = None;
        if let Some(incident) = reading.id.filter(|_| is_valid) {
            checked.valid += 1;
            checked.sendable += u64::from(is_selected);
            let hash = self.weigh(reading);
            let (row, line) = (narrow(at.row), narrow(at.record.line));
            checked.seen.push(RowFingerprint { incident: incident.get(), hash, row, line });
            if self.keeps_rows && is_selected {
                change = Some(self.change(incident, reading));
                for (count, slot) in checked.overridden.iter_mut().zip(&reading.slots) {
                    *count += u64::from(slot.is_overridden);
                }
            }
        }
        if self.keeps_rows && is_selected {
            let verdict = change.ok_or_else(|| NoChange::Invalid(first_error(reading)));
            checked.rows.push(checked_row(at, reading, verdict));
        }
        if !reading.found.is_empty() {
            checked.diagnostics.extend(reading.found.drain(..).map(|found| self.diagnostic(at, found)));
        }
    }

    /// The rules between values, and that there is one at all. Says whether it is a row of a fetched file that sets
    /// nothing.
    fn judge(&self, reading: &mut ParsedRow<'_>) -> bool {
        for dependency in &self.contract.dependencies {
            let Requested::Choice(value) = reading.slots[dependency.property].asked else { continue };
            let problem = match reading.slots[dependency.on].asked {
                Requested::Choice(on) if dependency.allowed[on][value] => continue,
                Requested::Choice(on) => self.disagreement(dependency.property, value, dependency.on, on),
                Requested::Leave => {
                    let (property, on) = (self.name(dependency.property), self.name(dependency.on));
                    let with = self.values_that_allow(dependency.property, value, dependency.on);
                    let message =
                        format!("{property} `{}` needs a {on} in the same row", self.value(dependency.property, value));
                    let help = if with.is_empty() {
                        format!("leave {property} empty")
                    } else {
                        format!("set {on} to {}", either(&with))
                    };
                    Problem::new(&codes::VALUE_MISSING, message).with_help(help)
                }
                _ => continue,
            };
            let spot = reading.slots[dependency.property].spot.clone();
            reading.tell(problem, Some(self.name(dependency.property)), (!spot.is_empty()).then_some(spot));
        }
        let sets_nothing = reading.slots.iter().all(|slot| matches!(slot.asked, Requested::Leave));
        if sets_nothing && !self.origin.is_fetched {
            reading.tell(Problem::new(&codes::NOTHING_TO_SET, "the row sets no property"), None, None);
        }
        sets_nothing && self.origin.is_fetched
    }

    fn disagreement(&self, property: usize, value: usize, on: usize, on_value: usize) -> Problem {
        let (name, on_name) = (self.name(property), self.name(on));
        let (text, on_text) = (self.value(property, value), self.value(on, on_value));
        let message = format!("{name} `{text}` is not allowed with {on_name} `{on_text}`");
        let elsewhere = self.contract.other_that_joins((name, text), (on_name, on_text));
        let dependency = self.contract.dependencies.iter().find(|rule| rule.property == property && rule.on == on);
        let allowed = dependency.map_or(&[][..], |rule| &rule.allowed[on_value]);
        let allowed = self.contract.choices(property).iter().zip(allowed).filter(|(_, allowed)| **allowed);
        let allowed: Vec<&str> = allowed.map(|(choice, _)| choice.value.as_str()).collect();
        let help = match allowed.as_slice() {
            [] => format!(
                "leave {name} empty: it is only allowed with {on_name} {}",
                either(&self.values_that_allow(property, value, on))
            ),
            allowed => format!("with `{on_text}`, enter {}", either(allowed)),
        };
        Problem::new(&codes::VALUES_DISAGREE, message).with_help(help).first_with_help(elsewhere)
    }

    /// The values of `on` that go with a value of `property`.
    fn values_that_allow(&self, property: usize, value: usize, on: usize) -> Vec<&'a str> {
        let dependency = self.contract.dependencies.iter().find(|rule| rule.property == property && rule.on == on);
        let allowed = dependency.map_or(&[][..], |rule| &rule.allowed);
        let with = allowed.iter().enumerate().filter(|(_, values)| values[value]);
        with.map(|(place, _)| self.value(on, place)).collect()
    }

    fn name(&self, property: usize) -> &'a str {
        self.contract.properties[property].name
    }

    fn value(&self, property: usize, value: usize) -> &'a str {
        &self.contract.choices(property)[value].value
    }

    /// What the row asks for, as a number: equal changes have equal ones.
    #[inline]
    fn weigh(&self, reading: &ParsedRow<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for (place, slot) in reading.slots.iter().enumerate() {
            slot.asked.hash_into(place, &mut hasher);
        }
        hasher.finish()
    }

    /// What the row changes.
    fn change(&self, incident: IncidentId, reading: &ParsedRow<'_>) -> Change {
        let slots = self.contract.properties.iter().zip(&reading.slots);
        let edits = slots.filter_map(|(property, slot)| {
            let edit = property.kind.edit(slot.asked)?;
            Some(PropertyEdit { property: property.shared.clone(), edit })
        });
        Change { incident, edits: edits.collect() }
    }

    fn diagnostic(&self, at: &NumberedRecord<'_>, found: LocatedProblem) -> Diagnostic {
        let LocatedProblem { problem, field, spot } = found;
        let mut diagnostic = Diagnostic::new(problem.code, &self.file, problem.message);
        let whole = 0..at.bytes.len();
        diagnostic = diagnostic.at(at.bytes, at.record.line, spot.clone().unwrap_or(whole));
        if let Some(spot) = spot.filter(|spot| !spot.is_empty()) {
            let value = String::from_utf8_lossy(&at.bytes[spot]);
            diagnostic.value = Some(excerpt_raw(&value));
        }
        if let Some(help) = problem.help {
            diagnostic.help = Some(help);
        }
        Diagnostic { row: Some(at.row), field, repetition: problem.repetition, ..diagnostic }
    }
}

/// A record with its row number and its bytes.
pub(super) struct NumberedRecord<'r> {
    pub(super) row: u64,
    pub(super) record: &'r Record,
    pub(super) bytes: &'r [u8],
}

/// The first error of a row without a change.
fn first_error(reading: &ParsedRow<'_>) -> RowError {
    let error = reading.found.iter().find(|found| found.problem.code.severity == Severity::Error);
    let LocatedProblem { problem, .. } = error.expect("a row without a change has an error");
    RowError { code: problem.code.name, message: problem.message.clone() }
}

fn checked_row(at: &NumberedRecord<'_>, reading: &mut ParsedRow<'_>, verdict: Result<Change, NoChange>) -> CheckedRow {
    let source = match std::mem::take(&mut reading.own) {
        _ if at.record.is_too_large => Vec::new(),
        SourceSpan::Whole => at.bytes.to_vec(),
        SourceSpan::From(start) => at.bytes[start..].to_vec(),
        SourceSpan::Rewritten(bytes) => bytes,
    };
    let is_text = verdict.as_ref().err().is_none_or(|none| none.code() != codes::NOT_UTF8.name);
    let source = if is_text { source } else { undecoded(source) };
    CheckedRow {
        row: at.row,
        line: at.record.line,
        incident_id: match (reading.id, &verdict) {
            (None, _) | (_, Err(NoChange::Invalid(_))) => reading.id_text.to_owned(),
            (Some(id), _) => id.to_string(),
        },
        source,
        verdict,
    }
}

/// What could not be decoded from UTF-16 stands there as U+FFFD. In results, which are UTF-8, that would be text: there
/// it is a byte that no text has, so that the row is as wrong as before.
fn undecoded(source: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(source) {
        Ok(text) => text.split('\u{fffd}').map(str::as_bytes).collect::<Vec<_>>().join(&0xff),
        Err(error) => error.into_bytes(),
    }
}

/// A value as it stands there, cut where it is long.
fn excerpt_raw(value: &str) -> String {
    const LONGEST: usize = 200;
    let mut characters = value.chars();
    let short: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() { short + "…" } else { short }
}

/// Rows are no more than lines, and an input has no more lines than fit.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("the input ended with an error at more lines than fit")
}
