//! GitHub's OIDC endpoint: `GET /github/token?api-version=2.0&audience=…`, which issues assertions for a workflow.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::denied::Denied;
use super::jwt::write;
use super::request::SignInRequest;
use super::settings::{GITHUB_ISSUER, GITHUB_SUBJECT, SignIn};
use crate::emulator::response::{ApiResponse, new_id};

/// How long an assertion is valid, in seconds.
const LIFETIME: i64 = 300;

/// The assertions that GitHub has issued.
#[derive(Default)]
pub(super) struct Assertions(Vec<SecretString>);

impl Assertions {
    pub(super) fn is_issued(&self, assertion: &str) -> bool {
        self.0.iter().any(|issued| issued.expose_secret() == assertion)
    }

    pub(super) fn all(&self) -> &[SecretString] {
        &self.0
    }

    /// Decides a request for an assertion.
    ///
    /// # Errors
    /// If it is refused.
    pub(super) fn decide(
        &mut self,
        request: &SignInRequest,
        settings: &SignIn,
        secrets: &mut fastrand::Rng,
        now: Timestamp,
    ) -> Result<ApiResponse, Denied> {
        if request.method != "GET" {
            return Err(Denied::Plain { status: 405, message: "method not allowed" });
        }
        let token = request.header("authorization").and_then(|value| value.strip_prefix("bearer "));
        let is_other = |expected: &SecretString| Some(expected.expose_secret()) != token;
        if token.is_none_or(str::is_empty) || settings.github_token.as_ref().is_some_and(is_other) {
            return Err(Denied::Plain { status: 401, message: "the request token is missing or wrong" });
        }
        // It is in the URL that a workflow gets.
        if request.parameter("api-version") != Some("2.0") {
            return Err(Denied::Plain { status: 400, message: "the query of the URL is missing" });
        }
        let audience = request.parameter("audience").unwrap_or("https://github.com/contoso");
        let claims = json!({
            "jti": new_id(secrets),
            "sub": GITHUB_SUBJECT,
            "aud": audience,
            "ref": "refs/heads/main",
            "repository": "contoso/triage",
            "iss": GITHUB_ISSUER,
            "nbf": now.as_second(),
            "iat": now.as_second(),
            "exp": now.as_second() + LIFETIME,
        });
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": new_id(secrets)});
        let assertion = write(&header, &claims, secrets);
        self.0.push(assertion.clone().into());
        Ok(ApiResponse::json(200, json!({"value": assertion})))
    }
}
