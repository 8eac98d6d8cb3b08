//! `--comment-as resolving`: what is sent, shown and suggested, and when it is an error.

use crate::program::{Program, started};
use crate::story::Story;

const FILE: &str =
    "incidentId,status,comment\n1,Resolved,Rule 42 was tuned\n2,Resolved,Rule 42 was tuned\n3,Active,Look\n";

/// The file, and an emulator of Graph.
fn program() -> Program {
    Program::new().file("a.csv", FILE).emulator_of("graph", "1-9", |_| ())
}

/// The requests that change incidents, sorted.
fn sent(program: &Program) -> Vec<String> {
    let requests = program.requests().into_iter().filter(|request| request.method != "GET");
    let mut sent: Vec<_> = requests
        .map(|request| {
            let path = request.path.trim_start_matches("/v1.0/security/incidents/").to_owned();
            format!("{} {path} {}", request.method, request.body.unwrap_or_default())
        })
        .collect();
    sent.sort();
    sent
}

const SENT: [&str; 4] = [
    r#"PATCH 1 {"status":"resolved","resolvingComment":"Rule 42 was tuned"}"#,
    r#"PATCH 2 {"status":"resolved","resolvingComment":"Rule 42 was tuned"}"#,
    r#"PATCH 3 {"status":"active"}"#,
    r#"POST 3/comments {"@odata.type":"microsoft.graph.security.alertComment","comment":"Look"}"#,
];

fn expect_sent(program: &Program) {
    assert_eq!(sent(program), SENT);
}

#[test]
fn resolving_rows_cost_one_request() {
    let program = program();
    let ended = program.send("a.csv --contract graph --comment-as resolving").expect_code(0);
    ended.expect_text("1 row without status `resolved`: comments are added as usual");
    expect_sent(&program);
    // The same command again sends nothing.
    program.send("a.csv --contract graph --comment-as resolving").expect_code(0);
    expect_sent(&program);
}

#[test]
fn note_names_the_option_once() {
    let program = program();
    let text =
        "2 rows with a comment and status `resolved`: --comment-as resolving sends the comment as resolvingComment";
    for line in ["check a.csv --contract graph", "run a.csv --contract graph --dry-run"] {
        let ended = program.run(line).expect_code(0);
        assert_eq!(ended.printed().matches(text).count(), 1, "{line}: {}", ended.printed());
    }
    let classic = program.run("check a.csv").expect_code(0);
    assert!(!classic.printed().contains("comment-as"), "{}", classic.printed());
}

#[test]
fn note_counts_the_rows_that_are_sent() {
    let program = program().file("twice.csv", format!("{FILE}1,Resolved,Rule 42 was tuned\n3,Active,Look\n"));
    let options = format!("--contract graph --base-url {}", program.origin());
    program.send("twice.csv --contract graph --limit 1").expect_code(0);
    let note = "1 row with a comment and status `resolved`: --comment-as resolving";
    program.run(&format!("run twice.csv {options} --dry-run")).expect_code(0).expect_text(note);
    let moved = program.run(&format!("run twice.csv {options} --comment-as resolving --dry-run")).expect_code(0);
    moved.expect_text("1 row without status `resolved`: comments are added as usual");
}

#[test]
fn plan_keeps_the_moved_comments() {
    let program = program();
    let there = format!("--base-url {}", program.origin());
    program.run(&format!("plan a.csv -o a.plan --contract graph --comment-as resolving {there}")).expect_code(0);
    assert!(program.read("a.plan").contains(r#""--comment-as","resolving""#));
    let apply = program.run(&format!("apply a.plan --yes {there}")).expect_code(0);
    apply.expect_text("2  Rule 42 was tuned");
    expect_sent(&program);
}

#[test]
fn next_command_repeats_comment_as() {
    let program = program();
    let options = "--contract graph --comment-as resolving";
    let checked = program.run(&format!("check a.csv {options}")).expect_code(0);
    checked.expect_text(&format!("bulk-triage run a.csv {options} --dry-run"));
    let stopped = program.send(&format!("a.csv {options} --stop-after 0s")).expect_code(4);
    stopped.expect_text("--comment-as resolving");
    let run = program.last_run();
    program.run(&format!("runs resume {run} --yes --base-url {}", program.origin())).expect_code(0);
    expect_sent(&program);
}

#[test]
fn same_file_without_the_option_adds_comments() {
    let program = program();
    program.send("a.csv --contract graph --comment-as resolving --limit 1").expect_code(0);
    // Without the option, the same file has other changes: the comment is added.
    program.send("a.csv --contract graph --limit 1").expect_code(0);
    assert_eq!(sent(&program).iter().filter(|line| line.starts_with("POST 1/comments")).count(), 1);
}

#[test]
fn comment_as_errors_say_what_to_do() {
    let program = Program::new()
        .file("a.csv", FILE)
        .file("both.csv", "incidentId,status,comment,resolvingComment\n7,Resolved,Tuned,False alarm\n")
        .file("lines.jsonl", "{\"incidentId\":7,\"status\":\"Resolved\",\"resolvingComment\":\"False alarm\"}\n");
    let mut story = Story::of(&program);
    story.run("run a.csv --comment-as resolving --dry-run");
    story.run("check a.csv --contract defender --comment-as resolving");
    story.run("run both.csv --contract graph --comment-as resolving --dry-run");
    story.run("check both.csv");
    story.run("check lines.jsonl --contract defender");
    story.run("run a.csv --set resolvingComment=Tuned --dry-run");
    story.is("error-input-comment-as");
}

#[test]
fn comment_as_has_no_variable() {
    let program = program();
    let mut command = program.command("run a.csv --contract graph --dry-run");
    command.env("BULK_TRIAGE_COMMENT_AS", "resolving");
    let ended = started(command).end().expect_code(0);
    ended.expect_text("BULK_TRIAGE_COMMENT_AS").expect_text("--comment-as resolving sends the comment");
}
