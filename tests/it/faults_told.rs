//! `docs/faults.md` says which faults are tried and what the program does: its table is made from the tests' own names.
//!
//! `BULK_TRIAGE_DOCS=write cargo test --test it faults_told` writes it anew.

use std::fs;

use crate::faults::setting;
use crate::program::of_the_project;

const PAGE: &str = "docs/faults.md";
const BEGIN: &str = "<!-- made from the tests' names -->\n";
const END: &str = "<!-- end -->\n";

/// Where faults are tried, and what is at fault there.
const TRIED: [(&str, &str); 6] = [
    ("every call", "tests/it/faults/mod.rs"),
    ("the process", "tests/it/kills.rs"),
    ("the power", "tests/it/power_cut.rs"),
    ("the machine", "tests/it/machine.rs"),
    ("the file system", "src/journal/store.rs"),
    ("the clock, and all at once", "tests/it/simulation/mod.rs"),
];

fn table() -> String {
    let mut table = "| at fault | what happens |\n| --- | --- |\n".to_owned();
    for (what, file) in TRIED {
        let text = fs::read_to_string(of_the_project(file)).expect("a file of tests");
        for name in tests_in(&text) {
            let sentence = name.replace('_', " ");
            let (first, rest) = sentence.split_at(1);
            table += &format!("| {what} | [{}{rest}](../{file}) |\n", first.to_uppercase());
        }
    }
    table
}

/// The names of the tests in a file of Rust, in their order.
fn tests_in(text: &str) -> Vec<&str> {
    let after_attribute = text.split("#[test]\n").skip(1);
    after_attribute.filter_map(|rest| rest.split_once("fn ")?.1.split_once('(').map(|(name, _)| name)).collect()
}

#[test]
fn the_table_of_faults_is_that_of_the_tests() {
    let page = fs::read_to_string(of_the_project(PAGE)).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("the beginning of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    let table = table();
    if setting("BULK_TRIAGE_DOCS").is_some_and(|word| word == "write") {
        let page = [before, BEGIN, &table, END, after].concat();
        fs::write(of_the_project(PAGE), page).expect("the page is written");
    } else {
        assert_eq!(found, table, "BULK_TRIAGE_DOCS=write cargo test --test it faults_told");
    }
}
