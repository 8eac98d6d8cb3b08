//! The one next command that fits, with the options that were typed.
//!
//! Promises: it works as printed, and nothing in it comes from a file, a variable or a default. Of a plan and of a run of
//! an older revision, what was typed when it was made counts as typed. [`suggest`] builds each of them.

use std::path::Path;

use super::arguments::RunArgs;
use super::global::GlobalArgs;
use super::known_options::{takes, with_short_paths};
use super::settings::OUTPUT;
use crate::check::PropertyOverride;
use crate::client::Origin;
use crate::contract::Contract;
use crate::input::Source;
use crate::journal::RunMetadata;
use crate::model::setting::{Origin as ValueOrigin, Settings};
use crate::report::next_command::NextCommand;

/// What is set on every row of a fetched file by the command that is suggested for it.
const SET_OF_FETCHED: &str = "status=Resolved";

/// What would stop the next start too.
const STOP_AFTER: &[&str] = &["--stop-after"];

/// What says which rows of another input are taken, and where its results go.
const OF_OTHER_INPUT: &[&str] = &["--limit", "--only", "--results"];

/// What has just ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum NextStep<'a> {
    /// A run, or its dry run.
    Run {
        /// Its arguments.
        args: &'a RunArgs,
        /// All options, as they were typed.
        typed: &'a Settings,
    },
    /// A plan that was applied.
    Apply {
        /// The plan.
        plan: &'a Path,
        /// All options, as they were typed.
        typed: &'a Settings,
        /// What its run keeps of its beginning.
        facts: &'a RunMetadata,
    },
    /// A run that went on by its name.
    Resume {
        /// Its name.
        run: &'a str,
        /// What it keeps of its beginning.
        facts: &'a RunMetadata,
        /// The options of this command line, as they were typed: they win over those of the run's.
        typed: &'a Settings,
    },
}

impl<'a> NextStep<'a> {
    /// The options of this command line, as they were typed.
    #[must_use]
    pub(super) fn typed(self) -> &'a Settings {
        let (NextStep::Run { typed, .. } | NextStep::Apply { typed, .. } | NextStep::Resume { typed, .. }) = self;
        typed
    }

    /// The command that sends what a dry run has shown.
    #[must_use]
    pub(super) fn after_dry_run(&self) -> NextCommand {
        self.again(&[])
    }

    /// The command that finishes the run of this name.
    #[must_use]
    pub(super) fn to_finish(self, run: &str, results: &Path) -> NextCommand {
        match self {
            // Standard input can't be given again: the rows are in the journal, or if that is gone in the results.
            NextStep::Run { args, .. } if args.input == Source::StandardInput && args.emulator => {
                self.for_failures(results, false)
            }
            NextStep::Run { args, typed } if args.input == Source::StandardInput => resume(run, typed),
            _ => self.again(STOP_AFTER),
        }
    }

    fn again(&self, without: &[&str]) -> NextCommand {
        match self {
            NextStep::Run { args, typed } => suggest("run", |run| run.path(args.input.argument()), typed, without),
            NextStep::Apply { plan, typed, .. } => apply_plan(plan, typed),
            NextStep::Resume { run, facts, typed } => resume(run, &typed.or(&kept(facts))),
        }
    }

    /// The command that writes the page of the run of this name.
    #[must_use]
    pub(super) fn to_show(self, run: &str, page: &Path) -> NextCommand {
        let format = self.typed().value("--report-format");
        let own = |show: NextCommand| {
            format
                .into_iter()
                .fold(show.word(run).option("--report", page), |show, format| show.option("--report-format", format))
        };
        suggest("runs show", own, self.typed(), &[])
    }

    /// The command that shows the run of this name.
    #[must_use]
    pub(super) fn to_look_at(self, run: &str) -> NextCommand {
        suggest("runs show", |show| show.word(run), self.typed(), &[])
    }

    /// The command that writes the results of the run of this name.
    #[must_use]
    pub(super) fn to_write_results(self, run: &str) -> NextCommand {
        results_of(run, self.typed())
    }

    /// The command that retries what failed, from the results file. `follows`: merged incidents were followed.
    #[must_use]
    pub(super) fn for_failures(&self, results: &Path, follows: bool) -> NextCommand {
        let typed = self.typed_for_rows(follows);
        let without = [STOP_AFTER, OF_OTHER_INPUT].concat();
        suggest("run", |run| run.path(results), &typed, &without)
    }

    /// The command that says what is wrong with the rows that are invalid, by the results file.
    #[must_use]
    pub(super) fn for_invalid(&self, results: &Path) -> NextCommand {
        suggest("check", |check| check.path(results), &self.typed_for_rows(false), OF_OTHER_INPUT)
    }

    /// What was typed, with all that the run's rows mean by it.
    fn typed_for_rows(&self, follows: bool) -> Settings {
        let (typed, facts) = match self {
            NextStep::Run { typed, .. } => return (*typed).clone(),
            NextStep::Apply { typed, facts, .. } => ((*typed).clone(), facts),
            NextStep::Resume { typed, facts, .. } => (typed.or(&kept(facts)), facts),
        };
        let mut of_run = with_short_paths(&facts.row_options());
        let usual = Contract::from_toml(&facts.contract).map(|contract| contract.origin);
        let settings = facts.settings();
        let is_of_settings = ["--base-url", "--cloud", "--region"]
            .iter()
            .any(|option| matches!(settings.origin(option), Some(ValueOrigin::File { .. } | ValueOrigin::Variable(_))));
        if usual.is_ok_and(|usual| usual != facts.origin) && !is_of_settings {
            of_run.push("--base-url", Some(facts.origin.clone()), ValueOrigin::Flag);
        }
        if follows {
            of_run.push("--follow-redirects", None, ValueOrigin::Flag);
        }
        typed.or(&of_run)
    }
}

/// The command that shows what a file would change.
pub(super) fn dry_run(input: &Path, typed: &Settings) -> NextCommand {
    suggest("run", |run| run.path(input), typed, &[]).word("--dry-run")
}

/// The command that shows a plan.
pub(super) fn show_plan(plan: &Path, typed: &Settings) -> NextCommand {
    suggest("plan", |show| show.path(plan), typed, OF_OTHER_INPUT)
}

/// The command that saves a plan which was only shown: beside its input, or as `stdin.plan`.
pub(super) fn save_plan(input: &Source, typed: &Settings) -> NextCommand {
    let (name, plan) = match input {
        Source::StandardInput => (Path::new("-"), "stdin.plan".into()),
        Source::File(path) => (&**path, path.with_extension("plan")),
    };
    suggest("plan", |save| save.path(name).option("-o", plan), typed, &[])
}

/// The command that applies a plan.
pub(super) fn apply_plan(plan: &Path, typed: &Settings) -> NextCommand {
    suggest("apply", |apply| apply.path(plan), typed, STOP_AFTER)
}

/// The command that goes on with a fetch.
pub(super) fn fetch_again(output: &Path, typed: &Settings) -> NextCommand {
    suggest("fetch", |fetch| fetch.option("-o", output), typed, &[])
}

/// The command that shows what a fetched file would change: filled in, or as it is, with a property set on every row.
pub(super) fn run_fetched(output: &Path, typed: &Settings, contract: &Contract) -> NextCommand {
    let set = PropertyOverride::parse(SET_OF_FETCHED, contract).map(|_| SET_OF_FETCHED);
    let own = |run: NextCommand| set.into_iter().fold(run.path(output), |run, set| run.option("--set", set));
    suggest("run", |run| own(run).word("--dry-run"), typed, OF_OTHER_INPUT)
}

/// The command that writes the results of a run.
pub(super) fn results_of(run: &str, typed: &Settings) -> NextCommand {
    suggest("runs results", |results| results.word(run), typed, OF_OTHER_INPUT)
}

/// The command that goes on with a run.
pub(super) fn resume(run: &str, typed: &Settings) -> NextCommand {
    suggest("runs resume", |resume| resume.word(run), typed, STOP_AFTER)
}

/// The command that shows a run with all rows that are not done.
pub(super) fn show_all(run: &str, typed: &Settings) -> NextCommand {
    suggest("runs show", |show| show.word(run).word("--all"), typed, &[])
}

/// The command that lists the runs.
pub(super) fn list(typed: &Settings) -> NextCommand {
    suggest("runs list", |list| list, typed, &[])
}

/// What was typed when a run began, as far as the next command needs it: an emulator's token needs no `--base-url`.
fn kept(facts: &RunMetadata) -> Settings {
    let is_loopback = facts.origin.parse().is_ok_and(|origin: Origin| origin.is_loopback());
    with_short_paths(&facts.typed).filtered(|option| option.name != "--base-url" || !is_loopback)
}

/// This command line, with consent to send to an origin.
pub(super) fn accepting(global: &GlobalArgs, origin: &str) -> NextCommand {
    let words = global.words.get(1..).unwrap_or_default();
    // Behind `--` there are no options.
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let before = words[..end].iter().fold(NextCommand::new(PROGRAM), NextCommand::word);
    words[end..].iter().fold(before.option("--base-url", origin), NextCommand::word)
}

/// The name that a person types.
const PROGRAM: &str = "bulk-triage";

/// A subcommand with what is its own here, and with what was typed, as far as it takes that.
fn suggest(
    subcommand: &str,
    own: impl FnOnce(NextCommand) -> NextCommand,
    typed: &Settings,
    without: &[&str],
) -> NextCommand {
    let next = own(subcommand.split(' ').fold(NextCommand::new(PROGRAM), NextCommand::word));
    let is_wanted = |name: &str| !without.contains(&name) && !OUTPUT.contains(&name) && takes(subcommand, name);
    typed.iter().filter(|option| is_wanted(&option.name)).fold(next, |next, option| match &option.value {
        Some(value) => next.option(&option.name, value),
        None => next.word(&option.name),
    })
}
