//! A sign-in request: its parts as they were received, and how it was answered.

use std::fmt;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use jiff::Timestamp;
use url::form_urlencoded;

/// The fields and query names whose values are no secrets.
const HARMLESS: [&str; 7] =
    ["grant_type", "client_id", "scope", "resource", "api-version", "client_assertion_type", "audience"];

/// Names and values, in the order of the request.
type Pairs = Vec<(String, String)>;

/// A service that issues tokens or assertions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The token endpoint of Entra, version 2.
    Token,
    /// The metadata service of a virtual machine.
    Imds,
    /// The metadata service of Azure Arc.
    Arc,
    /// The identity endpoint of App Service and Container Apps.
    AppService,
    /// The OIDC endpoint of GitHub Actions.
    Github,
    /// None of these.
    Other,
}

impl Endpoint {
    /// The name in the log and in faults.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Token => "token",
            Endpoint::Imds => "imds",
            Endpoint::Arc => "arc",
            Endpoint::AppService => "app-service",
            Endpoint::Github => "github",
            Endpoint::Other => "other",
        }
    }

    fn of(path: &str, query: &Pairs) -> Endpoint {
        let is_token = path.strip_suffix("/oauth2/v2.0/token").is_some_and(|tenant| tenant.rfind('/') == Some(0));
        match path {
            // Arc has the path of IMDS: its version tells them apart.
            "/metadata/identity/oauth2/token" => {
                let is_arc = query.iter().any(|(name, value)| name == "api-version" && value == "2020-06-01");
                if is_arc { Endpoint::Arc } else { Endpoint::Imds }
            }
            "/msi/token" => Endpoint::AppService,
            "/github/token" => Endpoint::Github,
            _ if is_token => Endpoint::Token,
            _ => Endpoint::Other,
        }
    }
}

/// A sign-in request and how it was answered. It holds secrets; `Debug` shows none.
#[derive(Clone)]
pub struct SignInRequest {
    /// Whom it is for.
    pub endpoint: Endpoint,
    /// When it was decided.
    pub at: Timestamp,
    /// In upper case.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The decoded query.
    pub query: Pairs,
    /// The names are in lower case.
    pub headers: Pairs,
    /// The decoded fields of the body; empty unless the body is a form.
    pub form: Pairs,
    /// The status of the response; `None` if there was no response.
    pub status: Option<u16>,
    /// The error of the response.
    pub error: Option<String>,
    /// The fault that struck, as it was typed.
    pub fault: Option<String>,
}

impl SignInRequest {
    /// A request that has not been decided.
    pub(crate) fn new(parts: &Parts, body: &Bytes) -> SignInRequest {
        let query = pairs(parts.uri.query().unwrap_or_default().as_bytes());
        let headers = headers(&parts.headers);
        let is_form = headers.iter().any(|(name, value)| {
            let media_type = value.split(';').next().unwrap_or_default().trim();
            name == "content-type" && media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        SignInRequest {
            endpoint: Endpoint::of(parts.uri.path(), &query),
            at: Timestamp::UNIX_EPOCH,
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query,
            headers,
            form: if is_form { pairs(body) } else { Vec::new() },
            status: None,
            error: None,
            fault: None,
        }
    }

    /// The value of a form field, if it occurs exactly once and is not empty.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        only(&self.form, name)
    }

    /// The value of a query name, if it occurs exactly once and is not empty.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        only(&self.query, name)
    }

    /// The value of a header, if it occurs exactly once and is not empty. `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        only(&self.headers, name)
    }

    /// Fields or parameters for people: `None` in the place of a value that may be secret.
    pub(super) fn shown(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, Option<&str>)> {
        let shown = |name: &str, value| HARMLESS.contains(&name).then_some(value);
        pairs.iter().map(move |(name, value)| (name.as_str(), shown(name, value.as_str())))
    }
}

impl fmt::Debug for SignInRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("SignInRequest")
            .field("endpoint", &self.endpoint)
            .field("at", &self.at)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &SignInRequest::shown(&self.query).collect::<Vec<_>>())
            .field("headers", &names)
            .field("form", &SignInRequest::shown(&self.form).collect::<Vec<_>>())
            .field("status", &self.status)
            .field("error", &self.error)
            .field("fault", &self.fault)
            .finish()
    }
}

fn pairs(encoded: &[u8]) -> Pairs {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn headers(headers: &HeaderMap) -> Pairs {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}

fn only<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
    values.next().filter(|value| !value.is_empty() && values.next().is_none())
}
