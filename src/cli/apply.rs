//! `bulk-triage apply`: sends exactly what was reviewed.
//!
//! Promises: nothing is sent of a plan that is not as it was written, was made for another scope or contract, or was
//! applied before; with `before`, nothing of an incident that has changed since.

use std::path::{Path, PathBuf};

use clap::ValueHint;

use super::arguments::SendArgs;
use super::confirm::expect_all;
use super::destination::expect_retention;
use super::environment::{Environment, state_dir};
use super::global::{Format, GlobalArgs};
use super::next_step::NextStep;
use super::page::page_file;
use super::patience::open_journal;
use super::plan_target::{expect_contract, expect_own_quota, target_of};
use super::send::{self, Sending};
use super::target::{Access, Target};
use super::terminal::{Terminal, say};
use crate::apply::events::Event;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::input::Source;
use crate::journal::{PrunedRun, ReadScope, RunState, RunSummary};
use crate::model::outcome::OutcomeCode;
use crate::model::setting::Settings;
use crate::report::summary::{RunStats, Summary};
use crate::session::{Plan, PreflightOptions, Session, result_rows};

/// `bulk-triage apply`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// A plan file
    pub(super) plan: PathBuf,
    /// Contract that the plan must be for; needed if it isn't a built-in one
    #[arg(long, value_name = "NAME or FILE", value_hint = ValueHint::FilePath)]
    pub(super) contract: Option<String>,
    /// Base URL that the plan must be for; needed if it isn't a built-in one
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// How it is sent.
    #[command(flatten)]
    pub(super) send: SendArgs,
}

/// Runs it. Returns the exit code.
///
/// # Errors
/// If the plan is refused, or the journal failed.
pub(super) fn run(
    args: &ApplyArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    let beside = [&[Some(&*args.plan), args.send.results.as_deref()], &args.send.calls.sign_in.files()[..]].concat();
    let page = page_file(args.send.report.as_ref(), args.send.report_format, &beside, global, env)?;
    expect_retention(&args.send, &global.typed)?;
    let plan = Plan::read(&args.plan)?;
    expect_contract(&plan, args.contract.as_deref())?;
    expect_own_quota(&plan, args.contract.as_deref())?;
    let access = Some(Access::Write);
    let target = target_of(&plan, args.base_url.as_deref(), &args.send.calls, access, global, env)?;
    let clock = Clock::machine();
    target.expect_access(Access::Write, &clock)?;
    let scope = target.scope.clone().ok_or(Error::NoToken)?;
    let source = Source::File(args.plan.clone());
    expect_all(&args.send, &source, &plan.header.shape)?;
    let journal = open_journal(&state_dir(global)?, &clock)?;
    let remember = args.send.remember;
    let session = Session::open(target.for_session(scope), journal, clock);
    let applied = Applied { plan: &plan, target: &target, args };
    let (journal, tenant) = (session.journal(), &session.target().tenant);
    let earlier = journal.run_of_plan(tenant, &plan.checksum)?.map(|name| journal.run(&name)).transpose()?;
    let run = match earlier {
        Some(run) if run.state == RunState::Over => return applied.say(&session, &run, &global.typed, terminal),
        Some(run) => {
            let mut run = session.resume(run)?;
            run.metadata.typed = global.to_keep.clone();
            run.metadata.settings = target.settings(global);
            run
        }
        None => match journal.pruned_run_of_plan(tenant, &plan.checksum)? {
            Some(run) => return Ok(applied.say_pruned(&session, run, terminal)),
            None => session.import_plan(&plan, global.to_keep.clone(), target.settings(global), remember)?,
        },
    };
    let scope = if plan.header.compared { ReadScope::All } else { ReadScope::Needed };
    let options = PreflightOptions { scope, follow_redirects: false };
    // If every row is known to be done, nothing is read.
    let look = (run.count(remember)?.0.rows > 0).then_some(options);
    let facts = run.metadata.clone();
    let next = NextStep::Apply { plan: &args.plan, typed: &global.typed, facts: &facts };
    let sending = Sending { target: &target, args: &args.send, remember, input: &source, page, next };
    sending.confirm_and_send(run, look, &send::runtime()?, terminal)
}

/// A plan that was applied before.
struct Applied<'a> {
    plan: &'a Plan,
    target: &'a Target,
    args: &'a ApplyArgs,
}

impl Applied<'_> {
    /// Says that the plan was applied before, and what came of it. Returns the exit code that its run had.
    fn say(&self, session: &Session, run: &RunSummary, typed: &Settings, terminal: &Terminal) -> Result<u8, Error> {
        let (args, journal) = (self.args, session.journal());
        say(&format!("this plan was applied by run {}, which is finished; a plan can be applied once", run.name));
        let mut stats = RunStats::default();
        stats.on_event(&Event::Started { rows: run.rows(), before: Vec::new() });
        for row in result_rows(journal, &run.name, true) {
            stats.on_event(&Event::Finished(vec![row?]));
        }
        terminal.stats.set_outcomes(stats.outcomes);
        stats.differs = journal.rows_with_code(&run.name, OutcomeCode::Differs)?;
        let code = send::code_of_finished(&stats, args.send.allows_differs());
        let next = NextStep::Apply { plan: &args.plan, typed, facts: &run.facts };
        let results = Path::new(&run.facts.results);
        let follows = journal.has_redirects(&run.name)?;
        let next =
            if code == exit::OK { None } else { send::next_of_finished(next, &run.name, results, &stats, follows) };
        let meaning = send::meaning_of_finished(code, &stats);
        let summary = self.summary(session, run.name.clone(), stats, code, meaning);
        let (results, settings) = (Some(results.to_owned()), run.facts.settings());
        let summary = Summary { results, settings, next, ..summary };
        send::print(&summary, args.send.format, terminal);
        Ok(code)
    }

    /// The same of a run that is only known by its name. Returns the exit code.
    fn say_pruned(&self, session: &Session, run: PrunedRun, terminal: &Terminal) -> u8 {
        let day = run.finished.strftime("%Y-%m-%d");
        let meaning = format!("applied on {day} by run {} (pruned); nothing to send", run.name);
        say(&meaning);
        if self.args.send.format == Format::Json {
            let summary = self.summary(session, run.name, RunStats::default(), exit::OK, meaning);
            send::print(&summary, Format::Json, terminal);
        }
        exit::OK
    }

    /// The summary of a run that was finished before.
    fn summary(&self, session: &Session, run: String, stats: RunStats, exit: u8, meaning: String) -> Summary {
        let (scope, origin) = (self.target.shown_scope(&session.target().tenant), self.target.origin().to_string());
        let now = session.journal().clock().now().wall;
        Summary { stats, exit, meaning, ..Summary::new(run, self.plan.header.input.clone(), scope, origin, now) }
    }
}
