//! `--format json`: however a command ends, it prints one JSON value with the exit code and the reason.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use serde_json::Value;

use crate::program::{Ended, Program, closing, started};
use crate::raw_terminal::{HOSTILE, expect_own_colors_only};

const BAD: &str = "incidentId,status\n1,Resolvd\n";

fn program(faults: &[&str]) -> Program {
    Program::new()
        .file("a.csv", closing(1..=3))
        .file("bad.csv", BAD)
        .file("header.csv", "incidentId,status\n")
        .file("empty.csv", "")
        .file("no.plan", "{\"plan\":1}\n")
        .faulty_emulator(faults)
}

/// The JSON object of a command that ended early.
#[track_caller]
fn error_of(ended: &Ended, command: &str) -> Value {
    let object = ended.json();
    assert_eq!(object["exit"].as_i64(), ended.code.map(i64::from), "{command}: {}", ended.printed());
    assert!(object["error"].as_str().is_some_and(|error| !error.is_empty()), "{command}: {}", ended.printed());
    object
}

#[test]
fn every_early_end_prints_one_json_object() {
    let program = program(&[]);
    let origin = format!("--base-url {}", program.origin());
    for (command, code) in [
        ("run missing.csv --yes", 3),
        ("run empty.csv --yes", 3),
        ("run bad.csv --yes", 3),
        ("run bad.csv --dry-run", 3),
        ("run a.csv --dry-run --contract nonsense", 2),
        ("run a.csv --yes --set status=Resolvd", 2),
        ("run a.csv --yes --quota 0/1m", 2),
        ("run a.csv --nonsense", 2),
        ("run a.csv --yes --token-file missing", 5),
        (&format!("run a.csv {origin}"), 2),
        ("run a.csv --yes --base-url http://192.0.2.1", 2),
        ("run a.csv --yes --state-dir /proc/nowhere", 2),
        ("check missing.csv", 3),
        ("check a.csv --contract nonsense", 2),
        ("check a.csv --set nonsense", 2),
        ("plan missing.csv", 3),
        ("plan bad.csv", 3),
        ("plan no.plan", 3),
        ("plan a.csv --compare --token-file missing", 5),
        ("apply missing.plan --yes", 3),
        ("apply no.plan --yes", 3),
        ("fetch -o open.csv --token-file missing", 5),
        ("fetch -o open.csv --status nonsense", 2),
        ("runs show nope", 2),
        ("runs resume nope --yes", 2),
        ("runs --state-dir a.csv", 70),
        ("runs list --nonsense", 2),
        ("contract nonsense", 2),
    ] {
        let ended = program.run(&format!("{command} --format json"));
        // For a wrong journal directory, only the error matters, not the code.
        let ended = if command.contains("--state-dir") { ended } else { ended.expect_code(code) };
        error_of(&ended, command);
    }
    assert_eq!(program.requests().len(), 0);
}

#[test]
fn hostile_arguments_end_in_one_safe_json_object() {
    let program = program(&[]);
    let long = "A".repeat(100_000);
    let texts =
        [HOSTILE.as_bytes(), b"two\n\nforged", b"\xff\xfe\x1b[5m", b"\xc2\x9b2J", b"\"\\u001b[5m", long.as_bytes()];
    for text in texts {
        for (words, before) in [
            ("check", ""),
            ("check a.csv", ""),
            ("check a.csv", "--"),
            ("check a.csv", "--limit="),
            ("check a.csv --set", ""),
            ("check a.csv --contract", ""),
            ("run a.csv --yes --quota", ""),
            ("run a.csv --yes --base-url", ""),
            ("run a.csv --yes --emulator --report", ""),
            ("plan a.csv -o", "missing/"),
            ("apply --yes", ""),
            ("fetch --status", ""),
            ("runs show", ""),
            ("", ""),
        ] {
            let hostile = OsStr::from_bytes(&[before.as_bytes(), text].concat()).to_owned();
            let mut arguments: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
            arguments.extend([hostile, "--format".into(), "json".into()]);
            let ended = started(program.command_of(&arguments)).end();
            assert!(matches!(ended.code, Some(2 | 3)), "{words} {before}: {}", ended.printed());
            expect_own_colors_only(ended.stdout.as_bytes());
            expect_own_colors_only(ended.stderr.as_bytes());
            let object = ended.json();
            assert!(object["error"].is_string() || object["diagnostics"].is_array(), "{words}: {}", ended.printed());
            assert_eq!(ended.stdout.lines().count(), 1, "{words} {before}");
        }
    }
}

#[test]
fn missing_token_is_reported_in_json() {
    let program = program(&[]);
    let mut command = program.command("run a.csv --yes --format=json");
    command.env_remove("BULK_TRIAGE_TOKEN");
    let object = error_of(&started(command).end().expect_code(5), "run");
    assert!(object["error"].as_str().is_some_and(|error| error.starts_with("no token")), "{object}");
}

#[test]
fn stopped_reads_print_one_json_object() {
    for command in
        ["run a.csv --compare --yes", "run a.csv --compare --dry-run", "plan a.csv --compare", "fetch -o o.csv"]
    {
        let program = program(&["503@1=48h"]);
        let ended = program.run(&format!("{command} --format json --patience 1s --base-url {}", program.origin()));
        let object = error_of(&ended.expect_code(4), command);
        assert!(object["error"].as_str().is_some_and(|error| error.contains("no requests until 20")), "{object}");
    }
}

#[test]
fn stopped_run_names_the_reason_in_its_summary() {
    let program = program(&["503@1=48h"]);
    let ended = program.send("a.csv --format json --patience 1s --concurrency 1").expect_code(4);
    let object = error_of(&ended, "run");
    assert!(object["error"].as_str().is_some_and(|error| error.contains("no requests until 20")), "{object}");
    assert_eq!(object["rows"], 3);
}

/// Standard output holds the list.
#[test]
fn fetch_to_stdout_prints_errors_on_stderr() {
    let program = program(&["503@1=48h"]);
    let fetch = format!("fetch -o - --format json --patience 1s --base-url {}", program.origin());
    let ended = program.run(&fetch).expect_code(4);
    assert_eq!(ended.stdout, "");
    let last = ended.stderr.lines().last().expect("a line");
    let object: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(object["exit"], 4);
}

#[test]
fn dry_run_in_json_is_one_object() {
    let program = program(&[]);
    for command in ["run a.csv --dry-run", "run a.csv --dry-run --compare", "run header.csv --dry-run"] {
        let ended = program.run(&format!("{command} --format json --base-url {}", program.origin())).expect_code(0);
        let object = ended.json();
        let sent = if command.contains("header") { 0 } else { 3 };
        assert_eq!((&object["dry_run"], &object["sent"], &object["exit"]), (&true.into(), &sent.into(), &0.into()));
    }
    let ended = program.run("plan header.csv -o header.plan --format json").expect_code(0);
    assert_eq!((&ended.json()["rows"], &ended.json()["exit"]), (&0.into(), &0.into()));
}

#[test]
fn applied_plan_prints_the_summary_of_its_run() {
    let program = program(&["404@#2"]);
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    let first = program.run("apply a.plan --yes --format json").expect_code(1).json();
    let again = program.run("apply a.plan --yes --format json").expect_code(1).json();
    for member in ["run", "scope", "input", "rows", "outcomes", "differs", "exit"] {
        assert_eq!(first[member], again[member], "{member}");
    }
    let results = first["results"].as_str().expect("a path");
    assert!(again["results"].as_str().expect("a path").ends_with(results));
    assert_eq!((&first["calls"], &again["calls"]), (&3.into(), &0.into()));
    // People see the same reason, and a hint.
    let human = program.run("apply a.plan --yes").expect_code(1).expect_text("failed, not-found: 1 row");
    let command = human.stdout.lines().last().expect("a command").trim().to_owned();
    assert!(command.starts_with("bulk-triage run ") && command.contains(".results.csv"), "{command}");
    let arguments = command.strip_prefix("bulk-triage ").expect("the program's name");
    program.run(&format!("{arguments} --format json")).expect_code(1).expect_text("\"failed\":1");
}

#[test]
fn applied_plan_that_differed_keeps_its_exit_code() {
    let program = program(&["ignore@1=assignedTo"]).file("a.csv", "incidentId,status,assignedTo\n2,Resolved,me\n");
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    for _ in 0..2 {
        program.run("apply a.plan --yes").expect_code(1).expect_text("\nnext:\n  bulk-triage runs show ");
    }
    program.run("apply a.plan --yes --allow-differs").expect_code(0);
}

#[test]
fn lists_plans_and_contracts_are_json() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    assert_eq!(program.run("runs list --format json").expect_code(0).json(), serde_json::json!([]));
    program.send("a.csv").expect_code(0);
    for command in ["runs list --format json", "runs --format json"] {
        let runs = program.run(command).expect_code(0).json();
        let shown = program.run(&format!("runs show {} --format json", program.last_run())).json();
        assert_eq!(runs, serde_json::json!([shown]), "{command}");
    }
    let origin = program.origin();
    let plan = program.run(&format!("plan a.csv --remember-nothing --base-url {origin} --format json"));
    plan.expect_code(2);
    program.write("b.csv", "incidentId,status\n1,Active\n2,Resolvd\n3,Resolved\n");
    let arguments = format!("plan b.csv --compare --skip-invalid --base-url {origin} --format json");
    let plan = program.run(&arguments).expect_code(1).json();
    assert_eq!((&plan["rows"], &plan["sent"], &plan["exit"]), (&3.into(), &1.into(), &1.into()), "{plan}");
    assert_eq!(plan["changes"][0]["change"]["status"], "Active");
    assert_eq!(plan["changes"][0]["before"]["status"], "Resolved");
    assert_eq!(plan["changes"][1]["left_out"]["outcome"], "invalid");
    assert_eq!(plan["changes"][2]["left_out"]["code"], "already-so");
    program.run(&format!("plan b.csv --skip-invalid -o b.plan --base-url {origin}")).expect_code(1);
    let saved = program.run("plan b.plan --format json").expect_code(1).json();
    assert_eq!(saved["file"], "b.plan");
    assert!(saved["plan"].as_str().is_some_and(|seal| seal.len() == 64), "{saved}");
    program.run("plan b.csv -o - --format json").expect_code(2);
    let contract = program.run("contract defender --format json").expect_code(0).json();
    assert_eq!((&contract["name"], &contract["quota"]), (&"defender".into(), &"50/1m,1500/1h".into()));
    assert_eq!(contract["properties"][0]["values"][1]["value"], "InProgress");
}
