//! `bulk-triage run`: check, import, preview, prompt, send, report. A dry run ends before the prompt; without
//! `--compare` it leaves no trace.

use std::io::{self, Write as _};

use serde_json::json;
use tokio::runtime::Runtime;

use super::arguments::RunArgs;
use super::confirm::expect_all;
use super::destination::expect_retention;
use super::environment::{Environment, state_dir};
use super::global::{Format, GlobalArgs};
use super::next_step;
use super::page::page_file;
use super::patience::open_journal;
use super::send::{self, Sending};
use super::show::{import, opened, say_next, say_report, show, write_review};
use super::target::{Access, Target};
use super::terminal::Terminal;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::contract::Contract;
use crate::files::temporary_dir;
use crate::report::page::{ContextColumns, Warnings};
use crate::report::preview::{FirstRequest, Preview};
use crate::session::{Past, PreparedRun, REMEMBER, RunInput, Session};
use crate::text::escape_json;

/// Runs it. Returns the exit code.
///
/// # Errors
/// If nothing was sent, or the journal failed.
pub(super) fn run(
    args: &RunArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    let beside = [&[args.input.path(), args.send.results.as_deref()], &args.send.calls.sign_in.files()[..]].concat();
    let page = page_file(args.send.report.as_ref(), args.send.report_format, &beside, global, env)?;
    expect_retention(&args.send, &global.typed)?;
    let settings = args.rows.resolve(global)?;
    let input = opened(&args.input, terminal)?;
    let rules = settings.rules(&input)?;
    let runtime = send::runtime()?;
    let target = target(args, settings.contract.clone(), &runtime, global, env)?;
    let clock = Clock::machine();
    if args.leaves_no_trace() {
        target.expect_consent()?;
    } else {
        target.expect_access(if args.dry_run { Access::Read } else { Access::Write }, &clock)?;
    }
    if !args.dry_run {
        expect_all(&args.send, &args.input, input.shape())?;
    }

    // The journal of an emulator's run is removed with it.
    let temporary = args.emulator.then(|| temporary_dir(state_dir(global).ok().as_deref())).transpose();
    let temporary = temporary.map_err(|source| Error::Io { what: "cannot create a directory", source })?;
    let dir = match &temporary {
        Some(dir) => dir.path().join("state"),
        None => state_dir(global)?,
    };
    let session = if args.leaves_no_trace() {
        let past = Past::read_only(&dir.clone().into(), target.scope.as_ref(), clock.clone())?;
        Session::without_trace(target.for_session(target.scope_or_origin()), past, &dir, clock)?
    } else {
        let scope = target.scope.clone().ok_or(Error::NoToken)?;
        Session::open(target.for_session(scope), open_journal(&dir, &clock)?, clock)
    };
    let remember = args.send.remember;
    let run = RunInput {
        skip_invalid: args.skip_invalid,
        typed: global.to_keep.clone(),
        settings: target.settings(global),
        remember,
        ..RunInput::new(input, args.input.name(), &rules)
    };
    let (run, warnings) = import(session, run, terminal)?;
    let preflight = (!args.leaves_no_trace()).then(|| args.preflight.options());
    let next = next_step::NextStep::Run { args, typed: &global.typed };
    let sending = Sending { target: &target, args: &args.send, remember, input: &args.input, page, next };
    let code = if args.dry_run {
        show_dry_run(args, &sending, sending.read(run, preflight, &runtime, terminal)?, warnings, terminal)?
    } else {
        sending.confirm_and_send(run.or_resume_matching(remember.max(REMEMBER))?, preflight, &runtime, terminal)?
    };
    #[cfg(feature = "emulator")]
    if let Some(emulator) = target.emulator {
        runtime.block_on(emulator.stop());
    }
    Ok(code)
}

/// Where the run goes. An emulator is started, unless nothing is sent to it.
fn target(
    args: &RunArgs,
    contract: Contract,
    #[cfg_attr(not(feature = "emulator"), expect(unused_variables, reason = "only the emulator needs it"))]
    runtime: &Runtime,
    global: &GlobalArgs,
    env: &Environment,
) -> Result<Target, Error> {
    match contract {
        contract if args.emulator && args.leaves_no_trace() => Target::to_be_emulated(contract, &args.send.calls),
        #[cfg(feature = "emulator")]
        contract if args.emulator => runtime.block_on(Target::emulated(contract, &args.send.calls)),
        contract => Target::of_run(args, contract, global, env),
    }
}

/// Shows what would be sent, and discards it. Returns the exit code.
fn show_dry_run(
    args: &RunArgs,
    sending: &Sending<'_>,
    run: PreparedRun,
    warnings: Warnings,
    terminal: &Terminal,
) -> Result<u8, Error> {
    let mut preview = sending.preview().of_run(&run)?;
    if run.compared.is_none() {
        let context = ContextColumns::new(&run.metadata.shape, &run.target.contract);
        let shown = |request| FirstRequest::new(request, &context, preview.run.estimate.starts_at);
        preview.first_requests = run.first_requests(&preview.run.counts)?.into_iter().map(shown).collect();
    }
    let code = if run.imported.invalid > 0 { exit::SOME_FAILED } else { exit::OK };
    let next = sending.next.after_dry_run();
    let is_json = args.send.format == Format::Json;
    if is_json {
        say_dry_run(sending.target, args, &preview, code)?;
    } else {
        show(&run, preview.clone(), io::stdout().lock(), terminal.out)?;
        say_next(io::stdout(), preview.run.counts.rows, &next)?;
    }
    if let Some(page) = &sending.page {
        write_review(&run, sending.target, page, &preview, &args.send.calls, warnings, &next)?;
        say_report(page, is_json)?;
    }
    run.discard()?;
    Ok(code)
}

/// A dry run as one JSON object.
fn say_dry_run(target: &Target, args: &RunArgs, preview: &Preview, code: u8) -> io::Result<()> {
    let counts = &preview.run.counts;
    let object = json!({
        "dry_run": true, "scope": target.shown_scope(&target.scope_or_origin()),
        "origin": target.origin().to_string(), "input": args.input.name(), "sent": counts.rows, "invalid": counts.invalid, "nothing_asked": counts.nothing_asked, "exit": code,
        "requests": counts.requests,
    });
    writeln!(io::stdout(), "{}", escape_json(&object.to_string()))
}
