//! `bulk-triage run`: check, load, say what would happen, ask, send, account. And the dry run: the same up to the
//! question, without a trace.

use std::io::{self, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::{Environment, state_dir};
use super::load::{self, Loaded};
use super::next;
use super::send::{self, SendArgs, Sending};
use super::target::Target;
use super::terminal::Terminal;
use super::{GlobalArgs, RowArgs};
use crate::check::Rules;
use crate::clock::Clock;
use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::exit;
use crate::input::{Input, InputError};
use crate::journal::{Durability, Earlier, Journal, JournalError, Peek, RunFacts, RunHandle, StateDir};
use crate::permit::{Pause, Spent};
use crate::quota::{Buckets, Forecast, arrival};
use crate::report::diagnostics::HumanDiagnostics;
use crate::report::preview::{self, FirstRequest, Preview};
use crate::report::question::ask;
use crate::report::results::{Destination, default_name};

/// `bulk-triage run`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunArgs {
    /// A CSV or JSONL file, or `-` for standard input.
    pub(super) input: PathBuf,
    /// Do all but sending: check, and show what would be sent and how long it takes.
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// What changes the meaning of a row.
    #[command(flatten)]
    pub(super) rows: RowArgs,
    /// Go on with the valid rows; the others end as `invalid`.
    #[arg(long)]
    pub(super) skip_invalid: bool,
    /// Another place of the API.
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// An emulator started for this run: nothing real is changed.
    #[arg(long, conflicts_with_all = ["base_url", "token_file", "scope"])]
    pub(super) emulator: bool,
    /// Names the scope where the token does not name a tenant.
    #[arg(long, value_name = "NAME")]
    pub(super) scope: Option<String>,
    /// How calls are made.
    #[command(flatten)]
    pub(super) send: SendArgs,
}

/// A run that is younger than this goes on, also where `--remember` looks at no other run.
const GOES_ON: Duration = Duration::from_hours(12);

/// How long a call takes, as long as none was made.
pub(super) const GUESSED_LATENCY: Duration = Duration::from_millis(400);

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
    let settings = args.rows.resolve()?;
    let input = opened(&args.input, terminal)?;
    let rules = settings.rules(&input)?;
    let contract = settings.contract.clone();
    let mut diagnostics = HumanDiagnostics::new(io::stderr(), terminal.colour_err);
    // A standard error that is gone is no reason not to send.
    let mut tell = |diagnostic: Diagnostic| drop(diagnostics.tell(&diagnostic));

    if args.dry_run {
        let target = if args.emulator {
            Target::to_be_emulated(contract, &args.send)?
        } else {
            Target::of_run(args, contract, env)?
        };
        let looked = dry_run(args, global, terminal, &target, input, &rules, &mut tell);
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
    if !args.send.yes && !can_ask(&args.input) {
        return Err(Error::Usage {
            message: "there is no terminal to ask on".to_owned(),
            hint: Some("say --yes to send without being asked, or --dry-run to look".to_owned()),
        });
    }
    let shape = input.shape().clone();
    // What is wrong with the place of the results is said before a large file is read.
    if let Some(results) = &args.send.results {
        Destination::examine(results, input_path(&args.input), &shape)?;
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
    let mut facts = RunFacts {
        input: args.input.to_string_lossy().into_owned(),
        shape: shape.clone(),
        origin: target.origin.to_string(),
        contract: target.contract.to_toml(),
        results: String::new(),
        options: args.rows.typed(),
    };
    let mut rng = fastrand::Rng::new();
    let loading =
        load::into_journal(&mut journal, input, &rules, args.skip_invalid, &mut tell, &scope, &facts, &mut rng);
    let _ = diagnostics.finish();
    let (mut handle, loaded) = loading?;

    let same =
        journal.unfinished_same(&scope, &target.contract.name, &loaded.digest, args.send.remember.max(GOES_ON))?;
    let goes_on = match same.filter(|_| loaded.rows > 0) {
        Some(name) => {
            journal.discard(&handle)?;
            handle = journal.hold(&name)?;
            true
        }
        None => false,
    };
    let destination = destination(args, &journal, &handle, goes_on, &shape, args.emulator)?;

    let appended = target.appended();
    let earlier = journal.earlier(&handle, args.send.remember, appended.as_deref())?;
    let ledger = journal.ledger(&handle, target.quota.longest())?;
    let over = if goes_on { over(&journal, &handle)? } else { None };
    let preview = preview(args, &target, &loaded, &clock, Some((&earlier, over)), &ledger, Vec::new());
    if !terminal.quiet {
        // Where standard error is gone, the question can't be asked; with --yes there is none.
        let _ = preview.write(io::stderr(), terminal.colour_err);
    }
    if preview.rows > 0 && !args.send.yes && !agreed(&args.input, preview.rows)? {
        if !goes_on {
            journal.discard(&handle)?;
        }
        eprintln_line("nothing was sent");
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
        input: facts.input.clone(),
        shape,
        destination,
        clock,
        next: next::Next::Run { args, global },
    };
    let code = sending.send(&runtime, journal, handle, terminal)?;
    if let Some(emulator) = target.emulator {
        runtime.block_on(emulator.stop());
    }
    Ok(code)
}

/// The dry run: the same way up to the first permit, and nothing is left of it.
fn dry_run(
    args: &RunArgs,
    global: &GlobalArgs,
    terminal: &Terminal,
    target: &Target,
    input: Input,
    rules: &Rules<'_>,
    tell: &mut dyn FnMut(Diagnostic),
) -> Result<u8, Error> {
    let clock = Clock::machine();
    let peek = match &target.scope {
        Some(scope) if !args.emulator => Peek::open(&state_dir(global)?, scope, clock.clone())?,
        _ => None,
    };
    let appended = target.appended();
    let looked = load::for_a_look(
        input,
        rules,
        args.skip_invalid,
        tell,
        peek.as_ref(),
        args.send.remember,
        appended.as_deref(),
    )?;
    let ledger = match &peek {
        Some(peek) => peek.ledger(target.quota.longest())?,
        None => (Spent::default(), None),
    };
    let earlier = target.scope.as_ref().map(|_| (&looked.earlier, None));
    let preview = preview(args, target, &looked.loaded, &clock, earlier, &ledger, looked.first);
    let out = |source| Error::Io { what: "standard output", source };
    preview.write(io::stdout(), terminal.colour_out).map_err(out)?;
    let next = next::Next::Run { args, global }.command();
    io::Write::write_fmt(&mut io::stdout(), format_args!("\nnothing was sent; to send it:\n  {next}\n"))
        .map_err(out)?;
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

/// The input as a file that results must not replace; standard input is none.
fn input_path(input: &Path) -> Option<&Path> {
    (input != Path::new("-")).then_some(input)
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
    let input = input_path(&args.input);
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

/// The run that goes on, with its rows that are over.
fn over(journal: &Journal, run: &RunHandle) -> Result<Option<(String, u64)>, JournalError> {
    let over = journal.outcomes(&run.name)?.iter().filter(|(kind, _)| kind.is_some()).map(|(_, rows)| rows).sum();
    Ok(Some((run.name.clone(), over)))
}

/// What stands before the question.
fn preview(
    args: &RunArgs,
    target: &Target,
    loaded: &Loaded,
    clock: &Clock,
    earlier: Option<(&Earlier, Option<(String, u64)>)>,
    ledger: &(Spent, Option<Pause>),
    first_requests: Vec<FirstRequest>,
) -> Preview {
    let now = clock.now();
    let over = earlier.as_ref().and_then(|(_, over)| over.as_ref()).map_or(0, |(_, over)| *over);
    let not_sent = earlier.as_ref().map_or(0, |(earlier, _)| earlier.not_sent());
    let rows = loaded.rows.saturating_sub(over.min(loaded.rows)).saturating_sub(not_sent);
    let buckets = Buckets::new(&target.quota);
    let ends = |calls: u64| {
        let ahead = Forecast { calls, concurrency: args.send.concurrency, latency: GUESSED_LATENCY };
        if calls == 0 { now.boot } else { arrival(&buckets, &ledger.0, ledger.1, now.boot, ahead) }
    };
    let stop_after = args.send.stop_after.map(|after| {
        let (mut fits, mut too_many) = (0, rows + 1);
        while too_many - fits > 1 {
            let middle = fits.midpoint(too_many);
            if ends(middle) <= now.boot + after { fits = middle } else { too_many = middle }
        }
        (after, fits)
    });
    Preview {
        target: target.shown(),
        input: args.input.to_string_lossy().into_owned(),
        rows,
        skipped: loaded.invalid,
        sets: loaded.sets.clone(),
        overridden: loaded.overridden.clone(),
        starts_at: now.wall,
        duration: ends(rows).since(now.boot),
        stop_after,
        token_expires: target.tokens.as_ref().and_then(|tokens| tokens.claims().expires),
        earlier: earlier.map(|(earlier, over)| shown_earlier(earlier, over)),
        first_requests,
    }
}

fn shown_earlier(earlier: &Earlier, over: Option<(String, u64)>) -> Vec<preview::Earlier> {
    let goes_on = over.map(|(run, over)| preview::Earlier::GoesOn { run, over });
    let made = earlier.made.iter().map(|((run, again), made)| preview::Earlier::Made {
        run: run.clone(),
        at: made.last,
        rows: made.rows,
        again: *again,
    });
    let unfinished = earlier
        .unfinished
        .iter()
        .map(|(run, rows)| preview::Earlier::Unfinished { run: run.clone(), incidents: *rows });
    goes_on.into_iter().chain(made).chain(unfinished).collect()
}

/// Whether there is somebody to ask: at the terminal itself where standard input is the input.
fn can_ask(input: &Path) -> bool {
    match input_path(input) {
        Some(_) => io::stdin().is_terminal(),
        None => terminal_file().is_ok(),
    }
}

fn terminal_file() -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().read(true).open("/dev/tty")
}

fn agreed(input: &Path, rows: u64) -> Result<bool, Error> {
    let updates = if rows == 1 { "update" } else { "updates" };
    let question = format!("Send {rows} {updates}?");
    let answer = match input_path(input) {
        Some(_) => ask(&question, io::stdin().lock(), io::stderr()),
        None => terminal_file().and_then(|terminal| ask(&question, BufReader::new(terminal), io::stderr())),
    };
    answer.map_err(|source| Error::Io { what: "the question can't be asked", source })
}

/// A line for the person at the terminal.
pub(super) fn eprintln_line(line: &str) {
    // Where standard error is gone there is nobody to tell.
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("{line}\n"));
}
