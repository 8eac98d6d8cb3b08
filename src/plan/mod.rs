//! Plans: files with the exact changes of a run, which people review and `apply` sends.
//!
//! A plan is JSONL: a header, one line per row with the edits of its change, and a checksum of everything before it. The
//! checksum reveals a plan that was modified or truncated. It is not a signature: anyone who can write the file can compute
//! it. Format 1 had the request's body instead of the edits.
//!
//! Promises: memory does not grow with the size of a plan. Trust a plan only after [`read`] has verified its checksum. A
//! plan is input: its rows are checked like those of an input file, its contract like a user's contract.

mod row_rules;
mod stored;

pub use row_rules::check_edits;
pub use stored::decode;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, BufRead, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};

use crate::contract::Contract;
use crate::input::InputShape;
use crate::model::change::{Change, IncidentId, ResolvedChange};
use crate::model::edit::{Edits, Never};
use crate::model::outcome::{Outcome, OutcomeKind, RowCode};
use crate::model::snapshot::Snapshot;
use crate::text::truncate;
use row_rules::SHOWN;

/// The format that is written; earlier ones are read.
const FORMAT: u32 = 2;
/// The last format whose changes are request bodies.
const FORMAT_OF_BODIES: u32 = 1;
/// The start of every plan.
const MARK: &[u8] = b"{\"plan\":";
/// The start of its last line.
const CHECKSUM: &str = "{\"seal\":\"sha256:";
/// The longest line of a plan, in bytes. A row has at most 1 MiB, and its line contains it about twice.
const LONGEST_LINE: u64 = 16 << 20;

/// The header of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format's version.
    pub plan: u32,
    /// The time of its creation, as RFC 3339.
    pub made_at: String,
    /// A random value, which distinguishes plans with the same changes from the same second. Empty in older plans.
    #[serde(default)]
    pub random: String,
    /// The API's origin.
    pub origin: String,
    /// The tenant key, if it was known.
    pub scope: Option<String>,
    /// The contract's name.
    pub contract: String,
    /// The complete contract as TOML.
    pub rules: String,
    /// The input, as it was named.
    pub input: String,
    /// The format of the input, for the results.
    pub shape: InputShape,
    /// A hash of the changes in their order, in hexadecimal digits.
    pub digest: String,
    /// The number of rows.
    pub rows: u64,
    /// Whether the incidents were read.
    pub compared: bool,
    /// The options that affect the changes, as they were typed.
    pub options: Vec<String>,
}

impl Header {
    /// A header of the current format; all other fields are empty.
    #[must_use]
    pub fn new(made_at: Timestamp, shape: InputShape) -> Header {
        Header {
            plan: FORMAT,
            made_at: format!("{made_at:.0}"),
            random: random(),
            origin: String::new(),
            scope: None,
            contract: String::new(),
            rules: String::new(),
            input: String::new(),
            shape,
            digest: String::new(),
            rows: 0,
            compared: false,
            options: Vec::new(),
        }
    }
}

/// 64 random bits: the hasher is seeded by the operating system.
fn random() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// A row of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRow {
    /// The row's number, counted from 1.
    pub row: u64,
    /// The line of the input on which the row begins, counted from 1.
    pub line: u64,
    /// The incident's ID, or the raw cell.
    pub incident: String,
    /// The change to send, perhaps to the incident into which this one was merged; or the outcome without sending.
    pub change: Result<ResolvedChange, Outcome>,
    /// The incident when the plan was created.
    pub before: Option<Snapshot>,
    /// The original bytes of the row.
    pub source: Vec<u8>,
}

/// The line of a row.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "`line` is the input's word, and the plan's")]
struct Line {
    row: u64,
    line: u64,
    incident: String,
    /// The incident to update, into which `incident` was merged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    target: Option<IncidentId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    change: Option<Box<RawValue>>,
    /// Only in format 1: whether the body adds a comment.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    appends: bool,
    #[serde(skip_serializing_if = "Option::is_none", default, rename = "ends")]
    skipped: Option<SkippedRow>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    before: Option<Snapshot>,
    source: Source,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SkippedRow {
    outcome: OutcomeKind,
    code: RowCode,
    message: String,
}

/// Text, or bytes that are not UTF-8.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Source {
    Text(String),
    Bytes(Vec<u8>),
}

/// Why a file is not a plan that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It can't be read.
    #[error("cannot read the plan: {0}")]
    Io(#[from] io::Error),
    /// It is a different file.
    #[error("it is not a plan: `bulk-triage plan` creates one")]
    NoPlan,
    /// It was written by a newer version of this program.
    #[error("the plan has format {found}, and this program knows format {FORMAT}: use a newer bulk-triage")]
    Newer {
        /// The plan's format.
        found: u32,
    },
    /// It was replaced by a different plan after it was verified.
    #[error("the plan was replaced while it was read")]
    Exchanged,
    /// It was modified after it was written.
    #[error("the plan was modified or truncated: {what}")]
    Altered {
        /// The evidence.
        what: String,
    },
}

fn altered(what: impl Into<String>) -> PlanError {
    PlanError::Altered { what: what.into() }
}

/// Whether a file with this start is a plan, perhaps a damaged one.
#[must_use]
pub fn is_plan(start: &[u8]) -> bool {
    start.starts_with(MARK)
}

/// Writes a plan. Returns its checksum.
///
/// # Errors
/// If `out` fails (converted by `failed`), or `rows` yields an error.
pub fn write<E>(
    mut out: impl Write,
    header: &Header,
    rows: impl Iterator<Item = Result<PlanRow, E>>,
    failed: impl Fn(io::Error) -> E,
) -> Result<String, E> {
    let mut hasher = Sha256::new();
    let mut add = |mut line: Vec<u8>| {
        line.push(b'\n');
        hasher.update(&line);
        out.write_all(&line)
    };
    let text = |line: serde_json::Result<Vec<u8>>| line.map_err(io::Error::from);
    text(serde_json::to_vec(header)).and_then(&mut add).map_err(&failed)?;
    for row in rows {
        line_of(row?).and_then(|line| add(text(serde_json::to_vec(&line))?)).map_err(&failed)?;
    }
    let checksum = digits(&hasher.finalize());
    writeln!(out, "{CHECKSUM}{checksum}\"}}").map_err(failed)?;
    Ok(checksum)
}

/// The start of a checksum, for people to compare.
#[must_use]
pub fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}

/// Bytes in hexadecimal digits.
#[must_use]
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn line_of(row: PlanRow) -> io::Result<Line> {
    let target = row.change.as_ref().ok().map(|change| change.incident);
    let target = target.filter(|target| target.to_string() != row.incident);
    let (change, skipped) = match row.change {
        Ok(change) => (Some(to_raw_value(&change.edits)?), None),
        Err(Outcome { kind, code, message, .. }) => (None, Some(SkippedRow { outcome: kind, code, message })),
    };
    let source = String::from_utf8(row.source).map_or_else(|error| Source::Bytes(error.into_bytes()), Source::Text);
    let PlanRow { row, line, incident, before, .. } = row;
    Ok(Line { row, line, incident, target, change, appends: false, skipped, before, source })
}

/// A plan with a verified checksum, without its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The plan's header.
    pub header: Header,
    /// The contract in the header, parsed.
    pub contract: Contract,
    /// The verified checksum.
    pub checksum: String,
}

/// Reads a plan and passes its rows to `take`. Discard the rows if this fails.
///
/// # Errors
/// If it is not a plan, was modified, has an invalid row, or if `take` fails.
pub fn read<E: From<PlanError>>(
    plan: impl BufRead,
    mut take: impl FnMut(PlanRow) -> Result<(), E>,
) -> Result<Verified, E> {
    let mut lines = Lines { plan, hasher: Sha256::new() };
    let first = lines.next()?.filter(|line| is_plan(line)).ok_or(PlanError::NoPlan)?;
    let (header, contract) = header_of(&first)?;
    lines.hasher.update(&first);
    let (mut rows, mut last_row) = (0, 0);
    loop {
        let line = lines.next()?.ok_or_else(|| altered("no checksum at its end"))?;
        if line.starts_with(CHECKSUM.as_bytes()) {
            let checksum = digits(&lines.hasher.clone().finalize());
            if line != format!("{CHECKSUM}{checksum}\"}}\n").as_bytes() {
                return Err(altered("checksum mismatch").into());
            }
            if lines.next()?.is_some() || rows != header.rows {
                return Err(altered("the number of lines differs").into());
            }
            return Ok(Verified { header, contract, checksum });
        }
        rows += 1;
        lines.hasher.update(&line);
        let wrong = |what: String| altered(format!("line {}: {what}", rows + 1));
        let row = row_of(&line, header.plan, &contract).map_err(wrong)?;
        if row.row <= last_row {
            return Err(wrong(format!("row {} comes after row {last_row}", row.row)).into());
        }
        last_row = row.row;
        take(row)?;
    }
}

/// The options that affect the changes: only these are stored in a plan, and repeated in suggested commands.
pub const OPTIONS: [&str; 5] = ["--contract", "--set", "--comment-as", "--limit", "--only"];

fn header_of(line: &[u8]) -> Result<(Header, Contract), PlanError> {
    #[derive(Deserialize)]
    struct Format {
        plan: u32,
    }
    let wrong = |what: String| altered(format!("line 1: {what}"));
    let format: Format = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
    if format.plan > FORMAT {
        return Err(PlanError::Newer { found: format.plan });
    }
    let header: Header = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
    let contract = Contract::from_toml(&header.rules).map_err(wrong)?;
    contract.expect_extension().map_err(wrong)?;
    if contract.name != header.contract {
        return Err(wrong(format!(
            "the contract is `{}`, and its rules are those of `{}`",
            header.contract, contract.name
        )));
    }
    let is_known = |option: &[String]| matches!(option, [name, _] if OPTIONS.contains(&name.as_str()));
    if !header.options.chunks(2).all(is_known) {
        return Err(wrong("it has options that do not affect the changes".to_owned()));
    }
    Ok((header, contract))
}

fn row_of(line: &[u8], format: u32, contract: &Contract) -> Result<PlanRow, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    for (name, number) in [("row", line.row), ("line", line.line)] {
        if !(1..=IncidentId::MAX).contains(&number) {
            return Err(format!("`{name}` is {number}: the largest number is {}", IncidentId::MAX));
        }
    }
    let change = match (line.change, line.skipped) {
        (Some(change), None) => {
            // `plan` writes neither `+7` nor `07`.
            let own = line.incident.parse().ok().and_then(IncidentId::new);
            let own = own.filter(|own| own.to_string() == line.incident).ok_or("the incident is not a number")?;
            let incident = line.target.unwrap_or(own);
            let edits = if format > FORMAT_OF_BODIES {
                edits_of(change.get(), line.appends)?
            } else {
                decode(change.get(), line.appends)?.resolved().ok_or("a list edit is not a complete list")?
            };
            check_edits(contract, &edits)?;
            Ok(Change { incident, edits })
        }
        (None, Some(skipped)) => match skipped.outcome {
            OutcomeKind::Invalid | OutcomeKind::Unchanged | OutcomeKind::Failed => {
                Err(Outcome::new(skipped.outcome, skipped.code, skipped.message))
            }
            other => return Err(format!("only a row that was sent has the outcome {other}")),
        },
        _ => return Err("the row has a change and an outcome, or neither".to_owned()),
    };
    let source = match line.source {
        Source::Text(text) => text.into_bytes(),
        Source::Bytes(bytes) => bytes,
    };
    Ok(PlanRow { row: line.row, line: line.line, incident: line.incident, change, before: line.before, source })
}

/// The edits of a row's change.
fn edits_of(change: &str, appends: bool) -> Result<Edits<Never>, String> {
    if appends {
        return Err(format!("`appends` belongs to format {FORMAT_OF_BODIES}"));
    }
    serde_json::from_str(change).map_err(|error| format!("the change {} is invalid: {error}", truncate(change, SHOWN)))
}

/// The lines of a plan, with their line ends.
struct Lines<R> {
    plan: R,
    hasher: Sha256,
}

impl<R: BufRead> Lines<R> {
    /// `None` at the end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, PlanError> {
        let mut line = Vec::new();
        let read = io::Read::take(&mut self.plan, LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
            return Err(altered("a line is longer than any line of a plan"));
        }
        Ok((read > 0).then_some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Read as _;

    fn rows() -> Vec<PlanRow> {
        let change = |id, body: &str| Change {
            incident: IncidentId::new(id).expect("an id"),
            edits: decode(body, body.contains("comment")).expect("a body").resolved().expect("complete lists"),
        };
        let before = serde_json::from_value::<Snapshot>(json!({"there": {"values": {"status": "Active", "tags": []}}}));
        let row = |row, change: Result<ResolvedChange, Outcome>, source: &[u8]| PlanRow {
            row,
            line: row + 1,
            incident: change.as_ref().map_or("x".to_owned(), |change| change.incident.to_string()),
            change,
            before: None,
            source: source.to_vec(),
        };
        vec![
            PlanRow {
                before: Some(before.expect("valid")),
                ..row(1, Ok(change(7, r#"{"status":"Resolved","comment":"ö \"x\" \u001b"}"#)), b"7,Resolved")
            },
            row(2, Err(Outcome::new(OutcomeKind::Invalid, "id", "not a number")), b"x,\xff"),
            row(3, Ok(change(u64::MAX >> 1, r#"{"tags":[]}"#)), "9,<clear>\u{2028}".as_bytes()),
        ]
    }

    #[test]
    fn unterminated_line_is_refused() {
        let endless = MARK.chain(io::repeat(b'1'));
        let refused = read(io::BufReader::new(endless), |_| Ok::<_, PlanError>(())).expect_err("has no end");
        assert!(refused.to_string().contains("longer than any"), "{refused}");
    }

    /// Short, since each of its bits is flipped.
    fn rules() -> String {
        let mut contract = crate::contract::load("defender").expect("built in");
        contract.name = "ours".to_owned();
        contract.title.clear();
        contract.context.clear();
        contract.dependencies.clear();
        contract.properties.retain(|property| ["status", "tags", "comment"].contains(&&*property.name));
        let crate::contract::PropertyKind::Choice(choices) = &mut contract.properties[0].kind else {
            panic!("a choice")
        };
        choices.retain(|choice| choice.value == "Resolved");
        contract.to_toml()
    }

    fn plan() -> Vec<u8> {
        let made_at = "2026-11-25T10:00:00Z".parse().expect("a time");
        let header = Header {
            origin: "https://a.example".to_owned(),
            scope: Some("tenant:t".to_owned()),
            contract: "ours".to_owned(),
            rules: rules(),
            rows: 3,
            ..Header::new(made_at, InputShape::Jsonl { bom: false })
        };
        let mut out = Vec::new();
        write(&mut out, &header, rows().into_iter().map(Ok), |error| error).expect("a Vec takes all");
        out
    }

    fn read_all(plan: &[u8]) -> Result<Vec<PlanRow>, PlanError> {
        let mut rows = Vec::new();
        read(plan, |row| {
            rows.push(row);
            Ok::<_, PlanError>(())
        })?;
        Ok(rows)
    }

    #[test]
    fn written_plan_is_read_back() {
        assert_eq!(read_all(&plan()).expect("as it was written"), rows());
    }

    /// Written by a revision whose contracts had no operations.
    #[test]
    fn plan_of_format_1_is_read() {
        let rows = read_all(include_bytes!("../../tests/stored/plan-format-1.jsonl")).expect("as it was written");
        let edits: Vec<_> = rows.iter().map(|row| row.change.as_ref().ok().map(|change| json!(change.edits))).collect();
        let comment = |text: &str| json!({"property": "comment", "edit": {"append": text}});
        let first = json!([
            {"property": "status", "edit": {"set": "Resolved"}},
            {"property": "tags", "edit": {"set": ["a", "b"]}},
            comment("Tuned ö \"x\" done"),
        ]);
        let second = json!([{"property": "assignedTo", "edit": {"clear": "text"}}, {"property": "tags", "edit": {"clear": "list"}}]);
        assert_eq!(edits, [Some(first), Some(second), None, Some(json!([comment("one")]))]);
        assert_eq!(rows[0].source, b"1,Resolved,,a; b,\"Tuned \xc3\xb6 \"\"x\"\" done\"");
    }

    #[test]
    fn any_altered_byte_is_detected() {
        let whole = plan();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut other = whole.clone();
                other[at] ^= 1 << bit;
                assert!(read_all(&other).is_err(), "bit {bit} of byte {at}");
            }
            assert!(read_all(&whole[..at]).is_err(), "cut at {at}");
        }
        for more in [&b"\n"[..], b"x", b"{}\n"] {
            assert!(read_all(&[&whole, more].concat()).is_err());
        }
        let newer = String::from_utf8(whole).expect("text").replacen("{\"plan\":2", "{\"plan\":3", 1);
        assert!(matches!(read_all(newer.as_bytes()), Err(PlanError::Newer { found: 3 })));
        assert!(matches!(read_all(b"incidentId\n7\n"), Err(PlanError::NoPlan)));
    }
}
