//! Settings: the options of a command line, resolved once, each with the origin of its value.
//!
//! One loop over clap's arguments resolves them all, so a new option needs nothing here. What outranks a built-in default
//! (a variable; later a file) becomes clap's own default, so that clap checks it and `--help` shows it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::model::setting::{Origin, Settings};
use crate::text::printable;

/// Values that outrank the built-in defaults, by option (`--state-dir`), with their origins.
pub(super) type Defaults = BTreeMap<String, (OsString, Origin)>;

/// Of no use to a later command, and without effect on a run: how this command begins and what it prints.
pub(super) const OUTPUT: &[&str] = &["--dry-run", "--detailed-exitcode", "--report", "--format", "--output"];

/// The command line with these defaults.
pub(super) fn with_defaults(command: Command, defaults: &Defaults) -> Command {
    let with_default = |arg: Arg| match option(&arg).and_then(|option| defaults.get(&option)) {
        Some((value, _)) => arg.default_value(value),
        None => arg,
    };
    command.mut_args(with_default).mut_subcommands(|below| with_defaults(below, defaults))
}

/// The same values, safe to print.
pub(super) fn escaped(defaults: Defaults) -> Defaults {
    let escape = |value: OsString| printable(&value.to_string_lossy()).into_owned().into();
    defaults.into_iter().map(|(option, (value, origin))| (option, (escape(value), origin))).collect()
}

/// The settings of the subcommand that was called. `command` has these `defaults`, was built, and has parsed the
/// `matches`.
pub(super) fn resolve(command: &Command, matches: &ArgMatches, defaults: &Defaults) -> Settings {
    let (command, matches) = called(command, matches);
    let mut settings = Settings::default();
    for argument in command.get_arguments() {
        let (id, Some(option)) = (argument.get_id().as_str(), option(argument)) else { continue };
        let origin = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(_) => defaults.get(&option).map_or(Origin::Default, |(_, origin)| origin.clone()),
            None => continue,
        };
        if !argument.get_action().takes_values() {
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

/// Those of the settings that say what a run does.
pub(super) fn of_run(command: &Command, matches: &ArgMatches, settings: &Settings) -> Settings {
    let (command, _) = called(command, matches);
    let global: Vec<String> = command.get_arguments().filter(|arg| arg.is_global_set()).filter_map(option).collect();
    settings.filtered(|one| {
        let name = one.name.as_str();
        name != "--yes" && !OUTPUT.contains(&name) && !global.iter().any(|global| global == name)
    })
}

fn called<'a>(mut command: &'a Command, mut matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    while let Some((name, below)) = matches.subcommand() {
        let Some(called) = command.find_subcommand(name) else { break };
        (command, matches) = (called, below);
    }
    (command, matches)
}

/// An option's long name: `--quota`.
pub(super) fn option(argument: &Arg) -> Option<String> {
    argument.get_long().map(|long| format!("--{long}"))
}

/// The values of all arguments but `--log-file`, whoever gave them.
pub(super) fn values(matches: &ArgMatches) -> Vec<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::CommandFactory as _;
    use clap::builder::PossibleValue;

    const SAMPLES: [&str; 11] = ["trim", "1=2", "1", "1m", "5/1m", "1-2", "updated", "human", "x=1", "429@1", "x"];

    fn parsed(words: &[String], defaults: &Defaults) -> Result<Settings, clap::Error> {
        let mut command = with_defaults(Cli::command(), defaults);
        let matches = command.try_get_matches_from_mut(words)?;
        Ok(resolve(&command, &matches, defaults))
    }

    fn typed_in(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let settings = parsed(&words, &Defaults::new()).expect("a command line").typed();
        settings.iter().flat_map(|one| [Some(one.name.clone()), one.value.clone()]).flatten().collect()
    }

    #[test]
    fn typed_options_are_verbatim() {
        let line =
            "b --state-dir s run a.csv --quota 002/1h --set a=1 --set b=2 --only failed,in-doubt -y --remember 0";
        let words = typed_in(line).join(" ");
        assert_eq!(words, "--set a=1 --set b=2 --only failed,in-doubt --quota 002/1h --remember 0 --yes --state-dir s");
        assert_eq!(typed_in("b runs resume 7f3k --token-file t").join(" "), "--token-file t");
        assert_eq!(typed_in("b run a.csv -vv").join(" "), "--verbose --verbose");
        assert!(typed_in("b run a.csv").is_empty());
        assert!(typed_in("b runs").is_empty());
    }

    /// Every command without commands below it: its words with the arguments that it needs, and its options.
    fn commands(command: &Command, words: &[String]) -> Vec<(Vec<String>, Vec<Arg>)> {
        let below: Vec<_> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
        let lists = below.iter().flat_map(|below| commands(below, &[words, &[below.get_name().to_owned()]].concat()));
        if !below.is_empty() {
            return lists.collect();
        }
        let needed = command.get_arguments().filter(|arg| arg.is_required_set());
        let sample = |arg: &Arg| {
            let value = arg.get_possible_values().first().map_or("x", |first| first.get_name()).to_owned();
            option(arg).into_iter().chain([value]).collect::<Vec<_>>()
        };
        let options = command.get_arguments().filter(|arg| {
            !matches!(
                arg.get_action(),
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
            ) && option(arg).is_some()
        });
        vec![([words, &needed.flat_map(sample).collect::<Vec<_>>()].concat(), options.cloned().collect())]
    }

    /// The settings of an option.
    fn of(settings: &Settings, option: &str) -> Vec<(Option<String>, Origin)> {
        let named = settings.iter().filter(|one| one.name == option);
        named.map(|one| (one.value.clone(), one.origin.clone())).collect()
    }

    #[test]
    fn every_option_has_its_value_and_origin() {
        let mut command = Cli::command();
        command.build();
        let mut checked = 0;
        for (words, arguments) in commands(&command, &["b".to_owned()]) {
            for argument in arguments {
                let (line, name) = (words.join(" "), option(&argument).expect("a long name"));
                let default = argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
                let default: Vec<_> = default.map(|value| (Some(value), Origin::Default)).collect();
                let default = if argument.get_action().takes_values() { default } else { Vec::new() };
                let none = Defaults::new();
                if !argument.is_required_set() {
                    assert_eq!(of(&parsed(&words, &none).expect("valid"), &name), default, "{line}: {name}");
                }

                let variable = Origin::Variable("BULK_TRIAGE_X".to_owned());
                if !argument.get_action().takes_values() {
                    let flag = parsed(&[&words[..], std::slice::from_ref(&name)].concat(), &none).expect("valid");
                    assert_eq!(of(&flag, &name), [(None, Origin::Flag)], "{line}: {name}");
                    checked += 1;
                    continue;
                }
                let possible = argument.get_possible_values();
                let defaults = argument.get_default_values().iter().filter_map(|value| value.to_str());
                let samples = defaults.chain(possible.iter().map(PossibleValue::get_name)).chain(SAMPLES);
                let typed = |sample: &str| parsed(&[&words[..], &[name.clone(), sample.to_owned()]].concat(), &none);
                let valid = samples.filter_map(|sample| Some((sample.to_owned(), typed(sample).ok()?))).next_back();
                let (sample, flag) = valid.unwrap_or_else(|| panic!("{line}: no sample for {name}"));
                assert_eq!(of(&flag, &name).last(), Some(&(Some(sample.clone()), Origin::Flag)), "{line}: {name}");
                if !argument.is_required_set() {
                    let set = Defaults::from([(name.clone(), (sample.clone().into(), variable.clone()))]);
                    let found = parsed(&words, &set).expect("valid");
                    assert_eq!(of(&found, &name), [(Some(sample), variable)], "{line}: {name}");
                    let typed = parsed(&[&words[..], &[name.clone(), "1".to_owned()]].concat(), &set);
                    if let Ok(typed) = typed {
                        assert_eq!(of(&typed, &name), [(Some("1".to_owned()), Origin::Flag)], "{line}: {name}");
                    }
                }
                checked += 1;
            }
        }
        assert!(checked > 150, "{checked} options");
    }
}
