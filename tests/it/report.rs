//! `--report`: the pages before and after a run have every row once, as text, and replace no other file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use serde_json::json;

use crate::hostile_texts::hostile_texts;
use crate::program::{Ended, Program, closing, finished, started};

/// The rows of an HTML page, by the numbers in their first cells.
pub(crate) fn rows_of(page: &str) -> Vec<u64> {
    let rows = page.split("<tr><td>").skip(1);
    rows.filter_map(|row| row.split_once("<small>line ")?.0.parse().ok()).collect()
}

/// The part of a page from one heading to the next.
fn section<'p>(page: &'p str, id: &str) -> &'p str {
    let rest = page.split(&format!("<h2 id=\"{id}\">")).nth(1).expect("the section");
    rest.split("<h2 ").next().expect("its beginning")
}

#[test]
fn dry_run_writes_only_the_review() {
    let program = Program::new()
        .file("a.csv", "incidentId,status,tags,comment,Title\n7,Resolved,a,c1,<b>T</b>\n8,Active,,c2,\n")
        .emulator(|_| ());
    let before = program.names();
    let run = format!("run a.csv --dry-run --base-url {} --report review.html", program.origin());
    program.run(&run).expect_code(0).expect_text("report: review.html");
    let page = program.read("review.html");
    assert_eq!(rows_of(&page), [1, 2]);
    assert!(page.contains("<p>Title: &#60;b&#62;T&#60;/b&#62;</p>"), "{page}");
    assert!(section(&page, "warnings").contains("1 row: the current tags are replaced"), "{page}");
    assert!(section(&page, "facts").contains(&program.origin()) && section(&page, "facts").contains("50/1m,1500/1h"));
    assert!(
        section(&page, "changes").contains("<td class=\"number\">2</td><td><i>other values</i>") || page.contains("c2")
    );
    assert!(section(&page, "time").contains("2 requests in"), "{page}");
    assert!(!page.contains("EMULATOR"));
    assert!(page.contains("bulk-triage run a.csv"), "how to send it");
    assert_eq!(fs::metadata(program.path("review.html")).expect("it is there").permissions().mode() & 0o777, 0o600);
    let new: Vec<_> = program.names().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(new, ["review.html"]);
    assert!(program.requests().is_empty());
    // A page of the program may be replaced.
    program.run(&run).expect_code(0);
    program.run("run a.csv --dry-run --emulator --report review.html").expect_code(0);
    assert!(program.read("review.html").contains("<strong>EMULATOR</strong>: nothing real changes"));
}

#[test]
fn skipped_rows_state_the_reason() {
    let rows = "incidentId,status\n7,Resolved\nx,Resolved\n8,Resolved\n8,Active\n9,Resolved\n";
    let program =
        Program::new().file("a.csv", rows).file("first.csv", "incidentId,status\n7,Resolved\n").emulator(|_| ());
    program.send("first.csv").expect_code(0);
    let run = format!("run a.csv --dry-run --skip-invalid --base-url {} --report r.html", program.origin());
    program.run(&run).expect_code(1);
    let page = program.read("r.html");
    assert_eq!(rows_of(&page), [1, 2, 3, 4, 5]);
    assert_eq!(page.matches("<strong>Not sent:</strong>").count(), 4);
    assert!(page.contains("the same change was applied by an earlier run"), "{page}");
    assert!(section(&page, "warnings").contains("3 rows invalid: skipped"), "{page}");
}

/// Ten incidents; 4 and 9 don't exist.
fn some_missing() -> Program {
    Program::new().file("a.csv", closing(1..=10)).emulator(|settings| {
        settings.incidents = "1-3,5-8,10".parse().expect("incidents");
    })
}

#[test]
fn run_report_has_failures_first_each_row_once() {
    let program = some_missing();
    program.send("a.csv --report r.html --results out.csv").expect_code(1).expect_text("report: r.html");
    let page = program.read("r.html");
    assert_eq!(rows_of(&page), [4, 9, 1, 2, 3, 5, 6, 7, 8, 10]);
    let failures = section(&page, "failures");
    assert_eq!(rows_of(failures), [4, 9]);
    assert!(failures.contains("failed, not-found") && failures.contains("HTTP 404"), "{failures}");
    assert!(section(&page, "facts").contains("out.csv") && section(&page, "facts").contains("10: 10 updates, 0 reads"));
    assert!(page.contains("bulk-triage run out.csv"), "what to do next");
}

#[test]
fn stopped_and_older_runs_have_a_report() {
    let program = some_missing();
    program.send("a.csv --report r.html --max-failures 1 --concurrency 1 --results out.csv").expect_code(6);
    let page = program.read("r.html");
    assert_eq!(rows_of(&page), [4, 1, 2, 3, 5, 6, 7, 8, 9, 10]);
    assert!(page.contains("stopped early") && page.contains("not-attempted"), "{page}");
    let run = page.split("<p class=\"state\">Run ").nth(1).expect("its name").split(':').next().expect("a name");
    program.run(&format!("runs show {run} --report again.html")).expect_code(0).expect_text("report: again.html");
    let again = program.read("again.html");
    assert_eq!(rows_of(&again), rows_of(&page));
    assert!(again.contains(&format!("bulk-triage runs resume {run}")), "{again}");
    program.run(&format!("runs resume {run} --yes --report more.md")).expect_code(1);
    let more = program.read("more.md");
    assert!(more.contains("**failed** <code>not-found</code>") && !more.contains("not-attempted"), "{more}");
}

#[test]
fn other_file_at_report_path_is_refused() {
    let program =
        Program::new().file("a.csv", closing(1..=3)).file("notes.html", "<!doctype html>\nmine").emulator(|_| ());
    fs::create_dir(program.path("dir.html")).expect("a directory");
    symlink(program.path("nowhere"), program.path("link.html")).expect("a link");
    fs::hard_link(program.path("a.csv"), program.path("input.html")).expect("a link");
    assert!(finished(Command::new("mkfifo").arg(program.path("pipe.md"))).expect("mkfifo").success());
    let (before, origin) = (program.names(), program.origin());
    for (report, says) in [
        ("r.pdf", "`.html` or `.md`"),
        ("r", "`.html` or `.md`"),
        ("notes.html", "is not a report"),
        ("dir.html", "a directory"),
        ("link.html", "a symbolic link"),
        ("pipe.md", "a named pipe"),
        ("missing/r.html", "No such file"),
        ("", "--report"),
    ] {
        // `none.csv` does not exist, but the report is refused first.
        for input in ["a.csv", "none.csv"] {
            for more in [&["--yes"][..], &["--dry-run"]] {
                let command = [&["run", input, "--base-url", &origin, "--report", report], more].concat();
                started(program.command_of(command)).end().expect_code(2).expect_text(says);
            }
        }
    }
    program.send("a.csv --report input.html").expect_code(2).expect_text("reads or writes that file");
    program.send("a.csv --report r.html --results r.html").expect_code(2).expect_text("reads or writes that file");
    assert_eq!(program.names(), before);
    assert!(program.requests().is_empty());
}

/// A file whose rows have each of the texts as title, tag and comment.
pub(crate) fn rows_of_hostile_texts() -> String {
    let row = |(id, text): (u64, String)| {
        // A tag that means "no value" would be an error.
        let is_placeholder = ["null", "NaN", "undefined", "---", "(empty)"].contains(&text.as_str());
        let tag = if is_placeholder { "tag".to_owned() } else { text.clone() };
        format!(
            "{}\n",
            json!({"incidentId": id, "status": "Active", "tags": [tag], "comment": format!("c{text}"), "title": text})
        )
    };
    (1..).zip(hostile_texts()).map(row).collect()
}

fn reviewed(program: &Program, report: &str) -> Ended {
    program.run(&format!("run hostile.jsonl --dry-run --emulator --report {report}")).expect_code(0)
}

#[test]
fn hostile_texts_are_text_in_rendered_markdown() {
    let program = Program::new().file("hostile.jsonl", rows_of_hostile_texts());
    reviewed(&program, "r.md");
    let mut options = comrak::Options::default();
    options.extension.autolink = true;
    options.extension.table = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    options.render.r#unsafe = true;
    let page = comrak::markdown_to_html(&program.read("r.md"), &options);
    let rows = page.split("Incidents</h2>").nth(1).expect("rows");
    assert_eq!(rows.matches("<tr>").count(), hostile_texts().len() + 1, "and the head");
    let own = ["p", "table", "thead", "tbody", "tr", "th", "td", "code", "br", "strong", "em", "!--"];
    for element in rows.split('<').skip(1) {
        let name = element.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric() && !"!-".contains(c));
        let name = name.into_iter().next().expect("a name");
        assert!(own.contains(&name), "<{element}");
    }
}

#[test]
fn too_long_markdown_is_truncated_with_notice() {
    let row = |id: u64| format!("{id},Resolved,{}\n", "long ".repeat(40));
    let rows: String = ["incidentId,status,comment\n".to_owned()].into_iter().chain((1..=9_000).map(row)).collect();
    let program = Program::new().file("a.csv", rows);
    program.run("run a.csv --dry-run --emulator --report r.md").expect_code(0);
    let page = program.read("r.md");
    assert!(page.len() <= 1_000_000 && page.len() > 900_000, "{}", page.len());
    let shown = page.lines().filter(|line| line.ends_with(" |") && line.contains("long long")).count() - 1;
    let cut = page.split("\n**").last().expect("it says so").split(' ').next().expect("a number").replace(',', "");
    assert_eq!(shown + cut.parse::<usize>().expect("a number"), 9_000);
}

#[test]
fn step_summary_is_appended_as_markdown() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("step_summary_1", "# Build\nfine").emulator(|_| ());
    let sends = |results: &str| {
        let mut command = program.send_command(&format!("a.csv --remember 0 --results {results}"));
        command.env("GITHUB_STEP_SUMMARY", program.path("step_summary_1")).arg("--report");
        command.arg(program.path("step_summary_1"));
        started(command).end().expect_code(0).expect_text("report: ");
    };
    sends("one.csv");
    let first = program.read("step_summary_1");
    assert!(first.starts_with("# Build\nfine\n<!-- bulk-triage page 1 -->\n"), "{first}");
    sends("two.csv");
    let second = program.read("step_summary_1");
    assert!(second.starts_with(&first) && second.matches("# Run report").count() == 2, "{second}");
    // Any other file needs the extension of its format.
    program.send("a.csv --report other").expect_code(2).expect_text("its name must end in");
}

/// GitHub shows none of a summary that is too long.
#[test]
fn full_step_summary_gets_no_page() {
    let earlier = "x".repeat(999_900);
    let program = Program::new().file("a.csv", closing(1..=3)).file("summary", &earlier).emulator(|_| ());
    let mut command = program.send_command("a.csv --report summary");
    command.env("GITHUB_STEP_SUMMARY", "summary");
    let ended = started(command).end().expect_code(0).expect_text("no room").expect_outcomes(&[("updated", 3)]);
    assert_eq!(program.read("summary"), earlier);
    let show = format!("runs show {} --report report.md", program.last_run());
    ended.expect_text(&format!("`bulk-triage {show}` writes it"));
    program.run(&show).expect_code(0);
    assert!(program.read("report.md").contains("# Run report"));
}

#[test]
fn step_summary_may_be_the_report_file() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("notes.md", "mine\n").emulator(|_| ());
    for name in ["new", "notes.md"] {
        let mut command = program.command(&format!("run a.csv --dry-run --report {name}"));
        command.env("GITHUB_STEP_SUMMARY", name);
        started(command).end().expect_code(0);
        assert!(program.read(name).contains("<!-- bulk-triage page 1 -->"));
    }
    assert!(program.read("notes.md").starts_with("mine\n"));
}

#[test]
fn report_format_is_for_names_that_say_none() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    program.send("a.csv --report page").expect_code(2).expect_text("--report-format");
    assert!(program.requests().is_empty());
    program.send("a.csv --report page --report-format html").expect_code(0);
    assert!(program.read("page").starts_with("<!doctype html>"), "{}", program.read("page"));
    let run = program.last_run();
    program.run(&format!("runs show {run} --report page.txt --report-format md")).expect_code(0);
    assert!(!program.read("page.txt").contains("<html"));
    // The name decides if it can.
    program.run(&format!("runs show {run} --report page.md --report-format html")).expect_code(0);
    assert_eq!(program.read("page.md"), program.read("page.txt"));
    let settings = program.file("config.toml", "report = 'summary'\nreport-format = 'md'\n");
    settings.send("a.csv --remember 0 --config config.toml").expect_code(0);
    assert!(settings.path("summary").exists());
}
