//! Graph as a client sees it: requests to the service, and their responses.

use std::time::Duration;

use axum::body::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::emulator::request::{ApiKind, Call, Received};
use crate::emulator::response::{ApiResponse, Delivery};
use crate::emulator::service::Service;
use crate::emulator::service::tests::{at, decide, request, service};
use crate::emulator::sign_in::SignInRequest;
use crate::emulator::{Habits, SignIn, ThrottleForm};
use crate::model::change::IncidentId;

const INCIDENTS: &str = "/v1.0/security/incidents";

fn read(id: u64) -> Received {
    request(Call::Read, &format!("{INCIDENTS}/{id}"), "")
}

fn update(id: u64, body: &Value) -> Received {
    request(Call::Update, &format!("{INCIDENTS}/{id}"), &body.to_string())
}

fn comment(id: u64) -> Received {
    let body = r#"{"@odata.type":"microsoft.graph.security.alertComment","comment":"seen"}"#;
    request(Call::Comment, &format!("{INCIDENTS}/{id}/comments"), body)
}

fn list(query: &str) -> Received {
    Received { query: query.to_owned(), ..request(Call::List, INCIDENTS, "") }
}

fn respond(service: &mut Service, request: &Received, millis: u64) -> ApiResponse {
    decide(service, request, millis).response
}

/// The status and the body of a response.
fn answer(service: &mut Service, request: &Received) -> (u16, Value) {
    let response = respond(service, request, 0);
    (response.status, serde_json::from_str(&response.body).expect("JSON"))
}

fn header<'a>(response: &'a ApiResponse, wanted: &str) -> Option<&'a str> {
    let mut values = response.headers.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{wanted} is there once");
    value
}

#[test]
fn each_api_shows_what_the_other_changed() {
    let mut service = service(&[], |_| ());
    let body = json!({"status": "resolved", "classification": "FALSEPOSITIVE", "determination": "notMalicious",
        "customTags": ["a"], "assignedTo": "a@contoso.com", "severity": "high", "resolvingComment": "tuned"});
    let (status, shown) = answer(&mut service, &update(5, &body));
    assert_eq!((status, &shown["id"], &shown["status"]), (200, &json!("5"), &json!("resolved")));
    assert_eq!(shown["@odata.context"], "https://graph.microsoft.com/v1.0/$metadata#security/incidents/$entity");
    assert_eq!((&shown["resolvingComment"], &shown["lastModifiedBy"]), (&json!("tuned"), &json!("API-App:emulator")));
    answer(&mut service, &comment(5));

    let (_, classic) = answer(&mut service, &request(Call::Read, "/api/incidents/5", ""));
    for (name, value) in [
        ("status", json!("Resolved")),
        ("classification", json!("FalsePositive")),
        ("determination", json!("NotMalicious")),
        ("tags", json!(["a"])),
        ("assignedTo", json!("a@contoso.com")),
        ("severity", json!("High")),
        ("resolvingComment", Value::Null),
        ("lastModifiedBy", Value::Null),
    ] {
        assert_eq!(classic[name], value, "{name}");
    }
    assert_eq!(classic["comments"][0]["comment"], "seen");

    let change = r#"{"status":"Active","tags":[],"comment":"again","assignedTo":""}"#;
    answer(&mut service, &request(Call::Update, "/api/incidents/5", change));
    let (_, shown) = answer(&mut service, &read(5));
    assert_eq!((&shown["status"], &shown["customTags"]), (&json!("active"), &json!([])));
    assert_eq!((&shown["assignedTo"], &shown["resolvingComment"]), (&Value::Null, &json!("tuned")));
    assert_eq!(shown["comments"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["comments"][1]["comment"], "again");
    let id = IncidentId::new(5).expect("an id").get();
    assert_eq!(service.incident(id, ApiKind::Graph).expect("exists")["status"], "active");
}

#[test]
fn comment_response_has_every_comment() {
    let mut service = service(&[], |settings| settings.habits.comments = vec!["p".parse().expect("a form")]);
    answer(&mut service, &comment(5));
    let (status, body) = answer(&mut service, &comment(5));
    assert_eq!(status, 200);
    assert_eq!(body["@odata.context"], "https://graph.microsoft.com/v1.0/$metadata#security/incidents('5')/comments");
    let comments = body["value"].as_array().expect("a list");
    assert_eq!(comments.len(), 2);
    assert_eq!(
        comments[1],
        json!({
            "@odata.type": "#microsoft.graph.security.alertComment", "comment": "<p>seen</p>",
            "createdByDisplayName": "emulator@contoso.com", "createdDateTime": "1970-01-01T00:00:00.0000000Z",
        })
    );
}

#[test]
fn comment_without_type_or_listed_is_refused() {
    let mut service = service(&[], |_| ());
    for body in [r#"[{"comment":"seen"}]"#, r#"{"comment":"seen"}"#, "", r#"{"@odata.type":"x","comment":"seen"}"#] {
        let refused = Received { body: Some(Bytes::copy_from_slice(body.as_bytes())), ..comment(5) };
        let (status, shown) = answer(&mut service, &refused);
        assert_eq!((status, &shown["error"]["code"]), (400, &json!("BadRequest")), "{body}");
        let is_empty = shown["error"]["message"] == "Empty Payload. JSON content expected.";
        assert_eq!(is_empty, !body.starts_with('{'), "{body}");
    }
    assert_eq!(answer(&mut service, &read(5)).1["comments"], json!([]));
}

#[test]
fn refusals_have_status_code_and_ids() {
    let mut service = service(&[], |settings| settings.incidents = "1-9".parse().expect("incidents"));
    let resolved = json!({"status": "resolved"});
    for (request, status, code) in [
        (Received { token: None, ..read(5) }, 401, "InvalidAuthenticationToken"),
        (Received { says_json: false, ..update(5, &resolved) }, 415, "UnsupportedMediaType"),
        (Received { body: None, ..update(5, &resolved) }, 413, "PayloadTooLarge"),
        (update(5, &json!({"status": "redirected"})), 400, "BadRequest"),
        (update(10, &resolved), 404, "NotFound"),
        (comment(10), 404, "NotFound"),
        (read(10), 404, "NotFound"),
        (request(Call::Read, "/v1.0/security/incidents/x", ""), 400, "BadRequest"),
        (list("$top=51"), 400, "BadRequest"),
        (request(Call::Elsewhere, "/v1.0/security", ""), 404, "NotFound"),
        (request(Call::WrongMethod, INCIDENTS, ""), 405, "MethodNotAllowed"),
    ] {
        let request = Received { client_request_id: Some("mine".to_owned()), ..request };
        let response = respond(&mut service, &request, 0);
        let body: Value = serde_json::from_str(&response.body).expect("JSON");
        let error = &body["error"];
        assert_eq!((response.status, error["code"].as_str()), (status, Some(code)), "{body}");
        let request_id = header(&response, "request-id").expect("an id");
        assert_eq!((request_id.len(), error["innerError"]["request-id"].as_str()), (36, Some(request_id)));
        assert_eq!(header(&response, "client-request-id"), Some("mine"));
        assert_eq!(error["innerError"]["client-request-id"], "mine");
        assert_eq!(error["innerError"]["date"], "1970-01-01T00:00:00");
    }
}

#[test]
fn every_response_has_an_id_of_its_own() {
    let mut service = service(&[], |_| ());
    let ids = [read(1), read(1), comment(1)].map(|request| {
        let response = respond(&mut service, &request, 0);
        assert_eq!(header(&response, "client-request-id"), header(&response, "request-id"), "without the client's own");
        header(&response, "request-id").expect("an id").to_owned()
    });
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    let classic = respond(&mut service, &request(Call::Read, "/api/incidents/1", ""), 0);
    assert_eq!(classic.headers, []);
}

#[test]
fn list_is_paged_by_links() {
    let mut service = service(&[], |settings| settings.incidents = "1-25".parse().expect("incidents"));
    let mut query = "$top=10&$count=true".to_owned();
    let (mut ids, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let (status, body) = answer(&mut service, &list(&query));
        assert_eq!((status, &body["@odata.count"]), (200, &json!(25)));
        assert_eq!(body["@odata.context"], "https://graph.microsoft.com/v1.0/$metadata#security/incidents");
        let page = body["value"].as_array().expect("a list");
        sizes.push(page.len());
        ids.extend(page.iter().map(|incident| incident["id"].as_str().expect("an id").to_owned()));
        let Some(link) = body["@odata.nextLink"].as_str() else { break };
        let next = link.strip_prefix("http://127.0.0.1:9/v1.0/security/incidents?").expect("its own origin");
        assert!(next.contains("skiptoken="), "{link}");
        next.clone_into(&mut query);
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(ids, (1..=25).rev().map(|id: u64| id.to_string()).collect::<Vec<_>>());
}

#[test]
fn full_last_page_has_no_link() {
    let mut service = service(&[], |settings| settings.incidents = "1-20".parse().expect("incidents"));
    for (query, size, has_link) in
        [("$top=20", 20, false), ("$top=10&$skip=10", 10, false), ("$top=10&$skip=9", 10, true), ("$top=0", 0, false)]
    {
        let (_, body) = answer(&mut service, &list(query));
        assert_eq!(body["value"].as_array().map(Vec::len), Some(size), "{query}");
        assert_eq!(body.get("@odata.nextLink").is_some(), has_link, "{query}");
        assert_eq!(body.get("@odata.count"), None, "{query}");
    }
}

#[test]
fn largest_page_is_a_setting() {
    let mut service = service(&[], |settings| settings.largest_page = 7);
    assert_eq!(answer(&mut service, &list("$top=8")).0, 400);
    assert_eq!(answer(&mut service, &list("")).1["value"].as_array().map(Vec::len), Some(7));
}

#[test]
fn list_is_filtered_and_counted() {
    let mut service = service(&[], |settings| settings.incidents = "1-9".parse().expect("incidents"));
    answer(&mut service, &update(3, &json!({"status": "resolved", "assignedTo": "a@contoso.com"})));
    answer(&mut service, &update(5, &json!({"severity": "high"})));
    for (filter, expected) in [
        ("status eq 'resolved'", &["3"] as &[&str]),
        ("assignedTo ne null or severity eq 'high'", &["5", "3"]),
        ("assignedTo eq null and status eq 'active' and severity ne 'medium'", &["5"]),
        ("status eq 'inProgress'", &[]),
    ] {
        let (_, body) = answer(&mut service, &list(&format!("$count=true&$filter={filter}")));
        let page = body["value"].as_array().expect("a list");
        let ids: Vec<&str> = page.iter().filter_map(|incident| incident["id"].as_str()).collect();
        assert_eq!((&*ids, &body["@odata.count"]), (expected, &json!(expected.len())), "{filter}");
    }
}

#[test]
fn alerts_are_shown_if_expanded() {
    let mut service = service(&[], |_| ());
    let alerts = |service: &mut Service, query| answer(service, &list(query)).1["value"][0].get("alerts").cloned();
    assert_eq!(alerts(&mut service, ""), None);
    assert_eq!(alerts(&mut service, "$expand=alerts"), Some(json!([])));
}

#[test]
fn incidents_have_the_size_of_the_settings() {
    let mut service = service(&[], |settings| settings.incident_size = 10_000);
    assert!((10_000..11_000).contains(&respond(&mut service, &read(5), 0).body.len()));
    assert!(respond(&mut service, &list("$top=3"), 0).body.len() > 30_000);
    let (_, shown) = answer(&mut service, &update(5, &json!({"description": "small"})));
    assert_eq!(shown["description"], "small");
}

#[test]
fn unknown_members_are_shown_if_preferred() {
    let mut service = service(&[], |settings| settings.awaiting_action = [5].into());
    let mut status = |includes_unknown, request: Received| {
        let (_, body) = answer(&mut service, &Received { includes_unknown, ..request });
        body.get("status").unwrap_or_else(|| &body["value"][0]["status"]).clone()
    };
    let filtered = || list("$filter=status eq 'awaitingAction'");
    assert_eq!(status(false, read(5)), "unknownFutureValue");
    assert_eq!(status(true, read(5)), "awaitingAction");
    assert_eq!(status(false, filtered()), "unknownFutureValue");
    assert_eq!(status(true, filtered()), "awaitingAction");
    assert_eq!(status(true, update(5, &json!({"status": "active"}))), "active");
}

#[test]
fn both_apis_share_one_quota() {
    let mut service = service(&[], |settings| settings.quota = "2/37s".parse().ok());
    let statuses = [read(1), request(Call::Read, "/api/incidents/1", ""), read(1)]
        .map(|request| respond(&mut service, &request, 200).status);
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn throttled_response_has_retry_after() {
    let throttled = |form| {
        let mut service = service(&[], |settings| {
            settings.quota = "1/37s".parse().ok();
            settings.throttle_form = form;
        });
        respond(&mut service, &comment(1), 0);
        respond(&mut service, &comment(1), 200)
    };
    let usual = throttled(None);
    let body: Value = serde_json::from_str(&usual.body).expect("JSON");
    assert_eq!((usual.status, header(&usual, "retry-after")), (429, Some("37")));
    assert_eq!(body["error"]["code"], "TooManyRequests");
    assert_eq!(body["error"]["message"], "Too many requests.");
    assert_eq!(body["error"]["innerError"]["request-id"].as_str(), header(&usual, "request-id"));
    let other = throttled(Some(ThrottleForm::Time));
    assert!(header(&other, "retry-after").is_none() && other.body.contains("1970-01-01T00:00:37.200Z"));
}

#[test]
fn reads_lag_but_update_responses_do_not() {
    let habits = Habits { lag: Duration::from_secs(5), ..Habits::default() };
    let mut service = service(&[], |settings| settings.habits = habits);
    let shown = |response: ApiResponse| serde_json::from_str::<Value>(&response.body).expect("JSON");
    assert_eq!(shown(respond(&mut service, &update(5, &json!({"status": "resolved"})), 0))["status"], "resolved");
    let added = shown(respond(&mut service, &comment(5), 1));
    assert_eq!(added["value"].as_array().map(Vec::len), Some(1));
    for (millis, status, comments) in [(4_999, "active", 0), (5_000, "resolved", 0), (5_001, "resolved", 1)] {
        let read = shown(respond(&mut service, &read(5), millis));
        assert_eq!((&read["status"], read["comments"].as_array().map(Vec::len)), (&json!(status), Some(comments)));
        let listed = shown(respond(&mut service, &list("$filter=status eq 'resolved'"), millis));
        assert_eq!(listed["value"].as_array().map(Vec::len), Some(usize::from(status == "resolved")), "{millis}");
    }
}

#[test]
fn lost_comments_are_applied_late() {
    let mut service = service(&["cut-after@1"], |settings| settings.habits.late = Duration::from_secs(5));
    respond(&mut service, &comment(1), 0);
    for (millis, comments) in [(4_999, 0), (5_000, 1)] {
        let body: Value = serde_json::from_str(&respond(&mut service, &read(1), millis).body).expect("JSON");
        assert_eq!(body["comments"].as_array().map(Vec::len), Some(comments), "{millis}");
    }
}

/// The effect of each fault on a comment and an update, and the status of the response.
#[test]
fn fault_has_its_documented_effect() {
    for (fault, status, takes_effect) in [
        ("503", 503, false),
        ("503-after", 503, true),
        ("429-after", 429, true),
        ("html", 200, false),
        ("other-after", 200, true),
        ("error-200", 200, false),
        ("redirect", 302, false),
        ("cut-after", 200, true),
        ("cut-half", 200, true),
        ("201-after", 201, true),
        ("204-after", 204, true),
        ("insufficient-claims", 403, false),
        ("ignore", 200, false),
        ("ignore=comment+tags", 200, false),
        ("ignore=status", 200, true),
    ] {
        for request in [comment(1), update(1, &json!({"customTags": ["a"]}))] {
            let mut service = service(&[fault], |_| ());
            assert_eq!(respond(&mut service, &request, 0).status, status, "{fault}");
            let stored = service.incident(1, ApiKind::Graph).expect("exists");
            let is_changed = stored["comments"] != json!([]) || stored["customTags"] != json!([]);
            assert_eq!(is_changed, takes_effect, "{fault} {}", request.path);
        }
    }
}

#[test]
fn fault_responses_are_spelled_as_graph() {
    let respond = |fault: &str, request: &Received| respond(&mut service(&[fault], |_| ()), request, 0);
    let other: Value = serde_json::from_str(&respond("other", &comment(7)).body).expect("JSON");
    assert_eq!(other["id"], "6");
    let failed: Value = serde_json::from_str(&respond("error-200", &read(7)).body).expect("JSON");
    assert!(failed["error"]["innerError"].is_object());
    let denied = respond("insufficient-claims", &read(7));
    assert!(header(&denied, "www-authenticate").is_some_and(|value| value.contains("error=\"insufficient_claims\"")));
    assert!(denied.body.contains("insufficient_claims"));
    let busy = respond("503=8s", &read(7));
    assert_eq!((header(&busy, "retry-after"), busy.body.contains("ServiceUnavailable")), (Some("8"), true));
    for request in [list(""), read(7)] {
        let decided = service(&["huge"], |_| ()).decide(&request, at(0)).expect("there is no log to fail");
        let Delivery::Endless(text) = decided.delivery else { panic!("{:?}", decided.delivery) };
        assert!(text.contains(r#""id":"1""#), "{text}");
    }
}

/// Signs in by IMDS, whose request is the shortest.
fn sign_in(service: &mut Service, resource: &str) -> SecretString {
    let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}");
    let request = http::Request::get(path).header("metadata", "true").body(()).expect("a request");
    let request = SignInRequest::new(&request.into_parts().0, &Bytes::new());
    let decided = service.decide_sign_in(request, at(0)).expect("there is no log to fail");
    let body: Value = serde_json::from_str(&decided.response.body).expect("JSON");
    body["access_token"].as_str().expect("a token").to_owned().into()
}

#[test]
fn token_is_for_one_of_the_apis() {
    let mut service = service(&[], |settings| settings.sign_in = Some(SignIn::new(Duration::from_hours(1))));
    assert!(!service.is_sign_in(INCIDENTS) && service.is_sign_in("/v1.0x"));
    for (resource, of_graph, of_classic) in [
        ("https://graph.microsoft.com", 200, 401),
        ("https://graph.microsoft.us/", 200, 401),
        ("00000003-0000-0000-c000-000000000000", 200, 401),
        ("https://api.security.microsoft.com", 401, 200),
        ("https://api-gcc.security.microsoft.us", 401, 200),
        ("https://api-gov.securitycenter.microsoft.us/", 401, 200),
    ] {
        let token = Some(sign_in(&mut service, resource));
        let change = r#"{"comment":"seen"}"#;
        for (request, status) in
            [(comment(1), of_graph), (request(Call::Update, "/api/incidents/1", change), of_classic)]
        {
            let request = Received { token: token.clone(), ..request };
            assert_eq!(respond(&mut service, &request, 0).status, status, "{resource} {}", request.path);
        }
    }
}

#[test]
fn token_that_may_only_read_updates_nothing() {
    let mut service = service(&[], |settings| {
        let graph_roles = vec!["SecurityIncident.Read.All".to_owned()];
        settings.sign_in = Some(SignIn { graph_roles, ..SignIn::new(Duration::from_hours(1)) });
    });
    let token = Some(sign_in(&mut service, "https://graph.microsoft.com"));
    for (request, status) in [(read(1), 200), (list(""), 200), (comment(1), 403), (update(1, &json!({})), 403)] {
        let request = Received { token: token.clone(), ..request };
        let response = respond(&mut service, &request, 0);
        assert_eq!(response.status, status, "{}", request.path);
        assert_eq!(response.body.contains(r#""code":"Forbidden""#), status == 403);
    }
}
