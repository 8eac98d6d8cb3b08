//! Validates a parsed row: checks the rules between its values, and creates its change and diagnostics.

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
    /// Validates a parsed row, and adds it to the result of its chunk.
    pub(super) fn finish(
        &self,
        at: &NumberedRecord<'_>,
        parsed: &mut ParsedRow<'_>,
        limit: u64,
        checked: &mut CheckedChunk,
    ) {
        if parsed.is_skipped {
            checked.skipped += 1;
            checked.valid += 1;
            return;
        }
        let sets_nothing = parsed.is_complete && self.check_rules(parsed);
        let is_selected = checked.taken < limit;
        let comment = parsed.is_complete.then(|| self.place_comment(parsed)).flatten();
        checked.comments.resolving += u64::from(is_selected && comment == Some(Comment::Resolves));
        checked.comments.others += u64::from(is_selected && comment == Some(Comment::Stays));
        let is_valid = parsed.found.iter().all(|found| found.problem.code.severity == Severity::Warning);
        if sets_nothing && is_valid {
            checked.valid += 1;
            checked.nothing_asked += u64::from(is_selected);
            if self.keeps_rows && is_selected {
                checked.rows.push(checked_row(at, parsed, Err(NoChange::NothingAsked)));
            }
            checked.diagnostics.extend(parsed.found.drain(..).map(|found| self.diagnostic(at, found)));
            return;
        }
        checked.taken += 1;
        if is_selected {
            checked.last_selected = at.row;
        }
        let mut change = None;
        if let Some(incident) = parsed.id.filter(|_| is_valid) {
            checked.valid += 1;
            checked.sendable += u64::from(is_selected);
            let moves_comment = comment == Some(Comment::Resolves) && self.comment_resolves;
            let hash = self.hash(parsed, moves_comment);
            let (row, line) = (narrow(at.row), narrow(at.record.line));
            checked.fingerprints.push(RowFingerprint { incident: incident.get(), hash, row, line });
            if self.keeps_rows && is_selected {
                change = Some(self.change(incident, parsed, moves_comment));
                for (count, slot) in checked.overridden.iter_mut().zip(&parsed.slots) {
                    *count += u64::from(slot.is_overridden);
                }
            }
        }
        if self.keeps_rows && is_selected {
            let verdict = change.ok_or_else(|| NoChange::Invalid(first_error(parsed)));
            checked.rows.push(checked_row(at, parsed, verdict));
        }
        if !parsed.found.is_empty() {
            checked.diagnostics.extend(parsed.found.drain(..).map(|found| self.diagnostic(at, found)));
        }
    }

    /// Checks the rules between values, and that there is a value. Returns whether it is a row of a fetched file that sets
    /// nothing.
    fn check_rules(&self, parsed: &mut ParsedRow<'_>) -> bool {
        for dependency in &self.contract.dependencies {
            let Requested::Choice(value) = parsed.slots[dependency.property].requested else { continue };
            let problem = match parsed.slots[dependency.on].requested {
                Requested::Choice(on) if dependency.allowed[on][value] => continue,
                Requested::Choice(on) if dependency.advisory => {
                    self.unusual_pair(dependency.property, value, dependency.on, on)
                }
                Requested::Leave if dependency.advisory => {
                    let (property, on) = (self.name(dependency.property), self.name(dependency.on));
                    let message = format!("{property} `{}` without a {on}", self.value(dependency.property, value));
                    Problem::new(&codes::VALUE_ALONE, message).counted()
                }
                Requested::Choice(on) => self.disagreement(dependency.property, value, dependency.on, on),
                Requested::Leave => {
                    let (property, on) = (self.name(dependency.property), self.name(dependency.on));
                    let with = self.values_that_allow(dependency.property, value, dependency.on);
                    let message =
                        format!("{property} `{}` needs a {on} in the same row", self.value(dependency.property, value));
                    let help = if with.is_empty() {
                        format!("leave {property} empty")
                    } else {
                        format!("set {on} to {}", either(with.iter().copied()))
                    };
                    Problem::new(&codes::VALUE_MISSING, message).with_help(help)
                }
                _ => continue,
            };
            let span = parsed.slots[dependency.property].span.clone();
            parsed.report(problem, Some(self.name(dependency.property)), (!span.is_empty()).then_some(span));
        }
        let sets_nothing = parsed.slots.iter().all(|slot| matches!(slot.requested, Requested::Leave));
        if sets_nothing && !self.origin.is_fetched {
            parsed.report(Problem::new(&codes::NOTHING_TO_SET, "the row sets no property"), None, None);
        }
        sets_nothing && self.origin.is_fetched
    }

    /// Decides what the row's comment can be sent as. With `--comment-as resolving`, it is an error if the row also sets the
    /// property for that.
    fn place_comment(&self, parsed: &mut ParsedRow<'_>) -> Option<Comment> {
        let rule = self.contract.resolving.as_ref()?;
        let comment = parsed.slots[rule.comment].requested;
        if !matches!(comment, Requested::Text(_)) {
            return None;
        }
        if parsed.slots[rule.property].requested != Requested::Choice(rule.value) {
            return Some(Comment::Stays);
        }
        if parsed.slots[rule.target].requested == Requested::Leave {
            return Some(Comment::Resolves);
        }
        if self.comment_resolves {
            let message = format!(
                "both {0} and {1} are set, and {0} would be sent as {1}",
                self.name(rule.comment),
                self.name(rule.target)
            );
            let span = parsed.slots[rule.comment].span.clone();
            let span = (!span.is_empty()).then_some(span);
            parsed.report(Problem::new(&codes::TWO_RESOLVING_COMMENTS, message), Some(self.name(rule.comment)), span);
        }
        None
    }

    fn unusual_pair(&self, property: usize, value: usize, on: usize, on_value: usize) -> Problem {
        let usual = either(self.values_that_allow(property, value, on).into_iter());
        let message = format!(
            "{} `{}` is unusual with {} `{}`{}",
            self.name(property),
            self.value(property, value),
            self.name(on),
            self.value(on, on_value),
            if usual.is_empty() { String::new() } else { format!(": it goes with {usual}") }
        );
        Problem::new(&codes::UNUSUAL_VALUES, message).counted()
    }

    fn disagreement(&self, property: usize, value: usize, on: usize, on_value: usize) -> Problem {
        let (name, on_name) = (self.name(property), self.name(on));
        let (text, on_text) = (self.value(property, value), self.value(on, on_value));
        let message = format!("{name} `{text}` is not allowed with {on_name} `{on_text}`");
        let elsewhere = self.contract.suggest_contract_for_both((name, text), (on_name, on_text));
        let dependency = self.contract.dependencies.iter().find(|rule| rule.property == property && rule.on == on);
        let allowed = dependency.map_or(&[][..], |rule| &rule.allowed[on_value]);
        let allowed = self.contract.choices(property).iter().zip(allowed).filter(|(_, allowed)| **allowed);
        let allowed: Vec<&str> = allowed.map(|(choice, _)| choice.value.as_str()).collect();
        let help = match allowed.as_slice() {
            [] => format!(
                "leave {name} empty: it is only allowed with {on_name} {}",
                either(self.values_that_allow(property, value, on).into_iter())
            ),
            allowed => format!("with `{on_text}`, enter {}", either(allowed.iter().copied())),
        };
        Problem::new(&codes::VALUES_DISAGREE, message).with_help(help).first_with_help(elsewhere)
    }

    /// The values of `on` that allow a value of `property`.
    fn values_that_allow(&self, property: usize, value: usize, on: usize) -> Vec<&'a str> {
        let dependency = self.contract.dependencies.iter().find(|rule| rule.property == property && rule.on == on);
        let allowed = dependency.map_or(&[][..], |rule| &rule.allowed);
        let with = allowed.iter().enumerate().filter(|(_, values)| values[value]);
        with.map(|(index, _)| self.value(on, index)).collect()
    }

    fn name(&self, property: usize) -> &'a str {
        self.contract.properties[property].name
    }

    fn value(&self, property: usize, value: usize) -> &'a str {
        &self.contract.choices(property)[value].value
    }

    /// What is sent for each property, in the contract's order. With `moves_comment`, the property for the comment of a row
    /// that resolves its incident takes what the row requests as its comment.
    #[inline]
    fn sent<'r>(&self, parsed: &ParsedRow<'r>, moves_comment: bool) -> impl Iterator<Item = Requested<'r>> {
        let rule = self.contract.resolving.as_ref().filter(|_| moves_comment);
        let moved = rule.map(|rule| (rule.comment, rule.target));
        parsed.slots.iter().enumerate().map(move |(index, slot)| match moved {
            Some((comment, _)) if index == comment => Requested::Leave,
            Some((comment, target)) if index == target => parsed.slots[comment].requested,
            _ => slot.requested,
        })
    }

    /// The hash of the requested change; equal changes have equal hashes.
    #[inline]
    fn hash(&self, parsed: &ParsedRow<'_>, moves_comment: bool) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for (index, requested) in self.sent(parsed, moves_comment).enumerate() {
            requested.hash_into(index, &mut hasher);
        }
        hasher.finish()
    }

    fn change(&self, incident: IncidentId, parsed: &ParsedRow<'_>, moves_comment: bool) -> Change {
        let sent = self.contract.properties.iter().zip(self.sent(parsed, moves_comment));
        let edits = sent.filter_map(|(property, requested)| {
            let edit = property.kind.edit(requested)?;
            Some(PropertyEdit { property: property.shared.clone(), edit })
        });
        Change { incident, edits: edits.collect() }
    }

    fn diagnostic(&self, at: &NumberedRecord<'_>, found: LocatedProblem) -> Diagnostic {
        let LocatedProblem { problem, field, span } = found;
        let mut diagnostic = Diagnostic::new(problem.code, &self.file, problem.message);
        let whole = 0..at.bytes.len();
        diagnostic = diagnostic.at(at.bytes, at.record.line, span.clone().unwrap_or(whole));
        if let Some(span) = span.filter(|span| !span.is_empty()) {
            let value = String::from_utf8_lossy(&at.bytes[span]);
            diagnostic.value = Some(truncate_raw(&value));
        }
        if let Some(help) = problem.help {
            diagnostic.help = Some(help);
        }
        Diagnostic { row: Some(at.row), field, repetition: problem.repetition, ..diagnostic }
    }
}

/// What a row's comment can be sent as, if the contract has a property for the comment of a row that resolves its incident.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comment {
    /// That property, with `--comment-as resolving`.
    Resolves,
    /// Only a comment.
    Stays,
}

/// A record with its row number and its bytes.
pub(super) struct NumberedRecord<'r> {
    pub(super) row: u64,
    pub(super) record: &'r Record,
    pub(super) bytes: &'r [u8],
}

/// The first error of a row without a change.
fn first_error(parsed: &ParsedRow<'_>) -> RowError {
    let error = parsed.found.iter().find(|found| found.problem.code.severity == Severity::Error);
    let LocatedProblem { problem, .. } = error.expect("a row without a change has an error");
    RowError { code: problem.code.name, message: problem.message.clone() }
}

fn checked_row(at: &NumberedRecord<'_>, parsed: &mut ParsedRow<'_>, verdict: Result<Change, NoChange>) -> CheckedRow {
    let source = match std::mem::take(&mut parsed.original) {
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
        incident_id: match (parsed.id, &verdict) {
            (None, _) | (_, Err(NoChange::Invalid(_))) => parsed.id_text.to_owned(),
            (Some(id), _) => id.to_string(),
        },
        source,
        verdict,
    }
}

/// Replaces U+FFFD, which stands for bytes that could not be decoded from UTF-16, by an invalid byte. Results are UTF-8,
/// where U+FFFD would be valid; with the byte, the row still has the same problem.
fn undecoded(source: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(source) {
        Ok(text) => text.split('\u{fffd}').map(str::as_bytes).collect::<Vec<_>>().join(&0xff),
        Err(error) => error.into_bytes(),
    }
}

/// The raw value, truncated.
fn truncate_raw(value: &str) -> String {
    const LONGEST: usize = 200;
    let mut characters = value.chars();
    let short: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() { short + "…" } else { short }
}

/// Narrows a row or line: an input with more lines than fit is rejected.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("the input ended with an error at more lines than fit")
}
