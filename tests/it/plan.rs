//! `plan` and `apply`: exactly the reviewed changes are sent, once.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::program::{Ended, Program, closing, eventually, incidents, of_the_project, started};
use crate::tokens::jwt;

const ROWS: &str = "incidentId,status,comment\n1,Resolved,one\n2,Resolved,\n3,Active,three\n4,Resolved,=4\n\
                    5,Resolved,\u{fc}\n6,Resolved,\n7,Resolved,\n8,Resolved,\n9,Resolved,nine\n10,Resolved,\n";

fn program() -> Program {
    Program::new().file("a.csv", ROWS).emulator(|settings| {
        settings.incidents = "1-1000".parse().expect("incidents");
        settings.merged = [(30, 31)].into();
    })
}

/// Runs `plan a.csv -o a.plan` with these options.
fn plan(program: &Program, options: &str) -> Ended {
    let origin = program.origin();
    program.run(&format!("plan a.csv -o a.plan --quota 1000/1s --base-url {origin} {options}"))
}

fn apply(program: &Program, options: &str) -> Ended {
    program.run(&format!("apply a.plan --yes --quota 1000/1s --settle 150ms {options}"))
}

/// The request body of a planned change.
fn body_of(edits: &Value) -> String {
    let member = |edit: &Value| {
        let value = ["set", "append"].iter().find_map(|kind| edit["edit"].get(*kind)).expect("a value");
        format!("{}:{value}", edit["property"])
    };
    let members: Vec<String> = edits.as_array().expect("a list").iter().map(member).collect();
    format!("{{{}}}", members.join(","))
}

/// An earlier revision wrote it: with bodies, and with a contract that has no operations.
#[test]
fn plan_of_format_1_is_applied() {
    let program = program();
    let plan = fs::read_to_string(of_the_project("tests/stored/plan-format-1.jsonl")).expect("a file of the project");
    let here = crate::consent::forged(&plan, |header, _| {
        header["origin"] = program.origin().into();
        header["scope"] = Value::Null;
    });
    program.write("a.plan", here);
    program.run("plan a.plan").expect_code(1).expect_text("Tuned ö");
    apply(&program, "").expect_code(1).expect_outcomes(&[("updated", 3), ("invalid", 1)]);
    let mut sent: Vec<String> = program.updates().into_iter().filter_map(|request| request.body).collect();
    sent.sort();
    let bodies = [
        r#"{"assignedTo":"","tags":[]}"#,
        r#"{"comment":"one"}"#,
        r#"{"status":"Resolved","tags":["a","b"],"comment":"Tuned ö \"x\" done"}"#,
    ];
    assert_eq!(sent, bodies);
}

#[test]
fn plan_is_sent_exactly_and_once() {
    let program = program();
    plan(&program, "").expect_code(0).expect_text("bulk-triage apply a.plan");
    assert_eq!(program.requests().len(), 0);
    // The input has changed since, which does not matter.
    program.write("a.csv", "incidentId,status\n999,Resolved\n");
    let ended = apply(&program, "").expect_code(0).expect_outcomes(&[("updated", 10)]);
    assert_eq!(ended.results()[3]["comment"], "'=4");
    let sent: Vec<String> = program.updates().into_iter().filter_map(|request| request.body).collect();
    let planned = program.read("a.plan");
    let rows = planned.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let changes: Vec<String> = rows.filter_map(|row| Some(body_of(row.get("change")?))).collect();
    for body in &sent {
        assert!(changes.contains(body), "{body} was not planned");
    }
    assert_eq!(incidents(&program.updates()), (1..=10).collect::<Vec<_>>());
    apply(&program, "").expect_code(0).expect_text("which is finished; a plan can be applied once");
    let run = program.last_run();
    let seal = &planned[planned.len() - 67..planned.len() - 55];
    let shown = program.run(&format!("runs show {run} --report account.html")).expect_code(0);
    shown.expect_text(&format!("plan      checksum {seal}"));
    assert!(program.read("account.html").contains(seal));
    // Even if nothing is remembered, and long afterwards.
    apply(&program, "--remember 0").expect_code(0);
    assert_eq!(program.updates().len(), 10);
}

/// Closing the same incidents again after they were reopened is another plan.
#[test]
fn plans_of_the_same_second_are_two_plans() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Active\n").emulator(|_| ());
    let mut checksums = std::collections::HashSet::new();
    for _ in 0..4 {
        plan(&program, "").expect_code(0);
        checksums.insert(program.read("a.plan").lines().last().expect("a checksum").to_owned());
        apply(&program, "--remember 0").expect_code(0).expect_outcomes(&[("updated", 2)]);
    }
    assert_eq!((checksums.len(), program.updates().len()), (4, 8));
}

/// Plans of earlier revisions have no random value.
#[test]
fn plan_without_random_value_is_applied() {
    let program = program();
    plan(&program, "").expect_code(0);
    let mut lines: Vec<String> = program.read("a.plan").lines().map(str::to_owned).collect();
    let header = lines[0].clone();
    let (before, rest) = header.split_once(r#","random":""#).expect("a random value");
    lines[0] = format!("{before}{}", rest.split_once('"').expect("its end").1);
    program.write("a.plan", with_new_checksum(&lines.join("\n")));
    apply(&program, "").expect_code(0).expect_outcomes(&[("updated", 10)]);
}

#[test]
fn killed_apply_is_resumed() {
    let program = Program::new().file("a.csv", closing(1..=60)).emulator(|settings| {
        settings.latency = std::time::Duration::from_millis(5)..=std::time::Duration::from_millis(20);
    });
    plan(&program, "").expect_code(0);
    let killed = started(program.command("apply a.plan --yes --quota 1000/1s --settle 150ms"));
    program.wait_for_requests(25);
    killed.kill();
    apply(&program, "").expect_code(0).expect_outcomes(&[("updated", 60)]);
    for id in 1..=60 {
        assert_eq!(program.comments(id), [format!("Comment on {id}")]);
    }
}

#[test]
fn plan_of_no_rows_suggests_no_file() {
    let program = Program::new().file("header.csv", "incidentId,status\n");
    let shown = program.run("plan header.csv").expect_code(0);
    assert!(shown.stdout.ends_with("\nnothing was sent\n"), "{}", shown.printed());
}

#[test]
fn plan_of_a_pruned_run_sends_nothing() {
    let program = program();
    plan(&program, "").expect_code(0);
    apply(&program, "").expect_code(0).expect_outcomes(&[("updated", 10)]);
    let run = program.last_run();
    let db = program.journal();
    db.execute("UPDATE runs SET finished_wall = 1788076800000000", []).expect("2026-08-30");
    drop(db);
    program.age_the_journal(100 * 86_400);
    program.run("runs prune").expect_code(0).expect_text("1 run removed");
    for options in ["", "--remember 0", "--format json"] {
        let ended = apply(&program, options).expect_code(0);
        ended.expect_text(&format!("applied on 2026-08-30 by run {run} (pruned); nothing to send"));
    }
    assert_eq!(program.updates().len(), 10);
}

/// A unit test flips every bit of a plan; here the program refuses it and sends nothing.
#[test]
fn altered_plan_is_refused() {
    let program = program();
    plan(&program, "--compare").expect_code(0);
    let whole = fs::read(program.path("a.plan")).expect("a plan");
    let looks = program.requests().len();
    let last_line = whole.len() - 84;
    for at in (0..last_line).step_by(251).chain((last_line..whole.len()).step_by(9)) {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        program.write("a.plan", &altered);
        let ended = apply(&program, "").expect_code(3);
        assert!(ended.printed().contains("nothing was sent") || at < 8, "byte {at}: {}", ended.printed());
        // If its first bytes differ, the file is taken for an invalid input.
        let again = program.run("plan a.plan");
        assert_eq!(again.code, Some(3), "byte {at}: {}", again.printed());
    }
    program.write("a.plan", &whole[..whole.len() - 1]);
    apply(&program, "").expect_code(3).expect_text("the plan was modified or truncated");
    assert_eq!(program.requests().len(), looks);
    program.write("a.plan", &whole);
    apply(&program, "").expect_code(0);
}

#[test]
fn plan_for_other_tenant_origin_contract_is_refused() {
    let program = program();
    plan(&program, "").expect_code(0);
    let other = apply(&program, "--base-url http://127.0.0.1:1").expect_code(2);
    other.expect_text("is for another base URL").expect_text("not for http://127.0.0.1:1");
    apply(&program, "--contract defender").expect_code(2).expect_text("is for another contract");
    apply(&program, "--contract defender-classic").expect_code(0);

    // The tenant comes from the token: only header and payload are read, not the signature.
    let token = |tenant: &str| jwt(&format!(r#"{{"tid":"{tenant}"}}"#));
    let one = "11111111-1111-1111-1111-111111111111";
    let mut planning = program.command("plan a.csv -o real.plan");
    planning.env("BULK_TRIAGE_TOKEN", token(one));
    started(planning).end().expect_code(0);
    let mut applying = program.command("apply real.plan --yes");
    applying.env("BULK_TRIAGE_TOKEN", token("22222222-2222-2222-2222-222222222222"));
    let ended = started(applying).end().expect_code(2).expect_text("is for another tenant");
    ended.expect_text("for tenant 11111111-1111-1111-1111-111111111111, not for tenant 22222222");
}

#[test]
fn changes_since_planning_are_named_not_sent() {
    let program = program();
    plan(&program, "--compare")
        .expect_code(0)
        .expect_text("line 2, 1:\n    status Active → Resolved\n    comment + one");
    program.write("others.csv", "incidentId,assignedTo,tags\n2,somebody@contoso.com,\n9,,x; y\n");
    let mut others = program.send_command("others.csv");
    others.env("BULK_TRIAGE_STATE_DIR", program.path("of-others"));
    started(others).end().expect_code(0);
    let ended = apply(&program, "").expect_code(1).expect_outcomes(&[("updated", 8), ("failed", 2)]);
    let results = ended.results();
    assert_eq!((&*results[1]["code"], &*results[8]["code"]), ("changed-since", "changed-since"));
    let message = &results[1]["message"];
    assert!(message.contains("assignedTo (not set) → somebody@contoso.com"), "{message}");
    assert!(results[8]["message"].contains(r#"tags [] → ["x","y"]"#), "{}", results[8]["message"]);
    assert_eq!(program.comments(9), [""; 0]);
}

/// A plan that was stopped halfway has changed incidents itself: those changes don't count as changes since.
#[test]
fn own_updates_are_no_changes_since_planning() {
    let program = program();
    program.write("a.csv", "incidentId,status,comment\n1,Resolved,one\n1,Resolved,one\n2,Resolved,\n");
    plan(&program, "--compare").expect_code(0);
    apply(&program, "--concurrency 1 --stop-after 1ms");
    apply(&program, "").expect_code(0);
    assert_eq!(program.comments(1), ["one"]);
}

#[test]
fn detailed_exitcode_is_10_only_with_changes() {
    let program = program();
    plan(&program, "--compare --detailed-exitcode").expect_code(10);
    program.write("a.csv", "incidentId,status\n1,Active\n2,Active\n");
    plan(&program, "--compare --detailed-exitcode")
        .expect_code(0)
        .expect_text("2 rows with all values already set: skipped");
    plan(&program, "--detailed-exitcode").expect_code(10);
    apply(&program, "").expect_code(0);
}

#[test]
fn skipped_rows_are_in_the_results_too() {
    let program = program();
    program.write(
        "a.csv",
        "incidentId,status,owner\nx,Resolved,a\n30,Resolved,b\n3,Active,c\n4,Resolved,d\n5000,Resolved,e\n",
    );
    plan(&program, "--compare --skip-invalid").expect_code(1);
    let ended = apply(&program, "").expect_code(1);
    let ends: Vec<_> =
        ended.results().iter().map(|row| format!("{} {} {}", row["outcome"], row["code"], row["owner"])).collect();
    let expected =
        ["invalid id-invalid a", "failed redirected b", "unchanged already-so c", "updated  d", "failed not-found e"];
    assert_eq!(ends, expected);
    assert_eq!(incidents(&program.updates()), [4]);
}

#[test]
fn plan_is_displayed_and_written_to_stdout() {
    let program = program();
    let origin = program.origin();
    let to_stdout = program.run(&format!("plan a.csv -o - --compare --base-url {origin}")).expect_code(0);
    assert!(to_stdout.stdout.starts_with("{\"plan\":2,"), "{}", to_stdout.stdout);
    assert!(to_stdout.stderr.contains("line 2, 1:\n    status Active → Resolved"), "{}", to_stdout.stderr);
    program.write("a.plan", &to_stdout.stdout);
    let requests = program.requests().len();
    let again = program.run("plan a.plan").expect_code(0).expect_text("read when the plan was created");
    again.expect_text("line 2, 1:\n    status Active → Resolved");
    assert_eq!(program.requests().len(), requests);
    program.run("plan a.plan -o b.plan").expect_code(2).expect_text("is a plan and can only be shown");
    apply(&program, "").expect_code(0).expect_outcomes(&[("updated", 10)]);
}

#[test]
fn plan_replaces_only_a_plan() {
    let program = program();
    plan(&program, "").expect_code(0);
    let mode = fs::metadata(program.path("a.plan")).expect("a plan").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    plan(&program, "").expect_code(0);
    for (name, content) in [("other.txt", "mine"), ("a.csv", ROWS)] {
        program.write(name, content);
        program.run(&format!("plan a.csv -o {name}")).expect_code(2).expect_text("cannot write the plan");
        assert_eq!(program.read(name), content);
    }
    std::os::unix::fs::symlink(program.path("a.plan"), program.path("link.plan")).expect("a link");
    program.run("plan a.csv -o link.plan").expect_code(2).expect_text("a symbolic link");
    program.run("apply a.csv --yes").expect_code(3).expect_text("it is not a plan");
    program.run("runs").expect_text("no runs");
}

#[test]
fn plan_without_output_is_shown() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let origin = program.origin();
    let before = program.names();
    let shown = program.run(&format!("plan a.csv --base-url {origin}")).expect_code(0);
    let said = shown.expect_text("3  Resolved").expect_text("to save the plan:").printed();
    assert_eq!(program.names().iter().filter(|name| *name != "state").count(), before.len(), "nothing is written");
    program.run(&format!("plan a.csv --detailed-exitcode --base-url {origin}")).expect_code(10);
    program.run(&format!("plan a.csv --detailed-exitcode --compare --base-url {origin}")).expect_code(10);
    // The suggested command works.
    let saving = said.lines().find_map(|line| line.strip_prefix("  bulk-triage ")).expect("a command");
    program.run(saving).expect_code(0).expect_text("plan: a.plan");
    program.run("apply a.plan --yes").expect_code(0);
    let done = program.run(&format!("plan a.csv --detailed-exitcode --base-url {origin}"));
    done.expect_code(0).expect_text("3 rows already applied");
}

#[test]
fn detailed_exitcode_of_plan_without_changes_is_0() {
    let program = Program::new().file("none.csv", "incidentId,status\n").emulator(|_| ());
    program.run(&format!("plan none.csv --detailed-exitcode --base-url {}", program.origin())).expect_code(0);
}

/// Another process holds the journal's lock until the plan has been read once.
#[test]
fn plan_replaced_between_check_and_load_is_refused() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("b.csv", closing(4..=6)).emulator(|_| ());
    for name in ["a", "b"] {
        program.run(&format!("plan {name}.csv -o {name}.plan --base-url {}", program.origin())).expect_code(0);
    }
    program.run("runs list").expect_code(0);
    let lock = program.path("state/journal.lock");
    for (then, code) in [("b", 3), ("a", 0)] {
        program.write("now.plan", program.read("a.plan"));
        let held = File::open(&lock).expect("it is there");
        held.lock().expect("nobody else is there");
        let applying = started(program.command("apply now.plan --yes"));
        eventually("it has read the plan, and waits for the journal", || applying.locks(&lock));
        program.write("then.plan", program.read(&format!("{then}.plan")));
        fs::rename(program.path("then.plan"), program.path("now.plan")).expect("it is there");
        drop(held);
        applying.end().expect_code(code);
        assert_eq!(program.requests().len(), if code == 0 { 3 } else { 0 }, "then {then}.plan");
    }
}

/// Another version of the program created the plan, with another rule in the contract of this name.
#[test]
fn plan_for_other_contract_rules_is_refused() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    let plan = program.read("a.plan");
    for (rule, other) in [("Malware", "Malicious"), ("1500/1h", "1400/1h")] {
        assert!(plan.contains(rule), "{plan}");
        program.write("other.plan", with_new_checksum(&plan.replacen(rule, other, 1)));
        let refused = program.run("apply other.plan --yes").expect_code(2);
        refused.expect_text("has changed since the plan was created");
    }
    assert_eq!(program.requests().len(), 0);
    program.write("same.plan", with_new_checksum(&plan));
    program.run("apply same.plan --yes").expect_code(0);
    assert_eq!(program.requests().len(), 3);
}

/// The plan with the checksum of its present lines.
fn with_new_checksum(plan: &str) -> String {
    let lines = &plan[..=plan.trim_end().rfind('\n').expect("the checksum has its own line")];
    let digits = bulk_triage::plan::digits(&Sha256::digest(lines));
    format!("{lines}{{\"seal\":\"sha256:{digits}\"}}\n")
}
