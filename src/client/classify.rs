//! Classifies responses: the verdict about a call, by the table "How responses are handled" of the guide.
//!
//! Promises: pure; any bytes give a verdict, without overflow or panic. What is uncertain is in doubt: an update counts
//! as applied only if the server shows the right incident.

use super::body::{ErrorBody, one_line, plain_text};
use super::body_reader::Incomplete;
use super::date::http_date;
use super::incident_body::{Effect, Shown, shown_in};
use super::throttle::{resume, retry};
use super::transport::{Reply, SendError};
use crate::clock::Now;
use crate::contract::Contract;
use crate::model::call::{Call, CallResult, Incident, Verdict, WhyUnsent};

/// Headers with a tracking ID, for bodies without one; the most specific first.
pub(super) const REQUEST_ID_HEADERS: [&str; 4] =
    ["request-id", "x-ms-request-id", "x-ms-correlation-request-id", "client-request-id"];

/// The error of Conditional Access, in the body or in [`CHALLENGE`].
const INSUFFICIENT_CLAIMS: &str = "insufficient_claims";

/// The header with which a service refuses a token.
pub(super) const CHALLENGE: &str = "www-authenticate";

/// Classifies the response to `call` at `now`.
#[must_use]
pub fn classify(call: &Call, contract: &Contract, reply: Result<Reply, SendError>, now: Now) -> CallResult {
    let is_update = matches!(call, Call::Step(_));
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            let verdict = if error.may_have_arrived && error.is_reused {
                Verdict::Dropped { may_have_applied: is_update }
            } else if error.may_have_arrived {
                Verdict::Transient { may_have_applied: is_update }
            } else {
                Verdict::Unsent(WhyUnsent::NoConnection(error.obstacle))
            };
            let message = one_line(&error.message);
            return CallResult::without_response(verdict, message);
        }
    };
    let doubt = Verdict::Transient { may_have_applied: is_update };
    if (200..300).contains(&reply.status) {
        return match verdict_of_success(call, contract, &reply, now) {
            Ok(verdict) => call_result(&reply, None, verdict, String::new()),
            Err(why) => {
                let error = ErrorBody::read(&reply.body, &contract.api.error);
                let verdict = if is_update { Verdict::Unconfirmed } else { doubt };
                call_result(&reply, error.as_ref(), verdict, one_line(&format!("malformed response: {why}")))
            }
        };
    }
    let names = &contract.api.error;
    let error = ErrorBody::read(&reply.body, names);
    let said = || one_line(&error.as_ref().map_or_else(|| plain_text(&reply.body), ErrorBody::to_string));
    let verdict = match reply.status {
        400 | 422 => Verdict::Rejected,
        401 => Verdict::Unauthorized { is_news: true },
        403 => Verdict::Forbidden { by_policy: is_refused_by_policy(&reply, error.as_ref()) },
        404 => Verdict::NotFound,
        409 | 412 => Verdict::Conflict,
        429 => Verdict::Throttled { resume: resume(&reply.headers, &reply.body, names, now.wall) },
        408 | 500..=599 => doubt,
        status => {
            let said = said();
            let colon = if said.is_empty() { "" } else { ": " };
            let message = format!("unexpected status {status}{colon}{said}");
            return call_result(&reply, error.as_ref(), Verdict::Unexpected, message);
        }
    };
    let said = said();
    let message =
        if said.is_empty() { format!("the server responded with {} and no message", reply.status) } else { said };
    let is_retried = matches!(verdict, Verdict::Transient { .. });
    let resume = if is_retried { retry(&reply.headers, &reply.body, names, now.wall) } else { None };
    CallResult { resume, ..call_result(&reply, error.as_ref(), verdict, message) }
}

/// The verdict of a success for `call`, or why it is unusable.
fn verdict_of_success(call: &Call, contract: &Contract, reply: &Reply, now: Now) -> Result<Verdict, String> {
    if !matches!(reply.status, 200 | 201) {
        return Err(format!("status {} shows no incident", reply.status));
    }
    if let Some(incomplete) = &reply.incomplete {
        return Err(incomplete.to_string());
    }
    if reply.body.iter().all(u8::is_ascii_whitespace) {
        return Err("the body is empty".to_owned());
    }
    let Some(incident) = call.incident() else { return listed(&reply.body, contract) };
    let shown = match call {
        Call::Step(step) => Shown::read_step(&reply.body, contract, step)?,
        _ => Shown::read(&reply.body, contract)?,
    };
    if let Some(id) = shown.id.filter(|id| *id != incident.get()) {
        return Err(format!("it shows incident {id}, not {incident}"));
    }
    let redirect = shown.redirect.filter(|to| *to != 0 && *to != incident.get());
    match call {
        Call::Step(_) if shown.is_empty() => Err("it shows no incident".to_owned()),
        Call::Step(step) => {
            if let Some(to) = redirect {
                return Ok(Verdict::Redirected { to });
            }
            let server_time = reply.header("date").and_then(|date| http_date(date, now.wall));
            let arrived = [now.wall, server_time.unwrap_or(now.wall)];
            match shown.effect(&step.body.edits, arrived)? {
                (Effect::Applied, added) => Ok(Verdict::Updated { differs: None, added }),
                (Effect::Partly { differs }, added) => {
                    Ok(Verdict::Updated { differs: Some(one_line(&differs)), added })
                }
                (Effect::NotApplied { differs }, _) => Ok(Verdict::NotApplied { differs: one_line(&differs) }),
                (Effect::Unknown { missing }, _) => Err(format!("it has no `{missing}`")),
            }
        }
        // A read decides whether a comment is sent again: it must be complete.
        _ if shown.id.is_none() => Err(format!("it has no `{}`", contract.api.incident.id)),
        _ => match (shown.comments()?, shown_in(contract)) {
            (None, Some(name)) => Err(format!("it has no `{name}`")),
            (comments, _) => Ok(Verdict::Read {
                incident: Incident {
                    id: incident.get(),
                    redirect,
                    values: shown.values()?,
                    context: shown.context(),
                    comments: comments.unwrap_or_default(),
                },
                server_time: reply.header("date").and_then(|date| http_date(date, now.wall)),
            }),
        },
    }
}

/// A text of the server for a message.
pub(super) fn brief(text: &str) -> String {
    one_line(text)
}

/// Whether Conditional Access refuses the token: it has not the claims that a policy of the tenant demands.
fn is_refused_by_policy(reply: &Reply, error: Option<&ErrorBody>) -> bool {
    error.is_some_and(|error| error.to_string().contains(INSUFFICIENT_CLAIMS))
        || reply.header(CHALLENGE).is_some_and(|challenge| challenge.contains(INSUFFICIENT_CLAIMS))
}

/// The verdict of a list's 200.
fn listed(body: &[u8], contract: &Contract) -> Result<Verdict, String> {
    let (incidents, next) = Shown::list(body, contract)?;
    let incidents = incidents.into_iter().map(|shown| {
        let id = shown.id.ok_or_else(|| format!("an incident of it has no `{}`", contract.api.incident.id))?;
        let redirect = shown.redirect.filter(|to| *to != 0 && *to != id);
        let (values, context) = (shown.values()?, shown.context());
        Ok(Incident { id, redirect, values, context, comments: Vec::new() })
    });
    Ok(Verdict::Listed { incidents: incidents.collect::<Result<_, String>>()?, next })
}

fn call_result(reply: &Reply, error: Option<&ErrorBody>, verdict: Verdict, message: String) -> CallResult {
    let target = error.and_then(|error| error.target.as_deref());
    let header = || REQUEST_ID_HEADERS.iter().find_map(|name| reply.header(name));
    let request_id = target.or_else(header).map(one_line).filter(|id| !id.is_empty());
    CallResult {
        verdict,
        http_status: Some(reply.status),
        request_id,
        message,
        is_truncated: reply.incomplete.as_ref().is_some_and(Incomplete::hints_at_size),
        resume: None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::BootTime;
    use crate::contract::{Property, PropertyKind};
    use crate::model::call::{Comment, Resume};
    use crate::model::change::{Change, IncidentId};
    use proptest::prelude::*;
    use std::time::Duration;

    pub(crate) fn contract() -> Contract {
        Contract {
            name: "test".to_owned(),
            title: String::new(),
            origin: "https://a.example".to_owned(),
            operations: crate::contract::load("defender").expect("built in").operations,
            api: crate::contract::load("defender").expect("built in").api,
            permission_application: String::new(),
            permission_delegated: String::new(),
            audiences: Vec::new(),
            read_application: String::new(),
            read_delegated: String::new(),
            quota: "50/1m".parse().expect("valid"),
            quota_limit: None,
            context: vec!["incidentName".to_owned()],
            properties: vec![
                Property::new("status", PropertyKind::Text),
                Property::new("assignedTo", PropertyKind::Text),
                Property::new("tags", PropertyKind::List),
                Property::new("comment", PropertyKind::Append { shown_in: "comments".to_owned() }),
            ],
            dependencies: Vec::new(),
            resolving: None,
        }
    }

    fn update(body: &str) -> Call {
        let incident = IncidentId::new(7).expect("an id");
        let edits = crate::plan::decode(body, body.contains("comment")).expect("a body");
        let change = Change { incident, edits: edits.resolved().expect("no list edit") };
        Call::Step(contract().steps(&change).next().expect("one step"))
    }

    fn get() -> Call {
        Call::Read(IncidentId::new(7).expect("an id"))
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec(), incomplete: None }
    }

    fn result_of(call: &Call, reply: Result<Reply, SendError>) -> CallResult {
        let now = Now { boot: BootTime(0), wall: "2026-11-24T10:00:00Z".parse().expect("a time") };
        classify(call, &contract(), reply, now)
    }

    fn verdict(call: &Call, body: &str) -> Verdict {
        result_of(call, Ok(reply(200, body))).verdict
    }

    #[test]
    fn every_status_code_has_its_verdict() {
        let table = |call: &Call| {
            let verdicts = (100..=599).map(|status| {
                let result = result_of(call, Ok(reply(status, r#"{"incidentId":7,"status":"Active","comments":[]}"#)));
                assert_eq!(result.http_status, Some(status));
                (status, result.verdict.name())
            });
            let mut runs: Vec<(u16, u16, &str)> = Vec::new();
            for (status, name) in verdicts {
                match runs.last_mut() {
                    Some((_, last, of)) if *of == name => *last = status,
                    _ => runs.push((status, status, name)),
                }
            }
            runs
        };
        let of_an_update = [
            (100, 199, "unexpected"),
            (200, 201, "updated"),
            (202, 299, "unconfirmed"),
            (300, 399, "unexpected"),
            (400, 400, "rejected"),
            (401, 401, "unauthorized"),
            (402, 402, "unexpected"),
            (403, 403, "forbidden"),
            (404, 404, "not-found"),
            (405, 407, "unexpected"),
            (408, 408, "in-doubt"),
            (409, 409, "conflict"),
            (410, 411, "unexpected"),
            (412, 412, "conflict"),
            (413, 421, "unexpected"),
            (422, 422, "rejected"),
            (423, 428, "unexpected"),
            (429, 429, "throttled"),
            (430, 499, "unexpected"),
            (500, 599, "in-doubt"),
        ];
        assert_eq!(table(&update("{}")), of_an_update);
        let of_a_read = of_an_update.map(|(first, last, name)| match name {
            "updated" => (first, last, "read"),
            "in-doubt" | "unconfirmed" => (first, last, "transient"),
            _ => (first, last, name),
        });
        assert_eq!(table(&get()), of_a_read);
    }

    #[test]
    fn success_without_the_incident_is_unconfirmed() {
        let call = update(r#"{"status":"Resolved"}"#);
        let deep = format!(r#"{{"incidentId":7,"tags":{}"#, "[".repeat(100_000));
        let deep_and_closed = format!(r#"{{"incidentId":7,"tags":{}{}}}"#, "[".repeat(9_999), "]".repeat(9_999));
        for body in [
            "",
            "<html>sign in</html>",
            r#"{"incidentId":7,"status":"Resol"#,
            "{}",
            "[]",
            "null",
            r#"{"error":{"code":"InternalServerError","message":"sorry"}}"#,
            r#"{"incidentId":7,"status":"Resolved","error":{"code":"x"}}"#,
            r#"{"incidentId":8,"status":"Resolved"}"#,
            r#"{"incidentId":"8"}"#,
            r#"{"incidentId":-7}"#,
            r#"{"incidentId":7,"comments":"none"}"#,
            r#"{"incidentId":7} trailing"#,
            &deep,
            &deep_and_closed,
        ] {
            let result = result_of(&call, Ok(reply(200, body)));
            assert_eq!(result.verdict, Verdict::Unconfirmed, "{body:.60}");
            assert!(result.message.starts_with("malformed response: "), "{}", result.message);
        }
        let cut = Reply {
            incomplete: Some(Incomplete::Cut { bytes: 9 }),
            ..reply(200, r#"{"incidentId":7,"status":"Resolved"}"#)
        };
        assert_eq!(result_of(&call, Ok(cut)).verdict, Verdict::Unconfirmed);
    }

    #[test]
    fn merged_incident_names_its_target() {
        let call = update(r#"{"status":"Resolved"}"#);
        let to =
            |to: &str| verdict(&call, &format!(r#"{{"incidentId":7,"redirectIncidentId":{to},"status":"Resolved"}}"#));
        assert_eq!(to("924"), Verdict::Redirected { to: 924 });
        for none in ["null", "0", "7"] {
            assert_eq!(to(none), Verdict::Updated { differs: None, added: None }, "{none}");
        }
        assert_eq!(to("{}"), Verdict::Unconfirmed);
    }

    #[test]
    fn documented_incident_is_read() {
        let body = r#"{"incidentId":7,"redirectIncidentId":null,"status":"Resolved","assignedTo":"secop2@contoso.com",
            "tags":["Yossi's playground"],"alerts":[{"deep":[[[]]]}],"comments":[{"comment":"pen testing",
            "createdBy":"secop2@contoso.com","createdTime":"2021-05-02T09:34:21.5519738Z"}]}"#;
        let headers = vec![("date".to_owned(), "Tue, 24 Nov 2026 10:00:37 GMT".to_owned())];
        let result = result_of(&get(), Ok(Reply { headers, ..reply(200, body) }));
        let Verdict::Read { incident, server_time } = result.verdict else { panic!("not read: {result:?}") };
        assert_eq!(server_time, "2026-11-24T10:00:37Z".parse().ok());
        assert_eq!((incident.id, incident.redirect), (7, None));
        assert_eq!(incident.values.keys().collect::<Vec<_>>(), ["status", "assignedTo", "tags"]);
        assert_eq!(
            incident.comments,
            [Comment {
                text: "pen testing".to_owned(),
                created_by: Some("secop2@contoso.com".to_owned()),
                created_at: "2021-05-02T09:34:21.5519738Z".parse().ok(),
            }]
        );
    }

    #[test]
    fn read_without_comments_shows_nothing() {
        let doubt = Verdict::Transient { may_have_applied: false };
        assert_eq!(verdict(&get(), r#"{"incidentId":7,"status":"Active"}"#), doubt);
        assert_eq!(verdict(&get(), r#"{"status":"Active","comments":[]}"#), doubt);
        let none = verdict(&get(), r#"{"incidentId":7,"comments":null}"#);
        assert!(matches!(none, Verdict::Read { incident, .. } if incident.comments.is_empty()));
    }

    #[test]
    fn errors_keep_their_message_and_tracking_id() {
        let body = r#"{"error":{"code":"BadRequest","message":"no\r\nsuch value","target":"a1b2"}}"#;
        let headers = vec![("x-ms-request-id".to_owned(), "other".to_owned())];
        for (status, body, message, request_id) in [
            (400, body, "BadRequest: no such value", "a1b2"),
            (302, body, "unexpected status 302: BadRequest: no such value", "a1b2"),
            (503, "<h1>Down</h1>", "Down", "other"),
            (503, "", "the server responded with 503 and no message", "other"),
            (418, "short and stout", "unexpected status 418: short and stout", "other"),
            (302, "", "unexpected status 302", "other"),
        ] {
            let result = result_of(&get(), Ok(Reply { headers: headers.clone(), ..reply(status, body) }));
            assert_eq!(
                (result.message.as_str(), result.request_id.as_deref()),
                (message, Some(request_id)),
                "{status}"
            );
        }
    }

    #[test]
    fn insufficient_claims_are_a_refusal_by_policy() {
        let challenge = r#"Bearer realm="", error="insufficient_claims", claims="e30=""#;
        let code = r#"{"error":{"code":"insufficient_claims","message":"More claims are needed."}}"#;
        let inner = r#"{"error":{"code":"Forbidden","message":"insufficient_claims"}}"#;
        let oauth = r#"{"error":"insufficient_claims","error_description":"More claims are needed."}"#;
        let other = r#"{"error":{"code":"Forbidden","message":"The permission is missing."}}"#;
        for (header, body, by_policy) in [
            (challenge, "", true),
            (challenge, other, true),
            ("", code, true),
            ("", inner, true),
            ("", oauth, true),
            ("", other, false),
            ("Bearer error=\"insufficient_scope\"", other, false),
            ("", "", false),
        ] {
            let headers = vec![(CHALLENGE.to_owned(), header.to_owned())];
            for call in [get(), update(r#"{"comment":"x"}"#)] {
                let result = result_of(&call, Ok(Reply { headers: headers.clone(), ..reply(403, body) }));
                assert_eq!(result.verdict, Verdict::Forbidden { by_policy }, "{header} {body}");
            }
        }
    }

    #[test]
    fn response_401_names_token_and_429_time() {
        let result = result_of(&get(), Ok(reply(401, "")));
        assert_eq!(result.verdict, Verdict::Unauthorized { is_news: true });
        let result = result_of(&get(), Ok(reply(429, "Retry after 37 sec.")));
        assert_eq!(result.verdict, Verdict::Throttled { resume: Some(Resume::After(Duration::from_secs(37))) });
    }

    #[test]
    fn only_retried_statuses_keep_a_time() {
        for (status, resume) in
            [(408, true), (500, true), (503, true), (504, true), (429, false), (404, false), (403, false), (418, false)]
        {
            let headers = vec![("retry-after".to_owned(), "8".to_owned())];
            let result = result_of(&get(), Ok(Reply { headers, ..reply(status, "") }));
            let expected = resume.then_some(Resume::After(Duration::from_secs(8)));
            assert_eq!(result.resume, expected, "{status}");
        }
    }

    #[test]
    fn only_updates_that_may_arrive_become_doubts() {
        for (call, arrived, in_doubt) in
            [(update("{}"), true, true), (update("{}"), false, false), (get(), true, false), (get(), false, false)]
        {
            let error =
                SendError { may_have_arrived: arrived, is_reused: false, obstacle: None, message: "cut".to_owned() };
            let result = result_of(&call, Err(error));
            let lost = Verdict::Transient { may_have_applied: in_doubt };
            assert_eq!(result.verdict, if arrived { lost } else { Verdict::Unsent(WhyUnsent::NoConnection(None)) });
            assert_eq!((result.http_status, result.message.as_str()), (None, "cut"));
        }
    }

    /// Status × body of a response to an update, as it is reported.
    #[test]
    fn every_success_says_what_it_shows() {
        use crate::client::body_reader::{BOUNDS, BodyReader};
        let call = update(r#"{"status":"Resolved"}"#);
        let incident = br#"{"incidentId":7,"status":"Resolved"}"#.as_slice();
        let bodies: [(&str, &str, &[u8]); 9] = [
            ("incident", "", incident),
            ("with a mark", "", b"\xef\xbb\xbf{\"incidentId\":7,\"status\":\"Resolved\"}"),
            ("says gzip, is plain", "gzip", incident),
            ("empty", "", b""),
            ("blank", "", b" \r\n"),
            ("html", "", b"<html>Sign in</html>"),
            ("other incident", "", br#"{"incidentId":8,"status":"Resolved"}"#),
            ("error", "", br#"{"error":{"code":"Busy","message":"later"}}"#),
            ("brotli", "br", b"\x0b\x00\x80"),
        ];
        let mut table = String::new();
        for status in [200, 201, 202, 203, 204, 206] {
            for (name, coding, body) in bodies {
                let mut reader = BodyReader::new(
                    [coding].into_iter(),
                    Some(crate::client::incident_body::InUse::of_contract(&contract()).of(&get()).clone()),
                    BOUNDS,
                );
                reader.push(body);
                let (body, incomplete) = reader.finish(false);
                let reply = Reply { status, headers: Vec::new(), body, incomplete };
                let CallResult { verdict, message, .. } = result_of(&call, Ok(reply));
                table += format!("{status} {name}: {} {message}", verdict.name()).trim_end();
                table.push('\n');
            }
        }
        insta::assert_snapshot!(table);
    }

    proptest! {
        #[test]
        fn any_reply_can_be_classified(status: u16, body: Vec<u8>, json in r#"\{"(incidentId|tags|comments)":[\[\]{}0-9",:a-z]{0,40}"#) {
            for body in [body, json.into_bytes()] {
                for call in [get(), update(r#"{"status":"Resolved","comment":"x"}"#)] {
                    let reply = Reply { status, headers: Vec::new(), body: body.clone(), incomplete: None };
                    let result = result_of(&call, Ok(reply));
                    prop_assert!(!result.message.contains('\n'));
                }
            }
        }
    }
}
