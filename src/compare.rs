//! Comparing what a row asks for with what its incident looks like.
//!
//! Promises: pure; a row that adds a comment is never already so; nothing, an empty text and an empty list are the same.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::contract::SameAs;
use crate::model::change::Change;
use crate::model::comment_text::may_be;
use crate::model::edit::Edits;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
use crate::model::snapshot::{IncidentState, Snapshot};

/// One property that a row changes.
#[derive(Clone, Debug, PartialEq)]
pub struct PropertyDiff {
    /// Its name.
    pub property: String,
    /// What it was; null where it was not set.
    pub before: Value,
    /// What it shall be.
    pub after: Value,
}

/// `status Active → Resolved`, as the values are: it is for the printer to make them safe.
impl fmt::Display for PropertyDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Value| match value {
            Value::Null => "(not set)".to_owned(),
            Value::String(text) if text.is_empty() => "(not set)".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        write!(f, "{} {} → {}", self.property, shown(&self.before), shown(&self.after))
    }
}

/// What comparing says of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Diff {
    /// It is sent, and changes these; none where it only adds a comment.
    Changes(Vec<PropertyDiff>),
    /// It is not sent: so it ends.
    Ends(Outcome),
}

/// Compares a change with what was seen of its incident.
#[must_use]
pub fn compare<L: Serialize>(change: &Change<L>, seen: &Snapshot, same_as: &SameAs) -> Diff {
    let ends = |kind, code, message: String| Diff::Ends(Outcome::new(kind, code, message));
    match seen {
        Snapshot::Missing { message } => {
            ends(OutcomeKind::Failed, OutcomeCode::NotFound, format!("not sent: no such incident: {message}"))
        }
        Snapshot::Unreadable { message } => ends(
            OutcomeKind::Failed,
            OutcomeCode::Unreadable,
            format!("not sent: the incident cannot be read: {message}"),
        ),
        Snapshot::There(IncidentState { redirect: Some(to), .. }) => {
            ends(OutcomeKind::Failed, OutcomeCode::Redirected, format!("not sent: the incident was merged into {to}"))
        }
        Snapshot::There(before) => {
            let differences = differences(&change.edits, &before.values, same_as);
            if differences.is_empty() && change.edits.added().is_none() {
                return ends(OutcomeKind::Unchanged, OutcomeCode::AlreadySo, "all values are already set".to_owned());
            }
            Diff::Changes(differences)
        }
    }
}

/// As [`compare`], for a row of a plan: what has changed since that was made is not sent. `planned`: what the incident
/// looked like then.
#[must_use]
pub fn compare_since(change: &Change, planned: &Snapshot, now: &Snapshot, same_as: &SameAs) -> Diff {
    if let (Snapshot::There(planned), Snapshot::There(now)) = (planned, now) {
        let changed = changed_since(planned, now, same_as);
        if !changed.is_empty() {
            let changed: Vec<String> = changed.iter().map(ToString::to_string).collect();
            let message = format!("not sent: changed since the plan was created: {}", changed.join("; "));
            return Diff::Ends(Outcome::new(OutcomeKind::Failed, OutcomeCode::ChangedSince, message));
        }
    }
    compare(change, now, same_as)
}

/// The properties that `edits` set to other values than `values` has; what they add does not count.
#[must_use]
pub fn differences<L: Serialize>(edits: &Edits<L>, values: &Map<String, Value>, same_as: &SameAs) -> Vec<PropertyDiff> {
    let differing = edits.sets().filter_map(|one| {
        let (property, after) = (one.property.to_string(), one.edit.value());
        let before = values.get(&property).cloned().unwrap_or(Value::Null);
        (!same(&property, &after, &before, same_as)).then_some(PropertyDiff { property, before, after })
    });
    differing.collect()
}

/// The properties whose values were otherwise in `then` than they are in `now`.
fn changed_since(then: &IncidentState, now: &IncidentState, same_as: &SameAs) -> Vec<PropertyDiff> {
    let changed = then.values.iter().filter_map(|(property, before)| {
        let after = now.values.get(property).cloned().unwrap_or(Value::Null);
        (!same(property, before, &after, same_as)).then(|| PropertyDiff {
            property: property.clone(),
            before: before.clone(),
            after,
        })
    });
    changed.collect()
}

/// Whether nothing, an empty text or an empty list is asked for or shown.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Whether two values of a property are the same to the API: texts in any case, values that the contract calls equal,
/// lists in any order.
pub(crate) fn same(property: &str, one: &Value, other: &Value, same_as: &SameAs) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => {
            one.eq_ignore_ascii_case(other) || same_as.holds(property, one, other)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.iter().all(|item| other.contains(item)) && other.iter().all(|item| one.contains(item))
        }
        _ => one == other || (is_empty(one) && is_empty(other)),
    }
}

/// Whether a service that was asked for a value may show it so: it may have rewritten a text, but not cut it.
pub(crate) fn may_show(property: &str, asked: &Value, shown: &Value, same_as: &SameAs) -> bool {
    let is_rewritten = |asked: &Value, shown: &Value| match (asked.as_str(), shown.as_str()) {
        (Some(asked), Some(shown)) => {
            let (asked, shown) = (asked.to_lowercase(), shown.to_lowercase());
            may_be(&asked, &shown) && may_be(&shown, &asked)
        }
        _ => asked == shown,
    };
    let has = |list: &[Value], item: &Value| list.iter().any(|other| is_rewritten(item, other));
    same(property, asked, shown, same_as)
        || match (asked, shown) {
            (Value::Array(asked), Value::Array(shown)) => {
                asked.iter().all(|item| has(shown, item)) && shown.iter().all(|item| has(asked, item))
            }
            _ => is_rewritten(asked, shown),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::IncidentId;
    use serde_json::json;

    fn change(body: &str) -> Change {
        let edits = crate::plan::decode(body, body.contains("comment")).expect("a body");
        Change { incident: IncidentId::new(7).expect("an id"), edits }
    }

    fn compared(body: &str, values: Value) -> Diff {
        let change = change(body);
        let Value::Object(values) = values else { unreachable!("an object") };
        compare(&change, &Snapshot::There(IncidentState { values, ..IncidentState::default() }), &SameAs::default())
    }

    fn code(compared: Diff) -> String {
        match compared {
            Diff::Ends(outcome) => format!("{} {}", outcome.kind, outcome.code),
            Diff::Changes(changes) => {
                let changes = changes.iter().map(|one| format!("{} {} {}", one.property, one.before, one.after));
                changes.collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[test]
    fn set_values_finish_row_differing_are_named() {
        let so = json!({"status": "resolved", "assignedTo": null, "tags": ["b", "a"], "determination": "Other"});
        let body = r#"{"status":"Resolved","assignedTo":"","tags":["a","b"]}"#;
        assert_eq!(code(compared(body, so.clone())), "unchanged already-so");
        let with_comment = r#"{"status":"Resolved","comment":"done"}"#;
        assert_eq!(code(compared(with_comment, so)), "");
        let otherwise = json!({"status": "Active", "tags": ["a"]});
        let said = r#"status "Active" "Resolved"; tags ["a"] ["a","b"]"#;
        assert_eq!(code(compared(body, otherwise)), said);
    }

    #[test]
    fn equal_and_rewritten_values_count_as_shown() {
        let contract = crate::contract::load("defender").expect("built in");
        let same_as = contract.same_as();
        let both = |property: &str, asked: &Value, shown: &Value| {
            (same(property, asked, shown, &same_as), may_show(property, asked, shown, &same_as))
        };
        for (property, asked, shown, expected) in [
            ("determination", json!("Clean"), json!("notMalicious"), (true, true)),
            ("determination", json!("NotMalicious"), json!("Clean"), (true, true)),
            ("determination", json!("NotEnoughDataToValidate"), json!("noEnoughDataToValidate"), (true, true)),
            ("determination", json!("Clean"), json!("Other"), (false, false)),
            ("status", json!("Clean"), json!("NotMalicious"), (false, false)),
            ("status", json!("InProgress"), json!("inProgress"), (true, true)),
            ("assignedTo", json!(" A@b.example"), json!("a@b.example"), (false, true)),
            ("assignedTo", json!("a@b.example"), json!("a@b"), (false, false)),
            ("assignedTo", json!(""), Value::Null, (true, true)),
            ("tags", json!(["a & b", "c"]), json!(["c", "a &amp; b"]), (false, true)),
            ("tags", json!(["a"]), json!(["a", "b"]), (false, false)),
        ] {
            assert_eq!(both(property, &asked, &shown), expected, "{property} {asked} {shown}");
        }
    }

    #[test]
    fn missing_unreadable_and_merged_are_not_sent() {
        let change = change(r#"{"comment":"done"}"#);
        let message = || "no such".to_owned();
        let merged = Snapshot::There(IncidentState { redirect: Some(9), ..IncidentState::default() });
        for (seen, wanted) in [
            (Snapshot::Missing { message: message() }, "failed not-found"),
            (Snapshot::Unreadable { message: message() }, "failed unreadable"),
            (merged, "failed redirected"),
        ] {
            assert_eq!(code(compare(&change, &seen, &SameAs::default())), wanted);
            assert_eq!(serde_json::from_str::<Snapshot>(&seen.to_json()).expect("its own"), seen);
        }
    }
}
