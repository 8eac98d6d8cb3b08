//! Comparing what a row asks for with what its incident looks like.
//!
//! Promises: pure; a row that adds a comment is never already so; nothing, an empty text and an empty list are the same.

use std::fmt;

use serde_json::{Map, Value};

use crate::outcome::{Outcome, OutcomeKind};
use crate::row::Change;
use crate::seen::{Before, Seen};

/// One property that a row changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its name.
    pub property: String,
    /// What it was; null where it was not set.
    pub before: Value,
    /// What it shall be.
    pub after: Value,
}

/// `status Active → Resolved`, as the values are: it is for the printer to make them safe.
impl fmt::Display for Difference {
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
pub enum Compared {
    /// It is sent, and changes these; none where it only adds a comment.
    Changes(Vec<Difference>),
    /// It is not sent: so it ends.
    Ends(Outcome),
}

/// Compares a change with what was seen of its incident. `appended` is the property that is added to what is there.
#[must_use]
pub fn compare(change: &Change, seen: &Seen, appended: &str) -> Compared {
    let ends = |kind, code, message: String| Compared::Ends(Outcome::new(kind, code, message));
    match seen {
        Seen::Missing { message } => {
            ends(OutcomeKind::Failed, "not-found", format!("not sent: there is no such incident: {message}"))
        }
        Seen::Unreadable { message } => {
            ends(OutcomeKind::Failed, "unreadable", format!("not sent: the incident can't be read: {message}"))
        }
        Seen::There(Before { redirect: Some(to), .. }) => {
            ends(OutcomeKind::Failed, "redirected", format!("not sent: the incident was merged into {to}"))
        }
        Seen::There(before) => {
            let differences = differences(&change.body, &before.values, appended);
            if differences.is_empty() && !change.appends {
                return ends(OutcomeKind::Unchanged, "already-so", "all that it sets is so already".to_owned());
            }
            Compared::Changes(differences)
        }
    }
}

/// As [`compare`], for a row of a plan: what has changed since that was made is not sent. `planned`: what the incident
/// looked like then.
#[must_use]
pub fn compare_since(change: &Change, planned: &Seen, now: &Seen, appended: &str) -> Compared {
    if let (Seen::There(planned), Seen::There(now)) = (planned, now) {
        let changed = changed_since(planned, now);
        if !changed.is_empty() {
            let changed: Vec<String> = changed.iter().map(ToString::to_string).collect();
            let message = format!("not sent: changed since the plan was made: {}", changed.join("; "));
            return Compared::Ends(Outcome::new(OutcomeKind::Failed, "changed-since", message));
        }
    }
    compare(change, now, appended)
}

/// The properties that `body` sets to something else than `values` shows; what it adds is not looked at.
#[must_use]
pub fn differences(body: &str, values: &Map<String, Value>, appended: &str) -> Vec<Difference> {
    let asked: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let asked = asked.into_iter().filter(|(name, _)| name != appended);
    let differing = asked.filter_map(|(property, after)| {
        let before = values.get(&property).cloned().unwrap_or(Value::Null);
        (!same(&after, &before)).then_some(Difference { property, before, after })
    });
    differing.collect()
}

/// The properties whose values were otherwise in `then` than they are in `now`.
fn changed_since(then: &Before, now: &Before) -> Vec<Difference> {
    let changed = then.values.iter().filter_map(|(property, before)| {
        let after = now.values.get(property).cloned().unwrap_or(Value::Null);
        (!same(before, &after)).then(|| Difference { property: property.clone(), before: before.clone(), after })
    });
    changed.collect()
}

/// Whether two values of a property are the same to the API: texts in any case, lists in any order.
fn same(one: &Value, other: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.eq_ignore_ascii_case(other),
        (Value::Array(one), Value::Array(other)) => {
            one.iter().all(|item| other.contains(item)) && other.iter().all(|item| one.contains(item))
        }
        _ => one == other || (is_empty(one) && is_empty(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::IncidentId;
    use serde_json::json;

    fn compared(body: &str, values: Value) -> Compared {
        let appends = body.contains("comment");
        let change = Change { incident: IncidentId::new(7).expect("an id"), body: body.into(), appends };
        let Value::Object(values) = values else { unreachable!("an object") };
        compare(&change, &Seen::There(Before { values, ..Before::default() }), "comment")
    }

    fn code(compared: Compared) -> String {
        match compared {
            Compared::Ends(outcome) => format!("{} {}", outcome.kind, outcome.code),
            Compared::Changes(changes) => {
                let changes = changes.iter().map(|one| format!("{} {} {}", one.property, one.before, one.after));
                changes.collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[test]
    fn what_is_already_so_ends_and_what_is_not_is_named() {
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
    fn what_can_not_be_updated_is_not_sent() {
        let change = Change { incident: IncidentId::new(7).expect("an id"), body: "{}".into(), appends: true };
        let message = || "no such".to_owned();
        let merged = Seen::There(Before { redirect: Some(9), ..Before::default() });
        for (seen, wanted) in [
            (Seen::Missing { message: message() }, "failed not-found"),
            (Seen::Unreadable { message: message() }, "failed unreadable"),
            (merged, "failed redirected"),
        ] {
            assert_eq!(code(compare(&change, &seen, "comment")), wanted);
            assert_eq!(Seen::from_json(&seen.to_json()).expect("its own"), seen);
        }
    }
}
