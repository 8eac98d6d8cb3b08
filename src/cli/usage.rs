//! What the parser of the command line says: help, the version, or what is wrong.
//!
//! Promises: nothing that was typed or that a variable holds reaches the terminal as it is. The parser says it again of
//! arguments and variables that were escaped before it saw them: what it prints may then be painted, and a line end of
//! an argument begins no line.

use std::ffi::OsString;

use clap::Arg;
use clap::builder::{OsStr, Resettable};

use super::{environment, terminal};
use crate::text::printable;

/// Says on its stream what `error` is about: `command` has failed to parse `arguments`.
pub(super) fn tell(error: &clap::Error, command: clap::Command, arguments: &[OsString]) {
    let escaped = arguments.iter().map(|argument| printable(&argument.to_string_lossy()).into_owned());
    let again = with_escaped_variables(command).try_get_matches_from(escaped);
    // Where it can't be written there is nobody to tell.
    match again {
        Err(again) if again.kind() == error.kind() => drop(again.print()),
        // An argument that is right where it is escaped: one that is not UTF-8.
        _ => error.render().to_string().lines().for_each(terminal::say),
    }
}

/// The command and those below it, in which a variable with hidden characters has given way to what is shown of it.
fn with_escaped_variables(command: clap::Command) -> clap::Command {
    let below: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = command.mut_args(with_escaped_variable);
    below.into_iter().fold(command, |command, name| command.mut_subcommand(name, with_escaped_variables))
}

fn with_escaped_variable(argument: Arg) -> Arg {
    let Some(name) = argument.get_env().map(|name| name.to_string_lossy().into_owned()) else { return argument };
    let value = environment::lossy(&name);
    let shown = printable(&value);
    if shown == value {
        return argument;
    }
    // As a default value it stands in what is said of a wrong value, and in the help as that of a variable.
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let value = if argument.is_hide_env_values_set() { String::new() } else { format!("={shown}") };
    let help = format!("{help} [env: {name}{value}]");
    argument.env(Resettable::<OsStr>::Reset).help(help).default_value(shown.into_owned()).hide_default_value(true)
}
