//! Pages of a run that is in the journal: what they show of it.

use serde_json::{Map, Value};

use super::chart::{POINTS, Point};
use super::context::{Context, ContextColumns};
use super::page_file::PageFile;
use super::review::ReviewRow;
use super::run_report::{RunReport, RunReportRow};
use crate::clock::Now;
use crate::contract::Contract;
use crate::files::OutputError;
use crate::input::InputShape;
use crate::journal::{History, Journal, JournalError, ReportRow, RowFilter};
use crate::model::outcome::OutcomeKind;
use crate::model::quota_spec::Quota;
use crate::model::snapshot::Snapshot;
use crate::quota::{Buckets, Forecast, run_ahead};
use crate::report::outcome_counts::OutcomeCounts;
use crate::session::{Counts, Outlook, contract_of, report_rows};

/// The requests of a run over time, computed from the quota.
#[must_use]
pub fn forecast(quota: &Quota, concurrency: u32, ledger: &Outlook, now: Now, calls: u64) -> Vec<Point> {
    let ahead = Forecast { calls, concurrency, latency: ledger.latency };
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

/// The rows of a review that are in the journal.
pub fn review_rows(
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
        // The page says elsewhere that it is not sent.
        let why = || outcome.message.replacen("not sent: ", "", 1);
        let not_sent = counts.left_out.get(&row.result.row).map(|left_out| left_out.reason().to_owned());
        let left_out = not_sent.or_else(|| (outcome.kind != OutcomeKind::NotAttempted).then(why));
        let said = context_of(&context, contract, &row);
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
            link: link_of(contract, &row),
            edits: row.change.as_ref().map(|change| change.edits.clone()).unwrap_or_default(),
            // What was fetched is the row's own incident.
            context: Context { fetched: said.fetched.filter(|_| row.merged_into().is_none()), ..said },
            before: before_of(row.before),
            left_out,
            note,
        })
    })
}

/// The note of a row whose comment was added before.
const COMMENT_NOT_REPEATED: &str = "the comment was added before and is not repeated";

/// The note of a row whose update, a separate step, was applied before.
const UPDATE_NOT_REPEATED: &str = "the values were set before: only the comment is sent";

/// What the input says of a row's incident, or else what was read of it.
fn context_of(columns: &ContextColumns, contract: &Contract, row: &ReportRow) -> Context {
    let said = columns.of(&row.result.source);
    let Some(Snapshot::There(before)) = &row.before else { return said };
    if !said.cells.is_empty() {
        return said;
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = before.context.iter().filter(|(name, _)| contract.portal_member() != Some(name));
    let cells = shown.map(|(name, value)| (name.clone(), text(value))).collect();
    Context { cells, ..said }
}

/// The link to a row's own incident; what was read of a merged one is its target.
fn link_of(contract: &Contract, row: &ReportRow) -> Option<String> {
    let Some(Snapshot::There(before)) = &row.before else { return None };
    let link = contract.portal_link(&before.context).filter(|_| row.merged_into().is_none());
    link.map(str::to_owned)
}

fn before_of(seen: Option<Snapshot>) -> Option<Map<String, Value>> {
    if let Some(Snapshot::There(before)) = seen { Some(before.values) } else { None }
}

/// The facts about a sent run that are not in the journal.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its state, in a few words.
    pub state: String,
    /// Whether its API is an emulator that ends with it.
    pub is_emulated: bool,
    /// The application or user of the token.
    pub caller: Option<String>,
    /// The command to suggest.
    pub next: Option<String>,
}

/// Writes the run report.
///
/// # Errors
/// If the journal can't be read, or the file can't be written.
pub fn write_run_report(
    journal: &History,
    name: &str,
    sent: Sent,
    page: &PageFile,
) -> Result<(), OutputError<JournalError>> {
    let run = journal.run(name).map_err(OutputError::Rows)?;
    let contract = contract_of(journal, &run).map_err(OutputError::Rows)?;
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
        groups: journal.outcome_groups(name).map_err(OutputError::Rows)?,
        timeline: journal.timeline(name, POINTS).map_err(OutputError::Rows)?,
        checksum: run.plan.clone(),
        next: sent.next,
    };
    let first = OutcomeKind::TROUBLES;
    let troubles = report.groups.iter().filter(|group| first.contains(&group.kind)).map(RowFilter::Group);
    let rows =
        troubles.chain([RowFilter::NoneOf(&first)]).flat_map(|pick| rows_of(journal, name, pick, &contract, &context));
    page.write_run_report(&report, rows)
}

/// Rows of a run, as a run report shows them.
fn rows_of(
    journal: &History,
    run: &str,
    pick: RowFilter<'_>,
    contract: &Contract,
    context: &ContextColumns,
) -> impl Iterator<Item = Result<RunReportRow, JournalError>> {
    report_rows(journal, run, pick).map(|row| {
        let row = row?;
        Ok(RunReportRow {
            edits: row.change.as_ref().map(|change| change.edits.clone()).unwrap_or_default(),
            context: context_of(context, contract, &row).into_cells(),
            link: link_of(contract, &row),
            before: before_of(row.before),
            result: row.result,
        })
    })
}
