//! Nothing from outside drives a terminal: the test examines every byte that reaches a pseudo-terminal, and allows only
//! the escape sequences of the program's own colors.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::program::{Program, at_once};
use crate::terminal::Pty;
use crate::untrusted_data::server;

/// Everything that a terminal acts on: a title, colors, C1, bidirectional controls, a link, a new line.
pub(crate) const HOSTILE: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[5;45mX\u{9b}2J\u{202e}R\u{2066}\u{1b}]8;;evil\u{1b}\\L\u{200b}\r\nforged: line";

/// The program's colors: bold, dim, underlined; eight colors and their bright forms.
fn is_own_color(parameters: &str) -> bool {
    let own = |number: &str| matches!(number.parse(), Ok(0..=4u8 | 22 | 30..=37 | 39 | 90..=97));
    parameters.is_empty() || parameters.split(';').all(own)
}

/// Fails if a terminal would act on anything but the program's colors, or if a line begins that is not the program's.
#[track_caller]
pub(crate) fn expect_own_colors_only(bytes: &[u8]) -> usize {
    let text = str::from_utf8(bytes).expect("a stray byte 0x80 to 0x9f is a control");
    let shown = text.escape_debug();
    // In TOML, a multiline text takes several lines.
    assert!(text.contains("\"\"\"") || !text.lines().any(|line| line.trim_start().starts_with("forged")), "{shown}");
    let mut colors = 0;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character == '\u{1b}' {
            assert_eq!(rest.next(), Some('['), "{shown}");
            let parameters: String = rest.by_ref().take_while(|c| *c != 'm').collect();
            assert!(is_own_color(&parameters), "{parameters:?} in {shown}");
            colors += 1;
            continue;
        }
        let is_line_end = character == '\n' || character == '\r' && rest.as_str().starts_with('\n');
        let is_harmful = character.is_control()
            || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        assert!(is_line_end || !is_harmful, "{character:?} in {shown}");
    }
    colors
}

/// Runs a command at a terminal that shows colors. Returns how many color sequences it printed.
#[track_caller]
fn shown_harmlessly(mut command: Command) -> usize {
    let pty = Pty::new(100);
    command.env("TERM", "xterm");
    pty.run(command);
    expect_own_colors_only(&pty.bytes_to_the_end())
}

fn small() -> Program {
    Program::new().file("a.csv", "incidentId,status\n1,Active\n")
}

/// The argument may come from somebody else.
#[test]
fn hostile_arguments_drive_no_terminal() {
    let program = small().emulator(|_| ());
    let origin = program.origin();
    let of = |text: &str| {
        let with = |before: &str| format!("{before}{text}");
        let (own, word) = (|word: &str| word.to_owned(), text.to_owned());
        vec![
            vec![own("check"), word.clone()],
            vec![own("check"), own("a.csv"), word.clone()],
            vec![own("check"), own("a.csv"), own("--set"), word.clone()],
            vec![own("check"), own("a.csv"), own("--set"), with("comment=")],
            vec![own("check"), own("a.csv"), own("--set"), with("status=")],
            vec![own("check"), own("a.csv"), own("--set"), format!("{text}=1")],
            vec![own("check"), own("a.csv"), own("--contract"), word.clone()],
            vec![own("check"), own("a.csv"), own("--only"), word.clone()],
            vec![own("check"), own("a.csv"), own("--limit"), word.clone()],
            vec![own("check"), own("a.csv"), with("--")],
            vec![own("check"), own("a.csv"), with("-")],
            vec![own("check"), own("a.csv"), with("--limit=")],
            vec![own("check"), own("a.csv"), own("--log-file"), with("missing/")],
            vec![word.clone()],
            vec![own("help"), word.clone()],
            vec![own("contract"), word.clone()],
            vec![own("completions"), word.clone()],
            vec![own("runs"), own("show"), word.clone()],
            vec![own("runs"), own("results"), word.clone()],
            vec![own("runs"), own("undo"), word.clone()],
            vec![own("runs"), own("prune"), own("--older-than"), word.clone()],
            vec![own("runs"), own("resume"), word.clone(), own("--yes")],
            vec![own("apply"), word.clone(), own("--yes")],
            vec![own("plan"), own("a.csv"), own("-o"), with("missing/")],
            vec![own("fetch"), own("--base-url"), origin.clone(), own("--status"), word.clone()],
            vec![own("fetch"), own("--base-url"), origin.clone(), own("-o"), with("missing/")],
            vec![own("emulator"), own("--fault"), word.clone()],
            vec![own("emulator"), own("--incidents"), word.clone()],
            vec![own("emulator"), own("--contract"), word.clone()],
            vec![own("run"), own("a.csv"), own("--yes"), own("--base-url"), word.clone()],
            vec![own("run"), own("a.csv"), own("--yes"), own("--base-url"), with("http://")],
            vec![own("run"), own("a.csv"), own("--yes"), own("--quota"), word.clone()],
            vec![own("run"), own("a.csv"), own("--yes"), own("--settle"), word.clone()],
            vec![
                own("run"),
                own("a.csv"),
                own("--yes"),
                own("--base-url"),
                origin.clone(),
                own("--token-file"),
                word.clone(),
            ],
            vec![
                own("run"),
                own("a.csv"),
                own("--yes"),
                own("--base-url"),
                origin.clone(),
                own("--results"),
                with("missing/"),
            ],
            vec![
                own("run"),
                own("a.csv"),
                own("--yes"),
                own("--base-url"),
                origin.clone(),
                own("--state-dir"),
                with("a.csv/"),
            ],
            vec![
                own("run"),
                own("a.csv"),
                own("--dry-run"),
                own("--base-url"),
                own("https://api.example.com"),
                own("--scope"),
                word,
            ],
        ]
    };
    let mut colors = 0;
    for text in [HOSTILE, "\u{1b}[5mX", "two\nforged"] {
        for arguments in of(text) {
            colors += shown_harmlessly(program.command_of(&arguments));
        }
    }
    assert!(colors > 100, "clap's errors are painted: {colors}");
    assert!(program.requests().is_empty());
}

#[test]
fn hostile_variables_drive_no_terminal() {
    let program = small();
    let variables = [
        "BULK_TRIAGE_STATE_DIR",
        "BULK_TRIAGE_BASE_URL",
        "BULK_TRIAGE_TOKEN",
        "XDG_STATE_HOME",
        "HOME",
        "CREDENTIALS_DIRECTORY",
        "GITHUB_STEP_SUMMARY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "COLUMNS",
        "CLICOLOR_FORCE",
    ];
    at_once(variables, |variable| {
        for arguments in [
            "--help",
            "run --help",
            "runs show --help",
            "check a.csv --limit x",
            "runs list",
            "run a.csv --dry-run",
            "run a.csv --yes --no-progress --patience 0 --base-url https://127.0.0.1:9",
        ] {
            let mut command = program.command(arguments);
            if matches!(variable, "XDG_STATE_HOME" | "HOME") {
                command.env_remove("BULK_TRIAGE_STATE_DIR");
            }
            command.env(variable, HOSTILE);
            shown_harmlessly(command);
        }
    });
}

#[test]
fn hostile_file_names_drive_no_terminal() {
    let name = |ending: &str| format!("{HOSTILE}{ending}");
    let program = small().file(&name(".csv"), "incidentId,status\n1,Active\n1,x\n").emulator(|_| ());
    let (csv, origin) = (name(".csv"), program.origin());
    program.write(&name(".token"), "a-token-that-others-can-read");
    program.write(&name(".toml"), "extends = \"defender\"\n[[properties]]\nname = \"x\"\nvalues = []\n");
    let to = ["--base-url", &origin, "--yes", "--no-progress"];
    for arguments in [
        vec!["check", &csv],
        vec!["check", "a.csv", "--contract", &format!("./{}", name(".toml"))],
        vec!["run", &csv, "--skip-invalid", "--dry-run"],
        [&["run", &csv, "--skip-invalid", "--log-file", &name(".log"), "--report", &name(".html")], &to[..]].concat(),
        [&["run", "a.csv", "--results", &name(".results.csv"), "--report", &name(".md")], &to[..]].concat(),
        [&["run", "a.csv", "--results", &csv], &to[..]].concat(),
        [&["run", "a.csv", "--report", &csv], &to[..]].concat(),
        [&["run", "a.csv", "--token-file", &name(".token")], &to[..]].concat(),
        vec!["plan", "a.csv", "--base-url", &origin, "-o", &name(".plan")],
        vec!["plan", &name(".plan")],
        vec!["apply", &name(".plan"), "--yes", "--no-progress"],
        vec!["apply", &csv, "--yes"],
        vec!["fetch", "--base-url", &origin, "--quota", "1000/1s", "-o", &name(".fetched.csv"), "--no-progress"],
        vec!["fetch", "--base-url", &origin, "-o", &csv],
        vec!["runs", "list"],
    ] {
        shown_harmlessly(program.command_of(&arguments));
    }
}

#[test]
fn hostile_settings_drive_no_terminal() {
    let text = json!(HOSTILE);
    let wrong = [
        format!("{text} = 1\n"),
        format!("quota = {text}\n"),
        format!("color = {text}\n"),
        format!("base-url = {text}\n"),
        format!("contract = {text}\n"),
        format!("token = {text}\n{text}\n"),
        format!("[profiles.{text}]\n{text} = 1\n"),
        format!("[profiles.p]\ntenant = {text}\ntoken-file = {text}\n[profiles.{text}]\n"),
        format!("patience = \"1m\"\ntoken-command = {text}\nclient-id = {text}\n"),
    ];
    for file in wrong {
        let program = small().file("own.toml", file).file(&format!("{HOSTILE}.toml"), "yse = 1\n");
        let hostile = format!("{HOSTILE}.toml");
        for arguments in [
            vec!["config", "--config", "own.toml"],
            vec!["config", "--config", "own.toml", "run", "--profile", "p"],
            vec!["config", "--config", "own.toml", "--format", "json"],
            vec!["config", "--config", &hostile, "path"],
            vec!["run", "a.csv", "--dry-run", "--config", "own.toml", "--profile", HOSTILE],
            vec!["run", "a.csv", "--dry-run", "--config", "own.toml"],
            vec!["run", "--help", "--config", "own.toml"],
            vec!["check", "a.csv", "--config", &hostile],
        ] {
            let mut command = program.command_of(&arguments);
            command.env(format!("BULK_TRIAGE_{HOSTILE}"), HOSTILE);
            shown_harmlessly(command);
        }
    }
}

/// The file is valid: the hostile texts are in what is shown.
#[test]
fn hostile_contract_drives_no_terminal() {
    let text = json!(HOSTILE);
    let contract = format!(
        "extends = \"defender-classic\"\nname = {text}\ntitle = {text}\n\n[[properties]]\nname = \"status\"\n\
         values = [{{ value = {text}, aliases = [{text}], doubtful = {text} }}]\n\n[[dependencies]]\n\
         property = \"determination\"\non = \"status\"\nallowed = {{ {text} = [\"Malware\"] }}\n"
    );
    let row = format!("incidentId,status,determination\n1,\"{HOSTILE}\",\n2,Actve,\n3,Active,Malware\n");
    let program = Program::new().file("c.toml", contract).file("a.csv", row);
    program.run("contract ./c.toml").expect_code(0).expect_text("\\u{1b}]0;owned");
    for arguments in [
        "contract ./c.toml",
        "contract ./c.toml --format json",
        "contract ./c.toml --format toml",
        "check a.csv --contract ./c.toml",
        "check a.csv --contract ./c.toml --format json",
        "run a.csv --dry-run --skip-invalid --contract ./c.toml",
        "run a.csv --emulator --yes --no-progress --skip-invalid --contract ./c.toml",
        "plan a.csv --skip-invalid --contract ./c.toml -o a.plan",
        "plan a.plan",
        "runs list",
    ] {
        shown_harmlessly(program.command(arguments));
    }
}

#[test]
fn hostile_responses_drive_no_terminal() {
    let error = json!({"error": {"code": HOSTILE, "message": HOSTILE, "target": HOSTILE}});
    let incident = json!({
        "incidentId": 1, "incidentName": HOSTILE, "status": HOSTILE, "assignedTo": HOSTILE, "severity": HOSTILE,
        "classification": HOSTILE, "determination": HOSTILE, "tags": [HOSTILE], "createdTime": HOSTILE,
        "comments": [{"comment": HOSTILE, "createdBy": HOSTILE, "createdTime": "2026-11-24T10:00:00Z"}],
    });
    let list = json!({"value": [incident.clone()]});
    let answers = [("400 Bad", error), ("200 OK", incident), ("200 OK", list)];
    at_once(answers, |(status, body)| {
        let program = Program::new().file("a.csv", "incidentId,status,tags\n1,Active,\"+a; -b\"\n");
        let origin = server(status, "application/json", body.to_string().into_bytes());
        let quota = "--quota 100000/1s --no-progress --patience 0 --max-attempts 1";
        for arguments in [
            format!("run a.csv --compare --dry-run {quota} --base-url {origin}"),
            format!("run a.csv --set comment=x --yes -vvv --settle 10ms {quota} --base-url {origin}"),
            format!("run a.csv --yes --format json --settle 10ms {quota} --base-url {origin}"),
            format!("plan a.csv --compare -o a.plan {quota} --base-url {origin}"),
            "plan a.plan".to_owned(),
            format!("fetch -o open.csv --limit 1 {quota} --base-url {origin}"),
            "run open.csv --set status=Active --dry-run".to_owned(),
            "runs list".to_owned(),
        ] {
            shown_harmlessly(program.command(&arguments));
        }
        let run = program.last_run();
        for arguments in [format!("runs show {run} --all"), format!("runs undo {run} {quota}")] {
            shown_harmlessly(program.command(&arguments));
        }
    });
}

/// A journal may come from somebody else's backup.
#[test]
fn hostile_run_ids_drive_no_terminal() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Active\n2,Active\n").faulty_emulator(&["400@#1"]);
    program.send("a.csv").expect_code(1);
    {
        let journal = program.journal();
        journal.execute("UPDATE runs SET name = ?1", [HOSTILE]).expect("it is changed");
        journal.execute("UPDATE rows SET code = ?1 WHERE code <> ''", [HOSTILE]).expect("it is changed");
    }
    let (name, origin) = (HOSTILE, program.origin());
    for arguments in [
        vec!["runs", "list"],
        vec!["runs", "list", "--format", "json"],
        vec!["runs", "show", name],
        vec!["runs", "show", name, "--format", "json"],
        vec!["runs", "show", name, "--report", "a.md"],
        vec!["runs", "results", name],
        vec!["runs", "undo", name],
        vec!["runs", "resume", name, "--yes", "--no-progress"],
        vec!["run", "a.csv", "--yes", "--no-progress", "--base-url", &origin],
        vec!["run", "a.csv", "--dry-run", "--base-url", &origin],
    ] {
        shown_harmlessly(program.command_of(&arguments));
    }
    program.run("runs list").expect_code(0).expect_text("\\u{1b}]0;owned");
    assert!(fs::read_to_string(program.path("a.md")).expect("a page").contains("owned"));
}
