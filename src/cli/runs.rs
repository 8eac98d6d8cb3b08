//! `bulk-triage runs`: the runs of the journal, shown, gone on with, and their results made again.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::arguments::SendArgs;
use super::confirm::can_ask;
use super::environment::{Environment, state_dir};
use super::global::{Format, GlobalArgs};
use super::known_options::takes;
use super::next_step::{self, NextStep};
use super::page::{page_error, page_file};
use super::patience::open_journal;
use super::run_target::target_of;
use super::send::{self, Sending, results_error};
use super::target::Access;
use super::terminal::Terminal;
use super::undo::{self, UndoArgs};
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::input::Source;
use crate::journal::{History, Journal, JournalError, ReadScope, RunMetadata, RunState, RunSummary};
use crate::model::outcome::{OutcomeCode, OutcomeKind};
use crate::model::quota_spec::parse_duration;
use crate::model::setting::Settings;
use crate::output::results::{Destination, ResultsFile};
use crate::plan::short;
use crate::report::outcome_counts::OutcomeCounts;
use crate::report::page::{Sent, write_run_report};
use crate::report::table::{Cell, Table};
use crate::session::{PreflightOptions, Session, result_rows};
use crate::text::{escape_json, printable};

/// `bulk-triage runs`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArgs {
    /// What to do; without it, `list`.
    #[command(subcommand)]
    pub(super) command: Option<RunsCommand>,
    /// Options of `list`.
    #[command(flatten)]
    list: ListArgs,
}

/// `bulk-triage runs list`
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Format of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
}

/// `bulk-triage runs …`
#[derive(Debug, Subcommand)]
pub(super) enum RunsCommand {
    /// List runs, newest first (the default)
    List(ListArgs),
    /// Show a run's details, progress and failures
    Show {
        /// ID of the run, such as 7f3k
        run: String,
        /// Format of the output
        #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
        format: Format,
        /// Show all unfinished and failed rows, not only the first ten
        #[arg(long)]
        all: bool,
        /// Write a run report with all rows (.html or .md)
        #[arg(long, value_name = "PATH")]
        report: Option<PathBuf>,
    },
    /// Resume an unfinished run
    Resume {
        /// ID of the run
        run: String,
        /// Base URL that the run is sent to; needed if it isn't built in
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
        /// How requests are sent.
        #[command(flatten)]
        send: Box<SendArgs>,
    },
    /// Write a plan that reverts a run sent with --compare, to send with `apply`
    Undo(Box<UndoArgs>),
    /// Delete finished runs and the record of their changes, which prevents repeats
    Prune {
        /// Delete only runs that finished at least this long ago (1 day or more)
        #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_duration)]
        older_than: Duration,
    },
    /// Rebuild the results file of a run
    Results {
        /// ID of the run
        run: String,
        /// Write the results to this file [default: the run's own results file]
        #[arg(short = 'o', long, value_name = "PATH")]
        results: Option<PathBuf>,
    },
}

pub(super) fn run(
    args: &RunsArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    start(args, global, env, terminal).map_err(|error| match error {
        Error::Journal(error @ JournalError::NoSuchRun(_)) => {
            Error::Usage { message: error.to_string(), hint: Some(format!("see `{}`", next_step::list(&global.typed))) }
        }
        error => error,
    })
}

fn start(args: &RunsArgs, global: &GlobalArgs, env: &Environment, terminal: &mut Terminal) -> Result<u8, Error> {
    let dir = state_dir(global)?;
    let clock = Clock::machine();
    let to_read = || History::open(&dir.clone().into(), clock.clone());
    let run_in = |run: &str| to_read()?.ok_or_else(|| JournalError::NoSuchRun(run.to_owned()));
    let to_write = || open_journal(&dir, &clock);
    match args.command.as_ref().unwrap_or(&RunsCommand::List(args.list)) {
        RunsCommand::List(args) => list(to_read()?.as_ref(), args.format, terminal),
        RunsCommand::Show { run, format, all, report } => {
            show(&run_in(run)?, run, *format, *all, report.as_ref(), global, env)
        }
        RunsCommand::Resume { run, base_url, send } => {
            resume(to_write()?, run, base_url.as_deref(), send, global, env, terminal)
        }
        RunsCommand::Undo(args) => undo::run(to_write()?, args, global, env, terminal),
        RunsCommand::Prune { older_than } => prune(to_write()?, *older_than),
        RunsCommand::Results { run, results } => rebuild_results(&run_in(run)?, run, results.as_deref(), global),
    }
}

fn list(journal: Option<&History>, format: Format, terminal: &Terminal) -> Result<u8, Error> {
    let runs = journal.map_or_else(|| Ok(Vec::new()), History::runs)?;
    let mut out = io::stdout().lock();
    if format == Format::Json {
        let runs: Vec<Value> = runs.iter().map(object).collect();
        writeln!(out, "{}", escape_json(&Value::from(runs).to_string()))?;
        return Ok(exit::OK);
    }
    if runs.is_empty() {
        writeln!(out, "no runs")?;
        return Ok(exit::OK);
    }
    let titles = ["run", "started (UTC)", "state", "rows", "outcomes", "input"];
    let mut table = Table::new(&titles, &["outcomes", "input", "started (UTC)", "rows"]);
    for run in &runs {
        table.add([
            Cell::whole(&run.name),
            Cell::whole(run.created.strftime("%Y-%m-%d %H:%M").to_string()),
            Cell::whole(state(run).0),
            Cell::whole(run.rows().to_string()),
            Cell::list(&counts(run).to_string().split(", ").collect::<Vec<_>>(), ','),
            Cell::whole(&run.facts.input),
        ]);
    }
    table.write(&mut out, terminal.out.width)?;
    Ok(exit::OK)
}

/// A run as a JSON object.
fn object(run: &RunSummary) -> Value {
    json!({
        "run": run.name, "state": state(run).1, "scope": run.scope.to_string(), "contract": run.contract,
        "origin": run.facts.origin, "input": run.facts.input, "options": run.facts.options,
        "settings": run.facts.settings(),
        "rows": run.rows(), "outcomes": counts(run), "calls": run.calls, "throttled": run.throttled,
        "started_at": format!("{:.3}", run.created),
        "finished_at": run.finished.map(|at| format!("{at:.3}")), "results": run.facts.results,
        "plan": run.plan,
    })
}

/// The state as people read it, and as `state` in JSON, whose spelling is kept.
fn state(run: &RunSummary) -> (&'static str, &'static str) {
    match (run.is_held, run.state) {
        (true, _) => ("running", "under way"),
        (false, RunState::Unfinished) => ("unfinished", "unfinished"),
        (false, RunState::Over) => ("finished", "over"),
    }
}

fn counts(run: &RunSummary) -> OutcomeCounts {
    let mut counts = OutcomeCounts::default();
    counts.add_all(&run.outcomes);
    counts
}

fn show(
    journal: &History,
    name: &str,
    format: Format,
    all: bool,
    report: Option<&PathBuf>,
    global: &GlobalArgs,
    env: &Environment,
) -> Result<u8, Error> {
    let run = journal.run(name)?;
    let facts = &run.facts;
    let source = Source::named(facts.input.as_ref());
    let beside = [source.path(), Some(Path::new(&facts.results))];
    let page = page_file(report, &beside, global, env)?;
    let is_left = run.state == RunState::Unfinished && !run.is_held;
    let next = is_left.then(|| {
        NextStep::Resume { run: &run.name, facts: &run.facts, typed: &global.typed }
            .to_finish(&run.name, Path::new(&facts.results))
    });
    if let Some(page) = &page {
        let sent = Sent {
            state: state(&run).0.to_owned(),
            is_emulated: false,
            caller: None,
            next: next.as_ref().map(ToString::to_string),
        };
        write_run_report(journal, name, sent, page).map_err(page_error)?;
    }
    let mut out = io::stdout().lock();
    let counts = counts(&run);
    match format {
        Format::Json => writeln!(out, "{}", escape_json(&object(&run).to_string()))?,
        Format::Human => {
            writeln!(out, "run {}: {}", printable(&run.name), state(&run).0)?;
            // Without a tenant, the origin is the scope.
            let scope = if run.scope.is_origin() { String::new() } else { format!("{}, ", run.scope.described()) };
            let finished = run.finished.map(|at| format!("; finished {}", at.strftime("%Y-%m-%d %H:%M:%S UTC")));
            for (label, text) in [
                (
                    "started",
                    format!("{}{}", run.created.strftime("%Y-%m-%d %H:%M:%S UTC"), finished.unwrap_or_default()),
                ),
                ("target", format!("{scope}{} ({})", run.facts.origin, run.contract)),
                ("input", run.facts.input.clone()),
                ("rows", format!("{}: {counts}", run.rows())),
                ("requests", format!("{}, {} throttled (429)", run.calls, run.throttled)),
                ("results", run.facts.results.clone()),
                ("plan", run.plan.as_ref().map(|checksum| format!("checksum {}", short(checksum))).unwrap_or_default()),
            ] {
                if !text.is_empty() {
                    writeln!(out, "{label:<10}{}", printable(&text))?;
                }
            }
            for (at, setting) in run.facts.settings().iter().enumerate() {
                writeln!(out, "{:<10}{}", if at == 0 { "settings" } else { "" }, printable(&setting.to_string()))?;
            }
            show_failures(journal, name, all, global, &mut out)?;
            if let Some(page) = &page {
                writeln!(out, "\nreport: {}", printable(&page.path().to_string_lossy()))?;
            }
            if let Some(next) = next {
                writeln!(out, "\nnext:\n  {next}")?;
            }
        }
    }
    Ok(exit::OK)
}

/// The maximum number of failed rows shown without `--all`.
const SHOWN: u64 = 10;

fn show_failures(
    journal: &History,
    name: &str,
    all: bool,
    global: &GlobalArgs,
    out: &mut impl Write,
) -> Result<(), Error> {
    let mut found = 0;
    for row in result_rows(journal, name, true) {
        let row = row?;
        let outcome = &row.outcome;
        if !OutcomeKind::TROUBLES.contains(&outcome.kind) && outcome.code != OutcomeCode::Differs {
            continue;
        }
        found += 1;
        if found > SHOWN && !all {
            continue;
        }
        if found == 1 {
            writeln!(out)?;
        }
        let (id, message) = (printable(&row.incident_id), printable(&outcome.message));
        writeln!(
            out,
            "  row {} (line {}), incident {id}: {}, {}: {message}",
            row.row,
            row.line,
            outcome.kind,
            printable(outcome.code.as_str())
        )?;
    }
    if found > SHOWN && !all {
        writeln!(out, "  and {} more; to list all:\n  {}", found - SHOWN, next_step::show_all(name, &global.typed))?;
    }
    Ok(())
}

fn resume(
    journal: Journal,
    name: &str,
    base_url: Option<&str>,
    args: &SendArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, Error> {
    let summary = journal.run(name)?;
    let facts = summary.facts.clone();
    let path = args.results.clone().unwrap_or_else(|| PathBuf::from(&facts.results));
    let input = Source::named(facts.input.as_ref());
    let beside = [&[input.path(), Some(&*path)], &args.calls.sign_in.files()[..]].concat();
    let page = page_file(args.report.as_ref(), &beside, global, env)?;
    let target = target_of(&journal, &summary, base_url, Access::Write, &args.calls, global, env)?;
    can_ask(args, &input)?;
    let clock = journal.clock().clone();
    let (remember, settings) = options_of_resumed(args, &facts, target.settings(global), global);
    let mut run = Session::open(target.for_session(summary.scope.clone()), journal, clock).resume(summary)?;
    run.metadata.typed = global.to_keep.or(&facts.typed);
    run.metadata.settings = settings;
    // What was read may be old.
    let options = PreflightOptions { scope: ReadScope::Needed, follow_redirects: false };
    let next = NextStep::Resume { run: name, facts: &facts, typed: &global.typed };
    let sending = Sending { target: &target, args, remember, input: &input, page, next };
    sending.confirm_and_send(run, Some(options), &send::runtime()?, terminal)
}

/// Options of `runs resume` whose value stays that of the run.
const OF_THE_RUN: [&str; 3] = ["--base-url", "--remember", "--results"];

/// The dedup window and the settings of a run that is resumed: its own, where this command line says or can say nothing.
fn options_of_resumed(
    args: &SendArgs,
    facts: &RunMetadata,
    mut settings: Settings,
    global: &GlobalArgs,
) -> (Duration, Settings) {
    let mut remember = args.remember;
    if !global.typed.has("--remember") {
        remember = facts.remember;
        settings = settings.filtered(|setting| setting.name != "--remember");
    }
    let is_kept = |name: &str| OF_THE_RUN.contains(&name) || !takes("runs resume", name);
    (remember, settings.or(&facts.settings().filtered(|setting| is_kept(&setting.name))))
}

/// The quota's ledger and what `--remember` looks at by default are younger than this.
const YOUNGEST_PRUNED: Duration = Duration::from_hours(24);

fn prune(mut journal: Journal, older_than: Duration) -> Result<u8, Error> {
    if older_than < YOUNGEST_PRUNED {
        return Err(Error::usage("--older-than must be at least a day (24h): newer runs still count"));
    }
    let removed = journal.prune(older_than)?;
    writeln!(io::stdout(), "{removed} runs removed")?;
    Ok(exit::OK)
}

fn rebuild_results(journal: &History, name: &str, path: Option<&Path>, global: &GlobalArgs) -> Result<u8, Error> {
    let run = journal.run(name)?;
    let path = path.map_or_else(|| PathBuf::from(&run.facts.results), Path::to_owned);
    let destination = Destination::examine(&path, Some(Path::new(&run.facts.input)), &run.facts.shape)?;
    let made = ResultsFile::create(&destination, run.facts.shape.clone(), result_rows(journal, name, false));
    made.map_err(|error| results_error(error, next_step::results_of(name, &global.typed)))?;
    writeln!(io::stdout(), "results: {}", printable(&path.to_string_lossy()))?;
    Ok(exit::OK)
}
