//! What a seed spells otherwise if it sends with the contract `graph`, where a comment is a request of its own.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::comment_of;

/// The member that a comment's body always has.
const COMMENT_TYPE: &str = r#""@odata.type":"microsoft.graph.security.alertComment""#;

/// A row's body, typed for the classic API, with Graph's values.
pub(super) fn body(classic: &str) -> String {
    let values = [("Resolved", "resolved"), ("InProgress", "inProgress"), ("FalsePositive", "falsePositive")];
    values.into_iter().fold(classic.to_owned(), |body, (classic, graph)| {
        body.replace(&format!("\":\"{classic}\""), &format!("\":\"{graph}\""))
    })
}

/// The body of a comment's request, without the member that it always has.
pub(super) fn only_comment(body: &str) -> Option<String> {
    let rest = body.strip_prefix(&format!("{{{COMMENT_TYPE},"))?;
    let body = format!("{{{rest}");
    comment_of(&body).is_some().then_some(body)
}

/// A comment as an incident shows it.
pub(super) fn comment(text: &str, wall: Timestamp) -> Value {
    json!({"comment": text, "createdByDisplayName": "triage@contoso.com", "createdDateTime": format!("{wall:.7}")})
}
