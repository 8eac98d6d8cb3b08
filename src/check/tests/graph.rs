//! The contract `graph`: every value that the API's pages name, typed by hand, and the requests that it gives.

use super::*;

const GRAPH: Check<'_> = Check { contract: "graph", ..CSV };
/// With `--comment-as resolving`.
const RESOLVING: Check<'_> = Check { comment_resolves: true, ..GRAPH };

/// The requests of the only row, and its diagnostics.
fn sent(text: &str) -> (Vec<String>, Vec<(u64, &'static str)>) {
    let found = GRAPH.of(text);
    let contract = load("graph").expect("built in");
    let change = found.rows[0].verdict.as_ref().unwrap_or_else(|_| panic!("{text}: {:?}", found.codes()));
    let edits = change.edits.resolved().expect("complete lists");
    let change = Change { incident: change.incident, edits };
    let step = |step: crate::model::step::Step| format!("{} {} {}", step.method, step.path, step.body.to_json());
    (contract.steps(&change).map(step).collect(), found.codes())
}

/// Property, what is typed, what is sent, and the code of the warning, if there is any.
const ACCEPTED: [(&str, &str, &str, &str); 73] = [
    ("status", "active", "active", ""),
    ("status", "inProgress", "inProgress", ""),
    ("status", "resolved", "resolved", ""),
    ("status", "Active", "active", ""),
    ("status", "InProgress", "inProgress", ""),
    ("status", "Resolved", "resolved", ""),
    ("status", "In progress", "inProgress", ""),
    ("classification", "unknown", "unknown", ""),
    ("classification", "falsePositive", "falsePositive", ""),
    ("classification", "truePositive", "truePositive", ""),
    ("classification", "informationalExpectedActivity", "informationalExpectedActivity", ""),
    ("classification", "Unknown", "unknown", ""),
    ("classification", "FalsePositive", "falsePositive", ""),
    ("classification", "TruePositive", "truePositive", ""),
    ("classification", "InformationalExpectedActivity", "informationalExpectedActivity", ""),
    ("classification", "False positive", "falsePositive", ""),
    ("classification", "True positive", "truePositive", ""),
    ("classification", "Informational, expected activity", "informationalExpectedActivity", ""),
    ("determination", "unknown", "unknown", ""),
    ("determination", "malware", "malware", ""),
    ("determination", "securityTesting", "securityTesting", ""),
    ("determination", "unwantedSoftware", "unwantedSoftware", ""),
    ("determination", "other", "other", ""),
    ("determination", "multiStagedAttack", "multiStagedAttack", ""),
    ("determination", "compromisedAccount", "compromisedAccount", ""),
    ("determination", "phishing", "phishing", ""),
    ("determination", "maliciousUserActivity", "maliciousUserActivity", ""),
    ("determination", "notMalicious", "notMalicious", ""),
    ("determination", "notEnoughDataToValidate", "notEnoughDataToValidate", ""),
    ("determination", "confirmedActivity", "confirmedActivity", ""),
    ("determination", "lineOfBusinessApplication", "lineOfBusinessApplication", ""),
    ("determination", "apt", "apt", "doubtful-value"),
    ("determination", "securityPersonnel", "securityPersonnel", "doubtful-value"),
    // Older pages of this API.
    ("determination", "compromisedUser", "compromisedAccount", ""),
    ("determination", "clean", "notMalicious", ""),
    ("determination", "insufficientData", "notEnoughDataToValidate", ""),
    ("determination", "confirmedUserActivity", "confirmedActivity", ""),
    // The other contracts.
    ("determination", "NotAvailable", "unknown", ""),
    ("determination", "Apt", "apt", "doubtful-value"),
    ("determination", "Malware", "malware", ""),
    ("determination", "SecurityPersonnel", "securityPersonnel", "doubtful-value"),
    ("determination", "SecurityTesting", "securityTesting", ""),
    ("determination", "UnwantedSoftware", "unwantedSoftware", ""),
    ("determination", "Other", "other", ""),
    ("determination", "MultiStagedAttack", "multiStagedAttack", ""),
    ("determination", "MaliciousUserActivity", "maliciousUserActivity", ""),
    ("determination", "CompromisedAccount", "compromisedAccount", ""),
    ("determination", "Phishing", "phishing", ""),
    ("determination", "LineOfBusinessApplication", "lineOfBusinessApplication", ""),
    ("determination", "ConfirmedActivity", "confirmedActivity", ""),
    ("determination", "Clean", "notMalicious", ""),
    ("determination", "NotMalicious", "notMalicious", ""),
    ("determination", "NoEnoughDataToValidate", "notEnoughDataToValidate", ""),
    ("determination", "NotEnoughDataToValidate", "notEnoughDataToValidate", ""),
    // The portal.
    ("determination", "Multi staged attack", "multiStagedAttack", ""),
    ("determination", "Malicious user activity", "maliciousUserActivity", ""),
    ("determination", "Compromised account", "compromisedAccount", ""),
    ("determination", "Security test", "securityTesting", ""),
    ("determination", "Line-of-business application", "lineOfBusinessApplication", ""),
    ("determination", "Confirmed activity", "confirmedActivity", ""),
    ("determination", "Not malicious", "notMalicious", ""),
    ("determination", "Not enough data to validate", "notEnoughDataToValidate", ""),
    ("newSeverity", "informational", "informational", ""),
    ("newSeverity", "low", "low", ""),
    ("newSeverity", "medium", "medium", ""),
    ("newSeverity", "high", "high", ""),
    ("newSeverity", "unknown", "unknown", "doubtful-value"),
    ("newSeverity", "High", "high", ""),
    ("new_severity", "MEDIUM", "medium", ""),
    ("assignedTo", "a@b.example", "a@b.example", ""),
    ("assigned_to", "SOC tier 2", "SOC tier 2", ""),
    ("resolvingComment", "a false alarm", "a false alarm", ""),
    ("resolving comment", "x", "x", ""),
];

#[test]
fn graph_accepts_and_spells_every_documented_value() {
    for (column, typed, value, warning) in ACCEPTED {
        // A determination alone gives a warning of its own.
        let (names, cells) = match column {
            "determination" => ("classification,", "unknown,"),
            _ => ("", ""),
        };
        let (requests, codes) = sent(&format!("incidentId,{names}{column}\n7,{cells}\"{typed}\"\n"));
        let member = match column {
            "newSeverity" | "new_severity" => "severity",
            "assigned_to" => "assignedTo",
            "resolving comment" => "resolvingComment",
            column => column,
        };
        let classification = if column == "determination" { "\"classification\":\"unknown\"," } else { "" };
        let expected = format!("PATCH /v1.0/security/incidents/7 {{{classification}\"{member}\":\"{value}\"}}");
        assert_eq!(requests, [expected], "{column} {typed}");
        let codes: Vec<_> = codes.into_iter().map(|(_, code)| code).filter(|code| *code != "values-disagree").collect();
        let warnings: Vec<_> = [warning].into_iter().filter(|code| !code.is_empty()).collect();
        assert_eq!(codes, warnings, "{column} {typed}");
    }
}

#[test]
fn graph_refuses_what_callers_must_not_send() {
    for (column, typed, code) in [
        ("status", "redirected", "unknown-value"),
        ("status", "Redirected", "unknown-value"),
        ("status", "awaitingAction", "unknown-value"),
        ("status", "unknownFutureValue", "unknown-value"),
        ("status", "closed", "unknown-value"),
        ("status", "<clear>", "cannot-clear"),
        ("classification", "unknownFutureValue", "unknown-value"),
        ("classification", "benign", "unknown-value"),
        ("classification", "Not set", "placeholder-value"),
        ("classification", "<clear>", "cannot-clear"),
        ("determination", "unknownFutureValue", "unknown-value"),
        ("determination", "ransomware", "unknown-value"),
        ("determination", "<clear>", "cannot-clear"),
        ("newSeverity", "critical", "unknown-value"),
        ("newSeverity", "unknownFutureValue", "unknown-value"),
        ("newSeverity", "<clear>", "cannot-clear"),
        ("assignedTo", "Unassigned", "placeholder-value"),
        ("tags", "None", "placeholder-value"),
        ("comment", "<clear>", "cannot-clear"),
        ("comment", " ", "blank-comment"),
    ] {
        assert_eq!(GRAPH.code(format!("incidentId,{column}\n7,\"{typed}\"\n")), code, "{column} {typed}");
    }
}

#[test]
fn graph_sends_members_by_its_own_names() {
    let update = |body: &str| format!("PATCH /v1.0/security/incidents/7 {body}");
    for (column, typed, body) in [
        ("tags", "a; b", r#"{"customTags":["a","b"]}"#),
        ("tags", "<clear>", r#"{"customTags":[]}"#),
        ("assignedTo", "<clear>", r#"{"assignedTo":null}"#),
        ("resolvingComment", "<clear>", r#"{"resolvingComment":""}"#),
    ] {
        assert_eq!(sent(&format!("incidentId,{column}\n7,{typed}\n")).0, [update(body)], "{column} {typed}");
    }
    let comment = "POST /v1.0/security/incidents/7/comments \
                   {\"@odata.type\":\"microsoft.graph.security.alertComment\",\"comment\":\"done\"}";
    assert_eq!(sent("incidentId,comment\n7,done\n").0, [comment]);
    let both = sent("incidentId,status,comment\n7,Resolved,done\n").0;
    assert_eq!(both, [update(r#"{"status":"resolved"}"#).as_str(), comment]);
}

#[test]
fn column_severity_is_context_under_graph() {
    let (requests, codes) = sent("incidentId,severity,status\n7,High,Active\n");
    assert_eq!(requests, [r#"PATCH /v1.0/security/incidents/7 {"status":"active"}"#]);
    assert_eq!(codes, []);
    assert_eq!(GRAPH.refusal("incidentId,severity\n7,High\n"), "no-property-column");
    for set in ["severity=Low", "newSeverity=low"] {
        let found = Check { set: &[set], ..GRAPH }.of("incidentId,severity\n7,High\n");
        assert_eq!((found.bodies(), found.codes()), (vec![r#"{"severity":"low"}"#.to_owned()], vec![]), "{set}");
    }
}

#[test]
fn unusual_values_are_warnings_under_graph_only() {
    for (classification, determination, code) in [
        ("truePositive", "malware", ""),
        ("truePositive", "other", ""),
        ("informationalExpectedActivity", "confirmedActivity", ""),
        ("falsePositive", "notMalicious", ""),
        ("falsePositive", "notEnoughDataToValidate", ""),
        ("unknown", "unknown", ""),
        ("falsePositive", "malware", "values-disagree"),
        ("truePositive", "notMalicious", "values-disagree"),
        ("unknown", "malware", "values-disagree"),
        ("", "malware", "value-missing"),
    ] {
        let text = format!("incidentId,classification,determination\n7,{classification},{determination}\n");
        assert_eq!(GRAPH.code(text.as_str()), code, "{classification} {determination}");
        assert!(!GRAPH.of(text.as_str()).stats.has_errors(), "{classification} {determination}");
    }
    for contract in ["defender", "defender-classic"] {
        let alone = Check { contract, ..CSV }.of("incidentId,determination\n7,Malware\n");
        assert!(alone.stats.has_errors() && alone.codes() == [(1, "value-missing")], "{contract}");
    }
}

#[test]
fn spellings_of_graph_are_accepted_by_defender() {
    for (column, typed, value) in [
        ("status", "inProgress", "InProgress"),
        ("classification", "informationalExpectedActivity", "InformationalExpectedActivity"),
        ("determination", "notMalicious", "NotMalicious"),
        ("determination", "compromisedUser", "CompromisedAccount"),
        ("determination", "confirmedUserActivity", "ConfirmedActivity"),
        ("determination", "multiStagedAttack", "MultiStagedAttack"),
    ] {
        let text = match column {
            "determination" => {
                let fits = match value {
                    "NotMalicious" => "FalsePositive",
                    "ConfirmedActivity" => "InformationalExpectedActivity",
                    _ => "TruePositive",
                };
                format!("incidentId,classification,{column}\n7,{fits},{typed}\n")
            }
            _ => format!("incidentId,{column}\n7,{typed}\n"),
        };
        let found = Check { contract: "defender", ..CSV }.of(text);
        assert!(found.bodies()[0].contains(&format!("\"{column}\":\"{value}\"")), "{typed}: {:?}", found.bodies());
    }
    for column in ["classification", "determination"] {
        let unknown = Check { contract: "defender", ..CSV }.code(format!("incidentId,{column}\n7,unknown\n"));
        assert_eq!(unknown, "unknown-value", "{column}");
    }
}

#[test]
fn long_comment_is_a_warning_under_graph() {
    let comment = |length| format!("incidentId,comment\n7,{}\n", "x".repeat(length));
    assert_eq!((GRAPH.code(comment(30_000)), GRAPH.code(comment(30_001))), ("", "long-comment"));
}

#[test]
fn comment_of_a_resolving_row_becomes_its_property() {
    let rows = "7,Resolved,a\n8,,b\n9,Active,c\n10,Resolved,\n";
    let found = RESOLVING.of(format!("incidentId,status,comment\n{rows}"));
    let bodies = [
        r#"{"status":"resolved","resolvingComment":"a"}"#,
        r#"{"comment":"b"}"#,
        r#"{"status":"active","comment":"c"}"#,
        r#"{"status":"resolved"}"#,
    ];
    assert_eq!((found.bodies(), found.codes()), (bodies.map(str::to_owned).into(), vec![]));
    assert_eq!(found.stats.comments, CommentCounts { resolving: 1, others: 2 });
    let set = Check { set: &["status=resolved", "comment==x"], ..RESOLVING }.of("incidentId\n7\n");
    assert_eq!(set.bodies(), [r#"{"status":"resolved","resolvingComment":"=x"}"#]);
    let line = "{\"incidentId\":7,\"comment\":\"a\\nb\",\"status\":\"resolved\"}\n";
    let jsonl = Check { name: "f.jsonl", ..RESOLVING }.of(line);
    assert_eq!(jsonl.bodies(), [r#"{"status":"resolved","resolvingComment":"a\nb"}"#]);
}

#[test]
fn two_resolving_comments_are_an_error() {
    let rows = "7,Resolved,a,b\n8,Resolved,a,<clear>\n9,Active,a,b\n10,Resolved,,b\n11,Resolved,a,\n";
    let text = format!("incidentId,status,comment,resolvingComment\n{rows}");
    let found = RESOLVING.of(&*text);
    assert_eq!(found.codes(), [(1, "two-resolving-comments"), (2, "two-resolving-comments")]);
    assert_eq!(found.diagnostics[0].field.as_deref(), Some("comment"));
    // Without the option, the two are independent; only the last row could be sent in one request.
    let found = GRAPH.of(&*text);
    assert_eq!((found.codes(), found.stats.comments.resolving), (vec![], 1));
}

#[test]
fn moved_comment_is_the_same_change() {
    let found = RESOLVING.of("incidentId,status,comment,resolvingComment\n7,Resolved,a,\n7,Resolved,,a\n");
    assert_eq!(found.codes(), [(2, "duplicate")]);
    let found = Check { limit: Some(1), ..GRAPH }.of("incidentId,status,comment\n7,Resolved,a\n8,Resolved,b\n");
    assert_eq!(found.stats.comments.resolving, 1);
}

#[test]
fn property_of_another_contract_names_it() {
    let text = "incidentId,status,resolving comment\n7,Resolved,x\n";
    for contract in ["defender-classic", "defender"] {
        let classic = Check { contract, ..CSV };
        let found = classic.of(text);
        let help = found.diagnostics[0].help.as_deref().unwrap_or_default();
        assert_eq!(found.codes(), [(1, "other-contract")]);
        assert!(found.diagnostics[0].message.contains("`graph`") && help.contains("--contract graph"), "{help}");
        // An empty cell, as in a fetched file, changes nothing.
        assert_eq!(classic.code("incidentId,status,newSeverity\n7,Resolved,\n"), "");
        assert_eq!(classic.code("incidentId,status,newSeverity\n7,Resolved,high\n"), "other-contract");
        let alone = classic.of("incidentId,resolvingComment\n7,x\n");
        assert_eq!(alone.codes(), [(1, "other-contract"), (1, "nothing-to-set")]);
        let jsonl = Check { name: "f.jsonl", ..classic };
        assert_eq!(
            jsonl.code("{\"incidentId\":7,\"status\":\"Active\",\"resolvingComment\":\"x\"}\n"),
            "other-contract"
        );
        assert_eq!(jsonl.code("{\"incidentId\":7,\"status\":\"Active\",\"resolvingComment\":null}\n"), "");
        let contract = load(contract).expect("built in");
        let error = PropertyOverride::parse("resolvingComment=x", &contract).expect_err("it has no such property");
        assert!(error.to_string().contains("`--contract graph`"), "{error}");
    }
    // Context of a Graph page, as before.
    assert_eq!(CSV.code("incidentId,status,severity\n7,Resolved,high\n"), "");
}
