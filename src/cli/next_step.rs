//! The one next command that fits, with the options that were typed.
//!
//! Promises: it works as printed, and nothing in it comes from a file, a variable or a default. Of a plan and of a run of
//! an older revision, what was typed when it was made counts as typed.

use std::path::Path;
use std::sync::OnceLock;

use super::arguments::RunArgs;
use super::global::GlobalArgs;
use crate::check::PropertyOverride;
use crate::client::Origin;
use crate::contract::Contract;
use crate::input::Source;
use crate::journal::RunMetadata;
use crate::model::typed::Typed;
use crate::report::next_command::NextCommand;

/// What is set on every row of a fetched file by the command that is suggested for it.
const SET_OF_FETCHED: &str = "status=Resolved";

/// Of no use to the next command: the form of this one's output.
const OUTPUT: &[&str] = &["--dry-run", "--detailed-exitcode", "--report", "--format", "--output"];

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
        typed: &'a Typed,
    },
    /// A plan that was applied.
    Apply {
        /// The plan.
        plan: &'a Path,
        /// All options, as they were typed.
        typed: &'a Typed,
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
        typed: &'a Typed,
    },
}

impl<'a> NextStep<'a> {
    /// The options of this command line, as they were typed.
    #[must_use]
    pub(super) fn typed(self) -> &'a Typed {
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
            NextStep::Run { args, typed } => {
                repeat(command(&["run"]).path(args.input.argument()), &["run"], typed, without)
            }
            NextStep::Apply { plan, typed, .. } => apply_plan(plan, typed),
            NextStep::Resume { run, facts, typed } => resume(run, &typed.or(&kept(facts))),
        }
    }

    /// The command that writes the page of the run of this name.
    #[must_use]
    pub(super) fn to_show(self, run: &str, page: &Path) -> NextCommand {
        let show = command(&["runs", "show"]).word(run).option("--report", page);
        repeat(show, &["runs", "show"], self.typed(), &[])
    }

    /// The command that shows the run of this name.
    #[must_use]
    pub(super) fn to_look_at(self, run: &str) -> NextCommand {
        repeat(command(&["runs", "show"]).word(run), &["runs", "show"], self.typed(), &[])
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
        repeat(command(&["run"]).path(results), &["run"], &typed, &without)
    }

    /// The command that says what is wrong with the rows that are invalid, by the results file.
    #[must_use]
    pub(super) fn for_invalid(&self, results: &Path) -> NextCommand {
        repeat(command(&["check"]).path(results), &["check"], &self.typed_for_rows(false), OF_OTHER_INPUT)
    }

    /// What was typed, with all that the run's rows mean by it.
    fn typed_for_rows(&self, follows: bool) -> Typed {
        let (typed, facts) = match self {
            NextStep::Run { typed, .. } => return (*typed).clone(),
            NextStep::Apply { typed, facts, .. } => ((*typed).clone(), facts),
            NextStep::Resume { typed, facts, .. } => (typed.or(&kept(facts)), facts),
        };
        let mut of_run = Typed::default();
        for option in facts.options.chunks_exact(2) {
            of_run.push(option[0].clone(), Some(option[1].clone()));
        }
        let usual = Contract::from_toml(&facts.contract).map(|contract| contract.origin);
        if usual.is_ok_and(|usual| usual != facts.origin) {
            of_run.push("--base-url", Some(facts.origin.clone()));
        }
        if follows {
            of_run.push("--follow-redirects", None);
        }
        typed.or(&of_run)
    }
}

/// The command that shows what a file would change.
pub(super) fn dry_run(input: &Path, typed: &Typed) -> NextCommand {
    repeat(command(&["run"]).path(input), &["run"], typed, &[]).word("--dry-run")
}

/// The command that shows a plan.
pub(super) fn show_plan(plan: &Path, typed: &Typed) -> NextCommand {
    repeat(command(&["plan"]).path(plan), &["plan"], typed, OF_OTHER_INPUT)
}

/// The command that saves a plan which was only shown: beside its input, or as `stdin.plan`.
pub(super) fn save_plan(input: &Source, typed: &Typed) -> NextCommand {
    let (name, plan) = match input {
        Source::StandardInput => (Path::new("-"), "stdin.plan".into()),
        Source::File(path) => (&**path, path.with_extension("plan")),
    };
    repeat(command(&["plan"]).path(name).option("-o", plan), &["plan"], typed, &[])
}

/// The command that applies a plan.
pub(super) fn apply_plan(plan: &Path, typed: &Typed) -> NextCommand {
    repeat(command(&["apply"]).path(plan), &["apply"], typed, STOP_AFTER)
}

/// The command that goes on with a fetch.
pub(super) fn fetch_again(output: &Path, typed: &Typed) -> NextCommand {
    repeat(command(&["fetch"]).option("-o", output), &["fetch"], typed, &[])
}

/// The command that shows what a fetched file would change: filled in, or as it is, with a property set on every row.
pub(super) fn run_fetched(output: &Path, typed: &Typed, contract: &Contract) -> NextCommand {
    let mut command = command(&["run"]).path(output);
    if PropertyOverride::parse(SET_OF_FETCHED, contract).is_ok() {
        command = command.option("--set", SET_OF_FETCHED);
    }
    repeat(command.word("--dry-run"), &["run"], typed, OF_OTHER_INPUT)
}

/// The command that writes the results of a run.
pub(super) fn results_of(run: &str, typed: &Typed) -> NextCommand {
    repeat(command(&["runs", "results"]).word(run), &["runs", "results"], typed, OF_OTHER_INPUT)
}

/// The command that goes on with a run.
pub(super) fn resume(run: &str, typed: &Typed) -> NextCommand {
    repeat(command(&["runs", "resume"]).word(run), &["runs", "resume"], typed, STOP_AFTER)
}

/// The command that shows a run with all rows that are not done.
pub(super) fn show_all(run: &str, typed: &Typed) -> NextCommand {
    repeat(command(&["runs", "show"]).word(run).word("--all"), &["runs", "show"], typed, &[])
}

/// What was typed when a run began, as far as the next command needs it: an emulator's token needs no `--base-url`.
fn kept(facts: &RunMetadata) -> Typed {
    let is_loopback = facts.origin.parse().is_ok_and(|origin: Origin| origin.is_loopback());
    facts.typed.filtered(|option| option != "--base-url" || !is_loopback)
}

/// This command line, with consent to send to an origin.
pub(super) fn accepting(global: &GlobalArgs, origin: &str) -> NextCommand {
    let words = global.words.get(1..).unwrap_or_default();
    // Behind `--` there are no options.
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let before = words[..end].iter().fold(command(&[]), NextCommand::word);
    words[end..].iter().fold(before.option("--base-url", origin), NextCommand::word)
}

/// The whole command line: which command takes which options.
static COMMAND: OnceLock<clap::Command> = OnceLock::new();

/// Registers the command line, before anything is suggested.
pub(super) fn register(mut command: clap::Command) {
    command.build();
    // A second start in one process has the same.
    let _ = COMMAND.set(command);
}

fn command(names: &[&str]) -> NextCommand {
    names.iter().fold(NextCommand::new("bulk-triage"), NextCommand::word)
}

/// With what was typed, as far as the command of these names takes it.
fn repeat(mut next: NextCommand, names: &[&str], typed: &Typed, without: &[&str]) -> NextCommand {
    let command =
        COMMAND.get().and_then(|all| names.iter().try_fold(all, |command, name| command.find_subcommand(name)));
    let options = command.into_iter().flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long);
    let taken: Vec<String> = options.map(|long| format!("--{long}")).collect();
    let is_wanted = |option: &str| taken.iter().any(|taken| taken == option) && !without.contains(&option);
    for (option, value) in typed.filtered(|option| is_wanted(option) && !OUTPUT.contains(&option)).iter() {
        next = match value {
            Some(value) => next.option(option, value),
            None => next.word(option),
        };
    }
    next
}
