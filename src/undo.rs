//! Undo: the change that restores the state of an incident before a run.
//!
//! Promises: pure; properties that someone else has changed since are skipped, and values that the API can't set are
//! reported. Comments stay, because the API can't remove them.

use serde_json::{Map, Value};

use crate::compare::{differences, same};
use crate::contract::{Contract, PropertyKind};
use crate::model::edit::{Edit, Edits, Never, PropertyEdit};
use crate::model::snapshot::IncidentState;
use crate::text::is_redacted;

/// How a change to an incident is undone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Undo {
    /// The properties to set, in the contract's order; may be empty.
    pub edits: Edits<Never>,
    /// Properties that someone else has changed since.
    pub changed_since: Vec<String>,
    /// Properties whose previous value the API can't set, with that value.
    pub impossible: Vec<(String, Value)>,
}

/// Undoes a change: `then` is the incident before the change was applied, `now` is its current state.
#[must_use]
pub fn undo(change: &Edits, then: &IncidentState, now: &IncidentState, contract: &Contract) -> Undo {
    let same_as = contract.same_as();
    let since = differences(change, &now.values, &same_as);
    let (mut undo, mut earlier) = (Undo::default(), Map::new());
    for property in &contract.properties {
        let name = &property.name;
        if !change.sets().any(|set| *set.property == **name) {
            continue;
        }
        let was = then.values.get(name).cloned().unwrap_or(Value::Null);
        let is = now.values.get(name).cloned().unwrap_or(Value::Null);
        if same(name, &was, &is, &same_as) {
            continue;
        }
        if since.iter().any(|difference| difference.property == *name) {
            undo.changed_since.push(name.clone());
            continue;
        }
        match to_request(&property.kind, &was) {
            Some(value) => {
                earlier.insert(name.clone(), value);
            }
            None => undo.impossible.push((name.clone(), was)),
        }
    }
    undo.keep_rules(&mut earlier, then, contract);
    let names = contract.properties.iter().map(|property| &property.name);
    let edits = names.filter_map(|name| Some(PropertyEdit::new(name.as_str(), Edit::set(earlier.remove(name)?))));
    undo.edits = edits.collect();
    undo
}

/// A value as an update sets it; `None` if that is not possible.
fn to_request(kind: &PropertyKind, was: &Value) -> Option<Value> {
    match (kind, was) {
        _ if is_redacted(was) => None,
        (PropertyKind::Choice(choices), Value::String(text)) => {
            let choice = choices.iter().find(|choice| choice.value.eq_ignore_ascii_case(text))?;
            Some(Value::from(choice.value.as_str()))
        }
        (PropertyKind::Text, Value::Null) => Some(Value::from("")),
        (PropertyKind::List, Value::Null) => Some(Value::Array(Vec::new())),
        (PropertyKind::Text, Value::String(_)) | (PropertyKind::List, Value::Array(_)) => Some(was.clone()),
        _ => None,
    }
}

impl Undo {
    /// Adds the properties that other values need in the same row, and removes values that are not allowed with them.
    fn keep_rules(&mut self, earlier: &mut Map<String, Value>, then: &IncidentState, contract: &Contract) {
        for rule in contract.dependencies.iter().filter(|rule| !rule.advisory) {
            let Some(value) = earlier.get(&rule.property).cloned() else { continue };
            let on = earlier.get(&rule.on).or_else(|| then.values.get(&rule.on)).cloned().unwrap_or(Value::Null);
            let allows = |(with, values): &(String, Vec<String>)| {
                on.as_str() == Some(with) && values.iter().any(|allowed| value.as_str() == Some(allowed))
            };
            if !rule.allowed.iter().any(allows) {
                earlier.remove(&rule.property);
                self.impossible.push((rule.property.clone(), value));
            } else if !earlier.contains_key(&rule.on) {
                earlier.insert(rule.on.clone(), on);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::load;
    use serde_json::json;

    fn seen(values: Value) -> IncidentState {
        let Value::Object(values) = values else { unreachable!("an object") };
        IncidentState { values, ..IncidentState::default() }
    }

    fn undone(contract: &str, body: &str, then: Value, now: Value) -> Undo {
        let change = crate::plan::decode(body, body.contains("comment")).expect("a body");
        undo(&change, &seen(then), &seen(now), &load(contract).expect("is built in"))
    }

    #[test]
    fn undo_restores_exactly_what_the_run_set() {
        let body = r#"{"status":"Resolved","assignedTo":"a","tags":["x"],"comment":"done"}"#;
        let then = json!({"status": "Active", "assignedTo": null, "tags": ["t"], "classification": "Unknown"});
        let now = json!({"status": "Resolved", "assignedTo": "a", "tags": ["x"], "classification": "TruePositive"});
        let undo = undone("defender-classic", body, then, now);
        assert_eq!(undo.edits.to_json(), r#"{"status":"Active","assignedTo":"","tags":["t"]}"#);
        assert_eq!((undo.changed_since, undo.impossible), (vec![], vec![]));
    }

    #[test]
    fn later_changes_by_others_are_kept() {
        let body = r#"{"status":"Resolved","assignedTo":"a"}"#;
        let then = json!({"status": "Active", "assignedTo": "b"});
        let undo = undone("defender-classic", body, then, json!({"status": "Resolved", "assignedTo": "c"}));
        assert_eq!(Value::from(undo.edits.values()), json!({"status": "Active"}));
        assert_eq!(undo.changed_since, ["assignedTo"]);
    }

    /// By the API's page `determination` goes with `TruePositive` only, and today's has no value for "not set".
    #[test]
    fn values_the_api_cannot_set_are_named() {
        let body = r#"{"classification":"TruePositive","determination":"Malware"}"#;
        let then = json!({"classification": "Unknown", "determination": "NotAvailable"});
        let now = json!({"classification": "TruePositive", "determination": "Malware"});
        let undo = undone("defender-classic", body, then.clone(), now.clone());
        assert_eq!(Value::from(undo.edits.values()), json!({"classification": "Unknown"}));
        assert_eq!(undo.impossible, [("determination".to_owned(), json!("NotAvailable"))]);
        let undo = undone("defender", body, then, now);
        assert!(undo.edits.is_empty());
        assert_eq!(undo.impossible.len(), 2);
    }

    /// What was redacted is not what the incident had.
    #[test]
    fn redacted_value_is_not_restored() {
        let body = r#"{"assignedTo":"a","tags":["x"]}"#;
        let then = json!({"assignedTo": "***token***", "tags": ["t", "of ***token***"]});
        let undo = undone("defender", body, then, json!({"assignedTo": "a", "tags": ["x"]}));
        assert!(undo.edits.is_empty());
        assert_eq!(undo.impossible.len(), 2);
    }

    #[test]
    fn undo_adds_the_value_that_another_needs() {
        let body = r#"{"classification":"TruePositive","determination":"Phishing"}"#;
        let then = json!({"classification": "TruePositive", "determination": "Malware"});
        let undo =
            undone("defender", body, then, json!({"classification": "TruePositive", "determination": "Phishing"}));
        let change = r#"{"classification":"TruePositive","determination":"Malware"}"#;
        assert_eq!(undo.edits.to_json(), change);
    }
}
