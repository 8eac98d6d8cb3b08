//! The classic API and Microsoft Graph: one file has the same effect by either of them, and what is sent to Graph fits
//! Microsoft's published schema.
//!
//! The schema is `two_apis/incident-schema.json`, transcribed by hand; the program does not know it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::program::{Program, names_in, of_the_project, with_contract};

/// All properties that both APIs have.
const FILE: &str = "\
incidentId,status,assignedTo,classification,determination,tags,comment
1,InProgress,ana.silva@contoso.com,,,phish; vip,Looking at it
2,Resolved,,FalsePositive,NotMalicious,,Rule DL-17 tuned
3,Resolved,<clear>,True positive,Malware,contained,Host rebuilt
4,,<clear>,\"Informational, expected activity\",Security test,<clear>,
5,Active,jo.berg@contoso.com,,,+tuned; -old,
6,,,,,,Only a comment
7,In progress,<clear>,falsePositive,Not enough data to validate,,\"Two
lines\"
";

/// What others have set before.
const BEFORE: &str = "\
incidentId,status,assignedTo,tags,comment
3,Active,kim@contoso.com,old,First
4,InProgress,kim@contoso.com,old; vip,
5,Resolved,,old; vip,
7,,kim@contoso.com,,
";

/// The incidents after both files: status, owner, classification, determination, tags, comments.
const AFTER: [&str; 8] = [
    r#"1: in progress, ana.silva@contoso.com, -, -, ["phish","vip"], ["Looking at it"]"#,
    r#"2: resolved, -, false positive, not malicious, [], ["Rule DL-17 tuned"]"#,
    r#"3: resolved, -, true positive, malware, ["contained"], ["First","Host rebuilt"]"#,
    "4: in progress, -, expected, security test, [], []",
    r#"5: active, jo.berg@contoso.com, -, -, ["vip","tuned"], []"#,
    r#"6: active, -, -, -, [], ["Only a comment"]"#,
    r#"7: in progress, -, false positive, too little data, [], ["Two\nlines"]"#,
    "8: active, -, -, -, [], []",
];

/// A value in neutral words.
fn neutral(value: &Value) -> &str {
    match value.as_str().unwrap_or_default() {
        "" | "Unknown" | "unknown" | "NotAvailable" => "-",
        "Active" | "active" => "active",
        "InProgress" | "inProgress" => "in progress",
        "Resolved" | "resolved" => "resolved",
        "FalsePositive" | "falsePositive" => "false positive",
        "TruePositive" | "truePositive" => "true positive",
        "InformationalExpectedActivity" | "informationalExpectedActivity" => "expected",
        "NotMalicious" | "notMalicious" => "not malicious",
        "Malware" | "malware" => "malware",
        "SecurityTesting" | "securityTesting" => "security test",
        "NoEnoughDataToValidate" | "notEnoughDataToValidate" => "too little data",
        owner => owner,
    }
}

/// The incidents of a program that has sent both files, in neutral words.
fn after_both(contract: &'static str, tags: &str) -> Vec<String> {
    with_contract(contract, || {
        let program = Program::new().file("before.csv", BEFORE).file("file.csv", FILE).emulator(|settings| {
            settings.incidents = "1-8".parse().expect("incidents");
        });
        program.send_as_others("before.csv");
        program.send("file.csv").expect_code(0).expect_outcomes(&[("updated", 7)]);
        let state = |id: u64| {
            let shown = program.shown(id);
            let values = ["status", "assignedTo", "classification", "determination"].map(|name| neutral(&shown[name]));
            format!("{id}: {}, {}, {}", values.join(", "), shown[tags], json!(program.comments(id)))
        };
        (1..=8).map(state).collect()
    })
}

#[test]
fn both_apis_leave_the_same_state() {
    assert_eq!(after_both("defender", "tags"), AFTER);
    assert_eq!(after_both("graph", "customTags"), AFTER);
}

/// The published schema.
struct Schema(Value);

impl Schema {
    fn read() -> Schema {
        let text = fs::read_to_string(of_the_project("tests/it/two_apis/incident-schema.json")).expect("the schema");
        Schema(serde_json::from_str(&text).expect("JSON"))
    }

    /// What an update may set of an enumeration: not what only the service sets, and not the value for newer ones.
    fn settable(&self, enumeration: &str) -> BTreeSet<&str> {
        let members = self.0["enumerations"][enumeration].as_array().expect(enumeration).iter();
        let only_shown = ["unknownFutureValue", "redirected", "awaitingAction"];
        members.filter_map(Value::as_str).filter(|member| !only_shown.contains(member)).collect()
    }

    /// What is wrong with the body of an incident or comment.
    fn wrong(&self, of: &str, body: &Value) -> Option<String> {
        let members = body.as_object().expect("an object").iter();
        let mut members = members.filter(|(name, _)| *name != "@odata.type");
        members
            .find(|(name, value)| !self.fits(&self.0["types"][of][name], value))
            .map(|(name, value)| format!("`{name}` of {of} can't be {value}"))
    }

    /// Whether a property may have this value.
    fn fits(&self, property: &Value, value: &Value) -> bool {
        let Some(of) = property["type"].as_str() else { return false };
        match (of, value) {
            (_, Value::Null) => property["nullable"] != false,
            ("Edm.String", value) => value.is_string(),
            ("Collection(Edm.String)", Value::Array(list)) => list.iter().all(Value::is_string),
            (of, Value::String(value)) => {
                self.0["enumerations"].get(of).is_some() && self.settable(of).contains(&**value)
            }
            _ => false,
        }
    }
}

/// Every value that the schema has of each enumeration, one in each row.
fn every_member(schema: &Schema) -> String {
    let columns = [
        ("status", "incidentStatus"),
        ("classification", "alertClassification"),
        ("determination", "alertDetermination"),
        ("newSeverity", "alertSeverity"),
    ];
    let rows = columns.iter().flat_map(|(column, of)| {
        schema.settable(of).into_iter().map(move |member| json!({"incidentId": 1, *column: member}).to_string() + "\n")
    });
    rows.enumerate().map(|(at, row)| row.replace(":1,", &format!(":{},", at + 1))).collect()
}

#[test]
fn request_bodies_match_the_published_schema() {
    let schema = Schema::read();
    let program = with_contract("graph", || Program::new().file("every.jsonl", every_member(&schema)).emulator(|_| {}));
    let mut files = vec!["every.jsonl".to_owned()];
    let samples = of_the_project("samples");
    for name in names_in(&samples).into_iter().filter(|name| samples.join(name).is_file()) {
        program.write(&name, fs::read(samples.join(&name)).expect("a sample"));
        files.push(name);
    }
    for name in files {
        let before = if name == "every.jsonl" { 0 } else { program.requests().len() };
        program.send(&format!("{name} --skip-invalid --set resolvingComment=done"));
        assert!(program.requests().len() > before, "nothing of {name} was sent");
    }
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in program.requests().iter().filter(|request| request.method != "GET") {
        let body: Value = serde_json::from_str(request.body.as_deref().expect("a body")).expect("JSON");
        let of = if request.method == "PATCH" { "incident" } else { "alertComment" };
        assert_eq!(schema.wrong(of, &body), None, "{body}");
        if of == "alertComment" {
            assert_eq!(body["@odata.type"], "microsoft.graph.security.alertComment");
        }
        for (name, value) in body.as_object().expect("an object") {
            values.entry(name.clone()).or_default().insert(value.as_str().unwrap_or_default().to_owned());
        }
    }
    let sent = |name: &str| values[name].iter().map(String::as_str).collect::<BTreeSet<_>>();
    assert_eq!(sent("status"), schema.settable("incidentStatus"));
    assert_eq!(sent("classification"), schema.settable("alertClassification"));
    assert_eq!(sent("determination"), schema.settable("alertDetermination"));
    assert_eq!(sent("severity"), schema.settable("alertSeverity"));
    for name in ["assignedTo", "customTags", "resolvingComment", "comment"] {
        assert!(values.contains_key(name), "no sample sets {name}");
    }
}

#[test]
fn bodies_outside_the_schema_are_noticed() {
    let schema = Schema::read();
    for body in [
        json!({"status": "Resolved"}),
        json!({"status": null}),
        json!({"status": "redirected"}),
        json!({"tags": ["a"]}),
        json!({"customTags": "a"}),
        json!({"assignedTo": 7}),
        json!({"comments": []}),
    ] {
        assert!(schema.wrong("incident", &body).is_some(), "{body}");
    }
}
