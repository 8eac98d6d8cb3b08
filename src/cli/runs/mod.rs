//! `bulk-triage runs`: the runs of the journal. Listing, showing, resuming and undoing them have a file each.

mod list;
mod resume;
mod show;
mod undo;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;

use self::list::ListArgs;
use self::resume::ResumeArgs;
use self::show::ShowArgs;
use self::undo::UndoArgs;
use super::destination::YOUNGEST_DELETED;
use super::environment::{Environment, state_dir};
use super::global::GlobalArgs;
use super::next_step;
use super::patience::open_journal;
use super::send::results_error;
use super::terminal::Terminal;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::journal::{History, Journal, JournalError};
use crate::model::quota_spec::parse_duration;
use crate::output::results::{Destination, ResultsFile};
use crate::report::humanize::counted;
use crate::session::result_rows;
use crate::text::printable;

/// `bulk-triage runs`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArgs {
    /// What to do; without it, `list`.
    #[command(subcommand)]
    command: Option<RunsCommand>,
    /// Options of `list`.
    #[command(flatten)]
    list: ListArgs,
}

/// `bulk-triage runs …`
#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// List runs, newest first (the default)
    List(ListArgs),
    /// Show a run's details, progress and failures
    Show(ShowArgs),
    /// Resume an unfinished run
    Resume(Box<ResumeArgs>),
    /// Write a plan, for `apply`, that reverts a run sent with --compare
    Undo(Box<UndoArgs>),
    /// Delete finished runs and the history that prevents repeats
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
        RunsCommand::List(args) => list::run(to_read()?.as_ref(), *args, terminal),
        RunsCommand::Show(args) => show::run(&run_in(&args.run)?, args, global, env),
        RunsCommand::Resume(args) => resume::run(to_write()?, args, global, env, terminal),
        RunsCommand::Undo(args) => undo::run(to_write()?, args, global, env, terminal),
        RunsCommand::Prune { older_than } => prune(to_write()?, *older_than, terminal),
        RunsCommand::Results { run, results } => rebuild_results(&run_in(run)?, run, results.as_deref(), global),
    }
}

fn prune(mut journal: Journal, older_than: Duration, terminal: &Terminal) -> Result<u8, Error> {
    if older_than < YOUNGEST_DELETED {
        return Err(Error::usage("--older-than must be at least a day (24h): newer runs still count"));
    }
    let removed = journal.prune(older_than)?;
    if !terminal.silent {
        writeln!(io::stdout(), "{} removed", counted(removed, "run"))?;
    }
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
