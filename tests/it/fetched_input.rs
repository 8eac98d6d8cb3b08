//! Fetched files as input, edited partly or completely: empty rows are left alone.

use std::fmt::Write as _;

use crate::program::{Program, incidents, started};

/// Seven fetched incidents.
fn fetched(file: &str) -> Program {
    let program = Program::new().emulator(|settings| settings.incidents = "1-7".parse().expect("incidents"));
    let origin = program.origin();
    program.run(&format!("fetch -o {file} --quota 1000/1s --base-url {origin}")).expect_code(0);
    program
}

/// Sets the status of these incidents in the file.
fn fill_in(program: &Program, file: &str, ids: &[u64]) {
    let mut text = String::new();
    for line in program.read(file).lines() {
        let id =
            |id: &&u64| line.starts_with(&format!("{id},")) || line.starts_with(&format!("{{\"incidentId\":{id},"));
        let filled = match ids.iter().find(id) {
            Some(id) if !line.starts_with('{') => line.replacen(&format!("{id},,"), &format!("{id},Resolved,"), 1),
            Some(_) => line.replacen("\"current_", "\"status\":\"Resolved\",\"current_", 1),
            None => line.to_owned(),
        };
        let _ = writeln!(text, "{filled}");
    }
    program.write(file, text);
}

#[test]
fn empty_rows_are_unchanged_and_cost_nothing() {
    for file in ["open.csv", "open.jsonl"] {
        for filled in [&[][..], &[5], &[7, 3], &[1, 2, 3, 4, 5, 6, 7]] {
            let program = fetched(file);
            fill_in(&program, file, filled);
            let before = program.requests().len();
            let (all, left) = (filled.len(), 7 - filled.len());
            let mut outcomes = vec![("updated", all), ("unchanged", left)];
            outcomes.retain(|(_, rows)| *rows > 0);

            let line =
                if left == 1 { "1 row sets nothing: skipped" } else { &format!("{left} rows set nothing: skipped") };
            let check = program.run(&format!("check {file}")).expect_code(0);
            assert_eq!(check.printed().matches(line).count(), usize::from(left > 0), "{}", check.printed());
            let dry_run = program.run(&format!("run {file} --dry-run --base-url {}", program.origin())).expect_code(0);
            assert_eq!(dry_run.printed().matches(line).count(), usize::from(left > 0), "{}", dry_run.printed());
            assert!(dry_run.printed().contains(&format!("rows      {all} of {file}")), "{}", dry_run.printed());

            let ended = program.send(file).expect_code(0).expect_outcomes(&outcomes);
            assert_eq!(ended.printed().matches(line).count(), usize::from(left > 0), "{}", ended.printed());
            let results = ended.results();
            assert_eq!(results.iter().filter(|row| row["code"] == "nothing-asked").count(), left);
            let mut sent = filled.to_vec();
            sent.sort_unstable();
            assert_eq!(incidents(&program.requests()[before..]), sent);
        }
    }
}

#[test]
fn plan_and_page_of_partial_edits_agree() {
    let program = fetched("open.csv");
    fill_in(&program, "open.csv", &[2, 6]);
    let origin = program.origin();
    for look in ["", "--compare"] {
        let plan = format!("plan open.csv -o a.plan --base-url {origin} --report r.md --quota 1000/1s {look}");
        let planned = program.run(&plan).expect_code(0).expect_text("5 rows set nothing: skipped");
        assert!(!planned.printed().contains("already so"), "{}", planned.printed());
        let page = program.read("r.md");
        assert!(page.contains("2 updates from open"), "{page}");
        assert_eq!(page.matches("the row sets nothing").count(), 5, "{page}");
        program.run("plan a.plan").expect_code(0).expect_text("5 rows set nothing: skipped");
    }
    let applied = program.run("apply a.plan --yes --quota 1000/1s").expect_code(0);
    applied.expect_outcomes(&[("updated", 2), ("unchanged", 5)]);
    assert_eq!(incidents(&program.updates()), [2, 6]);
}

/// Sorted, with columns removed and the time rewritten by a spreadsheet, it is still a fetched file.
#[test]
fn fetched_file_is_recognized_without_its_time() {
    let program = fetched("open.csv");
    program.write(
        "a.csv",
        "incidentId,status,current_status,fetched_at\n1,Resolved,Active,28/11/2026 10:00\n2,,Active,\n",
    );
    program.write("b.jsonl", "{\"incidentId\":3,\"fetched_at\":null,\"current_status\":\"Active\"}\n");
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 1), ("unchanged", 1)]);
    program.send("b.jsonl").expect_code(0).expect_outcomes(&[("unchanged", 1)]);
}

#[test]
fn limit_counts_only_rows_that_set_something() {
    let program = fetched("open.csv");
    fill_in(&program, "open.csv", &[6, 4, 2]);
    let limited = program.send("open.csv --limit 2").expect_code(0);
    limited.expect_outcomes(&[("updated", 2), ("unchanged", 2)]);
    assert_eq!(incidents(&program.updates()), [4, 6]);
}

/// Failed rows are retried from the results, which are also known as fetched.
#[test]
fn empty_rows_of_fetched_results_stay_unchanged() {
    let program = fetched("open.csv");
    fill_in(&program, "open.csv", &[6]);
    program.write("open.csv", program.read("open.csv") + "9,Resolved,,,,,,,,,,,,,,,,\n");
    let failed = program.run(&format!("run open.csv --yes --base-url {}", program.origin()));
    let results = failed.results_path();
    let mut command = program.send_command("--only unchanged,failed,invalid");
    command.arg(&results);
    let again = started(command).end();
    assert!(again.outcomes().get("unchanged").is_some_and(|rows| *rows == 6), "{}", again.printed());
}

#[test]
fn nothing_to_set_is_an_error_elsewhere() {
    let program = Program::new().emulator(|_| ());
    for (name, text) in [
        ("own.csv", "incidentId,status,fetched_at\n1,,2026-11-24T10:00:00Z\n"),
        ("own.jsonl", "{\"incidentId\":1,\"current_status\":\"x\"}\n"),
    ] {
        program.write(name, text);
        program.run(&format!("check {name}")).expect_code(3).expect_text("nothing-to-set");
        program.send(name).expect_code(3);
    }
}

#[test]
fn command_printed_by_fetch_works() {
    for (file, options) in [("open.csv", ""), ("open.jsonl", "--contract defender --limit 3 --status active")] {
        let program = Program::new().emulator(|settings| settings.incidents = "1-7".parse().expect("incidents"));
        let origin = program.origin();
        let ended =
            program.run(&format!("fetch -o {file} --quota 1000/1s --base-url {origin} {options}")).expect_code(0);
        let printed = ended.stdout.lines().last().expect("a command").trim().to_owned();
        assert!(printed.starts_with(&format!("bulk-triage run {file} --set status=Resolved --dry-run")), "{printed}");
        let arguments = printed.strip_prefix("bulk-triage ").expect("the program").to_owned();
        let rows = if options.is_empty() { 7 } else { 3 };
        program.run(&arguments).expect_code(0).expect_text(&format!("{rows}  Resolved"));
    }
}
