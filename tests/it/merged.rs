//! `--follow-redirects`: if an incident was merged into another one, the other one is updated, once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::program::{Program, by_api, fault_of, incidents, with_graph};

with_graph!(
    merge_target_is_updated_instead,
    rows_merged_into_one_incident_update_once,
    conflicting_rows_of_merged_incidents_are_not_sent,
    cyclic_or_missing_merge_target_is_not_sent,
    plan_and_undo_use_the_merge_target,
    update_of_merged_incident_stays_failed_when_repeated,
    lost_update_of_merged_incident_fails,
    resumed_run_keeps_its_merge_targets,
    kill_between_reads_leaves_no_target_unread,
    failed_row_is_retried_at_same_incident,
);

/// 30 and 32 were merged into 31, 40 by way of 41 into 42; 50 and 51 into each other, and 60 into a deleted one.
fn program(rows: &str) -> Program {
    Program::new().file("a.csv", rows).emulator(|settings| {
        settings.incidents = "1-59".parse().expect("incidents");
        settings.merged = [(30, 31), (32, 31), (40, 41), (41, 42), (50, 51), (51, 50), (60, 600)].into();
    })
}

/// `30 updated` or `50 failed redirected`, for each row.
fn ends(results: &[BTreeMap<String, String>]) -> Vec<String> {
    let end = |row: &BTreeMap<String, String>| {
        format!("{} {} {}", row["incident_id"], row["outcome"], row["code"]).trim_end().to_owned()
    };
    results.iter().map(end).collect()
}

#[test]
fn merge_target_is_updated_instead() {
    let program =
        program("incidentId,status,comment\n7,Resolved,one\n30,Resolved,two\n40,Resolved,three\n8,Resolved,four\n");
    let ended = program.send("a.csv --follow-redirects").expect_code(0).expect_outcomes(&[("updated", 4)]);
    let ended = ended.expect_text("2 rows update the incident into which the row's own was merged (lines 3, 4)");
    let ended = ended.expect_text("line 3, 31 (for 30, which was merged into it):\n    status Active → Resolved");
    assert_eq!(ends(&ended.results()), ["7 updated", "30 updated", "40 updated", "8 updated"]);
    assert!(ended.results()[1]["message"].contains("incident 31, into which this one was merged"));
    assert_eq!(incidents(&program.updates()), [7, 8, 31, 42]);
    assert_eq!((program.comments(30), program.comments(31)), (vec![], vec!["two".to_owned()]));
    // Repeated, the command has nothing left to do.
    program.send("a.csv --follow-redirects").expect_code(0).expect_outcomes(&[("unchanged", 4)]);
    assert_eq!(program.updates().len(), 4);
}

#[test]
fn rows_merged_into_one_incident_update_once() {
    let program = program("incidentId,status,comment\n30,Resolved,dup\n32,Resolved,dup\n31,Resolved,dup\n");
    let ended = program.send("a.csv --compare --follow-redirects").expect_code(0);
    assert_eq!(ends(&ended.results()), ["30 updated", "32 unchanged done-before", "31 unchanged done-before"]);
    assert_eq!(program.comments(31), ["dup"]);
    assert_eq!(incidents(&program.updates()), [31]);
}

#[test]
fn conflicting_rows_of_merged_incidents_are_not_sent() {
    let program = program("incidentId,status\n30,Resolved\n7,Resolved\n31,Active\n32,Resolved\n");
    let ended = program.send("a.csv --follow-redirects").expect_code(1);
    let said = "3 rows not sent, another row has a conflicting change (lines 2, 4, 5)";
    let ended = ended.expect_text(said);
    let failed = "failed contradiction";
    let wanted = [format!("30 {failed}"), "7 updated".to_owned(), format!("31 {failed}"), format!("32 {failed}")];
    assert_eq!(ends(&ended.results()), wanted);
    assert!(ended.results()[0]["message"].ends_with("conflicting changes to incident 31: here and on line 4"));
    assert_eq!(incidents(&program.updates()), [7]);
}

#[test]
fn cyclic_or_missing_merge_target_is_not_sent() {
    let program = program("incidentId,status\n50,Resolved\n60,Resolved\n7,Resolved\n");
    let ended = program.send("a.csv --follow-redirects").expect_code(1);
    assert_eq!(ends(&ended.results()), ["50 failed redirected", "60 failed not-found", "7 updated"]);
    assert_eq!(incidents(&program.updates()), [7]);
}

#[test]
fn plan_and_undo_use_the_merge_target() {
    let program = program("incidentId,status\n30,Resolved\n7,Resolved\n");
    let origin = program.origin();
    let planned =
        format!("plan a.csv -o a.plan --follow-redirects --report a.html --quota 1000/1s --base-url {origin}");
    program.run(&planned).expect_code(0).expect_text("31 (for 30, which was merged into it)");
    assert!(program.read("a.plan").contains("\"incident\":\"30\",\"target\":31,"));
    assert!(program.read("a.html").contains("updates incident 31, into which this one was merged"));
    program.run("plan a.plan").expect_code(0).expect_text("1 row updates the incident");
    let ended = program.run("apply a.plan --yes --quota 1000/1s --report b.html").expect_code(0);
    assert_eq!(ends(&ended.results()), ["30 updated", "7 updated"]);
    assert!(program.read("b.html").contains("incident 31, into which this one was merged"));
    assert_eq!(incidents(&program.updates()), [7, 31]);
    let run = program.last_run();
    program.run(&format!("runs undo {run} -o undo.plan --quota 1000/1s")).expect_code(0);
    program.run("apply undo.plan --yes --quota 1000/1s").expect_code(0).expect_outcomes(&[("updated", 2)]);
    assert_eq!((&program.incident(31)["status"], &program.incident(7)["status"]), (&"Active".into(), &"Active".into()));
}

/// Repeating the command does not turn a failure into a success.
#[test]
fn update_of_merged_incident_stays_failed_when_repeated() {
    let program = program("incidentId,status,comment\n30,Resolved,two\n7,Resolved,one\n30,Resolved,two\n");
    let first = program.send("a.csv").expect_code(1).results();
    assert_eq!(ends(&first), ["30 failed redirected", "7 updated", "30 failed redirected"]);
    let results = program.names().into_iter().find(|name| name.contains(".results.csv")).expect("results");
    let plan = format!("plan a.csv -o a.plan --base-url {}", program.origin());
    program.run(&plan).expect_code(0);
    for command in ["run a.csv", "run a.csv --compare", &format!("run {results}"), "apply a.plan"] {
        let ended = program.run(&format!("{command} --yes --settle 150ms --base-url {}", program.origin()));
        let results = ended.expect_code(1).results();
        let merged: Vec<_> = results.into_iter().filter(|row| row["incident_id"] == "30").collect();
        assert_eq!(ends(&merged), ["30 failed redirected"; 2], "{command}");
        assert!(merged[0]["message"].contains("the incident was merged"), "{command}");
    }
    assert_eq!(incidents(&program.updates()), [7, 30]);
    // In Graph the response to the update shows the merge before the comment is sent.
    assert_eq!(program.comments(30), by_api(&["two"][..], &[]));
}

/// A response is lost, and the read shows that the incident was merged.
#[test]
fn lost_update_of_merged_incident_fails() {
    for rows in ["incidentId,status,comment\n30,Resolved,two\n", "incidentId,status\n30,Resolved\n"] {
        let program = Program::new().file("a.csv", rows).emulator(|settings| {
            settings.merged = [(30, 31)].into();
            settings.faults = [fault_of("cut-after@1")].into_iter().collect();
        });
        let updates = [(); 2].map(|()| {
            let ended = program.send("a.csv").expect_code(1);
            assert_eq!(ends(&ended.results()), ["30 failed redirected"]);
            program.updates().len()
        });
        assert_eq!(updates[0], updates[1], "{rows}");
    }
}

/// The run knows its redirects, so no later start has to follow them again.
#[test]
fn resumed_run_keeps_its_merge_targets() {
    let program = program("incidentId,status,comment\n7,Resolved,one\n30,Resolved,two\n40,Resolved,three\n");
    program.send("a.csv --follow-redirects --stop-after 0s").expect_code(4);
    assert_eq!(program.updates().len(), 0);
    let ended = program.run(&format!("runs resume {} --yes --quota 1000/1s", program.last_run())).expect_code(0);
    ended.expect_text("2 rows update the incident").expect_outcomes(&[("updated", 3)]);
    assert_eq!(incidents(&program.updates()), [7, 31, 42]);
}

/// A kill between two reads leaves a target unread: the next start reads it.
#[test]
fn kill_between_reads_leaves_no_target_unread() {
    let program = Program::new().file("a.csv", "incidentId,status\n30,Resolved\n31,Active\n").emulator(|settings| {
        settings.incidents = "1-59".parse().expect("incidents");
        settings.merged = [(30, 31)].into();
        settings.latency = Duration::from_millis(200)..=Duration::from_millis(200);
    });
    program.send("a.csv --stop-after 0s").expect_code(4);
    // Both are on one page; then the merge target is read.
    let started = program.start_sending("a.csv --follow-redirects");
    program.wait_for_requests(2);
    started.kill();
    let ended = program.run(&format!("runs resume {} --yes --quota 1000/1s", program.last_run())).expect_code(1);
    assert_eq!(ends(&ended.results()), ["30 failed contradiction", "31 failed contradiction"]);
    assert_eq!(program.updates().len(), 0);
}

#[test]
fn failed_row_is_retried_at_same_incident() {
    let program = program("incidentId,status\n30,Resolved\n60,Resolved\n");
    let planned = format!("plan a.csv -o a.plan --follow-redirects --quota 1000/1s --base-url {}", program.origin());
    program.run(&planned).expect_code(0);
    let ended = program.run("apply a.plan --yes --quota 1000/1s").expect_code(1);
    ended.expect_text(".results.csv --quota 1000/1s --yes --base-url ").expect_text(" --follow-redirects\n");
}
