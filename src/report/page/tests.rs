//! Whole pages, in both formats.

use std::convert::Infallible;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::*;
use crate::journal::PriorRuns;
use crate::model::edit::Edits;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind, ResultRow};
use crate::model::quota_spec::Quota;
use crate::model::setting::{Origin, Settings};
use crate::report::next_command::NextCommand;
use crate::report::outcome_counts::OutcomeCounts;
use crate::report::preview::{Preview, TargetLabel};
use crate::session::{self, Counts, Estimate, NamedLines, SetCounts};

fn map(json: &Value) -> Map<String, Value> {
    json.as_object().expect("an object").clone()
}

fn edits(body: &str) -> Edits {
    crate::plan::decode(body, body.contains("comment")).expect("a body")
}

fn preview(bodies: &[&str]) -> Preview {
    let mut sets = SetCounts::default();
    for body in bodies {
        sets.add(&edits(body), None);
    }
    Preview {
        run: session::Preview {
            counts: Counts { rows: bodies.len() as u64, requests: bodies.len() as u64, sets, ..Counts::default() },
            overridden: vec![("classification".to_owned(), 12)],
            compared: None,
            retargeted: NamedLines::default(),
            first_changes: vec![],
            resumed: None,
            earlier: Some(PriorRuns { unfinished: [("4ccc".to_owned(), 1)].into(), ..PriorRuns::default() }),
            outlook: session::Outlook::default(),
            estimate: Estimate {
                starts_at: "2026-11-24T17:30:00Z".parse().expect("a time"),
                duration: Duration::from_secs(61),
                stop_after: Some((Duration::from_secs(30), 1)),
            },
        },
        target: TargetLabel {
            origin: "https://api.security.microsoft.com".to_owned(),
            scope: Some("tenant 0b7e6d3c".to_owned()),
            caller: Some("secop2@contoso.com".to_owned()),
            credential: None,
            proxy: None,
            certificates: String::new(),
            emulator: false,
        },
        contract: None,
        input: "close.csv".to_owned(),
        alerts: vec![],
        notes: vec![],
        doubtful: vec![],
        token_expires: Some("2026-11-24T17:30:10Z".parse().expect("a time")),
        finish: vec![NextCommand::new("bulk-triage")],
        first_requests: vec![],
    }
}

/// A review without optional parts.
fn review<'a>(preview: &'a Preview, quota: &'a Quota) -> Review<'a> {
    Review {
        preview,
        contract: "defender",
        appended: None,
        quota,
        forecast: vec![],
        warnings: Warnings::default(),
        checksum: None,
        next: None,
    }
}

/// Two incidents with a snapshot, in both formats.
fn compared() -> [String; 2] {
    let bodies = [r#"{"status":"Resolved","tags":["a","c"],"comment":"tuned"}"#, r#"{"assignedTo":""}"#];
    let preview = preview(&bodies);
    let rows = [(json!({"status": "Active", "tags": ["a", "b"]}), bodies[0]), (json!({"assignedTo": "jo"}), bodies[1])];
    let rows = (1..).zip(rows).map(|(row, (before, after))| ReviewRow {
        row,
        line: row + 1,
        incident: "7".to_owned(),
        edits: edits(after),
        before: Some(map(&before)),
        ..ReviewRow::default()
    });
    let quota = "50/1m,1500/1h".parse().expect("a quota");
    let review = Review {
        appended: Some("comment"),
        forecast: vec![Point { at: Duration::ZERO, calls: 2 }],
        checksum: Some("5ea1".to_owned()),
        next: Some("bulk-triage apply plan.jsonl".to_owned()),
        ..review(&preview, &quota)
    };
    let directory = tempfile::tempdir().expect("a directory");
    ["html", "md"].map(|ending| {
        let path = directory.path().join("page").with_extension(ending);
        let file = PageFile::examine(&path, None, &[]).expect("free");
        file.write_review(&review, rows.clone().map(Ok::<_, Infallible>)).expect("is written");
        std::fs::read_to_string(&path).expect("reads")
    })
}

#[test]
fn review_shows_before_and_after() {
    let [html, markdown] = compared();
    for part in [
        "<td><del>Active</del> → <ins>Resolved</ins></td>",
        "<ul><li>a</li><li><del>− b</del></li><li><ins>+ c</ins></li></ul>",
        "<td><del>jo</del> → <ins><i>empty</i></ins></td>",
        "comment (added)",
        "Plan checksum: <code>5ea1</code>",
        "bulk-triage apply plan.jsonl",
    ] {
        assert!(html.contains(part), "{part} is missing in\n{html}");
    }
    for part in
        ["<code>Active</code> → **<code>Resolved</code>**", "− <code>b</code><br>**+ <code>c</code>**", "**Warning:**"]
    {
        assert!(markdown.contains(part), "{part} is missing in\n{markdown}");
    }
}

/// The page is split into tables; no row is lost between two of them.
#[test]
fn page_of_100_000_rows_has_each_once() {
    const ROWS: u64 = 100_000;
    let preview = preview(&[]);
    let quota = "50/1m,1500/1h".parse().expect("a quota");
    let review = review(&preview, &quota);
    let edits = edits(r#"{"status":"Resolved"}"#);
    let rows = (1..=ROWS).map(|row| ReviewRow {
        row,
        line: row + 1,
        incident: format!("i{row}"),
        edits: edits.clone(),
        ..ReviewRow::default()
    });
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("page.html");
    let file = PageFile::examine(&path, None, &[]).expect("free");
    file.write_review(&review, rows.map(Ok::<_, Infallible>)).expect("is written");
    let page = std::fs::read_to_string(&path).expect("reads");
    let found = page.split('i').filter_map(|rest| rest.split_once('<')?.0.parse::<u64>().ok());
    assert!(found.eq(1..=ROWS), "each row once, in order");
    assert!(page.matches("</table>").count() >= 500 && page.len() < 50_000_000, "{} bytes", page.len());
}

#[test]
fn warnings_are_shown_first() {
    let [html, _] = compared();
    let warnings =
        html.split("<h2 id=\"warnings\">").nth(1).expect("a section").split("</section>").next().expect("its end");
    for part in [
        "the token expires at 17:30 UTC",
        "--stop-after 30s: 1 of 2 rows fit",
        "1 row: assignedTo is cleared",
        "1 row: the current tags are replaced",
        "--set overrides 12 cells of classification",
        "run 4ccc is not finished and has other changes for 1 incident",
    ] {
        assert!(warnings.contains(part), "{part} is missing in\n{warnings}");
    }
    let places = ["warnings", "changes", "time", "facts", "rows"].map(|id| html.find(&format!("<h2 id=\"{id}\">")));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
}

#[test]
fn report_of_an_empty_run_is_a_page() {
    let quota = "50/1m".parse().expect("a quota");
    let report = RunReport {
        run: "7f3k",
        state: "over".to_owned(),
        is_emulated: false,
        scope: None,
        caller: None,
        origin: "http://127.0.0.1:1",
        contract: "defender",
        input: "-",
        settings: Settings::default(),
        results: "r.csv",
        quota: &quota,
        started: "2026-11-24T17:30:00Z".parse().expect("a time"),
        finished: None,
        outcomes: OutcomeCounts::default(),
        groups: vec![],
        timeline: crate::journal::Timeline::default(),
        checksum: None,
        next: None,
    };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("page.html");
    let file = PageFile::examine(&path, None, &[]).expect("free");
    file.write_run_report(&report, std::iter::empty::<Result<_, Infallible>>()).expect("is written");
    let page = std::fs::read_to_string(&path).expect("reads");
    assert!(page.contains("0 rows from standard input") && page.contains("<p>No requests.</p>"), "{page}");
    assert!(page.ends_with("</html>\n"));
}

/// It leaves no temporary file either.
#[test]
fn failed_write_keeps_the_old_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("page.md");
    std::fs::write(&path, "").expect("writes");
    let file = PageFile::examine(&path, None, &[]).expect("empty");
    let preview = preview(&["{}"]);
    let quota = "50/1m".parse().expect("a quota");
    let review = review(&preview, &quota);
    let error = file.write_review(&review, [Err("the journal is damaged")].into_iter()).expect_err("fails");
    assert_eq!(error.to_string(), "the journal is damaged");
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), "");
    assert_eq!(std::fs::read_dir(directory.path()).expect("lists").count(), 1);
}

/// Wherever a page shows text from outside.
#[test]
fn server_messages_are_escaped() {
    let said = "</td><script>alert(1)</script>\u{202e}";
    let mut outcomes = OutcomeCounts::default();
    outcomes.add(OutcomeKind::Failed, 1);
    let quota = "50/1m".parse().expect("a quota");
    let group = crate::journal::OutcomeGroup { kind: OutcomeKind::Failed, code: OutcomeCode::Rejected.into(), rows: 1 };
    let report = RunReport {
        run: "7f3k",
        state: said.to_owned(),
        is_emulated: true,
        scope: Some(said.to_owned()),
        caller: Some(said.to_owned()),
        origin: said,
        contract: said,
        input: said,
        settings: {
            let mut settings = Settings::default();
            settings.push("--set", Some(said.to_owned()), Origin::Flag);
            settings
        },
        results: said,
        quota: &quota,
        started: "2026-11-24T17:30:00Z".parse().expect("a time"),
        finished: None,
        outcomes,
        groups: vec![group],
        timeline: crate::journal::Timeline::default(),
        checksum: Some(said.to_owned()),
        next: Some(said.to_owned()),
    };
    let outcome =
        Outcome { request_id: Some(said.to_owned()), ..Outcome::new(OutcomeKind::Failed, OutcomeCode::Rejected, said) };
    let result = ResultRow { row: 1, line: 2, incident_id: said.to_owned(), outcome, attempts: 1, source: Vec::new() };
    let context = vec![(said.to_owned(), said.to_owned())];
    let row =
        RunReportRow { result, edits: edits(&json!({(said): said}).to_string()), before: None, link: None, context };
    let directory = tempfile::tempdir().expect("a directory");
    for ending in ["html", "md"] {
        let path = directory.path().join("page").with_extension(ending);
        let file = PageFile::examine(&path, None, &[]).expect("free");
        file.write_run_report(&report, [Ok::<_, Infallible>(row.clone())].into_iter()).expect("is written");
        let page = std::fs::read_to_string(&path).expect("reads");
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
        assert!(page.contains("script&#62;alert") || page.contains("script&#62;alert&#40;"), "{page}");
    }
}
