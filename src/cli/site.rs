//! The site of an API: its origin, the clouds of its tenants and the audiences of its tokens, from `--cloud`, `--region`,
//! `--base-url`, the contract, and the plan or run that names an origin.
//!
//! Promise: settings that contradict each other are refused, whatever layer they come from, and the error names both.

use super::arguments::{SignInArgs, cloud_named};
use super::origin_sources::OriginSources;
use super::settings::blame;
use crate::cli::error::Error;
use crate::client::{Origin, OriginError, SignInHost};
use crate::contract::{BUILT_IN, Contract, Host, absences, built_in_at, load};
use crate::model::cloud::Cloud;
use crate::model::setting::{Origin as ValueOrigin, Settings};
use crate::text::printable;

/// What `--cloud` and `--region` say.
#[derive(Clone, Copy, Debug)]
pub(super) struct CloudAndRegion<'a> {
    /// The cloud.
    pub(super) cloud: Option<Cloud>,
    /// The region of the classic API.
    pub(super) region: Option<&'a str>,
}

/// Where an API is.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Its origin.
    pub(super) origin: Origin,
    /// The clouds whose tenants it serves, where that is known.
    clouds: Vec<Cloud>,
    /// The audiences of its tokens; the first is what to request.
    pub(super) audiences: Vec<String>,
    /// What says so, for messages: `--cloud us-gov-high`.
    chosen_by: String,
}

impl<'a> From<&'a SignInArgs> for CloudAndRegion<'a> {
    fn from(args: &'a SignInArgs) -> CloudAndRegion<'a> {
        CloudAndRegion { cloud: args.cloud, region: args.region.as_deref() }
    }
}

impl Site {
    /// Where the API of a contract is.
    ///
    /// # Errors
    /// If two of these contradict each other; if the API is not in the cloud, or has no such region.
    pub(super) fn of(
        contract: &Contract,
        sources: &OriginSources<'_>,
        area: CloudAndRegion<'_>,
        settings: &Settings,
    ) -> Result<Site, Error> {
        let chosen = area.host(contract, settings)?;
        let (origin, by): (Origin, String) = match (sources.base_url, &sources.named, chosen) {
            (Some(url), named, _) => {
                let origin = url.parse();
                let origin: Origin =
                    origin.map_err(|error: OriginError| blame(settings, "--base-url", error.into()))?;
                let by = described(settings, "--base-url", url);
                // Anything can be tried out on this machine.
                if let Some(named) = named
                    && !origin.is_loopback()
                    && sources.contradicting()?.is_some()
                {
                    let message = format!("{by} contradicts {named} ({})", sources.named_by);
                    return Err(Error::Usage { message, hint: Some("remove one of them".to_owned()) });
                }
                (origin, by)
            }
            (None, Some(named), _) => (named.parse()?, format!("{named} ({})", sources.named_by)),
            (None, None, Some(host)) => (host.origin().parse()?, area.described(settings)),
            (None, None, None) => (contract.origin.parse()?, format!("{} ({})", contract.origin, sources.named_by)),
        };
        let known = contract.hosts().find(|host| host.name == origin.host_name());
        if known.is_none() {
            expect_no_other_api(contract, &origin, &by)?;
        }
        if let Some(chosen) = chosen
            && !area.allows(known)
        {
            let message = format!("{by} contradicts {}, which is {}", area.described(settings), chosen.origin());
            return Err(Error::Usage { message, hint: Some(area.fix(known)) });
        }
        let audiences = contract.audiences_at(known.or(chosen));
        let by = if area.cloud.is_some() { area.described(settings) } else { by };
        Ok(Site { clouds: area.clouds(known), audiences, origin, chosen_by: by })
    }

    /// Where its tenants sign in.
    pub(super) fn sign_in_host(&self) -> SignInHost {
        SignInHost::of(self.clouds.first().copied().unwrap_or(Cloud::Global))
    }

    /// Checks that the host in `AZURE_AUTHORITY_HOST` does not belong to other clouds. An unknown host may belong to any.
    ///
    /// # Errors
    /// If it does.
    pub(super) fn expect_sign_in_at(&self, host: &SignInHost) -> Result<(), Error> {
        let there = host.clouds();
        if let Some(why) = why_absent(there) {
            return Err(Error::Usage {
                message: format!("AZURE_AUTHORITY_HOST is {host}, but {why}"),
                hint: Some("unset AZURE_AUTHORITY_HOST to sign in to another cloud".to_owned()),
            });
        }
        let are_known = !there.is_empty() && !self.clouds.is_empty();
        if are_known && !self.clouds.iter().any(|cloud| there.contains(cloud)) {
            let options: Vec<String> = there.iter().map(|cloud| format!("--cloud {}", cloud.name())).collect();
            return Err(Error::Usage {
                message: format!(
                    "AZURE_AUTHORITY_HOST is {host}, which contradicts {}: its tenants sign in at {}",
                    self.chosen_by,
                    self.sign_in_host()
                ),
                hint: Some(format!("unset AZURE_AUTHORITY_HOST, or use {}", options.join(" or "))),
            });
        }
        Ok(())
    }
}

impl<'a> CloudAndRegion<'a> {
    /// What settings say.
    pub(super) fn of_settings(settings: &'a Settings) -> CloudAndRegion<'a> {
        let cloud = settings.value("--cloud").map(cloud_named);
        CloudAndRegion { cloud, region: settings.value("--region") }
    }

    /// The host that it chooses, if it says anything.
    fn host(&self, contract: &Contract, settings: &Settings) -> Result<Option<&'static Host>, Error> {
        if self.cloud.is_none() && self.region.is_none() {
            return Ok(None);
        }
        let cloud = self.cloud.unwrap_or(Cloud::Global);
        if let Some(why) = why_absent(&[cloud]) {
            let known: Vec<&str> = Cloud::SUPPORTED.into_iter().map(Cloud::name).collect();
            return Err(Error::Usage {
                message: format!("{}: {why}", self.described(settings)),
                hint: Some(format!("choose one of {}", known.join(", "))),
            });
        }
        if let Some(host) = contract.host_in(cloud, self.region) {
            return Ok(Some(host));
        }
        Err(match self.region {
            Some(region) if contract.hosts().all(|host| host.region.is_none()) => Error::Usage {
                message: format!(
                    "{} contradicts the contract `{}`: regions are the classic API's",
                    described(settings, "--region", region),
                    printable(&contract.name)
                ),
                hint: Some(format!("remove the region, or use {}", with_regions())),
            },
            _ => Error::Usage {
                message: format!(
                    "{} contradict each other: the regions are in the global cloud",
                    self.described(settings)
                ),
                hint: Some("remove one of them".to_owned()),
            },
        })
    }

    /// Whether a host fits. A host that is not Microsoft's, such as a gateway, can be in any cloud, and in no region.
    fn allows(&self, known: Option<&Host>) -> bool {
        match known {
            Some(host) => host.is_in(self.cloud.unwrap_or(Cloud::Global), self.region),
            None => self.region.is_none(),
        }
    }

    /// What to do if a host does not fit.
    fn fix(&self, known: Option<&Host>) -> String {
        let options: Vec<String> = match (self.region, known) {
            (Some(_), Some(Host { region: Some(region), .. })) => vec![format!("--region {region}")],
            (None, Some(host)) => host.clouds.iter().map(|cloud| format!("--cloud {}", cloud.name())).collect(),
            _ => Vec::new(),
        };
        let remove = "remove one of them";
        if options.is_empty() { remove.to_owned() } else { format!("use {}, or {remove}", options.join(" or ")) }
    }

    /// The clouds of a host that fits.
    fn clouds(&self, host: Option<&Host>) -> Vec<Cloud> {
        match (self.cloud, host) {
            (Some(cloud), _) => vec![cloud],
            (None, Some(host)) => host.clouds.clone(),
            (None, None) => Vec::new(),
        }
    }

    fn described(&self, settings: &Settings) -> String {
        let cloud = self.cloud.map(|cloud| described(settings, "--cloud", cloud.name()));
        let region = self.region.map(|region| described(settings, "--region", region));
        [cloud, region].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }
}

/// An option with its value, and with its file or variable if it was not typed.
fn described(settings: &Settings, option: &str, value: &str) -> String {
    match settings.origin(option) {
        None | Some(ValueOrigin::Flag) => format!("`{option} {}`", printable(value)),
        Some(origin) => format!("`{option} {}` ({origin})", printable(value)),
    }
}

/// Why no API is in these clouds, if that is so.
fn why_absent(clouds: &[Cloud]) -> Option<String> {
    let absent = absences().filter(|absence| clouds.contains(&absence.cloud));
    let why: Vec<&str> = absent.map(|absence| absence.why.as_str()).collect();
    (!why.is_empty()).then(|| why.join(", and "))
}

/// Checks that an origin is not a host of another API, or one without incidents.
fn expect_no_other_api(contract: &Contract, origin: &Origin, by: &str) -> Result<(), Error> {
    let host = origin.host_name();
    let absence = absences().find(|absence| absence.hosts.iter().any(|known| known == host));
    if let Some(why) = absence.and_then(|absence| why_absent(&[absence.cloud])) {
        return Err(Error::usage(format!("{by}: {why}")));
    }
    match built_in_at(host) {
        Some(other) => Err(Error::Usage {
            message: format!("{by} contradicts the contract `{}`: another API is there", printable(&contract.name)),
            hint: Some(format!("use --contract {other}, or remove the base URL")),
        }),
        None => Ok(()),
    }
}

/// The built-in contracts whose API has regions, as an option: `--contract defender`.
fn with_regions() -> String {
    let has_regions = |name: &&str| load(name).is_ok_and(|it| it.hosts().any(|host| host.region.is_some()));
    let options: Vec<String> =
        BUILT_IN.into_iter().filter(has_regions).map(|name| format!("--contract {name}")).collect();
    options.join(" or ")
}
