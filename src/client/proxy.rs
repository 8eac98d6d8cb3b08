//! The proxy between the program and an origin, as the environment names it.
//!
//! Promises: loopback and link-local addresses are reached without a proxy; a proxy's URL is shown without its password.

use std::fmt;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::origin::Origin;
use super::transport::CONNECT;

/// A proxy.
#[derive(Clone, Debug)]
pub struct Proxy(Intercept);

impl Proxy {
    /// The proxy that `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name for this origin.
    #[must_use]
    pub fn for_origin(origin: &Origin) -> Option<Proxy> {
        if origin.is_local() {
            return None;
        }
        let uri = origin.to_string().parse().ok()?;
        Matcher::from_system().intercept(&uri).map(Proxy)
    }

    /// Whether this value of a variable names a proxy. One that does not is ignored, or leads elsewhere.
    #[must_use]
    pub fn is_named_by(value: &str) -> bool {
        let some_origin = http::Uri::from_static("https://example.com");
        let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
        // These end a host. An `@` behind one belongs to a password in which it is not escaped.
        let is_cut = rest.split_once(['/', '?', '#']).is_some_and(|(_, rest)| rest.contains('@'));
        !is_cut && Matcher::builder().all(value).build().intercept(&some_origin).is_some()
    }

    /// Whether its scheme can be used.
    pub(super) fn is_supported(&self) -> bool {
        matches!(self.0.uri().scheme_str(), Some("http" | "https"))
    }

    /// Requests a tunnel once more to get the status of the refusal, which the client's error lacks.
    pub(super) async fn refusal(&self, origin: &Origin) -> Option<u16> {
        let uri = self.0.uri();
        let to = origin.host_and_port();
        let auth = match self.0.basic_auth() {
            Some(auth) => format!("Proxy-Authorization: {}\r\n", auth.to_str().ok()?),
            None => String::new(),
        };
        let asks = async {
            let address = (uri.host()?, uri.port_u16().unwrap_or(80));
            let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
            let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{auth}\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut line = [0; 12];
            stream.read_exact(&mut line).await.ok()?;
            std::str::from_utf8(&line).ok()?.split(' ').nth(1)?.parse().ok()
        };
        let is_plain = uri.scheme_str() == Some("http");
        if is_plain { tokio::time::timeout(CONNECT, asks).await.ok()? } else { None }
    }
}

/// Without its password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.0.uri();
        write!(f, "{}://{}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default())?;
        // The authority would begin with the rest of a password that has an `@`.
        uri.port_u16().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
