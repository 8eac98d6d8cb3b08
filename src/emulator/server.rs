//! The wire: a listener on loopback, HTTP/1.1 with connections that stay open, and answers that leave as they were
//! decided.
//!
//! A request that was received is decided even where its sender is gone by then: so it is with a real service.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, patch};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::faults::Faults;
use super::faulty_body;
use super::incidents::Incidents;
use super::request_log::RequestLog;
use super::service::{Beginning, Call, Decision, Delivery, Received, Service};
use super::throttle::ThrottleForm;
use crate::clock::{BootTime, Clock};
use crate::contract::Contract;
use crate::row::IncidentId;
use crate::window::Quota;

/// The largest body that is read; above it the answer is 413.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// How long a stop waits for the answers that are under way.
const GRACE: Duration = Duration::from_secs(1);

/// What the emulator shall be.
#[derive(Debug)]
pub struct Settings {
    /// Whose path, properties and rules.
    pub contract: Contract,
    /// 0 takes a free one.
    pub port: u16,
    /// The bearer token; without one, any that is not empty is taken.
    pub token: Option<SecretString>,
    /// In the place of the contract's.
    pub quota: Option<Quota>,
    /// How long a request takes on its way in and its way back, together. Drawn for each, and divided by chance, so
    /// that requests overtake one another as they do on a network.
    pub latency: RangeInclusive<Duration>,
    /// Which exist.
    pub incidents: Incidents,
    /// Which were merged into which.
    pub merged: BTreeMap<u64, u64>,
    /// What goes wrong.
    pub faults: Faults,
    /// How a 429 says its time.
    pub throttle_form: ThrottleForm,
    /// Where each request is written, as JSONL. Added to.
    pub log: Option<PathBuf>,
    /// For latencies, chances and tracking ids.
    pub seed: u64,
}

impl Settings {
    /// A friendly server: every incident, no latency, no fault, any token, any port.
    #[must_use]
    pub fn new(contract: Contract) -> Settings {
        Settings {
            contract,
            port: 0,
            token: None,
            quota: None,
            latency: Duration::ZERO..=Duration::ZERO,
            incidents: Incidents::every(),
            merged: BTreeMap::new(),
            faults: Faults::default(),
            throttle_form: ThrottleForm::default(),
            log: None,
            seed: 0,
        }
    }
}

/// A server that runs until it is stopped or dropped.
pub struct Running {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    wire: Arc<Wire>,
    /// Its end is the sign to stop.
    stop: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Running {
    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that have come.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.wire.service().counters().requests
    }

    /// The 429s among the answers.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.wire.service().counters().throttled
    }

    /// An incident as the API would show it, without a call that counts.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<serde_json::Value> {
        self.wire.service().incident(id.get())
    }

    /// Takes no more requests, waits a moment for the answers under way, and closes.
    pub async fn stop(self) {
        drop(self.stop);
        // It ends by itself, or is ended by the runtime's own end.
        let _ = self.accepting.await;
    }
}

/// Starts the emulator on loopback, in tasks of this runtime.
///
/// # Errors
/// Where the port is taken, the log can't be opened, or the settings can't be served.
pub async fn start(settings: Settings) -> io::Result<Running> {
    let Settings { contract, port, token, quota, latency, incidents, merged, faults, throttle_form, log, seed } =
        settings;
    let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidInput, message);
    if latency.is_empty() {
        return Err(invalid("the lowest latency is above the highest"));
    }
    let list_path = contract.path.strip_suffix("/{id}").filter(|path| is_plain(path)).map(str::to_owned);
    let list_path = list_path.ok_or_else(|| invalid("the contract's path must end in `/{id}`"))?;
    let log = log.as_deref().map(RequestLog::open).transpose()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;

    let clock = Clock::machine();
    let beginning = Beginning {
        quota: quota.unwrap_or_else(|| contract.quota.clone()),
        form: throttle_form,
        now: clock.now(),
        contract,
        token,
        incidents,
        merged,
        faults,
        log,
        seed,
    };
    let wire = Arc::new(Wire {
        clock,
        latency,
        // Apart from the service's dice: how long requests take doesn't move which ones a fault strikes.
        dice: Mutex::new(fastrand::Rng::with_seed(seed.wrapping_add(1))),
        service: Mutex::new(Service::new(beginning)),
    });
    let router = Router::new()
        .route(&format!("{list_path}/{{id}}"), patch(update).get(read).fallback(wrong_method))
        .route(&list_path, get(list).fallback(wrong_method))
        .fallback(elsewhere)
        .with_state(Arc::clone(&wire));
    let (stop, stopped) = watch::channel(());
    let accepting = tokio::spawn(accept(listener, router, stopped, wire.clock.clone()));
    Ok(Running { address, wire, stop, accepting })
}

/// Whether a path holds nothing that routing would read as more than text.
fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
    path.starts_with('/') && path.bytes().all(plain)
}

/// Takes connections until it is told to stop; then waits for them.
async fn accept(listener: TcpListener, router: Router, mut stopped: watch::Receiver<()>, clock: Clock) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, router.clone(), stopped.clone()))),
                // Too many open files, or a client that is gone already: neither ends the server.
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
    // What is left is stalled by a fault, or idle at the other end: the set aborts it as it goes.
}

/// Serves one connection. A handler that asks for a cut ends it without an answer.
async fn serve(stream: TcpStream, router: Router, mut stopped: watch::Receiver<()>) {
    // Small answers leave at once; where that can't be set, they leave a little later.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| {
        let answered = router.call(request);
        async move {
            let response: Response = answered.await.unwrap_or_else(|never| match never {});
            let cut = response.extensions().get::<Cut>().is_some();
            if cut { Err(io::Error::other("cut by a fault")) } else { Ok(response) }
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // How a connection ends, cut by a fault or by the client, is of no interest here: the log has the requests.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Marks a response that shall not leave: the connection is closed instead.
#[derive(Clone)]
struct Cut;

async fn update(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    wire.answer(Call::Update, request).await
}

async fn read(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    wire.answer(Call::Read, request).await
}

async fn list(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    wire.answer(Call::List, request).await
}

async fn elsewhere(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    wire.answer(Call::Elsewhere, request).await
}

async fn wrong_method(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    wire.answer(Call::WrongMethod, request).await
}

/// What all connections share.
struct Wire {
    clock: Clock,
    latency: RangeInclusive<Duration>,
    dice: Mutex<fastrand::Rng>,
    service: Mutex<Service>,
}

impl Wire {
    /// One request from the wire to the wire.
    async fn answer(self: Arc<Wire>, call: Call, request: Request) -> Response {
        let received = receive(call, request).await;
        let (arrives, leaves) = self.draw_latency();
        let wire = Arc::clone(&self);
        let deciding = tokio::spawn(async move {
            wire.clock.sleep_until(arrives).await;
            let mut service = wire.service();
            // Read under the lock: the times in the log never go back.
            let now = wire.clock.now();
            service.decide(&received, now)
        });
        match deciding.await {
            Ok(Ok(decision)) => {
                self.clock.sleep_until(leaves).await;
                self.deliver(decision).await
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the emulator's log can't be written");
                cut()
            }
            Err(_) => cut(),
        }
    }

    /// When a request that is sent now arrives, and when its answer does.
    fn draw_latency(&self) -> (BootTime, BootTime) {
        let sent = self.clock.now().boot;
        let (least, most) = (self.latency.start(), self.latency.end());
        let (way_in, both) = {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            let both = *least + most.saturating_sub(*least).mul_f64(dice.f64());
            (both.mul_f64(dice.f64()), both)
        };
        (sent + way_in, sent + both)
    }

    async fn deliver(&self, decision: Decision) -> Response {
        let Decision { answer, delivery } = decision;
        let body = match delivery {
            Delivery::Whole => Body::from(answer.body),
            Delivery::Half => faulty_body::half(answer.body),
            Delivery::Slow(pause) => faulty_body::slow(answer.body, pause, self.clock.clone()),
            Delivery::Endless => faulty_body::endless(),
            Delivery::Cut => return cut(),
            // Until the client gives up, or the server is stopped.
            Delivery::Stall => std::future::pending().await,
        };
        let mut response = Response::builder().status(answer.status).header(CONTENT_TYPE, answer.content_type);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        response.body(body).unwrap_or_else(|_| cut())
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a request whole, its body up to the bound.
async fn receive(call: Call, request: Request) -> Received {
    let (Parts { method, uri, headers, .. }, body) = request.into_parts();
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let token = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    let media_type = header(CONTENT_TYPE).and_then(|value| value.split(';').next()).map(str::trim);
    Received {
        call,
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        token: token.filter(|token| !token.is_empty()).map(SecretString::from),
        says_json: media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")),
        body: axum::body::to_bytes(body, LARGEST_BODY).await.ok(),
    }
}

fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}
