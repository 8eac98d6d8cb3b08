//! `bulk-triage apply`: sends exactly what was reviewed.
//!
//! Promises: nothing is sent of a plan that is not as it was written, was made for another scope or contract, or was
//! applied before; with `before`, nothing of an incident that has changed since.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::{CallArgs, SendArgs};
use super::confirm;
use super::destination::destination;
use super::environment::{Environment, state_dir};
use super::global::{Format, GlobalArgs};
use super::next_step::NextStep;
use super::patience::open_journal;
use super::preflight::Preflight;
use super::report;
use super::send::{self, Sending};
use super::target::{Access, Place, Target};
use super::terminal::{Terminal, say};
use crate::apply::events::Event;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::client::{Origin, OriginError};
use crate::clock::Clock;
use crate::contract::{BUILT_IN, Contract, load as load_contract};
use crate::files::open_input;
use crate::input::Source;
use crate::journal::{ReadScope, RunState, RunSummary};
use crate::model::change::TenantKey;
use crate::model::outcome::OutcomeCode;
use crate::model::setting::Settings;
use crate::output::results::Destination;
use crate::plan::{self, Header, PlanError, Verified};
use crate::report::summary::{RunStats, Summary};
use crate::session::{PlanInput, PreflightOptions, PreparedRun, Session, SessionError, result_rows};

/// `bulk-triage apply`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// A plan file
    pub(super) plan: PathBuf,
    /// Require the plan to be for this contract; needed if the plan's contract isn't built in
    #[arg(long, value_name = "NAME or FILE")]
    pub(super) contract: Option<String>,
    /// Require the plan to be for this base URL; needed if the plan's base URL isn't built in
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// Name of the token's tenant, to keep its quota and history separate from those of other tenants
    #[arg(long, alias = "scope", value_name = "NAME")]
    pub(super) tenant: Option<String>,
    /// How it is sent.
    #[command(flatten)]
    pub(super) send: SendArgs,
}

/// Runs it. Returns the exit code.
///
/// # Errors
/// Where the plan is refused, or the journal failed.
pub(super) fn run(
    args: &ApplyArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    let results = args.send.results.as_deref();
    let beside = [Some(&*args.plan), results, args.send.calls.token_file.as_deref()];
    let page = report::page_file(args.send.report.as_ref(), &beside, global, env)?;
    let plan = Plan::read(&args.plan)?;
    plan.expect_contract(args.contract.as_deref())?;
    let target = plan.target(args.base_url.as_deref(), args.tenant.as_deref(), &args.send.calls, global, env)?;
    let clock = Clock::machine();
    target.expect_access(Access::Write, &clock)?;
    let scope = target.scope.clone().ok_or(Error::NoToken)?;
    let source = Source::File(args.plan.clone());
    confirm::can_ask(&args.send, &source)?;
    if let Some(results) = results {
        Destination::examine(results, Some(&args.plan), &plan.header.shape)?;
    }
    let journal = open_journal(&state_dir(global)?, &clock)?;
    let remember = args.send.remember;
    let session = Session::open(target.for_session(scope), journal, clock);
    let run = match session.journal().run_of_plan(&session.target().tenant, &plan.checksum)? {
        Some(name) => {
            let run = session.journal().run(&name)?;
            if run.state == RunState::Over {
                return Applied { plan: &plan, target: &target, args }.say(&session, &run, &global.typed, terminal);
            }
            let mut run = session.resume(run)?;
            run.metadata.typed = global.typed.clone();
            run.metadata.settings = target.settings(global);
            run
        }
        None => match session.journal().pruned_run_of_plan(&session.target().tenant, &plan.checksum)? {
            Some(run) => {
                let (day, name) = (run.finished.strftime("%Y-%m-%d"), run.name);
                let meaning = format!("applied on {day} by run {name} (pruned); nothing to send");
                say(&meaning);
                if args.send.format == Format::Json {
                    let applied = Applied { plan: &plan, target: &target, args };
                    let summary = applied.summary(&session, name, RunStats::default(), exit::OK, meaning);
                    send::print(&summary, Format::Json, terminal);
                }
                return Ok(exit::OK);
            }
            None => plan.import(session, (&global.typed, target.settings(global)), remember)?,
        },
    };
    destination(&run, &target, args.send.results.as_ref(), &source)?;
    let runtime = send::runtime()?;
    let scope = if plan.header.compared { ReadScope::All } else { ReadScope::Needed };
    let options = PreflightOptions { scope, follow_redirects: false };
    // If every row is known to be done, nothing is read.
    let run = if run.count(remember)?.0.rows > 0 {
        Preflight { target: &target, calls: &args.send.calls, options }.run(run, &runtime, terminal)?
    } else {
        run
    };
    let facts = run.metadata.clone();
    let next = NextStep::Apply { plan: &args.plan, typed: &global.typed, facts: &facts };
    let sending = Sending { target: &target, args: &args.send, remember, input: &source, page, next };
    sending.confirm_and_send(run, &runtime, terminal)
}

/// A plan that is as it was written.
pub(super) struct Plan {
    path: PathBuf,
    /// What it says of itself.
    pub(super) header: Header,
    /// Its checksum.
    pub(super) checksum: String,
    contract: Contract,
}

impl Plan {
    /// Reads all of it.
    ///
    /// # Errors
    /// Where it is no plan, or not as it was written.
    pub(super) fn read(path: &Path) -> Result<Plan, Error> {
        let Verified { header, contract, checksum } = read(path, |_| Ok(())).map_err(|error| of_plan(path, error))?;
        Ok(Plan { path: path.to_owned(), header, checksum, contract })
    }

    /// Imports it.
    ///
    /// # Errors
    /// If the file has become another plan since it was read, or the journal can't be written.
    pub(super) fn import(
        &self,
        session: Session,
        (typed, settings): (&Settings, Settings),
        remember: Duration,
    ) -> Result<PreparedRun, Error> {
        let (header, checksum, typed) = (&self.header, self.checksum.clone(), typed.clone());
        let plan = PlanInput { header, checksum, typed, settings, remember };
        let run = session.import_plan(plan, |take| {
            if read(&self.path, take)?.checksum == self.checksum { Ok(()) } else { Err(PlanError::Exchanged.into()) }
        });
        run.map_err(|error| of_plan(&self.path, error))
    }

    /// Whose incidents it is for, where that was known.
    pub(super) fn scope(&self) -> Option<TenantKey> {
        self.header.scope.clone().map(TenantKey::from_stored)
    }

    /// The origin for which it was made.
    fn origin(&self) -> Result<Origin, Error> {
        let origin = self.header.origin.parse();
        origin
            .map_err(|error: OriginError| refused(&self.path, PlanError::Altered { what: format!("line 1: {error}") }))
    }

    /// Where it goes.
    ///
    /// # Errors
    /// Where the command line or the token is for another place or another scope than the plan.
    pub(super) fn target(
        &self,
        base_url: Option<&str>,
        scope: Option<&str>,
        calls: &CallArgs,
        global: &GlobalArgs,
        env: &Environment,
    ) -> Result<Target, Error> {
        let origin = self.origin()?;
        if let Some(typed) = base_url {
            let typed: Origin = typed.parse()?;
            if typed != origin {
                return Err(self.is_for_another("place", &origin.to_string(), &typed.to_string()));
            }
        }
        let place = Place { typed: base_url, named: &origin.to_string(), by: "the plan" };
        let target = Target::new(self.contract.clone(), place, scope, calls, global, env)?;
        match (self.scope(), &target.scope) {
            (Some(planned), Some(found)) if !planned.is_same_tenant(found) => {
                Err(self.is_for_another("tenant", &planned.described(), &found.described()))
            }
            _ => Ok(target),
        }
    }

    /// The contract is the one that is wanted, and one that this program knows by its name is still what it was.
    ///
    /// # Errors
    /// If it is another one.
    pub(super) fn expect_contract(&self, wanted: Option<&str>) -> Result<(), Error> {
        let named = BUILT_IN.contains(&self.contract.name.as_str()).then_some(self.contract.name.as_str());
        for name in wanted.into_iter().chain(named) {
            let wanted = load_contract(name)?;
            if wanted.name != self.contract.name {
                return Err(self.is_for_another("contract", &self.contract.name, &wanted.name));
            }
            if wanted != self.contract {
                return Err(Error::Usage {
                    message: format!("the contract `{}` has changed since the plan was created", wanted.name),
                    hint: Some("create the plan again".to_owned()),
                });
            }
        }
        Ok(())
    }

    fn is_for_another(&self, what: &str, planned: &str, found: &str) -> Error {
        let path = self.path.to_string_lossy();
        Error::Usage {
            message: format!("the plan `{path}` is for another {what}: for {planned}, not for {found}"),
            hint: Some("nothing was sent; create a plan for this target, or apply it to the original one".to_owned()),
        }
    }
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
        let mut tally = RunStats::default();
        tally.on_event(&Event::Started { rows: run.rows(), before: Vec::new() });
        for row in result_rows(journal, &run.name, true) {
            tally.on_event(&Event::Finished(vec![row?]));
        }
        tally.differs = journal.rows_with_code(&run.name, OutcomeCode::Differs)?;
        let code = send::code_of_finished(&tally, args.send.allow_differs);
        let next = NextStep::Apply { plan: &args.plan, typed, facts: &run.facts };
        let results = Path::new(&run.facts.results);
        let follows = journal.has_redirects(&run.name)?;
        let next =
            if code == exit::OK { None } else { send::next_of_finished(next, &run.name, results, &tally, follows) };
        let meaning = send::meaning_of_finished(code, &tally);
        let summary = self.summary(session, run.name.clone(), tally, code, meaning);
        let (results, settings) = (Some(results.to_owned()), run.facts.settings());
        let summary = Summary { results, settings, next, ..summary };
        send::print(&summary, args.send.format, terminal);
        Ok(code)
    }

    /// The summary of a run that was finished before.
    fn summary(&self, session: &Session, run: String, tally: RunStats, exit: u8, meaning: String) -> Summary {
        let now = session.journal().clock().now().wall;
        Summary {
            run: Some(run),
            scope: self.target.shown_scope(&session.target().tenant),
            origin: self.target.origin().to_string(),
            input: self.plan.header.input.clone(),
            tally,
            started_at: now,
            finished_at: now,
            reading: Duration::ZERO,
            results: None,
            settings: Settings::default(),
            error: None,
            exit,
            meaning,
            report: None,
            next: None,
        }
    }
}

fn read(path: &Path, take: impl FnMut(plan::PlanRow) -> Result<(), SessionError>) -> Result<Verified, SessionError> {
    // A pipe would be waited for, and can't be read twice.
    let is_file = path.metadata().map_err(PlanError::from)?.is_file();
    if !is_file {
        return Err(PlanError::NoPlan.into());
    }
    let file = open_input(path).map_err(PlanError::from)?;
    plan::read(BufReader::new(file), take)
}

/// With the path of the plan that is refused.
fn of_plan(path: &Path, error: SessionError) -> Error {
    match error {
        SessionError::Plan(error) => refused(path, error),
        other => other.into(),
    }
}

fn refused(path: &Path, error: PlanError) -> Error {
    Error::Plan { path: path.to_owned(), error }
}
