//! Promise 9: run twice is run once. The same command again, after any end, sends what is missing and nothing twice.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::program::{Program, Started, closing, incidents, started};

#[test]
fn repeated_finished_command_sends_nothing() {
    let program = Program::new().file("a.csv", closing(1..=20)).emulator(|_| ());
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 20)]);
    let again = program.send("a.csv").expect_code(0).expect_outcomes(&[("unchanged", 20)]);
    let row = &again.results()[0];
    assert_eq!(row["code"], "done-before");
    assert_eq!(program.requests().len(), 20);
}

/// cron mails whatever is printed.
#[test]
fn quiet_repeat_prints_only_the_summary() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    let again = program.send("a.csv -q").expect_code(0).expect_outcomes(&[("unchanged", 3)]);
    assert_eq!(again.stderr, "");
}

#[test]
fn killed_and_repeated_command_updates_once() {
    let program = Program::new().file("a.csv", closing(1..=60)).emulator(|settings| {
        settings.latency = Duration::from_millis(5)..=Duration::from_millis(20);
    });
    let killed = program.start_sending("a.csv --quota 1000/1s");
    program.wait_for_requests(25);
    killed.kill();
    let ended = program.send("a.csv --quota 1000/1s").expect_code(0);
    ended.expect_outcomes(&[("updated", 60)]);
    for id in 1..=60 {
        assert_eq!(program.comments(id), [format!("Comment on {id}")]);
    }
}

/// It finishes despite repeated kills, and nothing is applied twice.
#[test]
fn many_kills_lose_nothing() {
    let program = Program::new().file("a.csv", closing(1..=40)).emulator(|settings| {
        settings.latency = Duration::from_millis(5)..=Duration::from_millis(20);
    });
    for requests in [1, 9, 18] {
        let killed = program.start_sending("a.csv --concurrency 4");
        program.wait_for_requests(requests);
        killed.kill();
    }
    program.send("a.csv --quota 1000/1s").expect_code(0).expect_outcomes(&[("updated", 40)]);
    for id in 1..=40 {
        assert_eq!(program.comments(id), [format!("Comment on {id}")]);
    }
}

#[test]
fn three_corrected_rows_are_three_requests() {
    let program = Program::new().file("a.csv", closing(1..=20)).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    let mended = closing(1..=20).replace("Comment on 7\n", "Mended\n").replace("Comment on 9\n", "Mended\n");
    program.write("a.csv", mended.replace("20,Resolved,Comment on 20", "20,Active,Comment on 20"));
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 3), ("unchanged", 17)]);
    assert_eq!(incidents(&program.requests()[20..]), [7, 9, 20]);
}

#[test]
fn full_file_after_limit_sends_the_rest() {
    let program = Program::new().file("a.csv", closing(1..=30)).emulator(|_| ());
    program.send("a.csv --limit 10").expect_code(0).expect_outcomes(&[("updated", 10)]);
    program.send("a.csv").expect_code(0).expect_outcomes(&[("unchanged", 10), ("updated", 20)]);
    assert_eq!(incidents(&program.requests()), (1..=30).collect::<Vec<_>>());
}

#[test]
fn duplicate_row_is_sent_once() {
    let rows = "incidentId,comment\n1,seen\n2,seen\n1,seen\n";
    let program = Program::new().file("a.csv", rows).emulator(|_| ());
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 2), ("unchanged", 1)]);
    assert_eq!(program.comments(1), ["seen"]);
}

#[test]
fn overlapping_files_in_parallel_send_nothing_twice() {
    let program = Program::new().file("a.csv", closing(1..=40)).file("b.csv", closing(21..=60)).emulator(|settings| {
        settings.latency = Duration::from_millis(5)..=Duration::from_millis(40);
    });
    let start = |file| program.start_sending(&format!("{file} --quota 1000/1s"));
    let both: Vec<Started> = ["a.csv", "b.csv"].map(start).into();
    for one in both {
        one.end().expect_code(0);
    }
    assert_eq!(incidents(&program.updates()), (1..=60).collect::<Vec<_>>());
}

/// The second process finds the first one's run in flight, or its applied changes.
#[test]
fn same_file_in_parallel_sends_nothing_twice() {
    let program = Program::new().file("a.csv", closing(1..=40)).emulator(|settings| {
        settings.latency = Duration::from_millis(5)..=Duration::from_millis(40);
    });
    let both = [1, 2].map(|_| program.start_sending("a.csv --quota 1000/1s"));
    for one in both {
        let ended = one.end();
        assert!(matches!(ended.code, Some(0 | 4)), "{}", ended.printed());
    }
    assert_eq!(incidents(&program.updates()), (1..=40).collect::<Vec<_>>());
}

#[test]
fn failed_rows_are_retried_from_file_and_results() {
    let program = Program::new().file("a.csv", closing(1..=10)).faulty_emulator(&["400@#4*2", "404@#7*1"]);
    let ended = program.send("a.csv --results r.csv").expect_code(1).expect_outcomes(&[("updated", 8), ("failed", 2)]);
    ended.expect_text("run r.csv");
    program.send("a.csv").expect_code(1).expect_outcomes(&[("unchanged", 8), ("updated", 1), ("failed", 1)]);
    // From the first results: row 7 was applied since, row 4 is applied now.
    program.send("r.csv --results s.csv").expect_code(0).expect_outcomes(&[("unchanged", 1), ("updated", 1)]);
    assert_eq!(incidents(&program.requests()[10..]), [4, 4, 7]);
}

#[test]
fn remember_zero_ignores_other_runs() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    program.send("a.csv --remember 0").expect_code(0).expect_outcomes(&[("updated", 3)]);
    assert_eq!(program.comments(1).len(), 2);
}

#[test]
fn undone_change_is_applied_again() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n");
    let program = program.file("b.csv", "incidentId,status\n1,Active\n").emulator(|_| ());
    for file in ["a.csv", "b.csv", "a.csv"] {
        program.send(file).expect_code(0).expect_outcomes(&[("updated", 1)]);
    }
    assert_eq!(program.incident(1)["status"], "Resolved");
}

const RESOLVED_DONE: &str = "incidentId,status,comment\n1,Resolved,done\n";

/// The bodies of the updates that were sent.
fn bodies(program: &Program) -> Vec<String> {
    program.updates().into_iter().map(|update| update.body.expect("an update has a body")).collect()
}

/// Another update of ours has changed the status: it is set again, but the comment is not added again.
#[test]
fn undone_properties_are_resent_without_the_comment() {
    let program = Program::new().file("a.csv", RESOLVED_DONE).file("b.csv", "incidentId,status\n1,Active\n");
    let program = program.emulator(|_| ());
    for file in ["a.csv", "b.csv", "a.csv"] {
        program.send(file).expect_code(0).expect_outcomes(&[("updated", 1)]);
    }
    let set = r#"{"status":"Resolved"}"#;
    assert_eq!(bodies(&program), [r#"{"status":"Resolved","comment":"done"}"#, r#"{"status":"Active"}"#, set]);
    // That was the same change once more.
    program.send("a.csv").expect_code(0).expect_outcomes(&[("unchanged", 1)]);
}

#[test]
fn same_comment_of_another_change_is_not_repeated() {
    let program = Program::new().file("a.csv", RESOLVED_DONE).emulator(|_| ());
    program.write("b.csv", "incidentId,classification,comment\n1,FalsePositive,done\n");
    program.write("c.csv", "incidentId,comment\n1,done\n");
    program.write("d.csv", "incidentId,comment\n1,done again\n");
    program.send("a.csv").expect_code(0);
    program.send("b.csv").expect_code(0).expect_outcomes(&[("updated", 1)]);
    let ended = program.send("c.csv").expect_code(0).expect_outcomes(&[("unchanged", 1)]);
    assert_eq!(ended.results()[0]["code"], "done-before");
    program.send("d.csv").expect_code(0).expect_outcomes(&[("updated", 1)]);
    assert_eq!(program.comments(1), ["done", "done again"]);
    assert_eq!(program.incident(1)["classification"], "FalsePositive");
    program.send("c.csv --remember 0").expect_code(0).expect_outcomes(&[("updated", 1)]);
}

/// The response to the update without the comment is lost, and the process killed: the next start sends it again.
#[test]
fn kill_between_comment_and_properties_repeats_no_comment() {
    let program = Program::new().file("a.csv", RESOLVED_DONE).file("b.csv", "incidentId,status\n1,Active\n");
    let program = program.faulty_emulator(&["stall@3*1"]);
    program.send("a.csv").expect_code(0);
    program.send("b.csv").expect_code(0);
    let killed = program.start_sending("a.csv");
    program.wait_for_requests(3);
    killed.kill();
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 1)]);
    assert_eq!((program.comments(1).len(), &program.incident(1)["status"]), (1, &"Resolved".into()));
    assert!(program.requests().iter().all(|request| request.method == "PATCH"));
}

#[test]
fn stopped_run_resumes_as_the_same_run() {
    let program = Program::new().file("a.csv", closing(1..=8)).emulator(|settings| {
        settings.latency = Duration::from_millis(1)..=Duration::from_millis(2);
    });
    let stopped = program.send("a.csv --quota 4/3s --stop-after 300ms").expect_code(4);
    let stopped = stopped.expect_outcomes(&[("updated", 4), ("not-attempted", 4)]);
    let ended = program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 8)]);
    assert_eq!(ended.results_path(), stopped.results_path(), "one run has one results file");
    program.run("runs list").expect_code(0).expect_text("finished");
    assert_eq!(program.requests().len(), 8);
}

#[test]
fn runs_resume_takes_a_run_id() {
    let program = Program::new().file("a.csv", closing(1..=8)).emulator(|_| ());
    let stopped = program.send("a.csv --quota 4/3s --stop-after 300ms --format json").expect_code(4);
    let run = stopped.json()["run"].as_str().expect("a name").to_owned();
    program.run(&format!("runs show {run}")).expect_code(0).expect_text("unfinished");
    let ended = program.run(&format!("runs resume {run} --yes")).expect_code(0);
    ended.expect_outcomes(&[("updated", 8)]);
    program.run(&format!("runs resume {run} --yes")).expect_text(&run);
    assert_eq!(program.requests().len(), 8);
}

#[test]
fn resumed_run_keeps_remember_zero() {
    let program = Program::new().file("a.csv", closing(1..=8)).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    let stopped = program.send("a.csv --remember 0 --quota 4/3s --stop-after 300ms --format json").expect_code(4);
    let run = stopped.json()["run"].as_str().expect("a name").to_owned();
    program.run(&format!("runs resume {run} --yes")).expect_code(0).expect_outcomes(&[("updated", 8)]);
    assert_eq!(program.comments(8).len(), 2);
}

#[test]
fn repeated_standard_input_sends_nothing_twice() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let send = || {
        let mut command = program.send_command("-");
        command.stdin(fs::File::open(program.path("a.csv")).expect("a file"));
        started(command).end().expect_code(0)
    };
    let ended = send().expect_outcomes(&[("updated", 3)]);
    let name = ended.results_path().file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.starts_with("stdin."), "{name}");
    send().expect_outcomes(&[("unchanged", 3)]);
}

#[test]
fn only_sends_exactly_rows_of_each_outcome() {
    const OUTCOMES: [&str; 6] = ["updated", "unchanged", "failed", "invalid", "in-doubt", "not-attempted"];
    let program = Program::new().file("a.csv", closing(1..=6)).emulator(|_| ());
    // Each row has another outcome, as in real results.
    let ended = program.send("a.csv").expect_code(0);
    let whole = fs::read_to_string(ended.results_path()).expect("results");
    let (header, rows) = whole.split_once('\n').expect("a header");
    let rows: Vec<String> =
        rows.lines().zip(OUTCOMES).map(|(row, outcome)| row.replacen("updated", outcome, 1)).collect();
    assert!(rows.iter().zip(OUTCOMES).all(|(row, outcome)| row.contains(outcome)), "{rows:?}");
    program.write("r.csv", format!("{header}\n{}\n", rows.join("\n")));
    let selections = OUTCOMES.iter().zip(1..).map(|(outcome, id)| ((*outcome).to_owned(), vec![id]));
    let several = [("updated,in-doubt,failed".to_owned(), vec![1, 3, 5])];
    for (only, ids) in selections.chain(several) {
        let before = program.updates().len();
        program.send(&format!("r.csv --only {only} --remember 0")).expect_code(0);
        assert_eq!(incidents(&program.updates()[before..]), ids, "--only {only}");
    }
    let before = program.updates().len();
    program.send("r.csv --remember 0").expect_code(0);
    assert_eq!(incidents(&program.updates()[before..]), [3, 4, 5, 6], "without --only");
}

/// The last request of the older run is more than 12 hours old, so the same command starts a new run.
#[test]
fn newer_of_two_equal_unfinished_runs_is_resumed() {
    let program = Program::new().file("a.csv", closing(1..=8)).emulator(|settings| {
        settings.latency = Duration::from_millis(50)..=Duration::from_millis(100);
    });
    let interrupt = |requests| {
        let running = program.start_sending("a.csv --concurrency 1");
        program.wait_for_requests(requests);
        running.signal(Signal::INT);
        running.end().expect_code(4);
        program.last_run()
    };
    let older = interrupt(2);
    move_back(&program.path("state/journal.db"), Duration::from_hours(13));
    let newer = interrupt(program.requests().len() + 2);
    assert_ne!(older, newer, "too old to be resumed within 12 hours");
    let ended = program.send("a.csv --remember 24h --format json").expect_code(0);
    assert_eq!(ended.json()["run"].as_str(), Some(newer.as_str()));
    program.run(&format!("runs show {older}")).expect_code(0).expect_text("unfinished");
    let shown = program.run(&format!("runs show {newer}")).expect_code(0);
    assert!(!shown.stdout.contains("unfinished"), "{}", shown.printed());
}

/// Moves everything in this journal into the past.
#[expect(clippy::disallowed_methods, reason = "no run of the program takes hours")]
fn move_back(journal: &Path, time: Duration) {
    let micros = i64::try_from(time.as_micros()).expect("some hours");
    let db = Connection::open(journal).expect("the journal is there");
    for change in [
        "UPDATE attempts SET started = started - ?1, started_wall = started_wall - ?1, ended = ended - ?1,
         ended_wall = ended_wall - ?1",
        "UPDATE runs SET created_wall = created_wall - ?1",
    ] {
        db.execute(change, [micros]).expect("it is no later");
    }
}

/// Both have read the same incidents before either can know of the other.
#[test]
fn two_starts_at_once_make_one_run() {
    let program = Program::new().file("a.csv", closing(1..=20)).emulator(|settings| {
        settings.latency = Duration::from_millis(300)..=Duration::from_millis(300);
    });
    let both = [(); 2].map(|()| program.start_sending("a.csv --compare --concurrency 4 --quota 1000/1s"));
    let [one, other] = both.map(Started::end);
    let (sent, refused) = if one.code == Some(0) { (one, other) } else { (other, one) };
    refused.expect_code(4).expect_text("is being sent by another process (process ");
    sent.expect_code(0).expect_outcomes(&[("updated", 20)]);
    assert_eq!(incidents(&program.updates()).len(), 20);
    let runs = program.run("runs list --format json").expect_code(0).json();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
}
