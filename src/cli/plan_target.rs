//! The target of a plan: it is sent only to the base URL and tenant, and under the contract, that it was created for.

use super::arguments::CallArgs;
use super::environment::Environment;
use super::global::GlobalArgs;
use super::origin_sources::OriginSources;
use super::target::{Access, Target};
use crate::cli::error::Error;
use crate::client::{Origin, OriginError};
use crate::contract::{BUILT_IN, load};
use crate::plan::PlanError;
use crate::session::Plan;
use crate::text::printable;

/// The target of a plan.
///
/// # Errors
/// If the command line or the token is for another base URL or tenant than the plan.
pub(super) fn target_of(
    plan: &Plan,
    base_url: Option<&str>,
    calls: &CallArgs,
    access: Option<Access>,
    global: &GlobalArgs,
    env: &Environment,
) -> Result<Target, Error> {
    let altered = |error: OriginError| PlanError::Altered { what: format!("line 1: {error}") };
    let origin = plan.header.origin.parse::<Origin>().map_err(altered);
    let origin = origin.map_err(|error| Error::Plan { path: plan.path.clone(), error })?.to_string();
    let sources = OriginSources::kept(base_url, &origin, "the plan", global);
    if let Some(typed) = sources.contradicting()? {
        return Err(is_for_another(plan, "base URL", &origin, &typed.to_string()));
    }
    let target = Target::new(plan.contract.clone(), &sources, calls, access, global, env)?;
    match (plan.tenant(), &target.scope) {
        (Some(planned), Some(found)) if !planned.is_same_tenant(found) => {
            Err(is_for_another(plan, "tenant", &planned.described(), &found.described()))
        }
        _ => Ok(target),
    }
}

/// Checks that the plan's contract is the wanted one, and that a built-in contract has not changed since.
///
/// # Errors
/// If the contract is another one, or has changed.
pub(super) fn expect_contract(plan: &Plan, wanted: Option<&str>) -> Result<(), Error> {
    let contract = &plan.contract;
    let named = BUILT_IN.contains(&contract.name.as_str()).then_some(contract.name.as_str());
    for name in wanted.into_iter().chain(named) {
        let wanted = load(name)?;
        if wanted.name != contract.name {
            return Err(is_for_another(plan, "contract", &contract.name, &wanted.name));
        }
        if wanted != *contract {
            return Err(Error::Usage {
                message: format!("the contract `{}` has changed since the plan was created", wanted.name),
                hint: Some("create the plan again".to_owned()),
            });
        }
    }
    Ok(())
}

/// Checks that a quota looser than the built-in one comes from the user's own contract file, not from the plan.
///
/// # Errors
/// If the plan has such a quota, and no contract file was named.
pub(super) fn expect_own_quota(plan: &Plan, wanted: Option<&str>) -> Result<(), Error> {
    let contract = &plan.contract;
    if wanted.is_some() || !contract.has_loosened_quota() {
        return Ok(());
    }
    Err(Error::Usage {
        message: format!(
            "the plan's contract `{}` has a looser quota than the built-in one, `{}`",
            printable(&contract.name),
            contract.quota
        ),
        hint: Some("only your own contract file may loosen it: name that file with --contract".to_owned()),
    })
}

fn is_for_another(plan: &Plan, what: &str, planned: &str, found: &str) -> Error {
    let path = plan.path.to_string_lossy();
    Error::Usage {
        message: format!("the plan `{path}` is for another {what}: for {planned}, not for {found}"),
        hint: Some("nothing was sent; create a plan for this target, or apply it to the original one".to_owned()),
    }
}
