//! The incidents of the emulator: which of them exist, and their updates. They are stored in the classic API's spelling, with
//! the members that only Graph shows.
//!
//! Promise: an incident that was not updated costs no memory, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::graph;
use super::habits::Habits;
use super::sign_in::TENANT_ID;
use crate::contract::{Contract, PropertyKind};
use crate::model::change::IncidentId;

/// Which incidents exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incidents {
    /// Sorted, without overlap.
    existing: Vec<RangeInclusive<u64>>,
    /// The ones that lists show; sorted, without overlap.
    listed: Vec<RangeInclusive<u64>>,
}

/// If every ID exists, lists show only the first ones: to list all of them would never end.
const LISTED_OF_EVERY: u64 = 500;

impl Incidents {
    /// Every possible ID; lists show 500 of them, 1 to 500.
    #[must_use]
    pub fn every() -> Incidents {
        Incidents { existing: vec![1..=IncidentId::MAX], listed: vec![1..=LISTED_OF_EVERY] }
    }

    fn contains(&self, id: u64) -> bool {
        let after = self.existing.partition_point(|range| *range.start() <= id);
        after.checked_sub(1).is_some_and(|at| self.existing[at].contains(&id))
    }

    fn of(mut ranges: Vec<RangeInclusive<u64>>) -> Incidents {
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut joined: Vec<RangeInclusive<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => joined.push(range),
            }
        }
        Incidents { existing: joined.clone(), listed: joined }
    }
}

impl FromIterator<IncidentId> for Incidents {
    fn from_iter<I: IntoIterator<Item = IncidentId>>(ids: I) -> Incidents {
        Incidents::of(ids.into_iter().map(|id| id.get()..=id.get()).collect())
    }
}

/// A text that does not name incidents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no incidents: enter `every`, or IDs and ranges such as `1-1000,2001`")]
pub struct ParseIncidentsError(pub String);

impl FromStr for Incidents {
    type Err = ParseIncidentsError;

    fn from_str(text: &str) -> Result<Incidents, ParseIncidentsError> {
        if text == "every" {
            return Ok(Incidents::every());
        }
        let id = |text: &str| text.trim().parse().ok().and_then(IncidentId::new).map(IncidentId::get);
        let range = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some(id(from)?..=id(to)?).filter(|range| !range.is_empty())
        };
        let ranges = text.split(',').map(range).collect::<Option<_>>();
        ranges.map(Incidents::of).ok_or_else(|| ParseIncidentsError(text.to_owned()))
    }
}

/// The incidents and their updates.
pub(super) struct Store {
    incidents: Incidents,
    /// The target of each merged incident.
    merged: BTreeMap<u64, u64>,
    /// The incidents that await an action until their status is set.
    pub(super) awaiting_action: BTreeSet<u64>,
    /// The titles that differ from the default.
    pub(super) titles: BTreeMap<u64, String>,
    /// The minimum size of an incident, in bytes.
    pub(super) size: usize,
    /// The versions of each updated incident, oldest first: as many as lagging reads may show.
    updated: BTreeMap<u64, Vec<Version>>,
    pub(super) habits: Habits,
    /// The properties of an incident without updates.
    unset: Map<String, Value>,
    /// When the oldest incident was created: well before the server started.
    oldest: Timestamp,
}

#[derive(Clone)]
struct Version {
    updated: Timestamp,
    properties: Map<String, Value>,
}

/// The age of the oldest incident when the server starts.
const OLDEST: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The newest incidents are a day old.
const NEWEST_SECOND: u64 = 89 * 24 * 3_600;

/// The member with an incident's comments.
pub(super) const COMMENTS: &str = "comments";

/// Who updates incidents, as Graph shows it.
const MODIFIER: &str = "API-App:emulator";

/// Who writes the comments.
const AUTHOR: &str = "emulator@contoso.com";

impl Store {
    pub(super) fn new(incidents: Incidents, merged: BTreeMap<u64, u64>, contract: &Contract, now: Timestamp) -> Store {
        let unset = contract.properties.iter().map(|property| unset(&property.name, &property.kind)).collect();
        Store {
            incidents,
            merged,
            awaiting_action: BTreeSet::new(),
            titles: BTreeMap::new(),
            size: 0,
            updated: BTreeMap::new(),
            habits: Habits::default(),
            unset,
            oldest: now - OLDEST,
        }
    }

    /// The current incident; `None` if it doesn't exist.
    pub(super) fn get(&self, id: u64) -> Option<Value> {
        self.exists(id).then(|| self.show(id))
    }

    /// The incident as a read shows it, which may lag behind.
    pub(super) fn read(&self, id: u64, now: Timestamp) -> Option<Value> {
        self.exists(id).then(|| self.show_read(id, now))
    }

    fn exists(&self, id: u64) -> bool {
        self.incidents.contains(id) || self.merged.contains_key(&id)
    }

    /// The IDs that lists show, newest first, without the first `skip`; these are not iterated over.
    pub(super) fn newest_first(&self, mut skip: u64) -> impl Iterator<Item = u64> {
        self.incidents.listed.iter().rev().flat_map(move |range| {
            let skipped = skip.min(range.end() - range.start() + 1);
            skip -= skipped;
            // IDs start at 1, so this is an empty range if all of it is skipped.
            (*range.start()..=*range.end() - skipped).rev()
        })
    }

    /// How many incidents lists show.
    pub(super) fn listed(&self) -> u64 {
        self.incidents.listed.iter().map(|range| range.end() - range.start() + 1).sum()
    }

    /// Sets or appends properties, as the contract says. Returns the updated incident.
    pub(super) fn update(
        &mut self,
        contract: &Contract,
        id: u64,
        change: &Map<String, Value>,
        now: Timestamp,
    ) -> Value {
        let lag = SignedDuration::try_from(self.habits.lag).unwrap_or(SignedDuration::MAX);
        let versions = self.updated.entry(id).or_default();
        let last = versions.last().cloned();
        let last = last.unwrap_or_else(|| Version {
            updated: Timestamp::MIN,
            properties: unset_of(&self.unset, &self.awaiting_action, id),
        });
        // Two updates in one tick of the clock get different times.
        let updated = now.max(last.updated.saturating_add(SignedDuration::from_micros(1)).unwrap_or(now));
        let mut next = Version { updated, properties: last.properties };
        for (name, value) in change {
            match contract.property(name).map(|property| &property.kind) {
                Some(PropertyKind::Append { .. }) => {
                    let stored = value.as_str().map_or_else(|| value.clone(), |text| self.habits.stored(text).into());
                    let created = decimals(now + self.habits.created_time);
                    let added = json!({"comment": stored, "createdBy": AUTHOR, "createdTime": created});
                    if let Some(Value::Array(list)) = next.properties.get_mut(COMMENTS) {
                        list.push(added);
                    }
                }
                _ => drop(next.properties.insert(name.clone(), value.clone())),
            }
        }
        // No read will show earlier versions.
        let shown = versions.partition_point(|version| now.duration_since(version.updated) >= lag);
        versions.drain(..if lag.is_zero() { versions.len() } else { shown.saturating_sub(1) });
        versions.push(next);
        self.show(id)
    }

    /// The current incident, or what it would be if it existed.
    pub(super) fn show(&self, id: u64) -> Value {
        self.show_version(id, self.updated.get(&id).and_then(|versions| versions.last()))
    }

    /// The same as a read shows it, which may lag behind.
    pub(super) fn show_read(&self, id: u64, now: Timestamp) -> Value {
        if self.habits.lag.is_zero() {
            return self.show(id);
        }
        let is_shown = |version: &&Version| now.duration_since(version.updated).unsigned_abs() >= self.habits.lag;
        self.show_version(id, self.updated.get(&id).and_then(|versions| versions.iter().rev().find(is_shown)))
    }

    fn show_version(&self, id: u64, version: Option<&Version>) -> Value {
        let created = self.created(id);
        let mut incident = Map::new();
        incident.insert("incidentId".to_owned(), id.into());
        incident.insert("redirectIncidentId".to_owned(), self.merged.get(&id).copied().into());
        let title = self.titles.get(&id).cloned().unwrap_or_else(|| format!("Suspicious activity {id}"));
        incident.insert("incidentName".to_owned(), title.into());
        let link = format!("https://security.microsoft.com/incidents/{id}?tid={TENANT_ID}");
        incident.insert("incidentUri".to_owned(), link.into());
        incident.insert("createdTime".to_owned(), decimals(created).into());
        incident.insert("lastUpdateTime".to_owned(), decimals(version.map_or(created, |it| it.updated)).into());
        let unset = || unset_of(&self.unset, &self.awaiting_action, id);
        incident.extend(version.map_or_else(unset, |it| it.properties.clone()));
        incident.insert("detectionSource".to_owned(), "CustomDetection".into());
        incident.entry("severity").or_insert_with(|| "Medium".into());
        if version.is_some() {
            incident.insert("lastModifiedBy".to_owned(), MODIFIER.into());
        }
        incident.insert("alerts".to_owned(), json!([]));
        if self.size > 0 {
            let missing = self.size.saturating_sub(Value::Object(incident.clone()).to_string().len());
            incident.insert("alerts".to_owned(), json!([{"alertId": "a", "title": "x".repeat(missing)}]));
        }
        Value::Object(incident)
    }

    /// The creation time: a higher ID is newer, up to the newest age.
    fn created(&self, id: u64) -> Timestamp {
        let age = SignedDuration::from_secs(i64::try_from(id.min(NEWEST_SECOND)).unwrap_or_default());
        self.oldest.saturating_add(age).unwrap_or(self.oldest)
    }
}

/// A stored incident as the classic API shows it.
pub(super) fn as_classic(mut stored: Value) -> Value {
    if let Value::Object(members) = &mut stored {
        members.retain(|name, _| !graph::is_graph_only(name));
    }
    stored
}

/// The properties of an incident without updates.
fn unset_of(unset: &Map<String, Value>, awaiting_action: &BTreeSet<u64>, id: u64) -> Map<String, Value> {
    let mut unset = unset.clone();
    if awaiting_action.contains(&id) {
        unset.insert("status".to_owned(), "AwaitingAction".into());
    }
    unset
}

/// A time as the API shows it: UTC, seven decimals.
fn decimals(time: Timestamp) -> String {
    format!("{time:.7}")
}

/// A property that was never set: its member of the incident, and its value.
fn unset(name: &str, kind: &PropertyKind) -> (String, Value) {
    let unset =
        |value: &str| ["Active", "Unknown", "NotAvailable"].iter().any(|unset| value.eq_ignore_ascii_case(unset));
    let value = match kind {
        PropertyKind::Choice(choices) => choices.iter().map(|choice| &*choice.value).find(|value| unset(value)).into(),
        PropertyKind::Text => Value::Null,
        PropertyKind::List => json!([]),
        PropertyKind::Append { .. } => return (COMMENTS.to_owned(), json!([])),
    };
    (name.to_owned(), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::rules::tests::classic;

    fn store(incidents: &str) -> Store {
        let merged = BTreeMap::from([(7, 3)]);
        let now = "2026-11-24T10:00:00Z".parse().expect("a time");
        Store::new(incidents.parse().expect("incidents"), merged, &classic(), now)
    }

    fn update(store: &mut Store, id: u64, change: &Value) -> Value {
        let now = "2026-11-24T10:00:01.5Z".parse().expect("a time");
        store.update(&classic(), id, change.as_object().expect("an object"), now)
    }

    #[test]
    fn only_named_incidents_exist() {
        let store = store("1-3,2001,9-10,4");
        let there: Vec<u64> = (1..3000).filter(|id| store.get(*id).is_some()).collect();
        assert_eq!(there, [1, 2, 3, 4, 7, 9, 10, 2001]);
        let ids: Incidents = [5, 3, 4].into_iter().filter_map(IncidentId::new).collect();
        assert_eq!(ids, "3-5".parse().expect("incidents"));
        assert!(Incidents::every().contains(IncidentId::MAX));
        for text in ["", "0", "1-", "5-3", "a", "1;2", "every,1", "9223372036854775808"] {
            assert!(text.parse::<Incidents>().is_err(), "{text}");
        }
    }

    #[test]
    fn update_appends_comment_and_replaces_tags() {
        let mut store = store("every");
        update(&mut store, 5, &json!({"status": "Resolved", "tags": ["a", "b"], "comment": "pen testing"}));
        let before = store.get(5).expect("exists");
        let after = update(&mut store, 5, &json!({"tags": ["c"], "comment": "valid incident"}));
        assert_eq!(after["status"], "Resolved");
        assert_eq!(after["tags"], json!(["c"]));
        assert_eq!(after["comments"][0]["comment"], "pen testing");
        assert_eq!(
            after["comments"][1],
            json!({"comment": "valid incident", "createdBy": AUTHOR, "createdTime": "2026-11-24T10:00:01.5000000Z"})
        );
        assert!(after["lastUpdateTime"].as_str() > before["lastUpdateTime"].as_str());
        assert_eq!(after["comment"], Value::Null);
        assert_eq!(store.get(6).expect("exists")["comments"], json!([]));
    }

    #[test]
    fn reads_lag_but_responses_do_not() {
        let habits = Habits { lag: std::time::Duration::from_secs(5), ..Habits::default() };
        let mut store = Store { habits, ..store("every") };
        let at = |seconds: i64| {
            "2026-11-24T10:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
        };
        for (seconds, status) in [(0, "Resolved"), (4, "Active"), (9, "Resolved")] {
            let change = json!({"status": status, "comment": status});
            let shown = store.update(&classic(), 5, change.as_object().expect("an object"), at(seconds));
            assert_eq!(shown["status"], status);
        }
        for (seconds, comments) in [(9, 2), (10, 2), (13, 2), (14, 3), (99, 3)] {
            let read = store.read(5, at(seconds)).expect("exists");
            assert_eq!(read["comments"].as_array().map(Vec::len), Some(comments), "{seconds}");
        }
        assert_eq!(store.read(6, at(0)).expect("exists")["comments"], json!([]));
    }

    #[test]
    fn unset_properties_have_the_documented_values() {
        let incident = store("1-9").get(1).expect("exists");
        assert_eq!(incident["status"], "Active");
        assert_eq!(incident["classification"], "Unknown");
        assert_eq!(incident["determination"], "NotAvailable");
        assert_eq!((&incident["assignedTo"], &incident["redirectIncidentId"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn merged_incident_names_its_target() {
        assert_eq!(store("1").get(7).expect("exists")["redirectIncidentId"], 3);
    }

    #[test]
    fn newest_incident_comes_first() {
        let store = store("1-3,8-9");
        let shown: Vec<_> = store.newest_first(0).map(|id| store.show(id)).collect();
        let ids: Vec<_> = shown.iter().map(|incident| incident["incidentId"].as_u64()).collect();
        assert_eq!(ids, [9, 8, 3, 2, 1].map(Some));
        assert!(shown.is_sorted_by(|a, b| a["createdTime"].as_str() > b["createdTime"].as_str()));
        for skip in 0..7_u8 {
            let from = usize::from(skip).min(5);
            assert_eq!(store.newest_first(skip.into()).collect::<Vec<_>>(), [9, 8, 3, 2, 1][from..]);
        }
    }

    #[test]
    fn list_of_every_incident_shows_500() {
        let store = store("every");
        assert_eq!(store.newest_first(0).collect::<Vec<_>>(), (1..=500).rev().collect::<Vec<_>>());
        assert_eq!(store.newest_first(400).count(), 100);
        assert!(store.get(501).is_some() && store.get(IncidentId::MAX).is_some());
    }

    #[test]
    fn last_page_of_all_ids_can_be_listed() {
        let store = store(&format!("1-{}", IncidentId::MAX));
        assert_eq!(store.newest_first(IncidentId::MAX - 2).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(store.newest_first(u64::MAX).count(), 0);
    }
}
