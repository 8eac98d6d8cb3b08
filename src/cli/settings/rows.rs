//! Every option with its value and origin, as `bulk-triage config` shows them.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::defaults::{default_of, option};
use super::layers::{CONFIG, Defaults, names};
use super::resolved::{called, is_typed};
use crate::model::setting::{Origin, Settings, opposite};

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its name, as in a file: `quota`.
    pub(crate) name: String,
    /// Its value, if it has one.
    pub(crate) value: Option<String>,
    /// Where that comes from.
    pub(crate) origin: Origin,
}

/// The command that was called, such as `runs resume`, and each of its options: one that was repeated has a row for each time.
/// `command` has these `defaults`, was built, and has parsed the `matches`.
pub(crate) fn rows(command: &Command, matches: &ArgMatches, defaults: &Defaults) -> (String, Vec<Row>) {
    let (called, matches) = called(command, matches);
    // clap builds it with the names of the commands above it.
    let words = called.get_bin_name().unwrap_or_default().split_once(' ').map_or("", |(_, words)| words);
    let mut rows = Vec::new();
    for arg in called.get_arguments() {
        let (id, Some(option)) = (arg.get_id().as_str(), option(arg)) else { continue };
        if !is_shown(called, arg) {
            continue;
        }
        let origin = match matches.value_source(id) {
            _ if is_typed(called, matches, &opposite(&option)) => Origin::Flag,
            Some(ValueSource::CommandLine) => Origin::Flag,
            _ => default_of(called.get_name(), arg, defaults).map_or(Origin::Default, |(_, origin)| origin.clone()),
        };
        let values: Vec<Option<String>> = match arg.get_action() {
            ArgAction::Count => vec![Some(matches.get_count(id).to_string())],
            action if !action.takes_values() => {
                let is_set = matches.get_flag(id) && !is_typed(called, matches, &opposite(&option));
                vec![Some(is_set.to_string())]
            }
            _ => {
                let raw = matches.get_raw_occurrences(id).into_iter().flatten();
                raw.map(|values| {
                    let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
                    Some(values.join(","))
                })
                .collect()
            }
        };
        let values = if values.is_empty() { vec![None] } else { values };
        let name = option.trim_start_matches('-').to_owned();
        rows.extend(values.into_iter().map(|value| Row { name: name.clone(), value, origin: origin.clone() }));
    }
    (words.to_owned(), rows)
}

/// Whether an option has a row: help does nothing else, and a negation belongs to the row of its option.
fn is_shown(command: &Command, arg: &Arg) -> bool {
    let is_help =
        matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version);
    let is_negation = || {
        let positive = arg.get_long().and_then(|long| long.strip_prefix("no-"));
        let is_positive = |other: &Arg| other.get_long() == positive && !other.get_action().takes_values();
        positive.is_some() && command.get_arguments().any(is_positive)
    };
    !is_help && !is_negation()
}

/// Every setting that a file can set, and what says which files are read.
pub(crate) fn all_rows(command: &Command, typed: &Settings, defaults: &Defaults) -> Vec<Row> {
    let row = |name: &str| {
        let option = format!("--{name}");
        let built_in = || find(command, name).and_then(built_in_value);
        let is_undone = option != CONFIG && typed.has(&opposite(&option));
        let (value, origin) = if is_undone {
            (Some("false".to_owned()), Origin::Flag)
        } else if typed.has(&option) {
            (Some(typed.value(&option).unwrap_or("true").to_owned()), Origin::Flag)
        } else if let Some((value, origin)) = defaults.get(&option) {
            (Some(value.to_string_lossy().into_owned()), origin.clone())
        } else {
            (built_in(), Origin::Default)
        };
        Row { name: name.to_owned(), value, origin }
    };
    ["profile", "config"].into_iter().chain(names()).map(row).collect()
}

/// The value without any setting.
fn built_in_value(arg: &Arg) -> Option<String> {
    let value = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    value.or_else(|| (!arg.get_action().takes_values()).then(|| "false".to_owned()))
}

/// The option of this name, of the first command that takes it from settings.
pub(super) fn find<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    if command.get_name() == "emulator" {
        return None;
    }
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(name));
    own.or_else(|| command.get_subcommands().find_map(|below| find(below, name)))
}

/// The words of every command that takes settings.
pub(crate) fn commands(command: &Command) -> Vec<Vec<OsString>> {
    let below = command.get_subcommands().filter(|below| !["help", "emulator", "config"].contains(&below.get_name()));
    let words = |below: &Command| {
        let name = OsString::from(below.get_name());
        let deeper = commands(below).into_iter().map(move |words| [vec![name.clone()], words].concat());
        let own = vec![OsString::from(below.get_name())];
        [vec![own], deeper.collect::<Vec<_>>()].concat()
    };
    below.flat_map(words).collect()
}
