//! Origins: where the API is, and which URLs are allowed.
//!
//! Promise: an origin is https, or loopback; so no token leaves this machine unencrypted.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use super::entra_host::EntraHost;
use crate::contract::{BUILT_IN, Contract, Host as ApiHost, built_in_at, load};

/// Scheme, host and port: `https://api.security.microsoft.com`. The URL has nothing else, its host is in lower case and
/// ASCII, and a port that its scheme implies is left out: so equal origins are equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Url);

/// Why a text is not an origin. Shows only the scheme, the host and the port, which can't hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not a URL, or a URL without a host.
    #[error("`{0}` is not a base URL: enter one such as `https://api.security.microsoft.com`")]
    NotAUrl(String),
    /// Another scheme than https.
    #[error("`{0}` is not https: a token is sent over https only (except over http to loopback)")]
    NotHttps(String),
    /// More than scheme, host and port.
    #[error("`{0}` has more than a scheme, a host and a port: the contract has the path; remove the rest")]
    MoreThanOrigin(String),
    /// A name or a password in the URL.
    #[error("the base URL contains a user name or password: remove it, and use `--token-file`")]
    HasUser,
}

impl Origin {
    /// Whether it is this machine: 127.0.0.0/8, `[::1]`, `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == LOCALHOST,
            None => false,
        }
    }

    /// Whether it is this machine or its own network segment (link-local addresses, RFC 3927 and RFC 4291), where
    /// platforms have their endpoints for identities. No proxy is between.
    pub(super) fn is_local(&self) -> bool {
        self.is_loopback()
            || match self.0.host() {
                Some(Host::Ipv4(address)) => address.is_link_local(),
                Some(Host::Ipv6(address)) => address.is_unicast_link_local(),
                _ => false,
            }
    }

    /// The origin of a URL, whatever its scheme. Only for endpoints that are checked in another way.
    pub(super) fn of(url: &Url) -> Origin {
        let mut origin = url.clone();
        origin.set_path("");
        origin.set_query(None);
        origin.set_fragment(None);
        Origin(origin)
    }

    /// Whether it is a host of a built-in contract, by https at the usual port.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.usual_host().and_then(built_in_at).is_some()
    }

    /// The host of the contract's API that it is. The hosts of another API don't take its tokens.
    #[must_use]
    pub fn host_of(&self, contract: &Contract) -> Option<&'static ApiHost> {
        let own = self.usual_host()?;
        contract.hosts().find(|host| host.name == own)
    }

    /// Its host, if it is reached by https at the usual port.
    fn usual_host(&self) -> Option<&str> {
        (self.is_https() && self.0.port().is_none()).then(|| self.host())
    }

    /// The origin that represents its family. Clouds that sign in at the same host share their tenants, so their built-in
    /// origins are one family. Any other origin is a family of its own.
    #[must_use]
    pub fn family(&self) -> String {
        let mut hosts =
            BUILT_IN.iter().filter_map(|name| load(name).ok()).filter_map(|contract| self.host_of(&contract));
        let of_cloud = |host: &ApiHost| {
            let entra = EntraHost::of(*host.clouds.first()?);
            load(BUILT_IN[0]).ok()?.host_in(*entra.clouds.first()?, None).map(ApiHost::origin)
        };
        hosts.find_map(of_cloud).unwrap_or_else(|| self.to_string())
    }

    /// Its host as a name: without the port, and without the dot that may end a complete name.
    #[must_use]
    pub fn host_name(&self) -> &str {
        self.host().trim_end_matches('.')
    }

    /// Its host, without the port.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// `example.com:443`
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host(), self.0.port_or_known_default().unwrap_or(443))
    }

    /// Whether requests there are encrypted.
    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The URL of a path, and of a query that is already encoded. Whatever the path contains, it changes neither the
    /// host nor the query.
    pub(super) fn url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }
}

/// The name of this machine that needs no lookup.
pub(super) const LOCALHOST: &str = "localhost";

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Origin, OriginError> {
        let shown = || without_secrets(text);
        if text.contains('@') {
            return Err(OriginError::HasUser);
        }
        // The URL parser drops blanks, and repairs a backslash or a missing slash.
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        let rest = text.split_once("://").map_or("", |(_, rest)| rest.strip_suffix('/').unwrap_or(rest));
        let has_authority = !rest.is_empty() && !rest.starts_with('/');
        let url = match Url::parse(text) {
            Ok(url) if url.has_host() && has_authority && !text.contains(is_odd) => url,
            _ => return Err(OriginError::NotAUrl(shown())),
        };
        let is_bare = !rest.contains(['/', '?', '#']);
        let origin = Origin(url);
        let is_safe = origin.is_https() || (origin.0.scheme() == "http" && origin.is_loopback());
        if !is_safe {
            Err(OriginError::NotHttps(shown()))
        } else if !is_bare {
            Err(OriginError::MoreThanOrigin(shown()))
        } else {
            Ok(origin)
        }
    }
}

/// The part before the path, the query or the fragment of a URL without a user; `…` replaces the rest.
fn without_secrets(text: &str) -> String {
    let authority = text.find("://").map_or(0, |at| at + "://".len());
    let end = text[authority..].find(['/', '\\', '?', '#', ';', '&', '=']).map_or(text.len(), |at| authority + at);
    let rest = &text[end..];
    if rest.is_empty() || rest == "/" { text.to_owned() } else { format!("{}…", &text[..end]) }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_accepted_on_loopback_only() {
        for (text, shown, loopback) in [
            ("https://api.security.microsoft.com", "https://api.security.microsoft.com", false),
            ("https://API-eu.security.microsoft.com:443/", "https://api-eu.security.microsoft.com", false),
            ("https://127.0.0.1", "https://127.0.0.1", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("http://127.9.9.9:8080", "http://127.9.9.9:8080", true),
            ("http://[::1]:8080/", "http://[::1]:8080", true),
            ("http://localhost:8080", "http://localhost:8080", true),
        ] {
            let origin: Origin = text.parse().expect(text);
            assert_eq!((origin.to_string().as_str(), origin.is_loopback()), (shown, loopback), "{text}");
        }
    }

    #[test]
    fn other_origins_are_rejected_with_reason() {
        let not_https: fn(String) -> OriginError = OriginError::NotHttps;
        for (text, error) in [
            ("http://api.security.microsoft.com", not_https),
            ("http://127.0.0.1.example.com", not_https),
            ("http://localhost.example.com", not_https),
            ("http://0.0.0.0:80", not_https),
            ("http://[::2]:80", not_https),
            ("ftp://127.0.0.1", not_https),
            ("https://a.example/api", OriginError::MoreThanOrigin),
            ("https://a.example/?q", OriginError::MoreThanOrigin),
            ("https://a.example/#f", OriginError::MoreThanOrigin),
            ("https://a.example/../", OriginError::MoreThanOrigin),
            ("https://a.example?", OriginError::MoreThanOrigin),
            ("a.example", OriginError::NotAUrl),
            ("https://", OriginError::NotAUrl),
            ("file:///etc/passwd", OriginError::NotAUrl),
            ("", OriginError::NotAUrl),
            (" https://a.example", OriginError::NotAUrl),
            ("https://a.example\n", OriginError::NotAUrl),
            ("https://a.ex\tample", OriginError::NotAUrl),
            ("https:\\\\a.example", OriginError::NotAUrl),
            ("https://a.example\\", OriginError::NotAUrl),
            ("https:a.example", OriginError::NotAUrl),
            ("https:///a.example", OriginError::NotAUrl),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error(without_secrets(text))), "{text}");
        }
    }

    #[test]
    fn secret_after_the_host_is_not_printed() {
        for (text, shown) in [
            ("https://a.example/?sig=secret", "`https://a.example…`"),
            ("https://a.example:8/secret", "`https://a.example:8…`"),
            ("https://a.example#secret", "`https://a.example…`"),
            ("http://a.example?code=secret", "`http://a.example…`"),
            ("a.example?sig=secret", "`a.example…`"),
            ("https:a.example?sig=secret", "`https:a.example…`"),
            ("https://?sig=secret", "`https://…`"),
            ("sig=secret", "`sig…`"),
        ] {
            let error = text.parse::<Origin>().expect_err(text).to_string();
            assert!(error.starts_with(shown) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn password_is_not_printed() {
        for text in [
            "https://me:secret@a.example",
            "https://secret@a.example",
            "me:secret@a.example",
            "https://s@:x",
            "https://@a.example",
        ] {
            let error = text.parse::<Origin>().expect_err(text);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn built_in_hosts_match_by_complete_origin() {
        let is_built_in = |text: &str| text.parse::<Origin>().expect(text).is_built_in();
        for text in [
            "https://api.security.microsoft.com",
            "https://API.Security.Microsoft.com:443/",
            "https://api-us.security.microsoft.com",
            "https://swa.api.security.microsoft.com",
            "https://api-gcc.security.microsoft.us",
            "https://api-gov.securitycenter.microsoft.us",
            "https://graph.microsoft.com",
            "https://graph.microsoft.us",
            "https://dod-graph.microsoft.us",
        ] {
            assert!(is_built_in(text), "{text}");
        }
        for text in [
            "https://api.security.microsoft.com:8443",
            "https://api.security.microsoft.com.",
            "https://api.security.microsoft.com.evil.example",
            "https://evil.example",
            "https://microsoftgraph.chinacloudapi.cn",
            "https://graph.microsoft.com.evil.example",
            // A Cyrillic letter.
            "https://\u{430}pi.security.microsoft.com",
            "https://[::ffff:127.0.0.1]",
            "https://localhost.",
            "http://127.0.0.1:80",
        ] {
            assert!(!is_built_in(text), "{text}");
        }
    }

    #[test]
    fn clouds_that_share_tenants_are_one_family() {
        let family = |host: &str| format!("https://{host}").parse::<Origin>().expect(host).family();
        for (host, of) in [
            ("api.security.microsoft.com", "api.security.microsoft.com"),
            ("au.api.security.microsoft.com", "api.security.microsoft.com"),
            ("api-gcc.security.microsoft.us", "api.security.microsoft.com"),
            ("graph.microsoft.com", "api.security.microsoft.com"),
            ("api-gov.security.microsoft.us", "api-gov.security.microsoft.us"),
            ("api-gov.securitycenter.microsoft.us", "api-gov.security.microsoft.us"),
            ("graph.microsoft.us", "api-gov.security.microsoft.us"),
            ("dod-graph.microsoft.us", "api-gov.security.microsoft.us"),
            ("graph.microsoft.us:8443", "graph.microsoft.us:8443"),
            ("gateway.contoso.example", "gateway.contoso.example"),
        ] {
            assert_eq!(family(host), format!("https://{of}"), "{host}");
        }
    }

    #[test]
    fn no_path_changes_the_host() {
        let origin: Origin = "https://a.example".parse().expect("valid");
        for path in ["/api/incidents/7", "@b.example/x", "//b.example/x", "/../x", "\\b.example", "/x?q=1#f"] {
            let url = origin.url(path, None);
            assert_eq!(url.host_str(), Some("a.example"), "{url}");
            assert_eq!((url.query(), url.fragment()), (None, None), "{url}");
        }
        assert_eq!(origin.url("/api/incidents/7", None).as_str(), "https://a.example/api/incidents/7");
    }
}
