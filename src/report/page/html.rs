//! The HTML format: a self-contained file in which all text from outside is text.
//!
//! Promises: no text from outside is in an attribute, a style or a comment, except links that the contract accepts;
//! templates escape all text.

use std::io::Write;
use std::iter;

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::chart::{self, Chart};
use super::diff_cell::{Cell, Value, shown};
use super::review::{Review, ReviewRow};
use super::run_report::{RunReport, RunReportRow, is_trouble};
use super::table_chunks::{Chunks, Column};
use super::wording::{DOCTYPE, Fact, Figure, MARK, SetProperty, group_name};
use crate::files::OutputError;
use crate::journal::OutcomeGroup;
use crate::model::edit::PropertyEdit;
use crate::report::humanize::count;
use crate::text::printable;

const STYLE: &str = include_str!("../../../templates/page/style.css");

/// The start of a page, up to the first section.
#[derive(Template)]
#[template(path = "page/head.html")]
struct Head {
    start: String,
    policy_hash: String,
    style: &'static str,
    title: String,
    kind: &'static str,
    state: Option<String>,
    is_emulated: bool,
    figures: Vec<Figure>,
    /// Anchors and names of the sections.
    sections: Vec<(&'static str, &'static str)>,
}

/// The part of a review before its rows.
#[derive(Template)]
#[template(path = "page/review.html")]
struct ReviewBody {
    warnings: Vec<String>,
    sets: Vec<SetProperty>,
    chart: Option<Chart>,
    facts: Vec<Fact>,
    is_compared: bool,
}

#[derive(Template)]
#[template(path = "page/review_row.html")]
struct ReviewRowView {
    row: u64,
    line: u64,
    incident: String,
    link: Option<String>,
    context: Vec<(String, String)>,
    left_out: Option<String>,
    note: Option<String>,
    /// For each property, the effect and the value when it was fetched.
    cells: Vec<(Cell, Option<String>)>,
}

/// The part of a run report between the failed rows and the others.
#[derive(Template)]
#[template(path = "page/run_report.html")]
struct RunReportBody {
    chart: Option<Chart>,
    throttled: bool,
    facts: Vec<Fact>,
}

#[derive(Template)]
#[template(path = "page/group.html")]
struct GroupHead {
    name: String,
    rows: String,
}

#[derive(Template)]
#[template(path = "page/run_report_row.html")]
struct RunReportRowView {
    row: u64,
    line: u64,
    incident: String,
    link: Option<String>,
    context: Vec<(String, String)>,
    outcome: &'static str,
    is_trouble: bool,
    code: String,
    message: String,
    response: String,
    requested: Vec<(String, Cell)>,
    calls: u32,
    time: String,
}

/// The part of a page after the last row.
#[derive(Template)]
#[template(path = "page/foot.html")]
struct Foot<'a> {
    checksum: Option<&'a str>,
    next: Option<&'a str>,
    version: &'static str,
}

/// Writes a review.
pub(super) fn review<E>(
    out: &mut dyn Write,
    review: &Review<'_>,
    rows: impl Iterator<Item = Result<ReviewRow, E>>,
) -> Result<(), OutputError<E>> {
    let preview = review.preview;
    let head = Head {
        kind: "Review of planned changes",
        state: None,
        is_emulated: preview.target.emulator,
        figures: review.figures(),
        sections: vec![
            ("warnings", "Warnings"),
            ("changes", "Changes"),
            ("time", "Requests over time"),
            ("facts", "Run"),
            ("rows", "Incidents"),
        ],
        ..Head::of(review.title())
    };
    head.write_into(out)?;
    let body = ReviewBody {
        warnings: review.warnings(),
        sets: review.sets(),
        chart: review.chart(),
        facts: review.facts(),
        is_compared: preview.run.compared.is_some(),
    };
    body.write_into(out)?;
    let properties = review.properties();
    let mut columns = vec![column("Row", "row"), column("Incident", "incident")];
    columns.extend(properties.iter().map(|name| property_column(name, review.appended)));
    let views = rows.map(|row| {
        let row = row?;
        let cell = |name: &&str| {
            let cell = Cell::new(name, &row.edits, row.before.as_ref());
            (cell, row.was(name, preview.run.estimate.starts_at))
        };
        let view = ReviewRowView {
            row: row.row,
            line: row.line,
            incident: shown(&row.incident),
            link: row.link.clone(),
            context: shown_context(&row.context.cells),
            left_out: row.left_out.as_deref().map(shown),
            note: row.note.as_deref().map(shown),
            cells: properties.iter().map(cell).collect(),
        };
        Ok((row.row, view))
    });
    write_rows(out, columns, views)?;
    foot(out, review.checksum.as_deref(), review.next.as_deref())
}

/// Writes rows, each with its number, in tables of these columns.
fn write_rows<E>(
    out: &mut dyn Write,
    columns: Vec<Column>,
    rows: impl Iterator<Item = Result<(u64, impl Template), E>>,
) -> Result<(), OutputError<E>> {
    let mut chunks = Chunks::new(columns);
    out.write_all(b"<div class=\"wide\" role=\"group\" aria-label=\"Rows\" tabindex=\"0\">\n")?;
    for row in rows {
        let (number, row) = row.map_err(OutputError::Rows)?;
        chunks.add(out, number, &row)?;
    }
    chunks.finish(out)?;
    out.write_all(b"</div>\n")?;
    Ok(())
}

/// Writes a run report.
pub(super) fn run_report<E>(
    out: &mut dyn Write,
    report: &RunReport<'_>,
    rows: impl Iterator<Item = Result<RunReportRow, E>>,
) -> Result<(), OutputError<E>> {
    let head = Head {
        kind: "Run report",
        state: Some(format!("Run {}: {}", printable(report.run), printable(&report.state))),
        is_emulated: report.is_emulated,
        figures: report.figures(),
        sections: vec![
            ("failures", "Failures"),
            ("time", "Requests over time"),
            ("facts", "Run"),
            ("rows", "Other rows"),
        ],
        ..Head::of(report.title())
    };
    head.write_into(out)?;
    let columns = || {
        [
            column("Row", "row"),
            column("Incident", "incident"),
            column("Outcome", "outcome"),
            column("Requested change", "asked"),
            column("Requests", "calls"),
            column("Time", "time"),
        ]
        .into()
    };
    let view = |row: RunReportRow| (row.result.row, report_row(report, &row));
    let mut rows = rows.peekable();
    out.write_all(b"<section aria-labelledby=\"failures\">\n<h2 id=\"failures\">Failures</h2>\n")?;
    for group in report.troubles() {
        GroupHead { name: group_name(group), rows: count(group.rows) }.write_into(out)?;
        let is_next = |row: &Result<RunReportRow, E>| row.as_ref().map_or(true, |row| is_in(row, group));
        write_rows(out, columns(), iter::from_fn(|| rows.next_if(is_next)).map(|row| row.map(view)))?;
    }
    if report.troubles().next().is_none() {
        out.write_all(b"<p>Nothing.</p>\n")?;
    }
    out.write_all(b"</section>\n")?;
    let throttled = report.timeline.throttled > 0;
    RunReportBody { chart: report.chart(), throttled, facts: report.facts() }.write_into(out)?;
    write_rows(out, columns(), rows.map(|row| row.map(view)))?;
    foot(out, report.checksum.as_deref(), report.next.as_deref())
}

fn is_in(row: &RunReportRow, group: &OutcomeGroup) -> bool {
    row.result.outcome.kind == group.kind && row.result.outcome.code == group.code
}

fn report_row(report: &RunReport<'_>, row: &RunReportRow) -> RunReportRowView {
    let outcome = &row.result.outcome;
    let cell = |name: &str| Cell::new(name, &row.edits, row.before.as_ref());
    let status = outcome.http_status.map(|status| format!("HTTP {status}"));
    let request = outcome.request_id.as_ref().map(|id| format!("request {}", printable(id)));
    RunReportRowView {
        row: row.result.row,
        line: row.result.line,
        incident: shown(&row.result.incident_id),
        link: row.link.clone(),
        context: shown_context(&row.context),
        outcome: outcome.kind.name(),
        is_trouble: is_trouble(outcome.kind),
        code: printable(outcome.code.as_str()).into_owned(),
        message: printable(&outcome.message).into_owned(),
        response: status.into_iter().chain(request).collect::<Vec<_>>().join(", "),
        requested: row.edits.iter().map(|PropertyEdit { property: name, .. }| (shown(name), cell(name))).collect(),
        calls: row.result.attempts,
        time: outcome.finished_at.map(|time| report.time(time)).unwrap_or_default(),
    }
}

impl Head {
    fn of(title: String) -> Head {
        Head {
            start: [DOCTYPE, MARK].concat(),
            policy_hash: format!("sha256-{}", BASE64.encode(Sha256::digest(STYLE))),
            style: STYLE,
            title,
            kind: "",
            state: None,
            is_emulated: false,
            figures: Vec::new(),
            sections: Vec::new(),
        }
    }
}

fn foot<E>(out: &mut dyn Write, checksum: Option<&str>, next: Option<&str>) -> Result<(), OutputError<E>> {
    let (checksum, next) = (checksum.map(printable), next.map(printable));
    let foot = Foot { checksum: checksum.as_deref(), next: next.as_deref(), version: env!("CARGO_PKG_VERSION") };
    Ok(foot.write_into(out)?)
}

fn column(name: &str, class: &'static str) -> Column {
    Column { name: name.to_owned(), class }
}

fn property_column(name: &str, appended: Option<&str>) -> Column {
    if appended == Some(name) {
        Column { name: format!("{} (added)", shown(name)), class: "text" }
    } else {
        Column { name: shown(name), class: "property" }
    }
}

/// The longest part of another column that is shown, in characters.
const CONTEXT: usize = 200;

fn shown_context(context: &[(String, String)]) -> Vec<(String, String)> {
    let text = |text: &str| crate::text::truncate(text, CONTEXT);
    context.iter().map(|(name, value)| (text(name), text(value))).collect()
}
