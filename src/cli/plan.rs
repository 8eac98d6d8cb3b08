//! `bulk-triage plan`: the dry run, saved for review. An existing plan is displayed.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::arguments::{CallArgs, PreflightArgs, source};
use super::confirm::PreviewBuilder;
use super::environment::{Environment, state_dir};
use super::global::{Format, GlobalArgs};
use super::next_step::{apply_plan, save_plan};
use super::origin_sources::OriginSources;
use super::page::{ReportFormat, page_file};
use super::patience::open_journal;
use super::plan_target::{expect_contract, target_of};
use super::preflight::Preflight;
use super::row_options::RowArgs;
use super::send;
use super::show::{import, opened, say_next, say_report, show, write_review};
use super::target::{Access, Target};
use super::terminal::{Terminal, say};
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::files::open_input;
use crate::input::Source;
use crate::journal::RunKey;
use crate::model::snapshot::Snapshot;
use crate::output::plan_file::PlanFile;
use crate::plan::{self, Header, is_plan};
use crate::report::Layout;
use crate::report::next_command::NextCommand;
use crate::report::page::{PageFile, Warnings};
use crate::report::preview::Preview;
use crate::session::{Counts, Plan, PreparedRun, REMEMBER, RunInput, Session};
use crate::text::{escape_json, printable};

/// `bulk-triage plan`
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// A CSV or JSONL file, `-` for standard input, or a saved plan, to display it
    #[arg(value_parser = source())]
    input: Source,
    /// Write the plan to this file; `-` is standard output [default: only display it]
    #[arg(short, long, value_name = "PLAN")]
    output: Option<PathBuf>,
    /// The preflight.
    #[command(flatten)]
    preflight: PreflightArgs,
    /// What changes the meaning of a row.
    #[command(flatten)]
    rows: RowArgs,
    /// Plan the valid rows; leave out the others
    #[arg(long)]
    skip_invalid: bool,
    /// Base URL of the API [default: the contract's]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// How requests are sent.
    #[command(flatten)]
    calls: CallArgs,
    /// Write a review of the planned changes (.html or .md)
    #[arg(long, value_name = "PATH")]
    report: Option<PathBuf>,
    /// Format of a report whose name doesn't end in .html or .md
    #[arg(long, value_enum, value_name = "FORMAT")]
    report_format: Option<ReportFormat>,
    /// Format of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
    /// Exit with 10 instead of 0 if there are changes
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Runs it. Returns the exit code.
///
/// # Errors
/// If the input is invalid, or something can't be written.
pub(super) fn run(
    args: &PlanArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && args.format == Format::Json {
        return Err(Error::Usage {
            message: "`-o -` writes the plan to standard output, where `--format json` would show it".to_owned(),
            hint: Some("remove one of them, or name a file with -o".to_owned()),
        });
    }
    let output = args.output.as_deref().filter(|_| !to_stdout);
    let beside = [&[args.input.path(), output], &args.calls.sign_in.files()[..]].concat();
    let page = page_file(args.report.as_ref(), args.report_format, &beside, global, env)?;
    if let Some(path) = args.input.path().filter(|path| begins_like_a_plan(path)) {
        return show_again(args, path, page.as_ref(), global, env, terminal);
    }
    let file = output.map(|path| PlanFile::examine(path, args.input.path())).transpose()?;

    let settings = args.rows.resolve(global)?;
    let input = opened(&args.input, terminal)?;
    let rules = settings.rules(&input)?;
    let sources = OriginSources::of_contract(args.base_url.as_deref(), &settings.contract);
    let access = args.preflight.reads_all().then_some(Access::Read);
    let target = Target::new(settings.contract.clone(), &sources, &args.calls, access, global, env)?;
    let clock = Clock::machine();
    if args.preflight.reads_all() {
        target.expect_access(Access::Read, &clock)?;
    }
    target.expect_consent()?;
    let scope = target.scope_or_origin();
    let journal = open_journal(&state_dir(global)?, &clock)?;
    let session = Session::open(target.for_session(scope), journal, clock);
    let run = RunInput {
        skip_invalid: args.skip_invalid,
        typed: global.typed.clone(),
        settings: target.settings(global),
        ..RunInput::new(input, args.input.name(), &rules)
    };
    let (run, warnings) = import(session, run, terminal)?;
    let preflight = Preflight { target: &target, calls: &args.calls, options: args.preflight.options() };
    let mut run = preflight.run(run, &send::runtime()?, terminal)?;

    let header = Header { compared: args.preflight.reads_all(), ..run.plan_header(target.scope.as_ref())? };
    if header.rows == 0 && args.output.is_some() {
        if args.format == Format::Json {
            write_json(io::stdout().lock(), (&run, &target), None, &Counts::default(), exit::OK)?;
        }
        run.discard()?;
        say("no plan was written: the input has no rows");
        return Ok(exit::OK);
    }
    let rows = || run.plan_rows().map(|row| row.map_err(Error::from));
    let checksum = match &file {
        Some(file) => Some(file.write(&header, rows())?),
        None if to_stdout => Some(plan::write(io::stdout().lock(), &header, rows(), Error::of_output("the plan"))?),
        None => None,
    };
    if let Some(checksum) = checksum {
        run.key = RunKey::Plan(checksum);
    }
    let shown = PlanView { args, target: &target, page: page.as_ref(), global, plan: args.output.as_deref(), warnings };
    shown.show(run, terminal)
}

/// What is shown of a plan.
struct PlanView<'a> {
    args: &'a PlanArgs,
    target: &'a Target,
    page: Option<&'a PageFile>,
    global: &'a GlobalArgs,
    /// Its path, where it has one.
    plan: Option<&'a Path>,
    warnings: Warnings,
}

impl PlanView<'_> {
    /// Shows it, and discards the imported run. Returns the exit code.
    fn show(self, run: PreparedRun, terminal: &Terminal) -> Result<u8, Error> {
        let preview = self.preview(&run)?;
        let next = self.next();
        let code = self.code(&run, &preview);
        let is_on_stdout = self.plan == Some(Path::new("-"));
        match self.args.format {
            Format::Json => write_json(io::stdout().lock(), (&run, self.target), self.plan, &preview.run.counts, code)?,
            // It is in the file.
            Format::Human if terminal.silent && self.args.output.is_some() => {}
            Format::Human if is_on_stdout => self.write(&run, &preview, &next, io::stderr(), terminal.err)?,
            Format::Human => self.write(&run, &preview, &next, io::stdout(), terminal.out)?,
        }
        if let Some(page) = self.page {
            write_review(&run, self.target, page, &preview, &self.args.calls, self.warnings, &next)?;
            say_report(page, is_on_stdout || self.args.format == Format::Json)?;
        }
        run.discard()?;
        Ok(code)
    }

    fn preview(&self, run: &PreparedRun) -> Result<Preview, Error> {
        let input = Source::named(run.metadata.input.as_ref());
        let builder = PreviewBuilder {
            target: self.target,
            calls: &self.args.calls,
            send: None,
            remember: REMEMBER,
            input: &input,
            typed: &self.global.typed,
        };
        builder.of_run(run)
    }

    /// The command that applies the plan, or saves it.
    fn next(&self) -> NextCommand {
        match self.plan {
            Some(plan) => apply_plan(plan, &self.global.typed),
            None => save_plan(&self.args.input, &self.global.typed),
        }
    }

    fn code(&self, run: &PreparedRun, preview: &Preview) -> u8 {
        match (self.args.detailed_exitcode, preview.run.counts.rows, run.imported.invalid) {
            (true, 1.., _) => exit::CHANGES,
            (_, _, 1..) => exit::SOME_FAILED,
            _ => exit::OK,
        }
    }

    /// Writes it for people: the preview, the plan's checksum, and what to run next.
    fn write(
        &self,
        run: &PreparedRun,
        preview: &Preview,
        next: &NextCommand,
        mut out: impl io::Write,
        layout: Layout,
    ) -> Result<(), Error> {
        show(run, preview.clone(), &mut out, layout)?;
        if let (Some(plan), RunKey::Plan(checksum)) = (self.plan, &run.key) {
            writeln!(out, "\nplan: {}, checksum {}", printable(&plan.to_string_lossy()), plan::short(checksum))?;
            if self.target.scope.is_none() {
                writeln!(out, "it names no tenant; to restrict it to one, use a token or `--tenant`")?;
            }
            return say_next(out, preview.run.counts.rows, next);
        }
        // Without rows there is nothing to save.
        match run.plan_header(self.target.scope.as_ref())?.rows {
            0 => writeln!(out, "\nnothing was sent")?,
            _ => writeln!(out, "\nnothing was sent; to save the plan:\n  {next}")?,
        }
        Ok(())
    }
}

/// Writes a plan as one JSON object, row by row: however many there are, few of them are in memory.
fn write_json(
    mut out: impl io::Write,
    (run, target): (&PreparedRun, &Target),
    plan: Option<&Path>,
    counts: &Counts,
    exit: u8,
) -> Result<(), Error> {
    let header = run.plan_header(target.scope.as_ref())?;
    let checksum = if let RunKey::Plan(checksum) = &run.key { Some(checksum) } else { None };
    let object = json!({
        "file": plan.map(|plan| plan.to_string_lossy()), "plan": checksum, "origin": header.origin, "scope": header.scope,
        "contract": header.contract, "input": header.input, "options": header.options,
        "compared": run.compared.is_some(), "rows": header.rows, "sent": counts.rows, "exit": exit, "requests": counts.requests,
    });
    let object = object.to_string();
    // The last member is a list, which comes row by row.
    write!(out, "{},\"changes\":[", escape_json(object.trim_end_matches('}')))?;
    for (at, row) in run.plan_rows().enumerate() {
        let row = row?;
        let before = if let Some(Snapshot::There(before)) = row.before { Some(before) } else { None };
        let url = before.as_ref().and_then(|before| target.contract.portal_link(&before.context));
        let before_values = before.as_ref().map(|before| &before.values);
        let (change, outcome) = match row.change {
            Ok(change) => (Some(change.edits.values()), None),
            Err(outcome) => (None, Some(outcome)),
        };
        let left_out = outcome
            .map(|outcome| json!({ "outcome": outcome.kind.name(), "code": outcome.code, "message": outcome.message }));
        let object = json!({
            "row": row.row, "line": row.line, "incident_id": row.incident, "change": change, "before": before_values,
            "left_out": left_out, "url": url,
        });
        write!(out, "{}{}", if at == 0 { "" } else { "," }, escape_json(&object.to_string()))?;
    }
    Ok(writeln!(out, "]}}")?)
}

/// Displays an existing plan.
fn show_again(
    args: &PlanArgs,
    path: &Path,
    page: Option<&PageFile>,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, Error> {
    if args.output.is_some() || args.preflight.reads_all() {
        return Err(Error::Usage {
            message: format!("`{}` is a plan and can only be shown", printable(&args.input.name())),
            hint: Some("remove -o, --compare and --follow-redirects, or name the input of the plan".to_owned()),
        });
    }
    let plan = Plan::read(path)?;
    expect_contract(&plan, None)?;
    let clock = Clock::machine();
    let target = target_of(&plan, args.base_url.as_deref(), &args.calls, None, global, env)?;
    target.expect_consent()?;
    let journal = open_journal(&state_dir(global)?, &clock)?;
    let scope = target.scope.clone().or_else(|| plan.tenant()).unwrap_or_else(|| target.scope_or_origin());
    let found = journal.run_of_plan(&scope, &plan.checksum)?;
    let session = Session::open(target.for_session(scope), journal, clock);
    let run = if let Some(name) = found {
        // It is applied once: what is left of it is what is left of its run.
        let run = session.journal().run(&name)?;
        session.resume(run)?
    } else {
        let mut run = session.import_plan(&plan, global.typed.clone(), target.settings(global), REMEMBER)?;
        let planned = run.as_planned()?;
        if plan.header.compared || planned.incidents > 0 {
            run.compared = Some(planned);
        }
        run
    };
    let shown = PlanView { args, target: &target, page, global, plan: Some(path), warnings: Warnings::default() };
    shown.show(run, terminal)
}

/// Whether a file begins like a plan. A pipe is not looked into: what is read of it is gone.
fn begins_like_a_plan(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let is_file = path.metadata().is_ok_and(|found| found.is_file());
    let read = is_file && open_input(path).is_ok_and(|file| file.take(64).read_to_end(&mut beginning).is_ok());
    read && is_plan(&beginning)
}
