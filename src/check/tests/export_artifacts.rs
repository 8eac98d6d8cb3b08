//! Artifacts of portals, spreadsheets and other tools.

use super::*;

#[test]
fn placeholders_are_errors_except_in_comments() {
    let properties = ["status", "assignedTo", "classification", "determination", "tags", "comment"];
    for word in ["Unassigned", "not set", "NONE", "null", "-", "N/A", "System.String[]", "System.Object[]", " None "] {
        for property in properties {
            let is_comment = property == "comment";
            let mut expected = vec![(1, "placeholder-value")];
            if is_comment && word != word.trim() {
                expected.push((1, "space-around"));
            }
            let csv = CSV.of(format!("incidentId,{property}\n1,{word}\n"));
            let json = JSONL.of(format!("{{\"incidentId\":1,\"{property}\":\"{word}\"}}\n"));
            for found in [csv, json] {
                let diagnostic = &found.diagnostics[0];
                assert_eq!(found.codes()[0], expected[0], "{property} {word}");
                assert_eq!(found.stats.has_errors(), !is_comment, "{property} {word}");
                let help = diagnostic.help.clone().unwrap_or_default();
                let can_be_cleared = matches!(property, "assignedTo" | "tags");
                assert_eq!(help.contains("or enter `<clear>`"), can_be_cleared, "{property}: {help}");
                assert!(help.to_lowercase().starts_with("leave the cell empty to"), "{property}: {help}");
            }
            let contract = load("defender-classic").expect("built in");
            let set = PropertyOverride::parse(&format!("{property}={word}"), &contract);
            assert_eq!(set.is_ok(), is_comment, "--set {property}={word}");
            if is_comment {
                let found = Check { set: &[&format!("comment={word}")], ..CSV }.of("incidentId\n1\n");
                assert_eq!(found.codes()[0], (0, "placeholder-value"));
            }
        }
    }
    let found = Check { set: &["tags=a, b"], ..CSV }.of("incidentId\n1\n");
    assert_eq!(found.codes(), [(0, "comma-in-tag")]);
}

#[test]
fn alternative_spellings_give_documented_values() {
    let contract = load("defender").expect("built in");
    let classifications = contract.dependencies[0].allowed.iter().map(|(on, _)| on.as_str());
    let classifications: Vec<&str> = classifications.collect();
    let value = |property: &str, text: &str| {
        let is_apart = property != "determination";
        let classifications = if is_apart { &[""][..] } else { &classifications };
        let valid = classifications.iter().find_map(|classification| {
            let asks = if is_apart { String::new() } else { format!("{classification},") };
            let column = if is_apart { "" } else { "classification," };
            let rows = format!("incidentId,{column}{property}\n1,{asks}\"{text}\"\n");
            let found = Check { contract: "defender", ..CSV }.of(rows);
            (!found.stats.has_errors()).then_some(found)
        });
        let found = valid.unwrap_or_else(|| panic!("{property} {text}"));
        let body: serde_json::Value = serde_json::from_str(&found.bodies()[0]).expect("a body");
        let codes: Vec<&str> = found.codes().iter().map(|(_, code)| *code).collect();
        (body[property].as_str().unwrap_or_default().to_owned(), codes.join(" "))
    };
    for (property, text, sent, warning) in [
        ("status", "Redirected", "Redirected", "doubtful-value"),
        ("status", "In\u{a0}progress", "InProgress", ""),
        ("classification", "Informational, expected activity", "InformationalExpectedActivity", ""),
        ("classification", "True-positive", "TruePositive", ""),
        ("determination", "CompromisedUser", "CompromisedAccount", ""),
        ("determination", "ConfirmedUserActivity", "ConfirmedActivity", ""),
        ("determination", "InsufficientData", "NoEnoughDataToValidate", ""),
        ("determination", "Line of business application", "LineOfBusinessApplication", ""),
        ("determination", "Multi-stage attack", "MultiStagedAttack", ""),
        ("determination", "Multistage attack", "MultiStagedAttack", ""),
        ("determination", "Not enough data to validate", "NoEnoughDataToValidate", ""),
        ("determination", "NoEnoughDataToValidate", "NoEnoughDataToValidate", "doubtful-value"),
        ("determination", "NotEnoughDataToValidate", "NotEnoughDataToValidate", "doubtful-value"),
        ("determination", "notenoughdatatovalidate", "NotEnoughDataToValidate", "doubtful-value"),
        ("determination", "Clean", "Clean", "doubtful-value"),
        ("determination", "Not malicious", "NotMalicious", ""),
    ] {
        assert_eq!(value(property, text), (sent.to_owned(), warning.to_owned()), "{property} {text}");
    }
    let withdrawn = |value: &str| format!("incidentId,classification,determination\n1,TruePositive,{value}\n");
    for value in ["Apt", "SecurityPersonnel", "Security personnel"] {
        assert_eq!(CSV.code(withdrawn(value)), "doubtful-value", "{value}");
    }
    assert_eq!(CSV.code("incidentId,status\n1,=Resolved\n"), "unknown-value");
    assert_eq!(CSV.code("incidentId,status\n1,-Resolved\n"), "unknown-value");
}

#[test]
fn two_values_in_one_cell_suggest_two_columns() {
    let help = |contract: &str, text: &str| {
        let found = Check { contract, ..CSV }.of(format!("incidentId,classification\n1,{text}\n"));
        assert_eq!(found.codes(), [(1, "unknown-value")], "{text}");
        found.diagnostics[0].help.clone().unwrap_or_default()
    };
    let columns = "use two columns: classification `TruePositive` and determination `MultiStagedAttack`";
    for text in
        ["True positive – Multistage attack", "TruePositive - Multi-stage attack", "True positive: Multi staged attack"]
    {
        assert_eq!(help("defender", text), columns, "{text}");
        let accepted = "`defender` accepts this: `--contract defender`";
        assert_eq!(help("defender-classic", text), format!("{columns}; {accepted}"), "{text}");
    }
    assert!(!help("defender", "True positive – nonsense").contains("two columns"));
}

#[test]
fn other_contract_is_suggested_once_per_file() {
    let rows = (1..=5_000).map(|id| format!("{id},InProgress\n")).collect::<Vec<_>>().concat();
    let found = CSV.of(format!("incidentId,status\n{rows}"));
    let suggests = |found: &&Diagnostic| found.help.as_ref().is_some_and(|help| help.contains("--contract"));
    assert_eq!(found.diagnostics.iter().filter(suggests).map(|found| found.row).collect::<Vec<_>>(), [Some(1)]);
}

#[test]
fn empty_lists_are_reported_once_with_count() {
    let rows = (1..=500)
        .map(|id| format!("{{\"incidentId\":{id},\"status\":\"Active\",\"tags\":[]}}\n"))
        .collect::<Vec<_>>()
        .concat();
    let found = JSONL.of(rows);
    assert_eq!(found.codes(), [(1, "empty-list")]);
    let diagnostic = &found.diagnostics[0];
    assert!(diagnostic.message.contains("<clear>") && diagnostic.message.ends_with("(in 500 rows)"), "{diagnostic:?}");
    assert_eq!((found.stats.rows, found.stats.valid), (500, 0));
    assert_eq!(found.bodies(), ["empty-list"; 500]);
}

#[test]
fn missing_id_column_error_lists_existing_columns() {
    let reported = |text: &str| match CSV.try_of(text) {
        Err(InputError::Invalid(found)) => (found[0].message.clone(), found[0].help.clone().unwrap_or_default()),
        other => panic!("{:?}", other.map(|found| found.stats)),
    };
    let sentinel = "`IncidentNumber`: Sentinel's own number, not Defender's incident ID; rename the column \
                    `ProviderIncidentId` to `incidentId`";
    let (message, help) = reported("IncidentNumber,ProviderIncidentId,Status\n1,2,x\n");
    assert_eq!(message, sentinel);
    assert!(help.ends_with("the columns here are `IncidentNumber`, `ProviderIncidentId`, `Status`"), "{help}");
    assert_eq!(reported("incident number,Status\n1,x\n").0, sentinel);
    let (message, help) = reported("ID,status\n1,Active\n");
    assert_eq!(message, "no column is named `incidentId`");
    assert!(help.contains("`ID`, `status`"), "{help}");
    let (_, help) = reported("Incidents of November\n\nIncident_ID;status\n1;Active\n");
    assert!(help.starts_with("line 3 has the column names: delete everything above it"), "{help}");
    // With the columns swapped, `incidentId` may be Sentinel's number.
    assert!(reported("incidentId,ProviderIncidentId,Status\n1,2,Active\n").0.contains("Sentinel's own number"));
    assert_eq!(CSV.of("IncidentNumber,incidentId,Status\n1,2,Active\n").codes(), []);
    let found = JSONL.of("{\"IncidentNumber\":1,\"status\":\"Active\"}\n{\"ID\":1,\"status\":\"Active\"}\n");
    assert_eq!(found.codes(), [(1, "id-missing"), (2, "id-missing")]);
    assert_eq!(found.diagnostics[0].message, sentinel);
    assert_eq!(found.diagnostics[1].help.as_deref(), Some("the members here are `ID`, `status`"));
}

#[test]
fn rows_of_empty_cells_are_blank_lines() {
    let found = CSV.of("\n,,\nincidentId,status,comment\n,,\n7,Active,\n\" \",\"\",\u{a0}\n , ,\n8,Active,\n,,\n");
    assert_eq!(found.codes(), []);
    let lines: Vec<_> = found.rows.iter().map(|row| (row.row, row.line)).collect();
    assert_eq!(lines, [(1, 5), (2, 8)]);
    assert_eq!(found.stats.rows, 2);
    let found = JSONL.of("{}\n{\"incidentId\":7,\"status\":\"Active\"}\n{\"incidentId\":null,\"status\":\"\"}\n");
    assert_eq!(found.rows.iter().map(|row| (row.row, row.line)).collect::<Vec<_>>(), [(1, 2)]);
}

#[test]
fn lines_above_the_header_are_skipped() {
    for text in [
        "sep=;\nincidentId;status\n7;Active\n",
        "\u{feff}sep=;\r\nincidentId;status\r\n7;Active\r\n",
        "#TYPE System.Object\nincidentId,status\n7,Active\n",
        "\"sep=\t\"\nincidentId\tstatus\n7\tActive\n",
        // The given delimiter is used, whatever the header looks like.
        "sep=;\nincidentId;\"a,b,c\";status\n7;,,;Active\n",
    ] {
        let found = CSV.of(text);
        assert_eq!((found.codes(), found.bodies()), (vec![], vec!["{\"status\":\"Active\"}".to_owned()]), "{text}");
        assert_eq!(found.rows[0].line, 3, "{text}");
    }
    assert_eq!(CSV.refusal("sep=|\nincidentId|status\n7|Active\n"), "header");
}

#[test]
fn last_id_without_newline_is_reported() {
    let found = CSV.of("status,incidentId\nActive,1\nActive,482");
    assert_eq!(found.codes(), [(2, "unterminated-line")]);
    assert!(found.diagnostics[0].message.contains("line 3") && found.diagnostics[0].message.contains("482"));
    assert_eq!(Check { set: &["status=Active"], ..CSV }.of("incidentId\n1\n2").codes(), [(2, "unterminated-line")]);
    for text in ["status,incidentId\nActive,1\nActive,482\n", "incidentId,status\n1,Active", "status,incidentId"] {
        assert_eq!(CSV.of(text).codes(), [], "{text}");
    }
}

#[test]
fn other_owner_column_names_get_a_warning() {
    for name in ["Owner", "Assignee", "owner_name", "comments"] {
        let found = CSV.of(format!("incidentId,status,{name}\n1,Active,x\n2,Active,y\n"));
        assert_eq!(found.codes(), [(0, "not-sent")], "{name}");
        let property = if name == "comments" { "comment" } else { "assignedTo" };
        assert_eq!(found.diagnostics[0].help, Some(format!("to send it, name it `{property}`")));
    }
    assert_eq!(CSV.of("incidentId,assignedTo,Owner\n1,a,b\n").codes(), []);
    assert_eq!(Check { set: &["assignedTo=a"], ..CSV }.of("incidentId,Owner\n1,b\n").codes(), []);
    let rows = "{\"incidentId\":1,\"status\":\"Active\",\"Owner\":\"x\"}\n{\"incidentId\":2,\"status\":\"Active\",\"owner\":\"y\"}\n";
    assert_eq!(JSONL.of(rows).codes(), [(1, "not-sent")]);
}

#[test]
fn windows_1252_bytes_are_reported() {
    let found = CSV.of(&b"incidentId,comment\n1,gr\xf6\xdfe\n"[..]);
    let help = "looks like Windows-1252; in Excel, save as CSV UTF-8";
    assert_eq!(found.diagnostics[0].help.as_deref(), Some(help));
    match CSV.try_of(&b"incidentId,gr\xf6\xdfe,status\n1,,Active\n"[..]) {
        Err(InputError::Invalid(found)) => assert_eq!(found[0].help.as_deref(), Some(help)),
        other => panic!("{:?}", other.map(|found| found.stats)),
    }
}

#[test]
fn conflicts_beyond_the_limit_are_not_counted() {
    let text = "incidentId,status\n1,Active\n2,Active\n2,Resolved\n3,Active\n3,Active\n";
    for (limit, sendable, contradicting) in [(1, 1, 0), (2, 1, 1), (3, 1, 2), (5, 3, 2)] {
        let found = Check { limit: Some(limit), ..CSV }.of(text);
        assert_eq!(found.stats.sendable_alone(), sendable, "{limit}");
        assert_eq!(found.stats.contradicting().count(), contradicting, "{limit}");
    }
}
