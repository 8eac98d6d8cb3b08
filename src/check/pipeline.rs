//! The pipeline: two threads take the next chunk in turn and check it; what they found is taken in the input's order.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::scope;

use bumpalo::Bump;

use super::across::{self, Seen};
use super::chunk::{CheckedChunk, Checker};
use super::tally::Tally;
use super::{CheckedRow, Rules};
use crate::diagnostic::{Diagnostic, Severity};
use crate::input::{Chunk, Input, InputError};

/// Chunks that may be checked before their turn to be taken, by each of the two threads.
const AHEAD: usize = 2;

/// Takes the rows of the run in batches, in the input's order.
type TakeRows<'a> = &'a mut dyn FnMut(Vec<CheckedRow>) -> io::Result<()>;

/// Checks all rows of `input`.
///
/// `rows` takes the rows of the run, valid or not, as they come; without it nothing is kept of a row but what finding
/// duplicates needs. `diagnostics` takes what is wrong: in the rows' order, then across rows.
///
/// # Errors
/// Where the input can't be read to its end, is not valid as a whole, or `rows` fails. What is wrong with the rows is no
/// error here: it is told to `diagnostics` and counted.
pub fn check(
    input: Input,
    rules: &Rules<'_>,
    rows: Option<TakeRows<'_>>,
    diagnostics: &mut dyn FnMut(Diagnostic),
) -> Result<Tally, InputError> {
    let arena = Bump::new();
    let checker = Checker::new(&input, rules, rows.is_some(), &arena)?;
    let mut taker = Taker {
        tally: Tally::default(),
        overridden: vec![0; checker.contract.properties.len()],
        seen: Vec::new(),
        limit: rules.limit.unwrap_or(u64::MAX),
        checker: &checker,
        rows,
        diagnostics,
    };
    for warning in &checker.set_warnings {
        taker.tell(warning.clone());
    }
    let source = Source { shared: Mutex::new(Unread { input, next: 0, is_over: false, spare: Vec::new() }) };
    scope(|scope| {
        let (give, found) = sync_channel(AHEAD);
        let (source, checker) = (&source, &checker);
        scope.spawn(move || check_for(source, checker, &give));
        // What was found before its turn, by the chunk's number.
        let mut early = BTreeMap::new();
        let mut turn = 0;
        loop {
            let next = source.next();
            let is_over = next.is_none();
            match next {
                Some((number, chunk)) => {
                    early.insert(number, chunk.map(|chunk| checker.check(chunk, u64::MAX)));
                    early.extend(found.try_iter());
                }
                None => early.extend(found.iter()),
            }
            while early.len() > AHEAD && !early.contains_key(&turn) {
                // A thread that is gone without giving what it took has panicked; the scope passes that on.
                let Ok((number, chunk)) = found.recv() else { return Ok(()) };
                early.insert(number, chunk);
            }
            while let Some(chunk) = early.remove(&turn) {
                source.put_back(taker.take(chunk?)?);
                turn += 1;
            }
            if is_over {
                return Ok(());
            }
        }
    })?;
    Ok(taker.finish())
}

/// A chunk's number, from 0, and what was found in it.
type Numbered<T> = (u64, Result<T, InputError>);

/// Checks chunks until there are no more, or nobody takes what was found.
fn check_for(source: &Source, checker: &Checker<'_>, give: &SyncSender<Numbered<CheckedChunk>>) {
    while let Some((number, chunk)) = source.next() {
        if give.send((number, chunk.map(|chunk| checker.check(chunk, u64::MAX)))).is_err() {
            break;
        }
    }
}

/// The input, from which either thread takes the next chunk.
struct Source {
    shared: Mutex<Unread>,
}

struct Unread {
    input: Input,
    next: u64,
    is_over: bool,
    /// Chunks to be used again.
    spare: Vec<Chunk>,
}

impl Source {
    /// The next chunk, or, last of all, why there is none.
    fn next(&self) -> Option<Numbered<Chunk>> {
        // After a panic of the other thread nothing more is read: the scope passes it on.
        let mut unread = self.shared.lock().ok().filter(|unread| !unread.is_over)?;
        let used = unread.spare.pop().unwrap_or_default();
        let chunk = unread.input.next_chunk(used).transpose();
        unread.is_over = !matches!(chunk, Some(Ok(_)));
        let number = unread.next;
        unread.next += 1;
        chunk.map(|chunk| (number, chunk))
    }

    fn put_back(&self, chunk: Chunk) {
        if let Ok(mut unread) = self.shared.lock() {
            unread.spare.push(chunk);
        }
    }
}

/// Takes what was found, in order.
struct Taker<'c, 'a, 'r, 'd> {
    tally: Tally,
    overridden: Vec<u64>,
    seen: Vec<Seen>,
    limit: u64,
    checker: &'c Checker<'a>,
    rows: Option<TakeRows<'r>>,
    diagnostics: &'d mut dyn FnMut(Diagnostic),
}

impl Taker<'_, '_, '_, '_> {
    /// Takes a chunk's findings; gives the chunk back.
    fn take(&mut self, mut checked: CheckedChunk) -> Result<Chunk, InputError> {
        let left = self.limit - self.tally.selected;
        if left == 0 {
            checked.select_none();
        } else if checked.taken > left {
            // The run ends in this chunk: once more, up to there.
            checked = self.checker.check(checked.chunk, left);
        }
        // So far its rows are numbered by themselves.
        let before = self.tally.rows;
        self.tally.rows += checked.read;
        self.tally.valid += checked.valid;
        self.tally.skipped += checked.skipped;
        self.tally.selected += checked.taken.min(left);
        self.tally.sendable += checked.sendable;
        self.overridden.iter_mut().zip(&checked.overridden).for_each(|(ours, theirs)| *ours += theirs);
        let row_before = u32::try_from(before).unwrap_or(u32::MAX);
        self.seen.extend(checked.seen.iter().map(|seen| Seen { row: row_before + seen.row, ..*seen }));
        for diagnostic in checked.diagnostics {
            let row = diagnostic.row.map(|row| before + row);
            self.tell(Diagnostic { row, ..diagnostic });
        }
        checked.rows.iter_mut().for_each(|row| row.row += before);
        if let Some(rows) = self.rows.as_mut().filter(|_| !checked.rows.is_empty()) {
            rows(checked.rows).map_err(InputError::NotKept)?;
        }
        checked.broken.map_or(Ok(checked.chunk), Err)
    }

    fn finish(mut self) -> Tally {
        let across = across::look(std::mem::take(&mut self.seen), &self.checker.file);
        for diagnostic in across.diagnostics {
            self.tally.valid -= u64::from(diagnostic.severity == Severity::Error);
            self.tell(diagnostic);
        }
        self.tally.contradicting = across.contradicting;
        let names = self.checker.contract.properties.iter().map(|property| property.name.to_owned());
        self.tally.overridden = names.zip(self.overridden).filter(|(_, cells)| *cells > 0).collect();
        self.tally
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        let counts = match diagnostic.severity {
            Severity::Error => &mut self.tally.errors,
            Severity::Warning => &mut self.tally.warnings,
        };
        *counts.entry(diagnostic.code).or_default() += 1;
        (self.diagnostics)(diagnostic);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::check::SetProperty;
    use crate::contract::load;
    use crate::outcome::{OutcomeKind, RESULT_COLUMNS};

    /// What a check gives: the tally, the rows of the run, the diagnostics.
    struct Found {
        tally: Tally,
        rows: Vec<CheckedRow>,
        diagnostics: Vec<Diagnostic>,
    }

    impl Found {
        fn codes(&self) -> Vec<(u64, &'static str)> {
            self.diagnostics.iter().map(|found| (found.row.unwrap_or(0), found.code)).collect()
        }

        fn bodies(&self) -> Vec<&str> {
            self.rows
                .iter()
                .map(|row| row.verdict.as_ref().map_or_else(|error| error.code, |change| &*change.body))
                .collect()
        }
    }

    struct Check<'t> {
        name: &'t str,
        contract: &'t str,
        set: &'t [&'t str],
        limit: Option<u64>,
        only: Option<&'t [OutcomeKind]>,
        chunk_size: usize,
    }

    const CSV: Check<'_> =
        Check { name: "f.csv", contract: "defender-classic", set: &[], limit: None, only: None, chunk_size: 50 };
    const JSONL: Check<'_> = Check { name: "f.jsonl", ..CSV };

    impl Check<'_> {
        fn try_of(&self, text: impl Into<Vec<u8>>) -> Result<Found, InputError> {
            let contract = load(self.contract).expect("built in");
            let set: Vec<_> =
                self.set.iter().map(|set| SetProperty::parse(set, &contract).expect("a sound --set")).collect();
            let rules = Rules { contract: &contract, set: &set, limit: self.limit, only: self.only };
            let input = Input::in_chunks(self.name, Box::new(Cursor::new(text.into())), self.chunk_size)?;
            let (mut rows, mut diagnostics) = (Vec::new(), Vec::new());
            let mut take = |batch: Vec<CheckedRow>| {
                rows.extend(batch);
                Ok(())
            };
            let tally = check(input, &rules, Some(&mut take), &mut |found| diagnostics.push(found))?;
            Ok(Found { tally, rows, diagnostics })
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

        /// The code of the only row, "" where it is valid.
        fn code(&self, text: impl Into<Vec<u8>>) -> &'static str {
            let found = self.of(text);
            assert!(found.diagnostics.len() <= 1, "{:?}", found.codes());
            found.diagnostics.first().map_or("", |found| found.code)
        }
    }

    #[test]
    fn values_are_sent_in_the_api_s_spelling_and_texts_to_the_byte() {
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
        let appends: Vec<_> = found.rows.iter().map(|row| row.verdict.as_ref().map(|change| change.appends)).collect();
        assert_eq!(appends, [Ok(true), Ok(false)]);
    }

    #[test]
    fn jsonl_means_what_csv_means() {
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
    fn every_mistake_of_a_cell_has_its_code() {
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
            ("1,,,,,+a,", "tag-change"),
            ("1,,,,,a;-b,", "tag-change"),
            ("1,,,,,;,", "empty-list"),
            ("1,,,,,[],", "empty-list"),
            ("1,,,,,[1],", "tags-not-json"),
            ("1,,,,,a;<clear>,", "cannot-clear"),
            ("1,,,,,<clear>,", ""),
            ("1,,,,,,  ", "blank-comment"),
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
    fn every_mistake_of_a_member_has_its_code() {
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
            ("{\"incidentId\":1,\"tags\":[\"\"]}", "empty-list"),
            ("{\"incidentId\":1,\"tags\":{\"add\":[\"a\"]}}", "tag-change"),
            ("{\"incidentId\":1,\"statsu\":\"Active\",\"comment\":\"x\"}", "misspelt-column"),
            ("{\"incidentId\":1,\"comment\":\"\\ud800\"}", "json-syntax"),
            ("{\"incidentId\":1,\"status\":null}", "nothing-to-set"),
            ("{\"incidentId\":1,\"comment\":\"x\0\"}", "nul-byte"),
        ] {
            let text = format!("{{\"incidentId\":99,\"status\":\"Active\"}}\n{line}\n");
            assert_eq!(JSONL.code(text), code, "{}", &line[..line.len().min(80)]);
        }
        for place in ["tags", "comment", "x"] {
            let line = format!("{{\"incidentId\":1,\"status\":\"Active\",\"{place}\":{deep}}}");
            assert!(JSONL.of(line).tally.rows == 1);
        }
    }

    #[test]
    fn errors_of_the_file_end_the_check() {
        for (text, code) in [
            ("id,status\n1,Active\n", "no-id-column"),
            ("incidentId,clasification\n1,x\n", "misspelt-column"),
            ("incidentId,comments\n1,x\n", "misspelt-column"),
            ("incidentId,status,Status\n1,,\n", "column-twice"),
            ("incidentId,notes\n1,x\n", "no-property-column"),
            ("Incident name,Incident Id\nx,1\n", "portal-needs-set"),
            ("incidentId,status\n1,Active\n2,\"x\n", "unclosed-quote"),
            ("incidentId,status\n1,\"x\"y\n", "text-after-quote"),
        ] {
            assert_eq!(CSV.refusal(text), code, "{text}");
        }
        // Carried: far from every name, or too short to tell.
        assert_eq!(CSV.of("incidentId,status,tag,owner,severity,incidentName\n1,Active,,,,\n").codes(), []);
        assert_eq!(CSV.of("incidentId,status\n").tally.rows, 0);
    }

    #[test]
    fn bytes_that_are_no_text_are_an_error_of_their_row() {
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
    fn a_row_that_is_too_large_is_one_error_and_the_others_go_on() {
        let text = format!("incidentId,comment\n1,a\n2,\"{}\"\n3,c\n", "x".repeat(10 * 1024 * 1024));
        let found = Check { chunk_size: 128 * 1024, ..CSV }.of(text);
        assert_eq!(found.codes(), [(2, "row-too-large")]);
        assert_eq!(found.bodies(), ["{\"comment\":\"a\"}", "row-too-large", "{\"comment\":\"c\"}"]);
    }

    #[test]
    fn set_wins_over_the_cell_whatever_stands_there() {
        let check = Check { set: &["status=resolved", "comment=<b>"], ..CSV };
        let found = check.of("incidentId,status\n1,nonsense\n2,\n");
        assert_eq!(found.bodies(), ["{\"status\":\"Resolved\",\"comment\":\"<b>\"}"; 2]);
        assert_eq!(found.tally.overridden, [("status".to_owned(), 1)]);
        let portal = check.of("Incident name,Incident Id,Status,Tags\nx,1,In progress,+a\n");
        assert_eq!(portal.bodies(), ["{\"status\":\"Resolved\",\"comment\":\"<b>\"}"]);
        assert_eq!(check.refusal("Incident name,Incident Id,comment\nx,1,y\n"), "portal-comment");
        let doubtful =
            Check { contract: "defender", set: &["classification=FalsePositive", "determination=Clean"], ..CSV };
        assert_eq!(doubtful.of("incidentId\n1\n2\n").codes(), [(0, "doubtful-value")]);
    }

    #[test]
    fn a_limit_takes_the_first_rows_and_checks_all() {
        let rows: Vec<String> = (1..=100).map(|id| format!("{id},Active,c{}\n", id % 2)).collect();
        let rows = rows.concat();
        for limit in [0, 1, 7, 50, 99, 100, 1000] {
            let found = Check { limit: Some(limit), ..CSV }.of(format!("incidentId,status,comment\n{rows}0,Active,\n"));
            let taken = limit.min(101);
            assert_eq!(found.rows.len() as u64, taken);
            assert_eq!((found.tally.rows, found.tally.valid, found.tally.selected), (101, 100, taken));
            assert_eq!(found.tally.sendable, taken.min(100));
            assert_eq!(found.codes(), [(101, "id-invalid")]);
        }
    }

    #[test]
    fn incidents_that_stand_twice_are_told_after_the_rows() {
        let found = CSV.of("incidentId,status,tags\n1,Active,a;b\n2,Active,\n1,active,\" a; b\"\n2,Resolved,\n3,x,\n");
        assert_eq!(found.codes(), [(5, "unknown-value"), (3, "duplicate"), (4, "contradiction")]);
        let rows: Vec<u64> = found.tally.contradicting.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [2, 4]);
        assert_eq!((found.tally.rows, found.tally.valid), (5, 3));
    }

    #[test]
    fn another_contract_that_knows_the_value_is_named() {
        let help = |contract: &str, row: &str| {
            let header = "incidentId,status,classification,determination\n";
            let found = Check { contract, ..CSV }.of(format!("{header}{row}\n"));
            found.diagnostics.first().and_then(|found| found.help.clone()).unwrap_or_default()
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
        assert!(help("defender", "1,,FalsePositive,Phishing").starts_with("with `FalsePositive` write `Clean`"));
    }

    #[test]
    fn a_results_file_is_an_input_again() {
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
        assert_eq!((found.tally.rows, found.tally.skipped, found.tally.selected), (4, 1, 3));
        let only = [OutcomeKind::Updated];
        let found = Check { only: Some(&only), ..CSV }.of(text);
        assert_eq!(found.bodies(), ["{\"comment\":\"a\"}", "results-line"]);
    }

    #[test]
    fn a_wrong_row_of_a_results_file_keeps_its_own_cells_alone() {
        let header = format!("{},incidentId,comment\n", RESULT_COLUMNS.join(","));
        for (own, source, code) in [
            (&b"7"[..], &b"7"[..], "too-few-cells"),
            (b"7,x,\"'=\"\"y\"", b"7,x,\"=\"\"y\"", "too-many-cells"),
            (b"7,'=\xff", b"7,=\xff", "not-utf8"),
            (b"7,x\0", b"7,x\0", "nul-byte"),
            (b"7,x\ry", b"7,x\ry", "bare-cr"),
        ] {
            let found = CSV.of([header.as_bytes(), b"1,2,7,failed,,,,1,,,", own, b"\n"].concat());
            assert_eq!((found.bodies(), found.rows[0].source.as_slice()), (vec![code], source));
        }
    }

    #[test]
    fn a_jsonl_results_file_is_an_input_again() {
        let line = |outcome: &str, input: &str| {
            let nine = RESULT_COLUMNS.iter().filter(|name| **name != "outcome").map(|name| format!("\"{name}\":1,"));
            format!("{{{}\"outcome\":\"{outcome}\",\"input\":{input}}}\n", nine.collect::<String>())
        };
        let own = "{\"incidentId\":7, \"comment\":\"=x\"}";
        let text =
            line("updated", "{\"incidentId\":6}") + &line("in-doubt", own) + &line("invalid", "\"{oops\"") + "{}\n";
        let found = JSONL.of(text);
        assert_eq!(found.codes(), [(3, "json-syntax"), (4, "results-line")]);
        assert_eq!(found.bodies(), ["{\"comment\":\"=x\"}", "json-syntax", "results-line"]);
        assert_eq!(found.rows[0].source, own.as_bytes());
        assert_eq!(found.rows[1].source, b"\"{oops\"");
    }

    #[test]
    fn a_taker_that_fails_ends_the_check() {
        let contract = load("defender").expect("built in");
        let rules = Rules { contract: &contract, set: &[], limit: None, only: None };
        let rows = "1,Active\n".repeat(10_000);
        let text = format!("incidentId,status\n{rows}");
        let input = Input::in_chunks("f.csv", Box::new(Cursor::new(text)), 50).expect("an input");
        let mut full = |_| Err(io::Error::other("full"));
        let checked = check(input, &rules, Some(&mut full), &mut |_| ());
        assert!(matches!(checked, Err(InputError::NotKept(_))));
    }
}
