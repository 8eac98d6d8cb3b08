//! What a person confirms is what is sent: prompt, plan, dry run and page show the same numbers.

use crate::program::{Ended, Program, closing, incidents};

fn program() -> Program {
    Program::new().emulator(|settings| settings.incidents = "1-100".parse().expect("incidents"))
}

/// The number of rows, and of those that set a status, as the terminal shows them.
#[track_caller]
fn shown(text: &str) -> (u64, u64) {
    let number =
        |text: &str| text.split_whitespace().next().expect("a number").replace(',', "").parse().expect("a number");
    let rows = text.lines().find_map(|line| line.strip_prefix("rows ")).unwrap_or_else(|| panic!("no rows in {text}"));
    let status = text.lines().find_map(|line| line.split_once("status   ")).map_or(0, |(_, line)| number(line));
    (number(rows), status)
}

/// The numbers of the review page: its updates, the rows that set a status, and the rows that are not skipped.
#[track_caller]
fn on_page(page: &str) -> (u64, u64, u64) {
    let updates = page.lines().find(|line| line.contains("updates to send") || line.contains("update to send"));
    let updates = updates.and_then(|line| line.split("**").nth(1)).expect("the updates").parse().expect("a number");
    let sets = page.lines().find(|line| line.starts_with("| <code>status</code> | "));
    let status = sets.map_or(0, |line| line.split('|').nth(2).expect("rows").trim().parse().expect("a number"));
    let rows = page.split("## Incidents").nth(1).expect("rows");
    let rows =
        rows.lines().filter(|line| line.starts_with("| ") && line.contains("<code>") && !line.starts_with("| row"));
    let sent = rows.filter(|line| !line.contains("**Not sent:**")).count() as u64;
    (updates, status, sent)
}

/// Compares every output that announces what `a.csv` will send with these options; then sends it.
#[track_caller]
fn expect_rows(program: &Program, options: &str, rows: u64, reason: &str) -> Ended {
    let to = format!("--quota 100000/1s --base-url {}", program.origin());
    let dry_run = program.run(&format!("run a.csv --dry-run --report r.md {options} {to}"));
    assert_eq!(shown(&dry_run.stdout), (rows, rows), "{}", dry_run.printed());
    assert!(dry_run.stdout.contains(reason), "{reason}: {}", dry_run.printed());
    assert_eq!(on_page(&program.read("r.md")), (rows, rows, rows), "{}", program.read("r.md"));
    let plan = program.run(&format!("plan a.csv -o a.plan --report r.md {options} {to}"));
    assert_eq!(shown(&plan.stdout), (rows, rows), "{}", plan.printed());
    assert_eq!(on_page(&program.read("r.md")), (rows, rows, rows), "{}", program.read("r.md"));
    let again = program.run("plan a.plan --report r.md");
    assert_eq!(shown(&again.stdout), (rows, rows), "{}", again.printed());
    assert_eq!(on_page(&program.read("r.md")), (rows, rows, rows), "{}", program.read("r.md"));

    let before = program.updates().len() as u64;
    let ended = program.send(&format!("a.csv {options}"));
    assert_eq!(shown(&ended.stderr), (rows, rows), "{}", ended.printed());
    assert!(ended.stderr.contains(reason), "{reason}: {}", ended.printed());
    assert_eq!(program.updates().len() as u64 - before, rows, "{}", ended.printed());
    ended
}

#[test]
fn applied_rows_are_not_counted() {
    let program = program();
    program.write("a.csv", closing(1..=5));
    program.send("a.csv").expect_code(0);
    program.write("a.csv", closing(1..=30));
    expect_rows(&program, "", 25, "5 rows already applied by run").expect_code(0);
    expect_rows(&program, "", 0, "rows already applied by run").expect_code(0);
}

#[test]
fn repeated_rows_count_once() {
    let program = program();
    program.write("a.csv", closing([1, 2, 1, 3, 2, 1]));
    let ended = expect_rows(&program, "", 3, "3 rows with the same change as an earlier row: skipped");
    ended.expect_code(0).expect_outcomes(&[("updated", 3), ("unchanged", 3)]);
}

#[test]
fn invalid_and_conflicting_rows_are_not_counted() {
    let program = program();
    program.write("a.csv", closing(1..=4) + "2,Active,other\nx,Resolved,\n");
    let ended = expect_rows(&program, "--skip-invalid", 3, "3 rows invalid: skipped").expect_code(1);
    ended.expect_outcomes(&[("updated", 3), ("invalid", 3)]);
    assert_eq!(incidents(&program.updates()), [1, 3, 4]);
}

#[test]
fn rows_beyond_the_limit_are_not_counted() {
    let program = program();
    program.write("a.csv", closing([1, 1, 2, 3, 4, 5]));
    expect_rows(&program, "--limit 4", 3, "2 rows beyond --limit: skipped").expect_code(0);
}

#[test]
fn finished_rows_of_results_are_not_counted() {
    let program = Program::new().emulator(|settings| settings.incidents = "1-3".parse().expect("incidents"));
    program.write("a.csv", closing(1..=5));
    program.send("a.csv --results b.csv").expect_code(1);
    program.write("a.csv", program.read("b.csv"));
    expect_rows(&program, "", 2, "2 of 5 rows are sent, 3 skipped").expect_code(1);
}

#[test]
fn unchanged_rows_are_not_counted() {
    let program = program();
    program.write("others.csv", "incidentId,status\n1,Resolved\n2,Resolved\n");
    program.send_as_others("others.csv");
    program.write("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n3,Resolved\n3,Resolved\n4,Resolved\n");
    let ended = expect_rows(&program, "--compare", 2, "2 rows with all values already set: skipped");
    ended.expect_code(0).expect_text("1 row with the same change as an earlier row: skipped");
}

/// Updates from before a stop are neither counted nor sent again.
#[test]
fn resumed_run_counts_only_remaining_rows() {
    let program = program();
    program.write("a.csv", closing(1..=9));
    program.send("a.csv --quota 4/3s --stop-after 300ms").expect_code(4);
    let resumed = program.send("a.csv").expect_code(0);
    assert_eq!(shown(&resumed.stderr), (5, 5), "{}", resumed.printed());
    let resumed = resumed.expect_text("4 rows finished");
    assert_eq!(incidents(&program.updates()), (1..=9).collect::<Vec<_>>(), "{}", resumed.printed());
}

#[test]
fn finished_plan_shows_nothing_to_send() {
    let program = program();
    program.write("a.csv", "incidentId,status,tags\n1,Resolved,+vip\n2,Resolved,+vip\n");
    let plan = format!("--quota 100000/1s --base-url {}", program.origin());
    for name in ["a", "b"] {
        program.run(&format!("plan a.csv -o {name}.plan --compare {plan}")).expect_code(0);
    }
    program.run("apply a.plan --yes --quota 100000/1s").expect_code(0).expect_outcomes(&[("updated", 2)]);
    let requests = program.requests().len();
    for plan in ["a", "b"] {
        let again = program.run(&format!("plan {plan}.plan --report r.md")).expect_code(0);
        assert_eq!(shown(&again.stdout), (0, 0), "{}", again.printed());
        assert_eq!(on_page(&program.read("r.md")), (0, 0, 0), "{}", program.read("r.md"));
    }
    // Every row is known as applied, so nothing is read.
    let done = program.run("apply b.plan --yes --quota 100000/1s").expect_code(0);
    done.expect_text("nothing to send").expect_outcomes(&[("unchanged", 2)]);
    assert_eq!(program.requests().len(), requests);
}

#[test]
fn list_edits_are_shown_as_adds_and_removes() {
    let program = program();
    program.write("tags.csv", "incidentId,tags\n1,old; x\n2,x\n");
    program.send_as_others("tags.csv");
    program.write("a.csv", "incidentId,status,tags\n1,Resolved,+vip; -old\n2,Resolved,+vip\n");
    let to = format!("--quota 100000/1s --base-url {}", program.origin());
    let dry_run = program.run(&format!("run a.csv --dry-run {to}")).expect_code(0);
    dry_run.expect_text("1  adds vip; removes old").expect_text("1  adds vip\n");
    let planned = program.run(&format!("plan a.csv -o a.plan --report r.md {to}")).expect_code(0);
    for ended in [planned, program.run("plan a.plan --report r2.md").expect_code(0)] {
        let ended = ended.expect_text("1  adds vip; removes old").expect_text("1  adds vip\n");
        assert!(!ended.printed().contains("replace"), "{}", ended.printed());
    }
    for page in ["r.md", "r2.md"] {
        let page = program.read(page);
        assert!(page.contains("adds vip; removes old") && !page.contains("are replaced"), "{page}");
    }
    let applied = program.run("apply a.plan --yes --quota 100000/1s").expect_code(0);
    applied.expect_text("1  adds vip; removes old").expect_outcomes(&[("updated", 2)]);
    assert_eq!(program.incident(1)["tags"], serde_json::json!(["x", "vip"]));
}

/// The changes before the prompt are exactly those that will be sent.
#[test]
fn shown_changes_equal_sent_changes() {
    let program = program();
    program.write("a.csv", closing(1..=2));
    program.send("a.csv").expect_code(0);
    program.write("a.csv", closing([1, 2, 3, 3, 4]));
    let to = format!("--quota 100000/1s --base-url {}", program.origin());
    let dry_run = program.run(&format!("run a.csv --dry-run --compare {to}")).expect_code(0);
    assert_eq!(dry_run.stdout.matches("comment + Comment on").count(), 2, "{}", dry_run.printed());
}

/// A remembered comment is not repeated, and the numbers before the prompt don't include it.
#[test]
fn remembered_comment_is_not_counted() {
    let first = "incidentId,status,comment\n1,Resolved,done\n2,Resolved,done\n";
    let second = "incidentId,assignedTo,comment\n1,a@contoso.com,done\n2,a@contoso.com,new\n";
    let program = Program::new().file("a.csv", first).file("b.csv", second).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    let origin = program.origin();
    let sets = |text: &str| {
        let lines: Vec<&str> =
            text.lines().filter(|line| line.contains("comment ") || line.contains("comments ")).collect();
        lines.join("\n")
    };
    for command in [
        "run b.csv --dry-run --report review.md",
        "run b.csv --dry-run --compare --report review.md",
        "plan b.csv --report review.md",
    ] {
        let shown = program.run(&format!("{command} --base-url {origin}")).expect_code(0);
        let shown = shown.expect_text("1 comment added before: not repeated");
        assert!(sets(&shown.stdout).contains("comment                 1"), "{command}: {}", shown.printed());
        assert!(!shown.stdout.contains("\"comment\":\"done\""), "{command}: {}", shown.printed());
        assert!(program.read("review.md").contains("is not repeated"), "{command}");
        std::fs::remove_file(program.path("review.md")).expect("it was written");
    }
    let before = program.updates().len();
    program.send("b.csv").expect_code(0).expect_text("1 comment added before: not repeated");
    let comments = program.updates()[before..]
        .iter()
        .filter(|update| update.body.as_ref().is_some_and(|body| body.contains("comment")))
        .count();
    assert_eq!(comments, 1);
}

/// The first estimate uses the latency that an earlier run measured.
#[test]
fn estimate_uses_measured_latency() {
    let slow = std::time::Duration::from_secs(2);
    let program = Program::new().file("a.csv", closing(1..=1)).file("b.csv", closing(11..=11)).emulator(|settings| {
        settings.latency = slow..=slow;
    });
    let origin = program.origin();
    program.run(&format!("run b.csv --dry-run --base-url {origin}")).expect_code(0).expect_text("400 ms, done at");
    program.send("a.csv").expect_code(0);
    for command in ["run b.csv --dry-run", "plan b.csv"] {
        let shown = program.run(&format!("{command} --base-url {origin}")).expect_code(0);
        assert!(!shown.stdout.contains("400 ms"), "{command}: {}", shown.printed());
    }
    let ended = program.send("b.csv").expect_code(0);
    assert!(!ended.stderr.contains("400 ms"), "{}", ended.printed());
}
