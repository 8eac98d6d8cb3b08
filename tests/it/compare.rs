//! `--compare`: the current state of the incidents decides what is sent, and it is known before anything is sent.

use std::fmt::Write as _;

use crate::program::{Program, Request, by_api, incidents, is_graph, spelled, throttled, with_graph};

with_graph!(
    already_set_values_cost_no_update,
    every_read_precedes_the_first_update,
    skipped_rows_do_not_stop_the_run,
    dry_run_shows_every_change_and_sends_nothing,
    read_state_overrides_remembered_changes,
    comment_goes_alone_if_its_properties_are_set,
    resumed_comment_row_is_compared_again,
    lagging_read_does_not_hide_our_update,
    reads_and_updates_share_the_quota,
    reads_are_retried_and_failing_lists_replaced,
    row_of_unreadable_incident_is_not_sent,
    compare_works_with_the_emulator_option,
);

/// A file that closes these incidents, without comments.
fn resolving(ids: impl IntoIterator<Item = u64>) -> String {
    ids.into_iter().fold("incidentId,status\n".to_owned(), |mut text, id| {
        let _ = writeln!(text, "{id},Resolved");
        text
    })
}

fn program(name: &str, content: &str) -> Program {
    Program::new().file(name, content).emulator(|settings| {
        settings.incidents = "1-5000".parse().expect("incidents");
        settings.merged = [(30, 31)].into();
    })
}

fn looks(requests: &[Request]) -> usize {
    requests.iter().filter(|request| request.method == "GET").count()
}

#[test]
fn already_set_values_cost_no_update() {
    let program = program("half.csv", &resolving(1_001..=1_100));
    program.send("half.csv").expect_code(0);
    program.write("all.csv", resolving(1_001..=1_200));
    let ended = program.send("all.csv --compare --remember 0").expect_code(0);
    let ended = ended.expect_outcomes(&[("unchanged", 100), ("updated", 100)]);
    assert_eq!(ended.results()[0]["code"], "already-so");
    assert_eq!(incidents(&program.updates()), (1_001..=1_200).collect::<Vec<_>>());
    let looks = looks(&program.requests());
    assert!(looks <= by_api(6, 8), "{looks} looks at 200 incidents in a row");
}

#[test]
fn every_read_precedes_the_first_update() {
    let program = program("a.csv", &resolving([7, 30, 8, 6_000, 9]));
    let ended = program.send("a.csv --compare").expect_code(1);
    let ended = ended.expect_text("1 row not sent, no such incident (line 5)");
    let ended = ended.expect_text("1 row not sent, the incident was merged into another one (line 3)");
    let ended = ended.expect_text("line 2, 7:\n    status Active → Resolved");
    let results = ended.results();
    let ends: Vec<_> = results.iter().map(|row| format!("{} {}", row["outcome"], row["code"])).collect();
    assert_eq!(ends, ["updated ", "failed redirected", "updated ", "failed not-found", "updated "]);
    assert!(results[1]["message"].contains("merged into 31"), "{}", results[1]["message"]);
    let requests = program.requests();
    let first_update = requests.iter().position(|request| request.method == "PATCH").expect("an update");
    assert!(requests[first_update..].iter().all(|request| request.method == "PATCH"));
    assert_eq!(incidents(&program.updates()), [7, 8, 9]);
}

/// Five missing incidents were reported beforehand, so the first-five rule does not apply.
#[test]
fn skipped_rows_do_not_stop_the_run() {
    let program = program("a.csv", &resolving((9_001..=9_009).chain(1..=9)));
    program.send("a.csv --compare").expect_code(1).expect_outcomes(&[("failed", 9), ("updated", 9)]);
}

#[test]
fn dry_run_shows_every_change_and_sends_nothing() {
    let program = program("a.csv", "incidentId,status,tags,comment\n1,Resolved,a; b,seen\n2,Active,,\n3,,,=1+1\n");
    let command = format!("run a.csv --dry-run --compare --base-url {}", program.origin());
    let ended = program.run(&command).expect_code(0);
    let ended = ended.expect_text(
        "  line 2, 1:\n    status Active → Resolved\n    tags (none) → [\"a\",\"b\"]\n    comment + seen\n",
    );
    let ended = ended.expect_text("1 row with all values already set: skipped");
    ended.expect_text("  line 4, 3:\n    comment + =1+1\n");
    assert_eq!(program.updates().len(), 0);
    program.run("runs").expect_code(0).expect_text("no runs");
    assert_eq!(program.names(), ["a.csv", "requests.jsonl", "state"]);
}

#[test]
fn read_state_overrides_remembered_changes() {
    let program = program("close.csv", "incidentId,status,comment\n1,Resolved,one\n2,Resolved,two\n");
    program.send("close.csv").expect_code(0);
    // Somebody reopens one of the incidents without the journal knowing.
    program.write("open.csv", "incidentId,status\n1,Active\n");
    program.send_as_others("open.csv");
    program.send("close.csv").expect_code(0).expect_outcomes(&[("unchanged", 2)]);
    // Within a minute of our own update, the read may be outdated.
    program.send("close.csv --compare").expect_code(0).expect_outcomes(&[("unchanged", 2)]);
    assert_eq!(program.incident(1)["status"], "Active");
    program.age_the_journal(61);
    program.send("close.csv --compare").expect_code(0).expect_outcomes(&[("unchanged", 1), ("updated", 1)]);
    assert_eq!(program.incident(1)["status"], "Resolved");
    // No read shows whether a comment was removed, so it is not repeated.
    assert_eq!((program.comments(1), program.comments(2)), (vec!["one".to_owned()], vec!["two".to_owned()]));
    assert_eq!(last_body(&program), spelled(r#"{"status":"Resolved"}"#));
}

fn last_body(program: &Program) -> String {
    program.updates().pop().and_then(|update| update.body).expect("an update")
}

#[test]
fn comment_goes_alone_if_its_properties_are_set() {
    let program = program("a.csv", "incidentId,status,tags,comment\n1,Resolved,+a,seen\n2,Resolved,+a,seen\n");
    program.write("set.csv", "incidentId,status,tags\n1,Resolved,a\n");
    program.send_as_others("set.csv");
    program.send("a.csv --compare --concurrency 1").expect_code(0).expect_outcomes(&[("updated", 2)]);
    let bodies: Vec<_> = program.requests().into_iter().filter_map(|request| request.body).collect();
    if is_graph() {
        let comment = r#"{"@odata.type":"microsoft.graph.security.alertComment","comment":"seen"}"#;
        assert_eq!(bodies[1..], [comment, r#"{"status":"resolved","customTags":["a"]}"#, comment]);
    } else {
        assert_eq!(bodies[1..], [r#"{"comment":"seen"}"#, r#"{"status":"Resolved","tags":["a"],"comment":"seen"}"#]);
    }
    // The same file is the same change, with and without `--compare`.
    for arguments in ["a.csv", "a.csv --compare"] {
        program.send(arguments).expect_code(0).expect_outcomes(&[("unchanged", 2)]);
    }
    assert_eq!((program.comments(1).len(), program.incident(1)["status"].as_str()), (1, Some("Resolved")));
}

/// Stopped after the reads, then reverted by somebody: the next reads notice, and everything is sent.
#[test]
fn resumed_comment_row_is_compared_again() {
    let rows = "incidentId,status,comment\n1,Resolved,seen\n2,Resolved,seen\n";
    let program = program("a.csv", rows);
    program.write("set.csv", "incidentId,status\n1,Resolved\n2,Resolved\n");
    program.write("open.csv", "incidentId,status\n2,Active\n");
    program.send_as_others("set.csv");
    let stopped = program.send("a.csv --compare --quota 3/2s --stop-after 300ms");
    stopped.expect_code(4).expect_outcomes(&[("updated", 1), ("not-attempted", 1)]);
    program.send_as_others("open.csv");
    program.send("a.csv --compare").expect_code(0).expect_outcomes(&[("updated", 2)]);
    assert_eq!(last_body(&program), by_api(r#"{"status":"Resolved","comment":"seen"}"#, r#"{"status":"resolved"}"#));
}

/// A read that is older than our last update does not show that the update was undone.
#[test]
fn lagging_read_does_not_hide_our_update() {
    let program = Program::new().file("a.csv", resolving([1])).emulator(|settings| {
        settings.habits.lag = std::time::Duration::from_secs(1);
    });
    program.send("a.csv").expect_code(0);
    program.write("open.csv", "incidentId,status\n1,Active\n");
    let settled = || program.send("a.csv --compare --remember 0").expect_code(0).results()[0]["code"].clone();
    while settled() != "already-so" {}
    program.send("open.csv").expect_code(0);
    // The read shows `Resolved`, from before our update.
    program.send("a.csv --compare --remember 0").expect_code(0).expect_outcomes(&[("updated", 1)]);
    assert_eq!(program.incident(1)["status"], "Resolved");
}

/// Reads count toward the quota like any request.
#[test]
fn reads_and_updates_share_the_quota() {
    let scattered: Vec<u64> = (1..=30).map(|n| n * 150).collect();
    let program = Program::new().file("a.csv", resolving(scattered)).emulator(|settings| {
        settings.quota = Some("20/300ms".parse().expect("a quota"));
    });
    program.send("a.csv --compare --quota 20/300ms").expect_code(0).expect_outcomes(&[("updated", 30)]);
    let requests = program.requests();
    assert_eq!(throttled(&requests), 0);
    assert_eq!(looks(&requests), 30);
}

#[test]
fn reads_are_retried_and_failing_lists_replaced() {
    let program = Program::new().file("a.csv", resolving(1..=12)).emulator(|settings| {
        settings.incidents = "1-12".parse().expect("incidents");
        settings.faults = ["404@1", "503@3", "cut@5", "html@7"].map(crate::program::fault_of).into_iter().collect();
    });
    program.send("a.csv --compare").expect_code(0).expect_outcomes(&[("updated", 12)]);
    assert_eq!(incidents(&program.updates()).len(), 12);
}

#[test]
fn row_of_unreadable_incident_is_not_sent() {
    let program = Program::new().file("a.csv", resolving([10, 500, 900])).emulator(|settings| {
        settings.faults = ["400@#500"].map(crate::program::fault_of).into_iter().collect();
    });
    let ended = program.send("a.csv --compare").expect_code(1);
    let ended = ended.expect_outcomes(&[("updated", 2), ("failed", 1)]);
    assert_eq!(ended.results()[1]["code"], "unreadable");
    assert_eq!(incidents(&program.updates()), [10, 900]);
}

/// An emulator without settings has every ID, and fills every page.
#[test]
fn compare_works_with_the_emulator_option() {
    let program = Program::new().file("a.csv", resolving([7, 8, 900]));
    let command = "run a.csv --emulator --yes --compare --quota 1000/1s";
    program.run(command).expect_code(0).expect_outcomes(&[("updated", 3)]);
}
