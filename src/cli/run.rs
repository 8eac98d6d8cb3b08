//! `bulk-triage run`: check, load, say what would happen, ask, send, account. And the dry run: the same up to the
//! question, without a trace.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::GlobalArgs;
use super::arguments::{REMEMBER, RunArgs};
use super::before::{self, Before};
use super::compare::{Comparing, Looked};
use super::environment::{Environment, state_dir};
use super::load;
use super::next;
use super::report::{self, ReviewRows};
use super::send::{self, Sending};
use super::target::Target;
use super::terminal::Terminal;
use crate::check::Rules;
use crate::clock::Clock;
use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::exit;
use crate::input::{Input, InputError};
use crate::journal::{Durability, Journal, Peek, RunFacts, RunHandle, StateDir};
use crate::permit::Spent;
use crate::report::diagnostics::HumanDiagnostics;
use crate::report::next_command::NextCommand;
use crate::report::page::{PageFile, Warnings};
use crate::report::preview::Preview;
use crate::report::results::{Destination, default_name};
use crate::text::printable;

/// Runs it. Gives back the exit code.
///
/// # Errors
/// Where nothing was sent, or the journal failed.
pub(super) fn run(
    args: &RunArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    let beside = [before::path_of(&args.input), args.send.results.as_deref(), args.send.token_file.as_deref()];
    let page = report::page_file(args.send.report.as_ref(), &beside, global)?;
    let settings = args.rows.resolve()?;
    let input = opened(&args.input, terminal)?;
    let rules = settings.rules(&input)?;
    let contract = settings.contract.clone();
    let mut diagnostics = HumanDiagnostics::new(io::stderr(), terminal.colour_err);
    // A standard error that is gone is no reason not to send.
    let mut tell = |diagnostic: Diagnostic| drop(diagnostics.tell(&diagnostic));

    if args.dry_run && !args.compare {
        let target = if args.emulator {
            Target::to_be_emulated(contract, &args.send)?
        } else {
            Target::of_run(args, contract, env)?
        };
        let looked = dry_run(args, global, terminal, &target, input, &rules, page.as_ref(), &mut tell);
        let _ = diagnostics.finish();
        return looked;
    }

    let runtime = send::runtime()?;
    let target = if args.emulator {
        runtime.block_on(Target::emulated(contract, &args.send))?
    } else {
        Target::of_run(args, contract, env)?
    };
    let scope = target.scope.clone().filter(|_| target.tokens.is_some()).ok_or(Error::NoToken)?;
    let shape = input.shape().clone();
    if !args.dry_run {
        before::can_ask(&args.send, &args.input)?;
        // What is wrong with the place of the results is said before a large file is read.
        if let Some(results) = &args.send.results {
            Destination::examine(results, before::path_of(&args.input), &shape)?;
        }
    }
    // The journal of an emulator's run lives and dies with it.
    let temporary = args.emulator.then(tempfile::tempdir).transpose();
    let temporary = temporary.map_err(|source| Error::Io { what: "can't make a directory", source })?;
    let dir = match &temporary {
        Some(dir) => dir.path().join("state"),
        None => state_dir(global)?,
    };
    let clock = Clock::machine();
    let mut journal = Journal::open(&StateDir::open(&dir)?, clock.clone(), Durability::Synced)?;
    let remember = args.send.remember.unwrap_or(REMEMBER);
    let mut facts = RunFacts {
        input: args.input.to_string_lossy().into_owned(),
        shape: shape.clone(),
        origin: target.origin.to_string(),
        contract: target.contract.to_toml(),
        results: String::new(),
        options: args.rows.typed(),
        remember,
    };
    let mut rng = fastrand::Rng::new();
    let loading =
        load::into_journal(&mut journal, input, &rules, args.skip_invalid, &mut tell, &scope, &facts, &mut rng);
    let _ = diagnostics.finish();
    let (mut handle, mut loaded) = loading?;

    // A run that is younger goes on, also where `--remember` looks at no other run.
    let same = journal.unfinished_same(&scope, &target.contract.name, &loaded.digest, remember.max(REMEMBER))?;
    let goes_on = match same.filter(|_| loaded.rows > 0 && !args.dry_run) {
        Some(name) => {
            journal.discard(&handle)?;
            handle = journal.hold(&name)?;
            true
        }
        None => false,
    };
    let destination =
        if args.dry_run { None } else { Some(destination(args, &journal, &handle, goes_on, &shape, args.emulator)?) };

    let comparing = Comparing { target: &target, args: &args.send, clock: &clock };
    let mut compared = None;
    if args.compare {
        let looked = match comparing.look(&runtime, journal, &handle, terminal)? {
            Looked::Over(journal, compared) => (journal, compared),
            Looked::Stopped(mut journal, code) => {
                if !goes_on {
                    journal.discard(&handle)?;
                }
                return Ok(code);
            }
            Looked::EndedAtOnce(code) => return Ok(code),
        };
        (journal, compared) = (looked.0, Some(looked.1));
        loaded = load::what_is_left(&journal, &handle, loaded)?;
    }

    let before = Before { target: &target, send: &args.send, remember, input: &args.input, clock: &clock };
    let preview = before.of_run(&journal, &handle, &loaded, goes_on, compared)?;
    let Some(destination) = destination else {
        show_all(preview, &comparing, &journal, &handle, terminal)?;
        journal.discard(&handle)?;
        say_next(&next::Next::Run { args, global }.command(None))?;
        return Ok(if loaded.invalid > 0 { exit::SOME_FAILED } else { exit::DONE });
    };
    if !before.is_agreed(&preview, terminal)? {
        if !goes_on {
            journal.discard(&handle)?;
        }
        return Ok(exit::STOPPED);
    }
    if !goes_on {
        facts.results = absolute(destination.path());
        journal.ready(&handle, &facts, &loaded.digest)?;
    }
    let sending = Sending {
        target: &target,
        scope: &scope,
        args: &args.send,
        remember,
        input: facts.input.clone(),
        shape,
        destination,
        page,
        clock,
        next: next::Next::Run { args, global },
    };
    let code = sending.send(&runtime, journal, &handle, terminal)?;
    if let Some(emulator) = target.emulator {
        runtime.block_on(emulator.stop());
    }
    Ok(code)
}

/// The preview on standard output, with every row's changes.
fn show_all(
    mut preview: Preview,
    comparing: &Comparing<'_>,
    journal: &Journal,
    run: &RunHandle,
    terminal: &Terminal,
) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    if let Some(compared) = &mut preview.compared {
        // All of them come, not only these.
        compared.first.clear();
    }
    preview.write(&mut out, terminal.colour_out)?;
    writeln!(out, "\nWhat changes:")?;
    comparing.each_change(journal, run, |change| writeln!(out, "  {change}"))
}

fn say_next(next: &NextCommand) -> Result<(), Error> {
    Ok(writeln!(io::stdout(), "\nnothing was sent; to send it:\n  {next}")?)
}

/// The dry run: the same way up to the first permit, and nothing is left of it but the page that is asked for.
#[expect(clippy::too_many_arguments, reason = "each is one part of the run that is looked at")]
fn dry_run(
    args: &RunArgs,
    global: &GlobalArgs,
    terminal: &Terminal,
    target: &Target,
    input: Input,
    rules: &Rules<'_>,
    page: Option<&PageFile>,
    tell: &mut dyn FnMut(Diagnostic),
) -> Result<u8, Error> {
    let mut rows = page.map(|_| ReviewRows::new(input.shape(), rules.contract)).transpose()?;
    let mut warnings = Warnings::default();
    let mut tell = |diagnostic: Diagnostic| {
        warnings.add(&diagnostic);
        tell(diagnostic);
    };
    let clock = Clock::machine();
    let peek = match &target.scope {
        Some(scope) if !args.emulator => Peek::open(&state_dir(global)?, scope, clock.clone())?,
        _ => None,
    };
    let appended = target.contract.appended();
    let remember = args.send.remember.unwrap_or(REMEMBER);
    let skip = args.skip_invalid;
    let looked = load::for_a_look(input, rules, skip, &mut tell, peek.as_ref(), remember, appended, rows.as_mut())?;
    let ledger = match &peek {
        Some(peek) => peek.ledger(target.quota.longest())?,
        None => (Spent::default(), None),
    };
    let before = Before { target, send: &args.send, remember, input: &args.input, clock: &clock };
    let earlier = target.scope.as_ref().map(|_| &looked.earlier);
    let preview = before.of_dry_run(&looked.loaded, earlier, &ledger, looked.first);
    preview.write(io::stdout().lock(), terminal.colour_out)?;
    let next = next::Next::Run { args, global }.command(None);
    say_next(&next)?;
    if let (Some(page), Some(rows)) = (page, rows) {
        let forecast = report::forecast(&target.quota, &args.send, &ledger, clock.now(), preview.rows);
        let review = report::review(target, appended, &preview, forecast, warnings, &next);
        let rows = rows.read(looked.contradicting)?;
        page.write_review(&review, rows.map(|row| row.map_err(Error::Report))).map_err(report::page_error)?;
        writeln!(io::stdout(), "\nreport: {}", printable(&page.path().to_string_lossy()))?;
    }
    Ok(if looked.loaded.invalid > 0 { exit::SOME_FAILED } else { exit::DONE })
}

/// Opens the input; what is wrong with it as a whole is shown.
fn opened(path: &Path, terminal: &Terminal) -> Result<Input, Error> {
    Ok(Input::open(path).inspect_err(|error| show_invalid(error, terminal))?)
}

/// What is wrong with an input as a whole.
fn show_invalid(error: &InputError, terminal: &Terminal) {
    let InputError::Invalid(found) = error else { return };
    let mut diagnostics = HumanDiagnostics::new(io::stderr(), terminal.colour_err);
    for diagnostic in found {
        // Where standard error is gone there is nobody to tell.
        let _ = diagnostics.tell(diagnostic);
    }
}

/// Where the results go.
fn destination(
    args: &RunArgs,
    journal: &Journal,
    run: &RunHandle,
    goes_on: bool,
    shape: &crate::outcome::InputShape,
    emulator: bool,
) -> Result<Destination, Error> {
    let input = before::path_of(&args.input);
    let name = if emulator { "emulator" } else { &run.name };
    let path = match &args.send.results {
        Some(path) => path.clone(),
        None if goes_on => PathBuf::from(journal.run(&run.name)?.facts.results),
        None => default_name(input, name, shape),
    };
    // A run that goes on may be given its own results file: then it is the input, and stays as it is.
    let is_input = input.is_some_and(|input| same_file(input, &path));
    let path = if is_input && args.send.results.is_none() {
        default_name(input, &format!("{name}-again"), shape)
    } else {
        path
    };
    Ok(Destination::examine(&path, input, shape)?)
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}
