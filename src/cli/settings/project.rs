//! The rules for what a project file says: it can lower the quota, and it can name a contract that only says what rows
//! mean.

use super::layers::Layer;
use super::resolved::blame;
use crate::cli::error::Error;
use crate::contract::{Contract, load};
use crate::model::quota_spec::Quota;
use crate::model::setting::Settings;
use crate::text::printable;

/// Checks that the project's quota keeps that of the system or user file. That it keeps the contract's is checked for
/// every quota. A quota that can't be parsed is left to the parser of the command line.
///
/// # Errors
/// If it is looser.
pub(super) fn expect_quota(project: &Layer, own: &Layer) -> Result<(), Error> {
    let (Some((wanted, at)), Some((least, least_at))) = (project.get("--quota"), own.get("--quota")) else {
        return Ok(());
    };
    let (wanted, least) = (wanted.to_string_lossy(), least.to_string_lossy());
    let parsed = |text: &str| text.parse::<Quota>().ok();
    let least_quota = parsed(&least).ok_or_else(|| {
        Error::usage(format!("{least_at}: `{}` is not a quota: enter one such as `50/1m,1500/1h`", printable(&least)))
    })?;
    match parsed(&wanted) {
        Some(quota) if !quota.is_within(&least_quota) => Err(Error::Usage {
            message: format!("{at}: the quota {quota} exceeds {least_quota} ({least_at})"),
            hint: Some("a project file can only lower the quota of your own settings".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// The contract of this name or file, which the settings name. `is_of_project`: the project file does.
///
/// # Errors
/// If there is no such contract, or a project file names one that changes more than what rows mean.
pub(crate) fn load_contract(name: &str, settings: &Settings, is_of_project: bool) -> Result<Contract, Error> {
    let contract = load(name).map_err(|error| blame(settings, "--contract", error.into()))?;
    if is_of_project {
        contract.expect_same_service().map_err(|why| {
            let message = format!(
                "a project file can't name the contract `{}`: {why}, and a cloned folder must not decide where your \
                 token goes, or how often",
                printable(name)
            );
            let hint = Some("if you trust it, name it on the command line with --contract".to_owned());
            blame(settings, "--contract", Error::Usage { message, hint })
        })?;
    }
    Ok(contract)
}
