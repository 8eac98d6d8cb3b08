//! What portals, spreadsheets and PowerShell leave in a file is never sent as a change; it is skipped or reported.

use crate::program::{Ended, Program, of_the_project};

/// The request bodies that a dry run shows.
fn bodies(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().map(str::trim).filter(|line| line.starts_with('{')).collect()
}

#[test]
fn portal_export_in_any_spelling_sends_only_set() {
    let sample = std::fs::read_to_string(of_the_project("samples/portal-export.csv")).expect("a sample");
    let row = sample.lines().nth(2).expect("a row").to_owned();
    for (name, id) in [
        ("Incident name", "Incident Id"),
        ("Incident name", "Incident ID"),
        ("incident name", "incident id"),
        ("INCIDENT NAME", "INCIDENT ID"),
        ("Incident\u{a0}name", "Incident\u{a0}ID"),
        ("Incident  Name", "Incident\tId"),
    ] {
        let csv = sample.replacen("Incident name", name, 1).replacen("Incident Id", id, 1);
        let json = format!("{{\"{name}\":\"x\",\"{id}\":52011,\"Status\":\"Active\",\"Tags\":[\"VIP\"]}}\n");
        let program = Program::new().file("export.csv", csv).file("export.jsonl", json.replace('\t', "\\t"));
        for (file, rows) in [("export.csv", 3), ("export.jsonl", 1)] {
            let dry_run = format!("run {file} --set status=Resolved --dry-run --base-url http://127.0.0.1:9");
            let ended = program.run(&dry_run).expect_code(0).expect_text("portal export");
            assert_eq!(bodies(&ended), vec!["{\"status\":\"Resolved\"}"; rows], "{name} {id}: {}", ended.printed());
            program.run(&format!("check {file}")).expect_code(3).expect_text("portal-needs-set");
        }
    }
    assert!(row.contains("Ransomware"), "the sample has tags that must not be sent");
}

#[test]
fn ordinary_id_columns_are_not_a_portal_export() {
    for id in ["incidentId", "incident_id", "incident-id"] {
        let csv = format!("Incident name,{id},status\nx,7,Active\n");
        let program = Program::new().file("a.csv", csv);
        let ended = program.run("run a.csv --dry-run --base-url http://127.0.0.1:9").expect_code(0);
        assert_eq!(bodies(&ended), ["{\"status\":\"Active\"}"], "{id}");
    }
}

#[test]
fn portal_row_in_other_jsonl_is_rejected() {
    let rows = "{\"incidentId\":1,\"status\":\"Active\"}\n\
                {\"Incident name\":\"x\",\"Incident ID\":2,\"Status\":\"Active\",\"Assigned to\":\"a@b.example\"}\n";
    let program = Program::new().file("a.jsonl", rows).emulator(|_| ());
    program.send("a.jsonl --set status=Resolved").expect_code(3).expect_text("portal-needs-set").expect_text(":2");
    assert!(program.requests().is_empty());
}

#[test]
fn placeholders_are_not_sent() {
    for file in ["incidentId,assignedTo\n7,NaN\n", "incidentId,tags\n7,System.String[]\n"] {
        let program = Program::new().file("a.csv", file).emulator(|_| ());
        program.send("a.csv").expect_code(3).expect_text("error[placeholder-value]").expect_text("or enter `<clear>`");
        assert!(program.requests().is_empty());
    }
    let program = Program::new().file("a.csv", "incidentId\n7\n").emulator(|_| ());
    let mut command = program.send_command("a.csv");
    command.args(["--set", "assignedTo=Not set"]);
    crate::program::started(command).end().expect_code(2).expect_text("leave the cell empty to keep the value");
    assert!(program.requests().is_empty());
}

#[test]
fn blank_rows_and_lines_above_are_not_rows() {
    let contents = [
        "incidentId,status\n7,Resolved\n,\n,\n",
        "sep=;\nincidentId;status\n7;Resolved\n",
        "#TYPE System.Management.Automation.PSCustomObject\n\"incidentId\",\"status\"\n\"7\",\"Resolved\"\n",
        "incidentId,status\n\" \",\"\"\n'7,Resolved\n\u{a0},\n",
    ];
    for content in contents {
        let program = Program::new().file("a.csv", content).emulator(|_| ());
        let check = program.run("check a.csv --format json").expect_code(0).json();
        assert_eq!((&check["rows"], &check["valid"]), (&1.into(), &1.into()), "{content}");
        let results = program.send("a.csv").expect_code(0).results_path();
        let results = std::fs::read_to_string(results).expect("results");
        assert_eq!(results.lines().count(), 2, "{results}");
        let sent: Vec<_> = program.updates().iter().map(|update| update.id).collect();
        assert_eq!(sent, [Some(7)], "{content}");
    }
}

#[test]
fn redirected_warning_is_repeated_before_the_prompt() {
    let why = "only the service should set it; the portal may not open the incident";
    let program = Program::new().file("a.csv", "incidentId,status\n1,Redirected\n2,Redirected\n3,Active\n");
    let program = program.emulator(|_| ());
    program.run("check a.csv").expect_code(0).expect_text("warning[doubtful-value]");
    let warning = format!("warning: 2 rows set status to `Redirected`: {why}");
    let ended = program.run("run a.csv --dry-run --base-url http://127.0.0.1:9").expect_code(0);
    assert!(ended.stdout.contains(&warning), "{}", ended.printed());
    let plan = format!("plan a.csv -o a.plan --base-url {}", program.origin());
    assert!(program.run(&plan).expect_code(0).stdout.contains(&warning));
    let ended = program.send("a.csv").expect_code(0);
    assert!(ended.stderr.contains(&warning), "{}", ended.printed());
}

#[test]
fn sentinel_number_is_refused_by_name() {
    let csv = "IncidentNumber,ProviderIncidentId,Status\n12,48213,Closed\n";
    let program = Program::new().file("a.csv", csv).emulator(|_| ());
    let ended = program.send("a.csv --set status=Resolved").expect_code(3);
    let said: String = ended.printed().split_whitespace().collect::<Vec<_>>().join(" ");
    let right =
        "Sentinel's own number, not Defender's incident ID; rename the column `ProviderIncidentId` to `incidentId`";
    assert!(said.contains(right), "{said}");
    assert!(program.requests().is_empty());
}

/// The hint of a file's first diagnostic.
fn help_for(content: impl AsRef<[u8]>) -> String {
    let found = Program::new().file("a.csv", content).run("check a.csv --format json").json();
    found["diagnostics"][0]["help"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn spreadsheet_artifacts_get_their_own_help() {
    for (id, help) in [
        ("4.82E+04", "Excel shortened this number; format the column as text"),
        ("=\"48219\"", "enter `48219`"),
        ("https://security.microsoft.com/incidents/48221?tid=0b7e", "`48221`"),
    ] {
        let said = help_for(format!("incidentId,status\n{id},Active\n"));
        assert!(said.contains(help), "{id}: {said}");
    }
    let windows = help_for(&b"incidentId,comment\n1,gr\xf6\xdfe\n"[..]);
    assert_eq!(windows, "looks like Windows-1252; in Excel, save as CSV UTF-8");
    let title = help_for("Open incidents\n\nincidentId,status\n1,Active\n");
    assert!(title.starts_with("line 3 has the column names"), "{title}");
    assert_eq!(help_for("incidentId,status,Owner\n1,Active,x\n"), "to send it, name it `assignedTo`");
    let two = help_for("incidentId,classification\n1,True positive – Multistage attack\n");
    assert!(two.starts_with("use two columns: classification `TruePositive` and determination"), "{two}");
}
