//! A journal, a scripted service, and a listener that records the events.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::apply::events::{Event, Listener};
use crate::apply::{EngineEnd, EngineSettings, apply};
use crate::client::{Client, Reply, Request, SendError, TokenCache, Transport};
use crate::clock::{BootTime, Clock, Now};
use crate::contract::{Contract, load};
use crate::input::InputShape;
use crate::journal::{Durability, Journal, LoadRow, RunHandle, RunKey, RunMetadata};
use crate::model::change::{Change, IncidentId, TenantKey};
use crate::model::operation::Method;
use crate::model::outcome::ResultRow;
use crate::model::setting::Settings;

/// Start of the clock, in seconds since the machine's boot.
pub(super) const START: i64 = 1_000;

/// A request that the service received: milliseconds since the start, and `PATCH 7`, `GET 7` or `LIST` with the query.
pub(super) type Seen = (i64, String);

/// The latency in milliseconds and the response to the n-th request, from 0.
pub(super) type Script = Box<dyn Fn(usize, &str) -> (u64, Result<Reply, SendError>) + Send + Sync>;

/// No request has left.
pub(super) fn no_connection() -> Result<Reply, SendError> {
    Err(SendError { may_have_arrived: false, is_reused: false, obstacle: None, message: "no connection".to_owned() })
}

pub(super) struct Service {
    script: Script,
    clock: Clock,
    seen: Mutex<Vec<Seen>>,
    in_flight: Mutex<(usize, usize)>,
}

#[derive(Clone)]
pub(super) struct Wire(Arc<Service>);

impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let Wire(service) = self;
        let id = request.path.rsplit('/').next().unwrap_or_default();
        let what = match request.method {
            Method::Patch | Method::Post => format!("{} {id}", request.method),
            Method::Get if request.query.is_some() => format!("LIST {}", request.query.unwrap_or_default()),
            Method::Get => format!("GET {id}"),
        };
        let number = {
            let mut seen = service.seen.lock().expect("no panic");
            seen.push((since_start(service.clock.now().boot), what.clone()));
            let mut in_flight = service.in_flight.lock().expect("no panic");
            in_flight.0 += 1;
            in_flight.1 = in_flight.1.max(in_flight.0);
            seen.len() - 1
        };
        let (millis, reply) = (service.script)(number, &what);
        service.clock.sleep_briefly_until(service.clock.now().boot + Duration::from_millis(millis)).await;
        service.in_flight.lock().expect("no panic").0 -= 1;
        reply
    }
}

pub(super) fn since_start(at: BootTime) -> i64 {
    at.0 / 1_000 - START * 1_000
}

#[expect(clippy::unnecessary_wraps, reason = "scripts return errors, too")]
pub(super) fn reply(status: u16, body: &str) -> Result<Reply, SendError> {
    let headers = vec![("request-id".to_owned(), "r-1".to_owned())];
    Ok(Reply { status, headers, body: body.as_bytes().to_vec(), incomplete: None })
}

/// The incident of a request, resolved.
pub(super) fn shown(what: &str) -> Result<Reply, SendError> {
    let id = what.rsplit(' ').next().unwrap_or_default();
    reply(200, &format!(r#"{{"incidentId":{id},"status":"Resolved","comments":[]}}"#))
}

/// A service that applies every update, in 100 ms each.
pub(super) fn willing() -> Script {
    Box::new(|_, what| (100, shown(what)))
}

/// Records each event with its time, in milliseconds since the start.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) events: Vec<(i64, Event)>,
    pub(super) clock: Option<Clock>,
    /// Fails at the n-th event, from 1.
    pub(super) fails_at: Option<usize>,
}

impl Listener for Recorder {
    fn on_event(&mut self, event: Event) -> io::Result<()> {
        let at = self.clock.as_ref().map_or(0, |clock| since_start(clock.now().boot));
        self.events.push((at, event));
        if self.fails_at == Some(self.events.len()) { Err(io::Error::other("no more")) } else { Ok(()) }
    }
}

impl Recorder {
    pub(super) fn finished(&self) -> Vec<ResultRow> {
        let rows = self.events.iter().filter_map(|(_, event)| match event {
            Event::Finished(rows) => Some(rows.clone()),
            _ => None,
        });
        rows.flatten().collect()
    }

    pub(super) fn paces(&self) -> Vec<(i64, crate::apply::events::Pace)> {
        let paces = self.events.iter().filter_map(|(at, event)| match event {
            Event::Pace(pace) => Some((*at, pace.clone())),
            _ => None,
        });
        paces.collect()
    }
}

pub(super) struct Stage {
    pub(super) directory: TempDir,
    pub(super) clock: Clock,
    pub(super) settings: EngineSettings,
    pub(super) tokens: Arc<TokenCache>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) recorder: Recorder,
    pub(super) contract: Contract,
}

impl Stage {
    pub(super) fn new() -> Stage {
        let now = Now { boot: BootTime(START * 1_000_000), wall: "2026-11-24T10:00:00Z".parse().expect("a time") };
        let clock = Clock::simulated(now, "boot");
        let settings = EngineSettings {
            quota: "1000/1m".parse().expect("a quota"),
            concurrency: 2,
            max_attempts: 3,
            patience: Duration::from_mins(10),
            max_failures: None,
            stop_after: None,
            remember: Duration::from_hours(1),
            settle: Duration::from_secs(30),
            same_as: crate::contract::SameAs::default(),
            seed: 7,
        };
        let tokens = TokenCache::given(&SecretString::from("a-token-of-some-length")).expect("a token");
        Stage {
            directory: tempfile::tempdir().expect("a directory"),
            recorder: Recorder { clock: Some(clock.clone()), ..Recorder::default() },
            clock,
            settings,
            tokens: Arc::new(tokens),
            stop: watch::Sender::new(false),
            contract: load("defender-classic").expect("is built in"),
        }
    }

    pub(super) fn journal(&self) -> Journal {
        let dir = self.directory.path().join("state").into();
        Journal::open(&dir, self.clock.clone(), Durability::Unsynced).expect("opens")
    }

    /// Creates and publishes a run of these changes.
    pub(super) fn run_of(&self, journal: &mut Journal, changes: &[Change]) -> RunHandle {
        let facts = RunMetadata {
            input: String::new(),
            shape: InputShape::Jsonl { bom: false },
            origin: String::new(),
            contract: load("defender-classic").expect("is built in").to_toml(),
            results: String::new(),
            options: Vec::new(),
            typed: Settings::default(),
            settings: Settings::default(),
            remember: self.settings.remember,
        };
        let mut rng = fastrand::Rng::with_seed(fastrand::u64(..));
        let run = journal.create_run(&TenantKey::named("stage"), "c", &facts, &mut rng).expect("begins");
        let row = |(row, change): (u64, &Change)| LoadRow {
            row,
            line: row + 1,
            incident: change.incident.to_string(),
            change: Ok(change.clone()),
            source: change.edits.to_json().into_bytes(),
            planned: None,
        };
        journal.load(&run, &(1..).zip(changes).map(row).collect::<Vec<_>>()).expect("loads");
        let digest = run.name.clone().into_bytes();
        journal.publish(&run, &facts, &RunKey::Changes { digest, within: Duration::ZERO }).expect("is ready");
        run
    }

    pub(super) fn wire(&self, script: Script) -> Wire {
        Wire(Arc::new(Service {
            script,
            clock: self.clock.clone(),
            seen: Mutex::default(),
            in_flight: Mutex::default(),
        }))
    }

    pub(super) fn client(&self, wire: &Wire) -> Arc<Client<Wire>> {
        Arc::new(Client::new(wire.clone(), Arc::clone(&self.tokens), &self.contract, self.clock.clone()))
    }

    /// Sends these changes as a new run.
    pub(super) async fn send(&mut self, changes: &[Change], script: Script) -> (EngineEnd, Wire, RunHandle) {
        let mut journal = self.journal();
        let run = self.run_of(&mut journal, changes);
        let (ends, wire) = self.send_run(journal, &run, script).await;
        (ends, wire, run)
    }

    pub(super) async fn send_run(&mut self, journal: Journal, run: &RunHandle, script: Script) -> (EngineEnd, Wire) {
        let wire = self.wire(script);
        let (client, stop) = (self.client(&wire), self.stop.subscribe());
        let ends = apply(journal, run, client, &self.settings, stop, &mut self.recorder).await;
        (ends.expect("the journal works"), wire)
    }

    /// Milliseconds since the start.
    pub(super) fn now(&self) -> i64 {
        since_start(self.clock.now().boot)
    }
}

impl Wire {
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().expect("no panic").clone()
    }

    /// Start of each request, in milliseconds since the start.
    pub(super) fn times(&self) -> Vec<i64> {
        self.seen().iter().map(|(at, _)| *at).collect()
    }

    /// Maximum number of requests in flight.
    pub(super) fn most_at_once(&self) -> usize {
        self.0.in_flight.lock().expect("no panic").1
    }
}

pub(super) fn resolve(incident: u64) -> Change {
    change(incident, r#"{"status":"Resolved"}"#)
}

pub(super) fn change(incident: u64, body: &str) -> Change {
    let incident = IncidentId::new(incident).expect("an id");
    Change { incident, edits: crate::plan::decode(body, body.contains("comment")).expect("a body") }
}
