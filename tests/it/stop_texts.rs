//! Runs that end without sending everything: progress, summary and exit code, one snapshot `stop-NAME.snap` for each
//! class. To accept a change, see [`crate::redact`].
//!
//! One request is in flight at a time, so that the order of the output is always the same.

use std::fs::File;
use std::process::Stdio;

use rustix::process::Signal;

use crate::connections::refusing_proxy;
use crate::program::{Program, closing, eventually, started, started_as_it_is};
use crate::story::Story;

/// So many rows, and an emulator with these faults.
fn program(rows: u64, faults: &[&str]) -> Program {
    Program::new().file("a.csv", closing(1..=rows)).faulty_emulator(faults)
}

/// One row after the other.
const ONE: &str = "--concurrency 1";

#[test]
fn refused_token() {
    let program = program(3, &["401@1-2", "403@3", "401@4-5", "403@6"]);
    let origin = program.origin();
    let mut story = Story::of(&program);
    story.send(&format!("a.csv {ONE}")).send(&format!("a.csv {ONE} --format json"));
    for arguments in ["fetch -o open.csv", "plan a.csv --compare"] {
        story.run(&format!("{arguments} {ONE} --base-url {origin}"));
    }
    story.is("stop-not-allowed");
}

#[test]
fn failing_rows() {
    let program = program(8, &["404"]);
    let mut story = Story::of(&program);
    story.send(&format!("a.csv {ONE} --max-failures 2")).send(&format!("a.csv {ONE}"));
    story.run("runs resume nonsense --yes").is("stop-failures");
}

#[test]
fn rows_fail_for_different_reasons() {
    let faults = [
        "400@#1",
        "404@#2",
        "409@#3",
        "redirect@#4=https://other.example.com/",
        "other@#5",
        "error-200@#6",
        "html@#7",
        "503@#8",
        "ignore@#9=status",
        "422@#10",
    ];
    let rows = closing(1..=11).replace("11,Resolved", "11,Resolvd");
    let program = Program::new().file("a.csv", rows).faulty_emulator(&faults);
    let mut story = Story::of(&program);
    story.send(&format!("a.csv {ONE} --max-attempts 1 --skip-invalid")).is("stop-rows");
}

#[test]
fn service_without_response() {
    let program = program(2, &["503@1-20"]);
    let mut story = Story::of(&program);
    story.send(&format!("a.csv {ONE} --patience 0"));
    story.run(&format!("fetch -o open.csv --patience 0 --base-url {}", program.origin()));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    story.run(&format!("run a.csv --yes --patience 0 {ONE} --base-url http://{nobody}"));
    let tls = program.origin().replace("http:", "https:");
    story.run(&format!("run a.csv --yes --patience 0 {ONE} --base-url {tls}"));
    for proxy in [format!("http://{nobody}"), "socks5://127.0.0.1:1".to_owned()] {
        let mut command = program.command(&format!("run a.csv --yes --patience 0 {ONE}"));
        command.env("HTTPS_PROXY", &proxy);
        story.command(&format!("HTTPS_PROXY={proxy} "), command);
    }
    let port = refusing_proxy("407 Proxy Authentication Required");
    let mut command = program.command(&format!("run a.csv --yes {ONE}"));
    command.env("HTTPS_PROXY", format!("http://me:s3cret@127.0.0.1:{port}"));
    story.command(&format!("HTTPS_PROXY=http://me:s3cret@127.0.0.1:{port} "), command).is("stop-service");
}

#[test]
fn pause_of_hours() {
    let program = program(2, &["503@1=3h"]);
    let origin = program.origin();
    let mut story = Story::of(&program);
    story.send(&format!("a.csv {ONE}")).send(&format!("a.csv {ONE} --format json"));
    story.run(&format!("fetch -o open.csv --base-url {origin}")).is("stop-throttled");
}

#[test]
fn rejected_and_failed_lists() {
    let program = program(2, &["500@lists"]);
    let origin = program.origin();
    let mut story = Story::of(&program);
    story.run(&format!("fetch -o open.csv --patience 0 --max-attempts 1 --base-url {origin}"));
    let refusing = Program::new().faulty_emulator(&[]);
    story.is("stop-list");
    let mut story = Story::of(&refusing);
    story.run(&format!("fetch -o open.csv --filter nonsense --base-url {}", refusing.origin()));
    story.is("stop-query");
}

#[test]
fn deadline_passes() {
    let program = program(3, &[]).file("first.csv", closing(9..=9));
    program.send("first.csv --quota 1/1h").expect_code(0);
    let mut story = Story::of(&program);
    story.send(&format!("a.csv {ONE} --quota 1/1h --stop-after 1ms")).is("stop-deadline");
}

#[test]
fn runs_and_files_in_use() {
    let program = program(2, &["stall@1"]).file("b.csv", closing(11..=12));
    let running = program.start_sending(&format!("a.csv {ONE} --results r.csv"));
    program.wait_for_requests(1);
    let mut story = Story::of(&program);
    story.send("a.csv").send("b.csv --results r.csv");
    let run = program.last_run();
    story.run(&format!("runs resume {run} --yes"));
    running.kill();
    story.is("stop-held");
}

#[test]
fn journal_in_use() {
    let program = program(2, &[]);
    program.send("a.csv --limit 1").expect_code(0);
    let holder = File::options().write(true).open(program.path("state/journal.lock")).expect("a lock");
    holder.lock().expect("nobody else has it");
    let mut command = program.send_command("a.csv");
    command.stdout(Stdio::piped()).stderr(File::create(program.path("said")).expect("a file"));
    let running = started_as_it_is(command);
    eventually("it says who holds it", || program.read("said").contains("waiting for the journal"));
    running.signal(Signal::TERM);
    let mut ended = running.end();
    ended.stderr = program.read("said");
    let mut story = Story::of(&program);
    story.ended("bulk-triage run a.csv --yes", &ended).is("stop-waiting");
}

#[test]
fn second_signal() {
    for (signal, name) in [(Signal::INT, "stop-signals"), (Signal::TERM, "stop-terminate")] {
        let program = program(2, &["stall"]);
        let mut command = program.send_command(&format!("a.csv {ONE}"));
        command.stdout(Stdio::piped()).stderr(File::create(program.path("said")).expect("a file"));
        let running = started_as_it_is(command);
        program.wait_for_requests(1);
        running.signal(signal);
        eventually("it says that it stops", || program.read("said").contains("stopping: 1 request in flight"));
        running.signal(signal);
        let mut ended = running.end();
        ended.stderr = program.read("said");
        Story::of(&program).ended("bulk-triage run a.csv --yes", &ended).is(name);
    }
}

#[test]
fn finished_plans_and_runs() {
    let program = program(2, &["404@#2*1"]).file("gone.csv", "incidentId,status\n5000,Resolved\n");
    let origin = program.origin();
    program.run(&format!("plan a.csv -o a.plan --base-url {origin}")).expect_code(0);
    let apply = format!("apply a.plan --yes {ONE} --quota 1000/1s --base-url {origin}");
    started(program.command(&apply)).end().expect_code(1);
    let run = program.last_run();
    let mut story = Story::of(&program);
    story.run(&apply).run(&format!("{apply} --format json"));
    story.run(&format!("runs undo {run} -o undo.plan --base-url {origin}"));
    story.run(&format!("runs undo {run} -o undo.plan --only 9 --base-url {origin}"));
    story.run(&format!("runs resume {run} --yes --base-url {origin}"));
    story.run(&format!("runs resume {run} --yes --base-url https://api.example.com"));
    story.run(&format!("runs resume {run} --yes --results a.csv --base-url {origin}"));
    story.is("stop-finished");
}
