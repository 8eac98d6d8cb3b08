//! Managed identity: the identity of the machine or service on which the program runs.
//!
//! Source: API.md's table of endpoints, as `azure-identity` for Python calls them: `IDENTITY_ENDPOINT` with
//! `IDENTITY_HEADER` on App Service and Container Apps, without it on Arc, else the metadata service of virtual machines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::endpoint::IdentityEndpoint;
use super::reply::{issued_token, status_text, unavailable};
use super::secret::text_in;
use crate::client::http::HttpError;
use crate::client::secret_file::SecretFile;
use crate::client::sign_in::{SignInRequest, SignInTransport};
use crate::client::sign_in_error::SignInError;
use crate::client::token_source::{BoxFuture, Supply, Token, TokenError, TokenSource};
use crate::client::transport::Reply;
use crate::clock::Clock;

/// The longest key of Arc's agent, in bytes, by its documentation.
const LONGEST_KEY: u64 = 4096;

/// What answers requests for the machine's identity.
#[derive(Debug)]
pub enum Platform {
    /// The metadata service (IMDS) of a virtual machine or scale set.
    VirtualMachine,
    /// App Service, Functions or Container Apps.
    AppService {
        /// `IDENTITY_HEADER`
        header: SecretString,
    },
    /// The agent of Azure Arc.
    Arc {
        /// The directory in which it keeps its keys, readable only by those who may have the identity.
        keys: PathBuf,
    },
}

/// The identity of this machine, or one that is assigned to it.
#[derive(Debug)]
pub struct ManagedIdentity {
    platform: Platform,
    endpoint: IdentityEndpoint,
    resource: String,
    client_id: Option<String>,
    patience: Duration,
    clock: Clock,
    http: SignInTransport,
}

impl ManagedIdentity {
    /// The identity for `resource`; `client_id` chooses one of several that are assigned to the machine.
    ///
    /// # Errors
    /// If https can't be set up.
    pub fn new(
        platform: Platform,
        endpoint: IdentityEndpoint,
        resource: String,
        client_id: Option<String>,
        patience: Duration,
        clock: Clock,
    ) -> Result<ManagedIdentity, HttpError> {
        let http = SignInTransport::new(&endpoint.origin())?;
        Ok(ManagedIdentity { platform, endpoint, resource, client_id, patience, clock, http })
    }

    fn request(&self) -> SignInRequest {
        let version = match self.platform {
            Platform::VirtualMachine => "2018-02-01",
            Platform::AppService { .. } => "2019-08-01",
            Platform::Arc { .. } => "2020-06-01",
        };
        let mut query = vec![("api-version", version), ("resource", self.resource.as_str())];
        query.extend(self.client_id.as_deref().map(|id| ("client_id", id)));
        let request = SignInRequest::get(self.endpoint.with_query(&query));
        match &self.platform {
            Platform::AppService { header } => request.secret_header("x-identity-header", "", header),
            Platform::VirtualMachine | Platform::Arc { .. } => request.header("metadata", "true"),
        }
    }

    async fn token(&self) -> Result<Token, TokenError> {
        // The lifetime counts from when the response was written: not before this.
        let now = self.clock.now();
        let mut reply = self.send(self.request()).await?;
        if let (Platform::Arc { keys }, 401) = (&self.platform, reply.status) {
            let key = self.key(keys, &reply).await?;
            reply = self.send(self.request().secret_header("authorization", "Basic ", &key)).await?;
        }
        let issued = issued_token(&self.name(), &reply, now);
        Ok(issued.unwrap_or_else(|| Err(self.refusal(&reply)))?)
    }

    async fn send(&self, request: SignInRequest) -> Result<Reply, SignInError> {
        self.http.send(request).await.map_err(|error| {
            // An endpoint that was never reached is not there.
            if !error.may_have_arrived && !self.http.has_responded() {
                return self.refused(error.message, Some("this machine has no managed identity: use another --auth"));
            }
            error.into_sign_in(&self.name())
        })
    }

    /// The key in the file that a challenge names: proof that this process may have the identity.
    async fn key(&self, keys: &Path, challenge: &Reply) -> Result<SecretString, TokenError> {
        let named = challenge.header("www-authenticate").and_then(|value| value.strip_prefix("Basic realm="));
        let path = named.map(|path| PathBuf::from(path.trim_matches('"')));
        // Whoever answers on that port must not choose which file it is sent.
        let is_key = |path: &PathBuf| {
            path.parent() == Some(keys) && path.extension().is_some_and(|extension| extension == "key")
        };
        let Some(path) = path.filter(is_key) else {
            let message = format!("its challenge names no key in {}", keys.display());
            return Err(self.refused(message, None).into());
        };
        // The agent gives its group the right to read it.
        let file = SecretFile { any_mode: true, ..SecretFile::new("key of the Arc agent", &path) };
        let key = text_in(&file).await?;
        if key.expose_secret().len() as u64 > LONGEST_KEY {
            return Err(self
                .refused(format!("the key {} is longer than {LONGEST_KEY} bytes", path.display()), None)
                .into());
        }
        Ok(key)
    }

    fn refusal(&self, reply: &Reply) -> SignInError {
        if let Some(unavailable) = unavailable(&self.name(), reply) {
            return unavailable;
        }
        let message = status_text(reply);
        // A new machine has its identity a moment later (404), and one that is moved can't be asked for a while (410).
        if matches!(self.platform, Platform::VirtualMachine) && matches!(reply.status, 404 | 410) {
            return SignInError::Unavailable { from: self.name(), message, retry_after: None };
        }
        let hint = match (reply.status, &self.client_id) {
            (400, Some(id)) => Some(format!("assign the identity {id} to this machine, or drop the client ID")),
            (400, None) => Some("assign an identity to this machine, or name one with --client-id".to_owned()),
            (401 | 403, _) if matches!(self.platform, Platform::Arc { .. }) => {
                Some("add the user of this process to the group `himds`".to_owned())
            }
            _ => None,
        };
        SignInError::Refused { from: self.name(), message, hint }
    }

    fn refused(&self, message: String, hint: Option<&str>) -> SignInError {
        SignInError::Refused { from: self.name(), message, hint: hint.map(str::to_owned) }
    }
}

impl TokenSource for ManagedIdentity {
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(self.token())
    }

    fn name(&self) -> String {
        let what = match self.platform {
            Platform::VirtualMachine => "the metadata service",
            Platform::AppService { .. } => "App Service",
            Platform::Arc { .. } => "the Arc agent",
        };
        format!("{what} at {}", self.endpoint)
    }

    fn supply(&self) -> Supply {
        Supply::Issuer { patience: self.patience }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn key(realm: &str, keys: &Path) -> Result<String, String> {
        let endpoint = IdentityEndpoint::of_machine("http://127.0.0.1:1/token").expect("loopback");
        let platform = Platform::Arc { keys: keys.to_owned() };
        let (resource, clock) = ("https://api.example".to_owned(), Clock::machine());
        let identity = ManagedIdentity::new(platform, endpoint, resource, None, Duration::ZERO, clock);
        let identity = identity.expect("no certificates needed");
        let headers = vec![("www-authenticate".to_owned(), format!("Basic realm={realm}"))];
        let challenge = Reply { status: 401, headers, body: Vec::new(), incomplete: None };
        let key = identity.key(keys, &challenge).await;
        key.map(|key| key.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn only_keys_of_the_agent_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let keys = dir.path().join("tokens");
        std::fs::create_dir(&keys).expect("makes");
        let write = |path: &Path, text: &str| std::fs::write(path, text).expect("writes");
        write(&keys.join("a.key"), "s3cret\n");
        write(&keys.join("b.key"), &"x".repeat(4097));
        write(&dir.path().join("id_rsa.key"), "theirs");
        write(&keys.join("notes.txt"), "theirs");
        let named = |path: &str| keys.join(path).display().to_string();
        assert_eq!(key(&named("a.key"), &keys).await.as_deref(), Ok("s3cret"));
        assert_eq!(key(&format!("\"{}\"", named("a.key")), &keys).await.as_deref(), Ok("s3cret"), "quoted");
        for path in
            [named("../id_rsa.key"), named("notes.txt"), "/etc/passwd".to_owned(), "a.key".to_owned(), String::new()]
        {
            let error = key(&path, &keys).await.expect_err("is none of its keys");
            assert!(error.contains("its challenge names no key in "), "{error}");
        }
        assert!(key(&named("b.key"), &keys).await.expect_err("too long").contains("longer than 4096 bytes"));
        assert!(
            key(&named("c.key"), &keys).await.expect_err("missing").contains("cannot read the key of the Arc agent")
        );
    }
}
