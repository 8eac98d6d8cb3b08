//! The network between one process and the server: the fake transport.
//!
//! Promises: a request leaves only with its own intent on disk; what happens to it is its [`Fate`]; the end of the
//! process does not end what has reached the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulk_triage::client::{Incomplete, Reply, Request, SendError, Transport};
use bulk_triage::model::operation::Method;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::connections::Connections;
use super::fate::{Fate, How, counted_after_death, effect_after_death};
use super::graph::only_comment;
use super::life::Life;
use super::pace::PaceWatch;
use super::scenario::Scenario;
use super::server::Origin;
use super::throttled::{name_time, throttled};
use super::world::{State, World};

/// The wire of one process.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) world: Arc<World>,
    life: Arc<Life>,
    connections: Connections,
    pace: Arc<PaceWatch>,
    /// The end of a pause because a time had just passed, as long as nothing else has got a response since.
    pub(super) just_passed: Mutex<Option<Duration>>,
    /// Tokens that were refused, and when first.
    refused: Mutex<HashMap<String, Duration>>,
}

/// A request on its way.
#[derive(Clone, Debug)]
struct Call {
    origin: Origin,
    /// 0 for a list.
    incident: u64,
    /// Of a list: how many incidents are skipped, and how many are shown.
    page: (usize, usize),
    is_comment: bool,
    /// `None` for a read.
    body: Option<Arc<str>>,
    /// When it left.
    left: Duration,
    is_reused: bool,
    token: String,
    fate: Fate,
}

/// The server's response to one request.
#[derive(Debug, Default)]
struct Said {
    /// Others have used up the quota.
    is_busy: bool,
    /// The token has expired.
    is_refused: bool,
    answer: Option<(u16, Value)>,
}

impl Transport for Network {
    async fn send(&self, request: Request) -> Result<Reply, SendError> {
        if self.life.point() {
            return std::future::pending().await;
        }
        let call = self.leave(&request);
        let (tell, said) = tokio::sync::oneshot::channel();
        tokio::spawn(at_the_server(Arc::clone(&self.world), Arc::clone(&self.life), call.clone(), tell));
        self.world.sleep_until(call.left + call.fate.end).await;
        if self.life.point() {
            return std::future::pending().await;
        }
        // What the server does later is not part of the response.
        let said = { said }.try_recv().unwrap_or_default();
        let reply = self.reply(&call, said);
        let heard = reply.as_ref().map_or(0, |reply| reply.status);
        self.world.state().witness.hears(call.origin.attempt, heard);
        self.world.note(format_args!("ends    {:?}: {heard} {:?}", call.origin, call.fate.how));
        self.ends(&call, heard);
        reply
    }
}

impl Network {
    pub(super) fn new(world: &Arc<World>, life: Arc<Life>, pace: Arc<PaceWatch>) -> Network {
        Network {
            world: Arc::clone(world),
            life,
            connections: Connections::default(),
            pace,
            just_passed: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// The request has ended with this status; 0: without one.
    fn ends(&self, call: &Call, status: u16) {
        let now = self.world.time();
        self.pace.ends(now);
        if call.fate.how == (How::Nothing { may_have_arrived: false }) {
            self.pace.is_unsent();
        }
        match status {
            0 if call.is_reused && call.fate.is_cut() => self.connections.is_lost(),
            0 => {}
            _ => self.connections.give_back(),
        }
        if status == 401 {
            self.refused.lock().expect("no panic").entry(call.token.clone()).or_insert(now);
        }
        if status != 429 && !self.world.state().witness.was_told(call.origin.attempt) {
            self.just_passed.lock().expect("no panic").take_if(|until| *until <= now);
        }
    }

    /// Whether a token is sent that must not be: it has expired, or was refused before.
    fn must_not_be_sent(&self, token: &str, now: Duration) -> bool {
        let scenario = &self.world.scenario;
        // Of what happens at one moment nobody can say what came first.
        let refused = self.refused.lock().expect("no panic").get(token).is_some_and(|at| *at < now);
        let is_refused = scenario.faults == 0 && refused;
        is_refused || scenario.says_its_end() && !scenario.takes(token, now)
    }

    /// The request leaves the process.
    fn leave(&self, request: &Request) -> Call {
        let (path, is_comment) = match request.path.strip_suffix("/comments") {
            Some(path) => (path, true),
            None => (request.path.as_str(), false),
        };
        let body = if is_comment { self.comment_body(request) } else { request.body.clone() };
        let incident = path.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or(0);
        let number = |name: &str| {
            let query = request.query.as_deref().unwrap_or_default();
            let text = query.split(name).nth(1).and_then(|rest| rest.split('&').next());
            text.and_then(|text| text.parse().ok())
        };
        let page = (number("skip=").unwrap_or(0), number("top=").unwrap_or(usize::MAX));
        let left = self.world.time();
        let token = request.token.expose_secret().to_owned();
        let is_reused = self.world.scenario.keeps_alive && self.connections.take();
        let mut state = self.world.state();
        let intent = state.witness.intent(incident, body.as_deref());
        let too_early = intent.and_then(|origin| state.witness.goes_too_early(origin.attempt, left, &self.life));
        let fate = state.fate(&self.world.scenario, left, body.as_ref().map(|_| incident), is_reused);
        drop(state);
        if self.must_not_be_sent(&token, left) {
            self.world.breach(format_args!("a request left at {left:?} with a token that has expired or was refused"));
        }
        if let Some(why) = self.pace.leaves(left) {
            self.world.breach(why);
        }
        let is_update = request.method != Method::Get;
        let Some(origin) = intent else {
            self.world
                .breach(format_args!("a request for incident {incident} left without an intent (update: {is_update})"));
            let origin = Origin { attempt: 0, run: 0, row: 0 };
            return Call { origin, incident, page, is_comment, body, left, is_reused, token, fate };
        };
        let what = if is_comment {
            "comment"
        } else if is_update {
            "update"
        } else {
            "read"
        };
        self.world.note(format_args!("leaves  {origin:?}: {what} {incident}; {fate:?}"));
        if let Some(why) = too_early {
            self.world.breach(format_args!("a request left at {left:?}: {why}"));
        }
        Call { origin, incident, page, is_comment, body, left, is_reused, token, fate }
    }

    /// The body of a request for a comment, without the members that it always has.
    fn comment_body(&self, request: &Request) -> Option<Arc<str>> {
        let body = request.body.as_deref().and_then(only_comment).filter(|_| request.method == Method::Post);
        if body.is_none() {
            self.world.breach(format_args!("a comment is requested by {:?} {:?}", request.method, request.body));
        }
        body.map(Into::into)
    }

    /// What the client receives.
    fn reply(&self, call: &Call, said: Said) -> Result<Reply, SendError> {
        let lost = |may_have_arrived| {
            Err(SendError {
                may_have_arrived,
                is_reused: call.is_reused && call.fate.is_cut(),
                obstacle: None,
                message: "the connection was closed".to_owned(),
            })
        };
        let whole = |status: u16, body: String| Reply {
            status,
            headers: self.date(),
            body: body.into_bytes(),
            incomplete: None,
        };
        match call.fate.how {
            How::Nothing { may_have_arrived } => lost(may_have_arrived),
            _ if said.is_refused => Ok(whole(401, r#"{"error":{"code":"Unauthorized"}}"#.to_owned())),
            _ if said.is_busy => Ok(throttled(self, call.origin.attempt, self.date())),
            How::Status(status) => {
                let mut reply = whole(status, r#"{"error":{"code":"Oops","message":"oops"}}"#.to_owned());
                if matches!(status, 408 | 500..=599) && self.world.scenario.names_times {
                    name_time(&self.world, call.origin.attempt, &mut reply.headers);
                }
                Ok(reply)
            }
            How::Unreadable(status, body) => Ok(whole(status, body.to_owned())),
            How::Coded { is_damaged } => {
                let incomplete = if is_damaged { Incomplete::Damaged } else { Incomplete::Coding("br".to_owned()) };
                Ok(Reply { incomplete: Some(incomplete), ..whole(200, String::new()) })
            }
            How::Marked(status) => match said.answer {
                Some((200, body)) => Ok(whole(status, format!("\u{feff}{body}"))),
                Some((status, body)) => Ok(whole(status, body.to_string())),
                None => lost(true),
            },
            How::CallResult | How::Half | How::Throttled { .. } => {
                let Some((status, body)) = said.answer else { return lost(true) };
                let mut reply = whole(status, body.to_string());
                if call.fate.how == How::Half {
                    reply.body.truncate(reply.body.len() / 2);
                    reply.incomplete = Some(Incomplete::Cut { bytes: reply.body.len() as u64 });
                }
                Ok(reply)
            }
        }
    }

    fn date(&self) -> Vec<(String, String)> {
        let date = || ("date".to_owned(), http_date(self.world.server_wall()));
        self.world.scenario.dated.then(date).into_iter().collect()
    }
}

/// What happens to a request at the server, whatever becomes of its client.
async fn at_the_server(world: Arc<World>, life: Arc<Life>, call: Call, tell: tokio::sync::oneshot::Sender<Said>) {
    let Some(counted) = call.fate.counted else { return };
    let arrives = tokio::select! {
        biased;
        () = world.sleep_until(call.left + counted) => !life.is_dead() || world.scenario.counts_late,
        // What had not arrived when the process died never does, unless the server has it and counts it later: of a
        // connection that was cut before, as if the process were alive.
        () = life.death() => world.scenario.counts_late && if world.time() < call.left + call.fate.end {
            outlives(&world, counted_after_death).await
        } else {
            world.sleep_until(call.left + counted).await;
            true
        },
    };
    if !arrives {
        return;
    }
    let is_refused = !world.scenario.takes(&call.token, world.time());
    let mut said = Said { is_busy: world.count(&call.fate), is_refused, answer: None };
    let takes_effect = call.fate.effect.filter(|_| !said.is_busy && !is_refused);
    world.note(format_args!("counted {:?}", call.origin));
    if let Some(effect) = takes_effect {
        if call.body.is_some() && world.state().server.takes(call.incident) {
            let adds = call.body.as_ref().is_some_and(|body| body.contains("comment"));
            world.state().server.pending.push((call.origin, adds));
        }
        // What is counted after its client's death takes effect then or never.
        let was_dead = life.is_dead();
        let happens = tokio::select! {
            biased;
            () = world.sleep_until(call.left + effect), if !was_dead => true,
            () = life.death() => if was_dead {
                world.state().dice.bool()
            } else {
                outlives(&world, |dice| effect_after_death(dice, world.scenario.late_ms)).await
            },
        };
        let (wall, now) = (world.created_wall(), world.time());
        let mut state = world.state();
        let lag = Duration::from_millis(state.dice.u64(0..=world.scenario.lag_ms));
        state.server.pending.retain(|(origin, _)| *origin != call.origin);
        if happens {
            said.answer = Some(match &call.body {
                Some(body) if call.is_comment => {
                    state.server.comment(call.incident, body, call.origin, wall, now + lag)
                }
                Some(body) => state.server.update(call.incident, body, call.origin, wall, now + lag),
                None if call.incident == 0 => state.server.list(call.page, now),
                None => state.server.read(call.incident, Some(now)),
            });
            drop(state);
            world.note(format_args!("effect  {:?}", call.origin));
        }
        life.point();
    }
    // Nobody listens if the client has given up.
    let _ = tell.send(said);
}

/// The client of a request has died: waits for what the server still does about it. Returns whether it does it.
async fn outlives(world: &World, after: impl FnOnce(&mut fastrand::Rng) -> Option<Duration>) -> bool {
    let after = after(&mut world.state().dice);
    world.sleep(after.unwrap_or_default()).await;
    after.is_some()
}

impl State {
    /// What happens to a request that leaves now; `updated` is the incident that it updates, if any.
    fn fate(&mut self, scenario: &Scenario, now: Duration, updated: Option<u64>, is_reused: bool) -> Fate {
        let is_down = scenario.outage.as_ref().is_some_and(|outage| outage.contains(&now));
        let fate = if is_reused && scenario.closes && !is_down && self.dice.u8(..4) == 0 {
            Fate::closed(&mut self.dice, scenario.latency_ms, scenario.late_ms)
        } else {
            self.drawn_fate(scenario, now)
        };
        let fate = if updated.is_some() && updated == scenario.loses { fate.lost() } else { fate };
        if scenario.counts_late { fate.counted_late(&mut self.dice) } else { fate }
    }

    fn drawn_fate(&mut self, scenario: &Scenario, now: Duration) -> Fate {
        let latency = scenario.latency_ms;
        if scenario.outage.as_ref().is_some_and(|outage| outage.contains(&now)) {
            return Fate::down(&mut self.dice, latency);
        }
        if self.dice.u64(..scenario.fault_every) > 0 {
            return Fate::fine(&mut self.dice, latency);
        }
        let is_throttled = self.dice.bool();
        match if is_throttled { &mut self.throttles_left } else { &mut self.faults_left } {
            0 => Fate::fine(&mut self.dice, latency),
            left => {
                *left -= 1;
                if is_throttled {
                    Fate::throttled(&mut self.dice, latency)
                } else {
                    Fate::fault(&mut self.dice, latency, scenario.late_ms)
                }
            }
        }
    }
}

impl World {
    /// The server counts a request. Returns whether others have used up the quota.
    fn count(&self, fate: &Fate) -> bool {
        let now = self.time();
        let window = self.scenario.quota.shortest();
        let server = &mut self.state().server;
        server.counted.push(now);
        if let How::Throttled { others } = fate.how {
            // Of fixed windows the present one is used up: the world begins half a second into one.
            let windows = (now + Duration::from_millis(500)).as_nanos() / window.as_nanos() + 1;
            let end = (window * u32::try_from(windows).expect("two days")).saturating_sub(Duration::from_millis(500));
            let until = if self.scenario.has_fixed_windows { end } else { now + others };
            server.busy_until = server.busy_until.max(until);
        }
        now < server.busy_until
    }
}

/// In the format of the header `Date`.
pub(super) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
