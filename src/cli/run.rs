//! `bulk-triage run`: check, load, say what would happen, ask, send, account. And the dry run: the same up to the
//! question, without a trace.

use std::io::{self, Write as _};

use serde_json::json;

use super::arguments::RunArgs;
use super::confirm::{self, PreviewBuilder};
use super::destination::destination;
use super::environment::{Environment, state_dir};
use super::global::{Format, GlobalArgs};
use super::next_step;
use super::patience::open_journal;
use super::preflight::Preflight;
use super::report::{self, ReviewRows};
use super::send::{self, Sending};
use super::show::{Diagnostics, say_next, say_report, show, write_review};
use super::target::{Access, Target};
use super::terminal::Terminal;
use crate::check::Rules;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::files::temporary_dir;
use crate::input::{Input, InputError, Source};
use crate::journal::{History, ReadOnlyJournal};
use crate::model::diagnostic::Diagnostic;
use crate::output::results::Destination;
use crate::report::page::{ContextColumns, PageFile};
use crate::report::preview::{self, Preview};
use crate::session::{self, DryRunOptions, KeptRows, Outlook, REMEMBER, RunInput, Session};
use crate::text::escape_json;

/// Runs it. Returns the exit code.
///
/// # Errors
/// Where nothing was sent, or the journal failed.
pub(super) fn run(
    args: &RunArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    let beside = [args.input.path(), args.send.results.as_deref(), args.send.calls.token_file.as_deref()];
    let page = report::page_file(args.send.report.as_ref(), &beside, global, env)?;
    let settings = args.rows.resolve()?;
    let input = opened(&args.input, terminal)?;
    let rules = settings.rules(&input)?;
    let contract = settings.contract.clone();
    if args.dry_run && !args.look.looks() {
        let target = if args.emulator {
            Target::to_be_emulated(contract, &args.send.calls)?
        } else {
            Target::of_run(args, contract, global, env)?
        };
        target.expect_consent()?;
        return dry_run(args, global, terminal, &target, input, &rules, page.as_ref());
    }

    let runtime = send::runtime()?;
    let target = match contract {
        #[cfg(feature = "emulator")]
        contract if args.emulator => runtime.block_on(Target::emulated(contract, &args.send.calls))?,
        contract => Target::of_run(args, contract, global, env)?,
    };
    let clock = Clock::machine();
    target.expect_access(if args.dry_run { Access::Read } else { Access::Write }, &clock)?;
    let scope = target.scope.clone().ok_or(Error::NoToken)?;
    if !args.dry_run {
        confirm::can_ask(&args.send, &args.input)?;
        // What is wrong with the place of the results is said before a large file is read.
        if let Some(results) = &args.send.results {
            Destination::examine(results, args.input.path(), input.shape())?;
        }
    }
    // The journal of an emulator's run lives and dies with it.
    let temporary = args.emulator.then(temporary_dir).transpose();
    let temporary = temporary.map_err(|source| Error::Io { what: "cannot create a directory", source })?;
    let dir = match &temporary {
        Some(dir) => dir.path().join("state"),
        None => state_dir(global)?,
    };
    let journal = open_journal(&dir, &clock)?;
    let remember = args.send.remember;
    let mut diagnostics = Diagnostics::new(terminal);
    let mut tell = |diagnostic: Diagnostic| diagnostics.show(&diagnostic);
    let run = RunInput {
        input,
        name: args.input.name().into_owned(),
        rules: &rules,
        skip_invalid: args.skip_invalid,
        typed: global.typed.clone(),
        settings: target.settings(global),
        remember,
    };
    let run = Session::open(target.for_session(scope), journal, clock).import(run, &mut tell);
    let warnings = diagnostics.finish();
    let mut run = run?;
    if !args.dry_run {
        run = run.or_resume_matching(remember.max(REMEMBER))?;
        // Nobody waits for a preflight in vain.
        destination(&run, &target, args.send.results.as_ref(), &args.input)?;
    }
    let calls = &args.send.calls;
    let preflight = Preflight { target: &target, calls, options: args.look.look() };
    let run = preflight.run(run, &runtime, terminal)?;

    let next = next_step::NextStep::Run { args, typed: &global.typed };
    let sending = Sending { target: &target, args: &args.send, remember, input: &args.input, page, next };
    let code = if args.dry_run {
        let preview = sending.preview().of_run(&run)?;
        let code = if run.imported.invalid > 0 { exit::SOME_FAILED } else { exit::OK };
        if args.send.format == Format::Json {
            say_dry_run(&target, args, &preview, code)?;
        } else {
            show(&run, preview.clone(), io::stdout().lock(), terminal.out)?;
            say_next(io::stdout(), preview.counts.rows, &next.after_dry_run())?;
        }
        if let Some(page) = &sending.page {
            write_review(&run, &target, page, &preview, calls, warnings, &next.after_dry_run())?;
            say_report_of(args, page)?;
        }
        run.discard()?;
        code
    } else {
        sending.confirm_and_send(run, &runtime, terminal)?
    };
    #[cfg(feature = "emulator")]
    if let Some(emulator) = target.emulator {
        runtime.block_on(emulator.stop());
    }
    Ok(code)
}

/// The dry run: the same way up to the first permit, and nothing is left of it but the page that is asked for.
fn dry_run(
    args: &RunArgs,
    global: &GlobalArgs,
    terminal: &Terminal,
    target: &Target,
    input: Input,
    rules: &Rules<'_>,
    page: Option<&PageFile>,
) -> Result<u8, Error> {
    // Also kept if rows may turn out to be invalid in the end: then they are counted once more.
    let keeps_rows = page.is_some() || args.skip_invalid;
    let mut rows = keeps_rows.then(|| ReviewRows::new(input.shape(), rules.contract)).transpose()?;
    let mut diagnostics = Diagnostics::new(terminal);
    let mut tell = |diagnostic: Diagnostic| diagnostics.show(&diagnostic);
    let clock = Clock::machine();
    let peek = match &target.scope {
        Some(scope) if !args.emulator => ReadOnlyJournal::open(&state_dir(global)?.into(), scope, clock.clone())?,
        _ => None,
    };
    let appended = target.contract.appended();
    let remember = args.send.remember;
    let context = ContextColumns::new(input.shape(), rules.contract);
    let options = DryRunOptions { rules, skip_invalid: args.skip_invalid, history: peek.as_ref(), remember };
    let kept = rows.as_mut().map(|rows| rows as &mut dyn KeptRows);
    let dry_run = session::dry_run(input, &options, kept, &mut tell);
    let warnings = diagnostics.finish();
    let mut dry_run = dry_run?;
    let outlook = Outlook::of_dry_run(peek.as_ref(), &target.quota).map_err(Error::Journal)?;
    let now = clock.now();
    let first = std::mem::take(&mut dry_run.first);
    let first = first.into_iter().map(|request| preview::FirstRequest::new(request, &context, now.wall)).collect();
    let contradicting = std::mem::take(&mut dry_run.contradicting);
    let (calls, send) = (&args.send.calls, Some(&args.send));
    let builder = PreviewBuilder { target, calls, send, remember, input: &args.input, typed: &global.typed };
    // Only the options of unfinished runs are read from it.
    let journal = match &peek {
        Some(_) if !dry_run.earlier.unfinished.is_empty() => History::open(&state_dir(global)?.into(), clock.clone())?,
        _ => None,
    };
    let code = if dry_run.imported.invalid > 0 { exit::SOME_FAILED } else { exit::OK };
    let preview = builder.of_dry_run(dry_run, &outlook, now, first, journal.as_ref())?;
    let next = next_step::NextStep::Run { args, typed: &global.typed }.after_dry_run();
    if args.send.format == Format::Json {
        say_dry_run(target, args, &preview, code)?;
    } else {
        preview.write(io::stdout().lock(), terminal.out)?;
        say_next(io::stdout(), preview.counts.rows, &next)?;
    }
    if let (Some(page), Some(rows)) = (page, rows) {
        let forecast =
            report::forecast(&target.quota, &args.send.calls, &outlook, clock.now(), preview.counts.requests);
        let review = report::review(target, appended, &preview, forecast, warnings, &next);
        let rows = rows.read(contradicting)?;
        page.write_review(&review, rows.map(|row| row.map_err(Error::Report))).map_err(report::page_error)?;
        say_report_of(args, page)?;
    }
    Ok(code)
}

/// A dry run as one JSON object.
fn say_dry_run(target: &Target, args: &RunArgs, preview: &Preview, code: u8) -> io::Result<()> {
    let counts = &preview.counts;
    let object = json!({
        "dry_run": true, "scope": target.shown_scope(&target.scope_or_origin()),
        "origin": target.origin().to_string(), "input": args.input.name(), "sent": counts.rows, "invalid": counts.invalid, "nothing_asked": counts.nothing_asked, "exit": code,
    });
    writeln!(io::stdout(), "{}", escape_json(&object.to_string()))
}

/// Says where the report is; beside JSON on standard error.
fn say_report_of(args: &RunArgs, page: &PageFile) -> Result<(), Error> {
    if args.send.format == Format::Json { say_report(io::stderr(), page) } else { say_report(io::stdout(), page) }
}

/// Opens the input; what is wrong with it as a whole is shown.
pub(super) fn opened(source: &Source, terminal: &Terminal) -> Result<Input, Error> {
    Ok(Input::open(source).inspect_err(|error| show_invalid(error, terminal))?)
}

/// What is wrong with an input as a whole.
fn show_invalid(error: &InputError, terminal: &Terminal) {
    let InputError::Invalid(found) = error else { return };
    let mut diagnostics = Diagnostics::new(terminal);
    for diagnostic in found {
        diagnostics.show(diagnostic);
    }
    diagnostics.finish();
}
