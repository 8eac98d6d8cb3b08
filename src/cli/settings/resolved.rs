//! The options of a command line, resolved once, each with the origin of its value.
//!
//! One loop over clap's arguments resolves them all.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};

use super::defaults::{argument, default_of, option};
use super::layers::Defaults;
use crate::cli::error::Error;
use crate::model::setting::{Origin, Settings, opposite};

/// Of no use to a later command, and without effect on a run: how this command begins and what it prints.
pub(crate) const OUTPUT: &[&str] =
    &["--dry-run", "--detailed-exitcode", "--report", "--report-format", "--metrics-file", "--format", "--output"];

/// The settings of the subcommand that was called. `command` has these `defaults`, was built, and has parsed the
/// `matches`.
pub(crate) fn resolve(command: &Command, matches: &ArgMatches, defaults: &Defaults) -> Settings {
    let (command, matches) = called(command, matches);
    let mut settings = Settings::default();
    for argument in command.get_arguments() {
        let (id, Some(option)) = (argument.get_id().as_str(), option(argument)) else { continue };
        let origin = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(_) => {
                default_of(command.get_name(), argument, defaults).map_or(Origin::Default, |(_, origin)| origin.clone())
            }
            None => continue,
        };
        if !argument.get_action().takes_values() {
            if origin == Origin::Default || is_typed(command, matches, &opposite(&option)) {
                continue;
            }
            // `-vv` was typed as often as it counts.
            let is_counted = matches!(argument.get_action(), ArgAction::Count);
            let times = if is_counted { matches.get_count(id) } else { u8::from(matches.get_flag(id)) };
            (0..times).for_each(|_| settings.push(&option, None, origin.clone()));
            continue;
        }
        let delimiter = argument.get_value_delimiter().map(String::from).unwrap_or_default();
        for occurrence in matches.get_raw_occurrences(id).into_iter().flatten() {
            let values: Vec<_> = occurrence.map(|value| value.to_string_lossy()).collect();
            settings.push(&option, Some(values.join(&delimiter)), origin.clone());
        }
    }
    settings
}

/// Whether the option of this name was typed.
pub(super) fn is_typed(command: &Command, matches: &ArgMatches, name: &str) -> bool {
    argument(command, name)
        .is_some_and(|argument| matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine))
}

/// Those of the settings that say what a run does.
pub(crate) fn of_run(command: &Command, matches: &ArgMatches, settings: &Settings) -> Settings {
    let (command, _) = called(command, matches);
    let global: Vec<String> = command.get_arguments().filter(|arg| arg.is_global_set()).filter_map(option).collect();
    settings.filtered(|one| {
        let name = one.name.as_str();
        name != "--yes" && !OUTPUT.contains(&name) && !global.iter().any(|global| global == name)
    })
}

pub(super) fn called<'a>(mut command: &'a Command, mut matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    while let Some((name, below)) = matches.subcommand() {
        let Some(called) = command.find_subcommand(name) else { break };
        (command, matches) = (called, below);
    }
    (command, matches)
}

/// An error about an option's value, which names the file or the variable that sets it.
pub(crate) fn blame(settings: &Settings, option: &str, error: Error) -> Error {
    match settings.origin(option) {
        Some(origin @ Origin::File { .. }) => Error::Setting { at: origin.to_string(), error: error.into() },
        Some(Origin::Variable(name)) => Error::Setting { at: name.clone(), error: error.into() },
        _ => error,
    }
}

/// The values of all arguments except `--log-file`, wherever they come from.
pub(crate) fn values(matches: &ArgMatches) -> Vec<PathBuf> {
    let mut values = Vec::new();
    let mut next = Some(matches);
    while let Some(matches) = next {
        let others = matches.ids().filter(|id| id.as_str() != "log_file");
        let raw = others.filter_map(|id| matches.try_get_raw(id.as_str()).ok().flatten()).flatten();
        values.extend(raw.map(PathBuf::from));
        next = matches.subcommand().map(|(_, below)| below);
    }
    values
}
