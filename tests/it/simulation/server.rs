//! The model of the service: its incidents, what was done to them, when it counted requests, when it throttles.
//!
//! Promises: the program tells it nothing but requests; its state is the truth against which the program's results are
//! checked.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::graph;
use super::scenario::{Habit, Rewrite, Scenario};

/// The service.
#[derive(Debug)]
pub(super) struct Server {
    incidents: BTreeMap<u64, Incident>,
    /// When each request was counted, in the world's time, including refused ones and reads.
    pub(super) counted: Vec<Duration>,
    /// Every update that took effect.
    pub(super) applied: Vec<Applied>,
    /// Updates that have arrived and may yet take effect, and whether they add a comment.
    pub(super) pending: Vec<(Origin, bool)>,
    /// Until when others have used up the quota.
    pub(super) busy_until: Duration,
    rewrite: Rewrite,
    is_graph: bool,
}

#[derive(Debug)]
struct Incident {
    habit: Habit,
    values: Map<String, Value>,
    comments: Vec<Value>,
    /// What reads don't show yet: from when they will, in the world's time, and what was there before.
    hidden: Vec<Hidden>,
}

/// A change that reads don't show yet.
#[derive(Debug)]
struct Hidden {
    until: Duration,
    /// The values that it replaced.
    before: Map<String, Value>,
    comment: Option<Value>,
}

/// The row and run of a request, known from its intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) attempt: i64,
    pub(super) run: i64,
    pub(super) row: u64,
}

/// An update that took effect.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) origin: Origin,
    pub(super) incident: u64,
    pub(super) body: String,
}

impl Server {
    pub(super) fn new(scenario: &Scenario) -> Server {
        let before: Timestamp = "2026-11-20T08:00:00Z".parse().expect("a time");
        let mut server = Server {
            incidents: BTreeMap::new(),
            counted: Vec::new(),
            applied: Vec::new(),
            pending: Vec::new(),
            busy_until: Duration::ZERO,
            rewrite: scenario.rewrite,
            is_graph: scenario.two_steps,
        };
        for seeded in &scenario.incidents {
            let comments = seeded.comment.iter().map(|text| server.stored(text, before)).collect();
            let status = if scenario.two_steps { "active" } else { "Active" };
            let values = Map::from_iter([("status".to_owned(), json!(status))]);
            let incident = Incident { habit: seeded.habit, values, comments, hidden: Vec::new() };
            server.incidents.insert(seeded.id, incident);
        }
        server
    }

    /// A comment as it is stored.
    fn stored(&self, text: &str, wall: Timestamp) -> Value {
        let text = self.rewrite.stored(text);
        if self.is_graph {
            return graph::comment(&text, wall);
        }
        json!({"comment": text, "createdBy": "triage@contoso.com", "createdTime": format!("{wall:.7}")})
    }

    /// Applies an update; reads show it at `visible`. Returns the status and the body of the response.
    pub(super) fn update(
        &mut self,
        id: u64,
        body: &str,
        origin: Origin,
        wall: Timestamp,
        visible: Duration,
    ) -> (u16, Value) {
        let Some(habit) = self.incidents.get(&id).map(|incident| incident.habit) else {
            return (404, error("NotFound"));
        };
        match habit {
            Habit::Missing => return (404, error("NotFound")),
            Habit::Refuses => return (400, error("InvalidInput")),
            Habit::Conflicts => return (409, error("Conflict")),
            Habit::Ignores => return self.read(id, None),
            Habit::Takes | Habit::RefusesComments | Habit::Merged | Habit::IgnoresPartly => {}
        }
        let takes_all = habit != Habit::IgnoresPartly;
        let asked: Map<String, Value> = serde_json::from_str(body).expect("an update is an object");
        let comment = asked.get("comment").and_then(Value::as_str).map(|text| self.stored(text, wall));
        let incident = self.incidents.get_mut(&id).expect("it was there");
        let mut hidden = Hidden { until: visible, before: Map::new(), comment: None };
        let ignored = if takes_all { 0 } else { asked.len() - 1 };
        for (name, value) in asked.into_iter().skip(ignored) {
            if name == "comment" {
                hidden.comment.clone_from(&comment);
                incident.comments.extend(comment.clone());
            } else {
                let before = incident.values.insert(name.clone(), value);
                hidden.before.insert(name, before.unwrap_or_default());
            }
        }
        incident.hidden.push(hidden);
        self.applied.push(Applied { origin, incident: id, body: body.to_owned() });
        self.read(id, None)
    }

    /// Adds a comment, by a request for that alone. The response lists all comments.
    pub(super) fn comment(
        &mut self,
        id: u64,
        body: &str,
        origin: Origin,
        wall: Timestamp,
        visible: Duration,
    ) -> (u16, Value) {
        let refuses = self.incidents.get(&id).is_some_and(|incident| incident.habit == Habit::RefusesComments);
        if refuses {
            return (400, error("InvalidInput"));
        }
        let (status, shown) = self.update(id, body, origin, wall, visible);
        if status == 200 { (200, json!({"@odata.context": "x", "value": shown["comments"]})) } else { (status, shown) }
    }

    /// Whether an update of this incident can have an effect.
    pub(super) fn takes(&self, id: u64) -> bool {
        self.incidents.get(&id).is_some_and(|incident| {
            matches!(incident.habit, Habit::Takes | Habit::RefusesComments | Habit::Merged | Habit::IgnoresPartly)
        })
    }

    /// The incident as reads show it at `now`; without a time, as it is.
    pub(super) fn read(&self, id: u64, now: Option<Duration>) -> (u16, Value) {
        let Some(incident) = self.incidents.get(&id).filter(|incident| incident.habit != Habit::Missing) else {
            return (404, error("NotFound"));
        };
        let mut shown = incident.values.clone();
        let mut comments = incident.comments.clone();
        let hidden = incident.hidden.iter().filter(|hidden| now.is_some_and(|now| now < hidden.until));
        for Hidden { before, comment, .. } in hidden.rev() {
            shown.extend(before.clone());
            let at = comment.as_ref().and_then(|hidden| comments.iter().rposition(|shown| shown == hidden));
            at.map(|at| comments.remove(at));
        }
        // Graph writes them as texts.
        let number = |id: u64| if self.is_graph { json!(id.to_string()) } else { json!(id) };
        shown.insert(if self.is_graph { "id" } else { "incidentId" }.to_owned(), number(id));
        let target = (incident.habit == Habit::Merged).then(|| number(id + 1_000_000));
        shown.insert("redirectIncidentId".to_owned(), target.unwrap_or_default());
        shown.insert("comments".to_owned(), json!(comments));
        (200, Value::Object(shown))
    }

    /// A page of the list, newest first, as reads show it at `now`.
    pub(super) fn list(&self, (skip, top): (usize, usize), now: Duration) -> (u16, Value) {
        let shown =
            self.incidents.keys().rev().map(|id| self.read(*id, Some(now))).filter(|(status, _)| *status == 200);
        let page: Vec<Value> = shown.skip(skip).take(top).map(|(_, incident)| incident).collect();
        (200, json!({"value": page}))
    }

    /// Whether the incident shows what an update without a comment requested.
    pub(super) fn shows(&self, id: u64, body: &str) -> bool {
        let asked: Map<String, Value> = serde_json::from_str(body).expect("an update is an object");
        let values = self.incidents.get(&id).map(|incident| &incident.values);
        values.is_some_and(|values| asked.iter().all(|(name, value)| values.get(name) == Some(value)))
    }
}

fn error(code: &str) -> Value {
    json!({"error": {"code": code, "message": "so it is", "target": "1f3a"}})
}
