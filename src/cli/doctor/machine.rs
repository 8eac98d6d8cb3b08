//! What `doctor` checks on this machine: the settings and the state directory.

use std::path::Path;

use tokio::runtime::Runtime;

use super::inputs::{Inputs, SETTINGS, STATE_DIRECTORY, failure};
use crate::cli::environment::state_dir;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::cli::origin_sources::OriginSources;
use crate::cli::patience::open_journal_briefly;
use crate::cli::settings::{Loaded, load_contract};
use crate::cli::target::Target;
use crate::clock::Clock;
use crate::journal::{Journal, JournalError, StoreFacts, holder};
use crate::report::doctor::Check;
use crate::report::humanize::bytes;

/// With less free space, the journal of a large run may not fit.
const LITTLE_SPACE: u64 = 64 << 20;

/// Checks the files, the contract, the origin and the quota.
pub(super) fn settings(inputs: Inputs<'_>, loaded: &Loaded, runtime: &Runtime) -> (Check, Option<Target>) {
    let target = match target(inputs, runtime) {
        Ok(target) => target,
        Err(error) => return (failure(SETTINGS, &error), None),
    };
    let files: Vec<_> = loaded.files.iter().map(|path| path.to_string_lossy()).collect();
    let files = if files.is_empty() { "no settings files".to_owned() } else { files.join(", ") };
    let profile = inputs.global.profile.as_ref().map(|name| format!("profile {name}"));
    let contract = format!("contract {}", target.contract.name);
    let origin = format!("target {}", target.origin());
    let quota = format!("quota {}", target.quota);
    let parts = [Some(files), profile, Some(contract), Some(origin), Some(quota)];
    let finding = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let unknown = &loaded.unknown_variables;
    let check = if unknown.is_empty() {
        Check::ok(SETTINGS, finding)
    } else {
        let finding = format!("{finding}; {}", unknown.join("; "));
        Check::warn(SETTINGS, finding, "correct or unset the variable; `bulk-triage config` shows what is set")
    };
    (check, Some(target))
}

/// Where the API is. The emulator is started; of others no token is requested yet.
fn target(
    inputs: Inputs<'_>,
    #[cfg_attr(not(feature = "emulator"), expect(unused_variables, reason = "only the emulator needs it"))]
    runtime: &Runtime,
) -> Result<Target, Error> {
    let Inputs { args, global, env, .. } = inputs;
    let contract = load_contract(&args.contract, &global.settings, global.is_project_contract)?;
    #[cfg(feature = "emulator")]
    if args.emulator {
        return runtime.block_on(Target::emulated(contract, &args.calls));
    }
    let sources = OriginSources::of_contract(args.base_url.as_deref(), &contract);
    Target::without_token(contract, &sources, &args.calls, global, env)
}

/// Checks the state directory by opening its journal, as each run does.
pub(super) fn state_directory(inputs: Inputs<'_>) -> (Check, Option<Journal>) {
    match state_dir(inputs.global).and_then(|dir| open(&dir, inputs.clock)) {
        Ok((journal, facts)) => (rated(&facts), Some(journal)),
        // Also for an error that would end a run with another code: here, nothing has been sent.
        Err(error) => (Check::fail(STATE_DIRECTORY, error.to_string(), error.hint(), exit::USAGE), None),
    }
}

fn open(dir: &Path, clock: &Clock) -> Result<(Journal, StoreFacts), Error> {
    let journal = open_journal_briefly(dir, clock).map_err(locked)?;
    let facts = journal.facts().map_err(JournalError::from)?;
    Ok((journal, facts))
}

/// Nobody asked to stop: another process had the journal for too long.
fn locked(error: JournalError) -> Error {
    let JournalError::Interrupted { by } = error else { return error.into() };
    let which = by.map(|process| format!(": `ps -p {process}` shows which it is")).unwrap_or_default();
    Error::Usage {
        message: format!("the journal is locked by {}", holder(by)),
        hint: Some(format!("wait until that process has finished, or end it{which}")),
    }
}

/// The facts of a journal that can be used.
fn rated(facts: &StoreFacts) -> Check {
    let StoreFacts { directory, owner, mode, file_system, free, library } = facts;
    let directory = directory.to_string_lossy();
    let space = bytes(*free);
    let finding = format!("{directory}: owner {owner}, mode {mode:o}; {file_system}, {space} free; {library}");
    if *free >= LITTLE_SPACE {
        return Check::ok(STATE_DIRECTORY, finding);
    }
    Check::warn(STATE_DIRECTORY, finding, "free some space, or name another directory with --state-dir")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::doctor::State;

    #[test]
    fn little_free_space_is_a_warning() {
        let facts = |free| StoreFacts {
            directory: "/state".into(),
            owner: 1000,
            mode: 0o700,
            file_system: "ext4".to_owned(),
            free,
            library: "SQLite 3".to_owned(),
        };
        let check = rated(&facts(LITTLE_SPACE));
        let shown = "/state: owner 1000, mode 700; ext4, 64.00 MiB free; SQLite 3";
        assert_eq!((check.state, &*check.finding), (State::Ok, shown));
        assert_eq!(rated(&facts(LITTLE_SPACE - 1)).state, State::Warn);
    }
}
