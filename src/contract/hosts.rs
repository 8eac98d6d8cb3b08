//! What only built-in contracts say about an API, and say for every contract of it: its hosts by cloud and region, what a
//! token for each names, and its portal.

use serde_json::{Map, Value};

use super::definition::{Absence, Contract, Host};
use super::file::ContractFile;
use super::load::built_in_files;
use super::portal::Portal;
use crate::model::cloud::Cloud;

impl Contract {
    /// The hosts of its API.
    pub fn hosts(&self) -> impl Iterator<Item = &'static Host> {
        self.built_in_files().flat_map(|file| &file.hosts)
    }

    /// The host that a cloud and a region choose.
    #[must_use]
    pub fn host_in(&self, cloud: Cloud, region: Option<&str>) -> Option<&'static Host> {
        self.hosts().find(|host| host.is_in(cloud, region))
    }

    /// What a token for this host of its API names; the first is what to request. A contract with audiences of its own
    /// keeps them at every host.
    #[must_use]
    pub fn audiences_at(&self, host: Option<&Host>) -> Vec<String> {
        let is_usual = self.built_in_files().any(|file| file.audiences == self.audiences);
        let of_host = host.map(|host| &host.audiences).filter(|audiences| is_usual && !audiences.is_empty());
        of_host.unwrap_or(&self.audiences).clone()
    }

    /// Its origin, unless that is the built-in one of its API.
    #[must_use]
    pub fn own_origin(&self) -> Option<&str> {
        let is_usual = self.built_in_files().any(|file| file.origin == self.origin);
        (!is_usual).then_some(&*self.origin)
    }

    /// The member of an incident with its link to the portal.
    #[must_use]
    pub fn portal_member(&self) -> Option<&'static str> {
        Some(&self.portal()?.link)
    }

    /// The link to an incident in the portal. `context`: the incident's context, from a response, a plan or the journal.
    #[must_use]
    pub fn portal_link<'v>(&self, context: &'v Map<String, Value>) -> Option<&'v str> {
        self.portal()?.link_in(context)
    }

    fn portal(&self) -> Option<&'static Portal> {
        self.built_in_files().find_map(|file| file.portal.as_ref())
    }

    /// The built-in contracts of its API.
    fn built_in_files(&self) -> impl Iterator<Item = &'static ContractFile> {
        built_in_files().iter().filter(|file| file.is_of_api(self.api_path()))
    }
}

/// The built-in contract, the first of its API, that has a host of this name.
#[must_use]
pub fn built_in_at(host: &str) -> Option<&'static str> {
    let mut files = built_in_files().iter();
    files.find(|file| file.hosts.iter().any(|known| known.name == host)).map(|file| &*file.name)
}

/// The clouds that each API is not in.
pub fn absences() -> impl Iterator<Item = &'static Absence> {
    built_in_files().iter().flat_map(|file| &file.absent)
}

/// The regions of all APIs.
#[must_use]
pub fn regions() -> Vec<&'static str> {
    let mut regions: Vec<&str> = Vec::new();
    for region in built_in_files().iter().flat_map(|file| &file.hosts).filter_map(|host| host.region.as_deref()) {
        if !regions.contains(&region) {
            regions.push(region);
        }
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::load;

    /// The table of `API.md`, section 5: what each cloud and region chooses.
    #[test]
    fn cloud_and_region_choose_documented_hosts() {
        let classic = load("defender").expect("built in");
        let graph = load("graph").expect("built in");
        let name = |contract: &Contract, cloud, region| contract.host_in(cloud, region).map(|host| host.name.as_str());
        for (cloud, of_classic, of_graph) in [
            (Cloud::Global, Some("api.security.microsoft.com"), Some("graph.microsoft.com")),
            (Cloud::UsGovGcc, Some("api-gcc.security.microsoft.us"), Some("graph.microsoft.com")),
            (Cloud::UsGovHigh, Some("api-gov.security.microsoft.us"), Some("graph.microsoft.us")),
            (Cloud::UsGovDod, Some("api-gov.security.microsoft.us"), Some("dod-graph.microsoft.us")),
            (Cloud::China, None, None),
        ] {
            assert_eq!((name(&classic, cloud, None), name(&graph, cloud, None)), (of_classic, of_graph), "{cloud:?}");
        }
        assert_eq!(regions(), ["us", "eu", "uk", "au", "swa", "ina", "aea"]);
        for region in regions() {
            let host = match region {
                "us" | "eu" | "uk" => format!("api-{region}.security.microsoft.com"),
                other => format!("{other}.api.security.microsoft.com"),
            };
            assert_eq!(name(&classic, Cloud::Global, Some(region)), Some(host.as_str()));
            assert_eq!(name(&classic, Cloud::UsGovGcc, Some(region)), None);
            assert_eq!(name(&graph, Cloud::Global, Some(region)), None);
        }
    }

    #[test]
    fn audience_is_that_of_the_host() {
        let classic = load("defender").expect("built in");
        let graph = load("graph").expect("built in");
        let first = |contract: &Contract, cloud, region| {
            let host = contract.host_in(cloud, region);
            host.and_then(|host| contract.audiences_at(Some(host)).into_iter().next())
        };
        for (contract, cloud, region, audience) in [
            (&classic, Cloud::Global, None, "https://api.security.microsoft.com"),
            (&classic, Cloud::Global, Some("au"), "https://api.security.microsoft.com"),
            (&classic, Cloud::UsGovGcc, None, "https://api-gcc.security.microsoft.us"),
            (&classic, Cloud::UsGovHigh, None, "https://api-gov.security.microsoft.us"),
            (&graph, Cloud::UsGovGcc, None, "https://graph.microsoft.com"),
            (&graph, Cloud::UsGovHigh, None, "https://graph.microsoft.us"),
            (&graph, Cloud::UsGovDod, None, "https://dod-graph.microsoft.us"),
        ] {
            assert_eq!(first(contract, cloud, region).as_deref(), Some(audience), "{cloud:?} {region:?}");
        }
        let own = Contract { audiences: vec!["api://ours".to_owned()], ..graph.clone() };
        assert_eq!(first(&own, Cloud::UsGovHigh, None).as_deref(), Some("api://ours"));
        assert_eq!(graph.audiences_at(None), graph.audiences);
    }

    #[test]
    fn built_in_origin_is_not_a_contracts_own() {
        let graph = load("graph").expect("built in");
        assert_eq!(graph.own_origin(), None);
        let moved = Contract { origin: "https://graph.microsoft.us".to_owned(), ..graph };
        assert_eq!(moved.own_origin(), Some("https://graph.microsoft.us"));
    }

    #[test]
    fn every_host_serves_a_cloud() {
        for file in built_in_files() {
            for host in &file.hosts {
                assert!(!host.clouds.is_empty() && host.name == host.name.to_ascii_lowercase(), "{}", host.name);
                assert!(host.region.is_none() || host.clouds == [Cloud::Global], "{}", host.name);
                assert_eq!(built_in_at(&host.name), Some(&*file.name));
            }
        }
        assert_eq!(built_in_at("evil.example"), None);
        assert_eq!(absences().filter(|absence| absence.cloud == Cloud::China).count(), 2);
    }
}
