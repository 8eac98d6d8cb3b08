//! The service behind the connections: decides each request at one moment, by quota, faults and API. It has no clock, and
//! no I/O except the log.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::access::Access;
use super::api::Api;
use super::faults::{Fault, FaultKind, Faults, LISTS, UPDATES};
use super::graph;
use super::incidents::{Store, as_classic};
use super::request::{ApiKind, Call, Received};
use super::request_log::{Line, RequestLog, Status};
use super::response::{ApiResponse, Delivery, Refusal, Trace, html_page, new_id};
use super::settings::Settings;
use super::sign_in::{SignInRequest, SignInService};
use super::throttle::ThrottleForm;
use super::trigger::Arrival;
use super::windows::Windows;
use crate::clock::{BootTime, Now, micros};
use crate::contract::load;
use crate::model::change::IncidentId;
use crate::model::quota_spec::Window;

/// The property that only a contract for Graph has.
const GRAPH_PROPERTY: &str = "resolvingComment";

/// The header of Conditional Access: the claims that a token would need.
const INSUFFICIENT_CLAIMS: &str =
    r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;

/// The beginning of an endless incident.
const INCIDENT: &str = r#"{"incidentId":1,"incidentName":""#;
/// The beginning of an endless list.
const LIST: &str = r#"{"value":[{"incidentId":1,"incidentName":""#;

/// The same from Graph.
const GRAPH_INCIDENT: &str = r#"{"id":"1","displayName":""#;
/// The same from Graph.
const GRAPH_LIST: &str = r#"{"value":[{"id":"1","displayName":""#;

/// The counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) requests: u64,
    pub(super) throttled: u64,
}

/// The state of the service.
pub(super) struct Service {
    api: Api,
    sign_in: Option<SignInService>,
    /// The default format of a 429, if it is the same for both APIs.
    form: Option<ThrottleForm>,
    /// For the IDs of requests to Graph.
    seed: u64,
    /// The waiting time of a 429 that states none.
    shortest: Window,
    windows: Windows,
    faults: Faults,
    /// The delay of an update whose response is lost.
    late: Duration,
    /// Updates that have arrived but are not applied yet, with their time.
    pending: Vec<(BootTime, u64, Map<String, Value>)>,
    /// For chances and tracking IDs.
    dice: fastrand::Rng,
    log: Option<RequestLog>,
    start: BootTime,
    /// When the last request arrived.
    last: Now,
    counters: Counters,
}

/// The decision on a request.
pub(super) struct Decision {
    pub(super) response: ApiResponse,
    pub(super) delivery: Delivery,
    took_effect: bool,
    /// The time that a 429 states.
    resume: Option<Timestamp>,
}

impl Decision {
    fn with_status(mut self, status: u16) -> Decision {
        self.response.status = status;
        self
    }
}

impl From<ApiResponse> for Decision {
    fn from(response: ApiResponse) -> Decision {
        Decision { response, delivery: Delivery::Whole, took_effect: false, resume: None }
    }
}

impl Service {
    /// A service that starts `now`.
    ///
    /// # Errors
    /// If the log can't be opened.
    pub(super) fn new(settings: Settings, now: Now) -> io::Result<Service> {
        let Settings { contract, token, quota, incidents, merged, titles, incident_size, faults, .. } = settings;
        let Settings { habits, throttle_form, log, seed, sign_in, awaiting_action, largest_page, .. } = settings;
        let access = match (&sign_in, token) {
            (Some(_), _) => Access::Issued(Vec::new()),
            (None, Some(token)) => Access::Only(token),
            (None, None) => Access::Any,
        };
        let quota = quota.unwrap_or_else(|| contract.quota.clone());
        let windows = quota.windows().iter().copied();
        // Graph's own rules are the emulator's; such a contract has none for the classic API.
        let is_for_graph = contract.property(GRAPH_PROPERTY).is_some();
        let contract = if is_for_graph { load("defender").map_err(io::Error::other)? } else { contract };
        let late = habits.late;
        let mut store = Store::new(incidents, merged, &contract, now.wall);
        (store.titles, store.size, store.habits) = (titles, incident_size, habits);
        store.awaiting_action = awaiting_action;
        Ok(Service {
            shortest: windows.min_by_key(|window| window.length).unwrap_or(Window { calls: 1, length: Duration::ZERO }),
            windows: Windows::new(&quota),
            api: Api { contract, largest_page, access, store },
            sign_in: sign_in.map(|settings| SignInService::new(settings, seed, now)).transpose()?,
            form: throttle_form,
            seed,
            faults,
            late,
            pending: Vec::new(),
            dice: fastrand::Rng::with_seed(seed),
            log: log.as_deref().map(RequestLog::open).transpose()?,
            start: now.boot,
            last: now,
            counters: Counters::default(),
        })
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// An incident as an API shows it, after every update that has arrived is applied.
    pub(super) fn incident(&mut self, id: u64, api: ApiKind) -> Option<Value> {
        self.apply_until(BootTime(i64::MAX), self.last);
        let stored = self.api.store.get(id)?;
        Some(match api {
            ApiKind::Classic => as_classic(stored),
            ApiKind::Graph => graph::incident(&stored, true),
        })
    }

    /// Applies the updates that are due.
    fn apply_until(&mut self, due: BootTime, now: Now) {
        let pending = std::mem::take(&mut self.pending);
        let (due_now, later) = pending.into_iter().partition(|(at, ..)| *at <= due);
        self.pending = later;
        for (at, id, change) in due_now {
            self.api.update(id, &change, now.wall_at(at));
        }
    }

    /// Decides a request that arrives `now`: counts it, applies its effect, writes it to the log.
    ///
    /// # Errors
    /// If the log can't be written.
    pub(super) fn decide(&mut self, request: &Received, now: Now) -> io::Result<Decision> {
        self.last = now;
        self.apply_until(now.boot, now);
        self.counters.requests += 1;
        let incident = request.incident();
        let arrival = Arrival {
            number: self.counters.requests,
            since_start: now.boot.since(self.start),
            incident: incident.map(IncidentId::get),
            kind: match request.call {
                Call::List => Some(LISTS),
                call => call.changes().then_some(UPDATES),
            },
        };
        let revokes = self.sign_in.as_ref().is_some_and(|sign_in| sign_in.revokes_at(arrival.number));
        if let Some(token) = request.token.as_ref().filter(|_| revokes) {
            self.api.access.revoke(token);
        }
        let down = |kind: &FaultKind| *kind == FaultKind::Down;
        let mut fault = self.faults.draw(&arrival, &mut self.dice, down).cloned();
        // A service that is down counts nothing; otherwise every request counts, even if a fault follows.
        let full_until = if fault.is_none() { self.windows.arrive(now.boot) } else { None };
        if fault.is_none() && full_until.is_none() {
            fault = self.faults.draw(&arrival, &mut self.dice, |kind| !down(kind)).cloned();
        }
        let mut decision = match (full_until, &fault) {
            (Some(resume), _) => self.throttle(request, None, now, resume),
            (None, Some(fault)) => self.inject(fault, request, incident, now),
            (None, None) => self.execute(request, now),
        };
        if request.api == ApiKind::Graph
            && let Trace::Graph { request_id, client_request_id, .. } = self.trace(request, now)
        {
            let headers = [("request-id", request_id), ("client-request-id", client_request_id)];
            decision.response.headers.extend(headers);
        }
        self.counters.throttled += u64::from(decision.response.status == 429);
        self.write(request, &arrival, now, fault.as_ref(), &decision)?;
        Ok(decision)
    }

    /// Whether a request to this path is for the sign-in endpoints.
    pub(super) fn is_sign_in(&self, path: &str) -> bool {
        self.sign_in.is_some() && ApiKind::of_path(path).is_none()
    }

    /// Decides a sign-in request that arrives `now`.
    ///
    /// # Errors
    /// If the log or a key file can't be written.
    pub(super) fn decide_sign_in(&mut self, request: SignInRequest, now: Now) -> io::Result<Decision> {
        let Some(sign_in) = &mut self.sign_in else {
            let trace = Trace::Classic { tracking: new_id(&mut self.dice) };
            return Ok(Refusal::of_status(404).response(&trace).into());
        };
        let answer = sign_in.decide(request, now)?;
        if let Some(token) = answer.token {
            self.api.access.add(token);
        }
        Ok(Decision { delivery: answer.delivery, ..answer.response.into() })
    }

    /// The sign-in requests so far.
    pub(super) fn sign_in_requests(&self) -> Vec<SignInRequest> {
        self.sign_in.as_ref().map(|sign_in| sign_in.requests().to_vec()).unwrap_or_default()
    }

    /// The tokens, assertions and keys that the sign-in endpoints have issued.
    pub(super) fn issued_secrets(&self) -> Vec<SecretString> {
        let others = self.sign_in.iter().flat_map(SignInService::secrets);
        self.api.access.issued().chain(others).cloned().collect()
    }

    /// Executes a request without a fault.
    fn execute(&mut self, request: &Received, now: Now) -> Decision {
        let executed = self.api.execute(request, now.wall);
        let took_effect = executed.is_ok() && request.call.changes();
        let response = executed.unwrap_or_else(|refusal| refusal.response(&self.trace(request, now)));
        Decision { took_effect, ..response.into() }
    }

    fn throttle(&mut self, request: &Received, form: Option<ThrottleForm>, now: Now, resume: BootTime) -> Decision {
        let trace = self.trace(request, now);
        let form = form.or(self.form).unwrap_or(match request.api {
            ApiKind::Classic => ThrottleForm::Time,
            ApiKind::Graph => ThrottleForm::HeaderSeconds,
        });
        let (response, resume) = form.response(now.wall, now.wall_at(resume), self.shortest, &trace);
        Decision { resume, ..response.into() }
    }

    fn inject(&mut self, fault: &Fault, request: &Received, incident: Option<IncidentId>, now: Now) -> Decision {
        // The response without an effect is the current incident.
        let shown = incident.and_then(|id| self.api.store.get(id.get()));
        let shown = shown.map(|incident| self.api.shown(request, incident));
        let late = (fault.takes_effect && !self.late.is_zero() && request.call.changes())
            .then(|| self.api.read_update(request, now.wall).ok())
            .flatten();
        let expected = match (fault.takes_effect, shown) {
            (true, Some(shown)) if late.is_some() => Decision { took_effect: true, ..shown.into() },
            (true, _) => self.execute(request, now),
            (false, Some(shown)) => shown.into(),
            (false, None) => Refusal::of_status(404).response(&self.trace(request, now)).into(),
        };
        if let Some((id, change)) = late {
            self.pending.push((now.boot + self.late, id, change));
        }
        let replaced = |response: ApiResponse| Decision { took_effect: expected.took_effect, ..response.into() };
        let delivered = |delivery| Decision { delivery, response: expected.response.clone(), ..expected };
        match &fault.kind {
            FaultKind::Status(201, _) => delivered(Delivery::Whole).with_status(201),
            FaultKind::Status(status @ 202..=299, _) => replaced(ApiResponse::json_text(*status, String::new())),
            FaultKind::Status(status, wait) => {
                let response = Refusal::of_status(*status).response(&self.trace(request, now));
                let Some(wait) = wait else { return replaced(response) };
                let seconds = Duration::from_secs(wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX));
                let resume = now.wall_at(now.boot + seconds);
                let response = response.with("retry-after", seconds.as_secs().to_string());
                Decision { resume: Some(resume), ..replaced(response) }
            }
            FaultKind::Throttle { form, wait } => {
                let resume = now.boot + wait.unwrap_or(self.shortest.length);
                let took_effect = expected.took_effect;
                Decision { took_effect, ..self.throttle(request, *form, now, resume) }
            }
            FaultKind::Html => replaced(ApiResponse::html(200, html_page("Sign in", "Please sign in to the proxy."))),
            FaultKind::Other => {
                let other = incident.map_or(1, |id| if id.get() == 1 { 2 } else { id.get() - 1 });
                let read = Received { call: Call::Read, ..request.clone() };
                replaced(self.api.shown(&read, self.api.store.show(other)))
            }
            FaultKind::Error200 => {
                let refusal = Refusal::new(200, "InternalServerError", "The update could not be made.");
                replaced(refusal.response(&self.trace(request, now)))
            }
            FaultKind::Redirect(to) => replaced(ApiResponse::text(302, String::new()).with("location", to.clone())),
            FaultKind::Cut | FaultKind::Down => delivered(Delivery::Cut),
            FaultKind::Stall => delivered(Delivery::Stall),
            FaultKind::CutHalf => delivered(Delivery::Half),
            FaultKind::Slow(pause) => delivered(Delivery::Slow(*pause)),
            FaultKind::InsufficientClaims => {
                let message = "The access policy requires more claims.";
                let response = Refusal::new(403, "insufficient_claims", message).response(&self.trace(request, now));
                replaced(response.with("www-authenticate", INSUFFICIENT_CLAIMS.to_owned()))
            }
            FaultKind::Huge => delivered(Delivery::Endless(match (request.api, request.call) {
                (ApiKind::Classic, Call::List) => LIST,
                (ApiKind::Classic, _) => INCIDENT,
                (ApiKind::Graph, Call::List) => GRAPH_LIST,
                (ApiKind::Graph, _) => GRAPH_INCIDENT,
            })),
            FaultKind::Gzip => delivered(Delivery::Gzip),
            FaultKind::Deflate => delivered(Delivery::Deflate),
            FaultKind::Bom => delivered(Delivery::Marked),
            FaultKind::Empty => replaced(ApiResponse::json_text(200, String::new())),
            FaultKind::Ignore(names) => match without(request, names) {
                Some(rest) => self.execute(&rest, now),
                None => expected,
            },
        }
    }

    fn write(
        &mut self,
        request: &Received,
        arrival: &Arrival,
        now: Now,
        fault: Option<&Fault>,
        decision: &Decision,
    ) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let body = request.body.as_ref().filter(|body| !body.is_empty()).map(|body| String::from_utf8_lossy(body));
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
            status: match decision.delivery {
                Delivery::Cut => Status::None("cut"),
                Delivery::Stall => Status::None("stall"),
                _ => Status::Sent(decision.response.status),
            },
            fault: fault.map(Fault::text),
            took_effect: decision.took_effect,
            windows: &self.windows,
            resume_us: decision.resume.map(|resume| now.boot_at(resume).0.saturating_sub(self.start.0)),
        })
    }

    /// What an error body contains for support. A request to Graph has an ID from the start, which its response names, too.
    fn trace(&mut self, request: &Received, now: Now) -> Trace {
        match request.api {
            ApiKind::Classic => Trace::Classic { tracking: new_id(&mut self.dice) },
            ApiKind::Graph => {
                let mut dice = fastrand::Rng::with_seed(self.seed ^ self.counters.requests);
                let request_id = new_id(&mut dice);
                let client_request_id = request.client_request_id.clone().unwrap_or_else(|| request_id.clone());
                Trace::Graph { request_id, client_request_id, now: now.wall }
            }
        }
    }
}

/// An update without these properties, or without any if `names` is empty; `None` if none is left.
fn without(request: &Received, names: &[String]) -> Option<Received> {
    let mut change: Map<String, Value> = serde_json::from_slice(request.body.as_ref()?).ok()?;
    let ignores = |name: &str| names.is_empty() || names.iter().any(|ignored| ignored == name);
    if request.call == Call::Comment {
        return (!ignores("comment")).then(|| request.clone());
    }
    // The columns of a file have one name for both APIs.
    change.retain(|name, _| !ignores(if name == "customTags" { "tags" } else { name }));
    let body = Value::Object(change.clone()).to_string().into();
    (!change.is_empty()).then(|| Received { body: Some(body), ..request.clone() })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::emulator::SignIn;
    use crate::emulator::rules::tests::classic;
    use axum::body::Bytes;
    use serde_json::json;

    const START: Now = Now { boot: BootTime(5_000_000), wall: Timestamp::UNIX_EPOCH };

    pub(in crate::emulator) fn service(faults: &[&str], change: impl FnOnce(&mut Settings)) -> Service {
        let mut settings = Settings::new(classic());
        settings.faults = faults.iter().map(|fault| fault.parse::<Fault>().expect("a fault")).collect();
        change(&mut settings);
        Service::new(settings, START).expect("there is no log to open")
    }

    pub(in crate::emulator) fn request(call: Call, path: &str, body: &str) -> Received {
        Received {
            api: ApiKind::of_path(path).unwrap_or(ApiKind::Classic),
            call,
            method: if call == Call::Update { "PATCH" } else { "GET" }.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            token: Some(SecretString::from("s3cret")),
            host: Some("127.0.0.1:9".to_owned()),
            client_request_id: None,
            includes_unknown: false,
            says_json: true,
            body: Some(Bytes::copy_from_slice(body.as_bytes())),
        }
    }

    fn comment(id: u64) -> Received {
        request(Call::Update, &format!("/api/incidents/{id}"), r#"{"comment":"seen"}"#)
    }

    pub(in crate::emulator) fn at(millis: u64) -> Now {
        let boot = START.boot + Duration::from_millis(millis);
        Now { boot, wall: START.wall_at(boot) }
    }

    pub(in crate::emulator) fn decide(service: &mut Service, request: &Received, millis: u64) -> Decision {
        service.decide(request, at(millis)).expect("there is no log to fail")
    }

    fn comments(service: &mut Service, id: u64) -> usize {
        service
            .incident(id, ApiKind::Classic)
            .and_then(|it| it["comments"].as_array().map(Vec::len))
            .expect("an incident with comments")
    }

    #[test]
    fn rejection_has_documented_status_code_and_tracking_id() {
        let mut service = service(&[], |settings| settings.incidents = "1-9".parse().expect("incidents"));
        let path = "/api/incidents/5";
        let no_token = Received { token: None, ..comment(5) };
        let no_json = Received { says_json: false, ..comment(5) };
        let too_large = Received { body: None, ..comment(5) };
        let filtered = Received { query: "$filter=severity eq 'High'".to_owned(), ..request(Call::List, "/", "") };
        for (request, status, code) in [
            (no_token, 401, "Unauthorized"),
            (no_json, 415, "UnsupportedMediaType"),
            (too_large, 413, "PayloadTooLarge"),
            (filtered, 400, "ODataError"),
            (comment(10), 404, "ResourceNotFound"),
            (request(Call::Update, path, "{}"), 400, "MissingRequiredParameter"),
            (request(Call::Update, path, r#"{"status":"active"}"#), 400, "InvalidInput"),
            (request(Call::Read, "/api/incidents/+5", ""), 400, "InvalidInput"),
            (request(Call::Elsewhere, "/", ""), 404, "NotFound"),
            (request(Call::WrongMethod, path, ""), 405, "MethodNotAllowed"),
        ] {
            let response = decide(&mut service, &request, 0).response;
            let body: Value = serde_json::from_str(&response.body).expect("JSON");
            assert_eq!((response.status, body["error"]["code"].as_str()), (status, Some(code)));
            assert_eq!(body["error"]["target"].as_str().map(str::len), Some(36), "{body}");
        }
        assert_eq!(comments(&mut service, 5), 0);
    }

    #[test]
    fn only_the_expected_token_is_accepted() {
        let mut service = service(&[], |settings| settings.token = Some(SecretString::from("other")));
        assert_eq!(decide(&mut service, &comment(1), 0).response.status, 401);
        let right = Received { token: Some(SecretString::from("other")), ..comment(1) };
        assert_eq!(decide(&mut service, &right, 0).response.status, 200);
    }

    #[test]
    fn throttled_request_counts_but_changes_nothing() {
        let mut service = service(&["503@4"], |settings| settings.quota = "2/1s".parse().ok());
        let no_token = Received { token: None, ..comment(1) };
        let statuses: Vec<u16> = [(no_token, 0), (comment(1), 10), (comment(1), 990), (comment(1), 1_000)]
            .iter()
            .map(|(request, millis)| decide(&mut service, request, *millis).response.status)
            .collect();
        assert_eq!(statuses, [401, 200, 429, 429], "a full window takes precedence over the fault");
        assert_eq!(comments(&mut service, 1), 1);
        assert_eq!(service.counters(), Counters { requests: 4, throttled: 2 });
    }

    #[test]
    fn throttled_response_names_the_next_free_time() {
        let mut service = service(&[], |settings| settings.quota = "1/37s".parse().ok());
        decide(&mut service, &comment(1), 123);
        let body = decide(&mut service, &comment(1), 200).response.body;
        assert!(body.contains("1970-01-01T00:00:37.200Z"), "{body}");
    }

    /// The effect of each fault on the incident, and the delivery of its response.
    #[test]
    fn fault_has_its_documented_effect() {
        for (fault, status, delivery, takes_effect) in [
            ("503", 503, Delivery::Whole, false),
            ("503-after", 503, Delivery::Whole, true),
            ("429=empty", 429, Delivery::Whole, false),
            ("429-after", 429, Delivery::Whole, true),
            ("html", 200, Delivery::Whole, false),
            ("other-after", 200, Delivery::Whole, true),
            ("error-200", 200, Delivery::Whole, false),
            ("redirect", 302, Delivery::Whole, false),
            ("cut", 200, Delivery::Cut, false),
            ("cut-after", 200, Delivery::Cut, true),
            ("down", 200, Delivery::Cut, false),
            ("stall", 200, Delivery::Stall, false),
            ("stall-after", 200, Delivery::Stall, true),
            ("cut-half", 200, Delivery::Half, true),
            ("slow=1s", 200, Delivery::Slow(Duration::from_secs(1)), true),
            ("huge", 200, Delivery::Endless(INCIDENT), true),
            ("201-after", 201, Delivery::Whole, true),
            ("204-after", 204, Delivery::Whole, true),
            ("gzip-after", 200, Delivery::Gzip, true),
            ("deflate", 200, Delivery::Deflate, false),
            ("bom-after", 200, Delivery::Marked, true),
            ("empty-after", 200, Delivery::Whole, true),
            ("ignore", 200, Delivery::Whole, false),
            ("ignore=status", 200, Delivery::Whole, true),
            ("ignore=comment", 200, Delivery::Whole, false),
        ] {
            let mut service = service(&[fault], |_| {});
            let decision = decide(&mut service, &comment(1), 0);
            assert_eq!((decision.response.status, &decision.delivery), (status, &delivery), "{fault}");
            assert_eq!(comments(&mut service, 1), usize::from(takes_effect), "{fault}");
        }
    }

    #[test]
    fn lost_updates_are_applied_late() {
        let mut service = service(&["cut-after@1"], |settings| settings.habits.late = Duration::from_secs(5));
        decide(&mut service, &comment(1), 0);
        let read = request(Call::Read, "/api/incidents/1", "");
        for (millis, comments) in [(4_999, 0), (5_000, 1)] {
            let body: Value = serde_json::from_str(&decide(&mut service, &read, millis).response.body).expect("JSON");
            assert_eq!(body["comments"].as_array().map(Vec::len), Some(comments), "{millis}");
        }
        // An update that gets its response is applied immediately.
        assert!(decide(&mut service, &comment(1), 5_001).response.body.matches("createdBy").count() == 2);
    }

    #[test]
    fn other_fault_responds_with_another_incident() {
        for id in [1, 2, IncidentId::MAX] {
            let body = decide(&mut service(&["other"], |_| {}), &comment(id), 0).response.body;
            let other: Value = serde_json::from_str(&body).expect("JSON");
            assert_ne!(other["incidentId"].as_u64().expect("a number"), id);
        }
    }

    #[test]
    fn down_fault_uses_no_quota() {
        let mut service = service(&["down*5"], |settings| settings.quota = "1/1h".parse().ok());
        let statuses: Vec<_> = (0..7).map(|_| decide(&mut service, &comment(1), 0)).collect();
        assert!(statuses[..5].iter().all(|decision| decision.delivery == Delivery::Cut));
        assert_eq!([statuses[5].response.status, statuses[6].response.status], [200, 429]);
    }

    /// Signs in by IMDS, whose request is the shortest.
    fn sign_in(service: &mut Service, millis: u64) -> SecretString {
        let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://api.security.microsoft.com";
        let request = http::Request::get(path).header("metadata", "true").body(()).expect("a request");
        let request = SignInRequest::new(&request.into_parts().0, &Bytes::new());
        let body = service.decide_sign_in(request, at(millis)).expect("there is no log to fail").response.body;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        body["access_token"].as_str().expect("a token").to_owned().into()
    }

    #[test]
    fn only_issued_tokens_are_accepted_until_expiry() {
        let mut service = service(&[], |settings| settings.sign_in = Some(SignIn::new(Duration::from_secs(6))));
        assert!(service.is_sign_in("/msi/token") && !service.is_sign_in("/api/incidents"));
        assert_eq!(decide(&mut service, &comment(1), 0).response.status, 401);
        let first = Received { token: Some(sign_in(&mut service, 500)), ..comment(1) };
        for (millis, status) in [(500, 200), (6_499, 200), (6_500, 401)] {
            assert_eq!(decide(&mut service, &first, millis).response.status, status, "{millis}");
        }
        let second = Received { token: Some(sign_in(&mut service, 6_500)), ..comment(1) };
        assert_eq!(decide(&mut service, &second, 6_501).response.status, 200);
        assert_eq!(service.counters().requests, 5, "sign-in requests are not counted");
        assert_eq!((service.sign_in_requests().len(), service.issued_secrets().len()), (2, 2));
    }

    #[test]
    fn revoked_token_stays_refused() {
        let mut service = service(&[], |settings| {
            settings.sign_in = Some(SignIn { revoked_at: vec![2], ..SignIn::new(Duration::from_hours(1)) });
        });
        let (first, second) = (sign_in(&mut service, 0), sign_in(&mut service, 0));
        let statuses = [&first, &first, &first, &second].map(|token| {
            let request = Received { token: Some(token.clone()), ..comment(1) };
            decide(&mut service, &request, 0).response.status
        });
        assert_eq!(statuses, [200, 401, 401, 200]);
    }

    #[test]
    fn token_without_audience_or_roles_is_refused() {
        let read = request(Call::Read, "/api/incidents/1", "");
        for (fault, roles, update, of_read) in [
            ("wrong-audience", "Incident.ReadWrite.All", 401, 401),
            ("no-roles", "Incident.ReadWrite.All", 403, 403),
            ("slow", "Incident.Read.All", 403, 200),
            ("slow", "Incident.ReadWrite.All", 200, 200),
        ] {
            let mut service = service(&[], |settings| {
                let faults = vec![fault.parse().expect("a fault")];
                let roles = vec![roles.to_owned()];
                settings.sign_in = Some(SignIn { roles, faults, ..SignIn::new(Duration::from_hours(1)) });
            });
            let token = Some(sign_in(&mut service, 0));
            for (request, status) in [(comment(1), update), (read.clone(), of_read)] {
                let request = Received { token: token.clone(), ..request };
                assert_eq!(decide(&mut service, &request, 0).response.status, status, "{fault} {roles}");
            }
        }
    }

    #[test]
    fn request_log_has_all_but_the_token() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("requests.jsonl");
        let mut service = service(&["cut-after@2"], |settings| {
            settings.log = Some(path.clone());
            settings.quota = "2/1s,9/1m".parse().ok();
        });
        for millis in [0, 1, 2] {
            decide(&mut service, &comment(7), millis);
        }
        let log = std::fs::read_to_string(&path).expect("a log");
        assert!(!log.contains("s3cret"));
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[1],
            json!({
                "seq": 2, "at_us": 1_000, "wall": "1970-01-01T00:00:00.001Z", "method": "PATCH",
                "path": "/api/incidents/7", "id": 7, "body": "{\"comment\":\"seen\"}", "status": "cut",
                "fault": "cut-after@2", "took_effect": true, "windows": {"2/1s": 2, "9/1m": 2}, "resume_us": null,
            })
        );
        assert_eq!(lines[2]["status"], 429);
        assert_eq!(lines[2]["windows"], json!({"2/1s": 3, "9/1m": 3}));
        assert_eq!(lines[2]["resume_us"], 1_001_000);
    }
}
