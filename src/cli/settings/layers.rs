//! Which option can be set where, besides the command line.
//!
//! Promises: a project file may say what rows mean, never where they go. A test demands that every option of the command
//! line is in exactly one of these lists, and that each name in them is an option.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::model::setting::Origin;

/// Values that outrank the built-in defaults, by option (`--state-dir`), with their origins.
pub(crate) type Defaults = Layer;

/// What one layer sets, by option (`--quota`).
pub(crate) type Layer = BTreeMap<String, (OsString, Origin)>;

/// The options that say which settings are read, and have a variable.
pub(super) const PROFILE: &str = "--profile";
pub(super) const CONFIG: &str = "--config";

/// Options that any file may set.
pub(super) const ANY_FILE: [&str; 15] = [
    "quota",
    "concurrency",
    "patience",
    "max-attempts",
    "max-failures",
    "remember",
    "stop-after",
    "compare",
    "follow-redirects",
    "allow-differs",
    "contract",
    "color",
    "log-format",
    "progress",
    "report-format",
];

/// Options that a system or user file may set, and no project file; with what a cloned folder must not do.
pub(super) const OWN_FILES: [(&str, &str); 18] = [
    ("base-url", SEND),
    ("cloud", SEND),
    ("region", SEND),
    ("auth", SEND),
    ("tenant", SEND),
    ("client-id", SEND),
    ("token-file", SEND),
    ("token-command", RUN),
    ("client-secret-file", SEND),
    ("client-certificate", SEND),
    ("token-file-mode", SEND),
    ("settle", REPEAT),
    ("state-dir", WRITE),
    ("log-file", WRITE),
    ("metrics-file", WRITE),
    ("results-dir", WRITE),
    ("results-keep", DELETE),
    ("report", WRITE),
];

/// Options that only the command line sets, because what a run sends must be visible in the command; and those that say
/// which settings are read.
const COMMAND_LINE: [&str; 31] = [
    "yes",
    "set",
    "comment-as",
    "limit",
    "only",
    "skip-invalid",
    "dry-run",
    "results",
    "output",
    "emulator",
    "format",
    "detailed-exitcode",
    "filter",
    "status",
    "created-since",
    "updated-since",
    "assigned-to",
    "tag",
    "severity",
    "title-contains",
    "unassigned",
    "all",
    "ids",
    "list",
    "older-than",
    "incident",
    "comment",
    "verbose",
    "quiet",
    "profile",
    "config",
];

pub(super) const SEND: &str = "send your token elsewhere";
const RUN: &str = "run a command, or send your token elsewhere";
const REPEAT: &str = "make comments repeat";
const DELETE: &str = "decide which files are deleted";
const WRITE: &str = "decide where files are written";

/// Of the options above, those that name a file or a directory. In a settings file, a path is relative to that file.
const PATHS: [&str; 8] = [
    "token-file",
    "client-secret-file",
    "client-certificate",
    "state-dir",
    "log-file",
    "metrics-file",
    "results-dir",
    "report",
];

/// Where an option can be set, besides the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In any file, and by its variable.
    AnyFile,
    /// In a system or user file, and by its variable. What a project file must not do.
    OwnFiles(&'static str),
}

/// Where the option of this name, `quota`, can be set; `None` if only on the command line.
pub(super) fn place(name: &str) -> Option<Place> {
    if ANY_FILE.contains(&name) {
        return Some(Place::AnyFile);
    }
    OWN_FILES.iter().find(|(own, _)| *own == name).map(|(_, harm)| Place::OwnFiles(harm))
}

/// The names of all options that a file can set.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ANY_FILE.into_iter().chain(OWN_FILES.iter().map(|(name, _)| *name))
}

/// Whether the option is for the command line only.
pub(super) fn is_of_command_line(name: &str) -> bool {
    COMMAND_LINE.contains(&name) || name == "no-config"
}

/// Whether the value of the option is a path.
pub(super) fn is_path(name: &str) -> bool {
    PATHS.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::super::super::Cli;
    use super::*;

    /// The long names of a command's options and of those below it, but for the emulator's, which take no settings.
    fn options(command: &clap::Command, found: &mut BTreeSet<String>) {
        if command.get_name() == "emulator" {
            return;
        }
        found.extend(command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned));
        command.get_subcommands().for_each(|below| options(below, found));
    }

    #[test]
    fn every_option_is_in_exactly_one_list() {
        let mut all = BTreeSet::new();
        options(&Cli::command(), &mut all);
        // `--no-config` has no positive form.
        let is_negation = |name: &str| name.strip_prefix("no-").is_some_and(|positive| all.contains(positive));
        let all: BTreeSet<&str> = all.iter().map(String::as_str).filter(|name| !is_negation(name)).collect();
        let classified: Vec<&str> = names().chain(COMMAND_LINE).collect();
        let unique: BTreeSet<&str> = classified.iter().copied().collect();
        assert_eq!(unique.len(), classified.len(), "a name is in two lists");
        assert_eq!(unique, all);
        let is_path_to_clap = |name: &&str| {
            let hint = super::super::rows::find(&Cli::command(), name).map(clap::Arg::get_value_hint);
            hint == Some(clap::ValueHint::AnyPath)
        };
        let paths: BTreeSet<&str> = names().filter(is_path_to_clap).collect();
        assert_eq!(paths, BTreeSet::from(PATHS));
    }

    #[test]
    fn every_boolean_setting_has_a_negation() {
        fn check(command: &clap::Command, checked: &mut usize) {
            let longs: Vec<&str> = command.get_arguments().filter_map(|arg| arg.get_long()).collect();
            for arg in command.get_arguments().filter(|arg| matches!(arg.get_action(), clap::ArgAction::SetTrue)) {
                let name = arg.get_long().expect("a long name");
                if place(name).is_some() {
                    assert!(longs.contains(&&*format!("no-{name}")), "--{name} of {}", command.get_name());
                    *checked += 1;
                }
            }
            command.get_subcommands().for_each(|below| check(below, checked));
        }
        let mut checked = 0;
        check(&Cli::command(), &mut checked);
        assert!(checked >= 8, "{checked}");
    }
}
