//! Comparing what a row asks for with what its incident looks like.
//!
//! Promises: pure; a row that adds a comment is never already so; nothing, an empty text and an empty list are the same.

use std::fmt;

use serde_json::{Map, Value};

use crate::contract::SameAs;
use crate::model::change::Change;
use crate::model::comment_text::may_be;
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

/// Compares a change with what was seen of its incident. `appended` is the property that is added to what is there.
#[must_use]
pub fn compare(change: &Change, seen: &Snapshot, appended: &str, same_as: &SameAs) -> Diff {
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
            let differences = differences(&change.body, &before.values, appended, same_as);
            if differences.is_empty() && !change.appends {
                return ends(OutcomeKind::Unchanged, OutcomeCode::AlreadySo, "all values are already set".to_owned());
            }
            Diff::Changes(differences)
        }
    }
}

/// As [`compare`], for a row of a plan: what has changed since that was made is not sent. `planned`: what the incident
/// looked like then.
#[must_use]
pub fn compare_since(change: &Change, planned: &Snapshot, now: &Snapshot, appended: &str, same_as: &SameAs) -> Diff {
    if let (Snapshot::There(planned), Snapshot::There(now)) = (planned, now) {
        let changed = changed_since(planned, now, same_as);
        if !changed.is_empty() {
            let changed: Vec<String> = changed.iter().map(ToString::to_string).collect();
            let message = format!("not sent: changed since the plan was created: {}", changed.join("; "));
            return Diff::Ends(Outcome::new(OutcomeKind::Failed, OutcomeCode::ChangedSince, message));
        }
    }
    compare(change, now, appended, same_as)
}

/// The part of `body` that sets properties, and the part that adds a comment; `None` if there is nothing in it.
#[must_use]
pub fn parts(body: &str, appended: &str) -> (Option<String>, Option<String>) {
    let asked: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let (adds, sets): (Map<String, Value>, Map<String, Value>) =
        asked.into_iter().partition(|(name, _)| name == appended);
    let text = |part: Map<String, Value>| (!part.is_empty()).then(|| Value::Object(part).to_string());
    (text(sets), text(adds))
}

/// The properties that `body` sets to something else than `values` shows; what it adds is not looked at.
#[must_use]
pub fn differences(body: &str, values: &Map<String, Value>, appended: &str, same_as: &SameAs) -> Vec<PropertyDiff> {
    let asked: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let asked = asked.into_iter().filter(|(name, _)| name != appended);
    let differing = asked.filter_map(|(property, after)| {
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

    fn compared(body: &str, values: Value) -> Diff {
        let appends = body.contains("comment");
        let change = Change { incident: IncidentId::new(7).expect("an id"), body: body.into(), appends };
        let Value::Object(values) = values else { unreachable!("an object") };
        compare(
            &change,
            &Snapshot::There(IncidentState { values, ..IncidentState::default() }),
            "comment",
            &SameAs::default(),
        )
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
    fn body_splits_into_properties_and_comment() {
        let some = |text: &str| Some(text.to_owned());
        for (body, sets, adds) in [
            (r#"{"status":"Resolved","comment":"x"}"#, some(r#"{"status":"Resolved"}"#), some(r#"{"comment":"x"}"#)),
            (r#"{"comment":"x"}"#, None, some(r#"{"comment":"x"}"#)),
            (r#"{"tags":["a"]}"#, some(r#"{"tags":["a"]}"#), None),
        ] {
            assert_eq!(parts(body, "comment"), (sets, adds), "{body}");
        }
    }

    #[test]
    fn missing_unreadable_and_merged_are_not_sent() {
        let change = Change { incident: IncidentId::new(7).expect("an id"), body: "{}".into(), appends: true };
        let message = || "no such".to_owned();
        let merged = Snapshot::There(IncidentState { redirect: Some(9), ..IncidentState::default() });
        for (seen, wanted) in [
            (Snapshot::Missing { message: message() }, "failed not-found"),
            (Snapshot::Unreadable { message: message() }, "failed unreadable"),
            (merged, "failed redirected"),
        ] {
            assert_eq!(code(compare(&change, &seen, "comment", &SameAs::default())), wanted);
            assert_eq!(Snapshot::from_json(&seen.to_json()).expect("its own"), seen);
        }
    }
}
