//! Whole inputs: diagnostics, changes and recorded rows.

mod export_artifacts;
mod graph;

use std::io::{self, Cursor};

use super::*;
use crate::contract::load;
use crate::input::{Input, InputError};
use crate::model::diagnostic::Diagnostic;
use crate::model::outcome::RESULT_COLUMNS;

/// The result of a check: statistics, rows of the run, diagnostics.
struct Found {
    stats: CheckStats,
    rows: Vec<CheckedRow>,
    diagnostics: Vec<Diagnostic>,
}

impl Found {
    fn codes(&self) -> Vec<(u64, &'static str)> {
        self.diagnostics.iter().map(|found| (found.row.unwrap_or(0), found.code)).collect()
    }

    fn bodies(&self) -> Vec<String> {
        let body = |row: &CheckedRow| match &row.verdict {
            Ok(change) => change.edits.to_json(),
            Err(none) => none.code().to_owned(),
        };
        self.rows.iter().map(body).collect()
    }
}

struct Check<'t> {
    name: &'t str,
    contract: &'t str,
    set: &'t [&'t str],
    limit: Option<u64>,
    only: Option<&'t [OutcomeKind]>,
    comment_resolves: bool,
    chunk_size: usize,
}

const CSV: Check<'_> = Check {
    name: "f.csv",
    contract: "defender-classic",
    set: &[],
    limit: None,
    only: None,
    comment_resolves: false,
    chunk_size: 50,
};
const JSONL: Check<'_> = Check { name: "f.jsonl", ..CSV };

impl Check<'_> {
    fn try_of(&self, text: impl Into<Vec<u8>>) -> Result<Found, InputError> {
        let contract = load(self.contract).expect("built in");
        let set: Vec<_> =
            self.set.iter().map(|set| PropertyOverride::parse(set, &contract).expect("a sound --set")).collect();
        let Check { limit, only, comment_resolves, .. } = *self;
        let rules = Rules { contract: &contract, set: &set, limit, only, comment_resolves };
        let input = Input::in_chunks(self.name, Box::new(Cursor::new(text.into())), self.chunk_size)?;
        let (mut rows, mut diagnostics) = (Vec::new(), Vec::new());
        let mut take = |batch: Vec<CheckedRow>| {
            rows.extend(batch);
            Ok(())
        };
        let stats = check(input, &rules, Some(&mut take), &mut |found| diagnostics.push(found))?;
        Ok(Found { stats, rows, diagnostics })
    }

    fn of(&self, text: impl Into<Vec<u8>>) -> Found {
        self.try_of(text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The code of the error of the whole file.
    fn refusal(&self, text: impl Into<Vec<u8>>) -> &'static str {
        match self.try_of(text) {
            Err(InputError::Invalid(found)) => found[0].code,
            Err(error) => panic!("{error}"),
            Ok(found) => panic!("{:?}", found.codes()),
        }
    }

    /// The code of the only row; empty if it is valid.
    fn code(&self, text: impl Into<Vec<u8>>) -> &'static str {
        let found = self.of(text);
        assert!(found.diagnostics.len() <= 1, "{:?}", found.codes());
        found.diagnostics.first().map_or("", |found| found.code)
    }
}

#[test]
fn values_take_api_spelling_texts_stay_exact() {
    let found = CSV.of("Incident_ID;STATUS;assigned to;Classification;determination;tags;comment;mine\n\
         7; resolved ;;False positive;;\" a ; b;\";\" x \"\"é\u{202e}\\\n\";=1\n\
         8;;<clear>;True positive;security test;\"[\"\"+a;b\"\",\"\" c\"\"]\";;\n");
    assert_eq!(
        found.bodies(),
        [
            "{\"status\":\"Resolved\",\"classification\":\"FalsePositive\",\"tags\":[\"a\",\"b\"],\
             \"comment\":\" x \\\"é\u{202e}\\\\\\n\"}",
            "{\"assignedTo\":\"\",\"classification\":\"TruePositive\",\"determination\":\"SecurityTesting\",\
             \"tags\":[\"+a;b\",\" c\"]}",
        ]
    );
    assert_eq!((found.rows[1].row, found.rows[1].line, found.rows[1].incident_id.as_str()), (2, 4, "8"));
    assert!(found.rows[0].source.starts_with(b"7; resolved ;;False"));
    let changes = found.rows.iter().map(|row| row.verdict.as_ref());
    let adds: Vec<_> = changes.map(|change| change.map(|change| change.edits.added().is_some())).collect();
    assert_eq!(adds, [Ok(true), Ok(false)]);
}

#[test]
fn jsonl_and_csv_give_equal_changes() {
    let found = JSONL.of(
        "{\"incidentId\":7,\"status\":\"RESOLVED\",\"comment\":\"a\\u0007b\",\"tags\":null,\"x\":{\"add\":1}}\n\n\
         {\"incident id\":\"8\",\"tags\":[\"+a\",\"b;c\"],\"assignedTo\":\"\"}\r\n\
         {\"incidentId\":9,\"tags\":\"<clear>\"}",
    );
    assert_eq!(
        found.bodies(),
        ["{\"status\":\"Resolved\",\"comment\":\"a\\u0007b\"}", "{\"tags\":[\"+a\",\"b;c\"]}", "{\"tags\":[]}"]
    );
    assert_eq!(found.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3, 4]);
}

#[test]
fn every_mistake_in_csv_has_its_code() {
    for (row, code) in [
        ("1,Active,,,,,", ""),
        ("9223372036854775807,Active,,,,,", ""),
        (" 1 ,Active,,,,,", ""),
        (",Active,,,,,", "id-missing"),
        ("  ,Active,,,,,", "id-missing"),
        ("0,Active,,,,,", "id-invalid"),
        ("01,Active,,,,,", "id-invalid"),
        ("+1,Active,,,,,", "id-invalid"),
        ("1.0,Active,,,,,", "id-invalid"),
        ("1e3,Active,,,,,", "id-invalid"),
        ("9223372036854775808,Active,,,,,", "id-invalid"),
        ("99999999999999999999999,Active,,,,,", "id-invalid"),
        ("1/2,Active,,,,,", "id-invalid"),
        ("١,Active,,,,,", "id-invalid"),
        ("1,,,,,,", "nothing-to-set"),
        ("1, ,,,,,", "nothing-to-set"),
        ("1,InProgress,,,,,", "unknown-value"),
        ("1,<clear>,,,,,", "cannot-clear"),
        ("1,,<CLEAR>,,,,", ""),
        ("1,,a ,,,,", "space-around"),
        ("1,,,FalsePositive,Malware,,", "values-disagree"),
        ("1,,,,Malware,,", "value-missing"),
        ("1,,,TruePositive,Malware,,", ""),
        ("1,,,,,+a,", ""),
        ("1,,,,,+ a ; -b ;,", ""),
        ("1,,,,,a;-b,", "tag-change"),
        ("1,,,,,+a;-b;-a,", "tag-change"),
        ("1,,,,,+a; - ,", "empty-list"),
        ("1,,,,,{},", "empty-list"),
        ("1,,,,,{a},", "tags-not-json"),
        ("1,,,,,\"{\"\"add\"\":[\"\"a;b\"\"]}\",", ""),
        ("1,,,,,;,", "empty-list"),
        ("1,,,,,[],", "empty-list"),
        ("1,,,,,[1],", "tags-not-json"),
        ("1,,,,,a;<clear>,", "cannot-clear"),
        ("1,,,,,\"a, b\",", "comma-in-tag"),
        ("1,,,,,+a;-System.String[],", ""),
        ("1,,,,,+System.String[],", "placeholder-value"),
        ("'1,Active,,,,,", ""),
        ("https://security.microsoft.com/incidents/1,Active,,,,,", "id-invalid"),
        ("1,Redirected,,,,,", "doubtful-value"),
        ("1,,,,,<clear>,", ""),
        ("1,,,,,,  ", "blank-comment"),
        ("1,,,,,,x ", "space-around"),
        ("1,,,,,,\u{a0}x", "space-around"),
        ("1,,,,,,\"a\nb\tc\"", ""),
        ("1,,,,,,a\u{7}b", "control-character"),
        ("1,,,,,,a\u{7f}b", "control-character"),
        ("1,,,,,,a\u{85}b", "control-character"),
        ("1,,,,,,<clear>", "cannot-clear"),
        ("1,Active", "too-few-cells"),
        ("1,Active,,,,,,", "too-many-cells"),
        ("1,Active,,,,,a\rb", "bare-cr"),
        ("1,Active,,,,,\"a\rb\"", ""),
        ("1,Active,,,,,a\0b", "nul-byte"),
    ] {
        let header = "incidentId,status,assignedTo,classification,determination,tags,comment\n";
        assert_eq!(CSV.code(format!("{header}{row}\n")), code, "{row}");
    }
}

#[test]
fn every_mistake_in_jsonl_has_its_code() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for (line, code) in [
        ("[1]", "not-an-object"),
        (deep.as_str(), "not-an-object"),
        ("{\"incidentId\":1,", "json-syntax"),
        ("{\"incidentId\":1,\"status\":\"Active\"} x", "json-syntax"),
        ("{\"incidentId\":1,\"x\":1,\"x\":2,\"status\":\"Active\"}", "member-twice"),
        ("{\"incidentId\":1,\"incident_id\":1,\"status\":\"Active\"}", "column-twice"),
        ("{\"incidentId\":1.0,\"status\":\"Active\"}", "id-invalid"),
        ("{\"incidentId\":1e3,\"status\":\"Active\"}", "id-invalid"),
        ("{\"incidentId\":-1,\"status\":\"Active\"}", "id-invalid"),
        ("{\"incidentId\":true,\"status\":\"Active\"}", "wrong-type"),
        ("{\"incidentId\":null,\"status\":\"Active\"}", "id-missing"),
        ("{\"status\":\"Active\"}", "id-missing"),
        ("{\"incidentId\":1,\"status\":7}", "wrong-type"),
        ("{\"incidentId\":1,\"tags\":\"a; b\"}", "wrong-type"),
        ("{\"incidentId\":1,\"tags\":[\"a\",1]}", "tags-not-json"),
        ("{\"incidentId\":1,\"tags\":[]}", "empty-list"),
        ("{\"incidentId\":1,\"tags\":[\"a, b\"]}", "comma-in-tag"),
        ("{\"incidentId\":1,\"tags\":[\"None\"]}", "placeholder-value"),
        ("{\"incidentId\":1,\"tags\":{\"add\":[\"-\"]}}", "placeholder-value"),
        ("{\"incidentId\":1,\"Incident name\":\"x\",\"Incident Id\":1}", "portal-needs-set"),
        ("{\"incidentId\":1,\"status\":\"Active\",\"comments\":[{\"comment\":\"x\"}]}", ""),
        ("{\"incidentId\":1,\"status\":\"Active\",\"Owner\":\"x\"}", "not-sent"),
        ("{\"incidentId\":1,\"status\":\"Active\",\"assignedTo\":\"y\",\"Owner\":\"x\"}", ""),
        ("{\"incidentId\":1,\"ProviderIncidentId\":2,\"status\":\"Active\"}", "column-twice"),
        ("{\"IncidentNumber\":1,\"status\":\"Active\"}", "id-missing"),
        ("{\"incidentId\":null,\"status\":\"\"}", ""),
        ("{}", ""),
        ("{\"incidentId\":1,\"tags\":[\"\"]}", "empty-list"),
        ("{\"incidentId\":1,\"tags\":{\"add\":[\"a\"]}}", ""),
        ("{\"incidentId\":1,\"tags\":{\"add\":[\"a\"],\"remove\":[\"a\"]}}", "tag-change"),
        ("{\"incidentId\":1,\"tags\":{\"add\":[],\"remove\":[\" \"]}}", "empty-list"),
        ("{\"incidentId\":1,\"tags\":{\"adds\":[\"a\"]}}", "tags-not-json"),
        ("{\"incidentId\":1,\"statsu\":\"Active\",\"comment\":\"x\"}", "misspelt-column"),
        ("{\"incidentId\":1,\"comment\":\"\\ud800\"}", "json-syntax"),
        ("{\"incidentId\":1,\"status\":null}", "nothing-to-set"),
        ("{\"incidentId\":1,\"comment\":\"x\0\"}", "nul-byte"),
    ] {
        let text = format!("{{\"incidentId\":99,\"status\":\"Active\"}}\n{line}\n");
        assert_eq!(JSONL.code(text), code, "{}", &line[..line.len().min(80)]);
    }
    for index in ["tags", "comment", "x"] {
        let line = format!("{{\"incidentId\":1,\"status\":\"Active\",\"{index}\":{deep}}}");
        assert!(JSONL.of(line).stats.rows == 1);
    }
}

#[test]
fn file_error_ends_the_check() {
    for (text, code) in [
        ("id,status\n1,Active\n", "no-id-column"),
        ("incidentId,clasification\n1,x\n", "misspelt-column"),
        ("incidentId,comments\n1,x\n", "no-property-column"),
        ("incidentId,status,Status\n1,,\n", "column-twice"),
        ("incidentId,notes\n1,x\n", "no-property-column"),
        ("Incident name,Incident Id\nx,1\n", "portal-needs-set"),
        ("incidentId,status\n1,Active\n2,\"x\n", "unclosed-quote"),
        ("incidentId,status\n1,\"x\"y\n", "text-after-quote"),
    ] {
        assert_eq!(CSV.refusal(text), code, "{text}");
    }
    // Ignored columns: unlike every name, or too short to compare.
    assert_eq!(CSV.of("incidentId,status,tag,severity,incidentName\n1,Active,,,\n").codes(), []);
    assert_eq!(CSV.of("incidentId,status\n").stats.rows, 0);
}

#[test]
fn invalid_utf8_is_an_error_of_its_row() {
    let found = CSV.of(&b"incidentId,comment\n1,gr\xf6\xdfe\n2,b\n"[..]);
    assert_eq!(found.codes(), [(1, "not-utf8")]);
    assert_eq!(found.diagnostics[0].column, Some(5));
    assert_eq!(found.rows[0].source, b"1,gr\xf6\xdfe");
    let units = "\u{feff}incidentId,comment\n1,a".encode_utf16().chain([0xd800, 0x0a, 0x32, 0x2c, 0x62]);
    let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
    let found = CSV.of(bytes);
    assert_eq!(found.codes(), [(1, "not-utf8")]);
    assert_eq!(found.rows[0].source, b"1,a\xff");
}

#[test]
fn oversized_row_is_one_error_others_continue() {
    let text = format!("incidentId,comment\n1,a\n2,\"{}\"\n3,c\n", "x".repeat(10 * 1024 * 1024));
    let found = Check { chunk_size: 128 * 1024, ..CSV }.of(text);
    assert_eq!(found.codes(), [(2, "row-too-large")]);
    assert_eq!(found.bodies(), ["{\"comment\":\"a\"}", "row-too-large", "{\"comment\":\"c\"}"]);
}

#[test]
fn set_overrides_any_cell() {
    let check = Check { set: &["status=resolved", "comment=<b>"], ..CSV };
    let found = check.of("incidentId,status\n1,nonsense\n2,\n");
    assert_eq!(found.bodies(), ["{\"status\":\"Resolved\",\"comment\":\"<b>\"}"; 2]);
    assert_eq!(found.stats.overridden, [("status".to_owned(), 1)]);
    let portal = check.of("Incident name,Incident Id,Status,Tags\nx,1,In progress,+a\n");
    assert_eq!(portal.bodies(), ["{\"status\":\"Resolved\",\"comment\":\"<b>\"}"]);
    assert_eq!(check.refusal("Incident name,Incident Id,comment\nx,1,y\n"), "portal-comment");
    let doubtful = Check { contract: "defender", set: &["classification=FalsePositive", "determination=Clean"], ..CSV };
    assert_eq!(doubtful.of("incidentId\n1\n2\n").codes(), [(0, "doubtful-value")]);
}

#[test]
fn limit_selects_first_rows_but_checks_all() {
    let rows: Vec<String> = (1..=100).map(|id| format!("{id},Active,c{}\n", id % 2)).collect();
    let rows = rows.concat();
    for limit in [0, 1, 7, 50, 99, 100, 1000] {
        let found = Check { limit: Some(limit), ..CSV }.of(format!("incidentId,status,comment\n{rows}0,Active,\n"));
        let taken = limit.min(101);
        assert_eq!(found.rows.len() as u64, taken);
        assert_eq!((found.stats.rows, found.stats.valid, found.stats.selected), (101, 100, taken));
        assert_eq!(found.stats.sendable, taken.min(100));
        assert_eq!(found.codes(), [(101, "id-invalid")]);
    }
}

#[test]
fn duplicate_incidents_are_reported_after_the_rows() {
    let found = CSV.of("incidentId,status,tags\n1,Active,a;b\n2,Active,\n1,active,\" a; b\"\n2,Resolved,\n3,x,\n");
    assert_eq!(found.codes(), [(5, "unknown-value"), (3, "duplicate"), (4, "contradiction")]);
    let rows: Vec<u64> = found.stats.contradicting().map(|(row, _)| row).collect();
    assert_eq!(rows, [2, 4]);
    assert_eq!((found.stats.rows, found.stats.valid), (5, 3));
}

#[test]
fn contract_that_knows_the_value_is_suggested() {
    let help = |contract: &str, row: &str| {
        let header = "incidentId,status,classification,determination\n";
        let found = Check { contract, ..CSV }.of(format!("{header}{row}\n"));
        found.diagnostics.last().and_then(|found| found.help.clone()).unwrap_or_default()
    };
    let other = "`defender` accepts this: `--contract defender`";
    assert_eq!(help("defender-classic", "1,In progress,,"), other);
    assert_eq!(help("defender-classic", "1,,FalsePositive,Other"), other);
    assert_eq!(
        help("defender", "1,,TruePositive,Apt"),
        "`defender-classic` accepts this: `--contract defender-classic`"
    );
    assert_eq!(help("defender-classic", "1,,FalsPositive,"), "did you mean `FalsePositive`?");
    assert_eq!(help("defender-classic", "1,,,Apt"), "set classification to `TruePositive`");
    assert!(help("defender", "1,,FalsePositive,Phishing").starts_with("with `FalsePositive`, enter `Clean`"));
}

#[test]
fn results_file_is_valid_input() {
    let ten = |row: u64, outcome: &str| format!("{row},9,1,{outcome},,\"a\nb\",,1,,");
    let text = format!(
        "{},incidentId,comment,'=x\n{},1,a,\n{},2,''=b,\"'=c,d\"\n{},3,c,x\n{},4,d,\n",
        RESULT_COLUMNS.join(","),
        ten(1, "updated"),
        ten(2, "failed"),
        ten(3, "not-attempted"),
        ten(4, "done?"),
    );
    let found = CSV.of(text.clone());
    assert_eq!(found.codes(), [(4, "results-line")]);
    assert_eq!(found.bodies(), ["{\"comment\":\"'=b\"}", "{\"comment\":\"c\"}", "results-line"]);
    assert_eq!(found.rows[0].source, b"2,'=b,\"=c,d\"");
    assert_eq!(found.rows[1].source, b"3,c,x");
    assert_eq!((found.stats.rows, found.stats.skipped, found.stats.selected), (4, 1, 3));
    let only = [OutcomeKind::Updated];
    let found = Check { only: Some(&only), ..CSV }.of(text);
    assert_eq!(found.bodies(), ["{\"comment\":\"a\"}", "results-line"]);
}

#[test]
fn invalid_results_row_keeps_only_original_cells() {
    let header = format!("{},incidentId,comment\n", RESULT_COLUMNS.join(","));
    for (own, source, code) in [
        (&b"7"[..], &b"7"[..], "too-few-cells"),
        (b"7,x,\"'=\"\"y\"", b"7,x,\"=\"\"y\"", "too-many-cells"),
        (b"7,'=\xff", b"7,=\xff", "not-utf8"),
        (b"7,x\0", b"7,x\0", "nul-byte"),
        (b"7,x\ry", b"7,x\ry", "bare-cr"),
    ] {
        let found = CSV.of([header.as_bytes(), b"1,2,7,failed,,,,1,,,", own, b"\n"].concat());
        assert_eq!((found.bodies(), found.rows[0].source.as_slice()), (vec![code.to_owned()], source));
    }
}

#[test]
fn jsonl_results_file_is_valid_input() {
    let line = |outcome: &str, input: &str| {
        let nine = RESULT_COLUMNS.iter().filter(|name| **name != "outcome").map(|name| format!("\"{name}\":1,"));
        format!("{{{}\"outcome\":\"{outcome}\",\"input\":{input}}}\n", nine.collect::<String>())
    };
    let own = "{\"incidentId\":7, \"comment\":\"=x\"}";
    let text = line("updated", "{\"incidentId\":6}") + &line("in-doubt", own) + &line("invalid", "\"{oops\"") + "{}\n";
    let found = JSONL.of(text);
    assert_eq!(found.codes(), [(3, "json-syntax"), (4, "results-line")]);
    assert_eq!(found.bodies(), ["{\"comment\":\"=x\"}", "json-syntax", "results-line"]);
    assert_eq!(found.rows[0].source, own.as_bytes());
    assert_eq!(found.rows[1].source, b"\"{oops\"");
}

#[test]
fn error_storing_rows_ends_the_check() {
    let contract = load("defender").expect("built in");
    let rules = Rules::new(&contract);
    let rows = "1,Active\n".repeat(10_000);
    let text = format!("incidentId,status\n{rows}");
    let input = Input::in_chunks("f.csv", Box::new(Cursor::new(text)), 50).expect("an input");
    let mut full = |_| Err(io::Error::other("full"));
    let checked = check(input, &rules, Some(&mut full), &mut |_| ());
    assert!(matches!(checked, Err(InputError::NotKept(_))));
}

#[test]
fn long_comment_is_a_warning() {
    for (length, code) in [(30_000, ""), (30_001, "long-comment")] {
        let comment = "é".repeat(length);
        assert_eq!(CSV.code(format!("incidentId,comment\n1,{comment}\n")), code);
        assert_eq!(CSV.code(format!("incidentId,comment\n1,{}\n", "e".repeat(length))), code);
        assert_eq!(JSONL.code(format!("{{\"incidentId\":1,\"comment\":\"{comment}\"}}\n")), code);
    }
}
