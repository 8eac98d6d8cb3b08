//! The checker, and one chunk: its rows checked one by one, by one thread.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::across::Seen;
use super::columns::{self, Role, Roles};
use super::row::{Found, Own, Reading};
use super::rules::{ReadyContract, ReadyKind};
use super::suggest::either;
use super::tally::{Count, counts};
use super::value::{Asked, Problem};
use super::{CheckedRow, RowError, Rules};
use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::input::{Chunk, Input, InputError, Record};
use crate::outcome::{InputShape, OutcomeKind};
use crate::row::Change;
use crate::text::excerpt;

/// All that the check of a row needs to know; shared by the threads.
pub(super) struct Checker<'a> {
    pub(super) contract: ReadyContract<'a>,
    /// What `--set` asks of each property.
    pub(super) set: Vec<Option<Asked<'a>>>,
    /// What is doubtful about it.
    pub(super) set_warnings: Vec<Diagnostic>,
    pub(super) roles: Roles<'a>,
    /// Of the input's own CSV columns.
    pub(super) columns: Vec<Role<'a>>,
    delimiter: Option<u8>,
    pub(super) is_results: bool,
    pub(super) is_portal_export: bool,
    is_utf16: bool,
    pub(super) only: Option<&'a [OutcomeKind]>,
    pub(super) file: String,
    keeps_rows: bool,
    hasher: RandomState,
}

/// What was found in a chunk.
pub(super) struct CheckedChunk {
    /// The chunk, to be used again.
    pub(super) chunk: Chunk,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The rows of the run, where they are kept.
    pub(super) rows: Vec<CheckedRow>,
    pub(super) seen: Vec<Seen>,
    pub(super) counts: Vec<Count>,
    pub(super) valid: u64,
    pub(super) skipped: u64,
    /// Rows that are not skipped.
    pub(super) taken: u64,
    /// Of these, the ones that were selected and are valid.
    pub(super) sendable: u64,
}

impl CheckedChunk {
    /// Takes none of its rows into the run.
    pub(super) fn select_none(&mut self) {
        self.rows.clear();
        self.counts.clear();
        self.sendable = 0;
    }
}

impl<'a> Checker<'a> {
    pub(super) fn new(input: &Input, rules: &Rules<'a>, keeps_rows: bool) -> Result<Checker<'a>, InputError> {
        let contract = ReadyContract::new(rules.contract);
        let origin = input.origin();
        let roles = Roles::new(&contract, origin.is_portal_export);
        let sets_all = !rules.set.is_empty();
        let columns = columns::of_header(input, &roles, &contract, sets_all).map_err(InputError::Invalid)?;
        let delimiter = match input.shape() {
            InputShape::Csv { delimiter, .. } => u8::try_from(*delimiter).ok(),
            InputShape::Jsonl { .. } => None,
        };
        if delimiter.is_none() && origin.is_portal_export && !sets_all {
            let message = "a portal export says what incidents are, not what to change".to_owned();
            return Err(InputError::Invalid(vec![input.header_diagnostic(&codes::PORTAL_NEEDS_SET, None, message)]));
        }
        let mut checker = Checker {
            set: vec![None; contract.properties.len()],
            set_warnings: Vec::new(),
            roles,
            columns,
            delimiter,
            is_results: origin.is_results,
            is_portal_export: origin.is_portal_export,
            is_utf16: input.is_utf16(),
            only: rules.only,
            file: input.name().to_owned(),
            keeps_rows,
            hasher: RandomState::new(),
            contract,
        };
        for set in rules.set {
            let properties = &checker.contract.properties;
            let Some(place) = properties.iter().position(|property| property.name == set.property) else { continue };
            let mut problems = Vec::new();
            checker.set[place] = Some(checker.contract.read_cell(place, Cow::Borrowed(&set.cell), &mut problems));
            checker.set_warnings.extend(problems.into_iter().map(|problem| Diagnostic {
                field: Some(set.property.clone()),
                value: Some(excerpt(&set.cell, 200)),
                ..Diagnostic::new(problem.code, "--set", problem.message)
            }));
        }
        Ok(checker)
    }

    /// Checks a chunk. Of the rows that are not skipped, only the first `limit` are the run.
    pub(super) fn check(&self, chunk: Chunk, limit: u64) -> CheckedChunk {
        let mut checked = CheckedChunk {
            diagnostics: Vec::new(),
            rows: Vec::new(),
            seen: Vec::with_capacity(chunk.records.len()),
            counts: counts(&self.contract),
            valid: 0,
            skipped: 0,
            taken: 0,
            sendable: 0,
            chunk: Chunk::default(),
        };
        let text = std::str::from_utf8(&chunk.bytes).ok();
        let has_nul = memchr::memchr(0, &chunk.bytes).is_some();
        let has_replaced = self.is_utf16 && text.is_some_and(|text| text.contains('\u{fffd}'));
        let mut cells = Vec::new();
        let mut body = Vec::new();
        let mut reading = Reading::default();
        for (record, row) in chunk.records.iter().zip(chunk.first_row..) {
            reading.reset(self.contract.properties.len());
            let bytes = &chunk.bytes[record.start..record.end];
            let text = match text {
                Some(text) => text.get(record.start..record.end),
                None => std::str::from_utf8(bytes).ok(),
            };
            match text {
                _ if record.is_too_large => {
                    let message = "the record is longer than 1 MiB";
                    reading.tell(Problem::new(&codes::ROW_TOO_LARGE, message), None, Some(0..0));
                }
                Some(text) if !has_replaced || !text.contains('\u{fffd}') => {
                    if has_nul && text.contains('\0') {
                        let at = text.find('\0').unwrap_or(0);
                        let problem = Problem::new(&codes::NUL_BYTE, "the row holds a NUL byte");
                        reading.tell(problem, None, Some(at..at + 1));
                    } else if let Some(delimiter) = self.delimiter {
                        self.read_csv(text, delimiter, &mut cells, &mut reading);
                    } else {
                        self.read_jsonl(text, &mut reading);
                    }
                }
                text => {
                    let at = text.map_or_else(|| first_invalid(bytes), |text| text.find('\u{fffd}').unwrap_or(0));
                    let message = "the row holds bytes that are not text in the file's encoding";
                    let end = (at + 1).min(bytes.len());
                    reading.tell(Problem::new(&codes::NOT_UTF8, message), None, Some(at..end));
                }
            }
            self.finish(&Row { row, record, bytes }, &mut reading, &mut body, limit, &mut checked);
        }
        drop(reading);
        checked.chunk = chunk;
        checked
    }

    /// Judges a row that was read: the rules between its values, its body, what is kept of it.
    fn finish(
        &self,
        at: &Row<'_>,
        reading: &mut Reading<'_>,
        body: &mut Vec<u8>,
        limit: u64,
        checked: &mut CheckedChunk,
    ) {
        if reading.is_skipped {
            checked.skipped += 1;
            checked.valid += 1;
            return;
        }
        if reading.is_whole {
            self.judge(reading);
        }
        let is_selected = checked.taken < limit;
        checked.taken += 1;
        let is_valid = reading.found.iter().all(|found| found.problem.code.severity == Severity::Warning);
        let mut change = None;
        if let Some(incident) = reading.id.filter(|_| is_valid) {
            let mut unused = [];
            let counts = if is_selected { checked.counts.as_mut_slice() } else { &mut unused };
            let appends = self.write_body(reading, body, counts);
            checked.valid += 1;
            checked.sendable += u64::from(is_selected);
            checked.seen.push(Seen {
                incident: incident.get(),
                hash: self.hasher.hash_one(&body),
                row: narrow(at.row),
                line: narrow(at.record.line),
            });
            if self.keeps_rows && is_selected {
                let body = std::str::from_utf8(body).expect("JSON of texts is UTF-8");
                change = Some(Change { incident, body: Arc::from(body), appends });
            }
        }
        if self.keeps_rows && is_selected {
            checked.rows.push(checked_row(at, reading, change));
        }
        checked.diagnostics.extend(reading.found.drain(..).map(|found| self.diagnostic(at, found)));
    }

    /// What an effective value is: `--set` wins.
    fn asked<'s>(&'s self, reading: &'s Reading<'_>, place: usize) -> &'s Asked<'s> {
        self.set[place].as_ref().unwrap_or(&reading.slots[place].asked)
    }

    /// The rules between values, and that there is one at all.
    fn judge(&self, reading: &mut Reading<'_>) {
        let mut found = Vec::new();
        for dependency in &self.contract.dependencies {
            let &Asked::Choice(value) = self.asked(reading, dependency.property) else { continue };
            let problem = match *self.asked(reading, dependency.on) {
                Asked::Choice(on) if dependency.allowed[on].contains(&value) => continue,
                Asked::Choice(on) => self.disagreement(dependency.property, value, dependency.on, on),
                Asked::Leave => {
                    let (property, on) = (self.name(dependency.property), self.name(dependency.on));
                    let with = self.values_that_allow(dependency.property, value, dependency.on);
                    let message =
                        format!("{property} `{}` needs a {on} in the same row", self.value(dependency.property, value));
                    let help = if with.is_empty() {
                        format!("leave {property} empty")
                    } else {
                        format!("set {on} to {}", either(&with))
                    };
                    Problem { code: &codes::VALUE_MISSING, message, help: Some(help) }
                }
                _ => continue,
            };
            let spot = reading.slots[dependency.property].spot.clone();
            found.push(Found { problem, field: Some(self.name(dependency.property).to_owned()), spot });
        }
        reading.found.append(&mut found);
        let sets_nothing = (0..reading.slots.len()).all(|place| *self.asked(reading, place) == Asked::Leave);
        if sets_nothing {
            reading.tell(Problem::new(&codes::NOTHING_TO_SET, "the row sets no property"), None, None);
        }
    }

    fn disagreement(&self, property: usize, value: usize, on: usize, on_value: usize) -> Problem {
        let (name, on_name) = (self.name(property), self.name(on));
        let (text, on_text) = (self.value(property, value), self.value(on, on_value));
        let message = format!("{name} `{text}` does not go with {on_name} `{on_text}`");
        let elsewhere = self.contract.other_that_joins((name, text), (on_name, on_text));
        let dependency = self.contract.dependencies.iter().find(|rule| rule.property == property && rule.on == on);
        let allowed = dependency.map_or(&[][..], |rule| &rule.allowed[on_value]);
        let allowed: Vec<&str> = allowed.iter().map(|value| self.value(property, *value)).collect();
        let help = elsewhere.unwrap_or_else(|| match allowed.as_slice() {
            [] => format!(
                "leave {name} empty: it goes with {on_name} {} only",
                either(&self.values_that_allow(property, value, on))
            ),
            allowed => format!("with `{on_text}` write {}", either(allowed)),
        });
        Problem { code: &codes::VALUES_DISAGREE, message, help: Some(help) }
    }

    /// The values of `on` that go with a value of `property`.
    fn values_that_allow(&self, property: usize, value: usize, on: usize) -> Vec<&'a str> {
        let dependency = self.contract.dependencies.iter().find(|rule| rule.property == property && rule.on == on);
        let allowed = dependency.map_or(&[][..], |rule| &rule.allowed);
        let with = allowed.iter().enumerate().filter(|(_, values)| values.contains(&value));
        with.map(|(place, _)| self.value(on, place)).collect()
    }

    fn name(&self, property: usize) -> &'a str {
        self.contract.properties[property].name
    }

    fn value(&self, property: usize, value: usize) -> &'a str {
        &self.contract.choices(property)[value].value
    }

    /// Writes the body into `body` and counts what it sets. Whether a property is added to what is there.
    fn write_body(&self, reading: &Reading<'_>, body: &mut Vec<u8>, counts: &mut [Count]) -> bool {
        const WRITES: &str = "memory takes all that is written";
        let mut appends = false;
        body.clear();
        body.push(b'{');
        for (place, property) in self.contract.properties.iter().enumerate() {
            let asked = self.asked(reading, place);
            let mut count = counts.get_mut(place);
            if let Some(count) = &mut count {
                count.overridden += u64::from(reading.slots[place].is_overridden);
            }
            if matches!(asked, Asked::Leave | Asked::Wrong) {
                continue;
            }
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(property.key.as_bytes());
            let start = body.len();
            let mut is_cleared = false;
            match (asked, &property.kind) {
                (Asked::Choice(value), ReadyKind::Choice(choices)) => {
                    body.extend_from_slice(choices.json[*value].as_bytes());
                    if let Some(count) = &mut count {
                        count.choices[*value] += 1;
                    }
                }
                (Asked::Text(text), kind) => {
                    serde_json::to_writer(&mut *body, text).expect(WRITES);
                    is_cleared = text.is_empty();
                    appends |= matches!(kind, ReadyKind::Append);
                }
                (Asked::List(list), _) => {
                    serde_json::to_writer(&mut *body, list).expect(WRITES);
                    is_cleared = list.is_empty();
                }
                _ => {}
            }
            if let Some(count) = count {
                count.add(&body[start..]);
                count.cleared += u64::from(is_cleared);
            }
        }
        body.push(b'}');
        appends
    }

    fn diagnostic(&self, at: &Row<'_>, found: Found) -> Diagnostic {
        let Found { problem, field, spot } = found;
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
        Diagnostic { row: Some(at.row), field, ..diagnostic }
    }

    /// Whether it is worth looking for carriage returns in a record.
    pub(super) fn may_have_cr(&self, record: &str) -> bool {
        memchr::memchr(b'\r', record.as_bytes()).is_some()
    }
}

/// A row's number, its record and its bytes.
struct Row<'r> {
    row: u64,
    record: &'r Record,
    bytes: &'r [u8],
}

fn checked_row(at: &Row<'_>, reading: &mut Reading<'_>, change: Option<Change>) -> CheckedRow {
    let source = match std::mem::take(&mut reading.own) {
        _ if at.record.is_too_large => Vec::new(),
        Own::Whole => at.bytes.to_vec(),
        Own::From(start) => at.bytes[start..].to_vec(),
        Own::Rewritten(bytes) => bytes,
    };
    let error = reading.found.iter().find(|found| found.problem.code.severity == Severity::Error);
    let error = error.map(|found| RowError { code: found.problem.code.name, message: found.problem.message.clone() });
    CheckedRow {
        row: at.row,
        line: at.record.line,
        incident_id: change.as_ref().map_or_else(|| reading.id_text.to_string(), |change| change.incident.to_string()),
        source,
        verdict: match (change, error) {
            (Some(change), None) => Ok(change),
            (_, error) => Err(error.expect("a row without a change has an error")),
        },
    }
}

/// A value as it stands there, cut where it is long.
fn excerpt_raw(value: &str) -> String {
    const LONGEST: usize = 200;
    let mut characters = value.chars();
    let short: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() { short + "…" } else { short }
}

fn first_invalid(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |_| 0)
}

/// Rows are no more than lines, and an input has no more lines than fit.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("the input ended with an error at more lines than fit")
}
