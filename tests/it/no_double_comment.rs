//! Promise 5: no update is lost and no comment is written twice.
//!
//! Each fault here loses an answer, some after the update was made, some before.

use crate::program::{Program, closing};

/// Every row ends `updated`, and its comment is there once.
fn once_each(faults: &[&str], rows: u64) -> Program {
    let program = Program::new().file("a.csv", closing(1..=rows)).faulty_emulator(faults);
    let ended = program.send("a.csv").expect_code(0);
    let ended = ended.expect_outcomes(&[("updated", usize::try_from(rows).expect("few"))]);
    for id in 1..=rows {
        assert_eq!(program.comments(id), [format!("Comment on {id}")], "{faults:?}\n{}", ended.said());
    }
    program
}

#[test]
fn answers_lost_after_the_update_was_made_are_found_by_reading() {
    let program = once_each(&["cut-after@#2*1", "503-after@#4*1", "cut-half@#6*1", "error-200-after@#8*1"], 9);
    let reads = program.requests().iter().filter(|request| request.method == "GET").count();
    assert_eq!(reads, 4);
    assert_eq!(program.updates().len(), 9, "nothing was sent again");
}

#[test]
fn updates_lost_before_they_were_made_are_sent_again() {
    let program = once_each(&["cut@#2*1", "503@#4*1", "html@#6*1", "other@#8*1"], 9);
    assert_eq!(program.updates().len(), 13);
}

/// The read fails as well, and is tried again.
#[test]
fn a_doubt_survives_a_read_that_fails() {
    once_each(&["cut-after@#2*1", "503@#2*2"], 3);
}

/// Nobody knows whether it was made: the row says so, and the next start looks again.
#[test]
fn a_doubt_that_can_t_be_cleared_up_is_said_and_kept() {
    let rows = "incidentId,comment\n1,one\n2,two\n";
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["cut-after@#2*1", "503@#2*2"]);
    let ended = program.send("a.csv --max-attempts 2").expect_code(1);
    ended.expect_outcomes(&[("updated", 1), ("in-doubt", 1)]);
    let ended = program.send("a.csv").expect_code(0);
    ended.expect_outcomes(&[("updated", 2)]);
    assert_eq!(program.comments(2), ["two"]);
}

/// A stalled answer, and a kill: the update was made, the process never heard of it.
#[test]
fn a_kill_while_an_answer_is_under_way_writes_no_comment_twice() {
    let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["stall-after@#2*1"]);
    let killed = program.start_sending("a.csv --concurrency 1");
    program.wait_for_requests(2);
    killed.kill();
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 3)]);
    assert_eq!(program.comments(2), ["Comment on 2"]);
    assert_eq!(program.updates().len(), 3);
}

/// Another file for the same incident: the doubt is cleared up first, whichever run it is of.
#[test]
fn a_doubt_of_another_run_is_cleared_up_before_a_comment_is_sent() {
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

/// Without a comment there is nothing to write twice: it is simply sent again.
#[test]
fn an_update_without_a_comment_is_sent_again_without_reading() {
    let rows = "incidentId,status\n1,Resolved\n2,Resolved\n";
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["cut-after@#2*1"]);
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 2)]);
    assert!(program.requests().iter().all(|request| request.method == "PATCH"));
    assert_eq!(program.requests().len(), 3);
}
