//! Sign-in requests: what credentials send, and the response. They are not API requests: they take no permit.
//!
//! Promises: one call is one request on the wire: no retries, no redirects. It ends within [`WHOLE`], its body is bounded,
//! and its secrets are in no error: what a server repeats of them is redacted. Plain http goes only to loopback and
//! link-local addresses, without a proxy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::body_reader::Bounds;
use super::http::{HttpError, client, no_response, receive};
use super::origin::Origin;
use super::proxy::Proxy;
use super::sign_in_error::SignInError;
use super::transport::{Reply, SendError};
use crate::model::call::Obstacle;
use crate::text::Secrets;

/// The longest a request can take.
const WHOLE: Duration = Duration::from_secs(30);

/// A token with every group of a large directory has tens of kilobytes.
const BOUNDS: Bounds = Bounds { kept: 1024 * 1024, all: 4 * 1024 * 1024 };

/// The headers of responses in use, in lower case.
const HEADERS: [&str; 2] = ["retry-after", "www-authenticate"];

/// A request of a credential.
#[derive(Debug)]
pub(super) struct SignInRequest {
    url: Url,
    headers: Vec<(&'static str, SecretString)>,
    form: Option<Vec<(&'static str, SecretString)>>,
    /// What no error may show.
    secrets: Secrets,
}

impl SignInRequest {
    pub(super) fn get(url: Url) -> SignInRequest {
        SignInRequest { url, headers: Vec::new(), form: None, secrets: Secrets::default() }
    }

    /// With a form as its body.
    pub(super) fn post(url: Url) -> SignInRequest {
        SignInRequest { form: Some(Vec::new()), ..SignInRequest::get(url) }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> SignInRequest {
        self.headers.push((name, value.into()));
        self
    }

    /// A header whose value ends with a secret.
    pub(super) fn secret_header(mut self, name: &'static str, scheme: &str, secret: &SecretString) -> SignInRequest {
        self.secrets.add(secret.expose_secret());
        self.header(name, &format!("{scheme}{}", secret.expose_secret()))
    }

    pub(super) fn field(mut self, name: &'static str, value: &str) -> SignInRequest {
        self.form.get_or_insert_default().push((name, value.into()));
        self
    }

    pub(super) fn secret_field(mut self, name: &'static str, value: &SecretString) -> SignInRequest {
        self.secrets.add(value.expose_secret());
        self.field(name, value.expose_secret())
    }
}

/// Sends the requests of a credential to one origin.
#[derive(Debug)]
pub(super) struct SignInTransport {
    client: reqwest::Client,
    origin: Origin,
    proxy: Option<Proxy>,
    /// Whether a response has arrived: then a lost connection is no wrong setting.
    has_responded: AtomicBool,
}

impl SignInTransport {
    /// A transport to this origin.
    ///
    /// # Errors
    /// If TLS can't be set up.
    pub(super) fn new(origin: &Origin) -> Result<SignInTransport, HttpError> {
        let proxy = Proxy::for_origin(origin);
        if let Some(proxy) = proxy.as_ref().filter(|proxy| !proxy.is_supported()) {
            return Err(HttpError::ProxyScheme(proxy.to_string()));
        }
        // A token is requested once an hour: no connection is kept.
        let (client, has_responded) = (client(origin, 0)?, AtomicBool::new(false));
        Ok(SignInTransport { client, origin: origin.clone(), proxy, has_responded })
    }

    /// Whether a response has arrived before.
    pub(super) fn has_responded(&self) -> bool {
        self.has_responded.load(Ordering::Relaxed)
    }

    /// One attempt.
    #[expect(clippy::disallowed_methods, reason = "the one place that sends sign-in requests")]
    pub(super) async fn send(&self, request: SignInRequest) -> Result<Reply, SendError> {
        let (prepared, secrets) = self.prepare(request)?;
        match prepared.send().await {
            Ok(response) => {
                self.has_responded.store(true, Ordering::Relaxed);
                let mut reply = receive(response, None, BOUNDS, |name| HEADERS.contains(&name)).await;
                // Nobody shows the body of a success, and its token may have a part of the assertion.
                if reply.status != 200 {
                    reply.body = secrets.redact_bytes(&reply.body).into_owned();
                }
                Ok(reply)
            }
            Err(error) => {
                let lost = no_response(&error, &self.origin, self.proxy.as_ref()).await;
                let obstacle = lost.obstacle.filter(|_| !self.has_responded());
                Err(SendError { obstacle, ..lost })
            }
        }
    }

    /// The request, and its secrets.
    fn prepare(&self, request: SignInRequest) -> Result<(reqwest::RequestBuilder, Secrets), SendError> {
        let prepared = match &request.form {
            None => self.client.get(request.url),
            Some(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(fields.iter().map(|(name, value)| (name, value.expose_secret())));
                let body = self.client.post(request.url).body(form.finish());
                body.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            }
        };
        let prepared = prepared.timeout(WHOLE).header(ACCEPT, "application/json");
        let prepared = request.headers.iter().try_fold(prepared, |prepared, (name, value)| {
            let mut header = HeaderValue::try_from(value.expose_secret()).map_err(|_| SendError {
                may_have_arrived: false,
                is_reused: false,
                obstacle: None,
                message: format!("the value of the header {name} has a character that a header cannot hold"),
            })?;
            header.set_sensitive(true);
            Ok(prepared.header(HeaderName::from_static(name), header))
        })?;
        Ok((prepared, request.secrets))
    }
}

impl SendError {
    /// The same for a credential that asked `from`. Without an obstacle, asking again may help.
    pub(super) fn into_sign_in(self, from: &str) -> SignInError {
        let (from, message) = (from.to_owned(), self.message);
        match self.obstacle {
            Some(Obstacle::UnknownHost { host, cause }) => SignInError::Refused {
                from,
                message: format!("host `{host}` not found ({cause})"),
                hint: Some("check AZURE_AUTHORITY_HOST, HTTPS_PROXY and the network".to_owned()),
            },
            Some(_) => SignInError::refused(from, message),
            None => SignInError::Unavailable { from, message, retry_after: None },
        }
    }
}
