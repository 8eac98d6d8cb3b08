//! A whole check of some bytes, with all that it told; and what holds for every one.

use std::io::Cursor;
use std::sync::LazyLock;

use bulk_triage::check::{CheckStats, CheckedRow, NoChange, PropertyOverride, Rules, check};
use bulk_triage::contract::{Contract, load};
use bulk_triage::input::InputShape;
use bulk_triage::input::{FileKind, Input, InputError};
use bulk_triage::model::diagnostic::{Diagnostic, Severity};
use bulk_triage::model::outcome::OutcomeKind;
use bulk_triage::report::diagnostics::{HumanDiagnostics, JsonDiagnostics};
use bulk_triage::text::printable;
use serde_json::{Map, Value};

use super::assert_safe_to_print;

pub(super) static CONTRACT: LazyLock<Contract> = LazyLock::new(|| load("defender").expect("built in"));

/// How an input is checked.
pub(super) struct Check<'a> {
    pub(super) contract: &'a Contract,
    pub(super) set: &'a [PropertyOverride],
    pub(super) chunk_size: usize,
}

/// What a check gave.
#[derive(Debug, PartialEq)]
pub(super) struct Checked {
    pub(super) rows: Vec<CheckedRow>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// What the file is, where it could be opened.
    pub(super) file: Option<(InputShape, FileKind)>,
    /// Its end: what was counted, or the errors of the whole file.
    pub(super) end: Result<Counted, Vec<Diagnostic>>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) rows: u64,
    valid: u64,
    skipped: u64,
}

impl Check<'static> {
    pub(super) fn plain() -> Check<'static> {
        Check { contract: &CONTRACT, set: &[], chunk_size: 128 * 1024 }
    }
}

impl Check<'_> {
    /// Checks `bytes` as the file `name`, and holds what comes of it to what holds always.
    pub(super) fn of(&self, name: &str, bytes: &[u8]) -> Checked {
        let mut checked = Checked { rows: Vec::new(), diagnostics: Vec::new(), file: None, end: Err(Vec::new()) };
        match self.run(name, bytes, &mut checked) {
            Ok(tally) => {
                let errors = checked.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
                assert_eq!(tally.errors.values().sum::<u64>(), errors as u64);
                assert_eq!(tally.rows, tally.skipped + checked.rows.len() as u64);
                checked.end = Ok(Counted { rows: tally.rows, valid: tally.valid, skipped: tally.skipped });
            }
            Err(error) => {
                assert_safe_to_print(&error.to_string());
                let InputError::Invalid(found) = error else { panic!("memory can be read: {error}") };
                assert!(!found.is_empty());
                checked.end = Err(found);
            }
        }
        checked.assert_sound(self.contract);
        checked
    }

    fn run(&self, name: &str, bytes: &[u8], checked: &mut Checked) -> Result<CheckStats, InputError> {
        let input = Input::in_chunks(name, Box::new(Cursor::new(bytes.to_vec())), self.chunk_size)?;
        checked.file = Some((input.shape().clone(), input.origin()));
        // Of a results file, all rows.
        let only = input.origin().is_results.then_some(&OutcomeKind::ALL[..]);
        let rules = Rules { set: self.set, only, ..Rules::new(self.contract) };
        let Checked { rows, diagnostics, .. } = checked;
        let mut take = |batch: Vec<CheckedRow>| {
            rows.extend(batch);
            Ok(())
        };
        check(input, &rules, Some(&mut take), &mut |found| diagnostics.push(found))
    }
}

impl Checked {
    /// The bodies that would be sent, and the codes of rows that would not.
    pub(super) fn verdicts(&self) -> Vec<Result<String, &'static str>> {
        let verdicts = self.rows.iter().map(|row| row.verdict.as_ref());
        verdicts.map(|verdict| verdict.map(|change| change.edits.to_json()).map_err(NoChange::code)).collect()
    }

    fn assert_sound(&self, contract: &Contract) {
        assert!(self.rows.is_sorted_by(|one, next| one.row < next.row && one.line < next.line));
        for row in &self.rows {
            match &row.verdict {
                Ok(change) => {
                    assert_eq!(row.incident_id, change.incident.to_string());
                    assert_body(&change.edits.to_json(), contract);
                }
                Err(NoChange::NothingAsked) => {
                    assert!(self.file.as_ref().is_some_and(|(_, origin)| origin.is_fetched), "row {}", row.row);
                }
                Err(NoChange::Invalid(error)) => {
                    let is_told = |found: &Diagnostic| {
                        (found.row, found.code, found.severity) == (Some(row.row), error.code, Severity::Error)
                    };
                    assert!(self.diagnostics.iter().any(is_told), "{error:?} of row {} was not told", row.row);
                    assert_safe_to_print(&printable(&error.message));
                }
            }
        }
        let of_file = self.end.as_ref().err().into_iter().flatten();
        assert_printed(&self.diagnostics.iter().chain(of_file).collect::<Vec<_>>());
    }
}

/// A body is an object of the contract's properties, in its order and without white space.
fn assert_body(body: &str, contract: &Contract) {
    let object: Map<String, Value> = serde_json::from_str(body).expect("a body is a JSON object");
    assert_eq!(Value::Object(object.clone()).to_string(), body, "a body has no white space");
    let mut known = contract.properties.iter().map(|property| property.name.as_str());
    assert!(!object.is_empty() && object.keys().all(|name| known.any(|known| known == name)), "{body}");
}

fn assert_printed(diagnostics: &[&Diagnostic]) {
    let mut human = HumanDiagnostics::new(Vec::new(), false);
    let mut json = JsonDiagnostics::new(Vec::new()).expect("memory");
    for diagnostic in diagnostics {
        human.add(diagnostic);
        json.add(diagnostic).expect("memory");
    }
    assert_safe_to_print(&String::from_utf8(human.finish().expect("memory")).expect("text"));
    let json = String::from_utf8(json.finish(None, None).expect("memory")).expect("text");
    assert_safe_to_print(&json);
    let read: Value = serde_json::from_str(&json).expect("diagnostics are JSON");
    assert_eq!(read["diagnostics"].as_array().map(Vec::len), Some(diagnostics.len()));
}
