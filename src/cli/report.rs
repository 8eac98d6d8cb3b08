//! `--report`: the review page before a run, the report after it. What the pages show is put together here.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::arguments::CallArgs;
use super::environment::Environment;
use super::global::GlobalArgs;
use super::target::Target;
use crate::cli::error::Error;
use crate::clock::Now;
use crate::contract::Contract;
use crate::files::OutputError;
use crate::input::InputShape;
use crate::journal::{History, Journal, JournalError, ReportRow, RowFilter};
use crate::model::outcome::OutcomeKind;
use crate::model::quota_spec::Quota;
use crate::model::snapshot::Snapshot;
use crate::quota::{Buckets, Forecast, run_ahead};
use crate::report::next_command::NextCommand;
use crate::report::outcome_counts::OutcomeCounts;
use crate::report::page::{
    Context, ContextColumns, POINTS, PageFile, Point, Review, ReviewRow, RunReport, RunReportRow, Warnings,
};
use crate::report::preview::Preview;
use crate::session::{Counts, Outlook, report_rows};

/// The file of `--report`, looked at before anything is read.
///
/// # Errors
/// Where no page can be written there.
pub(super) fn page_file(
    report: Option<&PathBuf>,
    others: &[Option<&Path>],
    global: &GlobalArgs,
    env: &Environment,
) -> Result<Option<PageFile>, Error> {
    let others: Vec<&Path> = others.iter().copied().flatten().chain(global.log_file.as_deref()).collect();
    let file = |path: &PathBuf| {
        if env.step_summary.as_ref() == Some(path) {
            PageFile::appending(path, &others)
        } else {
            PageFile::examine(path, &others)
        }
    };
    Ok(report.map(file).transpose()?)
}

/// The calls of a run over time, by the quota's arithmetic.
pub(super) fn forecast(quota: &Quota, args: &CallArgs, ledger: &Outlook, now: Now, calls: u64) -> Vec<Point> {
    let ahead = Forecast { calls, concurrency: args.concurrency, latency: ledger.latency };
    let every = calls.div_ceil(POINTS).max(1);
    let (mut points, mut begun) = (Vec::new(), 0);
    run_ahead(&Buckets::new(quota), &ledger.spent, ledger.pause, now.boot, ahead, |start| {
        begun += 1;
        if begun % every == 0 || begun == calls {
            points.push(Point { at: start.since(now.boot), calls: begun });
        }
    });
    points
}

/// The review of a run that is to be sent.
pub(super) fn review<'a>(
    target: &'a Target,
    appended: Option<&'a str>,
    preview: &'a Preview,
    forecast: Vec<Point>,
    warnings: Warnings,
    next: &NextCommand,
) -> Review<'a> {
    Review {
        preview,
        contract: &target.contract.name,
        appended,
        quota: &target.quota,
        forecast,
        warnings,
        checksum: None,
        next: Some(next.to_string()),
    }
}

/// The rows of a review that are in the journal.
pub(super) fn review_rows(
    journal: &Journal,
    run: &str,
    shape: &InputShape,
    contract: &Contract,
    counts: &Counts,
) -> impl Iterator<Item = Result<ReviewRow, JournalError>> {
    let context = ContextColumns::new(shape, contract);
    report_rows(journal, run, RowFilter::NoneOf(&[])).map(move |row| {
        let row = row?;
        let outcome = &row.result.outcome;
        // That it is not sent is said beside it.
        let why = || outcome.message.replacen("not sent: ", "", 1);
        let not_sent = counts.left_out.get(&row.result.row).map(|left_out| left_out.reason().to_owned());
        let left_out = not_sent.or_else(|| (outcome.kind != OutcomeKind::NotAttempted).then(why));
        let said = context_of(&context, &row);
        let target = row.merged_into().filter(|_| left_out.is_none());
        let merged = target.map(|target| format!("updates incident {target}, into which this one was merged"));
        let number = &row.result.row;
        let comment = counts.without_comment.contains(number).then_some(COMMENT_NOT_REPEATED);
        let rest = counts.only_comment.contains(number).then_some(UPDATE_NOT_REPEATED);
        let notes: Vec<String> = merged.into_iter().chain(comment.or(rest).map(str::to_owned)).collect();
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(ReviewRow {
            row: row.result.row,
            line: row.result.line,
            incident: row.result.incident_id.clone(),
            edits: row.change.as_ref().map(|change| change.edits.clone()).unwrap_or_default(),
            // What was fetched is the row's own incident.
            context: Context { fetched: said.fetched.filter(|_| row.merged_into().is_none()), ..said },
            before: before_of(row.before),
            left_out,
            note,
        })
    })
}

/// Beside a row whose comment was added before.
const COMMENT_NOT_REPEATED: &str = "the comment was added before and is not repeated";

/// Beside a row whose update, a step of its own, was applied before.
const UPDATE_NOT_REPEATED: &str = "the values were set before: only the comment is sent";

/// What the input says of a row's incident, or else what was read of it.
fn context_of(columns: &ContextColumns, row: &ReportRow) -> Context {
    let said = columns.of(&row.result.source);
    let Some(Snapshot::There(before)) = &row.before else { return said };
    if !said.cells.is_empty() {
        return said;
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let cells = before.context.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    Context { cells, ..said }
}

fn before_of(seen: Option<Snapshot>) -> Option<Map<String, Value>> {
    if let Some(Snapshot::There(before)) = seen { Some(before.values) } else { None }
}

/// What the journal does not know of a run that was sent.
pub(super) struct Sent {
    /// How it stands, in a few words.
    pub(super) state: String,
    /// Whether an emulator that lives and dies with it stands in for the API.
    pub(super) is_emulated: bool,
    /// Who called.
    pub(super) caller: Option<String>,
    /// What fits to be done next.
    pub(super) next: Option<String>,
}

/// Writes the run report.
///
/// # Errors
/// Where the journal can't be read, or the file not be written.
pub(super) fn write_run_report(journal: &History, name: &str, sent: Sent, page: &PageFile) -> Result<(), Error> {
    let run = journal.run(name)?;
    let contract = contract_of(journal, name, &run.facts.contract)?;
    let context = ContextColumns::new(&run.facts.shape, &contract);
    let settings = run.facts.settings();
    let kept: Option<Quota> = settings.value("--quota").and_then(|quota| quota.parse().ok());
    let mut outcomes = OutcomeCounts::default();
    outcomes.add_all(&run.outcomes);
    let report = RunReport {
        run: name,
        state: sent.state,
        is_emulated: sent.is_emulated,
        scope: Some(run.scope.described()).filter(|_| !run.scope.is_origin()),
        caller: sent.caller,
        origin: &run.facts.origin,
        contract: &run.contract,
        input: &run.facts.input,
        results: &run.facts.results,
        quota: kept.as_ref().unwrap_or(&contract.quota),
        settings,
        started: run.created,
        finished: run.finished,
        outcomes,
        groups: journal.outcome_groups(name)?,
        timeline: journal.timeline(name, POINTS)?,
        checksum: run.plan.clone(),
        next: sent.next,
    };
    let first = OutcomeKind::TROUBLES;
    let troubles = report.groups.iter().filter(|group| first.contains(&group.kind)).map(RowFilter::Group);
    let rows = troubles.chain([RowFilter::NoneOf(&first)]).flat_map(|pick| rows_of(journal, name, pick, &context));
    page.write_run_report(&report, rows).map_err(page_error)
}

/// Rows of a run, as a run report shows them.
fn rows_of(
    journal: &History,
    run: &str,
    pick: RowFilter<'_>,
    context: &ContextColumns,
) -> impl Iterator<Item = Result<RunReportRow, JournalError>> {
    report_rows(journal, run, pick).map(|row| {
        let row = row?;
        Ok(RunReportRow {
            edits: row.change.as_ref().map(|change| change.edits.clone()).unwrap_or_default(),
            context: context_of(context, &row).into_cells(),
            before: before_of(row.before),
            result: row.result,
        })
    })
}

/// A run's own contract.
///
/// # Errors
/// Where the journal is damaged.
pub(super) fn contract_of(journal: &History, run: &str, toml: &str) -> Result<Contract, JournalError> {
    Contract::from_toml(toml).map_err(|why| journal.damaged(format!("run {run}: {why}")))
}

pub(super) fn page_error<E: Into<Error>>(error: OutputError<E>) -> Error {
    match error {
        OutputError::Path(error) => error.into(),
        OutputError::Write(error) => Error::Report(error),
        OutputError::Rows(error) => error.into(),
    }
}
