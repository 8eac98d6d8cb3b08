//! What was typed: the options of a command line, without those that a variable or a default gave.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches};

use crate::model::typed::Typed;

/// The options of the subcommand that was called. `command` was built and has parsed the `matches`.
pub(super) fn typed(mut command: &clap::Command, mut matches: &ArgMatches) -> Typed {
    while let Some((name, below)) = matches.subcommand() {
        let Some(called) = command.find_subcommand(name) else { break };
        (command, matches) = (called, below);
    }
    let mut typed = Typed::default();
    for argument in command.get_arguments() {
        let (id, Some(long)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        if !argument.get_action().takes_values() {
            // `-vv` was typed as often as it counts.
            let times = if matches!(argument.get_action(), ArgAction::Count) { matches.get_count(id) } else { 1 };
            (0..times).for_each(|_| typed.push(format!("--{long}"), None));
            continue;
        }
        let delimiter = argument.get_value_delimiter().map(String::from).unwrap_or_default();
        for occurrence in matches.get_raw_occurrences(id).into_iter().flatten() {
            let values: Vec<_> = occurrence.map(|value| value.to_string_lossy()).collect();
            typed.push(format!("--{long}"), Some(values.join(&delimiter)));
        }
    }
    typed
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

    fn typed_in(line: &str) -> Vec<String> {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(line.split(' ')).expect("a command line");
        let words = |(name, value): (&str, Option<&str>)| [Some(name.to_owned()), value.map(str::to_owned)];
        typed(&command, &matches).iter().flat_map(words).flatten().collect()
    }

    #[test]
    fn options_are_kept_verbatim() {
        let line =
            "b --state-dir s run a.csv --quota 002/1h --set a=1 --set b=2 --only failed,in-doubt -y --remember 0";
        let words = typed_in(line).join(" ");
        assert_eq!(words, "--set a=1 --set b=2 --only failed,in-doubt --quota 002/1h --remember 0 --yes --state-dir s");
        assert_eq!(typed_in("b runs resume 7f3k --token-file t").join(" "), "--token-file t");
        assert_eq!(typed_in("b run a.csv -vv").join(" "), "--verbose --verbose");
        assert!(typed_in("b run a.csv").is_empty());
        assert!(typed_in("b runs").is_empty());
    }
}
