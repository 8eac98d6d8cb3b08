//! `bulk-triage check` and `contract` on the command line: exit codes, samples, output.

use std::io::Write as _;
use std::process::Stdio;

use crate::program::{spawned, without_settings};

/// Exit code, standard output and standard error.
fn run(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = without_settings();
    command.args(arguments).env("NO_COLOR", "1");
    let mut child = spawned(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads its input");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("it was not killed"), text(output.stdout), text(output.stderr))
}

#[test]
fn valid_samples_pass() {
    for (sample, rows) in [("close-false-positives.csv", 30), ("mixed-updates.jsonl", 10)] {
        let path = format!("samples/{sample}");
        let (exit, out, _) = run(&["check", &path], b"");
        assert_eq!(exit, 0, "{out}");
        assert!(out.starts_with(&format!("{rows} rows, all valid\n")), "{out}");
        assert!(out.contains(&format!("bulk-triage run {path} --dry-run")), "{out}");
    }
}

#[test]
fn portal_export_requires_set() {
    let (exit, out, _) = run(&["check", "samples/portal-export.csv"], b"");
    assert_eq!(exit, 3);
    assert!(out.contains("error[portal-needs-set]"), "{out}");
    let (exit, out, _) = run(&["check", "samples/portal-export.csv", "--set", "status=resolved"], b"");
    assert_eq!(exit, 0, "{out}");
    assert!(out.contains("only incident IDs are used") && out.contains("5 rows, all valid"), "{out}");
}

#[test]
fn mistakes_sample_gets_all_its_diagnostics() {
    let (exit, out, _) = run(&["check", "samples/mistakes.csv", "--format", "json"], b"");
    assert_eq!(exit, 3);
    let report: serde_json::Value = serde_json::from_str(&out).expect("one JSON object");
    let found: Vec<String> = report["diagnostics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|found| format!("{} {}", found["row"], found["code"].as_str().unwrap_or("?")))
        .collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    1 unknown-value
    2 id-missing
    3 id-invalid
    4 id-invalid
    5 id-invalid
    6 id-invalid
    7 unknown-value
    8 values-disagree
    9 value-missing
    10 unknown-value
    11 nothing-to-set
    12 cannot-clear
    13 tag-change
    14 tags-not-json
    15 cannot-clear
    16 blank-comment
    17 space-around
    18 too-few-cells
    19 too-many-cells
    25 unknown-value
    25 control-character
    26 not-utf8
    27 nul-byte
    21 duplicate
    23 contradiction
    ");
    assert_eq!((&report["rows"], &report["valid"]), (&27.into(), &5.into()));
    let (exit, out, err) = run(&["check", "samples/mistakes.csv"], b"");
    assert_eq!((exit, err.as_str()), (3, ""));
    assert!(out.contains(" of 25:") && out.ends_with("5 of 27 rows are valid; nothing would be sent\n"), "{out}");
    assert!(!out.contains(|character: char| character.is_control() && character != '\n' || character == '\u{202e}'));
}

#[test]
fn unreadable_input_is_exit_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("empty.csv"), "").expect("a file");
    std::fs::write(path("book.csv"), "PK\u{3}\u{4}rest").expect("a file");
    for (file, part) in [
        (path("missing.csv"), "No such file"),
        (path(""), "directory"),
        (path("empty.csv"), "it has no header line"),
        (path("book.csv"), "an Excel workbook is one"),
    ] {
        let (exit, out, err) = run(&["check", &file], b"");
        assert_eq!(exit, 3, "{out}{err}");
        assert!((out + &err).contains(part), "{file}");
    }
}

#[test]
fn invalid_command_line_is_exit_2() {
    for arguments in [
        &["check"][..],
        &["check", "samples/mixed-updates.jsonl", "--contract", "nope"],
        &["check", "samples/mixed-updates.jsonl", "--set", "status"],
        &["check", "samples/mixed-updates.jsonl", "--set", "status=Active", "--set", "Status=Active"],
        &["check", "samples/mixed-updates.jsonl", "--only", "failed"],
        &["check", "samples/mixed-updates.jsonl", "--only", "filed"],
        &["contract", "nope"],
    ] {
        let (exit, out, err) = run(arguments, b"");
        assert_eq!((exit, out.as_str()), (2, ""), "{err}");
        assert!(err.starts_with("error: "), "{err}");
    }
}

#[test]
fn standard_input_can_be_checked() {
    assert_eq!(run(&["check", "-"], b"incidentId,status\n1,Active\n"), (0, "1 row, valid\n".into(), String::new()));
    assert_eq!(run(&["check", "-"], b"{\"incidentId\":1,\"status\":\"Active\"}").0, 0);
    for nothing in [&b""[..], b"\n", b"incidentId,status\n"] {
        let (exit, out, _) = run(&["check", "-"], nothing);
        assert_eq!((exit, out.as_str()), (0, "no rows: nothing to do\n"));
    }
    assert_eq!(run(&["check", "-", "--format", "json"], b"").1, "{\"diagnostics\":[],\"rows\":0,\"valid\":0}\n");
}

#[test]
fn closed_pipe_does_not_panic() {
    let mut command = without_settings();
    command.args(["check", "samples/mistakes.csv"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawned(&mut command).expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn printed_contract_toml_can_be_loaded() {
    let (exit, table, _) = run(&["contract", "defender"], b"");
    assert_eq!(exit, 0);
    assert!(table.contains("LineOfBusinessApplication") && table.contains("quota\t50/1m,1500/1h"), "{table}");
    let (exit, toml, _) = run(&["contract", "--format", "toml"], b"");
    assert_eq!(exit, 0);
    assert!(toml.starts_with("name = \"defender-classic\"\n"), "{toml}");
}
