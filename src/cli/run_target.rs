//! The target of an earlier run, for commands that send requests there again.

use super::arguments::CallArgs;
use super::environment::Environment;
use super::global::GlobalArgs;
use super::origin_sources::OriginSources;
use super::target::{Access, Target};
use crate::cli::error::Error;
use crate::journal::{Journal, RunSummary};
use crate::session::contract_of;

/// The target of an earlier run.
///
/// # Errors
/// If there is no token, or it is for another tenant.
pub(super) fn target_of(
    journal: &Journal,
    run: &RunSummary,
    base_url: Option<&str>,
    access: Access,
    calls: &CallArgs,
    global: &GlobalArgs,
    env: &Environment,
) -> Result<Target, Error> {
    let name = &run.name;
    let contract = contract_of(journal, run)?;
    contract.expect_extension().map_err(|why| Error::usage(format!("run {name} cannot be sent: {why}")))?;
    let sources = OriginSources::kept(base_url, &run.facts.origin, "the journal", global);
    if let Some(typed) = sources.contradicting()? {
        return Err(Error::Usage {
            message: format!("run {name} is for {}, not for {typed}", run.facts.origin),
            hint: Some("nothing was sent; to send the file there, start a new `run`".to_owned()),
        });
    }
    let target = Target::new(contract, &sources, calls, Some(access), global, env)?;
    target.expect_access(access, journal.clock())?;
    let named = target.scope.as_ref().filter(|scope| scope.is_tenant());
    if named.is_some_and(|scope| !scope.is_same_tenant(&run.scope)) {
        return Err(Error::Usage {
            message: format!("run {name} is for {}, and the token is for another tenant", run.scope.described()),
            hint: Some("use a token of that tenant".to_owned()),
        });
    }
    Ok(target)
}
