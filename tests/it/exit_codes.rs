//! Each exit code, reached once in the shortest way. Other files test everything else that it promises.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use bulk_triage::cli::exit;
use rustix::process::Signal;

use crate::program::{Program, closing, eventually};

fn program(faults: &[&str]) -> Program {
    Program::new().file("a.csv", closing(1..=3)).file("bad.csv", "incidentId\nx\n").faulty_emulator(faults)
}

#[test]
fn nothing_left_to_do_is_0() {
    let program = program(&[]);
    for arguments in [
        "check a.csv",
        "run a.csv --emulator --yes",
        "run a.csv --emulator --dry-run",
        "runs",
        "contract",
        "man",
        "--version",
    ] {
        program.run(arguments).expect_code(exit::OK.into());
    }
    program.send("a.csv").expect_code(exit::OK.into());
    program.send("a.csv").expect_code(exit::OK.into());
}

#[test]
fn failed_or_invalid_row_is_1() {
    program(&["404@#2"]).send("a.csv").expect_code(exit::SOME_FAILED.into());
    let skipping = program(&[]).file("some.csv", "incidentId,status\n1,Active\n2,Resolvd\n");
    skipping.send("some.csv --skip-invalid").expect_code(exit::SOME_FAILED.into());
}

#[test]
fn invalid_command_line_is_2() {
    let program = program(&[]);
    for arguments in [
        "",
        "nonsense",
        "run",
        "check a.csv --nonsense",
        "check a.csv --set nonsense",
        "check a.csv --set nonsense=1",
        "check a.csv --set status=Resolvd",
        "check a.csv --set status=Active --set status=Active",
        "check a.csv --contract nonsense",
        "check a.csv --only updated",
        "check a.csv --only nonsense",
        "check a.csv --limit -1",
        "run a.csv --yes --quota 0/1m",
        "run a.csv --yes --quota 50",
        "run a.csv --yes --quota 50/0s",
        "run a.csv --yes --concurrency 0",
        "run a.csv --yes --max-attempts 0",
        "run a.csv --yes --patience soon",
        "run a.csv --yes --stop-after 5",
        "run a.csv --yes --emulator --base-url http://127.0.0.1:1",
        "run a.csv --yes --base-url https://api.example.com --quota 51/1m,1500/1h",
        "run a.csv --yes --base-url https://api.example.com --quota 50/1m",
        "run a.csv --yes --base-url https://api.example.com --quota 1500/1h",
        "run a.csv --yes --base-url https://api.example.com --quota 50/59s,1500/1h",
        "run a.csv --yes --base-url http://api.example.com",
        "run a.csv --dry-run --base-url https://api.example.com --quota 100/1m",
        "runs show none",
        "runs results none",
        "runs resume none --yes",
    ] {
        let ended = program.run(arguments).expect_code(exit::USAGE.into());
        assert!(!ended.stderr.is_empty(), "{arguments}");
    }
    assert!(program.requests().is_empty());
}

#[test]
fn invalid_input_is_3() {
    let program = program(&[]);
    for arguments in
        ["check bad.csv", "check missing.csv", "run bad.csv --emulator --yes", "run bad.csv --emulator --dry-run"]
    {
        program.run(arguments).expect_code(exit::INPUT.into());
    }
}

#[test]
fn early_stop_is_4() {
    program(&["down"]).send("a.csv --patience 0 --concurrency 1 --max-attempts 9").expect_code(exit::STOPPED.into());
    let slow = program(&[]);
    slow.send("a.csv --quota 1/1h --stop-after 200ms").expect_code(exit::STOPPED.into());
    let stalled = program(&["stall@1"]);
    let running = stalled.start_sending("a.csv --quota 1/1h");
    stalled.wait_for_requests(1);
    stalled.send("a.csv --quota 1/1h").expect_code(exit::STOPPED.into()).expect_text("being sent by another process");
    running.kill();
}

#[test]
fn too_many_failures_are_6() {
    let limited = program(&["404"]).send("a.csv --max-failures 2 --concurrency 1");
    limited.expect_code(exit::NEEDS_ATTENTION.into()).expect_text("as many as --max-failures allows");
    let first_five = program(&["404"]).file("a.csv", closing(1..=20));
    first_five.send("a.csv --format json").expect_code(6).expect_text("\"exit\":6");
}

#[test]
fn limit_reached_by_last_row_is_1() {
    program(&["404"]).send("a.csv --max-failures 3").expect_code(exit::SOME_FAILED.into());
}

#[test]
fn missing_or_refused_credentials_are_5() {
    for fault in ["401", "403"] {
        program(&[fault]).send("a.csv").expect_code(exit::NOT_ALLOWED.into());
    }
    program(&[]).send("a.csv --token-file missing").expect_code(exit::NOT_ALLOWED.into());
}

#[test]
fn damaged_journal_is_70() {
    let program = program(&[]);
    std::fs::create_dir(program.path("state")).expect("a directory");
    program.write("state/journal.db", [b'x'; 8_192]);
    for (name, mode) in [("state", 0o700), ("state/journal.db", 0o600)] {
        std::fs::set_permissions(program.path(name), std::fs::Permissions::from_mode(mode)).expect("its owner");
    }
    program.send("a.csv").expect_code(exit::INTERNAL.into());
    program.run("runs list").expect_code(exit::INTERNAL.into());
}

#[test]
fn second_signal_is_130_or_143() {
    for (signal, code) in [(Signal::INT, exit::INTERRUPTED), (Signal::TERM, exit::TERMINATED)] {
        let program = program(&["stall"]);
        let running = program.start_sending("a.csv");
        program.wait_for_requests(3);
        eventually("the program is gone", || running.try_signal(signal).is_err());
        running.end().expect_code(code.into());
    }
}

/// A signal is the normal end of the emulator, as of any server.
#[test]
fn emulator_exits_with_0_and_counts_requests() {
    let program = program(&[]);
    let mut command = program.command("emulator --log served.jsonl");
    let (mut said, stdout) = std::io::pipe().expect("a pipe");
    command.stdout(stdout).stderr(Stdio::piped());
    let running = crate::program::started_as_it_is(command);
    let mut origin = Vec::new();
    let mut byte = [0];
    while std::io::Read::read(&mut said, &mut byte).is_ok_and(|read| read == 1) && byte != *b"\n" {
        origin.extend(byte);
    }
    let origin = String::from_utf8(origin).expect("an origin");
    program.run(&format!("run a.csv --yes --base-url {origin}")).expect_code(0).expect_outcomes(&[("updated", 3)]);
    running.signal(Signal::TERM);
    running.end().expect_code(0);
    let mut last = String::new();
    std::io::Read::read_to_string(&mut said, &mut last).expect("its last line");
    assert_eq!(last.trim(), "3 requests, 0 throttled");
}
