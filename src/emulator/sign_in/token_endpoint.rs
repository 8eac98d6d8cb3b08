//! The token endpoint of Entra, version 2: `POST /{tenant}/oauth2/v2.0/token` with a client secret, an assertion that is
//! signed with a certificate, or a federated assertion.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;
use webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY;

use super::denied::{Denied, entra_message};
use super::github::Assertions;
use super::grant::{Grant, NumberForm};
use super::jwt::Jwt;
use super::request::SignInRequest;
use super::settings::{GITHUB_ISSUER, SignIn, is_guid};

/// The audiences of federated assertions, by cloud.
const EXCHANGES: [&str; 3] =
    ["api://AzureADTokenExchange", "api://AzureADTokenExchangeUSGov", "api://AzureADTokenExchangeChina"];

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest validity of an assertion that is signed with a certificate, in seconds.
const LONGEST_ASSERTION: i64 = 600;

/// How far the clocks may differ, in seconds.
const CLOCK_SKEW: i64 = 300;

/// What the endpoint remembers.
#[derive(Default)]
pub(super) struct TokenEndpoint {
    /// The `jti` of the assertions so far.
    used: HashSet<String>,
}

impl TokenEndpoint {
    /// Decides a request.
    ///
    /// # Errors
    /// If it is refused.
    pub(super) fn decide(
        &mut self,
        request: &SignInRequest,
        settings: &SignIn,
        assertions: &Assertions,
        now: Timestamp,
    ) -> Result<Grant, Denied> {
        if request.method != "POST" {
            let message = format!("The endpoint only accepts POST requests. Received a {} request.", request.method);
            return Err(Denied::entra(900_561, message));
        }
        let tenant = request.path.split('/').nth(1).unwrap_or_default();
        let is_tenant = is_guid(tenant) || is_domain(tenant);
        if !is_tenant || settings.tenant.as_deref().is_some_and(|expected| !expected.eq_ignore_ascii_case(tenant)) {
            return Err(Denied::entra(90_002, format!("Tenant '{tenant}' not found. {}", entra_message(90_002))));
        }
        if !request.query.is_empty() {
            return Err(Denied::entra(90_014, "The parameters belong into the request body, not into the query."));
        }
        let field = |name: &str| {
            let message = format!("The request body must contain the following parameter: '{name}'.");
            request.field(name).ok_or_else(|| Denied::entra(900_144, message))
        };
        if field("grant_type")? != "client_credentials" {
            return Err(Denied::entra(70_003, "The app requested an unsupported grant type."));
        }
        let client = field("client_id")?;
        if !is_guid(client) || settings.client.as_deref().is_some_and(|expected| !expected.eq_ignore_ascii_case(client))
        {
            return Err(Denied::entra(700_016, format!("Application with identifier '{client}' was not found.")));
        }
        let resource = resource_of(field("scope")?)?;
        if settings.api_of(resource).is_none() {
            let message = format!("The resource principal named {resource} was not found in the tenant.");
            return Err(Denied::entra(500_011, message));
        }
        match (request.field("client_secret"), request.field("client_assertion")) {
            (Some(secret), None) => {
                let is_other = |expected: &secrecy::SecretString| expected.expose_secret() != secret;
                if settings.secret.as_ref().is_some_and(is_other) {
                    return Err(Denied::entra(7_000_215, entra_message(7_000_215)));
                }
            }
            (None, Some(assertion)) => {
                if field("client_assertion_type")? != ASSERTION_TYPE {
                    return Err(Denied::entra(50_027, "The client assertion type is not supported."));
                }
                let jwt = Jwt::read(assertion);
                let jwt = jwt.ok_or_else(|| Denied::entra(50_027, "JWT token is invalid or malformed."))?;
                if jwt.claim("iss") == Some(client) {
                    self.check_certificate(&jwt, request, client, settings, now)?;
                } else {
                    self.check_federated(assertion, &jwt, settings, assertions, now)?;
                }
            }
            _ => {
                let message = "The request body must contain either 'client_assertion' or 'client_secret'.";
                return Err(Denied::entra(7_000_218, message));
            }
        }
        Ok(Grant {
            resource: resource.to_owned(),
            tenant: settings.tenant_id(Some(tenant)),
            client: client.to_owned(),
            numbers: NumberForm::Numbers,
        })
    }

    /// Checks an assertion that the client signed with its certificate.
    fn check_certificate(
        &mut self,
        jwt: &Jwt<'_>,
        request: &SignInRequest,
        client: &str,
        settings: &SignIn,
        now: Timestamp,
    ) -> Result<(), Denied> {
        let refused = |why: &str| Err(Denied::entra(700_027, format!("Client assertion failed validation: {why}.")));
        let header = |name: &str| jwt.header.get(name).and_then(|value| value.as_str());
        if header("alg") != Some("PS256") || header("typ") != Some("JWT") {
            return refused("the header must have `alg` PS256 and `typ` JWT");
        }
        let Some(thumbprint) = header("x5t#S256") else { return refused("the header has no `x5t#S256`") };
        if let Some(certificate) = &settings.certificate {
            if thumbprint != BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(certificate)) {
                return refused("the thumbprint is that of another certificate");
            }
            if !is_signed_by(certificate, jwt) {
                return refused("the signature is invalid");
            }
        }
        let endpoint = format!("://{}{}", request.header("host").unwrap_or_default(), request.path);
        // A proxy before the emulator may speak https.
        if !["http", "https"].iter().any(|scheme| jwt.has_audience(&format!("{scheme}{endpoint}"))) {
            return refused("`aud` is not this token endpoint");
        }
        if jwt.claim("sub") != Some(client) {
            return refused("`sub` is not the client ID");
        }
        let (Some(from), Some(issued), Some(until)) = (jwt.seconds("nbf"), jwt.seconds("iat"), jwt.seconds("exp"))
        else {
            return refused("`nbf`, `iat` and `exp` must be numbers");
        };
        if until - issued > LONGEST_ASSERTION {
            return refused("it is valid for more than 10 minutes");
        }
        let now = now.as_second();
        if until <= now || from > now + CLOCK_SKEW || issued > now + CLOCK_SKEW {
            return Err(Denied::entra(700_024, entra_message(700_024)));
        }
        match jwt.claim("jti").filter(|id| is_guid(id)) {
            None => refused("`jti` is not a GUID"),
            Some(id) if !self.used.insert(id.to_owned()) => refused("`jti` was used before"),
            Some(_) => Ok(()),
        }
    }

    /// Checks an assertion of another issuer. One of GitHub's can be used once.
    fn check_federated(
        &mut self,
        assertion: &str,
        jwt: &Jwt<'_>,
        settings: &SignIn,
        assertions: &Assertions,
        now: Timestamp,
    ) -> Result<(), Denied> {
        let (Some(issuer), Some(subject)) = (jwt.claim("iss"), jwt.claim("sub")) else {
            return Err(Denied::entra(50_027, "JWT token is invalid: it has no issuer or subject."));
        };
        if !EXCHANGES.iter().any(|exchange| jwt.has_audience(exchange)) {
            let message = "No matching federated identity record found for presented assertion audience.";
            return Err(Denied::entra(700_212, message));
        }
        let is_known =
            |(known_issuer, known_subject): &(String, String)| known_issuer == issuer && known_subject == subject;
        if !settings.federated.as_ref().is_none_or(is_known) {
            let message = format!("{} Issuer: '{issuer}', subject: '{subject}'.", entra_message(70_021));
            return Err(Denied::entra(70_021, message));
        }
        let is_early = jwt.seconds("nbf").is_some_and(|from| from > now.as_second() + CLOCK_SKEW);
        if is_early || jwt.seconds("exp").is_none_or(|until| until <= now.as_second()) {
            return Err(Denied::entra(700_024, entra_message(700_024)));
        }
        if issuer == GITHUB_ISSUER {
            if !assertions.is_issued(assertion) {
                return Err(Denied::entra(
                    50_012,
                    "Signature verification failed: GitHub did not issue the assertion.",
                ));
            }
            if !jwt.claim("jti").is_some_and(|id| self.used.insert(id.to_owned())) {
                return Err(Denied::entra(700_024, "The assertion of GitHub was used before."));
            }
        }
        Ok(())
    }
}

/// The resource of a scope, which must be exactly one with `/.default` at its end.
fn resource_of(scope: &str) -> Result<&str, Denied> {
    let resource = scope.strip_suffix("/.default").filter(|resource| !resource.is_empty() && !resource.contains(' '));
    let message =
        "The provided value for the input parameter 'scope' is not valid. It must be one resource with /.default.";
    resource.ok_or_else(|| Denied::entra(70_011, message))
}

fn is_domain(text: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text.contains('.') && text.split('.').all(is_label)
}

/// Whether the certificate's RSA key signed a JWT by PS256.
fn is_signed_by(certificate: &[u8], jwt: &Jwt<'_>) -> bool {
    let certificate = CertificateDer::from(certificate);
    let Ok(certificate) = EndEntityCert::try_from(&certificate) else { return false };
    let (signed, signature) = (jwt.signed.as_bytes(), &jwt.signature);
    certificate.verify_signature(RSA_PSS_2048_8192_SHA256_LEGACY_KEY, signed, signature).is_ok()
}
