//! The hosts of Microsoft Entra, where tenants sign in, and the clouds of each.

use crate::model::cloud::Cloud;

/// A host of Entra. Its clouds share their tenants.
#[derive(Debug)]
pub(super) struct EntraHost {
    /// `https://login.microsoftonline.us`
    pub(super) origin: &'static str,
    /// The clouds that sign in there.
    pub(super) clouds: &'static [Cloud],
    /// The end of the audience of its federated tokens.
    pub(super) audience_suffix: &'static str,
}

/// The first of a cloud is where its tenants sign in.
pub(super) const ENTRA_HOSTS: [EntraHost; 4] = [
    EntraHost {
        origin: "https://login.microsoftonline.com",
        clouds: &[Cloud::Global, Cloud::UsGovGcc],
        audience_suffix: "",
    },
    EntraHost {
        origin: "https://login.microsoftonline.us",
        clouds: &[Cloud::UsGovHigh, Cloud::UsGovDod],
        audience_suffix: "USGov",
    },
    EntraHost { origin: "https://login.chinacloudapi.cn", clouds: &[Cloud::China], audience_suffix: "China" },
    EntraHost { origin: "https://login.partner.microsoftonline.cn", clouds: &[Cloud::China], audience_suffix: "China" },
];

impl EntraHost {
    /// Where the tenants of a cloud sign in.
    pub(super) fn of(cloud: Cloud) -> &'static EntraHost {
        ENTRA_HOSTS.iter().find(|host| host.clouds.contains(&cloud)).unwrap_or(&ENTRA_HOSTS[0])
    }
}
