//! The one next command that fits, with every option that changes what is sent.

use std::path::Path;

use super::apply::ApplyArgs;
use super::arguments::{CallArgs, RunArgs};
use super::fetch::FetchArgs;
use super::{GlobalArgs, RowArgs};
use crate::check::SetProperty;
use crate::contract::{BUILT_IN, Contract};
use crate::journal::RunFacts;
use crate::report::next_command::NextCommand;

const PROGRAM: &str = "bulk-triage";

/// What is set on every row of a fetched file by the command that is suggested for it.
const SET_OF_FETCHED: &str = "status=Resolved";

/// What has just ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next<'a> {
    /// A run, or its dry run.
    Run {
        /// Its arguments.
        args: &'a RunArgs,
        /// And those of every command.
        global: &'a GlobalArgs,
    },
    /// A plan that was applied.
    Apply {
        /// Its arguments.
        args: &'a ApplyArgs,
        /// And those of every command.
        global: &'a GlobalArgs,
        /// What its run keeps of its beginning.
        facts: &'a RunFacts,
    },
    /// A run that went on by its name.
    Resume {
        /// Its name.
        run: &'a str,
        /// What it keeps of its beginning.
        facts: &'a RunFacts,
        /// The arguments of every command.
        global: &'a GlobalArgs,
    },
}

impl Next<'_> {
    /// The command that goes on with the run of this name (a dry run has none).
    #[must_use]
    pub(super) fn command(&self, name: Option<&str>) -> NextCommand {
        match (self, name) {
            // Standard input can't be given again: the rows are in the journal.
            (Next::Run { args, global }, Some(run)) if args.input == Path::new("-") => resume(run, global),
            (Next::Run { args, global }, _) => run_again(args, global, &args.input, &args.rows),
            (Next::Apply { args, global, .. }, _) => {
                apply_plan(&args.plan, &args.send.calls, args.scope.as_deref(), global)
            }
            (Next::Resume { run, global, .. }, _) => resume(run, global),
        }
    }

    /// The command that tries again what failed, by the results file. `follows`: merged incidents were followed.
    #[must_use]
    pub(super) fn command_for_failures(&self, results: &Path, follows: bool) -> NextCommand {
        let again = || {
            let command = NextCommand::new(PROGRAM).word("run").path(results);
            if follows { command.word("--follow-redirects") } else { command }
        };
        match self {
            Next::Run { args, global } => {
                let rows = RowArgs { limit: None, only: Vec::new(), ..args.rows.clone() };
                run_again(args, global, results, &rows)
            }
            Next::Apply { global, facts, args } => {
                let command = with_state_dir(with_facts(again(), facts), global);
                args.scope.iter().fold(command, |command, scope| command.option("--scope", scope))
            }
            Next::Resume { global, facts, .. } => with_state_dir(with_facts(again(), facts), global),
        }
    }
}

fn run_again(args: &RunArgs, global: &GlobalArgs, input: &Path, rows: &RowArgs) -> NextCommand {
    let mut command = rows.repeat(NextCommand::new(PROGRAM).word("run").path(input));
    if args.skip_invalid {
        command = command.word("--skip-invalid");
    }
    for (is_typed, word) in [(args.look.compare, "--compare"), (args.look.follow_redirects, "--follow-redirects")] {
        if is_typed {
            command = command.word(word);
        }
    }
    if args.emulator {
        command = command.word("--emulator");
    }
    let send = &args.send;
    let duration = crate::window::duration_text;
    let options = [
        ("--base-url", args.base_url.clone()),
        ("--scope", args.scope.clone()),
        ("--quota", send.calls.quota.as_ref().map(ToString::to_string)),
        ("--remember", send.remember.map(duration)),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            command = command.option(name, value);
        }
    }
    if let Some(path) = &send.calls.token_file {
        command = command.option("--token-file", path);
    }
    with_state_dir(command, global)
}

/// The command that shows a plan.
pub(super) fn show_plan(plan: &Path, global: &GlobalArgs) -> NextCommand {
    with_state_dir(NextCommand::new(PROGRAM).word("plan").path(plan), global)
}

/// The command that applies a plan.
pub(super) fn apply_plan(plan: &Path, calls: &CallArgs, scope: Option<&str>, global: &GlobalArgs) -> NextCommand {
    let mut command = NextCommand::new(PROGRAM).word("apply").path(plan);
    if let Some(scope) = scope {
        command = command.option("--scope", scope);
    }
    if let Some(quota) = &calls.quota {
        command = command.option("--quota", quota.to_string());
    }
    if let Some(path) = &calls.token_file {
        command = command.option("--token-file", path);
    }
    with_state_dir(command, global)
}

/// The command that goes on with a fetch.
pub(super) fn fetch_again(args: &FetchArgs, global: &GlobalArgs) -> NextCommand {
    let command = NextCommand::new(PROGRAM).word("fetch").option("-o", &args.output);
    let command = args.which.typed().into_iter().fold(command, |command, (name, value)| command.option(name, value));
    let limit = args.limit.map(|limit| limit.to_string());
    let command = limit.iter().fold(command, |command, limit| command.option("--limit", limit));
    as_fetched(command, args, global)
}

/// The command that shows what a fetched file would change: filled in, or as it is, with a property set on every row.
pub(super) fn run_fetched(args: &FetchArgs, global: &GlobalArgs, contract: &Contract) -> NextCommand {
    let mut command = NextCommand::new(PROGRAM).word("run").path(&args.output);
    if SetProperty::parse(SET_OF_FETCHED, contract).is_ok() {
        command = command.option("--set", SET_OF_FETCHED);
    }
    as_fetched(command.word("--dry-run"), args, global)
}

/// With what says whose incidents they are, and under which rules.
fn as_fetched(mut command: NextCommand, args: &FetchArgs, global: &GlobalArgs) -> NextCommand {
    let contract = Some(args.contract.clone()).filter(|contract| contract != BUILT_IN[0]);
    let options = [
        ("--contract", contract),
        ("--base-url", args.base_url.clone()),
        ("--scope", args.scope.clone()),
        ("--quota", args.calls.quota.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            command = command.option(name, value);
        }
    }
    if let Some(path) = &args.calls.token_file {
        command = command.option("--token-file", path);
    }
    with_state_dir(command, global)
}

/// What a run was told beside its rows, but for which of them were taken.
fn with_facts(command: NextCommand, facts: &RunFacts) -> NextCommand {
    let usual = Contract::from_toml(&facts.contract).map(|contract| contract.origin);
    let elsewhere = usual.is_ok_and(|usual| usual != facts.origin);
    let command = if elsewhere { command.option("--base-url", &facts.origin) } else { command };
    let options = facts.options.chunks_exact(2).filter(|option| !["--limit", "--only"].contains(&&*option[0]));
    options.fold(command, |command, option| match &*option[0] {
        "--set" => command.option("--set", &option[1]),
        "--contract" => command.option("--contract", &option[1]),
        _ => command,
    })
}

fn resume(run: &str, global: &GlobalArgs) -> NextCommand {
    with_state_dir(NextCommand::new(PROGRAM).word("runs").word("resume").word(run), global)
}

fn with_state_dir(command: NextCommand, global: &GlobalArgs) -> NextCommand {
    match &global.state_dir {
        Some(dir) => command.option("--state-dir", dir),
        None => command,
    }
}
