//! `runs undo`: a way back, which is a plan like any other.

use crate::program::{Ended, Program};

fn program() -> Program {
    let rows = "incidentId,status,assignedTo,classification,determination,tags,comment\n\
                1,Resolved,,,,,one\n2,Resolved,new@contoso.com,,,,\n3,,,TruePositive,Malware,a; b,three\n4,Active,,,,,four\n";
    let program = Program::new().file("a.csv", rows).emulator(|settings| {
        settings.incidents = "1-100".parse().expect("incidents");
    });
    program.write("first.csv", "incidentId,assignedTo,tags\n2,old@contoso.com,\n3,,old\n");
    program.send_as_others("first.csv");
    program
}

fn undo(program: &Program, options: &str) -> Ended {
    let run = program.last_run();
    program.run(&format!("runs undo {run} -o undo.plan --quota 1000/1s {options}"))
}

/// What of an incident can be set, as the server shows it.
fn values(program: &Program, id: u64) -> String {
    let incident = program.incident(id);
    let names = ["status", "assignedTo", "classification", "determination", "tags"];
    names.map(|name| format!("{name}: {}", incident[name])).join(", ")
}

#[test]
fn update_and_undo_and_nothing_differs_but_comments() {
    let program = program();
    let before: Vec<String> = (1..=4).map(|id| values(&program, id)).collect();
    program.send("a.csv --compare").expect_code(0).expect_outcomes(&[("updated", 4)]);
    assert_ne!((1..=4).map(|id| values(&program, id)).collect::<Vec<_>>(), before);
    let undo = undo(&program, "--comment taken-back").expect_code(0);
    let undo = undo.expect_text("3 comments stay").expect_text("plan: undo.plan, 3 of 4 updated rows");
    undo.expect_text("can't be undone, the API takes no \"NotAvailable\" for `determination` there: line 4");
    program
        .run("plan undo.plan")
        .expect_code(0)
        .expect_text("2: status Resolved → Active; assignedTo new@contoso.com → old@contoso.com");
    program.run("apply undo.plan --yes --quota 1000/1s").expect_code(0).expect_outcomes(&[("updated", 3)]);
    for (id, before) in (1..).zip(&before) {
        let after = values(&program, id);
        // The one thing that the API can't be told.
        let after = if id == 3 { after.replace("\"Malware\"", "\"NotAvailable\"") } else { after };
        assert_eq!(&after, before, "incident {id}");
    }
    assert_eq!(program.comments(1), ["one", "taken-back"]);
    assert_eq!(program.comments(2), ["taken-back"]);
}

#[test]
fn what_others_have_changed_since_is_left_alone() {
    let program = program();
    program.send("a.csv --compare").expect_code(0);
    program.write("later.csv", "incidentId,assignedTo\n2,later@contoso.com\n");
    program.send_as_others("later.csv");
    undo(&program, "--only 2,4").expect_code(0).expect_text("left out, others have changed `assignedTo` since: line 3");
    program.run("apply undo.plan --yes --quota 1000/1s").expect_code(0).expect_outcomes(&[("updated", 1)]);
    let now = program.incident(2);
    assert_eq!((now["status"].as_str(), now["assignedTo"].as_str()), (Some("Active"), Some("later@contoso.com")));
    assert_eq!(program.incident(1)["status"], "Resolved");
}

#[test]
fn a_run_that_was_not_compared_can_not_be_undone_and_that_is_said() {
    let program = program();
    program.send("a.csv").expect_code(0);
    undo(&program, "").expect_code(0).expect_text("4 of the updated rows can't be undone").expect_text("--compare");
    program.run("runs undo zzzz -o x.plan").expect_code(2);
    program.run("runs list").expect_code(0);
}
