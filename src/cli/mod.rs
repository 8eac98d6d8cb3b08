//! The command line: arguments as typed, settings resolved, one file for each subcommand.

mod check;
mod contract;
mod rows;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::Error;
use crate::exit;

pub use rows::RowArgs;

/// Updates many security incidents at once: every row checked first, as fast as the quota allows, every row accounted
/// for.
#[derive(Debug, Parser)]
#[command(name = "bulk-triage", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What is the same for all commands.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every row; no network, no credentials
    Check(check::CheckArgs),
    /// Show the rules in force, as a table or as TOML
    Contract(contract::ContractArgs),
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct GlobalArgs {
    /// When to use colours (`NO_COLOR` is obeyed)
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// At a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl GlobalArgs {
    /// Whether colours go to standard output.
    #[must_use]
    pub fn colours_stdout(&self) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && io::stdout().is_terminal()
            }
        }
    }
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person.
    Human,
    /// One JSON object.
    Json,
}

/// Runs the command that the process was started with; the exit code.
#[must_use]
pub fn main() -> u8 {
    run(std::env::args_os())
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; where they can't be written there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::DONE };
        }
    };
    let done = match cli.command {
        Command::Check(args) => check::run(&args, &cli.global),
        Command::Contract(args) => contract::run(&args),
    };
    match done {
        Ok(()) => exit::DONE,
        Err(error) => {
            if !error.was_told() {
                tell(&error);
            }
            error.exit_code()
        }
    }
}

/// Says on standard error why the command did not succeed.
fn tell(error: &Error) {
    // Where standard error can't be written there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {error}");
}
