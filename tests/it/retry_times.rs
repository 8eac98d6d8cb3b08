//! Retry times: no request is sent before the time that a response named, whatever its status and format.

use std::fmt::Write as _;
use std::time::Duration;

use crate::program::{Program, Request, at_once, closing, fault_of};

fn scattered() -> String {
    (1..=6).fold("incidentId,status\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "{},Resolved", n * 150);
        text
    })
}

fn program(faults: &[&str]) -> Program {
    Program::new().file("close.csv", closing(1..=6)).file("a.csv", scattered()).emulator(|settings| {
        settings.incidents = "1-5000".parse().expect("incidents");
        settings.faults = faults.iter().map(|fault| fault_of(fault)).collect();
    })
}

/// The milliseconds between each request whose response named a time and the next request.
fn gaps(requests: &[Request]) -> Vec<i64> {
    let pairs = requests.windows(2).filter(|pair| pair[0].resume_us.is_some());
    pairs.map(|pair| (pair[1].at_us - pair[0].at_us) / 1_000).collect()
}

#[test]
fn retry_time_is_kept_for_every_status() {
    let commands =
        ["run close.csv --yes --settle 150ms", "run a.csv --compare --dry-run", "fetch -o open.csv --limit 150"];
    let statuses = ["408", "500", "502", "503", "504"];
    at_once(statuses.into_iter().flat_map(|status| commands.map(|command| (status, command))), |(status, command)| {
        let program = program(&[&format!("{status}@2=2s")]);
        let ended = program.run(&format!("{command} --concurrency 1 --quota 1000/4s --base-url {}", program.origin()));
        ended.expect_code(0).expect_text("service busy: paused until");
        let gaps = gaps(&program.requests());
        assert!(gaps.len() == 1 && gaps[0] >= 2_000, "{status}, {command}: {gaps:?}");
    });
}

/// The pause belongs to the tenant: it is stored, and other processes and the next start obey it.
#[test]
fn retry_time_is_shared_and_survives_kill() {
    let program = program(&["503@1=3s"]);
    let first = program.start_sending("close.csv --quota 1000/4s --concurrency 1");
    program.wait_for_requests(1);
    let resume = program.requests()[0].resume_us.expect("a time");
    let second = program.start_sending("a.csv --quota 1000/4s --concurrency 1");
    second.end().expect_code(0);
    first.end().expect_code(0);
    let requests = program.requests();
    // The second process may have had its permit before the first one's response was read.
    let early = requests.iter().skip(2).filter(|request| request.at_us < resume).count();
    assert_eq!(early, 0);
}

#[test]
fn one_request_goes_first_after_the_retry_time() {
    let program = program(&["503@1-7=2s"]);
    program.send("close.csv --quota 1000/4s --concurrency 6").expect_code(0);
    let requests = program.requests();
    let resume = requests[0].resume_us.expect("a time");
    let after: Vec<&Request> = requests.iter().filter(|request| request.at_us >= resume).collect();
    assert!(after[1].at_us - after[0].at_us > 1_900_000, "the one that goes first is refused again");
}

#[test]
fn retry_time_of_hours_stops_the_command() {
    let commands =
        ["run close.csv --yes", "run a.csv --compare --dry-run", "fetch -o open.csv", "run a.csv --compare --yes"];
    at_once(commands, |command| {
        let program = program(&["503@1=48h"]);
        let ended = program.run(&format!("{command} --quota 1000/4s --patience 10s --base-url {}", program.origin()));
        ended.expect_code(4).expect_text("the service accepts no requests until 20");
        assert!(program.requests().len() <= 8);
        assert!(!program.path("open.csv").exists());
    });
}

/// The time is stored in full: a later start of any command sends nothing before it, and does not wait for hours.
#[test]
fn stored_pause_of_hours_stops_every_command() {
    let program = program(&["503@8=3h"]);
    let origin = program.origin();
    let options = format!("--quota 1000/4s --patience 10s --concurrency 1 --base-url {origin}");
    program.run(&format!("run a.csv --compare --yes --settle 150ms {options}")).expect_code(4);
    let run = program.last_run();
    program.run(&format!("plan close.csv -o close.plan --base-url {origin}")).expect_code(0);
    let sent = program.requests().len();
    for command in [
        "run close.csv --yes",
        "run close.csv --compare --dry-run",
        "fetch -o open.csv",
        "apply close.plan --yes",
        &format!("runs resume {run} --yes"),
        &format!("runs undo {run} -o undo.plan"),
    ] {
        let origin = if command.starts_with("runs") { "" } else { &*format!("--base-url {origin}") };
        let ended = program.run(&format!("{command} --quota 1000/4s --patience 10s {origin}"));
        ended.expect_code(4).expect_text("the service accepts no requests until 20");
        assert_eq!(program.requests().len(), sent, "{command}");
    }
    // The rest is shorter than `--patience`, so the command waits.
    program.age_the_pause(Duration::from_secs(3 * 3_600 - 5));
    program.run(&format!("run close.csv --yes --settle 150ms {options}")).expect_code(0);
}

#[test]
fn just_passed_time_costs_a_second() {
    let program = program(&["429@2=just-passed"]);
    let ended = program.send("close.csv --quota 1000/30s --concurrency 1").expect_code(0);
    ended.expect_text("the time that the response names has just passed");
    let gaps = gaps(&program.requests());
    assert!(gaps.len() == 1 && (1_000..20_000).contains(&gaps[0]), "{gaps:?}");
}

#[test]
fn second_just_passed_time_costs_the_shortest_window() {
    let program = program(&["429@2-3=just-passed"]);
    program.send("close.csv --quota 1000/5s --concurrency 1").expect_code(0);
    let gaps = gaps(&program.requests());
    assert!(gaps.len() == 2 && (1_000..5_000).contains(&gaps[0]) && gaps[1] >= 5_000, "{gaps:?}");
}

/// Only early requests matter here, not how late they are.
#[test]
fn outage_with_retry_times_is_waited_out() {
    let program = program(&["503@2-7=1s"]);
    let ended = program.run(&format!(
        "fetch -o open.csv --limit 150 --quota 1000/{}s --base-url {}",
        Duration::from_secs(4).as_secs(),
        program.origin()
    ));
    ended.expect_code(0);
    let gaps = gaps(&program.requests());
    assert!(gaps.len() == 6 && gaps.iter().all(|gap| *gap >= 1_000), "{gaps:?}");
}
