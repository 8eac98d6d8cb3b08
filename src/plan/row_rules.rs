//! The rules for rows that were kept, in a plan or in the journal: what one changes is checked against the contract that
//! was kept with it, as the row was from which it was made.
//!
//! Promise: the body that is read has each of its members once, to the byte as it is written by `plan`; so what is shown
//! of it is all that is sent.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::contract::{Contract, PropertyKind};
use crate::model::change::Change;
use crate::model::list_edit::ListEdit;
use crate::text::truncate;

/// How much of a value a message repeats, in characters.
const SHOWN: usize = 40;

/// How the body of a kept change holds its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Whole, as they are sent.
    Whole,
    /// Whole, or as edits of a list that is still to be read.
    MayBeEdits,
}

/// Checks a kept change: its body, and what is kept beside it of the comment.
///
/// # Errors
/// What is wrong with it.
pub fn check_change(contract: &Contract, change: &Change, lists: Lists) -> Result<(), String> {
    if check_body(contract, &change.body, lists)? == change.appends {
        Ok(())
    } else {
        Err("`appends` does not say whether a comment is added".to_owned())
    }
}

/// What a change's body may hold. Returns whether it adds a comment.
///
/// # Errors
/// What is wrong with it.
pub fn check_body(contract: &Contract, body: &str, lists: Lists) -> Result<bool, String> {
    let members: Map<String, Value> =
        serde_json::from_str(body).map_err(|_| format!("the change {} is not an object", truncate(body, SHOWN)))?;
    if members.is_empty() {
        return Err("the change sets no property".to_owned());
    }
    let mut places = Vec::new();
    for (name, value) in &members {
        let place = contract.properties.iter().position(|property| property.name == *name);
        let place = place.ok_or_else(|| format!("`{}` cannot be set", truncate(name, SHOWN)))?;
        if !is_value(&contract.properties[place].kind, value, lists) {
            return Err(format!("{} is not a value of `{name}`", truncate(&value.to_string(), SHOWN)));
        }
        places.push(place);
    }
    check_dependencies(contract, &members)?;
    // A member that stands there twice is read once.
    let written = Value::from(members).to_string();
    if !places.is_sorted() || written != body {
        return Err(
            "the change is not written as `plan` writes it: a member occurs twice, or stands elsewhere".to_owned()
        );
    }
    Ok(places.iter().any(|place| matches!(contract.properties[*place].kind, PropertyKind::Append { .. })))
}

/// Whether it can be sent as it is. A text or a list may be what somebody has put into the incident.
fn is_value(kind: &PropertyKind, value: &Value, lists: Lists) -> bool {
    match (kind, value) {
        (PropertyKind::Choice(choices), Value::String(text)) => choices.iter().any(|choice| choice.value == *text),
        (PropertyKind::Text, Value::String(_)) => true,
        (PropertyKind::Append { .. }, Value::String(text)) => !text.trim().is_empty(),
        (PropertyKind::List, Value::Array(list)) => list.iter().all(Value::is_string),
        (PropertyKind::List, Value::Object(_)) => lists == Lists::MayBeEdits && ListEdit::deserialize(value).is_ok(),
        _ => false,
    }
}

fn check_dependencies(contract: &Contract, members: &Map<String, Value>) -> Result<(), String> {
    for rule in &contract.dependencies {
        let Some(value) = members.get(&rule.property).and_then(Value::as_str) else { continue };
        let on = members.get(&rule.on).and_then(Value::as_str);
        let allows = |(with, values): &(String, Vec<String>)| on == Some(with) && values.iter().any(|one| one == value);
        if !rule.allowed.iter().any(allows) {
            let on = on.map_or_else(|| "not set".to_owned(), |on| format!("`{on}`"));
            return Err(format!("{} `{value}` is not allowed with {} `{on}`", rule.property, rule.on));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::load;

    #[test]
    fn bodies_of_plans_pass() {
        let contract = load("defender").expect("built in");
        for (body, appends) in [
            (r#"{"status":"Resolved"}"#, false),
            (r#"{"status":"Active","assignedTo":"","tags":[]}"#, false),
            (r#"{"classification":"FalsePositive","determination":"Other","comment":"ö \u001b \" x"}"#, true),
            (r#"{"assignedTo":"None","tags":["","-"]}"#, false),
            (r#"{"comment":"one"}"#, true),
        ] {
            assert_eq!(check_body(&contract, body, Lists::Whole), Ok(appends), "{body}");
        }
    }

    #[test]
    fn any_other_body_is_refused() {
        let contract = load("defender").expect("built in");
        for (body, part) in [
            ("7", "not an object"),
            ("[]", "not an object"),
            ("null", "not an object"),
            ("\"x\"", "not an object"),
            ("{}", "no property"),
            (r#"{"status":"Active","status":"Resolved"}"#, "twice"),
            (r#"{"status":"Resolved","st\u0061tus":"Active"}"#, "twice"),
            (r#"{"comment":"one","comment":"two"}"#, "twice"),
            (r#"{"status":7}"#, "not a value"),
            (r#"{"status":null}"#, "not a value"),
            (r#"{"status":["Active"]}"#, "not a value"),
            (r#"{"status":"active"}"#, "not a value"),
            (r#"{"status":"Isolated"}"#, "not a value"),
            (r#"{"assignedTo":{"a":1}}"#, "not a value"),
            (r#"{"tags":"a"}"#, "not a value"),
            (r#"{"tags":["a",1]}"#, "not a value"),
            (r#"{"tags":[["a"]]}"#, "not a value"),
            (r#"{"comment":" "}"#, "not a value"),
            (r#"{"comment":[]}"#, "not a value"),
            (r#"{"severity":"high"}"#, "cannot be set"),
            (r#"{"Status":"Active"}"#, "cannot be set"),
            (r#"{"incidentId":7,"status":"Active"}"#, "cannot be set"),
            (r#"{ "status":"Active"}"#, "not written"),
            (r#"{"status":"\u0041ctive"}"#, "not written"),
            (r#"{"comment":"x","status":"Active"}"#, "not written"),
            (r#"{"determination":"Other"}"#, "is not allowed with"),
            (r#"{"classification":"FalsePositive","determination":"Malware"}"#, "is not allowed with"),
        ] {
            let error = check_body(&contract, body, Lists::Whole).expect_err(body);
            assert!(error.contains(part), "{body}: {error}");
        }
    }

    #[test]
    fn list_edits_pass_only_in_the_journal() {
        let contract = load("defender").expect("built in");
        let edit = r#"{"tags":{"add":["x"],"remove":[]}}"#;
        assert_eq!(check_body(&contract, edit, Lists::MayBeEdits), Ok(false));
        for (body, lists) in [
            (edit, Lists::Whole),
            (r#"{"tags":{"add":["x"],"remove":[],"path":"/"}}"#, Lists::MayBeEdits),
            (r#"{"tags":{"add":["x"],"remove":[],"remove":["y"]}}"#, Lists::MayBeEdits),
            (r#"{"tags":{"add":[7],"remove":[]}}"#, Lists::MayBeEdits),
            (r#"{"status":{"add":["Active"],"remove":[]}}"#, Lists::MayBeEdits),
        ] {
            check_body(&contract, body, lists).expect_err(body);
        }
    }
}
