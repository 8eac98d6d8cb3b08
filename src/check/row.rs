//! One row: its cells or members read, whatever the format.

use std::borrow::Cow;
use std::ops::Range;

use bumpalo::Bump;
use serde_json::value::RawValue;

use super::checker::{Checker, Rare};
use super::columns::{Role, listed, misspelt, misspelt_help, not_sent, not_sent_help, sentinel_number, two_ids};
use super::id::{hint, parse_id};
use super::value::{Problem, Requested, json_type, kept};
use crate::input::csv::{self, Cell};
use crate::input::jsonl::{self, LineError, Member, Text};
use crate::input::{INCIDENT_ID, is_portal_export};
use crate::model::change::IncidentId;
use crate::model::diagnostic::codes;
use crate::model::outcome::{OutcomeKind, RESULT_COLUMNS};
use crate::text::{trimmed, truncate, unescape_formula, unescape_formula_bytes};

/// A row as it was read: what it asks of each property, and what is wrong with it.
#[expect(clippy::struct_excessive_bools, reason = "each says something else of the row")]
pub(super) struct ParsedRow<'r> {
    pub(super) id: Option<IncidentId>,
    /// The id as it stood.
    pub(super) id_text: &'r str,
    /// By the property's place in the contract.
    pub(super) slots: Vec<Slot<'r>>,
    pub(super) found: Vec<LocatedProblem>,
    /// Its cells or members were all found, and read.
    pub(super) is_whole: bool,
    /// A row of a results file that is not wanted.
    pub(super) is_skipped: bool,
    /// A JSON object in which nothing is filled in: no row.
    pub(super) is_blank: bool,
    /// Where the input's own part begins (the whole record, except in a results file).
    pub(super) own: SourceSpan,
    id_spot: Option<Range<usize>>,
    id_was_told: bool,
    /// What is wrong with the value that is being read.
    problems: Vec<Problem>,
    /// Takes the texts that do not stand in a record to the letter.
    arena: &'r Bump,
}

/// What a row asks of one property, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot<'r> {
    pub(super) asked: Requested<'r>,
    /// Empty where it has no cell or member.
    pub(super) spot: Range<usize>,
    /// A cell that is not empty gave way to `--set`.
    pub(super) is_overridden: bool,
}

/// The part of a record that is the input's own.
#[derive(Default)]
pub(super) enum SourceSpan {
    #[default]
    Whole,
    /// As it stands there.
    From(usize),
    /// Copied or written again, because results hold it in another form.
    Rewritten(Vec<u8>),
}

/// A problem with its place.
pub(super) struct LocatedProblem {
    pub(super) problem: Problem,
    pub(super) field: Option<String>,
    /// In the record; `None` is the whole of it.
    pub(super) spot: Option<Range<usize>>,
}

impl<'r> ParsedRow<'r> {
    /// Of no row yet: `set` is what `--set` asks of each property.
    pub(super) fn new(set: &[Requested<'r>], arena: &'r Bump) -> ParsedRow<'r> {
        ParsedRow {
            id: None,
            id_text: "",
            slots: set.iter().map(|asked| Slot { asked: *asked, spot: 0..0, is_overridden: false }).collect(),
            found: Vec::new(),
            is_whole: false,
            is_skipped: false,
            is_blank: false,
            own: SourceSpan::Whole,
            id_spot: None,
            id_was_told: false,
            problems: Vec::new(),
            arena,
        }
    }

    /// Forgets the row before. The slots stay: a CSV row that is whole fills the same ones as the row before, and JSONL
    /// clears them.
    #[inline]
    pub(super) fn reset(&mut self) {
        self.id = None;
        self.id_text = "";
        self.found.clear();
        self.is_whole = false;
        self.is_skipped = false;
        self.is_blank = false;
        self.own = SourceSpan::Whole;
        self.id_spot = None;
        self.id_was_told = false;
    }

    pub(super) fn tell(&mut self, problem: Problem, field: Option<&str>, spot: Option<Range<usize>>) {
        self.found.push(LocatedProblem { problem, field: field.map(str::to_owned), spot });
    }

    #[inline]
    fn read_id(&mut self, text: &'r str, spot: Range<usize>) {
        let digits = trimmed(text);
        if !digits.is_empty() {
            self.id = parse_id(digits);
            if self.id.is_none() {
                let message = format!("`{}` is not an incident ID", truncate(digits, 40));
                let problem = Problem { help: hint(digits), ..Problem::new(&codes::ID_INVALID, message) };
                self.tell(problem, Some(INCIDENT_ID), Some(spot.clone()));
                self.id_was_told = true;
            }
        }
        self.id_text = text;
        self.id_spot = Some(spot);
    }

    #[inline]
    fn fill(&mut self, place: usize, asked: Requested<'r>, spot: Range<usize>) {
        let slot = &mut self.slots[place];
        slot.asked = asked;
        slot.spot = spot;
    }

    /// All cells or members were read.
    fn end(&mut self) {
        self.is_whole = true;
        if self.id.is_none() && !self.id_was_told {
            let spot = self.id_spot.clone();
            self.tell(Problem::new(&codes::ID_MISSING, "no incident ID"), Some(INCIDENT_ID), spot);
        }
    }
}

impl Checker<'_> {
    /// Reads a CSV record, of which the cells were found; `rare` is what its chunk holds.
    pub(super) fn read_csv<'r>(&self, record: &'r str, rare: Rare, cells: &[Cell], row: &mut ParsedRow<'r>) {
        let skipped = if self.origin.is_results { RESULT_COLUMNS.len() } else { 0 };
        let expected = self.columns.len() + skipped;
        if cells.len() != expected {
            let code = if cells.len() < expected { &codes::TOO_FEW_CELLS } else { &codes::TOO_MANY_CELLS };
            let message =
                format!("the row has {}, the header has {}", counted(cells.len(), "cell"), counted(expected, "column"));
            let spot = cells.get(expected).map(|first| first.range.start..record.len());
            return row.tell(Problem::new(code, message), None, spot);
        }
        let bare_cr = |cell: &&Cell| !cell.is_quoted() && record[cell.range.clone()].contains('\r');
        if rare.carriage_returns
            && record.contains('\r')
            && let Some(cell) = cells.iter().find(bare_cr)
        {
            let message = "a carriage return without a line feed is outside quotes";
            return row.tell(Problem::new(&codes::BARE_CR, message), None, Some(cell.range.clone()));
        }
        if self.origin.is_results {
            let outcome = cells[3].text(record);
            if !self.read_outcome(&outcome, cells[3].range.clone(), row) {
                return;
            }
        }
        for (role, cell) in self.columns.iter().zip(&cells[skipped..]) {
            // First, because many cells are.
            if let Role::Property(place) = *role
                && cell.range.is_empty()
            {
                row.slots[place].asked = Requested::Leave;
                continue;
            }
            let text = cell.text_in(record, row.arena);
            let text = match self.origin.is_results.then(|| unescape_formula(text)) {
                Some(Cow::Owned(plain)) => row.arena.alloc_str(&plain),
                _ => text,
            };
            match *role {
                Role::Property(place) => match self.contract.glance(place, text, rare.unprintable) {
                    Some(asked) => row.fill(place, asked, cell.range.clone()),
                    None => self.read_cell(place, text, cell.range.clone(), row),
                },
                Role::Id => row.read_id(text, cell.range.clone()),
                Role::GivesWay(place) => row.slots[place].is_overridden = !text.is_empty(),
                Role::Carried
                | Role::Misspelt(_)
                | Role::Synonym(_)
                | Role::SentinelNumber
                | Role::SentinelProviderId => {}
            }
        }
        row.end();
    }

    fn read_cell<'r>(&self, place: usize, text: &'r str, spot: Range<usize>, row: &mut ParsedRow<'r>) {
        let asked = self.contract.read_cell(place, text, row.arena, &mut row.problems);
        self.tell_of(place, &spot, row);
        row.fill(place, asked, spot);
    }

    /// Tells what is wrong with the value that was read.
    fn tell_of(&self, place: usize, spot: &Range<usize>, row: &mut ParsedRow<'_>) {
        for problem in std::mem::take(&mut row.problems) {
            row.tell(problem, Some(self.contract.properties[place].name), Some(spot.clone()));
        }
    }

    /// Reads a JSONL record.
    pub(super) fn read_jsonl<'r>(&'r self, record: &'r str, row: &mut ParsedRow<'r>) {
        let members = match jsonl::members(record) {
            Ok(members) => members,
            Err(error) => return row.tell_line(error, record),
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
            return row.tell(Problem::new(&codes::RESULTS_LINE, message), None, None);
        };
        let spot = place_of(record, member.value.get()).unwrap_or(0..record.len());
        if !self.read_outcome(&outcome, spot, row) {
            return;
        }
        match own {
            Cow::Borrowed(own) => {
                row.own = SourceSpan::Rewritten(own.as_bytes().to_vec());
                match jsonl::members(own) {
                    Ok(members) => self.read_members(record, &members, row),
                    Err(error) => row.tell_line(error, own),
                }
            }
            // No object was there: `input` holds the line's text, which says again what is wrong. It is kept as a text,
            // quotes included: where the line was not UTF-8, what is between them may be an object by now.
            Cow::Owned(own) => {
                let error = jsonl::members(&own).err().unwrap_or(LineError::NotAnObject);
                row.tell_line(error, &own);
                let quoted = members.iter().find(|member| member.name == "input").map(|member| member.value.get());
                row.own = SourceSpan::Rewritten(quoted.unwrap_or_default().into());
            }
        }
    }

    fn read_members<'r>(&'r self, record: &'r str, members: &[Member<'r>], row: &mut ParsedRow<'r>) {
        for (slot, asked) in row.slots.iter_mut().zip(&self.set) {
            *slot = Slot { asked: *asked, spot: 0..0, is_overridden: false };
        }
        if !self.origin.is_portal_export && is_portal_export(&members.iter().map(|member| &*member.name)) {
            let message = "the row is from a portal export, and the first row is not";
            let help = "move the rows of the portal export to a separate file, and use `--set`";
            row.tell(Problem::new(&codes::PORTAL_NEEDS_SET, message).with_help(help), None, None);
            return;
        }
        let roles: Vec<Role<'_>> = members.iter().map(|member| self.roles.of(&member.name)).collect();
        for (at, (Member { name, value }, role)) in members.iter().zip(&roles).enumerate() {
            let spot = place_of(record, value.get()).unwrap_or(0..record.len());
            let is_sent = matches!(role, Role::Id | Role::Property(_) | Role::GivesWay(_));
            if is_sent && roles[..at].contains(role) {
                let message = format!("the member `{}` means the same as one before", truncate(name, 40));
                row.tell(Problem::new(&codes::COLUMN_TWICE, message), Some(name), Some(spot));
                continue;
            }
            match *role {
                Role::Carried if self.origin.is_portal_export && self.contract.appends_by(name) => {
                    let message = format!(
                        "`{}` was added to a portal export, which only provides incident IDs",
                        truncate(name, 40)
                    );
                    row.tell(Problem::new(&codes::PORTAL_COMMENT, message), Some(name), Some(spot));
                }
                Role::Misspelt(meant) => {
                    let message = misspelt(&truncate(name, 40), meant);
                    let problem = Problem::new(&codes::MISSPELT_COLUMN, message).with_help(misspelt_help(meant));
                    row.tell(problem, Some(name), Some(spot));
                }
                // The API's own `comments` are a list.
                Role::Synonym(place) if value.get().starts_with('"') && !is_empty(value) => {
                    if !roles.contains(&Role::Property(place)) {
                        let problem = Problem::new(&codes::NOT_SENT, not_sent(&truncate(name, 40)));
                        let help = not_sent_help(self.contract.properties[place].name);
                        row.tell(problem.with_help(help).counted(), Some(name), Some(spot));
                    }
                }
                Role::SentinelProviderId if roles.contains(&Role::Id) => {
                    let problem = Problem::new(&codes::COLUMN_TWICE, two_ids(&truncate(name, 40)));
                    row.tell(problem, Some(name), Some(spot));
                }
                Role::Carried | Role::Synonym(_) | Role::SentinelNumber | Role::SentinelProviderId => {}
                Role::Id => row.read_id_member(value.get(), spot),
                Role::GivesWay(place) => row.slots[place].is_overridden = !is_empty(value),
                Role::Property(place) => {
                    let asked = self.contract.read_member(place, value, row.arena, &mut row.problems);
                    self.tell_of(place, &spot, row);
                    row.fill(place, asked, spot);
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
            row.tell(Problem::new(&codes::ID_MISSING, message).with_help(help), Some(INCIDENT_ID), None);
            row.id_was_told = true;
        }
        row.end();
    }

    /// Whether the row of a results file is wanted.
    fn read_outcome(&self, outcome: &str, spot: Range<usize>, row: &mut ParsedRow<'_>) -> bool {
        let Ok(outcome) = outcome.parse::<OutcomeKind>() else {
            let message = format!("`{}` is not an outcome", truncate(outcome, 40));
            row.tell(Problem::new(&codes::RESULTS_LINE, message), Some("outcome"), Some(spot));
            return false;
        };
        row.is_skipped = !self.only.map_or(!outcome.is_done(), |only| only.contains(&outcome));
        !row.is_skipped
    }
}

impl<'r> ParsedRow<'r> {
    fn read_id_member(&mut self, raw: &'r str, spot: Range<usize>) {
        match raw.as_bytes() {
            b"null" | b"\"\"" => self.id_spot = Some(spot),
            [b'"', ..] => match serde_json::from_str::<Text<'r>>(raw) {
                Ok(Text(text)) => self.read_id(kept(text, self.arena), spot),
                Err(_) => self.read_id(raw, spot),
            },
            [b'-' | b'0'..=b'9', ..] => self.read_id(raw, spot),
            _ => {
                let message = format!("`{INCIDENT_ID}` is {}, not a number", json_type(raw));
                self.tell(Problem::new(&codes::WRONG_TYPE, message), Some(INCIDENT_ID), Some(spot));
                self.id_was_told = true;
            }
        }
    }

    fn tell_line(&mut self, error: LineError, line: &str) {
        let (code, message, spot) = match error {
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
        self.tell(Problem::new(code, message), None, spot);
    }
}

/// The input's own part of a results record, which may be wrong in any way: as it stands there, or written again where
/// a cell was shielded. A record with fewer than the ten cells is none of ours, and stays whole.
pub(super) fn own_cells(record: &[u8], delimiter: u8, cells: &mut Vec<Cell>) -> SourceSpan {
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

/// Where a part that was borrowed from a record stands in it.
fn place_of(record: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(record.as_ptr() as usize)?;
    (start + part.len() <= record.len()).then(|| start..start + part.len())
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
