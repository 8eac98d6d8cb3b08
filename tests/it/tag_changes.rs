//! `tags: +a; -b`: the incident is read first, and the complete resulting list is sent.

use serde_json::json;

use crate::program::{Program, by_api, eventually, incidents, with_graph};

with_graph!(
    unnamed_tags_stay_and_only_edits_are_read,
    list_edit_without_effect_is_not_sent,
    list_edit_works_in_set_and_jsonl,
    dry_run_shows_edits_without_reading_lists,
    plan_has_the_complete_list_and_edit,
    resumed_run_reads_the_lists_again,
    equal_list_edit_is_applied_once,
    update_in_doubt_is_resent_with_current_list,
    rows_not_read_again_respect_later_updates,
    failed_list_edit_is_retried_from_results,
);

const HEADER: &str = "incidentId,status,tags,comment\n";

/// Incident 1 has the tags `old` and `vip`, 2 has `noise`, 3 has none.
fn program(rows: &str) -> Program {
    let program = Program::new().file("a.csv", format!("{HEADER}{rows}")).emulator(|settings| {
        settings.incidents = "1-5000".parse().expect("incidents");
    });
    of_others(&program, "1,,old; vip,\n2,,noise,\n");
    program
}

/// A change that the program's journal does not know about.
fn of_others(program: &Program, rows: &str) {
    program.write("of-others.csv", format!("{HEADER}{rows}"));
    program.send_as_others("of-others.csv");
}

fn tags(program: &Program, id: u64) -> serde_json::Value {
    program.incident(id)["tags"].clone()
}

/// The number of reads after the first so many requests.
fn looks_since(program: &Program, first: usize) -> usize {
    program.requests()[first..].iter().filter(|request| request.method == "GET").count()
}

#[test]
fn unnamed_tags_stay_and_only_edits_are_read() {
    let program = program("1,Resolved,+tuned; -old,done\n2,,-noise,\n3000,,+ tuned,\n4000,Resolved,,other\n");
    let before = program.requests().len();
    let ended = program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 4)]);
    let ended = ended.expect_text("reading 3 incidents (");
    let ended = ended.expect_text("1  adds tuned; removes old");
    ended.expect_text(
        "line 2, 1:\n    status Active → Resolved\n    tags [\"old\",\"vip\"] → [\"vip\",\"tuned\"]\n    comment + done\n",
    );
    assert_eq!(tags(&program, 1), json!(["vip", "tuned"]));
    assert_eq!(tags(&program, 2), json!([]));
    assert_eq!(tags(&program, 3_000), json!(["tuned"]));
    assert!(looks_since(&program, before) <= 3);
    let sent: Vec<String> = program.updates().into_iter().filter_map(|request| request.body).collect();
    assert!(sent.iter().all(|body| !body.contains("\"add\"")), "{sent:?}");
}

#[test]
fn list_edit_without_effect_is_not_sent() {
    let program = program("1,,+vip; -noise,\n2,,+noise,seen\n");
    let ended = program.send("a.csv").expect_code(0).expect_outcomes(&[("unchanged", 1), ("updated", 1)]);
    assert_eq!(ended.results()[0]["code"], "already-so");
    assert_eq!(program.comments(2), ["seen"]);
    // The comment is not an update in Graph.
    assert_eq!(incidents(&program.updates()), by_api(&[1, 2, 2][..], &[1, 2]));
}

#[test]
fn list_edit_works_in_set_and_jsonl() {
    let program = program("1,,,\n2,,,\n");
    program.send("a.csv --set tags=+x;-vip").expect_code(0).expect_outcomes(&[("updated", 2)]);
    assert_eq!((tags(&program, 1), tags(&program, 2)), (json!(["old", "x"]), json!(["noise", "x"])));
    program.write("b.jsonl", r#"{"incidentId":1,"tags":{"add":["+y;z"],"remove":["x"]}}"#);
    program.send("b.jsonl").expect_code(0).expect_outcomes(&[("updated", 1)]);
    assert_eq!(tags(&program, 1), json!(["old", "+y;z"]));
}

#[test]
fn dry_run_shows_edits_without_reading_lists() {
    let program = program("1,Resolved,+tuned,\n");
    let before = program.requests().len();
    let origin = program.origin();
    let ended = program.run(&format!("run a.csv --dry-run --report a.html --base-url {origin}")).expect_code(0);
    let ended = ended.expect_text("adds tuned").expect_text("edits the current list: read first");
    assert!(!ended.stdout.contains("The first requests:"), "{}", ended.stdout);
    assert!(program.read("a.html").contains("<ins>+ tuned</ins>"));
    assert_eq!(program.requests().len(), before);
    let ended = program.run(&format!("run a.csv --dry-run --compare --base-url {origin}")).expect_code(0);
    ended.expect_text("tags [\"old\",\"vip\"] → [\"old\",\"vip\",\"tuned\"]");
    assert_eq!(program.updates().len(), 2);
}

/// The plan holds the complete list and the list that was edited: if that has changed since, the row is not sent.
#[test]
fn plan_has_the_complete_list_and_edit() {
    let program = program("1,,+tuned,\n2,,+tuned,\n4000,Resolved,,\n");
    let origin = program.origin();
    let planned = format!("plan a.csv -o a.plan --quota 1000/1s --base-url {origin}");
    program.run(&planned).expect_code(0).expect_text("reading 2 incidents (");
    assert!(program.read("a.plan").contains(r#""change":[{"property":"tags","edit":{"set":["old","vip","tuned"]}}]"#));
    program.run("plan a.plan").expect_code(0).expect_text("tags [\"noise\"] → [\"noise\",\"tuned\"]");
    of_others(&program, "2,,other,\n");
    let ended = program.run("apply a.plan --yes --quota 1000/1s").expect_code(1);
    let results = ended.expect_outcomes(&[("updated", 2), ("failed", 1)]).results();
    assert_eq!(results[1]["code"], "changed-since");
    assert!(results[1]["message"].contains("tags"), "{}", results[1]["message"]);
    assert_eq!((tags(&program, 1), tags(&program, 2)), (json!(["old", "vip", "tuned"]), json!(["other"])));
}

/// Others may change the list between a stop and the next start, so it is read again.
#[test]
fn resumed_run_reads_the_lists_again() {
    for again in ["runs resume RUN --yes --quota 1000/1s", "run a.csv --yes --quota 1000/1s --base-url ORIGIN"] {
        let program = program("1,,+tuned; -old,one\n2,,+tuned,\n");
        program.send("a.csv --stop-after 0s").expect_code(4).expect_outcomes(&[("not-attempted", 2)]);
        of_others(&program, "1,,vip; old; new,\n2,,tuned,\n");
        let again = again.replace("RUN", &program.last_run()).replace("ORIGIN", &program.origin());
        let ended = program.run(&again).expect_code(0).expect_outcomes(&[("updated", 1), ("unchanged", 1)]);
        assert_eq!(ended.results()[1]["tags"], "'+tuned", "the row stays as it was asked");
        assert_eq!((tags(&program, 1), tags(&program, 2)), (json!(["vip", "new", "tuned"]), json!(["tuned"])));
        assert_eq!(program.comments(1), ["one"]);
    }
}

/// Other changes to the list don't make it another change: its comment is added once.
#[test]
fn equal_list_edit_is_applied_once() {
    let program = program("1,,+tuned,done\n1,,+tuned,done\n");
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 1), ("unchanged", 1)]);
    of_others(&program, "1,,old; vip; tuned; new,\n");
    program.send("a.csv").expect_code(0).expect_outcomes(&[("unchanged", 2)]);
    assert_eq!(program.comments(1), ["done"]);
    // If others have undone it, it is applied again. Its comment exists, and within a minute the read may be outdated.
    of_others(&program, "1,,new,\n");
    program.send("a.csv").expect_code(0).expect_outcomes(&[("unchanged", 2)]);
    program.age_the_journal(61);
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 1), ("unchanged", 1)]);
    assert_eq!((tags(&program, 1), program.comments(1)), (json!(["new", "tuned"]), vec!["done".into()]));
}

/// Both updates are applied, and the process is killed before it has a response; then others change the lists.
#[test]
fn update_in_doubt_is_resent_with_current_list() {
    let rows = format!("{HEADER}1,,+tuned,one\n2,,+tuned,\n");
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["stall-after@updates*2"]);
    let started = program.start_sending("a.csv");
    eventually("both updates are on their way", || program.updates().len() == 2);
    started.kill();
    of_others(&program, "1,,vip,\n2,,case-12,\n");
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 2)]);
    // In the classic API a read finds the comment, and with it the whole update; in Graph tags are sent without it.
    let expected = by_api(json!(["vip"]), json!(["vip", "tuned"]));
    assert_eq!((tags(&program, 1), program.comments(1)), (expected, vec!["one".to_owned()]));
    assert_eq!(tags(&program, 2), json!(["case-12", "tuned"]));
}

/// The snapshots from before the stop are outdated: rows that are not read again ignore them.
#[test]
fn rows_not_read_again_respect_later_updates() {
    let program = program("1,Resolved,,one\n2,,+tuned,\n");
    program.send("a.csv --compare --stop-after 0s").expect_code(4);
    let run = program.last_run();
    program.write("b.csv", format!("{HEADER}1,Resolved,,one\n"));
    program.send("b.csv").expect_code(0).expect_outcomes(&[("updated", 1)]);
    let ended = program.run(&format!("runs resume {run} --yes --quota 1000/1s")).expect_code(0);
    ended.expect_outcomes(&[("unchanged", 1), ("updated", 1)]);
    assert_eq!(program.comments(1), ["one"]);
}

/// Rows from a results file request the same edit.
#[test]
fn failed_list_edit_is_retried_from_results() {
    let program = program("1,,+tuned; -old,\n9000,,-old,\n");
    let ended = program.send("a.csv").expect_code(1).expect_outcomes(&[("updated", 1), ("failed", 1)]);
    let results = ended.results_path();
    let again = program.send(&format!("{} --results again.csv", results.display())).expect_code(1);
    assert_eq!(again.expect_outcomes(&[("failed", 1)]).results()[0]["code"], "not-found");
}
