//! The options that every command takes, and the forms that several offer.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::model::setting::Settings;

/// The help of `--profile` and `--config`: as doc comments the variables would need backticks, which clap would print.
const PROFILE: &str = "Also use the settings in [profiles.NAME] of the system or user file [env: BULK_TRIAGE_PROFILE]";
const CONFIG: &str = "Read settings from this file only [env: BULK_TRIAGE_CONFIG]";

/// Options of every command.
#[expect(clippy::struct_excessive_bools, reason = "each is an option or a fact of its own")]
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArgs {
    /// Profile.
    #[arg(long, global = true, value_name = "NAME", help = PROFILE)]
    pub(super) profile: Option<String>,
    /// Settings file.
    #[arg(long, global = true, value_name = "FILE", help = CONFIG)]
    pub(super) config: Option<PathBuf>,
    /// Read no settings files
    #[arg(long, global = true)]
    pub(super) no_config: bool,
    /// Directory of the journal, the database of runs
    #[arg(long, global = true, value_name = "DIR")]
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
    /// Log only errors and hide progress; -qq: hide the summary too
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) quiet: u8,
    /// When to use color (`NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` are honored)
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(super) color: Color,
    /// Print plain progress lines instead of a progress bar
    #[arg(long, global = true, overrides_with = "progress")]
    no_progress: bool,
    /// Draw a progress bar on a terminal (the default)
    #[arg(long, global = true, hide_short_help = true, default_value_t = true, overrides_with = "no_progress")]
    progress: bool,
    /// All options of the command line, as they were typed.
    #[arg(skip)]
    pub(super) typed: Settings,
    /// The same, as a run keeps them.
    #[arg(skip)]
    pub(super) to_keep: Settings,
    /// What the command line, the settings and the defaults say about a run.
    #[arg(skip)]
    pub(super) settings: Settings,
    /// The command line, as it was typed.
    #[arg(skip)]
    pub(super) words: Vec<OsString>,
    /// All values of the command line and its defaults but the log's, as paths, and the settings files that were read:
    /// the files that the command uses are among them.
    #[arg(skip)]
    pub(super) values: Vec<PathBuf>,
    /// Whether the project file names the contract that is used.
    #[arg(skip)]
    pub(super) is_project_contract: bool,
    /// The variables with the prefix of ours that set nothing, each with the reason.
    #[arg(skip)]
    pub(super) unknown_variables: Vec<String>,
}

impl GlobalArgs {
    /// Whether a progress bar is drawn on a terminal.
    pub(super) fn progress(&self) -> bool {
        self.progress && !self.no_progress
    }
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
