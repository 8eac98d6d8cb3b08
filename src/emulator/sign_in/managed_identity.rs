//! Managed identities: the metadata service of a virtual machine (IMDS), that of Azure Arc, and App Service.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::denied::Denied;
use super::grant::{Grant, NumberForm};
use super::jwt::random_text;
use super::request::SignInRequest;
use super::settings::{IDENTITY_CLIENT_ID, SignIn};
use crate::emulator::response::new_id;
use crate::files::{For, open_own};

/// The key that Arc expects next.
#[derive(Default)]
pub(super) struct ArcKey {
    current: Option<(PathBuf, SecretString)>,
    /// All keys so far.
    all: Vec<SecretString>,
}

/// Decides a request to IMDS.
///
/// # Errors
/// If it is refused.
pub(super) fn imds(request: &SignInRequest, settings: &SignIn) -> Result<Grant, Denied> {
    expect_metadata(request)?;
    grant(request, "2018-02-01", settings)
}

/// Decides a request to App Service.
///
/// # Errors
/// If it is refused.
pub(super) fn app_service(request: &SignInRequest, settings: &SignIn) -> Result<Grant, Denied> {
    let header = request.header("x-identity-header");
    let is_other = |expected: &SecretString| Some(expected.expose_secret()) != header;
    if header.is_none() || settings.identity_header.as_ref().is_some_and(is_other) {
        return Err(Denied::Plain { status: 401, message: "X-IDENTITY-HEADER is missing or wrong" });
    }
    grant(request, "2019-08-01", settings)
}

impl ArcKey {
    /// All keys so far.
    pub(super) fn all(&self) -> &[SecretString] {
        &self.all
    }

    /// Decides a request to Arc. The first one gets a challenge, with a new key in a new file.
    ///
    /// # Errors
    /// If the key file can't be written. Then, whether the request is refused.
    pub(super) fn decide(
        &mut self,
        request: &SignInRequest,
        settings: &SignIn,
        secrets: &mut fastrand::Rng,
    ) -> io::Result<Result<Grant, Denied>> {
        let Some(directory) = &settings.key_directory else {
            return Ok(Err(Denied::Plain { status: 404, message: "the emulator has no directory for Arc's keys" }));
        };
        if let Err(denied) = expect_metadata(request) {
            return Ok(Err(denied));
        }
        let key = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
        let current = self.current.take();
        if let Some((path, _)) = &current {
            // Each key is good for one request. If its file stays, it is of no use.
            let _ = std::fs::remove_file(path);
        }
        match (key, current) {
            (Some(key), Some((_, expected))) if key == expected.expose_secret() => {
                Ok(grant(request, "2020-06-01", settings))
            }
            _ => self.challenge(directory, secrets).map(Err),
        }
    }

    fn challenge(&mut self, directory: &Path, secrets: &mut fastrand::Rng) -> io::Result<Denied> {
        let path = directory.join(format!("{}.key", new_id(secrets)));
        let key = random_text(64, secrets);
        open_own(&path, For::Creating)?.write_all(key.as_bytes())?;
        let key = SecretString::from(key);
        self.all.push(key.clone());
        self.current = Some((path.clone(), key));
        Ok(Denied::Challenge(path.to_string_lossy().into_owned()))
    }
}

fn expect_metadata(request: &SignInRequest) -> Result<(), Denied> {
    match request.header("metadata") {
        Some("true") => Ok(()),
        _ => Err(Denied::identity("Required metadata header not specified")),
    }
}

/// The part that all of them share.
fn grant(request: &SignInRequest, version: &str, settings: &SignIn) -> Result<Grant, Denied> {
    if request.method != "GET" {
        return Err(Denied::Plain { status: 405, message: "method not allowed" });
    }
    if request.parameter("api-version") != Some(version) {
        return Err(Denied::identity(format!("api-version must be {version}")));
    }
    let resource = request.parameter("resource").filter(|resource| settings.api_of(resource).is_some());
    let Some(resource) = resource else {
        let description = "The resource principal was not found: `resource` must be the API, without `/.default`.";
        return Err(Denied::Identity { status: 400, error: "invalid_resource", description: description.to_owned() });
    };
    let named = request.query.iter().any(|(name, _)| name == "client_id");
    let client = request.parameter("client_id");
    let is_other = |client: &str| settings.client.as_deref().is_some_and(|known| !known.eq_ignore_ascii_case(client));
    if (named && client.is_none()) || client.is_some_and(is_other) {
        return Err(Denied::identity("Identity not found"));
    }
    Ok(Grant {
        resource: resource.to_owned(),
        tenant: settings.tenant_id(None),
        client: client.or(settings.client.as_deref()).unwrap_or(IDENTITY_CLIENT_ID).to_owned(),
        numbers: NumberForm::Strings,
    })
}
