//! Where a run is sent, and whose incidents it changes.

use crate::contract::Contract;
use crate::journal::{History, JournalError, RunSummary};
use crate::model::change::TenantKey;
use crate::model::quota_spec::Quota;

/// Where a run is sent. Credentials belong to the client.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the API accepts.
    pub contract: Contract,
    /// Scheme, host and port of the API, as the run keeps them.
    pub origin: String,
    /// Whose quota and history count.
    pub tenant: TenantKey,
    /// The quota to respect.
    pub quota: Quota,
}

impl Target {
    /// A target with the contract's quota.
    #[must_use]
    pub fn new(contract: Contract, origin: String, tenant: TenantKey) -> Target {
        Target { quota: contract.quota.clone(), contract, origin, tenant }
    }
}

/// A run's own contract.
///
/// # Errors
/// If the journal is damaged.
pub fn contract_of(journal: &History, run: &RunSummary) -> Result<Contract, JournalError> {
    Contract::from_toml(&run.facts.contract).map_err(|why| journal.damaged(format!("run {}: {why}", run.name)))
}
