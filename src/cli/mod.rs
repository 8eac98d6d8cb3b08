//! The command line: arguments as typed, settings resolved, one file for each subcommand.
//!
//! | file | owns |
//! | --- | --- |
//! | `run`, `plan`, `apply`, `fetch`, `runs`, `check`, `contract`, `config`, `doctor`, `emulator` | a subcommand each, with its arguments |
//! | `emulator_sign_in` | the sign-in options of `emulator` |
//! | `global`, `arguments`, `row_options`, `number` | what was typed |
//! | `settings` | the layers of settings; every option's value and its origin |
//! | `known_options` | which command takes which option, and which options hold paths |
//! | `environment`, `origin_sources`, `site`, `target`, `plan_target`, `run_target`, `credential`, `tokens`, `destination` | what was typed and what the environment says, resolved |
//! | `preflight`, `confirm`, `show`, `send`, `stop`, `next_step` | the steps of a [`crate::session`] for a person: progress, prompt, summary, why it stopped, what to run next |
//! | `read_calls` | reads with their progress |
//! | `report` | the page of `--report`, before a run and after it |
//! | `command_stats`, `metrics` | what a command has done, for the monitor that reads it when the command has ended |
//! | `terminal`, `log_file`, `signals` | streams, colors, log; what a signal ends |
//! | `usage` | help, and the parser's messages about a command line |
//! | `version`, `manual`, `completions` | what packages and people ask of the program itself |
//! | `patience` | the journal, opened; the message while another process locks it |

mod apply;
mod arguments;
mod check;
mod command_stats;
mod completions;
mod config;
mod confirm;
mod contract;
mod credential;
mod destination;
mod doctor;
#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "emulator")]
mod emulator_sign_in;
mod environment;
pub mod error;
pub mod exit;
mod fetch;
mod global;
mod known_options;
mod log_file;
mod manual;
mod metrics;
mod next_step;
mod number;
mod origin_sources;
mod page;
mod patience;
mod plan;
mod plan_target;
mod preflight;
mod read_calls;
mod row_options;
mod run;
mod run_target;
mod runs;
mod send;
mod settings;
mod show;
mod signals;
mod site;
mod stop;
mod target;
mod terminal;
mod tokens;
mod usage;
mod version;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cli::error::Error;
use crate::text::Printable;
use command_stats::CommandStats;
use environment::Environment;
use global::GlobalArgs;
use metrics::MetricsFile;
use settings::{Defaults, Loaded};
use terminal::Terminal;

/// Update Microsoft Defender XDR incidents in bulk from a CSV or JSONL file
#[derive(Debug, Parser)]
#[command(
    name = "bulk-triage",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    args_override_self = true
)]
struct Cli {
    /// What is the same for all commands.
    #[command(flatten)]
    global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Validate a file, ask for confirmation, and send the updates
    Run(Box<arguments::RunArgs>),
    /// Validate a file offline
    Check(check::CheckArgs),
    /// Save the changes to a file for review
    Plan(Box<plan::PlanArgs>),
    /// Send the changes of a reviewed plan
    Apply(Box<apply::ApplyArgs>),
    /// Download incidents as rows to edit
    Fetch(Box<fetch::FetchArgs>),
    /// List, inspect, resume and undo runs
    Runs(runs::RunsArgs),
    /// Run a local emulator of the API
    #[cfg(feature = "emulator")]
    Emulator(Box<emulator::EmulatorArgs>),
    /// Show a contract's values and quota
    Contract(contract::ContractArgs),
    /// Show settings and where each comes from
    Config(Box<config::ConfigArgs>),
    /// Check whether a run could start here, and what to correct
    Doctor(Box<doctor::DoctorArgs>),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    Man(manual::ManArgs),
}

impl Command {
    /// Whether settings count for it. The others print what is always the same.
    fn takes_settings(&self) -> bool {
        match self {
            Command::Completions { .. } | Command::Man(_) => false,
            Command::Config(args) => args.command.is_none(),
            _ => true,
        }
    }
}

/// Runs the command that the process was started with; the exit code.
#[must_use]
pub fn main() -> u8 {
    terminal::announce_defects();
    environment::protect_memory();
    signals::outlive_usr1();
    run(std::env::args_os())
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let early = settings::early_options(Cli::command(), &arguments);
    let (loaded, unusable) = match settings::load(&early, &environment::surroundings()) {
        Ok(loaded) => (loaded, None),
        Err(error) => (Loaded::default(), Some(error)),
    };
    let environment = Environment::read();
    let parsed = match parse(&arguments, &loaded) {
        Err(help) if !help.use_stderr() => {
            show_help(&help, loaded.defaults, &arguments);
            return exit::OK;
        }
        parsed => parsed,
    };
    let metrics = MetricsFile::find(&early, &loaded, environment.azure.tenant.as_deref());
    let stats = Rc::default();
    let command = || {
        let result = match parsed {
            Ok(cli) => match unusable.filter(|_| cli.command.takes_settings()) {
                Some(error) => refuse_settings(cli, error, &environment),
                None => execute(cli, &loaded, &environment, metrics.as_ref(), &stats),
            },
            Err(wrong) => refuse_arguments(&wrong, unusable, &arguments, &loaded, &environment),
        };
        result.unwrap_or_else(|error| {
            if !error.is_reported() {
                tell(&error);
            }
            JsonTo::asked_for(&arguments).tell(&error);
            error.exit_code()
        })
    };
    // A defect has its own exit code; what is wrong has been said by then.
    let code = catch_unwind(AssertUnwindSafe(command)).unwrap_or(exit::INTERNAL);
    if let Some(metrics) = metrics {
        metrics.write(&stats, code);
    }
    code
}

/// Shows the help or the version, whichever was requested.
fn show_help(help: &clap::Error, defaults: Defaults, arguments: &[OsString]) {
    if help.kind() == ErrorKind::DisplayVersion && version::is_detailed(arguments) {
        // If it can't be written, there is nobody to tell.
        let _ = io::stdout().write_all(version::details().as_bytes());
    } else {
        usage::tell(help, printable_command(defaults), arguments);
    }
}

/// Where a command without JSON of its own prints its error for a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JsonTo {
    /// Nowhere: `--format json` was not typed.
    Nothing,
    /// Standard output.
    Stdout,
    /// Standard error: with `-o -`, standard output is a file's content.
    Stderr,
}

impl JsonTo {
    /// What the command line asks for, even if it is wrong. `arguments` begins with the program's name.
    fn asked_for(arguments: &[OsString]) -> JsonTo {
        let words = arguments.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != "--");
        let (mut form, mut output, mut last) = (None, None, "");
        for word in words {
            match (last, word) {
                ("--format", form_of) => form = Some(form_of),
                ("-o" | "--output", path) => output = Some(path),
                (_, word) => {
                    form = word.strip_prefix("--format=").or(form);
                    output = word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o")).or(output);
                }
            }
            last = word;
        }
        match (form, output) {
            (Some("json"), Some("-")) => JsonTo::Stderr,
            (Some("json"), _) => JsonTo::Stdout,
            _ => JsonTo::Nothing,
        }
    }

    fn tell(self, error: &Error) {
        if error.is_in_json() {
            return;
        }
        // If it can't be written, there is nobody to tell.
        let _ = match self {
            JsonTo::Nothing => Ok(()),
            JsonTo::Stdout => writeln!(io::stdout(), "{}", error.to_json()),
            JsonTo::Stderr => writeln!(io::stderr(), "{}", error.to_json()),
        };
    }
}

/// The command line, with these defaults.
fn command(defaults: &Defaults) -> clap::Command {
    settings::with_defaults(Cli::command(), defaults)
}

/// The same, safe to print.
fn printable_command(defaults: Defaults) -> clap::Command {
    command(&settings::escaped(defaults))
}

fn parse(arguments: &[OsString], loaded: &Loaded) -> Result<Cli, clap::Error> {
    let defaults = &loaded.defaults;
    let mut command = command(defaults);
    known_options::register(command.clone());
    let matches = command.try_get_matches_from_mut(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let settings = settings::resolve(&command, &matches, defaults);
    cli.global.typed = settings.typed();
    cli.global.to_keep = known_options::with_absolute_paths(&cli.global.typed);
    cli.global.settings = settings::of_run(&command, &matches, &settings);
    cli.global.words = arguments.to_vec();
    cli.global.values = settings::values(&matches);
    cli.global.values.extend(loaded.files.iter().cloned());
    cli.global.is_project_contract = loaded.is_of_project("--contract", &settings);
    cli.global.unknown_variables.clone_from(&loaded.unknown_variables);
    Ok(cli)
}

/// Ends a command line that can't be parsed. `unusable`: the error if its settings can't be used, which may be why.
fn refuse_arguments(
    wrong: &clap::Error,
    unusable: Option<Error>,
    arguments: &[OsString],
    loaded: &Loaded,
    environment: &Environment,
) -> Result<u8, Error> {
    let of_settings = || settings::wrong_setting(wrong, command(&Defaults::new()), arguments, loaded);
    let Some(error) = unusable.or_else(of_settings) else {
        usage::tell(wrong, printable_command(loaded.defaults.clone()), arguments);
        return Err(Error::Ended { code: exit::USAGE, message: usage::usage_error(wrong).to_string() });
    };
    match parse(arguments, &Loaded::default()) {
        Ok(cli) => refuse_settings(cli, error, environment),
        Err(_) => Err(error),
    }
}

/// Ends a command whose settings can't be used. To report that is what `doctor` is for.
fn refuse_settings(cli: Cli, error: Error, environment: &Environment) -> Result<u8, Error> {
    let Command::Doctor(args) = cli.command else { return Err(error) };
    let terminal = Terminal::set_up(&cli.global, environment, &Rc::default())?;
    doctor::refuse_settings(&args, &error, &terminal)
}

fn execute(
    cli: Cli,
    loaded: &Loaded,
    environment: &Environment,
    metrics: Option<&MetricsFile>,
    stats: &Rc<CommandStats>,
) -> Result<u8, Error> {
    metrics.map_or(Ok(()), MetricsFile::expect_writable)?;
    let mut terminal = Terminal::set_up(&cli.global, environment, stats)?;
    // `doctor` reports them itself.
    let is_doctor = matches!(cli.command, Command::Doctor(_));
    if cli.command.takes_settings() && !is_doctor && !terminal.quiet {
        cli.global.unknown_variables.iter().for_each(|why| terminal::say(&format!("warning: {why}")));
    }
    match cli.command {
        Command::Run(args) => run::run(&args, &cli.global, environment, &mut terminal),
        Command::Check(args) => check::run(&args, &cli.global, &terminal),
        Command::Plan(args) => plan::run(&args, &cli.global, environment, &mut terminal),
        Command::Apply(args) => apply::run(&args, &cli.global, environment, &mut terminal),
        Command::Fetch(args) => fetch::run(&args, &cli.global, environment, &mut terminal),
        Command::Runs(args) => runs::run(&args, &cli.global, environment, &mut terminal),
        #[cfg(feature = "emulator")]
        Command::Emulator(args) => emulator::run(*args, environment).map(|()| exit::OK),
        Command::Contract(args) => contract::run(&args, &terminal).map(|()| exit::OK),
        Command::Config(args) => config::run(&args, &Cli::command(), loaded, &cli.global, environment, &terminal),
        Command::Doctor(args) => doctor::run(&args, loaded, &cli.global, environment, &terminal),
        Command::Completions { shell } => completions::run(shell, command(&Defaults::new())),
        Command::Man(args) => manual::run(&args, command(&Defaults::new())),
    }
}

/// Says on standard error why the command did not succeed, and what to do about it.
fn tell(error: &Error) {
    // Where standard error can't be written there is nobody to tell.
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "error: {}", Printable(&error.to_string()));
    if let Some(hint) = error.hint() {
        let _ = writeln!(out, "  help: {}", Printable(&hint));
    }
}
