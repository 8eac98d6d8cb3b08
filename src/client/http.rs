//! HTTP: sends one request of the API and receives its response, with reqwest. Only `sign_in` uses it, too.
//!
//! Promises: one call is one request on the wire: no retries, no redirects. Every call ends within [`WHOLE_CALL`].
//! Bodies are bounded, also after decompression. The token is in one header, marked as sensitive,
//! and in no error.

use std::collections::HashSet;
use std::error::Error as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret as _;

use super::body_reader::{BOUNDS, BodyReader, Bounds};
use super::classify::{CHALLENGE, REQUEST_ID_HEADERS};
use super::connect_only::{ConnectOnly, is_connected};
use super::consent::ConsentedOrigin;
use super::member_filter::Keep;
use super::origin::{LOCALHOST, Origin};
use super::proxy::Proxy;
use super::throttle;
use super::transport::{CONNECT, Reply, Request, SendError, Transport, WHOLE_CALL};
use crate::clock::give_way;
use crate::model::call::Obstacle;
use crate::model::operation::Method;

/// Time limit without a byte of the response.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection that was idle for this long is not reused: servers close theirs after a minute or more, and a request
/// during the close would be needlessly in doubt.
const IDLE: Duration = Duration::from_secs(30);

/// After this time the task that received a connection's response has recorded it.
const NOTED: Duration = Duration::from_millis(100);

/// Sends requests to one origin.
#[derive(Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
    /// Makes a new connection for each request; built when a request is lost on a reused one.
    unpooled: OnceLock<reqwest::Client>,
    /// The local addresses of connections that have served a request.
    served: Mutex<HashSet<SocketAddr>>,
    origin: Origin,
    proxy: Option<Proxy>,
    bounds: Bounds,
}

/// Why there can be no HTTP client: TLS or its certificates.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// TLS, or its certificates.
    #[error("cannot set up https: {0}")]
    Tls(String),
    /// The environment names a proxy of another kind.
    #[error("cannot use the proxy {0}: set HTTPS_PROXY or ALL_PROXY to an http:// or https:// URL, or NO_PROXY")]
    ProxyScheme(String),
}

impl HttpTransport {
    /// A transport to this origin that keeps as many connections as there are concurrent calls.
    ///
    /// # Errors
    /// If TLS can't be set up: the system has no readable certificates.
    pub fn new(consented: &ConsentedOrigin, concurrency: usize) -> Result<HttpTransport, HttpError> {
        let origin = consented.origin();
        let proxy = Proxy::for_origin(origin);
        if let Some(proxy) = proxy.as_ref().filter(|proxy| !proxy.is_supported()) {
            return Err(HttpError::ProxyScheme(proxy.to_string()));
        }
        let (client, unpooled) = (client(origin, concurrency)?, OnceLock::new());
        Ok(HttpTransport { client, unpooled, served: Mutex::default(), origin: origin.clone(), proxy, bounds: BOUNDS })
    }

    /// Connects as for a request: name lookup, proxy, TCP and TLS. No byte of a request leaves.
    ///
    /// # Errors
    /// Why there is no connection.
    #[expect(clippy::disallowed_methods, reason = "its connector sends nothing")]
    pub async fn connect(&self) -> Result<(), SendError> {
        let client = builder(&self.origin, 0).connector_layer(ConnectOnly).build();
        let connected = async { client?.get(self.origin.url("/", None)).send().await };
        match connected.await {
            Err(error) if !is_connected(&error) => Err(self.send_error(&error).await),
            _ => Ok(()),
        }
    }

    /// The client for the next request. After a loss on a reused connection none is reused: this server closes early.
    fn client(&self) -> &reqwest::Client {
        self.unpooled.get().unwrap_or(&self.client)
    }

    fn served(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self, request: &Request) -> Result<reqwest::RequestBuilder, SendError> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Patch => reqwest::Method::PATCH,
            Method::Post => reqwest::Method::POST,
        };
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", request.token.expose_secret())).map_err(|_| SendError {
                may_have_arrived: false,
                is_reused: false,
                obstacle: None,
                message: "the token has a character that a header cannot hold".to_owned(),
            })?;
        bearer.set_sensitive(true);
        let prepared = self
            .client()
            .request(method, self.origin.url(&request.path, request.query.as_deref()))
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            // The body reader inflates, for servers and proxies that compress nevertheless.
            .header(ACCEPT_ENCODING, "identity");
        let prepared = request.headers.iter().fold(prepared, |prepared, (name, value)| prepared.header(name, value));
        Ok(match &request.body {
            Some(body) => prepared.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            None => prepared,
        })
    }
}

/// A client that keeps this many idle connections.
pub(super) fn client(origin: &Origin, idle: usize) -> Result<reqwest::Client, HttpError> {
    builder(origin, idle).build().map_err(|error| HttpError::Tls(innermost(&error)))
}

fn builder(origin: &Origin, idle: usize) -> reqwest::ClientBuilder {
    // Fails if it was already set: a process may create several clients.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .dns_resolver(Arc::new(Names))
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .http1_only()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .referer(false)
        .user_agent(concat!("bulk-triage/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .timeout(WHOLE_CALL)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(idle)
        .https_only(origin.is_https());
    if origin.is_local() {
        builder = builder.no_proxy();
    }
    if origin.is_loopback() {
        let here = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        builder = builder.resolve_to_addrs(LOCALHOST, &here);
    }
    if !origin.is_https() {
        // The system's certificates, which are slow to load and may be missing, are not needed.
        builder = builder.tls_certs_only([]);
    }
    builder
}

impl Transport for HttpTransport {
    fn origin(&self) -> Option<String> {
        Some(self.origin.to_string())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sends")]
    async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let response = match self.prepare(&request)?.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.send_error(&error).await),
        };
        // By now another request may use the connection; `has_served` allows for that.
        if let Some(info) = response.extensions().get::<HttpInfo>() {
            self.served().insert(info.local_addr());
        }
        let is_read =
            |name: &str| throttle::HEADERS.contains(&name) || REQUEST_ID_HEADERS.contains(&name) || name == CHALLENGE;
        let keep = response.status().is_success().then_some(request.keep);
        Ok(receive(response, keep, self.bounds, is_read).await)
    }
}

/// The response, with the headers that `is_read` names.
pub(super) async fn receive(
    mut response: reqwest::Response,
    keep: Option<Keep>,
    bounds: Bounds,
    is_read: impl Fn(&str) -> bool,
) -> Reply {
    let status = response.status().as_u16();
    let headers = response.headers().iter().filter(|(name, _)| is_read(name.as_str()));
    let headers = headers
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let codings = response.headers().get_all(CONTENT_ENCODING).iter();
    let mut reader = BodyReader::new(codings.map(|name| name.to_str().unwrap_or("?")), keep, bounds);
    let is_cut = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if reader.push(&chunk) => {}
            Ok(Some(_) | None) => break false,
            Err(_) => break true,
        }
    };
    let (body, incomplete) = reader.finish(is_cut);
    Reply { status, headers, body, incomplete }
}

/// Why there is no response.
pub(super) async fn no_response(error: &reqwest::Error, origin: &Origin, proxy: Option<&Proxy>) -> SendError {
    let never_left = error.is_connect() || error.is_builder();
    let mut obstacle = if never_left { obstacle(error, origin, proxy) } else { None };
    if let (Some(Obstacle::Proxy { status: status @ None, .. }), Some(proxy)) = (&mut obstacle, proxy) {
        *status = proxy.refusal(origin).await;
    }
    let what = match (never_left, error.is_timeout()) {
        (true, true) => "connection timed out",
        (true, false) => "no connection",
        (false, true) => "response timed out",
        (false, false) => "the connection broke before a response",
    };
    let why = obstacle.as_ref().map_or_else(|| innermost(error), ToString::to_string);
    SendError { may_have_arrived: !never_left, is_reused: false, obstacle, message: format!("{what}: {why}") }
}

impl HttpTransport {
    /// Whether this connection has served a request. A connection returns to the pool a moment before the task that got
    /// the response can record it. On a busy machine that moment can be long, so this checks twice.
    async fn has_served(&self, address: SocketAddr) -> bool {
        if self.served().remove(&address) {
            return true;
        }
        give_way(NOTED).await;
        self.served().remove(&address)
    }

    async fn send_error(&self, error: &reqwest::Error) -> SendError {
        let lost = no_response(error, &self.origin, self.proxy.as_ref()).await;
        let is_reused = match lost_connection(error) {
            Some(address) => self.has_served(address).await,
            None => false,
        };
        if is_reused {
            self.unpooled.get_or_init(|| client(&self.origin, 0).unwrap_or_else(|_| self.client.clone()));
        }
        SendError { is_reused, ..lost }
    }
}

/// The local address of the connection on which a request was lost.
fn lost_connection(error: &reqwest::Error) -> Option<SocketAddr> {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    let connected = causes.find_map(|cause| cause.downcast_ref::<legacy::Error>())?.connect_info()?;
    let mut extras = http::Extensions::new();
    connected.get_extras(&mut extras);
    extras.get::<HttpInfo>().map(HttpInfo::local_addr)
}

/// How glibc and musl say `EAI_AGAIN`: no name server answered, so whether the host exists is open. [`io::Error`] has
/// only the text.
const UNANSWERED_LOOKUP: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

/// Looks names up as the system does, and reports which one is unknown.
#[derive(Debug)]
struct Names;

#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
struct UnknownName {
    host: String,
    cause: io::Error,
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>);
            match found {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs),
                Err(cause) => Err(UnknownName { host, cause }.into()),
            }
        })
    }
}

/// What prevents a connection, if a retry can't fix it.
fn obstacle(error: &reqwest::Error, origin: &Origin, proxy: Option<&Proxy>) -> Option<Obstacle> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(UnknownName { host, cause }) = error.downcast_ref() {
            let (host, cause) = (host.clone(), cause.to_string());
            let is_unanswered = UNANSWERED_LOOKUP.iter().any(|end| cause.ends_with(end));
            return (!is_unanswered).then_some(Obstacle::UnknownHost { host, cause });
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            let (host, cause) = (origin.host().to_owned(), tls.to_string());
            return match tls {
                rustls::Error::InvalidCertificate(_) => Some(Obstacle::Certificate { host, cause }),
                rustls::Error::InvalidMessage(_) | rustls::Error::PeerIncompatible(_) => {
                    Some(Obstacle::Handshake { host, cause })
                }
                _ => None,
            };
        }
        // The type is private to hyper-util.
        let status = match error.to_string().as_str() {
            "tunnel error: proxy authorization required" => Some(Some(407)),
            "tunnel error: unsuccessful" => Some(None),
            _ => None,
        };
        if let (Some(status), Some(proxy)) = (status, proxy) {
            return Some(Obstacle::Proxy { url: proxy.to_string(), status });
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The root cause: the layers above only say that there was one, and where the request was sent.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "the HTTP client failed".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Incomplete;
    use secrecy::SecretString;
    use std::collections::BTreeMap;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A server that answers each connection's first request with these bytes and closes it.
    struct Server {
        listener: TcpListener,
        transport: HttpTransport,
    }

    impl Server {
        async fn start() -> Server {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("a bound socket");
            let origin = ConsentedOrigin::by_user(format!("http://{address}").parse().expect("loopback"));
            Server { listener, transport: HttpTransport::new(&origin, 8).expect("no certificates needed") }
        }

        /// Sends an update; returns what the server received, and the result of `answer`.
        async fn exchange(&self, answer: &[u8]) -> (String, Result<Reply, SendError>) {
            let serve = async {
                let (mut stream, _) = self.listener.accept().await.expect("a connection");
                let mut received = Vec::new();
                while !received.ends_with(BODY.as_bytes()) {
                    assert_ne!(stream.read_buf(&mut received).await.expect("a request"), 0, "the request was cut");
                }
                stream.write_all(answer).await.expect("the client listens");
                String::from_utf8(received).expect("text")
            };
            tokio::join!(serve, self.transport.send(update()))
        }

        async fn reply(&self, answer: &[u8]) -> Reply {
            self.exchange(answer).await.1.expect("an answer")
        }

        /// Answers one request on this connection, cuts the next, and returns both results.
        async fn answer_and_cut(&self) -> [Result<Reply, SendError>; 2] {
            let serve = async {
                let (mut stream, _) = self.listener.accept().await.expect("a connection");
                let mut received = Vec::new();
                for answer in [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".as_slice(), b""] {
                    while !received.ends_with(BODY.as_bytes()) {
                        assert_ne!(stream.read_buf(&mut received).await.expect("a request"), 0, "the request was cut");
                    }
                    received.clear();
                    stream.write_all(answer).await.expect("the client listens");
                }
            };
            let send = async { [self.transport.send(update()).await, self.transport.send(update()).await] };
            tokio::join!(serve, send).1
        }

        /// Whether anybody is waiting to be served.
        async fn is_called(&self) -> bool {
            let accepted = std::future::poll_fn(|context| std::task::Poll::Ready(self.listener.poll_accept(context)));
            accepted.await.is_ready()
        }
    }

    const HALF: Option<Incomplete> = Some(Incomplete::Cut { bytes: 4 });

    const BODY: &str = r#"{"comment":"closed by tuning"}"#;

    fn update() -> Request {
        Request {
            method: Method::Patch,
            path: "/api/incidents/7".to_owned(),
            token: SecretString::from("s3cret"),
            query: None,
            headers: BTreeMap::new(),
            body: Some(BODY.into()),
            keep: Keep { members: Arc::from([]), page: None },
        }
    }

    #[tokio::test]
    async fn only_reused_connections_are_marked_as_reused() {
        let server = Server::start().await;
        let lost = |sent: &Result<Reply, SendError>| sent.as_ref().err().map(|error| error.is_reused);
        assert_eq!(lost(&server.exchange(b"").await.1), Some(false));
        assert_eq!(server.answer_and_cut().await.each_ref().map(lost), [None, Some(true)]);
        // Later requests have new connections, which are not kept.
        let length = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(lost(&server.exchange(length).await.1), None);
        assert_eq!(lost(&server.exchange(b"").await.1), Some(false));
    }

    #[tokio::test]
    async fn request_has_exactly_the_documented_headers() {
        let server = Server::start().await;
        let (received, reply) = server.exchange(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        let (head, body) = received.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("PATCH /api/incidents/7 HTTP/1.1"));
        let mut headers: Vec<_> = lines.map(str::to_ascii_lowercase).collect();
        headers.sort();
        let host = format!("host: {}", server.listener.local_addr().expect("a bound socket"));
        let length = format!("content-length: {}", BODY.len());
        let agent = format!("user-agent: bulk-triage/{}", env!("CARGO_PKG_VERSION"));
        let expected = [
            "accept-encoding: identity",
            "accept: application/json",
            "authorization: bearer s3cret",
            &length,
            "content-type: application/json",
            &host,
            &agent,
        ];
        assert_eq!(headers, expected);
        assert_eq!(body, BODY);
        let reply = reply.expect("an answer");
        assert_eq!((reply.status, reply.body.as_slice(), reply.incomplete), (200, b"{}".as_slice(), None));
    }

    #[tokio::test]
    async fn only_needed_response_headers_are_kept() {
        let server = Server::start().await;
        let answer =
            b"HTTP/1.1 429 Slow\r\nRetry-After: 37\r\nX-Other: 1\r\nRequest-Id: a\xff\r\ncontent-length: 0\r\n\r\n";
        let headers = server.reply(answer).await.headers;
        let expected = [("retry-after", "37"), ("request-id", "a\u{fffd}")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[tokio::test]
    async fn redirect_is_not_followed() {
        let server = Server::start().await;
        let here = server.listener.local_addr().expect("a bound socket");
        let answer = format!("HTTP/1.1 307 Moved\r\nlocation: http://{here}/other\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(server.reply(answer.as_bytes()).await.status, 307);
        assert!(!server.is_called().await);
    }

    #[tokio::test]
    async fn compressed_body_is_decompressed() {
        let server = Server::start().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\ncontent-length: 13\r\n\r\n";
        let body = b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9";
        let head = head.replace("13", &body.len().to_string());
        let reply = server.reply(&[head.as_bytes(), body].concat()).await;
        assert_eq!((reply.body.as_slice(), reply.incomplete), (b"{}".as_slice(), None));
        let unknown =
            server.reply(b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 4\r\n\r\n\x0b\x00{}").await;
        assert_eq!(unknown.incomplete, Some(Incomplete::Coding("br".to_owned())));
    }

    #[tokio::test]
    async fn body_is_read_up_to_the_limit() {
        let mut server = Server::start().await;
        server.transport.bounds.kept = 8;
        let exactly = server.reply(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n12345678").await;
        assert_eq!((exactly.body.as_slice(), exactly.incomplete), (b"12345678".as_slice(), None));
        let longer =
            server.reply(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n").await;
        let too_much = Some(Incomplete::TooMuchInUse { bytes: 8 });
        assert_eq!((longer.body.as_slice(), longer.incomplete), (b"12345678".as_slice(), too_much));
    }

    #[tokio::test]
    async fn truncated_body_is_detected() {
        let server = Server::start().await;
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ] {
            let reply = server.reply(answer.as_bytes()).await;
            assert_eq!((reply.status, reply.body.as_slice(), reply.incomplete), (200, b"half".as_slice(), HALF));
        }
    }

    #[tokio::test]
    async fn connection_lost_before_response_leaves_a_doubt() {
        let server = Server::start().await;
        for answer in [b"".as_slice(), b"HTTP/1.1 200", b"nonsense\r\n\r\n"] {
            let error = server.exchange(answer).await.1.expect_err("no response");
            assert!(error.may_have_arrived, "{error}");
            assert!(!server.is_called().await);
        }
    }

    /// From the moment on that the request has arrived, time runs on as soon as everybody waits: the limits are met
    /// without waiting for them. (Not earlier: connecting would time out.)
    async fn how_long_it_takes(server: &Server, answer: &[u8], drip: &[u8]) -> (Duration, Result<Reply, SendError>) {
        let serve = async {
            let (mut stream, _) = server.listener.accept().await.expect("a connection");
            stream.read_exact(&mut [0; 64]).await.expect("a request");
            tokio::time::pause();
            stream.write_all(answer).await.expect("the client listens");
            let mut ticks = tokio::time::interval(SILENCE * 2 / 3);
            while !drip.is_empty() && stream.write_all(drip).await.is_ok() {
                ticks.tick().await;
            }
            std::future::pending::<()>().await;
        };
        let start = tokio::time::Instant::now();
        tokio::select! {
            () = serve => unreachable!("waits for ever"),
            reply = server.transport.send(update()) => (start.elapsed(), reply),
        }
    }

    #[tokio::test]
    async fn timeout_before_the_response_leaves_a_doubt() {
        let (taken, reply) = how_long_it_takes(&Server::start().await, b"", b"").await;
        assert!(SILENCE <= taken && taken < SILENCE + CONNECT, "{taken:?}");
        let error = reply.expect_err("no response");
        assert!(error.may_have_arrived && error.message.starts_with("response timed out"), "{error}");
    }

    #[tokio::test]
    async fn timeout_within_the_response_truncates_it() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
        let (taken, reply) = how_long_it_takes(&Server::start().await, answer, b"").await;
        assert!(SILENCE <= taken && taken < SILENCE + CONNECT, "{taken:?}");
        let reply = reply.expect("the beginning of an answer");
        assert_eq!((reply.body.as_slice(), reply.incomplete), (b"half".as_slice(), HALF));
    }

    #[tokio::test]
    async fn dripping_response_ends_at_the_timeout() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n";
        let (taken, reply) = how_long_it_takes(&Server::start().await, answer, b"x").await;
        assert!(WHOLE_CALL <= taken && taken < WHOLE_CALL + CONNECT, "{taken:?}");
        assert!(reply.expect("the beginning of an answer").incomplete.is_some());
    }

    /// Each is repeated endlessly, 64 KiB at once: skipped parts end with the request, kept parts at the limit.
    #[tokio::test]
    async fn flooding_response_ends_at_the_timeout() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let after_body = format!("{chunked}2\r\n{{}}\r\n0\r\n");
        let in_chunk_size = format!("{chunked}1;");
        for (start, flood) in [
            ("", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
            ("", "HTTP/1.1 100 Continue\r\n\r\n"),
            ("HTTP/1.1 200 OK\r\n", "x-header: y\r\n"),
            ("HTTP/1.1 200 OK\r\nx-header: ", "y"),
            ("HTTP/1.1 200 ", "OK"),
            (chunked, "1\r\nx\r\n"),
            (&in_chunk_size, "extension"),
            (&after_body, "x-trailer: y\r\n"),
        ] {
            let flood = flood.repeat(64 * 1024 / flood.len());
            let (taken, reply) = how_long_it_takes(&Server::start().await, start.as_bytes(), flood.as_bytes()).await;
            assert!(taken < WHOLE_CALL + CONNECT, "{start:?}: {taken:?}");
            assert!(reply.map_or(true, |reply| reply.incomplete.is_some()), "{start:?}");
            tokio::time::resume();
        }
    }

    /// A second response in the bytes of the first belongs to no request: the next one must come on another connection.
    #[tokio::test]
    async fn smuggled_response_answers_no_request() {
        let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"id\":66}";
        let length = smuggled.len();
        for first in [
            format!("200 OK\r\ncontent-length: 2\r\n\r\n{{}}{smuggled}"),
            format!("200 OK\r\ncontent-length: 2\r\ncontent-length: {}\r\n\r\n{{}}{smuggled}", length + 2),
            format!("200 OK\r\ncontent-length: 2, {}\r\n\r\n{{}}{smuggled}", length + 2),
            format!("200 OK\r\ncontent-length: +2\r\n\r\n{{}}{smuggled}"),
            format!(
                "200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{smuggled}"
            ),
            format!("200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("204 No Content\r\ncontent-length: {length}\r\n\r\n{smuggled}"),
            format!("304 Not Modified\r\ncontent-length: {length}\r\n\r\n{smuggled}"),
        ] {
            let server = Server::start().await;
            let (_, reply) = server.exchange(format!("HTTP/1.1 {first}").as_bytes()).await;
            let body = reply.map(|reply| reply.body).unwrap_or_default();
            assert!(!body.starts_with(b"{\"id\""), "{first}");
            // If the smuggled one answered, nobody would connect.
            let next =
                tokio::time::timeout(WHOLE_CALL, server.reply(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"));
            assert_eq!(next.await.expect("a connection").body, b"[]", "{first}");
        }
    }

    #[tokio::test]
    async fn refused_connection_leaves_no_doubt() {
        let Server { listener, transport } = Server::start().await;
        drop(listener);
        let error = transport.send(update()).await.expect_err("nobody listens");
        assert!(!error.may_have_arrived);
        assert!(error.message.starts_with("no connection: "), "{error}");
    }

    #[tokio::test]
    async fn token_unfit_for_headers_is_never_sent() {
        let server = Server::start().await;
        let request = Request { token: SecretString::from("s3cret\nx"), ..update() };
        let error = server.transport.send(request).await.expect_err("not sent");
        assert!(!error.may_have_arrived && !error.message.contains("s3cret"), "{error}");
        assert!(!server.is_called().await);
    }

    #[tokio::test]
    async fn https_origin_gets_no_plaintext() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let origin = ConsentedOrigin::by_user(format!("https://{address}").parse().expect("https"));
        let transport = HttpTransport::new(&origin, 1).expect("the system's certificates");
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut received = Vec::new();
            stream.read_buf(&mut received).await.expect("a hello");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("the client listens");
            received
        };
        let (received, answer) = tokio::join!(serve, transport.send(update()));
        assert_eq!(received.first(), Some(&0x16), "a TLS handshake");
        let error = answer.expect_err("no TLS there");
        assert!(!error.may_have_arrived, "{error}");
    }
}
