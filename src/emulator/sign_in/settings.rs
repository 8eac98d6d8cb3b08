//! Sign-in settings: what the endpoints accept, and which tokens they issue.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::faults::SignInFault;
use crate::emulator::request::ApiKind;

/// The tenant of tokens for a domain or a managed identity, if the settings name no other.
pub const TENANT_ID: &str = "7f3c2a10-4b8e-4d6f-9a51-0c2e8d7b6a94";

/// The application of a managed identity, if the settings name no other.
pub const IDENTITY_CLIENT_ID: &str = "2b1d9c64-5e0f-4a37-8c1e-93d4f6a7b805";

/// The issuer of GitHub's assertions.
pub const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";

/// The subject of GitHub's assertions: a branch of a repository.
pub const GITHUB_SUBJECT: &str = "repo:contoso/triage:ref:refs/heads/main";

/// What the sign-in endpoints accept and issue. If they are active, the API accepts only tokens that they issued.
#[derive(Debug)]
pub struct SignIn {
    /// How long an issued token is valid.
    pub lifetime: Duration,
    /// When to renew a token, as the token endpoint says it (`refresh_in`); by default it doesn't.
    pub refresh_in: Option<Duration>,
    /// Whether tokens are opaque instead of JWTs.
    pub is_opaque: bool,
    /// The resources that stand for the classic API, which accepts a token for any of them.
    pub resources: Vec<String>,
    /// The permissions of issued tokens for the classic API.
    pub roles: Vec<String>,
    /// The resources that stand for Graph, which accepts a token for any of them.
    pub graph_resources: Vec<String>,
    /// The permissions of issued tokens for Graph.
    pub graph_roles: Vec<String>,
    /// The only accepted tenant: a GUID or a domain.
    pub tenant: Option<String>,
    /// The only accepted application.
    pub client: Option<String>,
    /// The only accepted client secret.
    pub secret: Option<SecretString>,
    /// The certificate that verifies signatures, as DER; without one, signatures are not verified.
    pub certificate: Option<Vec<u8>>,
    /// The only accepted issuer and subject of a federated assertion.
    pub federated: Option<(String, String)>,
    /// The only accepted `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub github_token: Option<SecretString>,
    /// The only accepted `IDENTITY_HEADER`.
    pub identity_header: Option<SecretString>,
    /// The directory of Arc's key files; without one there is no Arc.
    pub key_directory: Option<PathBuf>,
    /// Requests to the API, counted from 1: the API refuses the token of each from then on.
    pub revoked_at: Vec<u64>,
    /// The faults of the sign-in endpoints, tried in order.
    pub faults: Vec<SignInFault>,
    /// The log of sign-in requests (JSONL), which is appended to. It has no secrets.
    pub log: Option<PathBuf>,
}

impl SignIn {
    /// Endpoints without faults that accept anything well-formed and issue JWTs with the permission to update incidents.
    #[must_use]
    pub fn new(lifetime: Duration) -> SignIn {
        SignIn {
            lifetime,
            refresh_in: None,
            is_opaque: false,
            resources: [
                "https://api.security.microsoft.com",
                "https://api-gcc.security.microsoft.us",
                "https://api-gov.security.microsoft.us",
                "https://api-gcc.securitycenter.microsoft.us",
                "https://api-gov.securitycenter.microsoft.us",
                "8ee8fdad-f234-4243-8f3b-15c294843740",
            ]
            .map(str::to_owned)
            .to_vec(),
            roles: vec!["Incident.ReadWrite.All".to_owned()],
            graph_resources: [
                "https://graph.microsoft.com",
                "https://graph.microsoft.us",
                "https://dod-graph.microsoft.us",
                "00000003-0000-0000-c000-000000000000",
            ]
            .map(str::to_owned)
            .to_vec(),
            graph_roles: vec!["SecurityIncident.ReadWrite.All".to_owned()],
            tenant: None,
            client: None,
            secret: None,
            certificate: None,
            federated: None,
            github_token: None,
            identity_header: None,
            key_directory: None,
            revoked_at: Vec::new(),
            faults: Vec::new(),
            log: None,
        }
    }

    /// The API that a resource stands for, written with or without a `/` at its end; `None` if a token can't be for it.
    pub(super) fn api_of(&self, resource: &str) -> Option<ApiKind> {
        let is_among = |known: &[String]| known.iter().any(|known| known == resource.trim_end_matches('/'));
        if is_among(&self.graph_resources) {
            return Some(ApiKind::Graph);
        }
        is_among(&self.resources).then_some(ApiKind::Classic)
    }

    /// The ID of a tenant that a request named.
    pub(super) fn tenant_id(&self, named: Option<&str>) -> String {
        let named = named.or(self.tenant.as_deref()).filter(|tenant| is_guid(tenant));
        named.unwrap_or(TENANT_ID).to_ascii_lowercase()
    }
}

/// Whether a text is a GUID in its usual form.
pub(super) fn is_guid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.len() == lengths.len() && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && is_hex(part))
}
