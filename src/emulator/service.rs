//! The service behind the wire: decides each request at one moment. No I/O but the log, no clock of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, html_page};
use super::faults::{Arrival, Fault, FaultKind, Faults};
use super::filter::Query;
use super::incidents::{Incidents, Store};
use super::request_log::{Line, RequestLog, Status};
use super::rules;
use super::throttle::ThrottleForm;
use super::windows::Windows;
use crate::clock::{BootTime, Now, micros};
use crate::contract::Contract;
use crate::row::IncidentId;
use crate::window::{Quota, Window};

/// What the path and the method ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Update,
    Read,
    List,
    /// A path that the API has not.
    Elsewhere,
    /// A path that it has, but not with this method.
    WrongMethod,
}

/// A request as it was received.
pub(super) struct Received {
    pub(super) call: Call,
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    pub(super) query: String,
    /// The bearer's token.
    pub(super) token: Option<SecretString>,
    /// Whether it says to hold JSON.
    pub(super) says_json: bool,
    /// `None` where it was too large to be read.
    pub(super) body: Option<Bytes>,
}

impl Received {
    fn incident(&self) -> Option<IncidentId> {
        let is_incident = matches!(self.call, Call::Update | Call::Read);
        let last = self.path.rsplit('/').next().filter(|_| is_incident)?;
        IncidentId::new(last.parse().ok()?)
    }
}

/// How an answer leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    Half,
    Slow(Duration),
    Endless,
    /// Not at all: the connection is closed.
    Cut,
    /// Not at all: the connection stays open.
    Stall,
}

/// What was decided.
pub(super) struct Decision {
    pub(super) answer: Answer,
    pub(super) delivery: Delivery,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) requests: u64,
    pub(super) throttled: u64,
}

pub(super) struct Service {
    pub(super) contract: Contract,
    pub(super) token: Option<SecretString>,
    pub(super) form: ThrottleForm,
    shortest: Window,
    windows: Windows,
    store: Store,
    faults: Faults,
    dice: fastrand::Rng,
    log: Option<RequestLog>,
    start: BootTime,
    counters: Counters,
}

/// Where it begins.
pub(super) struct Beginning {
    pub(super) contract: Contract,
    pub(super) quota: Quota,
    pub(super) token: Option<SecretString>,
    pub(super) form: ThrottleForm,
    pub(super) incidents: Incidents,
    pub(super) merged: BTreeMap<u64, u64>,
    pub(super) faults: Faults,
    pub(super) log: Option<RequestLog>,
    pub(super) seed: u64,
    pub(super) now: Now,
}

/// What becomes of one request, while it is decided.
struct Course {
    answer: Answer,
    delivery: Delivery,
    took_effect: bool,
    /// The moment that a 429 names.
    resume: Option<jiff::Timestamp>,
}

impl From<Answer> for Course {
    fn from(answer: Answer) -> Course {
        Course { answer, delivery: Delivery::Whole, took_effect: false, resume: None }
    }
}

impl Service {
    pub(super) fn new(beginning: Beginning) -> Service {
        let Beginning { contract, quota, token, form, incidents, merged, faults, log, seed, now } = beginning;
        let windows = quota.windows().iter().copied();
        Service {
            store: Store::new(incidents, merged, &contract, now.wall),
            shortest: windows.min_by_key(|window| window.length).unwrap_or(Window { calls: 1, length: Duration::ZERO }),
            windows: Windows::new(&quota),
            contract,
            token,
            form,
            faults,
            dice: fastrand::Rng::with_seed(seed),
            log,
            start: now.boot,
            counters: Counters::default(),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn incident(&self, id: u64) -> Option<Value> {
        self.store.get(id)
    }

    /// Decides a request that arrives `now`: counts it, has its effect, writes it to the log.
    ///
    /// # Errors
    /// Where the log can't be written.
    pub(super) fn decide(&mut self, request: &Received, now: Now) -> std::io::Result<Decision> {
        self.counters.requests += 1;
        let incident = request.incident();
        let arrival = Arrival {
            number: self.counters.requests,
            since_start: now.boot.since(self.start),
            incident: incident.map(IncidentId::get),
        };
        let down = |kind: &FaultKind| *kind == FaultKind::Down;
        let mut fault = self.faults.strike(&arrival, &mut self.dice, down).cloned();
        // Nobody counts where nobody is there; else every call counts, whatever becomes of it.
        let full_until = if fault.is_none() { self.windows.arrive(now.boot) } else { None };
        if fault.is_none() && full_until.is_none() {
            fault = self.faults.strike(&arrival, &mut self.dice, |kind| !down(kind)).cloned();
        }
        let course = match (full_until, &fault) {
            (Some(resume), _) => self.throttle(self.form, now, resume),
            (None, Some(fault)) => self.go_wrong(fault, request, incident, now),
            (None, None) => self.obey(request, incident, now),
        };
        self.counters.throttled += u64::from(course.answer.status == 429);
        self.write(request, &arrival, now, fault.as_ref(), &course)?;
        Ok(Decision { answer: course.answer, delivery: course.delivery })
    }

    /// What the API does, without a fault.
    fn obey(&mut self, request: &Received, incident: Option<IncidentId>, now: Now) -> Course {
        let answered = self.answer(request, incident, now);
        let took_effect = answered.is_ok() && request.call == Call::Update;
        let answer = answered.unwrap_or_else(|refusal| refusal.answer(&self.tracking()));
        Course { took_effect, ..answer.into() }
    }

    fn answer(&mut self, request: &Received, incident: Option<IncidentId>, now: Now) -> Result<Answer, Refusal> {
        self.authorize(request.token.as_ref())?;
        let found = |call: &str| Refusal::new(404, "ResourceNotFound", format!("{call} was not found."));
        let incident = |service: &Service| {
            let id = incident.ok_or_else(|| Refusal::new(400, "InvalidInput", "The incident id is not valid."))?.get();
            let shown = service.store.get(id).ok_or_else(|| found(&format!("Incident {id}")))?;
            Ok((id, shown))
        };
        match request.call {
            Call::Update => {
                let body = request.body.as_ref().ok_or_else(|| Refusal::of_status(413))?;
                if !request.says_json {
                    return Err(Refusal::new(415, "UnsupportedMediaType", "Content-Type must be application/json."));
                }
                let (id, _) = incident(self)?;
                let change = rules::read_change(&self.contract, body)?;
                Ok(Answer::json(200, self.store.update(&self.contract, id, &change, now.wall)))
            }
            Call::Read => Ok(Answer::json(200, incident(self)?.1)),
            Call::List => {
                let query = Query::parse(&request.query)?;
                let incidents = self.store.newest_first().filter(|incident| query.takes(incident));
                let page: Vec<Value> = incidents.skip(query.skip).take(query.top).collect();
                let context = format!("{}/api/$metadata#Incidents", self.contract.origin);
                Ok(Answer::json(200, json!({"@odata.context": context, "value": page})))
            }
            Call::Elsewhere => Err(Refusal::new(404, "NotFound", "There is no such resource.")),
            Call::WrongMethod => Err(Refusal::of_status(405)),
        }
    }

    fn authorize(&self, token: Option<&SecretString>) -> Result<(), Refusal> {
        let refused = |message: &str| Err(Refusal::new(401, "Unauthorized", message));
        match (token, &self.token) {
            (None, _) => refused("The request has no bearer token."),
            (Some(given), Some(expected)) if given.expose_secret() != expected.expose_secret() => {
                refused("The token is not valid or has expired.")
            }
            _ => Ok(()),
        }
    }

    fn throttle(&mut self, form: ThrottleForm, now: Now, resume: BootTime) -> Course {
        let tracking = self.tracking();
        let (answer, resume) = form.answer(now.wall, now.wall_at(resume), self.shortest, &tracking);
        Course { resume, ..answer.into() }
    }

    fn go_wrong(&mut self, fault: &Fault, request: &Received, incident: Option<IncidentId>, now: Now) -> Course {
        // Asked for without effect, the request is one for reading: its answer may still be needed, in half.
        let shown = incident.and_then(|id| self.store.get(id.get()));
        let meant = match (fault.takes_effect, shown) {
            (true, _) => self.obey(request, incident, now),
            (false, Some(shown)) => Answer::json(200, shown).into(),
            (false, None) => Refusal::of_status(404).answer(&self.tracking()).into(),
        };
        let answered = |answer: Answer| Course { took_effect: meant.took_effect, ..answer.into() };
        let delivered = |delivery| Course { delivery, answer: meant.answer.clone(), ..meant };
        match &fault.kind {
            FaultKind::Status(status) => answered(Refusal::of_status(*status).answer(&self.tracking())),
            FaultKind::Throttle { form, wait } => {
                let resume = now.boot + wait.unwrap_or(self.shortest.length);
                let took_effect = meant.took_effect;
                Course { took_effect, ..self.throttle(form.unwrap_or(self.form), now, resume) }
            }
            FaultKind::Html => answered(Answer::html(200, html_page("Sign in", "Please sign in to the proxy."))),
            FaultKind::Other => {
                let other = incident.map_or(1, |id| id.get() ^ 1).max(1);
                answered(Answer::json(200, self.store.show(other)))
            }
            FaultKind::Error200 => {
                let refusal = Refusal::new(200, "InternalServerError", "The update could not be made.");
                answered(refusal.answer(&self.tracking()))
            }
            FaultKind::Redirect(to) => answered(Answer::text(302, String::new()).with("location", to.clone())),
            FaultKind::Cut | FaultKind::Down => delivered(Delivery::Cut),
            FaultKind::Stall => delivered(Delivery::Stall),
            FaultKind::CutHalf => delivered(Delivery::Half),
            FaultKind::Slow(pause) => delivered(Delivery::Slow(*pause)),
            FaultKind::Huge => delivered(Delivery::Endless),
        }
    }

    fn write(
        &mut self,
        request: &Received,
        arrival: &Arrival,
        now: Now,
        fault: Option<&Fault>,
        course: &Course,
    ) -> std::io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let body = request.body.as_ref().map(|body| String::from_utf8_lossy(body));
        let path = match request.query.as_str() {
            "" => request.path.clone(),
            query => format!("{}?{query}", request.path),
        };
        log.write(&Line {
            seq: arrival.number,
            at_us: micros(arrival.since_start),
            wall: now.wall,
            method: &request.method,
            path: &path,
            id: arrival.incident,
            body: body.as_deref(),
            status: match course.delivery {
                Delivery::Cut => Status::None("cut"),
                Delivery::Stall => Status::None("stall"),
                _ => Status::Answered(course.answer.status),
            },
            fault: fault.map(Fault::text),
            took_effect: course.took_effect,
            windows: &self.windows,
            resume_us: course.resume.map(|resume| now.boot_at(resume).0.saturating_sub(self.start.0)),
        })
    }

    /// A new tracking id, as support asks for it.
    fn tracking(&mut self) -> String {
        let id = format!("{:032x}", self.dice.u128(..));
        format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
    }
}
