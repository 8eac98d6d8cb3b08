//! Promise 5: no update is lost and no comment is added twice.
//!
//! Each fault here loses a response, either after or before the update is applied.

use std::time::Duration;

use bulk_triage::emulator::{CommentForm, DateHeader, Habits};
use jiff::SignedDuration;

use crate::program::{Program, by_api, closing, fault_of, is_graph, with_contract, with_graph};

with_graph!(
    applied_updates_with_lost_responses_are_found,
    updates_lost_on_the_way_are_resent,
    failed_read_keeps_the_doubt,
    unresolvable_doubt_is_reported_and_kept,
    kill_before_the_response_repeats_no_comment,
    doubt_of_another_run_is_resolved_first,
    rewritten_comments_are_recognized_after_lost_responses,
    unrecognizable_comment_leaves_the_row_in_doubt,
    kill_repeats_no_rewritten_comment,
    lagging_reads_and_late_updates_repeat_no_comment,
    differing_clocks_hide_no_comment,
    response_date_corrects_the_clock,
    stop_during_settle_time_is_immediate,
);

/// A text that every way of storing it changes.
const TEXT: &str = "Rule DL-17 tuned: <b>count</b> < 5 & host \\\"lab\\\"\\nsee CR-112 cafe\u{301} ";

/// Rows that add a comment. In the classic API the same request closes the incident, in Graph it would be another one.
fn commenting(ids: impl IntoIterator<Item = u64>) -> String {
    let closing = closing(ids);
    if is_graph() { closing.replace(",status", "").replace(",Resolved", "") } else { closing }
}

/// How often an update or a comment was sent.
fn changes(program: &Program) -> usize {
    program.requests().iter().filter(|request| request.method != "GET").count()
}

/// One row with that comment, and a service with these habits and this fault.
fn one_row(habits: Habits, faults: &[&str]) -> Program {
    let status = by_api(r#""status":"Resolved","#, "");
    let row = format!(r#"{{"incidentId":7,{status}"comment":"{TEXT}"}}"#);
    Program::new().file("a.jsonl", row + "\n").emulator(|settings| {
        settings.habits = habits;
        settings.faults = faults.iter().map(|fault| fault_of(fault)).collect();
    })
}

fn storing(forms: &str) -> Habits {
    let comments = forms.split(',').map(|form| form.parse::<CommentForm>().expect("a form")).collect();
    Habits { comments, ..Habits::default() }
}

/// Whatever the responses were, the row ends like this, and its comment exists once.
fn ends_with_one_comment(program: &Program, arguments: &str, outcome: &str, code: &str) {
    let ended = program.send(&format!("a.jsonl {arguments}"));
    let row = &ended.results()[0];
    assert_eq!((row["outcome"].as_str(), row["code"].as_str()), (outcome, code), "{}", ended.printed());
    assert_eq!(program.comments(7).len(), 1, "{}", ended.printed());
}

/// Every row ends `updated`, and its comment exists once.
fn once_each(faults: &[&str], rows: u64) -> Program {
    let program = Program::new().file("a.csv", commenting(1..=rows)).faulty_emulator(faults);
    let ended = program.send("a.csv").expect_code(0);
    let ended = ended.expect_outcomes(&[("updated", usize::try_from(rows).expect("few"))]);
    for id in 1..=rows {
        assert_eq!(program.comments(id), [format!("Comment on {id}")], "{faults:?}\n{}", ended.printed());
    }
    program
}

#[test]
fn applied_updates_with_lost_responses_are_found() {
    let program = once_each(&["cut-after@#2*1", "503-after@#4*1", "cut-half@#6*1", "error-200-after@#8*1"], 9);
    let reads = program.requests().iter().filter(|request| request.method == "GET").count();
    assert_eq!(reads, 4);
    assert_eq!(changes(&program), 9, "nothing was sent again");
}

#[test]
fn updates_lost_on_the_way_are_resent() {
    let program = once_each(&["cut@#2*1", "503@#4*1", "html@#6*1", "other@#8*1"], 9);
    assert_eq!(changes(&program), 13);
}

/// The read fails as well, and is retried.
#[test]
fn failed_read_keeps_the_doubt() {
    once_each(&["cut-after@#2*1", "503@#2*2"], 3);
}

/// Nobody knows whether the update was applied: the row says so, and the next start reads again.
#[test]
fn unresolvable_doubt_is_reported_and_kept() {
    let rows = "incidentId,comment\n1,one\n2,two\n";
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["cut-after@#2*1", "503@#2*2"]);
    let ended = program.send("a.csv --max-attempts 2").expect_code(1);
    ended.expect_outcomes(&[("updated", 1), ("in-doubt", 1)]);
    let ended = program.send("a.csv").expect_code(0);
    ended.expect_outcomes(&[("updated", 2)]);
    assert_eq!(program.comments(2), ["two"]);
}

/// A stalled response and a kill: the update was applied, but the process never learned it.
#[test]
fn kill_before_the_response_repeats_no_comment() {
    let program = Program::new().file("a.csv", commenting(1..=3)).faulty_emulator(&["stall-after@#2*1"]);
    let killed = program.start_sending("a.csv --concurrency 1");
    program.wait_for_requests(2);
    killed.kill();
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 3)]);
    assert_eq!(program.comments(2), ["Comment on 2"]);
    assert_eq!(changes(&program), 3);
}

/// Another file changes the same incident: the doubt of any run is resolved first.
#[test]
fn doubt_of_another_run_is_resolved_first() {
    let program = Program::new()
        .file("a.csv", "incidentId,comment\n1,the same\n")
        .file("b.csv", "incidentId,comment,note\n1,the same,mine\n2,other,\n")
        .faulty_emulator(&["stall-after@#1*1"]);
    let killed = program.start_sending("a.csv");
    program.wait_for_requests(1);
    killed.kill();
    program.send("b.csv").expect_code(0);
    assert_eq!(program.comments(1), ["the same"]);
}

/// Without a comment nothing can be doubled, so the update is simply resent.
#[test]
fn update_without_comment_is_resent_without_reading() {
    let rows = "incidentId,status\n1,Resolved\n2,Resolved\n";
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["cut-after@#2*1"]);
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 2)]);
    assert!(program.requests().iter().all(|request| request.method == "PATCH"));
    assert_eq!(program.requests().len(), 3);
}

#[test]
fn rewritten_comments_are_recognized_after_lost_responses() {
    for forms in ["trim", "crlf", "nfc", "nbsp", "html", "p", "html,p", "no-tags", "cut=20", "trim,html,cut=30,p"] {
        let program = one_row(storing(forms), &["504-after@updates*3"]);
        ends_with_one_comment(&program, "", "updated", "found-by-reading");
        assert_eq!(changes(&program), 1, "{forms}");
    }
}

#[test]
fn unrecognizable_comment_leaves_the_row_in_doubt() {
    let program = one_row(storing("redact"), &["504-after@updates*3"]);
    for _ in 0..2 {
        ends_with_one_comment(&program, "", "in-doubt", "unexplained");
    }
    assert_eq!(changes(&program), 1);
}

/// No response is lost, but it shows the comment in other words, and for some rows nothing else of the update.
#[test]
fn comment_shown_in_other_words_is_not_repeated() {
    for (rows, fault, outcome, code) in [
        (r#"{"incidentId":7,"status":"Resolved","comment":"one"}"#, "503@1000", "updated", "differs"),
        (r#"{"incidentId":7,"status":"Resolved","comment":"one"}"#, "ignore=status", "in-doubt", "unexplained"),
        (r#"{"incidentId":7,"comment":"one"}"#, "503@1000", "in-doubt", "unexplained"),
    ] {
        let program = one_row(storing("redact"), &[fault]).file("a.jsonl", format!("{rows}\n"));
        ends_with_one_comment(&program, "", outcome, code);
        program.send("a.jsonl");
        program.send("a.jsonl --set tags=other");
        assert_eq!(program.comments(7).len(), 1, "{rows} {fault}");
    }
}

#[test]
fn kill_repeats_no_rewritten_comment() {
    let program = one_row(storing("trim,html"), &["stall-after@updates*1"]);
    let killed = program.start_sending("a.jsonl");
    program.wait_for_requests(1);
    killed.kill();
    ends_with_one_comment(&program, "", "updated", "found-by-reading");
}

#[test]
fn lagging_reads_and_late_updates_repeat_no_comment() {
    let (lag, late) = (Duration::from_millis(400), Duration::from_millis(400));
    for habits in [
        Habits { lag, ..Habits::default() },
        Habits { late, ..Habits::default() },
        Habits { lag, late, ..storing("trim") },
    ] {
        for fault in ["cut-after@updates*1", "503-after@updates*1"] {
            ends_with_one_comment(&one_row(habits.clone(), &[fault]), "--settle 1s", "updated", "found-by-reading");
        }
    }
}

/// In Graph a comment is sent after its update, whose effect reads may not show yet.
#[test]
fn comment_in_doubt_after_its_update_is_found() {
    with_contract("graph", || {
        let habits = Habits { lag: Duration::from_millis(400), ..storing("trim") };
        for fault in ["cut-after@2", "503-after@2"] {
            let program = one_row(habits.clone(), &[fault]);
            ends_with_one_comment(&program, "--set status=Resolved --settle 1s", "updated", "found-by-reading");
            let requests: Vec<_> = program.requests().into_iter().map(|request| request.method).collect();
            assert_eq!(requests[..2], ["PATCH", "POST"]);
            assert!(requests[2..].iter().all(|method| method == "GET"), "{requests:?}");
            assert_eq!(program.incident(7)["status"], "Resolved");
        }
    });
}

#[test]
fn differing_clocks_hide_no_comment() {
    let (second, hour) = (SignedDuration::from_secs(1), SignedDuration::from_hours(1));
    for (created_time, date, outcome, code) in [
        (second * -5, DateHeader::default(), "updated", "found-by-reading"),
        (second * 5, DateHeader::default(), "updated", "found-by-reading"),
        (SignedDuration::ZERO, DateHeader::Ahead(hour), "updated", "found-by-reading"),
        (hour, DateHeader::Ahead(hour), "updated", "found-by-reading"),
        (-hour, DateHeader::Missing, "in-doubt", "unexplained"),
        (hour, DateHeader::Missing, "in-doubt", "unexplained"),
    ] {
        let program = one_row(Habits { created_time, date, ..Habits::default() }, &["cut-after@updates*1"]);
        ends_with_one_comment(&program, "", outcome, code);
    }
}

/// The clock is an hour behind and there is no `Date`: the first response reveals the offset.
#[test]
fn response_date_corrects_the_clock() {
    let habits =
        Habits { created_time: SignedDuration::from_hours(-1), date: DateHeader::Missing, ..Habits::default() };
    let program = Program::new().file("a.csv", commenting(1..=3)).emulator(|settings| {
        settings.habits = habits;
        settings.faults = ["cut-after@#2*1"].into_iter().map(fault_of).collect();
    });
    program.send("a.csv --concurrency 1").expect_code(0).expect_outcomes(&[("updated", 3)]);
    assert_eq!((program.comments(2).len(), changes(&program)), (1, 3));
}

#[test]
fn applied_row_with_every_response_lost_is_updated() {
    let program = one_row(storing("trim"), &["504-after@updates"]);
    ends_with_one_comment(&program, "", "updated", "found-by-reading");
}

/// The connection is cut at every request, reads included; later the service recovers.
#[test]
fn unreadable_applied_row_stays_in_doubt() {
    let program = one_row(storing("trim"), &["cut-after@1-4"]);
    ends_with_one_comment(&program, "--max-attempts 2 --patience 0", "in-doubt", "unreadable");
    ends_with_one_comment(&program, "", "updated", "found-by-reading");
}

#[test]
fn unapplied_row_gives_up_after_reads() {
    let program = one_row(Habits::default(), &["503@updates*2"]);
    let ended = program.send("a.jsonl --max-attempts 2").expect_code(1).expect_outcomes(&[("failed", 1)]);
    assert_eq!(ended.results()[0]["code"], "gave-up");
    let methods: Vec<String> = program.requests().into_iter().map(|request| request.method).collect();
    let methods = methods.concat();
    assert_eq!(methods.replace("GET", ""), "PATCHPATCH");
    assert!(methods.contains("GETPATCH") && methods.ends_with("GET"), "{methods}");
    // The next command may add the comment: reads have shown that it is missing.
    ends_with_one_comment(&program, "", "updated", "");
}

#[test]
fn stop_during_settle_time_is_immediate() {
    let program = one_row(Habits::default(), &["cut-after@updates*1"]);
    ends_with_one_comment(&program, "--settle 10m --stop-after 2s", "in-doubt", "unsettled");
    ends_with_one_comment(&program, "", "updated", "found-by-reading");

    let program = one_row(Habits::default(), &["cut-after@updates*1"]);
    let waiting = program.start_sending("a.jsonl --settle 10m");
    program.wait_for_requests(1);
    waiting.signal(rustix::process::Signal::INT);
    waiting.end().expect_code(4).expect_outcomes(&[("in-doubt", 1)]);
    ends_with_one_comment(&program, "", "updated", "found-by-reading");
}
