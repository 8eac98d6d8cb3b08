//! A walkthrough: export, plan, review, apply, report, undo.

use std::fmt::Write as _;

use crate::program::{Program, by_api, spelled, with_graph};

/// Its commands; `RUN` is the newest run.
const COMMANDS: [&str; 5] = [
    "plan export.csv --set status=Resolved --set classification=FalsePositive --set comment=Tuned --compare -o close.plan \
     --report review.html",
    "plan close.plan",
    "apply close.plan --yes --report report.html",
    "runs undo RUN -o undo.plan --comment Reopened",
    "apply undo.plan --yes",
];

with_graph!(export_plan_apply_report_and_undo_work);

fn export(ids: impl Iterator<Item = u64>) -> String {
    let head = "Incident name,Incident Id,Tags,Severity,Status,Assigned to,Classification,Last update time\n";
    ids.fold(head.to_owned(), |mut text, id| {
        let _ = writeln!(text, "\"Suspicious, number {id}\",{id},,Medium,Active,,Not set,2026-11-02 09:14:02");
        text
    })
}

fn values(program: &Program, id: u64) -> String {
    let incident = program.shown(id);
    let names = ["status", "assignedTo", "classification", "determination", by_api("tags", "customTags")];
    names.map(|name| incident[name].to_string()).join(" ")
}

#[test]
fn export_plan_apply_report_and_undo_work() {
    let rows = by_api(300, 100);
    let ids = || (1..=rows).map(|n| 2_000 + n * 2);
    let program = Program::new().file("export.csv", export(ids())).emulator(|settings| {
        settings.incidents = "1-4000".parse().expect("incidents");
    });
    let before: Vec<String> = ids().map(|id| values(&program, id)).collect();
    let mut said = Vec::new();
    for command in COMMANDS {
        let run = program
            .run("runs")
            .stdout
            .lines()
            .nth(1)
            .and_then(|line| line.split_whitespace().next())
            .map(str::to_owned);
        let mut command = command.replace(" RUN ", &format!(" {} ", run.unwrap_or_default()));
        if command.starts_with("plan export.csv") {
            let _ = write!(command, " --base-url {}{}", program.origin(), by_api("", " --contract graph"));
        }
        if !command.starts_with("plan close.plan") {
            command.push_str(" --quota 10000/1s");
        }
        said.push(program.run(&command).expect_code(0).printed());
    }
    assert_eq!(said.len(), 5);
    let updated = format!("  updated             {rows}");
    let undone = format!("plan: undo.plan, {rows} of {rows} updated rows");
    let texts = [
        "portal export: only incident IDs are used",
        "line 2, 2002:\n    status Active → Resolved\n    classification Unknown → FalsePositive\n    comment + Tuned\n",
        &updated,
        &undone,
        &updated,
    ];
    for (said, text) in said.iter().zip(texts.map(spelled)) {
        assert!(said.contains(&text), "`{text}` is missing in:\n{said}");
    }
    assert_eq!(ids().map(|id| values(&program, id)).collect::<Vec<_>>(), before);
    assert_eq!(program.comments(2_002), ["Tuned", "Reopened"]);
    let looks = program.requests().iter().filter(|request| request.method == "GET").count();
    // Reads before the plan, before applying it, before undoing it and before applying that.
    assert!(looks <= 4 * by_api(9, 6), "{looks} looks");
    let review = program.read("review.html");
    assert!(review.contains("Suspicious, number 2200") && !review.contains("<script"));
    assert!(program.read("report.html").contains("2200"));
}
