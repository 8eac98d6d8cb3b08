//! `bulk-triage fetch`: incidents as rows, to be filled in and given to `run`.

mod filters;
mod output;
mod progress;

use std::io;
use std::path::PathBuf;

use clap::ValueHint;

use self::filters::FilterArgs;
use self::output::Output;
use self::progress::{SavedProgress, header};
use super::arguments::{CallArgs, MetricsArgs};
use super::environment::{Environment, state_dir};
use super::global::{Format, GlobalArgs};
use super::next_step::{fetch_again, run_fetched};
use super::number::number;
use super::origin_sources::OriginSources;
use super::patience::open_journal;
use super::read_calls::read_list;
use super::send::runtime;
use super::settings::load_contract;
use super::target::{Access, Target};
use super::terminal::Terminal;
use crate::apply::Completion;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::contract::{BUILT_IN, Contract};
use crate::report::fetch_summary::FetchSummary;

/// `bulk-triage fetch`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct FetchArgs {
    /// Write the incidents to this file (.csv or .jsonl); `-` writes CSV to standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Maximum number of incidents, newest first
    #[arg(long, value_name = "N", value_parser = number(0_u64, None))]
    limit: Option<u64>,
    /// Contract (rules and quota of an API version): defender-classic, defender, graph, or a TOML file that extends one
    #[arg(long, value_name = "NAME or FILE", default_value = BUILT_IN[0], value_hint = ValueHint::FilePath)]
    contract: String,
    /// Base URL of the API [default: the contract's]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// How requests are sent.
    #[command(flatten)]
    calls: CallArgs,
    /// For monitoring.
    #[command(flatten)]
    metrics: MetricsArgs,
    /// Format of the summary
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
    /// Which incidents. Comes last, because clap puts all later options under its heading.
    #[command(flatten)]
    filters: FilterArgs,
}

/// Fetches. Returns the exit code.
///
/// # Errors
/// If the output can't be written, a filter is invalid, or the journal fails.
pub(super) fn run(
    args: &FetchArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    let contract = load_contract(&args.contract, &global.settings, global.is_project_contract)?;
    let clock = Clock::machine();
    let started_at = clock.now().wall;
    let filter = args.filters.on_server(&contract, started_at)?;
    let local = args.filters.local(&contract);
    let output = Output::examine(&args.output, state_dir(global).ok().as_deref())?;
    let target = target(args, contract, global, env)?;
    target.expect_access(Access::Read, &clock)?;
    let (contract, scope) = (&target.contract, target.scope_or_origin());
    let mut journal = open_journal(&state_dir(global)?, &clock)?;

    let header = header(global, &filter, &target);
    let mut progress = SavedProgress::open(&output.file, header, contract, &local, started_at)?;
    if !terminal.quiet {
        progress.announce();
    }
    let mut list = progress.rest_of_list(contract, &local, args.limit, &clock);
    journal.begin_reading(&scope, target.quota.longest())?;
    let known = list.read();
    let end = read_list((&target, &args.calls), &runtime()?, journal, &mut list, known, terminal)?;
    let read = list.read();
    drop(list);
    // Only a list that was read to its end may replace what is there.
    if let Completion::Stopped(stop) = &end.completion {
        let again = fetch_again(&args.output, &global.typed);
        return Err(progress.stopped_early(stop, read, output.is_stdout(), contract, &again)?);
    }
    let (incidents, replaced) = progress.write_to(&output.file, contract, &local, args.limit)?;
    output.finish()?;

    let summary = FetchSummary {
        file: args.output.clone(),
        scope: target.shown_scope(&scope),
        origin: target.origin().to_string(),
        incidents,
        read,
        replaced,
        calls: end.requests.calls,
        throttled: end.requests.throttled,
        started_at,
        finished_at: clock.now().wall,
        next: (!output.is_stdout()).then(|| run_fetched(&args.output, &global.typed, contract)),
    };
    print(&summary, args.format, output.is_stdout(), terminal)?;
    Ok(exit::OK)
}

/// Where the list is read.
fn target(args: &FetchArgs, contract: Contract, global: &GlobalArgs, env: &Environment) -> Result<Target, Error> {
    let sources = OriginSources::of_contract(args.base_url.as_deref(), &contract);
    Target::new(contract, &sources, &args.calls, Some(Access::Read), global, env)
}

/// Prints the summary: on standard error if the list is on standard output.
fn print(summary: &FetchSummary, format: Format, on_stderr: bool, terminal: &Terminal) -> io::Result<()> {
    let out: &mut dyn io::Write = if on_stderr { &mut io::stderr() } else { &mut io::stdout() };
    match format {
        Format::Human if terminal.silent => Ok(()),
        Format::Human => summary.write_text(out),
        Format::Json => summary.write_json(out),
    }
}
