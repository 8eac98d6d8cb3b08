//! `bulk-triage doctor`: whether a run could start here, check by check, each with what to do about it.
//!
//! Promises: it asks nothing and changes no incident; what is wrong is worded as by the commands that would meet it; a
//! check that depends on a failed one is left out. The API gets one request, with a permit and an attempt in the journal.

mod inputs;
mod machine;
mod service;

use std::io;

pub(super) use self::inputs::DoctorArgs;
use self::inputs::{CLOCK, CONNECTION, Inputs, PERMISSION, PROXY, SETTINGS, STATE_DIRECTORY, TOKEN, failure};
use super::environment::Environment;
use super::global::{Format, GlobalArgs};
use super::send::runtime;
use super::settings::Loaded;
use super::terminal::Terminal;
use crate::cli::error::Error;
use crate::clock::Clock;
use crate::report::doctor::{Check, exit_code, write_json, write_text};

/// Makes all checks. Returns the exit code.
///
/// # Errors
/// If nothing can be checked, or the report can't be written.
pub(super) fn run(
    args: &DoctorArgs,
    loaded: &Loaded,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, Error> {
    let runtime = runtime()?;
    let clock = Clock::machine();
    let inputs = Inputs { args, global, env, terminal, clock: &clock };
    let (settings, target) = machine::settings(inputs, loaded, &runtime);
    let (state_directory, journal) = machine::state_directory(inputs);
    let (proxy, connection) = match &target {
        Some(target) => runtime.block_on(service::connection(target, &env.unusable_proxies)),
        None => (Check::skip(PROXY, &[&settings]), Check::skip(CONNECTION, &[&settings])),
    };
    let (token, target) = match target {
        Some(target) => service::token(inputs, target),
        None => (Check::skip(TOKEN, &[&settings]), None),
    };
    let needed = [&settings, &state_directory, &proxy, &connection, &token];
    let failed: Vec<&Check> = needed.into_iter().filter(|check| check.is_failure()).collect();
    let (clock, permission) = match (target, journal) {
        (Some(target), Some(journal)) if failed.is_empty() => service::permission(inputs, &target, journal, &runtime),
        _ => (Check::skip(CLOCK, &failed), Check::skip(PERMISSION, &failed)),
    };
    report(&[settings, state_directory, proxy, connection, clock, token, permission], args, terminal)
}

/// Reports settings that can't be used: then nothing else can be checked. Returns the exit code.
///
/// # Errors
/// If the report can't be written.
pub(super) fn refuse_settings(args: &DoctorArgs, error: &Error, terminal: &Terminal) -> Result<u8, Error> {
    let settings = failure(SETTINGS, error);
    let others = [STATE_DIRECTORY, PROXY, CONNECTION, CLOCK, TOKEN, PERMISSION];
    let skipped = others.map(|name| Check::skip(name, &[&settings]));
    report(&[vec![settings], skipped.into()].concat(), args, terminal)
}

fn report(checks: &[Check], args: &DoctorArgs, terminal: &Terminal) -> Result<u8, Error> {
    match args.format {
        Format::Human if terminal.silent => {}
        Format::Human => write_text(checks, io::stdout().lock(), terminal.out)?,
        Format::Json => write_json(checks, io::stdout().lock())?,
    }
    Ok(exit_code(checks))
}
