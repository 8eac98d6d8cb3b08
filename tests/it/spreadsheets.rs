//! No spreadsheet runs a cell that the program wrote, whatever delimiter it splits at: two splitters read the files as
//! spreadsheets do.

use std::fs;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::program::Program;

/// The first characters of a cell that a spreadsheet runs.
const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Splits like a spreadsheet that respects quotes at the beginning of a cell, and adds text after a closing quote to
/// the cell.
fn heeding_quotes(text: &str, delimiters: &[char]) -> Vec<String> {
    let mut cells = vec![String::new()];
    let (mut is_open, mut is_at_start) = (false, true);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let is_end = delimiters.contains(&character) || matches!(character, '\n' | '\r');
        match character {
            '"' if is_open && rest.peek() == Some(&'"') => cells.last_mut().expect("a cell").extend(rest.next()),
            '"' if is_open => is_open = false,
            '"' if is_at_start => is_open = true,
            _ if is_end && !is_open => {
                cells.push(String::new());
                is_at_start = true;
                continue;
            }
            other => cells.last_mut().expect("a cell").push(other),
        }
        is_at_start = false;
    }
    cells
}

/// Splits like one that ignores quotes, and removes those at a cell's ends.
fn ignoring_quotes(text: &str, delimiters: &[char]) -> Vec<String> {
    let cells = text.split(|c| delimiters.contains(&c) || c == '\n' || c == '\r');
    cells.map(|cell| cell.trim_matches('"').to_owned()).collect()
}

/// The number of cells that the splitters find; fails if one of them begins like a formula.
#[track_caller]
fn expect_no_formula(text: &str) -> usize {
    let mut count = 0;
    for delimiters in [&[','][..], &[';'], &['\t'], &['|'], &['\t', ','], &[',', ';', '\t', '|']] {
        for cells in [heeding_quotes(text, delimiters), ignoring_quotes(text, delimiters)] {
            count += cells.len();
            let formula = cells.iter().find(|cell| cell.starts_with(SIGNS));
            assert_eq!(formula, None, "split at {delimiters:?}");
        }
    }
    count
}

/// Texts made of characters that matter to a splitter.
fn hostile(count: usize) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let text = "(=1\\+1|[=+@＝＋－＠-]|[,;|\t\"'\n ]|\r\n|x){1,12}x";
    let text = proptest::string::string_regex(text).expect("an expression");
    (0..count).map(|_| text.new_tree(&mut runner).expect("a text").current()).collect()
}

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

#[test]
fn results_have_no_formula_for_any_splitter() {
    for delimiter in [",", ";", "\t"] {
        let carried = hostile(600);
        let row = |(id, cells): (usize, &[String])| {
            [vec![id.to_string(), quoted("seen; =1")], cells.iter().map(|cell| quoted(cell)).collect()]
                .concat()
                .join(delimiter)
        };
        let rows: Vec<String> = (1..).zip(carried.chunks(3)).map(row).collect();
        let header = ["incidentId", "comment", "\"x;=1+1\"", "\"=x\"", "\"y\t@z\""].join(delimiter);
        let input = format!("{header}\n{}\n", rows.join("\n"));
        let program = Program::new().file("a.csv", &input).emulator(|_| ());
        program.send("a.csv --results one.csv").expect_code(0);
        assert!(expect_no_formula(&program.read("one.csv")) > 10_000);

        program.send("one.csv --only updated --remember 0 --results two.csv").expect_code(0);
        let own = |name: &str| {
            let bytes = fs::read(program.path(name)).expect("results");
            let delimiter = delimiter.as_bytes()[0];
            let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(bytes.as_slice());
            let own = |record: csv::StringRecord| record.iter().skip(10).map(str::to_owned).collect::<Vec<_>>();
            reader.records().map(|record| own(record.expect("a record"))).collect::<Vec<_>>()
        };
        assert_eq!(own("one.csv"), own("two.csv"), "what is read again is not shielded twice");
    }
}

#[test]
fn fetched_files_have_no_formula_for_any_splitter() {
    let texts = hostile(200);
    let row = |(id, text): (usize, &String)| {
        let tags = serde_json::json!([text, "x"]).to_string();
        format!("{id},{},{}\n", quoted(text), quoted(&tags))
    };
    let rows: String = (1..).zip(&texts).map(row).collect();
    let program = Program::new().file("a.csv", format!("incidentId,assignedTo,tags\n{rows}")).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    let fetch = format!("fetch --quota 100000/1s --base-url {} -o fetched.csv", program.origin());
    program.run(&fetch).expect_code(0);
    assert!(expect_no_formula(&program.read("fetched.csv")) > 10_000);
}

proptest! {
    /// Proves that the splitters find formulas.
    #[test]
    fn splitter_finds_formula_after_delimiter(delimiter in "[,;\t|\n]", sign in "[=+@-]", quote in "\"?") {
        let text = format!("1,\"x{delimiter}{quote}{quote}{sign}1\",y\n");
        prop_assert!(std::panic::catch_unwind(|| expect_no_formula(&text)).is_err());
    }
}
