//! Which updates Graph accepts, and the change that each makes to a stored incident.

use serde_json::{Map, Value};

use super::values::{CLASSIFICATION, DETERMINATION, Enumeration, SEVERITY, STATUS};
use crate::emulator::response::Refusal;

/// The type that a body may say it has.
const INCIDENT_TYPE: &str = "#microsoft.graph.security.incident";

/// What a body sets, under the names of a stored incident.
///
/// # Errors
/// 400 if the body is not an object of properties that can be set, or a value is not one of Graph's.
pub(in crate::emulator) fn read_change(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Err(refused("Empty Payload. JSON content expected."));
    };
    let mut change = Map::new();
    for (name, value) in body {
        if name == "@odata.type" {
            if value.as_str() != Some(INCIDENT_TYPE) {
                return Err(refused("The type of the incident is not known."));
            }
            continue;
        }
        let (name, value) = stored(&name, value)?;
        change.insert(name.to_owned(), value);
    }
    if change.is_empty() { Err(refused("The request sets no property.")) } else { Ok(change) }
}

/// A property and its value as they are stored.
fn stored(name: &str, value: Value) -> Result<(&'static str, Value), Refusal> {
    Ok(match name {
        "status" => ("status", member(name, &STATUS, &value)?),
        "classification" => ("classification", member(name, &CLASSIFICATION, &value)?),
        "determination" => ("determination", member(name, &DETERMINATION, &value)?),
        "severity" => ("severity", member(name, &SEVERITY, &value)?),
        "assignedTo" if value.as_str() == Some("") => {
            return Err(refused("The value of the property 'assignedTo' is empty; null removes the owner."));
        }
        "assignedTo" => ("assignedTo", text_or_null(name, value)?),
        "resolvingComment" => ("resolvingComment", text_or_null(name, value)?),
        "description" => ("description", text_or_null(name, value)?),
        "summary" => ("summary", text_or_null(name, value)?),
        "displayName" if value.is_string() => ("incidentName", value),
        "displayName" => return Err(wrong_type(name)),
        "customTags" => {
            let is_list = value.as_array().is_some_and(|tags| tags.iter().all(Value::is_string));
            if !is_list {
                return Err(wrong_type(name));
            }
            ("tags", value)
        }
        _ => return Err(refused(format!("The property '{name}' does not exist or can't be updated."))),
    })
}

fn member(name: &str, of: &Enumeration, value: &Value) -> Result<Value, Refusal> {
    let given = value.as_str().ok_or_else(|| wrong_type(name))?;
    let classic = of.settable(given);
    classic.map(Value::from).ok_or_else(|| refused(format!("The value '{given}' is not valid for '{name}'.")))
}

fn text_or_null(name: &str, value: Value) -> Result<Value, Refusal> {
    if value.is_string() || value.is_null() { Ok(value) } else { Err(wrong_type(name)) }
}

fn wrong_type(name: &str) -> Refusal {
    refused(format!("The value of the property '{name}' has the wrong type."))
}

fn refused(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(body: &Value) -> Option<Value> {
        read_change(body.to_string().as_bytes()).ok().map(Value::Object)
    }

    #[test]
    fn every_property_that_can_be_set_is_stored() {
        let body = json!({
            "@odata.type": "#microsoft.graph.security.incident",
            "status": "resolved", "assignedTo": "a@contoso.com", "classification": "TruePositive",
            "determination": "malware", "customTags": ["a", "b"], "resolvingComment": "done", "severity": "high",
            "displayName": "Phish", "description": "d", "summary": null,
        });
        assert_eq!(
            change(&body),
            Some(json!({
                "status": "Resolved", "assignedTo": "a@contoso.com", "classification": "TruePositive",
                "determination": "Malware", "tags": ["a", "b"], "resolvingComment": "done", "severity": "High",
                "incidentName": "Phish", "description": "d", "summary": null,
            }))
        );
    }

    /// The values of the documentation, typed by hand.
    #[test]
    fn every_documented_value_can_be_set() {
        for (name, values) in [
            ("status", &["active", "inProgress", "resolved"] as &[&str]),
            ("classification", &["unknown", "falsePositive", "truePositive", "informationalExpectedActivity"]),
            (
                "determination",
                &[
                    "unknown",
                    "apt",
                    "malware",
                    "securityPersonnel",
                    "securityTesting",
                    "unwantedSoftware",
                    "other",
                    "multiStagedAttack",
                    "compromisedAccount",
                    "phishing",
                    "maliciousUserActivity",
                    "notMalicious",
                    "notEnoughDataToValidate",
                    "confirmedActivity",
                    "lineOfBusinessApplication",
                ],
            ),
            ("severity", &["unknown", "informational", "low", "medium", "high"]),
        ] {
            for value in values {
                let set = |value: &str| change(&json!({name: value}));
                assert!(set(value).is_some(), "{name} {value}");
                assert_eq!(set(&value.to_uppercase()), set(value), "case is free");
            }
        }
    }

    #[test]
    fn other_values_and_types_are_refused() {
        for body in [
            json!({"status": "redirected"}),
            json!({"status": "awaitingAction"}),
            json!({"status": "unknownFutureValue"}),
            json!({"status": "closed"}),
            json!({"status": null}),
            json!({"status": 1}),
            json!({"classification": "unknownFutureValue"}),
            json!({"classification": "False positive"}),
            json!({"determination": "confirmedUserActivity"}),
            json!({"determination": "NotAvailable"}),
            json!({"determination": "clean"}),
            json!({"determination": "noEnoughDataToValidate"}),
            json!({"severity": "UnSpecified"}),
            json!({"assignedTo": ""}),
            json!({"assignedTo": ["a"]}),
            json!({"customTags": "a"}),
            json!({"customTags": ["a", 1]}),
            json!({"customTags": null}),
            json!({"tags": ["a"]}),
            json!({"comment": "seen"}),
            json!({"resolvingComment": 1}),
            json!({"displayName": null}),
            json!({"Status": "active"}),
            json!({"@odata.type": "#microsoft.graph.security.alert", "status": "active"}),
            json!({"@odata.type": "#microsoft.graph.security.incident"}),
            json!({}),
            json!([]),
        ] {
            assert_eq!(change(&body), None, "{body}");
        }
        assert_eq!(read_change(b"").map_err(|refusal| (refusal.status, refusal.code)), Err((400, "BadRequest".into())));
    }

    #[test]
    fn read_only_members_are_refused() {
        for name in [
            "id",
            "incidentWebUrl",
            "tenantId",
            "createdDateTime",
            "lastUpdateDateTime",
            "lastModifiedBy",
            "redirectIncidentId",
            "priorityScore",
            "systemTags",
            "comments",
            "alerts",
        ] {
            assert_eq!(change(&json!({"status": "active", name: "x"})), None, "{name}");
        }
    }

    #[test]
    fn null_removes_owner_and_resolving_comment() {
        let body = json!({"assignedTo": null, "resolvingComment": null});
        assert_eq!(change(&body), Some(body));
    }
}
