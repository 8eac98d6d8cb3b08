//! What the checks of `doctor` have in common: the arguments, their names, and how an error fails one.

use clap::ValueHint;

use crate::cli::arguments::CallArgs;
#[cfg(feature = "emulator")]
use crate::cli::arguments::NOT_WITH_EMULATOR;
use crate::cli::environment::Environment;
use crate::cli::error::Error;
use crate::cli::global::{Format, GlobalArgs};
use crate::cli::terminal::Terminal;
use crate::clock::Clock;
use crate::contract::BUILT_IN;
use crate::report::doctor::Check;

pub(super) const SETTINGS: &str = "settings";
pub(super) const STATE_DIRECTORY: &str = "state directory";
pub(super) const PROXY: &str = "proxy";
pub(super) const CONNECTION: &str = "connection";
pub(super) const CLOCK: &str = "clock";
pub(super) const TOKEN: &str = "token";
pub(super) const PERMISSION: &str = "permission";

/// `bulk-triage doctor`
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("patience", |patience| patience.default_value("0")))]
// They have no effect on one request, but the options of another command must be accepted.
#[command(mut_arg("concurrency", |concurrency| concurrency.hide(true)))]
#[command(mut_arg("max_attempts", |attempts| attempts.hide(true)))]
pub(crate) struct DoctorArgs {
    /// Contract (rules and quota of an API version): defender-classic, defender, graph, or a TOML file that extends one
    #[arg(long, value_name = "NAME or FILE", default_value = BUILT_IN[0], value_hint = ValueHint::FilePath)]
    pub(super) contract: String,
    /// Base URL of the API [default: the contract's]
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// Check an API emulator that is started for this command
    #[cfg(feature = "emulator")]
    #[arg(long, conflicts_with_all = NOT_WITH_EMULATOR)]
    pub(super) emulator: bool,
    /// How requests are sent.
    #[command(flatten)]
    pub(super) calls: CallArgs,
    /// Format of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub(super) format: Format,
}

/// What every check may need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs<'a> {
    pub(super) args: &'a DoctorArgs,
    pub(super) global: &'a GlobalArgs,
    pub(super) env: &'a Environment,
    pub(super) terminal: &'a Terminal,
    pub(super) clock: &'a Clock,
}

/// A check that failed with an error, which other commands would end with.
pub(super) fn failure(name: &'static str, error: &Error) -> Check {
    Check::fail(name, error.to_string(), error.hint(), error.exit_code())
}
