//! Summaries: every request is counted, lines in a pipe are complete, and rows are in input order.

use crate::program::{Program, closing};

/// These incidents are far apart, so each is read singly.
fn program() -> Program {
    let rows = "incidentId,status\n10,Resolved\n1000,Resolved\n2000,Resolved\n3000,Resolved\n4000,Resolved\n";
    Program::new().file("a.csv", rows).emulator(|settings| settings.incidents = "1-5000".parse().expect("incidents"))
}

#[test]
fn reads_before_the_prompt_are_counted() {
    let program = program();
    let text = program.send("a.csv --compare").expect_code(0);
    text.expect_text("10 requests in ").expect_text(": 5 updates, 5 reads, none throttled");
    program.write("a.csv", program.read("a.csv").replace("Resolved", "Active"));
    let requests = program.requests().len() as u64;
    let json = program.send("a.csv --compare --format json").expect_code(0).json();
    let sent = program.requests().len() as u64 - requests;
    assert_eq!(
        (json["calls"].as_u64(), json["updates"].as_u64(), json["reads"].as_u64()),
        (Some(sent), Some(5), Some(5))
    );

    program.write("a.csv", program.read("a.csv").replace("Active", "Resolved"));
    let plan = format!("plan a.csv -o a.plan --compare --quota 1000/1s --base-url {}", program.origin());
    program.run(&plan).expect_code(0);
    let applied = program.run("apply a.plan --yes --quota 1000/1s").expect_code(0);
    applied.expect_text("10 requests in ").expect_text(": 5 updates, 5 reads, none throttled");
    program.write("b.csv", closing(1..=3));
    program.send("b.csv").expect_code(0).expect_text(": 3 updates, none throttled");
}

#[test]
fn lines_in_a_pipe_are_complete() {
    let program = Program::new().file("a.csv", closing(1..=9)).faulty_emulator(&["400@#2", "400@#8", "400@#5"]);
    let ended = program.send("a.csv --max-attempts 1").expect_code(1);
    assert!(!ended.stdout.contains('…'), "{}", ended.printed());
    let rows: Vec<&str> = ended.stdout.lines().filter_map(|line| line.trim().strip_prefix("row ")).collect();
    let rows: Vec<_> = rows.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(rows, ["2", "5", "8"], "{}", ended.printed());
}

/// Whichever process sent them.
#[test]
fn failures_of_the_whole_run_are_listed() {
    let program = Program::new().file("a.csv", closing(1..=9)).faulty_emulator(&["400@#2", "404@#8"]);
    program.send("a.csv --concurrency 1 --max-failures 1").expect_code(6);
    let ended = program.send("a.csv").expect_code(1).expect_outcomes(&[("updated", 7), ("failed", 2)]);
    ended
        .expect_text("\nfailed, rejected: 1 row\n  row 2 (line 3)")
        .expect_text("\nfailed, not-found: 1 row\n  row 8 ");
}

#[test]
fn equal_diagnostics_are_grouped_and_counts_sorted() {
    let rows: String = (1..=30).fold(String::new(), |rows, id| rows + &format!("{id},Resolvd\n"));
    let program = Program::new().file("a.csv", format!("incidentId,status\n{rows}x,Active\n31,\n32,\n"));
    let check = program.run("check a.csv").expect_code(3);
    assert_eq!(check.stdout.matches("error[unknown-value]").count(), 1, "{}", check.printed());
    let check = check.expect_text("the same on 29 more lines: 3, 4, 5, 6, 7, …");
    check.expect_text("error[id-invalid]").expect_text("the same on 1 more line: 34");
}

#[test]
fn more_failures_are_counted_and_listed() {
    let program = Program::new().file("a.csv", closing(1..=15)).faulty_emulator(&["404"]);
    program.send("a.csv --max-failures 100").expect_code(1);
    let run = program.last_run();
    let shown = program.run(&format!("runs show {run}")).expect_code(0).stdout;
    assert_eq!(shown.matches("failed, not-found").count(), 10, "{shown}");
    assert!(shown.contains("  and 5 more; to list all:\n"), "{shown}");
    let listing = shown.split("to list all:\n  bulk-triage ").nth(1).and_then(|rest| rest.lines().next());
    let all = program.run(listing.expect("a command")).expect_code(0).stdout;
    assert_eq!(all.matches("failed, not-found").count(), 15, "{all}");
    assert!(!all.contains("more"), "{all}");
}

#[test]
fn runs_show_names_the_origin_once() {
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    let shown = program.run(&format!("runs show {}", program.last_run())).expect_code(0);
    let (before, settings) = shown.stdout.split_once("\nsettings  ").expect("its settings");
    assert_eq!(before.matches(&program.origin()).count(), 1, "{before}");
    assert_eq!(settings.matches(&program.origin()).count(), 1, "{settings}");
    shown.expect_text("\nrequests  2, 0 throttled (429)\n");
}
