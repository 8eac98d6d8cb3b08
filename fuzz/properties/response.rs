//! Responses of the server, with every status.

use bulk_triage::client::classify::classify;
use bulk_triage::client::{Incomplete, Reply, SendError};
use bulk_triage::clock::{BootTime, Now};
use bulk_triage::model::call::{Call, CallResult, Verdict};
use bulk_triage::model::change::{Change, IncidentId};
use bulk_triage::plan::decode;
use bulk_triage::text::printable;
use serde_json::Value;
use serde_json::value::RawValue;

use super::checked::CONTRACT;
use super::{assert_safe_to_print, split_number};

/// Any response gives a verdict and a short message of one line. An update counts as applied, and an incident as read,
/// only if a complete response shows the requested incident.
pub fn responses(data: &[u8]) {
    let (kind, body) = split_number(data);
    let status = match kind {
        0 => 429,
        1..=100 => 400 + u16::from(kind),
        101..=200 => 499 + u16::from(kind) - 100,
        _ => 200,
    };
    let incident = IncidentId::new(7).expect("an id");
    let edits = decode(r#"{"status":"Resolved","tags":["a"],"comment":"done"}"#, true).expect("a body");
    let edits = edits.resolved().expect("no list edit");
    let step = CONTRACT.steps(&Change { incident, edits }).next().expect("a change has a step");
    for call in [Call::Step(step), Call::Read(incident)] {
        let response = |incomplete| {
            let headers = vec![("x-ms-request-id".to_owned(), String::from_utf8_lossy(body).into_owned())];
            answer_to(&call, Ok(Reply { status, headers, body: body.to_vec(), incomplete }))
        };
        let whole = response(None);
        if status == 200 {
            assert_shows_incident(&whole.verdict, body);
            let is_update = matches!(call, Call::Step(_));
            let in_doubt =
                if is_update { Verdict::Unconfirmed } else { Verdict::Transient { may_have_applied: false } };
            assert_eq!(response(Some(Incomplete::Damaged)).verdict, in_doubt);
        }
        let message = String::from_utf8_lossy(body).into_owned();
        answer_to(&call, Err(SendError { may_have_arrived: true, is_reused: false, obstacle: None, message }));
    }
}

fn answer_to(call: &Call, reply: Result<Reply, SendError>) -> CallResult {
    let now = Now { boot: BootTime(0), wall: "2026-11-24T10:00:00Z".parse().expect("a time") };
    let response = classify(call, &CONTRACT, reply, now);
    let differs = if let Verdict::Updated { differs, .. } = &response.verdict { differs.as_deref() } else { None };
    for text in [Some(response.message.as_str()), response.request_id.as_deref(), differs].into_iter().flatten() {
        assert!(!text.contains(char::is_control) && text.chars().count() < 500, "{text:?}");
        assert_safe_to_print(&printable(text));
    }
    response
}

/// An update is applied, or a read successful, only if the body shows incident 7 and no error.
fn assert_shows_incident(verdict: &Verdict, body: &[u8]) {
    if matches!(verdict, Verdict::Transient { .. } | Verdict::Unconfirmed) {
        return;
    }
    // `RawValue` skips nested values of any depth and any bytes, as the program does.
    serde_json::from_str::<&RawValue>(&String::from_utf8_lossy(body)).expect("a response is JSON");
    let Ok(shown) = serde_json::from_slice::<Value>(body) else { return };
    assert!(shown.is_object() && shown["error"].is_null(), "{shown}");
    let number = |name: &str| match &shown[name] {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    assert!(shown["incidentId"].is_null() || number("incidentId") == Some(7), "{shown}");
    match verdict {
        Verdict::Updated { .. } => assert!(matches!(number("redirectIncidentId"), None | Some(0 | 7)), "{shown}"),
        Verdict::Redirected { to } => assert_eq!(number("redirectIncidentId"), Some(*to)),
        Verdict::Read { incident, .. } => {
            assert_eq!(incident.id, 7);
            // A comment without a text counts too.
            let texts = shown["comments"].as_array().into_iter().flatten();
            let texts = texts.map(|one| one["comment"].as_str().unwrap_or_default());
            assert!(incident.comments.iter().map(|comment| comment.text.as_str()).eq(texts), "{shown}");
        }
        other => panic!("a 200 is {other:?}"),
    }
}
