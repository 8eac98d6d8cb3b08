//! `bulk-triage runs show`: one run, with its failures, its page, and the command that finishes it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::list::{counts, object, state};
use crate::cli::environment::Environment;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::cli::global::{Format, GlobalArgs};
use crate::cli::next_step::{self, NextStep};
use crate::cli::page::{ReportFormat, page_error, page_file};
use crate::input::Source;
use crate::journal::{History, RunState, RunSummary};
use crate::model::outcome::{OutcomeCode, OutcomeKind, ResultRow};
use crate::plan::short;
use crate::report::next_command::NextCommand;
use crate::report::page::{PageFile, Sent, write_run_report};
use crate::session::result_rows;
use crate::text::{escape_json, printable};

/// The maximum number of failed rows shown without `--all`.
const SHOWN: u64 = 10;

/// `bulk-triage runs show`
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// ID of the run, such as 7f3k
    pub(super) run: String,
    /// Format of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
    /// Show all unfinished and failed rows, not only the first ten
    #[arg(long)]
    all: bool,
    /// Write a run report with all rows (.html or .md)
    #[arg(long, value_name = "PATH")]
    report: Option<PathBuf>,
    /// Format of a report whose name doesn't end in .html or .md
    #[arg(long, value_enum, value_name = "FORMAT")]
    report_format: Option<ReportFormat>,
}

/// Shows a run. Returns the exit code.
///
/// # Errors
/// If there is no such run, the journal can't be read, or something can't be written.
pub(super) fn run(journal: &History, args: &ShowArgs, global: &GlobalArgs, env: &Environment) -> Result<u8, Error> {
    let run = journal.run(&args.run)?;
    let page = page_beside(&run, args, global, env)?;
    let next = to_finish(&run, global);
    if let Some(page) = &page {
        write_page(journal, &run, next.as_ref(), page)?;
    }
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", escape_json(&object(&run).to_string()))?,
        Format::Human => {
            write_facts(&run, &mut out)?;
            write_settings(&run, &mut out)?;
            write_failures(journal, args, global, &mut out)?;
            write_rest(page.as_ref(), next.as_ref(), &mut out)?;
        }
    }
    Ok(exit::OK)
}

/// The file of `--report`; it is neither the run's input nor its results.
fn page_beside(
    run: &RunSummary,
    args: &ShowArgs,
    global: &GlobalArgs,
    env: &Environment,
) -> Result<Option<PageFile>, Error> {
    let input = Source::named(run.facts.input.as_ref());
    page_file(
        args.report.as_ref(),
        args.report_format,
        &[input.path(), Some(Path::new(&run.facts.results))],
        global,
        env,
    )
}

/// The command that finishes it, unless it is finished or being sent.
fn to_finish(run: &RunSummary, global: &GlobalArgs) -> Option<NextCommand> {
    let is_left = run.state == RunState::Unfinished && !run.is_held;
    let resume = NextStep::Resume { run: &run.name, facts: &run.facts, typed: &global.typed };
    is_left.then(|| resume.to_finish(&run.name, Path::new(&run.facts.results)))
}

fn write_page(journal: &History, run: &RunSummary, next: Option<&NextCommand>, page: &PageFile) -> Result<(), Error> {
    let (state, next) = (state(run).0.to_owned(), next.map(ToString::to_string));
    let sent = Sent { state, is_emulated: false, caller: None, next };
    write_run_report(journal, &run.name, sent, page).map_err(page_error)
}

/// What a run is, and how far it got: a line for each fact that it has.
fn write_facts(run: &RunSummary, out: &mut impl Write) -> io::Result<()> {
    let facts = &run.facts;
    let time = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let finished = run.finished.map(|at| format!("; finished {}", time(at))).unwrap_or_default();
    // Without a tenant, the origin is the scope.
    let scope = if run.scope.is_origin() { String::new() } else { format!("{}, ", run.scope.described()) };
    let plan = run.plan.as_ref().map(|checksum| format!("checksum {}", short(checksum))).unwrap_or_default();
    writeln!(out, "run {}: {}", printable(&run.name), state(run).0)?;
    for (label, text) in [
        ("started", format!("{}{finished}", time(run.created))),
        ("target", format!("{scope}{} ({})", facts.origin, run.contract)),
        ("input", facts.input.clone()),
        ("rows", format!("{}: {}", run.rows(), counts(run))),
        ("requests", format!("{}, {} throttled (429)", run.calls, run.throttled)),
        ("results", facts.results.clone()),
        ("plan", plan),
    ] {
        if !text.is_empty() {
            writeln!(out, "{label:<10}{}", printable(&text))?;
        }
    }
    Ok(())
}

/// Its options, with their origins.
fn write_settings(run: &RunSummary, out: &mut impl Write) -> io::Result<()> {
    for (at, setting) in run.facts.settings().iter().enumerate() {
        writeln!(out, "{:<10}{}", if at == 0 { "settings" } else { "" }, printable(&setting.to_string()))?;
    }
    Ok(())
}

/// The rows that are not done or differ: the first ten, or all.
fn write_failures(journal: &History, args: &ShowArgs, global: &GlobalArgs, out: &mut impl Write) -> Result<(), Error> {
    let mut found = 0;
    for row in result_rows(journal, &args.run, true) {
        let row = row?;
        if !is_failure(&row) {
            continue;
        }
        found += 1;
        if found > SHOWN && !args.all {
            continue;
        }
        if found == 1 {
            writeln!(out)?;
        }
        write_failure(&row, out)?;
    }
    if found > SHOWN && !args.all {
        let all = next_step::show_all(&args.run, &global.typed);
        writeln!(out, "  and {} more; to list all:\n  {all}", found - SHOWN)?;
    }
    Ok(())
}

fn is_failure(row: &ResultRow) -> bool {
    OutcomeKind::TROUBLES.contains(&row.outcome.kind) || row.outcome.code == OutcomeCode::Differs
}

fn write_failure(row: &ResultRow, out: &mut impl Write) -> io::Result<()> {
    let (ResultRow { row, line, incident_id, .. }, outcome) = (row, &row.outcome);
    let (id, code, message) = (printable(incident_id), printable(outcome.code.as_str()), printable(&outcome.message));
    writeln!(out, "  row {row} (line {line}), incident {id}: {}, {code}: {message}", outcome.kind)
}

/// Where its page is, and what to run next.
fn write_rest(page: Option<&PageFile>, next: Option<&NextCommand>, out: &mut impl Write) -> io::Result<()> {
    if let Some(page) = page {
        writeln!(out, "\nreport: {}", printable(&page.path().to_string_lossy()))?;
    }
    if let Some(next) = next {
        writeln!(out, "\nnext:\n  {next}")?;
    }
    Ok(())
}
