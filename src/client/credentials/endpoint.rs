//! Where credentials are sent: sign-in hosts, and the machine's own endpoints for identities.
//!
//! Promises: a sign-in host is https or loopback; an endpoint of the machine is loopback or link-local, so that plain
//! http never leaves this machine's network.

use std::fmt;

use url::Url;

use crate::client::entra_host::{ENTRA_HOSTS, EntraHost};
use crate::client::origin::{Origin, OriginError};
use crate::model::cloud::Cloud;

/// A host that gives tokens: Entra's, for one cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInHost(Origin);

impl SignInHost {
    /// The host that `AZURE_AUTHORITY_HOST` names: a URL, or a name alone, as some libraries write it.
    ///
    /// # Errors
    /// If it is neither https nor loopback, or not only a host.
    pub fn named(text: &str) -> Result<SignInHost, EndpointError> {
        let is_url = text.contains("://");
        let named = if is_url { text.parse() } else { format!("https://{text}").parse() };
        named.map(SignInHost).map_err(|error| match error {
            OriginError::NotAUrl(_) => EndpointError::NotAUrl,
            OriginError::NotHttps(host) => EndpointError::NotHttps { host },
            OriginError::MoreThanOrigin(_) => EndpointError::MoreThanHost,
            OriginError::HasUser => EndpointError::HasUser,
        })
    }

    /// The host of a cloud.
    ///
    /// # Panics
    /// Never: a test reads the host of each cloud.
    #[must_use]
    pub fn of(cloud: Cloud) -> SignInHost {
        SignInHost::named(EntraHost::of(cloud).origin).expect("a plain https URL")
    }

    /// The origin of its requests.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0
    }

    /// Whether it is one of Microsoft's: any other is shown before the first request.
    #[must_use]
    pub fn is_microsofts(&self) -> bool {
        !self.clouds().is_empty()
    }

    /// The audience that a federated token must have there.
    #[must_use]
    pub fn federation_audience(&self) -> String {
        let suffix = self.entra().map(|host| host.audience_suffix).unwrap_or_default();
        format!("api://AzureADTokenExchange{suffix}")
    }

    /// The clouds that sign in there; none if it is not one of Microsoft's.
    #[must_use]
    pub fn clouds(&self) -> &'static [Cloud] {
        self.entra().map_or(&[], |host| host.clouds)
    }

    fn entra(&self) -> Option<&'static EntraHost> {
        let own = self.0.to_string();
        ENTRA_HOSTS.iter().find(|host| host.origin == own)
    }
}

impl fmt::Display for SignInHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.host())
    }
}

/// Where a machine or a job requests its identity: an origin with a path, and perhaps a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityEndpoint(Url);

/// Why a credential can't be sent to a URL. Shows only the host: a query may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL of http or https.
    #[error("it is not an http:// or https:// URL")]
    NotAUrl,
    /// A name or a password in the URL.
    #[error("its URL has a user name or password: remove it")]
    HasUser,
    /// A path or a query, where only a host is expected.
    #[error("its URL has more than a scheme, a host and a port: remove the rest")]
    MoreThanHost,
    /// Another machine.
    #[error("{host} is another machine: identities are requested only from loopback and link-local addresses")]
    OtherMachine {
        /// Its host.
        host: String,
    },
    /// Plain http, and not to this machine.
    #[error("{host} is not reached by https")]
    NotHttps {
        /// Its host.
        host: String,
    },
}

impl IdentityEndpoint {
    /// The endpoint of this machine's identity.
    ///
    /// # Errors
    /// If it is neither loopback nor link-local.
    pub fn of_machine(text: &str) -> Result<IdentityEndpoint, EndpointError> {
        let url = parse(text)?;
        if Origin::of(&url).is_local() {
            Ok(IdentityEndpoint(url))
        } else {
            Err(EndpointError::OtherMachine { host: host(&url) })
        }
    }

    /// The endpoint of a job's identity, which may be on another machine.
    ///
    /// # Errors
    /// If it is neither https nor loopback.
    pub fn of_job(text: &str) -> Result<IdentityEndpoint, EndpointError> {
        let url = parse(text)?;
        if url.scheme() == "https" || Origin::of(&url).is_loopback() {
            Ok(IdentityEndpoint(url))
        } else {
            Err(EndpointError::NotHttps { host: host(&url) })
        }
    }

    /// Whether it is of github.com, or this machine: any other is shown before the first request.
    #[must_use]
    pub fn is_githubs(&self) -> bool {
        let is_of_github = |host: &str| host.ends_with(".actions.githubusercontent.com");
        self.origin().is_loopback() || self.0.host_str().is_some_and(is_of_github)
    }

    pub(super) fn origin(&self) -> Origin {
        Origin::of(&self.0)
    }

    /// With these pairs added to its query, encoded.
    pub(super) fn with_query(&self, pairs: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(pairs);
        url
    }
}

impl fmt::Display for IdentityEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&host(&self.0))
    }
}

fn parse(text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
    let is_plain = ["http", "https"].contains(&url.scheme()) && url.has_host();
    let has_user = !url.username().is_empty() || url.password().is_some();
    match (is_plain, has_user) {
        (false, _) => Err(EndpointError::NotAUrl),
        (true, true) => Err(EndpointError::HasUser),
        (true, false) => Ok(url),
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_hosts_are_https_or_loopback() {
        for (text, shown, audience) in [
            ("https://login.microsoftonline.com/", "login.microsoftonline.com", "api://AzureADTokenExchange"),
            ("login.microsoftonline.us", "login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
            ("https://login.chinacloudapi.cn", "login.chinacloudapi.cn", "api://AzureADTokenExchangeChina"),
            ("https://sign-in.example", "sign-in.example", "api://AzureADTokenExchange"),
            ("http://127.0.0.1:8080", "127.0.0.1", "api://AzureADTokenExchange"),
        ] {
            let host = SignInHost::named(text).expect(text);
            assert_eq!((host.to_string(), host.federation_audience()), (shown.to_owned(), audience.to_owned()));
            assert_eq!(host.is_microsofts(), text.contains("login."), "{text}");
        }
        for (cloud, host) in [
            (Cloud::Global, "login.microsoftonline.com"),
            (Cloud::UsGovGcc, "login.microsoftonline.com"),
            (Cloud::UsGovHigh, "login.microsoftonline.us"),
            (Cloud::UsGovDod, "login.microsoftonline.us"),
        ] {
            let found = SignInHost::of(cloud);
            assert_eq!(found.to_string(), host);
            assert!(found.clouds().contains(&cloud));
        }
        let host = "http://login.microsoftonline.com".to_owned();
        for (text, error) in [
            (host.as_str(), EndpointError::NotHttps { host: host.clone() }),
            ("https://u:p@login.example", EndpointError::HasUser),
            ("https://a.example/b", EndpointError::MoreThanHost),
            ("", EndpointError::NotAUrl),
        ] {
            assert_eq!(SignInHost::named(text).expect_err(text), error);
        }
    }

    #[test]
    fn machine_endpoints_are_loopback_or_link_local() {
        for text in [
            "http://169.254.169.254/metadata",
            "http://localhost:40342/a?b=c",
            "http://127.0.0.1:1",
            "http://[fe80::1]/",
        ] {
            IdentityEndpoint::of_machine(text).expect(text);
        }
        for text in ["http://10.0.0.1/msi", "https://identity.example/", "http://[2001:db8::1]/"] {
            let error = IdentityEndpoint::of_machine(text).expect_err(text);
            assert!(matches!(error, EndpointError::OtherMachine { .. }), "{error}");
        }
        for text in ["169.254.169.254", "file:///etc/passwd", ""] {
            assert_eq!(IdentityEndpoint::of_machine(text).expect_err(text), EndpointError::NotAUrl);
        }
        let with_user = IdentityEndpoint::of_machine("http://u:p@127.0.0.1/");
        assert_eq!(with_user.expect_err("a password"), EndpointError::HasUser);
        IdentityEndpoint::of_job("https://pipelines.example/id?x=1").expect("https");
        let error = IdentityEndpoint::of_job("http://pipelines.example/id").expect_err("not https");
        assert_eq!(error.to_string(), "pipelines.example is not reached by https");
    }

    #[test]
    fn query_is_kept_and_extended() {
        let endpoint = IdentityEndpoint::of_job("https://h.example/id?api-version=2.0").expect("https");
        let url = endpoint.with_query(&[("audience", "api://AzureADTokenExchange")]);
        assert_eq!(url.as_str(), "https://h.example/id?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange");
    }
}
