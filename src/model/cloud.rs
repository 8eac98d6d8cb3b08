//! Microsoft's clouds, by the names that options and contracts give them.

use serde::Deserialize;

/// A cloud: it has hosts of its own, or a place of its own to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cloud {
    /// All tenants but those of governments and of China.
    Global,
    /// US Government GCC, which signs in at the global host.
    UsGovGcc,
    /// US Government L4 (GCC High).
    UsGovHigh,
    /// US Government L5 (`DoD`).
    UsGovDod,
    /// China (21Vianet), where no API is known to have incidents.
    China,
}

impl Cloud {
    /// The clouds that can be chosen: each has an API with incidents.
    pub const SUPPORTED: [Cloud; 4] = [Cloud::Global, Cloud::UsGovGcc, Cloud::UsGovHigh, Cloud::UsGovDod];

    /// Its name in options and contracts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cloud::Global => "global",
            Cloud::UsGovGcc => "us-gov-gcc",
            Cloud::UsGovHigh => "us-gov-high",
            Cloud::UsGovDod => "us-gov-dod",
            Cloud::China => "china",
        }
    }
}
