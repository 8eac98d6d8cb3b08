//! Arguments as they are typed. Nothing is looked up or decided here: that is `settings`'.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::emulator::EmulatorArgs;
use crate::outcome::OutcomeKind;
use crate::window::{ParseWindowError, Quota, parse_duration};

/// Update many security incidents at once: every row checked first, as fast as the quota allows, every row accounted
/// for.
#[derive(Debug, Parser)]
#[command(name = "bulk-triage", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every row, ask, send the updates, write the results.
    Run(Box<RunArgs>),
    /// Check every row. No network, no credentials.
    Check(CheckArgs),
    /// The rules in force, as a table or as TOML.
    Contract(ContractArgs),
    /// The runs of the journal.
    Runs(RunsArgs),
    /// A local server that behaves as the API does.
    Emulator(EmulatorArgs),
    /// Completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// The manual page.
    Man,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct GlobalArgs {
    /// Where the journal is kept.
    #[arg(long, global = true, value_name = "DIR", env = "BULK_TRIAGE_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// The log's form.
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    pub log_format: LogFormat,
    /// Write the log to this file instead of standard error.
    #[arg(long, global = true, value_name = "PATH")]
    pub log_file: Option<PathBuf>,
    /// Log more; twice: every call.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Show no progress and log errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
    /// Draw no progress: a plain line now and then.
    #[arg(long, global = true)]
    pub no_progress: bool,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// At a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Forms of what is printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Human,
    /// One JSON object.
    Json,
}

/// What changes the meaning of a row.
#[derive(Clone, Debug, Args)]
pub struct RowArgs {
    /// The rules: `defender-classic`, `defender`, or a TOML file that extends one.
    #[arg(long, value_name = "NAME or FILE", default_value = "defender-classic")]
    pub contract: String,
    /// Set a property on every row; wins over the row's cell. Repeatable.
    #[arg(long, value_name = "FIELD=VALUE")]
    pub set: Vec<String>,
    /// A trial: all rows are checked, the first N are the run.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Of a results file, only the rows with these outcomes.
    #[arg(long, value_name = "OUTCOME,…", value_delimiter = ',')]
    pub only: Vec<OutcomeKind>,
}

/// `bulk-triage check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A CSV or JSONL file, or `-` for standard input.
    pub input: PathBuf,
    /// What changes the meaning of a row.
    #[command(flatten)]
    pub rows: RowArgs,
    /// How to print what is found.
    #[arg(long, value_name = "FORM", default_value = "human")]
    pub format: OutputFormat,
}

/// `bulk-triage contract`
#[derive(Debug, Args)]
pub struct ContractArgs {
    /// `defender-classic`, `defender`, or a TOML file.
    #[arg(default_value = "defender-classic")]
    pub name: String,
    /// As TOML, ready to be extended.
    #[arg(long)]
    pub toml: bool,
}

/// How calls are made: options of `run` and `runs resume`.
#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// The windows to keep, such as `50/1m,1500/1h`: lower them to leave room for others.
    #[arg(long, value_name = "QUOTA")]
    pub quota: Option<Quota>,
    /// Calls under way at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub concurrency: u32,
    /// Tries at one row for errors that may pass; a 429 is none.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: u32,
    /// Make no new call after this (`ms`, `s`, `m`, `h`).
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub stop_after: Option<Duration>,
    /// How long to wait for a service that is down; 0 stops at once.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub patience: Duration,
    /// Stop when so many rows have failed; without it, when the first five all fail alike.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_failures: Option<u64>,
    /// How long a change made by an earlier run counts as made; 0 looks at no other run.
    #[arg(long, value_name = "DURATION", default_value = "12h", value_parser = duration)]
    pub remember: Duration,
    /// The token, in a file that only you can read; else `BULK_TRIAGE_TOKEN`.
    #[arg(long, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Where to write the results.
    #[arg(long, value_name = "PATH")]
    pub results: Option<PathBuf>,
    /// The summary's form.
    #[arg(long, value_name = "FORM", default_value = "human")]
    pub format: OutputFormat,
}

/// `bulk-triage run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// A CSV or JSONL file, or `-` for standard input.
    pub input: PathBuf,
    /// Do all but sending: check, and show what would be sent and how long it takes.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// What changes the meaning of a row.
    #[command(flatten)]
    pub rows: RowArgs,
    /// Go on with the valid rows; the others end as `invalid`.
    #[arg(long)]
    pub skip_invalid: bool,
    /// Another place of the API.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// An emulator started for this run: nothing real is changed.
    #[arg(long, conflicts_with_all = ["base_url", "token_file", "scope"])]
    pub emulator: bool,
    /// Names the scope where the token does not name a tenant.
    #[arg(long, value_name = "NAME")]
    pub scope: Option<String>,
    /// How calls are made.
    #[command(flatten)]
    pub send: SendArgs,
}

/// `bulk-triage runs`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    /// What to do with them; without it, list them.
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
}

/// `bulk-triage runs …`
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// All runs, the youngest first.
    List,
    /// One run: what it was, how far it is, what failed.
    Show {
        /// Its name, such as `7f3k`.
        run: String,
        /// How to print it.
        #[arg(long, value_name = "FORM", default_value = "human")]
        format: OutputFormat,
    },
    /// Go on with a run that did not finish, however old it is.
    Resume {
        /// Its name.
        run: String,
        /// How calls are made.
        #[command(flatten)]
        send: Box<SendArgs>,
    },
    /// Make a run's results file again.
    Results {
        /// Its name.
        run: String,
        /// Where to write it; without it, where the run did.
        #[arg(short = 'o', long, value_name = "PATH")]
        results: Option<PathBuf>,
    },
}

fn duration(text: &str) -> Result<Duration, ParseWindowError> {
    parse_duration(text)
}
