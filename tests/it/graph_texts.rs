//! What a person reads about rows of two requests: preview, prompt, summary, results and pages.

use crate::pages::is_progress;
use crate::program::{Program, fault_of};
use crate::story::Story;
use crate::terminal::Pty;

const FILE: &str = "incidentId,status,comment\n1,Resolved,Tuned\n2,Resolved,Tuned\n3,Active,Look\n";

fn program(faults: &[&str]) -> Program {
    Program::new().file("a.csv", FILE).emulator_of("graph", "1-9", |settings| {
        settings.faults = faults.iter().map(|fault| fault_of(fault)).collect();
    })
}

#[test]
fn prompt_counts_updates_and_requests() {
    let program = program(&[]);
    let mut asking = program.command(&format!("run a.csv --contract graph --base-url {}", program.origin()));
    asking.args(["--quota", "1000/1s"]).env("TERM", "xterm");
    let pty = Pty::new(100);
    let running = pty.start(asking);
    pty.wait_for("3 of a.csv, 6 requests");
    pty.wait_for("Send 3 updates (6 requests)?");
    pty.types("y\n");
    running.end().expect_code(0);
    pty.wait_for("3 updates, 3 comments, none throttled");
}

#[test]
fn rows_of_two_requests_say_which_step() {
    let program = program(&["400@2", "400@3"]);
    let mut story = Story::of(&program);
    let options = "--contract graph --concurrency 1";
    let there = format!("--base-url {}", program.origin());
    story.run(&format!("run a.csv {options} --dry-run --format json {there}"));
    story.run(&format!("run a.csv {options} --yes --report first.md --results first.csv --quota 1000/1h {there}"));
    story.is("two-steps");
    assert!(program.read("first.md").contains("5&#58; 3 updates, 2 comments, 0 reads"), "{}", program.read("first.md"));
    program.run(&format!("run a.csv {options} --dry-run --report review.md {there}")).expect_code(0);
    assert!(
        program.read("review.md").contains("**2** updates to send · **3** requests"),
        "{}",
        program.read("review.md")
    );
}

#[test]
fn stopped_row_names_the_missing_step() {
    let program = program(&[]);
    let options = "--contract graph --concurrency 1 --limit 1 --yes --results r.csv";
    let there = format!("--base-url {}", program.origin());
    let stopped = program.run(&format!("run a.csv {options} --quota 1/1h --stop-after 1s {there}")).expect_code(4);
    let text = "the update was applied, but the comment was not added: the next run sends it";
    assert!(program.read("r.csv").contains(&format!("in-doubt,half-done,\"{text}\"")), "{}", program.read("r.csv"));
    assert!(stopped.printed().lines().any(|line| !is_progress(line) && line.contains("in-doubt")));
    let ended = program.run(&format!("run a.csv {options} --quota 1000/1s {there}")).expect_code(0);
    ended.expect_text("1 request in").expect_text("1 comment, none throttled");
}

#[test]
fn preview_counts_no_update_that_was_applied() {
    let program = program(&["cut@2"]);
    let there = format!("--contract graph --concurrency 1 --limit 1 --base-url {}", program.origin());
    // The first reads don't show the comment.
    program.run(&format!("run a.csv {there} --yes --stop-after 1s --quota 1000/1s")).expect_code(4);
    let preview = program.run(&format!("run a.csv {there} --dry-run")).expect_code(0);
    let preview = preview.expect_text("1 row in doubt: read first");
    let preview = preview.expect_text("1 update applied before: only the comment is sent");
    for text in ["2 requests", "resolved", "active alerts", "PATCH"] {
        assert!(!preview.stdout.contains(text), "{text}: {}", preview.stdout);
    }
}
