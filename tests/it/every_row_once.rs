//! Promise 4: every row of a finished run is in the results exactly once, in input order. After a stop or a kill this
//! holds once the run is resumed, or with `runs results`.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Ended, Program, closing, eventually, results_at, started, started_as_it_is};

/// Responses come in another order than the requests.
fn with_rows(rows: u64) -> Program {
    Program::new().file("a.csv", closing(1..=rows)).emulator(|settings| {
        settings.latency = Duration::from_millis(1)..=Duration::from_millis(60);
    })
}

/// Checks that each row is there once, in input order.
#[track_caller]
fn expect_whole(results: &Path, rows: u64) {
    let found: Vec<(String, String)> =
        results_at(results).iter().map(|row| (row["row"].clone(), row["incident_id"].clone())).collect();
    let expected: Vec<_> = (1..=rows).map(|row| (row.to_string(), row.to_string())).collect();
    assert_eq!(found, expected);
}

/// So slow that a signal always comes in the middle: one window admits four requests, and the next is far away.
const SLOW: &str = "a.csv --quota 4/1h";

#[test]
fn results_keep_the_input_order_and_columns() {
    let rows = "note,incidentId,status\r\nfirst,3,Resolved\r\n\"se;cond\",1,Active\r\n,2,Active\r\n";
    let program = Program::new().file("a.csv", rows).emulator(|settings| {
        settings.latency = Duration::from_millis(1)..=Duration::from_millis(60);
    });
    let ended = program.send("a.csv").expect_code(0);
    let text = fs::read_to_string(ended.results_path()).expect("results");
    let columns = "row,line,incident_id,outcome,code,message,http_status,attempts,request_id,finished_at";
    assert_eq!(text.lines().next(), Some(format!("{columns},note,incidentId,status").as_str()));
    let rows: Vec<_> = text.lines().skip(1).map(|line| line.split(',').take(4).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(rows, ["1,2,3,updated", "2,3,1,updated", "3,4,2,updated"]);
    assert!(text.lines().nth(2).is_some_and(|line| line.ends_with(",\"se;cond\",1,Active")), "{text}");
}

#[test]
fn jsonl_results_keep_each_line_verbatim() {
    let lines =
        ["{\"incidentId\": 1 ,\"status\":\"Active\", \"note\": 1.50}", "{\"status\":\"Active\",\"incidentId\":\"2\"}"];
    let program = Program::new().file("a.jsonl", lines.join("\n")).emulator(|_| ());
    let ended = program.send("a.jsonl").expect_code(0);
    let text = fs::read_to_string(ended.results_path()).expect("results");
    for (result, line) in text.lines().zip(lines) {
        assert!(result.ends_with(&format!("\"input\":{line}}}")), "{result}");
    }
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn results_of_results_carry_the_original_columns_once() {
    let program = with_rows(4);
    program.send("a.csv --results one.csv").expect_code(0);
    program.send("one.csv --only updated --remember 0 --results two.csv").expect_code(0);
    let header = |name| program.read(name).lines().next().map(str::to_owned);
    assert_eq!(header("one.csv"), header("two.csv"));
    expect_whole(&program.path("two.csv"), 4);
    program.send("one.csv --results three.csv").expect_code(0);
    assert_eq!(results_at(&program.path("three.csv")).len(), 0, "none is left to be done");
    program.send("a.csv --only failed").expect_code(2).expect_text("--only");
}

#[test]
fn results_grow_during_the_run() {
    let program = with_rows(12);
    let running = program.start_sending(&format!("{SLOW} --results r.csv"));
    let lines = || fs::read_to_string(program.path("r.csv")).map_or(0, |text| text.lines().count());
    eventually("four rows are in the results", || lines() == 5);
    running.signal(Signal::INT);
    running.end().expect_code(4);
    expect_whole(&program.path("r.csv"), 12);
}

/// Stops it once four rows are finished.
fn stopped(program: &Program, signals: &[Signal]) -> Ended {
    let running = program.start_sending(&format!("{SLOW} --results r.csv"));
    program.wait_for_requests(4);
    for signal in signals {
        running.signal(*signal);
    }
    running.end()
}

#[test]
fn ctrl_c_writes_results_and_suggests_resuming() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let program = with_rows(12);
        let ended = stopped(&program, &[signal]).expect_code(4);
        let ended = ended.expect_outcomes(&[("updated", 4), ("not-attempted", 8)]);
        expect_whole(&program.path("r.csv"), 12);
        // The suggested command resumes the run (it gets a larger quota here).
        let next = ended.stdout.lines().skip_while(|line| *line != "next:").nth(1).expect("a command").trim();
        assert!(next.starts_with("bulk-triage run a.csv"), "{next}");
        let arguments = next.strip_prefix("bulk-triage ").expect("this program").replace("4/1h", "1000/1s");
        let ended = program.run(&arguments).expect_code(0).expect_outcomes(&[("updated", 12)]);
        expect_whole(&ended.results_path(), 12);
        assert_eq!(program.requests().len(), 12);
    }
}

/// A request in flight never ends: the first signal waits for it, the second does not.
#[test]
fn second_signal_exits_at_once_without_loss() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let program = Program::new().file("a.csv", closing(1..=6)).faulty_emulator(&["stall-after@#2*1"]);
        let running = program.start_sending("a.csv --concurrency 1 --results r.csv");
        program.wait_for_requests(2);
        // Nothing shows whether the first signal has arrived, so signals are sent until the process is gone.
        eventually("the program is gone", || running.try_signal(signal).is_err());
        running.end().expect_code(code);
        let run = program.last_run();
        program.run(&format!("runs results {run}")).expect_code(0);
        expect_whole(&program.path("r.csv"), 6);
        let ended = program.send("a.csv --results r.csv").expect_code(0).expect_outcomes(&[("updated", 6)]);
        expect_whole(&ended.results_path(), 6);
        assert_eq!(program.comments(2), ["Comment on 2"]);
    }
}

#[test]
fn runs_results_has_every_row_after_kill() {
    let program = with_rows(12);
    let running = program.start_sending(&format!("{SLOW} --results r.csv"));
    program.wait_for_requests(4);
    running.kill();
    program.run("runs list").expect_code(0).expect_text("unfinished");
    let run = program.last_run();
    program.run(&format!("runs results {run} -o again.csv")).expect_code(0);
    expect_whole(&program.path("again.csv"), 12);
}

/// Resuming repairs a torn file: the growing file ends with half a line.
#[test]
fn torn_results_file_is_repaired_on_resume() {
    let program = with_rows(12);
    let running = program.start_sending(&format!("{SLOW} --results r.csv"));
    eventually("two rows are in the results", || {
        fs::read_to_string(program.path("r.csv")).is_ok_and(|text| text.lines().count() > 2)
    });
    running.kill();
    let torn = fs::read(program.path("r.csv")).expect("results");
    program.write("r.csv", &torn[..torn.len() - 7]);
    program.send("a.csv --results r.csv").expect_code(0);
    expect_whole(&program.path("r.csv"), 12);
}

#[test]
fn closed_standard_output_loses_no_row() {
    let program = with_rows(12);
    let mut command = program.send_command("a.csv --results r.csv");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stdout(writer).stderr(Stdio::piped());
    started_as_it_is(command).end().expect_code(0);
    expect_whole(&program.path("r.csv"), 12);
}

#[test]
fn closed_standard_error_loses_no_row() {
    let program = with_rows(12);
    let mut command = program.send_command("a.csv --results r.csv -v");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stderr(writer).stdout(Stdio::piped());
    started_as_it_is(command).end().expect_code(0);
    expect_whole(&program.path("r.csv"), 12);
}

#[test]
fn check_into_a_closed_pipe_ends_quietly() {
    let program = with_rows(12);
    for arguments in ["check a.csv", "check a.csv --format json", "contract", "man", "completions bash", "--help"] {
        let mut command = program.command(arguments);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        let ended = started_as_it_is(command).end();
        assert!(!ended.stderr.contains("panicked"), "{arguments}: {}", ended.printed());
        assert!(ended.stderr.is_empty(), "{arguments}: {}", ended.printed());
        assert!([Some(0), Some(4)].contains(&ended.code), "{arguments}: {:?}", ended.code);
    }
}

/// Output that could not be written in full is not a success, and it is reported.
#[test]
fn output_into_a_closed_pipe_stops_with_4() {
    let program = with_rows(12);
    let fetch = format!("fetch -o - --limit 12 --base-url {}", program.origin());
    for (arguments, says) in
        [(&*fetch, "before all of the list was written"), ("plan a.csv -o -", "before all of the plan was written")]
    {
        let mut command = program.command(arguments);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        started_as_it_is(command).end().expect_code(4).expect_text(says);
    }
}

#[test]
fn json_summary_has_exactly_its_members() {
    let program = Program::new().file("a.csv", closing(1..=5)).faulty_emulator(&["404@#2", "429@1=header-seconds/1s"]);
    let summary = program.send("a.csv --format json --concurrency 1").expect_code(1).json();
    let names: Vec<&String> = summary.as_object().expect("an object").keys().collect();
    let expected = [
        "run",
        "scope",
        "origin",
        "input",
        "rows",
        "outcomes",
        "differs",
        "calls",
        "updates",
        "reads",
        "throttled",
        "started_at",
        "finished_at",
        "results",
        "settings",
        "exit",
    ];
    assert_eq!(names, expected);
    assert_eq!(summary["rows"], 5);
    assert_eq!((&summary["outcomes"]["updated"], &summary["outcomes"]["failed"]), (&4.into(), &1.into()));
    assert_eq!((&summary["calls"], &summary["throttled"], &summary["exit"]), (&6.into(), &1.into(), &1.into()));
}

#[test]
fn json_log_is_one_object_per_line() {
    let program = with_rows(5);
    let command = program.send_command("a.csv -vv --log-format json --log-file log.jsonl");
    started(command).end().expect_code(0);
    let log = program.read("log.jsonl");
    assert!(log.lines().count() > 5, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("an object");
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
}
