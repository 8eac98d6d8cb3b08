//! The Markdown format: for pull requests and tickets, which accept at most a megabyte.
//!
//! Promises: no text from outside can become markup, a link, an image, a mention or HTML, in a table or elsewhere; at
//! most [`LONGEST`] bytes are written; rows that don't fit are counted.

use std::io::{self, Write};

use super::chart::Chart;
use super::diff_cell::{Cell, Value};
use super::review::{Review, ReviewRow};
use super::run_report::{RunReport, RunReportRow, is_trouble};
use super::wording::{Fact, Figure, MARK, group_name};
use crate::files::OutputError;
use crate::model::edit::PropertyEdit;
use crate::report::humanize::{count, counted};
use crate::text::{Markdown as Text, truncate};

/// The longest page, in bytes.
pub(super) const LONGEST: u64 = 1_000_000;

/// The bytes reserved for the part after the rows.
const RESERVED: u64 = 32_000;

/// The longest part of a text that is shown, in characters, except for values and messages.
const SHORT: usize = 300;

/// Counts the bytes written to `out`.
struct Counted<'o> {
    out: &'o mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Counted<'_> {
    /// Writes the line of a row, if it fits.
    fn write_if_it_fits(&mut self, line: &str) -> io::Result<bool> {
        let fits = self.bytes + line.len() as u64 + RESERVED <= LONGEST;
        if fits {
            self.write_all(line.as_bytes())?;
        }
        Ok(fits)
    }
}

/// Writes a review. The file already has `used` bytes.
pub(super) fn review<E>(
    out: &mut dyn Write,
    used: u64,
    review: &Review<'_>,
    rows: impl Iterator<Item = Result<ReviewRow, E>>,
) -> Result<(), OutputError<E>> {
    let mut out = Counted { out, bytes: used };
    head(&mut out, "Review of planned changes", &review.title(), review.preview.target.emulator, &review.figures())?;
    writeln!(out, "\n## Warnings\n")?;
    let warnings = review.warnings();
    if warnings.is_empty() {
        writeln!(out, "None.")?;
    }
    for warning in &warnings {
        writeln!(out, "- **Warning:** {}", Text(&truncate(warning, 4 * SHORT)))?;
    }
    writeln!(out, "\n## Changes\n\n| property | rows | value |\n| --- | ---: | --- |")?;
    for set in review.sets() {
        for (value, rows) in &set.values {
            let value = value.as_ref().map_or_else(|| "*other values*".to_owned(), |value| Text(value).to_string());
            writeln!(out, "| {} | {rows} | {value} |", Text(&truncate(&set.property, SHORT)))?;
        }
    }
    facts(&mut out, &review.facts())?;
    chart(&mut out, review.chart().as_ref())?;
    writeln!(out, "\n## Incidents\n")?;
    let properties = review.properties();
    let names: String = properties.iter().map(|name| [" ", &Text(name).to_string(), " |"].concat()).collect();
    writeln!(out, "| row | incident |{names}\n| ---: | --- |{}", " --- |".repeat(properties.len()))?;
    let mut left = 0;
    for row in rows {
        let row = row.map_err(OutputError::Rows)?;
        left += u64::from(left > 0 || !out.write_if_it_fits(&review_row(review, &properties, &row))?);
    }
    foot(
        &mut out,
        left,
        "`--report` with a name that ends in `.html` shows them all",
        review.checksum.as_deref(),
        review.next.as_deref(),
    )
}

/// Writes a run report. The file already has `used` bytes.
pub(super) fn run_report<E>(
    out: &mut dyn Write,
    used: u64,
    report: &RunReport<'_>,
    rows: impl Iterator<Item = Result<RunReportRow, E>>,
) -> Result<(), OutputError<E>> {
    let mut out = Counted { out, bytes: used };
    head(&mut out, "Run report", &report.title(), report.is_emulated, &report.figures())?;
    writeln!(out, "\n## Failures\n")?;
    if report.troubles().next().is_none() {
        writeln!(out, "Nothing.")?;
    } else {
        writeln!(out, "| rows | outcome | \n| ---: | --- |")?;
        for group in report.troubles() {
            writeln!(out, "| {} | {} |", count(group.rows), Text(&group_name(group)))?;
        }
    }
    facts(&mut out, &report.facts())?;
    chart(&mut out, report.chart().as_ref())?;
    writeln!(out, "\n## Rows, failures first\n")?;
    writeln!(out, "| row | incident | outcome | requested change | requests |\n| ---: | --- | --- | --- | ---: |")?;
    let mut left = 0;
    for row in rows {
        let row = row.map_err(OutputError::Rows)?;
        left += u64::from(left > 0 || !out.write_if_it_fits(&report_row(&row))?);
    }
    let whole = format!("the results file has all rows: {}", Text(&truncate(report.results, SHORT)));
    foot(&mut out, left, &whole, report.checksum.as_deref(), report.next.as_deref())
}

fn review_row(review: &Review<'_>, properties: &[&str], row: &ReviewRow) -> String {
    let labeled = |label: &str, text: &Option<String>| {
        text.as_ref().map(|text| format!("<br>**{label}:** {}", Text(text))).unwrap_or_default()
    };
    let (left_out, note) = (labeled("Not sent", &row.left_out), labeled("Note", &row.note));
    let incident = incident(&row.incident, row.link.as_deref());
    let incident = format!("{incident}{}{left_out}{note}", context(&row.context.cells));
    let was = |name: &str| {
        row.was(name, review.preview.run.estimate.starts_at).map(|was| format!("<br>{}", Text(&truncate(&was, SHORT))))
    };
    let cell = |name: &&str| {
        let cell = cell(&Cell::new(name, &row.edits, row.before.as_ref()));
        cell + &was(name).unwrap_or_default()
    };
    let cells = [row.row.to_string(), incident].into_iter().chain(properties.iter().map(cell));
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

fn report_row(row: &RunReportRow) -> String {
    let result = &row.result;
    let outcome = &result.outcome;
    let kind = if is_trouble(outcome.kind) { format!("**{}**", outcome.kind) } else { outcome.kind.to_string() };
    let why = [outcome.code.as_str(), &outcome.message].into_iter().filter(|text| !text.is_empty());
    let ended = [kind].into_iter().chain(why.map(|text| Text(text).to_string())).collect::<Vec<_>>().join(" ");
    let requested = row.edits.iter().map(|PropertyEdit { property: name, .. }| {
        let cell = cell(&Cell::new(name, &row.edits, row.before.as_ref()));
        format!("{}: {cell}", Text(name))
    });
    let requested = requested.collect::<Vec<_>>().join("<br>");
    let incident = incident(&result.incident_id, row.link.as_deref()) + &context(&row.context);
    format!("| {} | {incident} | {ended} | {requested} | {} |\n", result.row, result.attempts)
}

fn head(
    out: &mut Counted<'_>,
    kind: &str,
    title: &str,
    is_emulated: bool,
    figures: &[Figure],
) -> Result<(), io::Error> {
    write!(out, "{MARK}\n# {kind}: {}\n\n", Text(&truncate(title, SHORT)))?;
    if is_emulated {
        write!(out, "**EMULATOR: nothing real changes**\n\n")?;
    }
    let figures = figures.iter().map(|(number, what)| format!("**{number}** {what}"));
    writeln!(out, "{}", figures.collect::<Vec<_>>().join(" · "))
}

fn facts(out: &mut Counted<'_>, facts: &[Fact]) -> io::Result<()> {
    writeln!(out, "\n## Run\n\n| | |\n| --- | --- |")?;
    for (name, lines) in facts {
        let lines: Vec<String> = lines.iter().map(|line| Text(&truncate(line, 4 * SHORT)).to_string()).collect();
        writeln!(out, "| {name} | {} |", lines.join("<br>"))?;
    }
    Ok(())
}

fn chart(out: &mut Counted<'_>, chart: Option<&Chart>) -> io::Result<()> {
    let Some(chart) = chart else { return Ok(()) };
    writeln!(out, "\n## Requests over time\n\n{}.\n\n| after | requests so far |\n| ---: | ---: |", chart.summary)?;
    for (after, calls) in &chart.table {
        writeln!(out, "| {after} | {calls} |")?;
    }
    Ok(())
}

fn foot<E>(
    out: &mut Counted<'_>,
    left: u64,
    whole: &str,
    checksum: Option<&str>,
    next: Option<&str>,
) -> Result<(), OutputError<E>> {
    if left > 0 {
        writeln!(out, "\n**{} more did not fit**; {whole}.", counted(left, "row"))?;
    }
    if let Some(next) = next {
        writeln!(out, "\nNext: {}", Text(&truncate(next, 2 * SHORT)))?;
    }
    if let Some(checksum) = checksum {
        writeln!(out, "\nPlan checksum: {}", Text(&truncate(checksum, SHORT)))?;
    }
    writeln!(out, "\nWritten by bulk-triage {}.", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}

/// An incident's ID, with its link if there is one; that has no character with a meaning between angle brackets.
fn incident(id: &str, link: Option<&str>) -> String {
    match link {
        Some(link) => format!("[{}](<{link}>)", Text(id)),
        None => Text(id).to_string(),
    }
}

fn context(context: &[(String, String)]) -> String {
    let line = |(name, text): &(String, String)| {
        format!("<br>{}: {}", Text(&truncate(name, SHORT)), Text(&truncate(text, SHORT)))
    };
    context.iter().map(line).collect()
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Untouched => "–".to_owned(),
        Cell::Sets(value) | Cell::Adds(value) => value_text(value),
        Cell::Same(value) => format!("{} (already set)", value_text(value)),
        Cell::Changes { before, after } => format!("{} → **{}**", value_text(before), value_text(after)),
        Cell::Edits { kept, removed, added } => {
            let kept = kept.iter().map(|item| Text(item).to_string());
            let removed = removed.iter().map(|item| format!("− {}", Text(item)));
            let added = added.iter().map(|item| format!("**+ {}**", Text(item)));
            kept.chain(removed).chain(added).collect::<Vec<_>>().join("<br>")
        }
    }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Empty => "*empty*".to_owned(),
        Value::Text(text) => Text(text).to_string(),
        Value::List(items) => items.iter().map(|item| Text(item).to_string()).collect::<Vec<_>>().join(" "),
    }
}
