//! The connections: a listener on loopback, HTTP/1.1 with keep-alive, and responses sent as they were decided.
//!
//! As with a real service, a request that was received takes effect even if its sender is gone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, patch, post};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::faulty_body;
use super::habits::DateHeader;
use super::request::{ApiKind, Call, Received};
use super::response::Delivery;
use super::service::{Decision, Service};
use super::settings::Settings;
use super::sign_in::SignInRequest;
use crate::clock::{BootTime, Clock};
use crate::model::change::IncidentId;

/// The largest body that is read; the response to a larger one is 413.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// How long a stop waits for responses in flight.
const GRACE: Duration = Duration::from_secs(1);

/// A server that runs until it is stopped or dropped.
pub struct Running {
    /// Its address on loopback.
    pub address: SocketAddr,
    wire: Arc<Wire>,
    /// Dropped to stop the server.
    stop: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Running {
    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.wire.service().counters().requests
    }

    /// The 429s among the responses.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.wire.service().counters().throttled
    }

    /// The sign-in requests so far, with all that they contain.
    #[must_use]
    pub fn sign_in_requests(&self) -> Vec<SignInRequest> {
        self.wire.service().sign_in_requests()
    }

    /// The tokens, assertions and keys that the sign-in endpoints have issued so far.
    #[must_use]
    pub fn issued_secrets(&self) -> Vec<SecretString> {
        self.wire.service().issued_secrets()
    }

    /// An incident as the classic API would show it; needs no request.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<serde_json::Value> {
        self.wire.service().incident(id.get(), ApiKind::Classic)
    }

    /// An incident as Graph would show it; needs no request.
    #[must_use]
    pub fn graph_incident(&self, id: IncidentId) -> Option<serde_json::Value> {
        self.wire.service().incident(id.get(), ApiKind::Graph)
    }

    /// Accepts no more requests, waits a moment for responses in flight, and closes.
    pub async fn stop(self) {
        drop(self.stop);
        // If this fails, the runtime is shutting down.
        let _ = self.accepting.await;
    }
}

/// Starts the emulator on loopback, in tasks of this runtime.
///
/// # Errors
/// If the port is taken, the log can't be opened, or the settings can't be served.
pub async fn start(settings: Settings) -> io::Result<Running> {
    let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidInput, message);
    if settings.latency.is_empty() {
        return Err(invalid("the lowest latency is above the highest"));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
    let address = listener.local_addr()?;

    let max_requests = settings.requests_per_connection;
    let clock = Clock::machine();
    let now = clock.now();
    let wire = Arc::new(Wire {
        clock,
        latency: settings.latency.clone(),
        date: settings.habits.date,
        // Not the service's generator: latencies don't influence which requests a fault affects.
        dice: Mutex::new(fastrand::Rng::with_seed(settings.seed.wrapping_add(1))),
        service: Mutex::new(Service::new(settings, now)?),
    });
    let handler = |call| {
        let wire = Arc::clone(&wire);
        move |request: Request| wire.respond(call, request)
    };
    let mut router = Router::new();
    for incidents in ["/api/incidents", "/v1.0/security/incidents"] {
        let incident = patch(handler(Call::Update)).get(handler(Call::Read));
        router = router
            .route(&format!("{incidents}/{{id}}"), incident.fallback(handler(Call::WrongMethod)))
            .route(
                &format!("{incidents}/{{id}}/comments"),
                post(handler(Call::Comment)).fallback(handler(Call::WrongMethod)),
            )
            .route(incidents, get(handler(Call::List)).fallback(handler(Call::WrongMethod)));
    }
    let router = router.fallback(handler(Call::Elsewhere));
    let (stop, stopped) = watch::channel(());
    let accepting = tokio::spawn(accept(listener, router, max_requests, stopped, wire.clock.clone()));
    Ok(Running { address, wire, stop, accepting })
}

/// Accepts connections until the stop, then waits for them to end.
async fn accept(
    listener: TcpListener,
    router: Router,
    max_requests: Option<u64>,
    mut stopped: watch::Receiver<()>,
    clock: Clock,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, router.clone(), max_requests, stopped.clone()))),
                // Too many open files, or a client that has disconnected: neither ends the server.
                Err(_) => clock.sleep_until(clock.now().boot + Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = all_closed => {}
        () = clock.sleep_until(clock.now().boot + GRACE) => {}
    }
    // The remaining connections are stalled by a fault, or idle: dropping the set aborts them.
}

/// Serves one connection. A response that is marked with [`Cut`] ends it instead of being sent.
async fn serve(stream: TcpStream, router: Router, max_requests: Option<u64>, mut stopped: watch::Receiver<()>) {
    // Small responses are sent without delay. If this fails, they are only a little late.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let served = AtomicU64::new(0);
    let service = service_fn(|request| {
        let is_too_many = max_requests.is_some_and(|max| served.fetch_add(1, Ordering::Relaxed) >= max);
        let response = router.call(request);
        async move {
            if is_too_many {
                return Err(io::Error::other("closed while it was idle"));
            }
            let response: Response = response.await.unwrap_or_else(|never| match never {});
            let cut = response.extensions().get::<Cut>().is_some();
            if cut { Err(io::Error::other("cut by a fault")) } else { Ok(response) }
        }
    });
    let connection = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // Why the connection ended, by a fault or by the client, doesn't matter: the log has the requests.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// A whole request.
enum Incoming {
    Api(Received),
    SignIn(SignInRequest),
}

/// Marks a response that is not sent: the connection is closed instead.
#[derive(Clone)]
struct Cut;

/// The state that all connections share.
struct Wire {
    clock: Clock,
    latency: RangeInclusive<Duration>,
    date: DateHeader,
    dice: Mutex<fastrand::Rng>,
    service: Mutex<Service>,
}

impl Wire {
    /// Handles one request.
    async fn respond(self: Arc<Wire>, call: Call, request: Request) -> Response {
        let received = if self.service().is_sign_in(request.uri().path()) {
            Incoming::SignIn(receive_sign_in(request).await)
        } else {
            Incoming::Api(receive(call, request).await)
        };
        let (arrival, departure) = self.draw_latency();
        let wire = Arc::clone(&self);
        let deciding = tokio::spawn(async move {
            wire.clock.sleep_until(arrival).await;
            let mut service = wire.service();
            // Read under the lock, so that the times in the log never decrease.
            let now = wire.clock.now();
            match received {
                Incoming::Api(received) => service.decide(&received, now),
                Incoming::SignIn(request) => service.decide_sign_in(request, now),
            }
        });
        match deciding.await {
            Ok(Ok(decision)) => {
                self.clock.sleep_until(departure).await;
                self.deliver(decision).await
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the emulator's log can't be written");
                cut()
            }
            Err(_) => cut(),
        }
    }

    /// When a request that is sent now arrives, and when its response leaves.
    fn draw_latency(&self) -> (BootTime, BootTime) {
        let sent = self.clock.now().boot;
        let (min, max) = (self.latency.start(), self.latency.end());
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let round_trip = *min + max.saturating_sub(*min).mul_f64(dice.f64());
        (sent + round_trip.mul_f64(dice.f64()), sent + round_trip)
    }

    async fn deliver(&self, decision: Decision) -> Response {
        let Decision { response, delivery, .. } = decision;
        let length = response.body.len();
        let coding = match delivery {
            Delivery::Gzip => Some("gzip"),
            Delivery::Deflate => Some("deflate"),
            _ => None,
        };
        // The length of other bodies is known, or endless.
        let has_length = matches!(delivery, Delivery::Half | Delivery::Slow(_));
        let body = match delivery {
            Delivery::Whole => Body::from(response.body),
            Delivery::Late(delay) => {
                self.clock.sleep_until(self.clock.now().boot + delay).await;
                Body::from(response.body)
            }
            Delivery::Gzip => Body::from(faulty_body::gzip(&response.body)),
            Delivery::Deflate => Body::from(faulty_body::deflate(&response.body)),
            Delivery::Marked => Body::from(format!("\u{feff}{}", response.body)),
            Delivery::Half => faulty_body::half(response.body),
            Delivery::Slow(pause) => faulty_body::slow(response.body, pause, self.clock.clone()),
            Delivery::Endless(start) => faulty_body::endless(start),
            Delivery::Cut => return cut(),
            // Until the client gives up, or the server is stopped.
            Delivery::Stall => std::future::pending().await,
        };
        let mut builder = Response::builder().status(response.status).header(CONTENT_TYPE, response.content_type);
        if let Some(date) = self.date.value(self.clock.now().wall) {
            builder = builder.header(DATE, date);
        }
        if let Some(coding) = coding {
            builder = builder.header(CONTENT_ENCODING, coding);
        }
        if has_length {
            builder = builder.header(CONTENT_LENGTH, length);
        }
        for (name, value) in response.headers {
            builder = builder.header(name, value);
        }
        builder.body(body).unwrap_or_else(|_| cut())
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a whole request, its body up to the limit.
async fn receive(call: Call, request: Request) -> Received {
    let (Parts { method, uri, headers, .. }, body) = request.into_parts();
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let token = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let prefers = |wanted: &str| {
        let all = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(',')).any(|preference| preference.trim().eq_ignore_ascii_case(wanted))
    };
    let media_type = header(CONTENT_TYPE).and_then(|value| value.split(';').next()).map(str::trim);
    Received {
        api: ApiKind::of_path(uri.path()).unwrap_or(ApiKind::Classic),
        call,
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        token: token.filter(|token| !token.is_empty()).map(SecretString::from),
        host: text("host"),
        client_request_id: text("client-request-id"),
        includes_unknown: prefers("include-unknown-enum-members"),
        says_json: media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")),
        body: axum::body::to_bytes(body, LARGEST_BODY).await.ok(),
    }
}

/// Reads a whole sign-in request; a body over the limit counts as empty.
async fn receive_sign_in(request: Request) -> SignInRequest {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    SignInRequest::new(&parts, &body)
}

fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::rules::tests::classic;
    use crate::emulator::{Endpoint, Fault, SignIn};
    use secrecy::ExposeSecret as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn server(faults: &[&str]) -> Running {
        let mut settings = Settings::new(classic());
        settings.faults = faults.iter().map(|fault| fault.parse::<Fault>().expect("a fault")).collect();
        start(settings).await.expect("a free port")
    }

    /// Sends bytes as they are, and reads until the server closes, or `enough` bytes have come.
    async fn exchange(running: &Running, request: &str, enough: u64) -> String {
        let mut stream = TcpStream::connect(running.address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut response = Vec::new();
        // A cut may show as a reset; what came before it is the response.
        let _ = stream.take(enough).read_to_end(&mut response).await;
        String::from_utf8_lossy(&response).into_owned()
    }

    fn update(id: u64, rest: &str) -> String {
        let body = r#"{"status":"Resolved","comment":"seen"}"#;
        format!(
            "PATCH /api/incidents/{id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{rest}\r\n{body}",
            body.len()
        )
    }

    const CLOSE: &str = "Connection: close\r\n";

    #[tokio::test]
    async fn update_response_has_incident_and_date() {
        let running = server(&[]).await;
        let response = exchange(&running, &update(5, CLOSE), u64::MAX).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("\r\ndate: "), "{response}");
        assert!(response.contains(r#""incidentId":5,"#) && response.contains(r#""status":"Resolved""#), "{response}");
        assert_eq!(running.requests(), 1);
        let id = IncidentId::new(5).expect("an id");
        assert_eq!(running.incident(id).expect("exists")["status"], "Resolved");
        running.stop().await;
    }

    #[tokio::test]
    async fn connection_is_kept_alive() {
        let running = server(&[]).await;
        let response = exchange(&running, &(update(1, "") + &update(2, CLOSE)), u64::MAX).await;
        assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 2, "{response}");
    }

    #[tokio::test]
    async fn cut_fault_sends_nothing_half_cut_half() {
        let running = server(&["cut-after@1", "cut-half@2"]).await;
        assert_eq!(exchange(&running, &update(5, ""), u64::MAX).await, "");
        let half = exchange(&running, &update(5, ""), u64::MAX).await;
        let (head, body) = half.split_once("\r\n\r\n").expect("a head");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("the whole length");
        assert_eq!(body.len(), length.parse::<usize>().expect("a number") / 2);
        assert!(body.starts_with(r#"{"incidentId":5,"#), "{body}");
    }

    #[tokio::test]
    async fn slow_response_is_complete_huge_one_endless() {
        let running = server(&["slow@1=0", "huge@2"]).await;
        let slow = exchange(&running, &update(5, CLOSE), u64::MAX).await;
        assert!(slow.ends_with(r#""alerts":[]}"#), "{slow}");
        let enough = 3 * 1024 * 1024;
        assert_eq!(exchange(&running, &update(5, CLOSE), enough).await.len() as u64, enough);
    }

    #[tokio::test]
    async fn other_paths_and_methods_get_api_errors() {
        let running = server(&[]).await;
        let ask = |line: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n{CLOSE}\r\n");
        for (line, status, code) in [
            ("GET /", "404", "\"NotFound\""),
            ("GET /api/incidents/1/alerts", "404", "\"NotFound\""),
            ("GET /api/incidents/..%2f1", "400", "\"InvalidInput\""),
            ("DELETE /api/incidents/1", "405", "\"MethodNotAllowed\""),
            ("GET /api/incidents?$top=1&$filter=status%20eq%20'Active'", "200", "@odata.context"),
            ("GET /api/incidents?$top=1&$filter=status%20eq%20'Resolved'", "200", "\"value\":[]"),
            ("GET /api/incidents?$top=1&$skip=450", "200", "\"incidentId\":50,"),
        ] {
            let response = exchange(&running, &ask(line), u64::MAX).await;
            assert!(
                response.starts_with(&format!("HTTP/1.1 {status} ")) && response.contains(code),
                "{line}: {response}"
            );
        }
    }

    #[tokio::test]
    async fn graph_is_on_the_same_port() {
        let mut settings = Settings::new(classic());
        settings.awaiting_action = [7].into();
        let running = start(settings).await.expect("a free port");
        let graph = |line: &str, headers: &str, body: &str| {
            format!(
                "{line} HTTP/1.1\r\nHost: localhost:9\r\nAuthorization: Bearer any\r\nContent-Type: application/json\r\n\
                 client-request-id: mine\r\n{headers}Content-Length: {}\r\n{CLOSE}\r\n{body}",
                body.len()
            )
        };
        let prefer = "Prefer: return=minimal, include-unknown-enum-members\r\n";
        let comment = r#"{"@odata.type":"microsoft.graph.security.alertComment","comment":"seen"}"#;
        for (line, headers, body, status, part) in [
            ("PATCH /v1.0/security/incidents/5", "", r#"{"status":"resolved"}"#, "200", r#""status":"resolved""#),
            ("POST /v1.0/security/incidents/5/comments", "", comment, "200", r#""comment":"seen""#),
            ("GET /v1.0/security/incidents/5", "", "", "200", r#""status":"resolved""#),
            ("GET /v1.0/security/incidents/7", "", "", "200", r#""status":"unknownFutureValue""#),
            ("GET /v1.0/security/incidents/7", prefer, "", "200", r#""status":"awaitingAction""#),
            ("GET /v1.0/security/incidents?$top=1", "", "", "200", "http://localhost:9/v1.0/security/incidents?"),
            ("GET /v1.0/security/incidents/5/comments", "", "", "405", "innerError"),
            ("POST /v1.0/$batch", "", "{}", "404", "innerError"),
        ] {
            let response = exchange(&running, &graph(line, headers, body), u64::MAX).await;
            assert!(
                response.starts_with(&format!("HTTP/1.1 {status} ")) && response.contains(part),
                "{line}: {response}"
            );
            assert!(response.contains("client-request-id: mine\r\n"), "{line}: {response}");
        }
        let id = IncidentId::new(5).expect("an id");
        assert_eq!(running.incident(id).expect("exists")["status"], "Resolved");
        assert_eq!(running.graph_incident(id).expect("exists")["comments"][0]["comment"], "seen");
    }

    #[tokio::test]
    async fn sign_in_shares_port_but_not_counters() {
        let sign_in = SignIn::new(Duration::from_hours(1));
        let running =
            start(Settings { sign_in: Some(sign_in), ..Settings::new(classic()) }).await.expect("a free port");
        let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://api.security.microsoft.com";
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\n{CLOSE}\r\n");
        let response = exchange(&running, &request, u64::MAX).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        let token = running.issued_secrets().pop().expect("a token");
        assert!(response.contains(token.expose_secret()));
        let update = update(5, CLOSE).replace("Bearer any", &format!("Bearer {}", token.expose_secret()));
        assert!(exchange(&running, &update, u64::MAX).await.starts_with("HTTP/1.1 200 OK\r\n"));
        let kept = running.sign_in_requests();
        assert_eq!((kept.len(), kept[0].endpoint, kept[0].header("metadata")), (1, Endpoint::Imds, Some("true")));
        assert_eq!(kept[0].status, Some(200));
        assert_eq!(running.requests(), 1);
    }

    #[tokio::test]
    async fn sign_in_faults_cut_and_delay() {
        let mut sign_in = SignIn::new(Duration::from_hours(1));
        sign_in.faults = ["drop@1", "slow@2=1ms", "huge@3"].map(|fault| fault.parse().expect("a fault")).into();
        let running =
            start(Settings { sign_in: Some(sign_in), ..Settings::new(classic()) }).await.expect("a free port");
        let request = format!("GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n{CLOSE}\r\n");
        assert_eq!(exchange(&running, &request, u64::MAX).await, "");
        assert!(exchange(&running, &request, u64::MAX).await.starts_with("HTTP/1.1 404 "));
        let enough = 1024 * 1024;
        assert_eq!(exchange(&running, &request, enough).await.len() as u64, enough);
    }

    #[tokio::test]
    async fn used_port_fails_startup() {
        let running = server(&[]).await;
        let taken = Settings { port: running.address.port(), ..Settings::new(classic()) };
        assert_eq!(start(taken).await.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
    }
}
