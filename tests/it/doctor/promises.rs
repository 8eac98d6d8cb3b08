//! The promises that `doctor` must keep, too: one request, which is recorded; no secret; no change; no wait.

use std::process::Command;

use super::{command, found, found_by, good_token, program};
use crate::program::{Program, closing, files_below, started, throttled};
use crate::sign_in::kinds::{CLIENT_SECRET, Job, KINDS};

fn attempts(program: &Program) -> i64 {
    program.journal().query_row("SELECT count(*) FROM attempts", [], |row| row.get(0)).expect("a count")
}

#[test]
fn one_request_is_recorded_in_the_journal() {
    let program = program(|_| ());
    for requests in 1..=3 {
        found(&program, "").expect_code(0);
        assert_eq!((program.requests().len(), attempts(&program)), (requests, i64::try_from(requests).expect("few")));
    }
    assert!(program.requests().iter().all(|request| request.method == "GET" && !request.took_effect));
    program.run("runs").expect_code(0).expect_text("no runs");
}

/// Without a usable token, the connection is checked by connecting only.
#[test]
fn no_request_is_sent_without_token() {
    let program = program(|_| ());
    let mut command = command(&program, "");
    command.env_remove("BULK_TRIAGE_TOKEN");
    found_by(command).expect_code(5).expect("connection", "ok", "connected");
    assert!(program.requests().is_empty());
    assert_eq!(attempts(&program), 0);
}

#[test]
fn secrets_are_in_no_output_and_no_file() {
    let token = good_token();
    let program = program(|_| ());
    let ended = started(command(&program, "-vvv --log-file log.txt")).end().expect_code(0);
    assert!(!ended.printed().contains(&token[20..]), "{}", ended.printed());
    for path in files_below(program.dir()) {
        let content = std::fs::read(&path).expect("a file");
        assert!(!String::from_utf8_lossy(&content).contains(&token[20..]), "{}", path.display());
    }
    crate::program::at_once(KINDS, |kind| {
        let job = Job::of(kind);
        let line = format!("doctor -vvv --base-url {}", job.program.origin());
        let printed = started(job.with_credential(job.program.command(&line))).end().expect_code(0).printed();
        let secrets = job.program.issued_secrets().into_iter().chain([CLIENT_SECRET.to_owned()]);
        secrets.for_each(|secret| assert!(!printed.contains(&secret), "{kind:?}: {printed}"));
    });
}

/// A read-only root, no home directory, no directory for temporary files.
#[test]
fn works_as_in_a_container() {
    let program = program(|_| ());
    let mut bare = Command::new(env!("CARGO_BIN_EXE_bulk-triage"));
    bare.env_clear().current_dir("/proc").env("TMPDIR", "/nowhere").env("BULK_TRIAGE_TOKEN", good_token());
    bare.args(["doctor", "--base-url", &program.origin(), "--state-dir"]).arg(program.path("volume"));
    let found = found_by(bare).expect_code(0);
    found.expect("state directory", "ok", "volume: owner ");
}

#[test]
fn doctors_and_a_run_share_the_quota() {
    let program = program(|settings| settings.quota = Some("8/1s".parse().expect("a quota")));
    program.write("a.csv", closing(1..=16));
    let running = program.start_sending("a.csv --quota 8/1s");
    program.wait_for_requests(1);
    let doctors = [0; 3].map(|_| started(command(&program, "--quota 8/1s")));
    for doctor in doctors {
        doctor.end().expect_code(0);
    }
    running.end().expect_code(0).expect_outcomes(&[("updated", 16)]);
    let requests = program.requests();
    assert_eq!((throttled(&requests), attempts(&program)), (0, i64::try_from(requests.len()).expect("few")));
}

#[test]
fn quiet_prints_no_progress_or_nothing() {
    let program = program(|_| ());
    let quiet = started(command(&program, "-q")).end().expect_code(0);
    assert!(quiet.stderr.is_empty() && quiet.stdout.starts_with("check\tstate\tfinding\n"), "{}", quiet.printed());
    let silent = started(command(&program, "-qq")).end().expect_code(0);
    assert!(silent.stderr.is_empty() && silent.stdout.is_empty(), "{}", silent.printed());
}
