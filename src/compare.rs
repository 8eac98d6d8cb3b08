//! Compares the change of a row with the current state of its incident.
//!
//! Promises: pure; a row that adds a comment is never skipped as unchanged; null, an empty text and an empty list are equal.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::contract::SameAs;
use crate::model::change::Change;
use crate::model::comment_text::may_be;
use crate::model::edit::Edits;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
use crate::model::snapshot::{IncidentState, Snapshot};

/// A property that a row changes.
#[derive(Clone, Debug, PartialEq)]
pub struct PropertyDiff {
    /// The property's name.
    pub property: String,
    /// The current value; null if it is not set.
    pub before: Value,
    /// The requested value.
    pub after: Value,
}

/// `status Active → Resolved`. The values are not escaped: the caller must make them safe to print.
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

/// The result of comparing a row with its incident.
#[derive(Clone, Debug, PartialEq)]
pub enum Diff {
    /// The row is sent and changes these properties (none if it only adds a comment).
    Changes(Vec<PropertyDiff>),
    /// The row is not sent; this is its outcome.
    Skipped(Outcome),
}

/// Compares a change with a snapshot of its incident.
#[must_use]
pub fn compare<L: Serialize>(change: &Change<L>, snapshot: &Snapshot, same_as: &SameAs) -> Diff {
    let skipped = |kind, code, message: String| Diff::Skipped(Outcome::new(kind, code, message));
    match snapshot {
        Snapshot::Missing { message } => {
            skipped(OutcomeKind::Failed, OutcomeCode::NotFound, format!("not sent: no such incident: {message}"))
        }
        Snapshot::Unreadable { message } => skipped(
            OutcomeKind::Failed,
            OutcomeCode::Unreadable,
            format!("not sent: the incident cannot be read: {message}"),
        ),
        Snapshot::There(IncidentState { redirect: Some(to), .. }) => {
            let message = format!("not sent: the incident was merged into {to}");
            skipped(OutcomeKind::Failed, OutcomeCode::Redirected, message)
        }
        Snapshot::There(before) => {
            let differences = differences(&change.edits, &before.values, same_as);
            if differences.is_empty() && change.edits.added().is_none() {
                return skipped(
                    OutcomeKind::Unchanged,
                    OutcomeCode::AlreadySo,
                    "all values are already set".to_owned(),
                );
            }
            Diff::Changes(differences)
        }
    }
}

/// Like [`compare`], for a row of a plan: if the incident has changed since the plan was created, the row is not sent.
/// `planned` is the incident at that time.
#[must_use]
pub fn compare_since(change: &Change, planned: &Snapshot, now: &Snapshot, same_as: &SameAs) -> Diff {
    if let (Snapshot::There(planned), Snapshot::There(now)) = (planned, now) {
        let changed = changed_since(planned, now, same_as);
        if !changed.is_empty() {
            let changed: Vec<String> = changed.iter().map(ToString::to_string).collect();
            let message = format!("not sent: changed since the plan was created: {}", changed.join("; "));
            return Diff::Skipped(Outcome::new(OutcomeKind::Failed, OutcomeCode::ChangedSince, message));
        }
    }
    compare(change, now, same_as)
}

/// The properties that `edits` set to values different from `values`. Appended text does not count.
#[must_use]
pub fn differences<L: Serialize>(edits: &Edits<L>, values: &Map<String, Value>, same_as: &SameAs) -> Vec<PropertyDiff> {
    let differing = edits.sets().filter_map(|set| {
        let (property, after) = (set.property.to_string(), set.edit.value());
        let before = values.get(&property).cloned().unwrap_or(Value::Null);
        (!same(&property, &after, &before, same_as)).then_some(PropertyDiff { property, before, after })
    });
    differing.collect()
}

/// The properties whose values differ between `then` and `now`.
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

/// Whether a value is null, an empty text or an empty list.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Whether two values of a property are equal to the API: texts regardless of case, values that the contract declares
/// equal, lists in any order.
pub(crate) fn same(property: &str, a: &Value, b: &Value, same_as: &SameAs) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.eq_ignore_ascii_case(b) || same_as.holds(property, a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.iter().all(|item| b.contains(item)) && b.iter().all(|item| a.contains(item))
        }
        _ => a == b || (is_empty(a) && is_empty(b)),
    }
}

/// Whether the service may show a requested value in this form: it may have rewritten a text, but not truncated it.
pub(crate) fn may_show(property: &str, requested: &Value, shown: &Value, same_as: &SameAs) -> bool {
    let is_rewritten = |requested: &Value, shown: &Value| match (requested.as_str(), shown.as_str()) {
        (Some(requested), Some(shown)) => {
            let (requested, shown) = (requested.to_lowercase(), shown.to_lowercase());
            may_be(&requested, &shown) && may_be(&shown, &requested)
        }
        _ => requested == shown,
    };
    let has = |list: &[Value], item: &Value| list.iter().any(|other| is_rewritten(item, other));
    same(property, requested, shown, same_as)
        || match (requested, shown) {
            (Value::Array(requested), Value::Array(shown)) => {
                requested.iter().all(|item| has(shown, item)) && shown.iter().all(|item| has(requested, item))
            }
            _ => is_rewritten(requested, shown),
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
            Diff::Skipped(outcome) => format!("{} {}", outcome.kind, outcome.code),
            Diff::Changes(changes) => {
                let changes = changes.iter().map(|diff| format!("{} {} {}", diff.property, diff.before, diff.after));
                changes.collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[test]
    fn set_values_finish_row_differing_are_named() {
        let set = json!({"status": "resolved", "assignedTo": null, "tags": ["b", "a"], "determination": "Other"});
        let body = r#"{"status":"Resolved","assignedTo":"","tags":["a","b"]}"#;
        assert_eq!(code(compared(body, set.clone())), "unchanged already-so");
        let with_comment = r#"{"status":"Resolved","comment":"done"}"#;
        assert_eq!(code(compared(with_comment, set)), "");
        let different = json!({"status": "Active", "tags": ["a"]});
        let changes = r#"status "Active" "Resolved"; tags ["a"] ["a","b"]"#;
        assert_eq!(code(compared(body, different)), changes);
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
