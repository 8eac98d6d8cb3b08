//! What outranks a built-in default becomes clap's own default, so that clap checks it and `--help` shows it.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::layers::{CONFIG, Defaults, PROFILE, place};
use super::variables::variable_of;
use crate::model::setting::Origin;
use crate::text::printable;

/// The command line with these defaults, and with the names of variables in its help.
pub(crate) fn with_defaults(command: Command, defaults: &Defaults) -> Command {
    let owner = command.get_name().to_owned();
    let with_default = |arg: Arg| match option(&arg) {
        Some(option) => with_default(arg, &owner, &option, defaults),
        None => arg,
    };
    command.mut_args(with_default).mut_subcommands(|below| with_defaults(below, defaults))
}

fn with_default(arg: Arg, owner: &str, option: &str, defaults: &Defaults) -> Arg {
    let is_settable = is_settable(owner, &arg);
    let default = default_of(owner, &arg, defaults);
    if !is_settable && default.is_none() {
        return arg;
    }
    // Without `ansi`, each text would be searched for styles to strip, at every start.
    let help = arg.get_help().map(|help| help.ansi().to_string()).unwrap_or_default();
    // clap shows the value that is in force instead.
    let mut help =
        if default.is_some() { help.split(" [default: ").next().unwrap_or_default().to_owned() } else { help };
    if is_settable {
        help = format!("{help} [env: {}]", variable_of(option.trim_start_matches('-')));
    }
    match default {
        Some((value, _)) => arg.help(help).default_value(value),
        None => arg.help(help),
    }
}

/// Whether files or variables can set the option for the command that owns it. The emulator plays another party, so its
/// own options take no settings; a plan has its contract.
pub(super) fn is_settable(owner: &str, arg: &Arg) -> bool {
    let name = arg.get_long().unwrap_or_default();
    let is_exempt = (owner == "emulator" && !arg.is_global_set()) || (owner == "apply" && name == "contract");
    place(name).is_some() && !is_exempt
}

/// What files or variables set for an option of a command.
pub(super) fn default_of<'d>(owner: &str, arg: &Arg, defaults: &'d Defaults) -> Option<&'d (OsString, Origin)> {
    let option = option(arg)?;
    let counts = is_settable(owner, arg) || [PROFILE, CONFIG].contains(&option.as_str());
    defaults.get(&option).filter(|_| counts)
}

/// The same values, safe to print.
pub(crate) fn escaped(defaults: Defaults) -> Defaults {
    let escape = |value: OsString| printable(&value.to_string_lossy()).into_owned().into();
    defaults.into_iter().map(|(option, (value, origin))| (option, (escape(value), origin))).collect()
}

/// The argument of a command that is this option: `--quota`.
pub(crate) fn argument<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|argument| option(argument).is_some_and(|option| option == name))
}

/// An option's long name: `--quota`.
pub(super) fn option(argument: &Arg) -> Option<String> {
    argument.get_long().map(|long| format!("--{long}"))
}
