//! `bulk-triage runs undo`: a plan that reverts a run.

use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::check::PropertyOverride;
use crate::cli::arguments::CallArgs;
use crate::cli::environment::Environment;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::cli::global::GlobalArgs;
use crate::cli::next_step::show_plan;
use crate::cli::number::number;
use crate::cli::preflight::Preflight;
use crate::cli::run_target::target_of;
use crate::cli::send;
use crate::cli::target::Access;
use crate::cli::terminal::{Terminal, say};
use crate::contract::Contract;
use crate::journal::{Journal, ReadScope};
use crate::output::plan_file::PlanFile;
use crate::plan::short;
use crate::session::{PreflightOptions, Session, UndoStats};
use crate::text::printable;

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
    /// Base URL of the run; needed if it isn't a built-in one
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// How requests are sent.
    #[command(flatten)]
    calls: CallArgs,
}

/// Runs it. Returns the exit code: 1 if an incident can't be read.
///
/// # Errors
/// If there is no such run or no token, or something can't be written.
pub(super) fn run(
    journal: Journal,
    args: &UndoArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, Error> {
    let file = PlanFile::examine(&args.output, None)?;
    let (summary, clock) = (journal.run(&args.run)?, journal.clock().clone());
    let target = target_of(&journal, &summary, args.base_url.as_deref(), Access::Read, &args.calls, global, env)?;
    let comment = comment(args.comment.as_deref(), &target.contract)?;
    let tenant = summary.scope.clone();
    let session = Session::open(target.for_session(tenant.clone()), journal, clock);
    let (run, mut stats) = session.import_undo(summary, &args.incident)?;
    if !stats.has_earlier_values() {
        run.discard()?;
        return Err(Error::usage(stats.nothing_recorded(&args.run, !args.incident.is_empty())));
    }
    let options = PreflightOptions { scope: ReadScope::All, follow_redirects: false };
    let mut run = Preflight { target: &target, calls: &args.calls, options }.read(run, &send::runtime()?, terminal)?;
    run.undo(&mut stats)?;

    stats.lines().iter().for_each(|line| say(line));
    if stats.rows == 0 {
        run.discard()?;
        let reasons = stats.reasons();
        return Err(Error::usage(format!("nothing to undo in run {}, no plan was written: {reasons}", args.run)));
    }
    let rows = run.undo_rows(comment).map(|row| row.map_err(Error::from));
    let checksum = short(&file.write(&run.undo_header(&tenant, &stats)?, rows)?).to_owned();
    run.discard()?;
    let (path, UndoStats { rows, updated, .. }) = (file.path().to_string_lossy(), &stats);
    let mut out = io::stdout().lock();
    writeln!(out, "plan: {}, {rows} of {updated} updated rows, checksum {checksum}", printable(&path))?;
    writeln!(out, "\nnothing was sent; to see it:\n  {}", show_plan(file.path(), &global.typed))?;
    Ok(if stats.unreadable.rows == 0 { exit::OK } else { exit::SOME_FAILED })
}

/// The comment that is added, checked as a row's would be: property and text.
fn comment<'a>(text: Option<&'a str>, contract: &'a Contract) -> Result<Option<(&'a str, &'a str)>, Error> {
    let Some(text) = text else { return Ok(None) };
    let name = contract.appended().ok_or_else(|| Error::usage("the contract has no comments"))?;
    PropertyOverride::parse(&format!("{name}={text}"), contract)?;
    Ok(Some((name, text)))
}
