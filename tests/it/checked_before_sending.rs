//! Promise 1: nothing is sent until every row has been checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::program::{self, Program, closing, of_the_project};

const ONE_BAD_ROW: &str = "incidentId,status\n1,Resolved\n2,Resolvd\n3,Resolved\n";

#[test]
fn invalid_row_stops_run_before_first_request() {
    let program = Program::new().file("a.csv", ONE_BAD_ROW).emulator(|_| ());
    program.send("a.csv").expect_code(3).expect_text("unknown-value").expect_text("a.csv:3");
    assert!(program.requests().is_empty());
    assert_eq!(program.names(), ["a.csv", "requests.jsonl", "state"], "no results were begun");
}

/// The invalid row comes last, so that sending while checking would be noticed.
#[test]
fn invalid_last_row_stops_before_first_request() {
    let rows = closing(1..=20_000) + "0,Resolved,no\n";
    let program = Program::new().file("a.csv", rows).emulator(|_| ());
    program.send("a.csv").expect_code(3).expect_text("a.csv:20002");
    assert!(program.requests().is_empty());
}

#[test]
fn skip_invalid_sends_valid_and_reports_invalid_rows() {
    let program = Program::new().file("a.csv", ONE_BAD_ROW).emulator(|_| ());
    let ended = program.send("a.csv --skip-invalid").expect_code(1);
    let ended = ended.expect_outcomes(&[("updated", 2), ("invalid", 1)]);
    assert_eq!(ended.results()[1]["code"], "unknown-value");
    assert_eq!(program.requests().len(), 2);
}

#[test]
fn skip_invalid_sends_neither_of_conflicting_rows() {
    let rows = "incidentId,status\n1,Resolved\n2,Active\n1,Active\n";
    let program = Program::new().file("a.csv", rows).emulator(|_| ());
    program.send("a.csv --skip-invalid").expect_code(1).expect_outcomes(&[("updated", 1), ("invalid", 2)]);
    assert_eq!(program.requests().len(), 1);
}

#[test]
fn file_error_is_never_skipped() {
    let rows = "incidentId,status\n1,Resolved\n2,\"Resolved\n3,Resolved\n";
    let program = Program::new().file("a.csv", rows).emulator(|_| ());
    program.send("a.csv --skip-invalid").expect_code(3).expect_text("unclosed-quote");
    assert!(program.requests().is_empty());
}

#[test]
fn limit_checks_the_rows_beyond_it_too() {
    let program = Program::new().file("a.csv", ONE_BAD_ROW).emulator(|_| ());
    program.send("a.csv --limit 1").expect_code(3);
    assert!(program.requests().is_empty());
}

#[test]
fn mistakes_sample_sends_no_request() {
    let mistakes = of_the_project("samples/mistakes.csv");
    let program = Program::new().emulator(|_| ());
    let mut command = program.send_command("");
    program::started({
        command.arg(&mistakes);
        command
    })
    .end()
    .expect_code(3);
    assert!(program.requests().is_empty());
}

#[test]
fn without_terminal_or_yes_nothing_is_sent() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let origin = program.origin();
    program.run(&format!("run a.csv --base-url {origin}")).expect_code(2).expect_text("--yes");
    assert!(program.requests().is_empty());
}

#[test]
fn dry_run_sends_and_stores_nothing() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let origin = program.origin();
    let ended = program.run(&format!("run a.csv --dry-run --base-url {origin}")).expect_code(0);
    ended.expect_text("PATCH").expect_text("nothing was sent");
    assert!(program.requests().is_empty());
    assert_eq!(program.names(), ["a.csv", "requests.jsonl"]);
}

/// An existing journal is read, but not changed by a single byte.
/// What it keeps meanwhile is gone even if it is killed.
#[test]
fn rows_of_dry_run_have_no_named_file() {
    let program = Program::new().file("a.csv", closing(1..=20_000));
    fs::create_dir(program.path("tmp")).expect("creates");
    let mut command = program.command("run a.csv --dry-run --base-url http://127.0.0.1:9");
    let mut running = program::started({
        command.env("TMPDIR", program.path("tmp"));
        command
    });
    let holds_rows =
        |file: &PathBuf| fs::read(file).is_ok_and(|bytes| bytes.windows(13).any(|bytes| bytes == b"FalsePositive"));
    while !running.ends_within(Duration::from_millis(1)) {
        let named = named_below(&program.path("tmp"));
        assert!(!named.iter().any(holds_rows), "{named:?}");
    }
    running.end().expect_code(0);
    assert!(named_below(&program.path("tmp")).is_empty());
}

/// The files below a directory whose entries come and go.
fn named_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { named_below(&path) } else { vec![path] }).collect()
}

#[test]
fn dry_run_leaves_an_existing_journal_unchanged() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("b.csv", closing(2..=5)).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    let journal = || fs::read(program.path("state/journal.db")).expect("a journal");
    let before = journal();
    let origin = program.origin();
    let ended = program.run(&format!("run b.csv --dry-run --base-url {origin}")).expect_code(0);
    let ended = ended.expect_text("2 rows already applied by run").expect_text("/api/incidents/4");
    assert!(!ended.stdout.contains("/api/incidents/2"), "it would not be sent: {}", ended.printed());
    assert!(journal() == before, "the journal has changed");
    assert_eq!(program.requests().len(), 3);
}
