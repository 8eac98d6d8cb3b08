//! The pages, whole: the review before a run and the report after it, in both forms, so that their wording is reviewed as
//! text. Whether what they say is true, `report` tests.

use crate::flow_texts::{HOURLY, with_many};
use crate::program::{Program, fault_of, started};
use crate::story::{Story, line_of};

/// The texts of an HTML page: a line for each row of a table, cells and terms apart, no pictures.
fn text_of(page: &str) -> String {
    let (_, body) = page.split_once("</style>").expect("a style, and what comes after");
    let (mut text, mut is_in_picture) = (String::new(), false);
    for piece in body.split('<').skip(1) {
        let (tag, content) = piece.split_once('>').expect("its end");
        match tag.split(' ').next().unwrap_or_default() {
            "svg" => is_in_picture = true,
            "/svg" => is_in_picture = false,
            "h1" => text.push_str("# "),
            "h2" => text.push_str("## "),
            "h3" => text.push_str("### "),
            "li" => text.push_str(" - "),
            "/td" | "/th" | "/dt" => text.push_str(" | "),
            "p" | "small" | "span" => text.push(' '),
            _ => {}
        }
        if !is_in_picture {
            text.push_str(content);
        }
    }
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines: Vec<_> =
        lines.map(|line| line.trim_end_matches(" |").to_owned()).filter(|line| !line.is_empty()).collect();
    lines.join("\n").replace("\n## ", "\n\n## ")
}

/// The rows of a chart's table, a duration and a number each, depend on the time.
fn without_chart(text: &str) -> String {
    let is_row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let is_duration = |cell: &str| {
            cell.starts_with(|c: char| c.is_ascii_digit()) && ["s", "min"].iter().any(|unit| cell.ends_with(unit))
        };
        matches!(*cells, [after, requests] if is_duration(after) && requests.parse::<u64>().is_ok())
    };
    text.lines().filter(|line| !is_row(line)).fold(String::new(), |kept, line| kept + line + "\n")
}

/// Runs a command that writes a page, and compares that page, with characters for its entities, to the snapshot `name`.
#[track_caller]
fn check_page(program: &Program, name: &str, command: &str, report: &str) {
    let command = program.command(&format!("{command} --report {report}"));
    let shown = line_of(&command);
    started(command).end().expect_text(&format!("report: {report}"));
    let page = program.read(report);
    let page = if page.starts_with("<!doctype html>") { text_of(&page) } else { page };
    let page = without_chart(&html_escape::decode_html_entities(&page));
    Story::of(program).typed(&shown).part(report, &page).is(name);
}

#[test]
fn review_of_many_changes() {
    let program = with_many();
    let origin = program.origin();
    let plain = format!("run many.csv --skip-invalid --limit 9 --dry-run --base-url {origin}");
    check_page(&program, "page-review-md", &plain, "review.md");
    check_page(&program, "page-review-html", &plain, "review.html");
    let compared = format!("{plain} --follow-redirects --concurrency 1 {HOURLY}");
    check_page(&program, "page-compared-md", &compared, "compared.md");
    check_page(&program, "page-compared-html", &compared, "compared.html");
}

#[test]
fn review_of_plan_and_emulator() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n1,Resolved\n").emulator(|_| ());
    let plan = format!("plan a.csv -o a.plan {HOURLY} --base-url {}", program.origin());
    check_page(&program, "page-plan", &plan, "plan.html");
    check_page(&program, "page-emulator", &format!("run a.csv --emulator --dry-run {HOURLY}"), "emulator.html");
}

#[test]
fn report_of_each_end() {
    let rows = "incidentId,status,tags,comment,Title\n1,Resolved,a,Tuned,Odd login\n2,Resolved,b,,\n3,,,Seen,Mail\n4,Active,,,\n";
    let program = Program::new().file("a.csv", rows).emulator(|settings| {
        settings.incidents = "1-3".parse().expect("incidents");
        settings.faults = ["ignore@#2=tags"].map(fault_of).into_iter().collect();
    });
    let run = |name: &str, options: &str, report: &str| {
        let command = format!("run a.csv --yes --concurrency 1 {HOURLY} --base-url {}{options}", program.origin());
        check_page(&program, name, &command, report);
    };
    let show = |name: &str, report: &str| {
        check_page(&program, name, &format!("runs show {}", program.last_run()), report);
    };
    run("page-stopped-md", " --compare --stop-after 0s", "stopped.md");
    show("page-stopped-html", "stopped.html");
    run("page-finished-md", "", "finished.md");
    show("page-finished-html", "finished.html");
}
