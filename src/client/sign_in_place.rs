//! Where tenants sign in: the hosts of Microsoft Entra, and the clouds of each.

use crate::model::cloud::Cloud;

/// A host of Entra. All of its clouds share its tenants.
#[derive(Debug)]
pub(super) struct SignInPlace {
    /// `https://login.microsoftonline.us`
    pub(super) origin: &'static str,
    /// The clouds that sign in there.
    pub(super) clouds: &'static [Cloud],
    /// The end of the audience of its federated tokens.
    pub(super) federation: &'static str,
}

/// The first is that of most clouds; of China, the first is the older one.
pub(super) const PLACES: [SignInPlace; 4] = [
    SignInPlace {
        origin: "https://login.microsoftonline.com",
        clouds: &[Cloud::Global, Cloud::UsGovGcc],
        federation: "",
    },
    SignInPlace {
        origin: "https://login.microsoftonline.us",
        clouds: &[Cloud::UsGovHigh, Cloud::UsGovDod],
        federation: "USGov",
    },
    SignInPlace { origin: "https://login.chinacloudapi.cn", clouds: &[Cloud::China], federation: "China" },
    SignInPlace { origin: "https://login.partner.microsoftonline.cn", clouds: &[Cloud::China], federation: "China" },
];

impl SignInPlace {
    /// Where the tenants of a cloud sign in.
    pub(super) fn of(cloud: Cloud) -> &'static SignInPlace {
        PLACES.iter().find(|place| place.clouds.contains(&cloud)).unwrap_or(&PLACES[0])
    }
}
