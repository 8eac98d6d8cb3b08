//! The options that every command takes, and the forms that several offer.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::model::setting::Settings;

/// The help of `--state-dir`: as a doc comment the variable would need backticks, which clap would print.
const STATE_DIR: &str = "Directory of the journal, the database of runs [env: BULK_TRIAGE_STATE_DIR]";

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArgs {
    /// Directory of the journal.
    #[arg(long, global = true, value_name = "DIR", help = STATE_DIR)]
    pub(super) state_dir: Option<PathBuf>,
    /// Format of the log
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
    /// Write the log to this file instead of standard error
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) log_file: Option<PathBuf>,
    /// Log each row; -vv: each request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Hide progress and log only errors; -qq: hide the summary too
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) quiet: u8,
    /// When to use color (`NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` are honored)
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(super) color: Color,
    /// Print plain progress lines instead of a progress bar
    #[arg(long, global = true)]
    pub(super) no_progress: bool,
    /// All options of the command line, as they were typed.
    #[arg(skip)]
    pub(super) typed: Settings,
    /// The same, as a run keeps them.
    #[arg(skip)]
    pub(super) to_keep: Settings,
    /// What the command line, a variable or a default says about a run.
    #[arg(skip)]
    pub(super) settings: Settings,
    /// The command line, as it was typed.
    #[arg(skip)]
    pub(super) words: Vec<OsString>,
    /// All values of the command line but the log's, as paths: the files that the command uses are among them.
    #[arg(skip)]
    pub(super) values: Vec<PathBuf>,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

/// When to use colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless an environment variable overrides it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Text for people
    Human,
    /// One JSON object
    Json,
}
