//! The federated token of a GitHub Actions job: an assertion about the job, for a sign-in host.
//!
//! Source: GitHub's page "`OpenID` Connect reference". The job needs `permissions: id-token: write`.

use secrecy::SecretString;

use super::endpoint::IdentityEndpoint;
use super::reply::{status_text, unavailable};
use crate::client::http::HttpError;
use crate::client::sign_in::{SignInRequest, SignInTransport};
use crate::client::sign_in_error::SignInError;
use crate::client::transport::Reply;

/// Where a job requests its assertions.
#[derive(Debug)]
pub struct GithubJob {
    endpoint: IdentityEndpoint,
    token: SecretString,
    http: SignInTransport,
}

impl GithubJob {
    /// `endpoint` and `token` are `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    ///
    /// # Errors
    /// If https can't be set up.
    pub fn new(endpoint: IdentityEndpoint, token: SecretString) -> Result<GithubJob, HttpError> {
        let http = SignInTransport::new(&endpoint.origin())?;
        Ok(GithubJob { endpoint, token, http })
    }

    /// An assertion for this audience. It lives for minutes: each token needs one of its own.
    pub(super) async fn assertion(&self, audience: &str) -> Result<SecretString, SignInError> {
        let request = SignInRequest::get(self.endpoint.with_query(&[("audience", audience)])).secret_header(
            "authorization",
            "bearer ",
            &self.token,
        );
        let from = self.endpoint.to_string();
        let reply = self.http.send(request).await.map_err(|error| error.into_sign_in(&from))?;
        if reply.status != 200 || reply.incomplete.is_some() {
            return Err(refusal(from, &reply));
        }
        let body = serde_json::from_slice::<Body>(&reply.body);
        body.map(|body| body.value)
            .map_err(|_| SignInError::refused(from, "its response is not JSON with an assertion"))
    }
}

/// The body of a successful response.
#[derive(serde::Deserialize)]
struct Body {
    value: SecretString,
}

fn refusal(from: String, reply: &Reply) -> SignInError {
    if let Some(unavailable) = unavailable(&from, reply) {
        return unavailable;
    }
    let hint = "give the job `permissions: id-token: write`; the variables of an earlier job are not valid".to_owned();
    SignInError::Refused { from, message: status_text(reply), hint: Some(hint) }
}
