//! Entra's token endpoint: a token for an application, which proves its identity with a secret or a signed assertion.
//!
//! Source: the OAuth 2.0 client credentials grant of Microsoft's identity platform (v2.0).

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::aadsts::{Refusal, hint};
use super::application::Application;
use super::certificate::assertion;
use super::github::GithubJob;
use super::reply::{issued_token, status_text, unavailable};
use super::secret::{Secret, token_in_file};
use super::tenant::is_tenant_id;
use crate::client::http::HttpError;
use crate::client::secret_file::SecretFile;
use crate::client::sign_in::{SignInRequest, SignInTransport};
use crate::client::sign_in_error::SignInError;
use crate::client::token_source::{BoxFuture, Supply, Token, TokenError, TokenSource};
use crate::client::transport::Reply;
use crate::clock::{Clock, Now};

/// How an application proves its identity.
#[derive(Debug)]
pub enum Proof {
    /// A client secret.
    Secret(Secret),
    /// A PEM file with a certificate and its key.
    Certificate(SecretFile),
    /// A file with a token of another issuer, such as a Kubernetes cluster, which rewrites it about once an hour.
    FederatedToken(SecretFile),
    /// A token of a GitHub Actions job.
    Github(Box<GithubJob>),
}

/// The tokens of an application.
#[derive(Debug)]
pub struct Entra {
    application: Application,
    proof: Proof,
    scope: String,
    patience: Duration,
    clock: Clock,
    http: SignInTransport,
}

/// What an application sends as its proof.
struct Evidence {
    text: SecretString,
    is_assertion: bool,
}

impl Entra {
    /// The tokens of an application for `resource`.
    ///
    /// # Errors
    /// If https can't be set up.
    pub fn new(
        application: Application,
        proof: Proof,
        resource: &str,
        patience: Duration,
        clock: Clock,
    ) -> Result<Entra, HttpError> {
        let http = SignInTransport::new(application.host.origin())?;
        let scope = format!("{}/.default", resource.trim_end_matches('/'));
        Ok(Entra { application, proof, scope, patience, clock, http })
    }

    async fn token(&self) -> Result<Token, TokenError> {
        let Application { host, tenant, client_id } = &self.application;
        // A tenant can't change the path: the URL escapes it.
        let mut url = host.origin().url("", None);
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend([tenant, "oauth2", "v2.0", "token"]);
        }
        let evidence = self.evidence(url.as_str()).await?;
        let mut request = SignInRequest::post(url)
            .field("grant_type", "client_credentials")
            .field("client_id", client_id)
            .field("scope", &self.scope);
        request = if evidence.is_assertion {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            request.field("client_assertion_type", kind).secret_field("client_assertion", &evidence.text)
        } else {
            request.secret_field("client_secret", &evidence.text)
        };
        // The lifetime counts from when the response was written: not before this.
        let now = self.clock.now();
        let reply = self.http.send(request).await.map_err(|error| error.into_sign_in(&self.name()))?;
        let issued = issued_token(&self.name(), &reply, now);
        Ok(issued.unwrap_or_else(|| Err(self.refusal(&reply, &evidence, now)))?)
    }

    async fn evidence(&self, audience: &str) -> Result<Evidence, TokenError> {
        Ok(match &self.proof {
            Proof::Secret(secret) => Evidence { text: secret.text().await?, is_assertion: false },
            Proof::Certificate(file) => {
                let pem = file.read_async().await?;
                let signed = assertion(pem.expose_secret(), &self.application.client_id, audience, self.clock.now());
                let text = signed.map_err(|why| SignInError::refused(file.to_string(), why.to_string()))?;
                Evidence { text, is_assertion: true }
            }
            Proof::FederatedToken(file) => Evidence { text: token_in_file(file).await?, is_assertion: true },
            Proof::Github(job) => {
                let audience = self.application.host.federation_audience();
                Evidence { text: job.assertion(&audience).await?, is_assertion: true }
            }
        })
    }

    fn refusal(&self, reply: &Reply, evidence: &Evidence, now: Now) -> SignInError {
        if let Some(unavailable) = unavailable(&self.name(), reply) {
            return unavailable;
        }
        let body = ErrorBody::read(&reply.body);
        let message = body.message().unwrap_or_else(|| status_text(reply));
        if body.error.as_deref() == Some("temporarily_unavailable") {
            return SignInError::Unavailable { from: self.name(), message, retry_after: None };
        }
        let is_federated = matches!(self.proof, Proof::FederatedToken(_) | Proof::Github(_));
        let subject = is_federated.then(|| subject_of(&evidence.text, now.wall)).flatten();
        let refusal = Refusal { codes: &body.codes, application: &self.application, subject: subject.as_deref() };
        SignInError::Refused { from: self.name(), message, hint: hint(&refusal) }
    }
}

impl TokenSource for Entra {
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(self.token())
    }

    fn name(&self) -> String {
        self.application.host.to_string()
    }

    fn supply(&self) -> Supply {
        Supply::Issuer { patience: self.patience }
    }

    /// Known even if the token is opaque. A domain is only another name of a tenant.
    fn tenant_hint(&self) -> Option<String> {
        Some(self.application.tenant.clone()).filter(|tenant| is_tenant_id(tenant))
    }
}

/// The error of a token endpoint (RFC 6749, section 5.2), with Entra's additions.
#[derive(Debug, Default)]
struct ErrorBody {
    error: Option<String>,
    description: Option<String>,
    codes: Vec<u64>,
    trace: Option<String>,
    correlation: Option<String>,
}

impl ErrorBody {
    fn read(body: &[u8]) -> ErrorBody {
        let members: serde_json::Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| members.get(name)?.as_str().map(str::to_owned);
        let codes = members.get("error_codes").and_then(Value::as_array);
        ErrorBody {
            error: text("error"),
            description: text("error_description"),
            codes: codes.into_iter().flatten().filter_map(Value::as_u64).collect(),
            trace: text("trace_id"),
            correlation: text("correlation_id"),
        }
    }

    /// The first line of the description, with the ids by which an administrator finds the attempt in the sign-in log.
    fn message(&self) -> Option<String> {
        let description = self.description.as_deref().or(self.error.as_deref())?;
        let first = description.lines().next().unwrap_or_default();
        let first = first.split(" Trace ID:").next().unwrap_or(first).trim_end();
        let ids = [("trace ID", &self.trace), ("correlation ID", &self.correlation)];
        let ids: Vec<_> = ids.into_iter().filter_map(|(name, id)| Some(format!("{name} {}", id.as_ref()?))).collect();
        Some(if ids.is_empty() { first.to_owned() } else { format!("{first} ({})", ids.join(", ")) })
    }
}

/// Issuer and subject of a federated token, for the administrator who must enter the same in Entra.
fn subject_of(token: &SecretString, now: Timestamp) -> Option<String> {
    let facts = crate::client::claims::subject(token.expose_secret())?;
    let expired = if facts.expires.is_some_and(|at| at <= now) { ", and has expired" } else { "" };
    Some(format!("issuer `{}`, subject `{}`{expired}", facts.issuer, facts.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_first_line_with_ids() {
        let body = br#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: t Correlation ID: c Timestamp: 2026-11-29 12:00:00Z","error_codes":[7000215],"trace_id":"t","correlation_id":"c"}"#;
        let error = ErrorBody::read(body);
        assert_eq!(error.codes, [7_000_215]);
        assert_eq!(
            error.message().as_deref(),
            Some("AADSTS7000215: Invalid client secret provided. (trace ID t, correlation ID c)")
        );
        let lines = br#"{"error":"invalid_client","error_description":"AADSTS700016: No.\r\nTrace ID: t"}"#;
        assert_eq!(ErrorBody::read(lines).message().as_deref(), Some("AADSTS700016: No."));
        assert_eq!(ErrorBody::read(br#"{"error":"invalid_request"}"#).message().as_deref(), Some("invalid_request"));
        for other in [&b"<html>"[..], b"", b"[]", b"7", br#"{"error":7}"#] {
            assert_eq!(ErrorBody::read(other).message(), None);
        }
    }
}
