//! An incident and its comments as Graph shows them.

use serde_json::{Value, json};

use super::context;
use super::values::{
    AWAITING_ACTION, CLASSIFICATION, DETERMINATION, Enumeration, SEVERITY, STATUS, UNKNOWN, UNKNOWN_FUTURE_VALUE,
};
use crate::emulator::sign_in::TENANT_ID;

/// Members of a stored incident that only Graph shows.
const GRAPH_ONLY: [&str; 4] = ["resolvingComment", "description", "summary", "lastModifiedBy"];

/// Whether the classic API hides this member of a stored incident.
pub(in crate::emulator) fn is_graph_only(name: &str) -> bool {
    GRAPH_ONLY.contains(&name)
}

/// A stored incident as Graph shows it. Clients that do not ask for unknown members see none that is newer than the schema.
pub(in crate::emulator) fn incident(stored: &Value, includes_unknown: bool) -> Value {
    let id = stored["incidentId"].to_string();
    let text = |name: &str| stored.get(name).cloned().unwrap_or_default();
    // The classic API has no name for a choice that nobody has made.
    let member = |name: &str, of: &Enumeration| stored[name].as_str().map_or(UNKNOWN, |value| of.member_of(value));
    let status = match member("status", &STATUS) {
        AWAITING_ACTION if !includes_unknown => UNKNOWN_FUTURE_VALUE,
        member => member,
    };
    json!({
        "id": id,
        "tenantId": TENANT_ID,
        "status": status,
        "incidentWebUrl": format!("https://security.microsoft.com/incidents/{id}?tid={TENANT_ID}"),
        "redirectIncidentId": stored["redirectIncidentId"].as_u64().map(|id| id.to_string()),
        "displayName": text("incidentName"),
        "createdDateTime": text("createdTime"),
        "lastUpdateDateTime": text("lastUpdateTime"),
        // The classic API clears an owner by an empty text.
        "assignedTo": stored["assignedTo"].as_str().filter(|owner| !owner.is_empty()),
        "classification": member("classification", &CLASSIFICATION),
        "determination": member("determination", &DETERMINATION),
        "severity": member("severity", &SEVERITY),
        "customTags": text("tags"),
        "systemTags": [],
        "priorityScore": null,
        // What makes an incident large in the classic API is an alert, which Graph shows only if asked for.
        "description": stored.get("description").unwrap_or(&stored["alerts"][0]["title"]),
        "summary": text("summary"),
        "resolvingComment": text("resolvingComment"),
        "lastModifiedBy": text("lastModifiedBy"),
        "comments": comment_list(stored),
    })
}

/// The response to a comment: every comment of the incident.
pub(in crate::emulator) fn comments(stored: &Value) -> Value {
    let of = format!("security/incidents('{}')/comments", stored["incidentId"]);
    json!({"@odata.context": context(&of), "value": comment_list(stored)})
}

fn comment_list(stored: &Value) -> Vec<Value> {
    let comments = stored["comments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = |comment: &Value| {
        json!({
            "@odata.type": "#microsoft.graph.security.alertComment",
            "comment": comment["comment"],
            "createdByDisplayName": comment["createdBy"],
            "createdDateTime": comment["createdTime"],
        })
    };
    comments.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Value {
        json!({
            "incidentId": 7, "redirectIncidentId": 3, "incidentName": "Phish", "createdTime": "2026-11-24T10:00:00.0000000Z",
            "lastUpdateTime": "2026-11-24T11:00:00.0000000Z", "status": "InProgress", "assignedTo": null,
            "classification": "Unknown", "determination": "NotAvailable", "severity": "UnSpecified", "tags": ["a"],
            "comments": [{"comment": "seen", "createdBy": "a@contoso.com", "createdTime": "2026-11-24T11:00:00.0000000Z"}],
            "resolvingComment": "done", "lastModifiedBy": "API-App:triage",
        })
    }

    #[test]
    fn incident_has_the_documented_members() {
        assert_eq!(
            incident(&stored(), false),
            json!({
                "id": "7",
                "tenantId": "7f3c2a10-4b8e-4d6f-9a51-0c2e8d7b6a94",
                "status": "inProgress",
                "incidentWebUrl": "https://security.microsoft.com/incidents/7?tid=7f3c2a10-4b8e-4d6f-9a51-0c2e8d7b6a94",
                "redirectIncidentId": "3",
                "displayName": "Phish",
                "createdDateTime": "2026-11-24T10:00:00.0000000Z",
                "lastUpdateDateTime": "2026-11-24T11:00:00.0000000Z",
                "assignedTo": null,
                "classification": "unknown",
                "determination": "unknown",
                "severity": "unknown",
                "customTags": ["a"],
                "systemTags": [],
                "priorityScore": null,
                "description": null,
                "summary": null,
                "resolvingComment": "done",
                "lastModifiedBy": "API-App:triage",
                "comments": [{
                    "@odata.type": "#microsoft.graph.security.alertComment", "comment": "seen",
                    "createdByDisplayName": "a@contoso.com", "createdDateTime": "2026-11-24T11:00:00.0000000Z",
                }],
            })
        );
    }

    #[test]
    fn classic_values_have_graph_names() {
        for (name, classic, member) in [
            ("status", "Active", "active"),
            ("status", "Redirected", "redirected"),
            ("classification", "InformationalExpectedActivity", "informationalExpectedActivity"),
            ("determination", "Clean", "notMalicious"),
            ("determination", "NotMalicious", "notMalicious"),
            ("determination", "NoEnoughDataToValidate", "notEnoughDataToValidate"),
            ("determination", "NotEnoughDataToValidate", "notEnoughDataToValidate"),
            ("determination", "Invented", "unknownFutureValue"),
            ("severity", "High", "high"),
        ] {
            let mut stored = stored();
            stored[name] = classic.into();
            assert_eq!(incident(&stored, false)[name], member, "{classic}");
        }
    }

    #[test]
    fn new_status_is_hidden_unless_asked_for() {
        let mut stored = stored();
        stored["status"] = "AwaitingAction".into();
        assert_eq!(incident(&stored, false)["status"], "unknownFutureValue");
        assert_eq!(incident(&stored, true)["status"], "awaitingAction");
    }

    #[test]
    fn choice_that_was_never_made_is_unknown() {
        let mut stored = stored();
        for name in ["classification", "determination", "severity"] {
            stored[name] = Value::Null;
            assert_eq!(incident(&stored, false)[name], "unknown", "{name}");
        }
    }

    #[test]
    fn empty_classic_owner_is_null() {
        let mut stored = stored();
        stored["assignedTo"] = "".into();
        assert_eq!(incident(&stored, false)["assignedTo"], Value::Null);
    }
}
