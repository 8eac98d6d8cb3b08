//! `bulk-triage runs undo`: a plan that reverts a run.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::arguments::CallArgs;
use super::environment::Environment;
use super::global::GlobalArgs;
use super::next_step::show_plan;
use super::number::number;
use super::preflight::Preflight;
use super::report::contract_of;
use super::run_target::target_of;
use super::send;
use super::target::Access;
use super::terminal::{Terminal, say};
use crate::check::PropertyOverride;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::contract::Contract;
use crate::input::INCIDENT_ID;
use crate::journal::{Journal, LoadRow, ReadScope, ReportRow, RowFilter, RunHandle, RunKey, RunMetadata};
use crate::model::change::Change;
use crate::model::edit::{Edit, Edits, Never, PropertyEdit};
use crate::model::outcome::{InputShape, OutcomeKind};
use crate::model::snapshot::{IncidentState, Snapshot};
use crate::output::plan_file::PlanFile;
use crate::plan::{Header, PlanRow, short};
use crate::session::{Imported, PreflightOptions, Session, report_rows};
use crate::text::{printable, truncate};
use crate::undo::undo;

/// `bulk-triage runs undo`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct UndoArgs {
    /// ID of the run
    run: String,
    /// Write the plan to this file
    #[arg(short, long, value_name = "PLAN")]
    output: PathBuf,
    /// Undo only these incidents
    #[arg(long, alias = "only", value_name = "INCIDENT,…", value_delimiter = ',', value_parser = number(1_u64, None))]
    incident: Vec<u64>,
    /// Add this comment to each reverted incident
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Base URL that the run is sent to; needed if it isn't built in
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// How requests are sent.
    #[command(flatten)]
    calls: CallArgs,
}

impl UndoArgs {
    /// Whether a row of this incident, its own or the one into which that was merged, is to be undone.
    fn is_named(&self, incident: u64, row: &ReportRow) -> bool {
        let is_it = |id: &u64| *id == incident || id.to_string() == row.result.incident_id;
        self.incident.is_empty() || self.incident.iter().any(is_it)
    }
}

/// How rows that were not updated ended.
const NOT_UPDATED: [OutcomeKind; 5] = [
    OutcomeKind::Unchanged,
    OutcomeKind::Failed,
    OutcomeKind::Invalid,
    OutcomeKind::InDoubt,
    OutcomeKind::NotAttempted,
];

/// Rows are loaded so many at a time.
const BATCH: usize = 500;

/// Runs it. Returns the exit code: 1 if an incident can't be read.
///
/// # Errors
/// Where there is no such run, no token, or something can't be written.
pub(super) fn run(
    mut journal: Journal,
    args: &UndoArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &Terminal,
    clock: &Clock,
) -> Result<u8, Error> {
    let file = PlanFile::examine(&args.output, None)?;
    let summary = journal.run(&args.run)?;
    let contract = contract_of(&journal, &args.run, &summary.facts.contract)?;
    let comment = comment(args.comment.as_deref(), &contract)?;
    expect_earlier_values(&journal, args)?;
    let target = target_of(&journal, &args.run, args.base_url.as_deref(), Access::Read, &args.calls, global, env)?;
    let facts = RunMetadata {
        input: format!("undo of run {}", args.run),
        shape: InputShape::Jsonl { bom: false },
        results: String::new(),
        options: Vec::new(),
        ..summary.facts
    };

    let looked_at = journal.create_run(&summary.scope, &contract.name, &facts, &mut fastrand::Rng::new())?;
    let mut undoing = Undoing { contract: &contract, comment, notes: Notes::default() };
    let picked = load(&mut journal, args, &looked_at, &mut undoing.notes)?;
    let session = Session::open(target.for_session(summary.scope.clone()), journal, clock.clone());
    let key = RunKey::Changes { digest: Vec::new(), within: Duration::ZERO };
    let run = session.loaded(looked_at, Imported::default(), facts.clone(), key);
    let options = PreflightOptions { scope: ReadScope::All, follow_redirects: false };
    let preflight = Preflight { target: &target, calls: &args.calls, options };
    let run = preflight.read(run, &send::runtime()?, terminal)?;
    let (journal, looked_at) = (&run.journal, &run.handle);

    // Twice: the header says how many rows follow.
    let mut rows = 0;
    for row in picked_rows(journal, &args.run, &picked) {
        rows += u64::from(undoing.row(journal, looked_at, &row?)?.is_some());
    }
    let notes = std::mem::take(&mut undoing.notes);
    if rows == 0 {
        run.discard()?;
        notes.say();
        let message = format!("nothing to undo in run {}, no plan was written: {}", args.run, notes.reasons());
        return Err(Error::usage(message));
    }
    let header = Header {
        origin: facts.origin.clone(),
        scope: Some(summary.scope.as_str().to_owned()),
        contract: contract.name.clone(),
        rules: facts.contract.clone(),
        input: facts.input.clone(),
        digest: String::new(),
        rows,
        compared: true,
        ..Header::new(clock.now().wall, facts.shape.clone())
    };
    let planned = picked_rows(journal, &args.run, &picked)
        .filter_map(|row| row.map_err(Error::from).and_then(|row| undoing.row(journal, looked_at, &row)).transpose());
    let checksum = file.write(&header, planned)?;
    run.discard()?;

    notes.say();
    let mut out = io::stdout().lock();
    let path = printable_path(file.path());
    writeln!(out, "plan: {path}, {rows} of {} updated rows, checksum {}", notes.updated, short(&checksum))?;
    writeln!(out, "\nnothing was sent; to see it:\n  {}", show_plan(file.path(), &global.typed))?;
    Ok(if notes.gone.is_empty() { exit::OK } else { exit::SOME_FAILED })
}

fn printable_path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// The comment that is added, checked as a row's would be: property and text.
fn comment(text: Option<&str>, contract: &Contract) -> Result<Option<(String, String)>, Error> {
    let Some(text) = text else { return Ok(None) };
    let name = contract.appended().ok_or_else(|| Error::usage("the contract has no comments"))?;
    PropertyOverride::parse(&format!("{name}={text}"), contract)?;
    Ok(Some((name.to_owned(), text.to_owned())))
}

/// Whether the run has recorded an earlier value of a row that can be undone.
///
/// # Errors
/// If it has not, or if it updated none of the incidents.
fn expect_earlier_values(journal: &Journal, args: &UndoArgs) -> Result<(), Error> {
    let mut has_updated = false;
    for row in report_rows(journal, &args.run, RowFilter::NoneOf(&NOT_UPDATED)) {
        let row = row?;
        if row.change.as_ref().is_some_and(|change| args.is_named(change.incident.get(), &row)) {
            has_updated = true;
            if matches!(row.before, Some(Snapshot::There(_))) {
                return Ok(());
            }
        }
    }
    let run = &args.run;
    Err(Error::usage(match (has_updated, args.incident.is_empty()) {
        (true, _) => format!("run {run} did not use --compare, so the previous values were not recorded"),
        (false, true) => format!("nothing to undo: run {run} updated no incident"),
        (false, false) => format!("nothing to undo: run {run} updated none of these incidents"),
    }))
}

/// Loads the incidents to be looked at. Returns the rows whose incidents they are.
fn load(
    journal: &mut Journal,
    args: &UndoArgs,
    looked_at: &RunHandle,
    notes: &mut Notes,
) -> Result<HashSet<u64>, Error> {
    let (mut seen, mut picked, mut after) = (HashSet::new(), HashSet::new(), 0);
    loop {
        let rows = journal.report_rows(&args.run, RowFilter::NoneOf(&NOT_UPDATED), after, 500)?;
        let Some(last) = rows.last() else { return Ok(picked) };
        after = last.result.row;
        let mut batch = Vec::with_capacity(BATCH);
        for row in rows {
            let Some(change) = &row.change else { continue };
            let incident = change.incident.get();
            if !args.is_named(incident, &row) {
                continue;
            }
            notes.updated += 1;
            if !matches!(row.before, Some(Snapshot::There(_))) {
                notes.not_looked_at += 1;
                continue;
            }
            // Rows of one incident that follow it ask for the same.
            if seen.insert(incident) {
                picked.insert(row.result.row);
                let (row, line, incident) = (row.result.row, row.result.line, incident.to_string());
                batch.push(LoadRow {
                    row,
                    line,
                    incident,
                    change: Ok(change.clone()),
                    source: Vec::new(),
                    planned: None,
                });
            }
        }
        journal.load(looked_at, &batch)?;
    }
}

fn picked_rows<'a>(
    journal: &'a Journal,
    run: &'a str,
    picked: &'a HashSet<u64>,
) -> impl Iterator<Item = Result<ReportRow, crate::journal::JournalError>> + 'a {
    let is_picked = |row: &Result<ReportRow, _>| row.as_ref().map_or(true, |row| picked.contains(&row.result.row));
    report_rows(journal, run, RowFilter::NoneOf(&NOT_UPDATED)).filter(is_picked)
}

/// Makes the rows of the plan.
struct Undoing<'a> {
    contract: &'a Contract,
    comment: Option<(String, String)>,
    notes: Notes,
}

impl Undoing<'_> {
    /// The change that reverts one incident; `None` if there is none, or none is needed.
    fn row(&mut self, journal: &Journal, looked_at: &RunHandle, row: &ReportRow) -> Result<Option<PlanRow>, Error> {
        let (Some(change), Some(Snapshot::There(then))) = (&row.change, &row.before) else {
            return Ok(None);
        };
        let Some(Snapshot::There(now)) =
            journal.snapshots(looked_at, &[row.result.row])?.remove(&row.result.row).map(|seen| seen.now)
        else {
            self.notes.gone.push(row.result.line);
            return Ok(None);
        };
        let Some(edits) = self.edits(change, then, &now, row.result.line) else { return Ok(None) };
        let incident = change.incident;
        let mut source = Map::new();
        source.insert(INCIDENT_ID.to_owned(), incident.get().into());
        source.extend(edits.values());
        Ok(Some(PlanRow {
            row: row.result.row,
            line: row.result.line,
            incident: incident.to_string(),
            change: Ok(Change { incident, edits }),
            before: Some(Snapshot::There(now)),
            source: Value::from(source).to_string().into_bytes(),
        }))
    }

    fn edits(&mut self, change: &Change, then: &IncidentState, now: &IncidentState, line: u64) -> Option<Edits<Never>> {
        let undo = undo(&change.edits, then, now, self.contract);
        self.notes.comments += u64::from(change.edits.added().is_some());
        let is_as_before = undo.changed_since.is_empty() && undo.impossible.is_empty();
        self.notes.changed_rows += u64::from(undo.edits.is_empty() && !undo.changed_since.is_empty());
        for property in undo.changed_since {
            self.notes.changed_since.entry(property).or_default().push(line);
        }
        for (property, value) in undo.impossible {
            self.notes.impossible.entry((property, value.to_string())).or_default().push(line);
        }
        if undo.edits.is_empty() {
            self.notes.left_as_they_are += u64::from(is_as_before);
            return None;
        }
        let comment =
            self.comment.iter().map(|(name, text)| PropertyEdit::new(name.as_str(), Edit::Append(text.clone())));
        Some(undo.edits.iter().cloned().chain(comment).collect())
    }
}

/// What a person has to know beside the plan.
#[derive(Default)]
struct Notes {
    updated: u64,
    not_looked_at: u64,
    comments: u64,
    /// Rows of which others have since changed all that could be undone.
    changed_rows: u64,
    /// Rows whose incident has the earlier values, or that only added a comment.
    left_as_they_are: u64,
    /// Lines of incidents that are not there any more, or can't be read.
    gone: Vec<u64>,
    /// By property the lines.
    changed_since: BTreeMap<String, Vec<u64>>,
    /// By property and value the lines.
    impossible: BTreeMap<(String, String), Vec<u64>>,
}

impl Notes {
    /// Why no row can be undone: each reason with its rows.
    fn reasons(&self) -> String {
        let impossible = (self.updated - self.not_looked_at)
            .saturating_sub(self.gone.len() as u64 + self.changed_rows + self.left_as_they_are);
        let reasons = [
            (self.changed_rows, "changed by others since"),
            (self.left_as_they_are, "with the previous values already"),
            (self.gone.len() as u64, "whose incident cannot be read"),
            (self.not_looked_at, "without recorded values"),
            (impossible, "with values that the API does not accept"),
        ];
        let counted = reasons
            .iter()
            .filter(|(rows, _)| *rows > 0)
            .map(|(rows, why)| format!("{rows} {} {why}", if *rows == 1 { "row" } else { "rows" }));
        counted.collect::<Vec<_>>().join(", ")
    }

    fn say(&self) {
        if self.not_looked_at > 0 {
            say(&format!(
                "{} of the updated rows cannot be undone: the run did not use --compare, so the previous values were \
                 not recorded",
                self.not_looked_at
            ));
        }
        if !self.gone.is_empty() {
            say(&format!("left out, the incident cannot be read: {}", lines(&self.gone)));
        }
        for (property, of) in &self.changed_since {
            say(&format!("left out, others have changed `{}` since: {}", printable(property), lines(of)));
        }
        for ((property, value), of) in &self.impossible {
            let (property, value) = (printable(property), truncate(value, 40));
            say(&format!("cannot be undone, the API does not accept {value} for `{property}`: {}", lines(of)));
        }
        if self.comments > 0 {
            say(&format!("{} comments cannot be removed", self.comments));
        }
    }
}

/// `lines 2, 7, 9, …`
fn lines(of: &[u64]) -> String {
    const NAMED: usize = 5;
    let named: Vec<String> = of.iter().take(NAMED).map(u64::to_string).collect();
    let more = if of.len() > NAMED { format!(" and {} more", of.len() - NAMED) } else { String::new() };
    format!("{} {}{more}", if of.len() == 1 { "line" } else { "lines" }, named.join(", "))
}
