//! Checks stored changes, of a plan or the journal, against the contract that was stored with them.
//!
//! Promise: a change has each of its properties once, in the contract's order.

use serde::Serialize;

use crate::contract::{Contract, PropertyKind};
use crate::model::edit::{Edit, Edits, Empty, PropertyEdit};
use crate::text::truncate;

/// How much of a change a message repeats, in characters.
pub(super) const SHOWN: usize = 40;

/// Checks the edits of a stored change.
///
/// # Errors
/// Describes what is wrong.
pub fn check_edits<L: Serialize>(contract: &Contract, edits: &Edits<L>) -> Result<(), String> {
    if edits.is_empty() {
        return Err("the change sets no property".to_owned());
    }
    let mut positions = Vec::new();
    for PropertyEdit { property: name, edit } in edits.iter() {
        let position = contract.properties.iter().position(|property| property.name == **name);
        let position = position.ok_or_else(|| format!("`{}` cannot be set", truncate(name, SHOWN)))?;
        if !is_allowed(&contract.properties[position].kind, edit) {
            return Err(format!("{} is not a value of `{name}`", truncate(&edit.value().to_string(), SHOWN)));
        }
        positions.push(position);
    }
    if !positions.is_sorted_by(|position, next| position < next) {
        return Err("a property of the change occurs twice, or in a different order".to_owned());
    }
    check_dependencies(contract, edits)
}

/// Whether a property of this kind allows the edit. An undo may restore any text or list that the incident had.
fn is_allowed<L>(kind: &PropertyKind, edit: &Edit<L>) -> bool {
    use serde_json::Value;
    match (kind, edit) {
        (PropertyKind::Choice(choices), Edit::Set(Value::String(text))) => {
            choices.iter().any(|choice| choice.value == *text)
        }
        (PropertyKind::Text, Edit::Set(Value::String(text))) => !text.is_empty(),
        (PropertyKind::List, Edit::Set(Value::Array(list))) => !list.is_empty() && list.iter().all(Value::is_string),
        (PropertyKind::Text, Edit::Clear(Empty::Text))
        | (PropertyKind::List, Edit::Clear(Empty::List) | Edit::EditList(_)) => true,
        (PropertyKind::Append { .. }, Edit::Append(text)) => !text.trim().is_empty(),
        _ => false,
    }
}

fn check_dependencies<L>(contract: &Contract, edits: &Edits<L>) -> Result<(), String> {
    let value = |property: &str| match edits.of(property) {
        Some(Edit::Set(value)) => value.as_str(),
        _ => None,
    };
    for rule in &contract.dependencies {
        let Some(value_of) = value(&rule.property) else { continue };
        let on = value(&rule.on);
        let allows =
            |(with, values): &(String, Vec<String>)| on == Some(with) && values.iter().any(|value| value == value_of);
        if !rule.allowed.iter().any(allows) {
            let on = on.map_or_else(|| "not set".to_owned(), |on| format!("`{on}`"));
            return Err(format!("{} `{value_of}` is not allowed with {} `{on}`", rule.property, rule.on));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::load;
    use crate::plan::decode;

    /// Checks a stored body. Returns whether it adds a comment.
    fn check_body(contract: &Contract, body: &str) -> Result<bool, String> {
        let edits = decode(body, body.contains("comment"))?;
        check_edits(contract, &edits)?;
        Ok(edits.added().is_some())
    }

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
            assert_eq!(check_body(&contract, body), Ok(appends), "{body}");
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
            (r#"{"status":"Active","status":"Resolved"}"#, "duplicate member"),
            (r#"{"status":"Resolved","st\u0061tus":"Active"}"#, "duplicate member"),
            (r#"{"comment":"one","comment":"two"}"#, "duplicate member"),
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
            (r#"{"comment":[]}"#, "does not say whether"),
            (r#"{"severity":"high"}"#, "cannot be set"),
            (r#"{"Status":"Active"}"#, "cannot be set"),
            (r#"{"incidentId":7,"status":"Active"}"#, "cannot be set"),
            (r#"{ "status":"Active"}"#, "not in the form"),
            (r#"{"status":"\u0041ctive"}"#, "not in the form"),
            (r#"{"comment":"x","status":"Active"}"#, "in a different order"),
            (r#"{"determination":"Other"}"#, "is not allowed with"),
            (r#"{"classification":"FalsePositive","determination":"Malware"}"#, "is not allowed with"),
        ] {
            let error = check_body(&contract, body).expect_err(body);
            assert!(error.contains(part), "{body}: {error}");
        }
    }

    #[test]
    fn list_edits_have_two_lists_of_texts() {
        let contract = load("defender").expect("built in");
        assert_eq!(check_body(&contract, r#"{"tags":{"add":["x"],"remove":[]}}"#), Ok(false));
        for body in [
            r#"{"tags":{"add":["x"],"remove":[],"path":"/"}}"#,
            r#"{"tags":{"add":["x"],"remove":[],"remove":["y"]}}"#,
            r#"{"tags":{"add":[7],"remove":[]}}"#,
            r#"{"status":{"add":["Active"],"remove":[]}}"#,
        ] {
            check_body(&contract, body).expect_err(body);
        }
    }
}
