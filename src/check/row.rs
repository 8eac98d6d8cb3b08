//! Parses the cells or members of a row.

use std::borrow::Cow;
use std::ops::Range;

use bumpalo::Bump;
use serde_json::value::RawValue;

use super::checker::{Checker, Rare};
use super::columns::{
    Role, listed, misspelled, misspelled_help, needs_other_contract, not_sent, not_sent_help, sentinel_number, two_ids,
};
use super::id::{hint, parse_id};
use super::value::{Problem, Requested, json_type, kept};
use crate::input::csv::{self, Cell};
use crate::input::jsonl::{self, LineError, Member, Text};
use crate::input::{INCIDENT_ID, is_portal_export};
use crate::model::change::IncidentId;
use crate::model::diagnostic::codes;
use crate::model::outcome::{OutcomeKind, RESULT_COLUMNS};
use crate::text::{trimmed, truncate, unescape_formula, unescape_formula_bytes};

/// A parsed row: what it requests for each property, and its problems.
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub(super) struct ParsedRow<'r> {
    pub(super) id: Option<IncidentId>,
    /// The raw text of the ID.
    pub(super) id_text: &'r str,
    /// By the property's index in the contract.
    pub(super) slots: Vec<Slot<'r>>,
    pub(super) found: Vec<LocatedProblem>,
    /// Whether all its cells or members were found and parsed.
    pub(super) is_complete: bool,
    /// Whether it is a row of a results file that is not selected.
    pub(super) is_skipped: bool,
    /// Whether it is a JSON object without values, which doesn't count as a row.
    pub(super) is_blank: bool,
    /// The original row: the whole record, except in a results file.
    pub(super) original: SourceSpan,
    id_span: Option<Range<usize>>,
    id_was_reported: bool,
    /// The problems of the value that is being parsed.
    problems: Vec<Problem>,
    /// Stores texts that are not verbatim in the record.
    arena: &'r Bump,
}

/// What a row requests for a property, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot<'r> {
    pub(super) requested: Requested<'r>,
    /// Empty if there is no cell or member.
    pub(super) span: Range<usize>,
    /// Whether `--set` overrides a cell that is not empty.
    pub(super) is_overridden: bool,
}

/// The original row in a record.
#[derive(Default)]
pub(super) enum SourceSpan {
    #[default]
    Whole,
    /// From this byte of the record to its end.
    From(usize),
    /// A copy, because the record has it in a different form.
    Rewritten(Vec<u8>),
}

/// A problem with its location.
pub(super) struct LocatedProblem {
    pub(super) problem: Problem,
    pub(super) field: Option<String>,
    /// The bytes in the record; `None` for the whole record.
    pub(super) span: Option<Range<usize>>,
}

impl<'r> ParsedRow<'r> {
    /// An empty row. `set` is what `--set` requests for each property.
    pub(super) fn new(set: &[Requested<'r>], arena: &'r Bump) -> ParsedRow<'r> {
        ParsedRow {
            id: None,
            id_text: "",
            slots: set
                .iter()
                .map(|requested| Slot { requested: *requested, span: 0..0, is_overridden: false })
                .collect(),
            found: Vec::new(),
            is_complete: false,
            is_skipped: false,
            is_blank: false,
            original: SourceSpan::Whole,
            id_span: None,
            id_was_reported: false,
            problems: Vec::new(),
            arena,
        }
    }

    /// Clears the previous row, except its slots: every complete CSV row fills the same slots, and JSONL clears them.
    #[inline]
    pub(super) fn reset(&mut self) {
        self.id = None;
        self.id_text = "";
        self.found.clear();
        self.is_complete = false;
        self.is_skipped = false;
        self.is_blank = false;
        self.original = SourceSpan::Whole;
        self.id_span = None;
        self.id_was_reported = false;
    }

    pub(super) fn report(&mut self, problem: Problem, field: Option<&str>, span: Option<Range<usize>>) {
        self.found.push(LocatedProblem { problem, field: field.map(str::to_owned), span });
    }

    #[inline]
    fn read_id(&mut self, text: &'r str, span: Range<usize>) {
        let digits = trimmed(text);
        if !digits.is_empty() {
            self.id = parse_id(digits);
            if self.id.is_none() {
                let message = format!("`{}` is not an incident ID", truncate(digits, 40));
                let problem = Problem { help: hint(digits), ..Problem::new(&codes::ID_INVALID, message) };
                self.report(problem, Some(INCIDENT_ID), Some(span.clone()));
                self.id_was_reported = true;
            }
        }
        self.id_text = text;
        self.id_span = Some(span);
    }

    #[inline]
    fn fill(&mut self, index: usize, requested: Requested<'r>, span: Range<usize>) {
        let slot = &mut self.slots[index];
        slot.requested = requested;
        slot.span = span;
    }

    /// Ends a row whose cells or members were all parsed.
    fn end(&mut self) {
        self.is_complete = true;
        if self.id.is_none() && !self.id_was_reported {
            let span = self.id_span.clone();
            self.report(Problem::new(&codes::ID_MISSING, "no incident ID"), Some(INCIDENT_ID), span);
        }
    }
}

impl Checker<'_> {
    /// Parses a CSV record with these cells; `rare` is for its chunk.
    pub(super) fn read_csv<'r>(&self, record: &'r str, rare: Rare, cells: &[Cell], row: &mut ParsedRow<'r>) {
        let skipped = if self.origin.is_results { RESULT_COLUMNS.len() } else { 0 };
        let expected = self.columns.len() + skipped;
        if cells.len() != expected {
            let code = if cells.len() < expected { &codes::TOO_FEW_CELLS } else { &codes::TOO_MANY_CELLS };
            let message =
                format!("the row has {}, the header has {}", counted(cells.len(), "cell"), counted(expected, "column"));
            let span = cells.get(expected).map(|first| first.range.start..record.len());
            return row.report(Problem::new(code, message), None, span);
        }
        let bare_cr = |cell: &&Cell| !cell.is_quoted() && record[cell.range.clone()].contains('\r');
        if rare.carriage_returns
            && record.contains('\r')
            && let Some(cell) = cells.iter().find(bare_cr)
        {
            let message = "a carriage return without a line feed is outside quotes";
            return row.report(Problem::new(&codes::BARE_CR, message), None, Some(cell.range.clone()));
        }
        if self.origin.is_results {
            let outcome = cells[3].text(record);
            if !self.read_outcome(&outcome, cells[3].range.clone(), row) {
                return;
            }
        }
        for (role, cell) in self.columns.iter().zip(&cells[skipped..]) {
            // A quick test for empty cells, because there are many.
            if let Role::Property(index) = *role
                && cell.range.is_empty()
            {
                row.slots[index].requested = Requested::Leave;
                continue;
            }
            let text = cell.text_in(record, row.arena);
            let text = match self.origin.is_results.then(|| unescape_formula(text)) {
                Some(Cow::Owned(plain)) => row.arena.alloc_str(&plain),
                _ => text,
            };
            match *role {
                Role::Property(index) => match self.contract.read_simple_cell(index, text, rare.unprintable) {
                    Some(requested) => row.fill(index, requested, cell.range.clone()),
                    None => self.read_cell(index, text, cell.range.clone(), row),
                },
                Role::Id => row.read_id(text, cell.range.clone()),
                Role::Overridden(index) => row.slots[index].is_overridden = !text.is_empty(),
                Role::OtherContract(index) if !text.is_empty() => {
                    self.report_other_contract(index, cell.range.clone(), row);
                }
                Role::Carried
                | Role::OtherContract(_)
                | Role::Misspelled(_)
                | Role::Synonym(_)
                | Role::SentinelNumber
                | Role::SentinelProviderId => {}
            }
        }
        row.end();
    }

    fn read_cell<'r>(&self, index: usize, text: &'r str, span: Range<usize>, row: &mut ParsedRow<'r>) {
        let requested = self.contract.read_cell(index, text, row.arena, &mut row.problems);
        self.report_problems(index, &span, row);
        row.fill(index, requested, span);
    }

    /// Reports the problems of the value that was parsed.
    fn report_problems(&self, index: usize, span: &Range<usize>, row: &mut ParsedRow<'_>) {
        for problem in std::mem::take(&mut row.problems) {
            row.report(problem, Some(self.contract.properties[index].name), Some(span.clone()));
        }
    }

    /// Reports a value for a property that only another contract has.
    fn report_other_contract(&self, index: usize, span: Range<usize>, row: &mut ParsedRow<'_>) {
        let other = &self.contract.other_columns[index];
        row.report(needs_other_contract(other), Some(&other.column), Some(span));
    }

    /// Parses a JSONL record.
    pub(super) fn read_jsonl<'r>(&'r self, record: &'r str, row: &mut ParsedRow<'r>) {
        let members = match jsonl::members(record) {
            Ok(members) => members,
            Err(error) => return row.report_line(error, record),
        };
        if !self.origin.is_results {
            row.is_blank = members.iter().all(|member| is_empty(member.value));
            if !row.is_blank {
                self.read_members(record, &members, row);
            }
            return;
        }
        let own = jsonl::own_record(&members).filter(|_| jsonl::is_result(&members));
        let outcome = members.iter().find(|member| member.name == "outcome");
        let outcome =
            outcome.and_then(|member| Some((serde_json::from_str::<String>(member.value.get()).ok()?, member)));
        let (Some(own), Some((outcome, member))) = (own, outcome) else {
            let message = "the first line is from a results file, and this one is not";
            return row.report(Problem::new(&codes::RESULTS_LINE, message), None, None);
        };
        let span = span_of(record, member.value.get()).unwrap_or(0..record.len());
        if !self.read_outcome(&outcome, span, row) {
            return;
        }
        match own {
            Cow::Borrowed(own) => {
                row.original = SourceSpan::Rewritten(own.as_bytes().to_vec());
                match jsonl::members(own) {
                    Ok(members) => self.read_members(record, &members, row),
                    Err(error) => row.report_line(error, own),
                }
            }
            // The original line was not an object: `input` has its text, which has the same problem. It is kept with its
            // quotes, because the text of a line that was not UTF-8 may be a valid object now.
            Cow::Owned(own) => {
                let error = jsonl::members(&own).err().unwrap_or(LineError::NotAnObject);
                row.report_line(error, &own);
                let quoted = members.iter().find(|member| member.name == "input").map(|member| member.value.get());
                row.original = SourceSpan::Rewritten(quoted.unwrap_or_default().into());
            }
        }
    }

    fn read_members<'r>(&'r self, record: &'r str, members: &[Member<'r>], row: &mut ParsedRow<'r>) {
        for (slot, requested) in row.slots.iter_mut().zip(&self.set) {
            *slot = Slot { requested: *requested, span: 0..0, is_overridden: false };
        }
        if !self.origin.is_portal_export && is_portal_export(&members.iter().map(|member| &*member.name)) {
            let message = "the row is from a portal export, and the first row is not";
            let help = "move the rows of the portal export to a separate file, and use `--set`";
            row.report(Problem::new(&codes::PORTAL_NEEDS_SET, message).with_help(help), None, None);
            return;
        }
        let roles: Vec<Role<'_>> = members.iter().map(|member| self.roles.of(&member.name)).collect();
        for (at, (Member { name, value }, role)) in members.iter().zip(&roles).enumerate() {
            let span = span_of(record, value.get()).unwrap_or(0..record.len());
            let is_sent = matches!(role, Role::Id | Role::Property(_) | Role::Overridden(_));
            if is_sent && roles[..at].contains(role) {
                let message = format!("the member `{}` means the same as one before", truncate(name, 40));
                row.report(Problem::new(&codes::COLUMN_TWICE, message), Some(name), Some(span));
                continue;
            }
            match *role {
                Role::Carried if self.origin.is_portal_export && self.contract.appends_by(name) => {
                    let message = format!(
                        "`{}` was added to a portal export, which only provides incident IDs",
                        truncate(name, 40)
                    );
                    row.report(Problem::new(&codes::PORTAL_COMMENT, message), Some(name), Some(span));
                }
                Role::Misspelled(meant) => {
                    let message = misspelled(&truncate(name, 40), meant);
                    let problem = Problem::new(&codes::MISSPELT_COLUMN, message).with_help(misspelled_help(meant));
                    row.report(problem, Some(name), Some(span));
                }
                Role::OtherContract(index) if !is_empty(value) => self.report_other_contract(index, span, row),
                // The API's own `comments` are a list.
                Role::Synonym(index) if value.get().starts_with('"') && !is_empty(value) => {
                    if !roles.contains(&Role::Property(index)) {
                        let problem = Problem::new(&codes::NOT_SENT, not_sent(&truncate(name, 40)));
                        let help = not_sent_help(self.contract.properties[index].column);
                        row.report(problem.with_help(help).counted(), Some(name), Some(span));
                    }
                }
                Role::SentinelProviderId if roles.contains(&Role::Id) => {
                    let problem = Problem::new(&codes::COLUMN_TWICE, two_ids(&truncate(name, 40)));
                    row.report(problem, Some(name), Some(span));
                }
                Role::Carried
                | Role::OtherContract(_)
                | Role::Synonym(_)
                | Role::SentinelNumber
                | Role::SentinelProviderId => {}
                Role::Id => row.read_id_member(value.get(), span),
                Role::Overridden(index) => row.slots[index].is_overridden = !is_empty(value),
                Role::Property(index) => {
                    let requested = self.contract.read_member(index, value, row.arena, &mut row.problems);
                    self.report_problems(index, &span, row);
                    row.fill(index, requested, span);
                }
            }
        }
        if !roles.contains(&Role::Id) {
            let message = if roles.contains(&Role::SentinelNumber) {
                sentinel_number()
            } else {
                format!("no member is named `{INCIDENT_ID}`")
            };
            let help = format!("the members here are {}", listed(members.iter().map(|member| &*member.name)));
            row.report(Problem::new(&codes::ID_MISSING, message).with_help(help), Some(INCIDENT_ID), None);
            row.id_was_reported = true;
        }
        row.end();
    }

    /// Whether the row of a results file is selected.
    fn read_outcome(&self, outcome: &str, span: Range<usize>, row: &mut ParsedRow<'_>) -> bool {
        let Ok(outcome) = outcome.parse::<OutcomeKind>() else {
            let message = format!("`{}` is not an outcome", truncate(outcome, 40));
            row.report(Problem::new(&codes::RESULTS_LINE, message), Some("outcome"), Some(span));
            return false;
        };
        row.is_skipped = !self.only.map_or(!outcome.is_done(), |only| only.contains(&outcome));
        !row.is_skipped
    }
}

impl<'r> ParsedRow<'r> {
    fn read_id_member(&mut self, raw: &'r str, span: Range<usize>) {
        match raw.as_bytes() {
            b"null" | b"\"\"" => self.id_span = Some(span),
            [b'"', ..] => match serde_json::from_str::<Text<'r>>(raw) {
                Ok(Text(text)) => self.read_id(kept(text, self.arena), span),
                Err(_) => self.read_id(raw, span),
            },
            [b'-' | b'0'..=b'9', ..] => self.read_id(raw, span),
            _ => {
                let message = format!("`{INCIDENT_ID}` is {}, not a number", json_type(raw));
                self.report(Problem::new(&codes::WRONG_TYPE, message), Some(INCIDENT_ID), Some(span));
                self.id_was_reported = true;
            }
        }
    }

    fn report_line(&mut self, error: LineError, line: &str) {
        let (code, message, span) = match error {
            LineError::Syntax { message, at } => {
                let end = line[at.min(line.len())..].chars().next().map_or(at, |character| at + character.len_utf8());
                (&codes::JSON_SYNTAX, format!("the line is not JSON: {message}"), Some(at..end))
            }
            LineError::NotAnObject => {
                (&codes::NOT_AN_OBJECT, format!("the line is {}, not an object", json_type(line.trim_start())), None)
            }
            LineError::Twice(name) => {
                (&codes::MEMBER_TWICE, format!("the member `{}` occurs twice", truncate(&name, 40)), None)
            }
        };
        self.report(Problem::new(code, message), None, span);
    }
}

/// The original row in a record of a results file, which may be invalid. It is copied if a cell was escaped. A record with
/// fewer than ten cells is not from a results file, and stays whole.
pub(super) fn original_cells(record: &[u8], delimiter: u8, cells: &mut Vec<Cell>) -> SourceSpan {
    csv::split(record, delimiter, cells);
    let Some(own) = cells.get(RESULT_COLUMNS.len()..) else { return SourceSpan::Whole };
    let contents: Vec<Cow<'_, [u8]>> = own.iter().map(|cell| cell.bytes(record)).collect();
    let plain: Vec<Cow<'_, [u8]>> = contents.iter().map(|content| unescape_formula_bytes(content)).collect();
    if plain.iter().any(|content| matches!(content, Cow::Owned(_))) {
        return SourceSpan::Rewritten(csv::join(plain, char::from(delimiter)));
    }
    SourceSpan::From(own.first().map_or(record.len(), |cell| cell.range.start))
}

/// Whether a member has no value.
fn is_empty(value: &RawValue) -> bool {
    matches!(value.get(), "null" | "\"\"")
}

/// The position of a part that was borrowed from the record.
fn span_of(record: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(record.as_ptr() as usize)?;
    (start + part.len() <= record.len()).then(|| start..start + part.len())
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
