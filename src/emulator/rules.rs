//! The contract's rules as the service enforces them: exact names and values, without aliases or trimming.

use serde_json::{Map, Value};

use super::response::Refusal;
use crate::contract::{Contract, Dependency, PropertyKind};

/// What a comment that is added alone says it is.
const COMMENT_TYPE: &str = "microsoft.graph.security.alertComment";

/// The properties that a body sets.
///
/// # Errors
/// 400, with the API's code, if the body is not an object of properties and values that the contract has.
pub(super) fn read_change(contract: &Contract, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let shape = |message: String| Refusal::new(400, "InvalidRequestBody", message);
    let change = match serde_json::from_slice(body) {
        Ok(Value::Object(change)) => change,
        Ok(_) => return Err(shape("Request body is not a JSON object.".to_owned())),
        Err(error) => return Err(shape(format!("Request body is not valid JSON: {error}."))),
    };
    if change.is_empty() {
        return Err(Refusal::new(400, "MissingRequiredParameter", "Request body sets no property."));
    }
    for (name, value) in &change {
        let property = contract
            .property(name)
            .ok_or_else(|| shape(format!("The property '{name}' does not exist or can't be updated.")))?;
        check_value(name, &property.kind, value)?;
    }
    for dependency in &contract.dependencies {
        check_dependency(dependency, &change)?;
    }
    Ok(change)
}

/// The comment that a body adds, as a change.
///
/// # Errors
/// 400, if it is not an object with the type of a comment and its text.
pub(super) fn read_comment(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let refused = |message: &str| Err(Refusal::new(400, "BadRequest", message));
    let Ok(Value::Object(mut comment)) = serde_json::from_slice(body) else {
        return refused("Empty Payload. JSON content expected.");
    };
    if comment.remove("@odata.type").as_ref().and_then(Value::as_str) != Some(COMMENT_TYPE) {
        return refused("The type of the comment is not known.");
    }
    match comment.get("comment") {
        Some(Value::String(_)) if comment.len() == 1 => Ok(comment),
        _ => refused("The comment has no text, or other members."),
    }
}

fn check_value(name: &str, kind: &PropertyKind, value: &Value) -> Result<(), Refusal> {
    let has_type = match kind {
        PropertyKind::Choice(choices) => match value.as_str() {
            Some(text) if choices.iter().any(|choice| choice.value == text) => return Ok(()),
            Some(text) => {
                let message = format!("Requested value '{text}' was not found for the property '{name}'.");
                return Err(Refusal::new(400, "InvalidInput", message));
            }
            None => false,
        },
        PropertyKind::Text | PropertyKind::Append { .. } => value.is_string(),
        PropertyKind::List => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
    };
    let message = || format!("The value of the property '{name}' has the wrong type.");
    if has_type { Ok(()) } else { Err(Refusal::new(400, "InvalidRequestBody", message())) }
}

fn check_dependency(dependency: &Dependency, change: &Map<String, Value>) -> Result<(), Refusal> {
    let Dependency { property, on, allowed, .. } = dependency;
    let Some(value) = change.get(property).and_then(Value::as_str) else { return Ok(()) };
    let given = change.get(on).and_then(Value::as_str);
    let is_allowed = given.is_some_and(|given| {
        allowed.iter().any(|(on, values)| on == given && values.iter().any(|allowed| allowed == value))
    });
    let message = || format!("The {property} '{value}' can't be set with the {on} '{}'.", given.unwrap_or_default());
    if is_allowed { Ok(()) } else { Err(Refusal::new(400, "InvalidInput", message())) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::contract::{Choice, Property, load};

    /// The contract `defender-classic`, copied by hand from the API's documentation.
    pub(in crate::emulator) fn classic() -> Contract {
        let choice = |values: &[&str]| {
            let choice = |value: &&str| Choice {
                value: (*value).to_owned(),
                aliases: vec![],
                doubtful: None,
                doubtful_spelling: false,
                same_as: vec![],
            };
            PropertyKind::Choice(values.iter().map(choice).collect())
        };
        let determinations =
            ["NotAvailable", "Apt", "Malware", "SecurityPersonnel", "SecurityTesting", "UnwantedSoftware", "Other"];
        let properties = [
            ("status", choice(&["Active", "Resolved", "Redirected"])),
            ("assignedTo", PropertyKind::Text),
            ("classification", choice(&["Unknown", "FalsePositive", "TruePositive"])),
            ("determination", choice(&determinations)),
            ("tags", PropertyKind::List),
            ("comment", PropertyKind::Append { shown_in: "comments".to_owned() }),
        ];
        Contract {
            name: "defender-classic".to_owned(),
            title: "Update incident, as on the seed page".to_owned(),
            origin: "https://api.security.microsoft.com".to_owned(),
            // Not used: the emulator has its own paths and members.
            operations: load("defender-classic").expect("built in").operations,
            api: load("defender-classic").expect("built in").api,
            permission_application: "Incident.ReadWrite.All".to_owned(),
            permission_delegated: "Incident.ReadWrite".to_owned(),
            audiences: Vec::new(),
            read_application: String::new(),
            read_delegated: String::new(),
            quota: "50/1m,1500/1h".parse().expect("a quota"),
            context: Vec::new(),
            quota_limit: None,
            properties: properties.map(|(name, kind)| Property::new(name, kind)).into(),
            dependencies: vec![Dependency {
                property: "determination".to_owned(),
                on: "classification".to_owned(),
                advisory: false,
                allowed: vec![("TruePositive".to_owned(), determinations.map(str::to_owned).into())],
            }],
            resolving: None,
        }
    }

    fn code(body: &str) -> String {
        read_change(&classic(), body.as_bytes()).map_or_else(|refusal| refusal.code, |_| "fine".to_owned())
    }

    #[test]
    fn documented_example_is_accepted() {
        let body = r#"{"status":"Resolved","assignedTo":"secop2@contoso.com","classification":"TruePositive",
            "determination":"Malware","tags":["Yossi's playground","Don't mess with the Zohan"],
            "comment":"valid incident"}"#;
        assert_eq!(code(body), "fine");
    }

    #[test]
    fn rejected_update_has_the_documented_code() {
        for (body, expected) in [
            ("", "InvalidRequestBody"),
            ("[]", "InvalidRequestBody"),
            (r#"{"status":"Resolved""#, "InvalidRequestBody"),
            ("{}", "MissingRequiredParameter"),
            (r#"{"Status":"Resolved"}"#, "InvalidRequestBody"),
            (r#"{"incidentName":"x"}"#, "InvalidRequestBody"),
            (r#"{"status":"resolved"}"#, "InvalidInput"),
            (r#"{"status":"InProgress"}"#, "InvalidInput"),
            (r#"{"classification":"False positive"}"#, "InvalidInput"),
            (r#"{"status":null}"#, "InvalidRequestBody"),
            (r#"{"assignedTo":null}"#, "InvalidRequestBody"),
            (r#"{"assignedTo":""}"#, "fine"),
            (r#"{"tags":"a"}"#, "InvalidRequestBody"),
            (r#"{"tags":["a",1]}"#, "InvalidRequestBody"),
            (r#"{"tags":[]}"#, "fine"),
            (r#"{"comment":["x"]}"#, "InvalidRequestBody"),
            (r#"{"determination":"Malware"}"#, "InvalidInput"),
            (r#"{"determination":"Malware","classification":"FalsePositive"}"#, "InvalidInput"),
            (r#"{"determination":"Malware","classification":"TruePositive"}"#, "fine"),
        ] {
            assert_eq!(code(body), expected, "{body}");
        }
        assert_eq!(code(&"[".repeat(100_000)), "InvalidRequestBody");
    }

    #[test]
    fn comment_alone_needs_its_type() {
        let typed = |rest: &str| format!(r#"{{"@odata.type":"{COMMENT_TYPE}"{rest}}}"#);
        let comment = read_comment(typed(r#","comment":"seen""#).as_bytes()).expect("a comment");
        assert_eq!(Value::Object(comment).to_string(), r#"{"comment":"seen"}"#);
        for body in [
            "",
            "[]",
            r#"{"comment":"seen"}"#,
            &typed(""),
            &typed(r#","comment":null"#),
            &typed(r#","comment":"seen","status":"Resolved""#),
        ] {
            assert_eq!(read_comment(body.as_bytes()).map_err(|refusal| refusal.status), Err(400), "{body}");
        }
    }
}
