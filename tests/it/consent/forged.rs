//! Plans and contract files that name another origin, or change anything else, are refused before a byte is sent, with
//! the command that would accept them.

use super::{EvilServer, advised, forged, pasted};
use crate::program::{Program, at_once, finished};
use crate::tokens::jwt;

const ROWS: &str = "incidentId,status,comment\n1,Resolved,one\n";

/// Origins that need the user's consent; `PORT` is that of somebody else's server.
pub(super) const ORIGINS: [&str; 23] = [
    "http://127.0.0.1:PORT",
    "http://localhost:PORT",
    "http://[::1]:PORT",
    "http://127.1:PORT",
    "http://2130706433:PORT",
    "https://127.0.0.1:PORT",
    "https://evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "http://evil.example",
    "http://api.security.microsoft.com",
    "https://api.security.microsoft.com:8443",
    "https://api.security.microsoft.com.",
    "https://api.security.microsoft.com.evil.example",
    "https://api.security.microsoft.com@evil.example",
    "https://api.security.microsoft.com#@evil.example",
    "https://api.security.microsoft.com/../",
    " https://evil.example",
    "https://api.security.microsoft.com\t",
    "https:\\\\evil.example",
    "https:evil.example",
    "https://\u{430}pi.security.microsoft.com",
    "https://[::ffff:127.0.0.1]:PORT",
    "https://graph.microsoft.com",
];

/// A program with a plan for the real API; nothing was sent.
fn with_plan() -> Program {
    let program = Program::new().file("a.csv", ROWS);
    let evil = EvilServer::start();
    evil.run(&program, "plan a.csv -o a.plan").expect_code(0);
    assert_eq!(evil.connections(), 0);
    program
}

#[test]
fn forged_origins_of_plans_get_no_byte() {
    at_once(ORIGINS, |origin| {
        let (program, evil) = (with_plan(), EvilServer::start());
        let origin = origin.replace("PORT", &evil.port.to_string());
        for is_compared in [false, true] {
            let plan = forged(&program.read("a.plan"), |header, _| {
                header["origin"] = origin.as_str().into();
                header["compared"] = is_compared.into();
            });
            program.write("evil.plan", plan);
            for command in ["apply evil.plan --yes", "apply evil.plan", "plan evil.plan", "plan evil.plan --compare"] {
                let ended = evil.run(&program, command);
                assert!(matches!(ended.code, Some(2 | 3)), "{origin:?}, {command}: {}", ended.printed());
            }
        }
        assert_eq!(evil.connections(), 0, "{origin:?}");
    });
}

#[test]
fn forged_origins_of_contract_files_get_no_byte() {
    at_once(ORIGINS, |origin| {
        let program = Program::new().file("a.csv", ROWS);
        let evil = EvilServer::start();
        let origin = origin.replace("PORT", &evil.port.to_string());
        let text = toml::Value::from(origin.as_str());
        program.write("evil.toml", format!("extends = \"defender\"\norigin = {text}\n"));
        for command in [
            "run a.csv --yes",
            "run a.csv --yes --compare",
            "run a.csv --dry-run",
            "run a.csv --dry-run --compare",
            "plan a.csv --compare",
            "plan a.csv -o a.plan",
            "fetch -o b.csv",
        ] {
            let ended = evil.run(&program, &format!("{command} --contract evil.toml"));
            assert_eq!(ended.code, Some(2), "{origin:?}, {command}: {}", ended.printed());
        }
        assert_eq!(evil.connections(), 0, "{origin:?}");
    });
}

/// The token is sent there only after the user has typed the origin.
#[test]
fn forged_origin_gets_token_only_if_typed() {
    let (program, evil) = (with_plan(), EvilServer::start());
    let origin = format!("http://127.0.0.1:{}", evil.port);
    let plan = forged(&program.read("a.plan"), |header, _| {
        header["origin"] = origin.as_str().into();
        header["scope"] = serde_json::Value::Null;
    });
    program.write("it's a plan", plan);
    program.write("evil.toml", format!("extends = \"defender\"\norigin = \"{origin}\"\n"));
    for (at, words) in [
        vec!["apply", "it's a plan", "--yes", "--settle", "150ms"],
        vec!["apply", "--yes", "--settle", "150ms", "--", "it's a plan"],
        vec!["fetch", "-o", "b.csv", "--contract", "evil.toml", "--patience", "0"],
        vec!["run", "a.csv", "--dry-run", "--compare", "--contract", "evil.toml"],
    ]
    .iter()
    .enumerate()
    {
        let state = program.path(&format!("state-{at}"));
        let mut command = program.command_of(words);
        command.env("BULK_TRIAGE_TOKEN", super::token()).env("BULK_TRIAGE_STATE_DIR", &state);
        let before = evil.connections();
        let refused = crate::program::started(command).end().expect_code(2).expect_text(&origin);
        assert_eq!(evil.connections(), before);
        let line = advised(&refused);
        assert!(line.contains(&format!("--base-url {origin}")), "{line}");
        let mut accepting = evil.command(&program, "");
        accepting.env("BULK_TRIAGE_STATE_DIR", &state);
        let ended = pasted(&accepting, &line).expect_text(&origin);
        assert!(evil.connections() > before, "{line}: {}", ended.printed());
    }
    assert!(evil.has_token());
}

/// A plan for loopback, as for an emulator, has no tenant.
#[test]
fn opaque_token_goes_to_loopback_of_a_plan() {
    let program = Program::new().file("a.csv", ROWS).emulator(|_| ());
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    program.run("apply a.plan --yes").expect_code(0).expect_outcomes(&[("updated", 1)]);
}

/// Even if the token file is renewed.
#[test]
fn renewed_token_stays_opaque_on_loopback() {
    use std::os::unix::fs::PermissionsExt as _;
    let program = Program::new().file("a.csv", ROWS).file("token", "opaque-0123456789");
    let program = program.emulator(|settings| settings.token = Some("another-token".to_owned().into()));
    std::fs::set_permissions(program.path("token"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    program.run(&format!("plan a.csv -o a.plan --base-url {} --token-file token", program.origin())).expect_code(0);
    let running = crate::program::started(program.command("apply a.plan --yes --token-file token"));
    program.wait_for_requests(1);
    program.write("token", jwt(r#"{"aud":"https://api.security.microsoft.com","roles":["Incident.ReadWrite.All"]}"#));
    running.end().expect_code(5).expect_text("a tenant's token is sent to this machine only if you confirm it");
    assert_eq!(program.requests().len(), 1);
}

/// One change of a plan or its header, and the expected message.
struct Forgery {
    what: &'static str,
    change: fn(&mut serde_json::Value, &mut Vec<String>),
    /// The line of the plan that the message names.
    line: usize,
}

fn of_row(what: &'static str, change: fn(&mut serde_json::Value, &mut Vec<String>)) -> Forgery {
    Forgery { what, change, line: 2 }
}

fn of_header(what: &'static str, change: fn(&mut serde_json::Value, &mut Vec<String>)) -> Forgery {
    Forgery { what, change, line: 1 }
}

/// Replaces a text, which must occur.
fn put(lines: &mut [String], from: &str, to: &str) {
    assert!(lines[0].contains(from), "{from} in {}", lines[0]);
    lines[0] = lines[0].replacen(from, to, 1);
}

/// Replaces a text in the embedded contract.
fn put_rule(header: &mut serde_json::Value, from: &str, to: &str) {
    let rules = header["rules"].as_str().expect("TOML");
    assert!(rules.contains(from), "{from} in {rules}");
    header["rules"] = rules.replacen(from, to, 1).into();
}

const CHANGE: &str = r#""change":{"status":"Resolved","comment":"one"}"#;

fn forgeries() -> Vec<Forgery> {
    vec![
        of_row("a member twice", |_, rows| {
            put(rows, CHANGE, r#""change":{"status":"Active","status":"Resolved","comment":"one"}"#);
        }),
        of_row("a comment twice", |_, rows| {
            put(rows, CHANGE, r#""change":{"status":"Resolved","comment":"one","comment":"two"}"#);
        }),
        of_row("a member twice, once escaped", |_, rows| {
            put(rows, CHANGE, r#""change":{"status":"Resolved","st\u0061tus":"Active","comment":"one"}"#);
        }),
        of_row("a number for a text", |_, rows| put(rows, r#""status":"Resolved","comment"#, r#""status":7,"comment"#)),
        of_row("a list", |_, rows| put(rows, CHANGE, r#""change":["status"]"#)),
        of_row("a text", |_, rows| put(rows, CHANGE, r#""change":"status""#)),
        of_row("nothing", |_, rows| put(rows, CHANGE, r#""change":{}"#)),
        of_row("another property", |_, rows| {
            put(rows, CHANGE, r#""change":{"status":"Resolved","severity":"high","comment":"one"}"#);
        }),
        of_row("another value", |_, rows| put(rows, r#""status":"Resolved","comment"#, r#""status":"Gone","comment"#)),
        of_row("a value by its alias", |_, rows| {
            put(rows, CHANGE, r#""change":{"classification":"False positive","comment":"one"}"#);
        }),
        of_row("values that disagree", |_, rows| {
            put(rows, CHANGE, r#""change":{"classification":"FalsePositive","determination":"Apt","comment":"one"}"#);
        }),
        of_row("a list change that was not resolved", |_, rows| {
            put(rows, CHANGE, r#""change":{"tags":{"add":["x"]},"comment":"one"}"#);
        }),
        of_row("white space", |_, rows| put(rows, CHANGE, r#""change":{"status":"Resolved", "comment":"one"}"#)),
        of_row("a comment that is called none", |_, rows| put(rows, r#""appends":true,"#, "")),
        of_row("another member of the row", |_, rows| put(rows, r#""row":1,"#, r#""row":1,"path":"/api/machines","#)),
        of_row("an end that only sending has", |_, rows| {
            put(rows, CHANGE, r#""ends":{"outcome":"updated","code":"","message":""}"#);
            put(rows, r#""appends":true,"#, "");
        }),
        of_row("row beyond 63 bits", |_, rows| put(rows, r#""row":1,"#, r#""row":9223372036854775808,"#)),
        of_row("row of 64 bits", |_, rows| put(rows, r#""row":1,"#, r#""row":18446744073709551615,"#)),
        of_row("row beyond 64 bits", |_, rows| put(rows, r#""row":1,"#, r#""row":18446744073709551616,"#)),
        of_row("row 0", |_, rows| put(rows, r#""row":1,"#, r#""row":0,"#)),
        of_row("line beyond 63 bits", |_, rows| put(rows, r#""line":2,"#, r#""line":9223372036854775808,"#)),
        of_row("incident beyond 63 bits", |_, rows| {
            put(rows, r#""incident":"1""#, r#""incident":"9223372036854775808""#);
        }),
        of_row("target beyond 63 bits", |_, rows| {
            put(rows, r#""incident":"1","#, r#""incident":"1","target":9223372036854775808,"#);
        }),
        of_row("an id with a sign", |_, rows| put(rows, r#""incident":"1""#, r#""incident":"+1""#)),
        of_row("an id with a zero before it", |_, rows| put(rows, r#""incident":"1""#, r#""incident":"01""#)),
        of_row("a target for no id", |_, rows| {
            put(rows, r#""incident":"1","#, r#""incident":"one","target":666,"#);
        }),
        of_row("target 0", |_, rows| put(rows, r#""incident":"1","#, r#""incident":"1","target":0,"#)),
        Forgery {
            what: "a row twice",
            change: |header, rows| {
                header["rows"] = 2.into();
                rows.push(rows[0].clone());
            },
            line: 3,
        },
        of_header("another path", |header, _| {
            put_rule(header, "/api/incidents/{id}", "/api/machines/{id}/isolate");
        }),
        of_header("another path under another name", |header, _| {
            put_rule(header, "/api/incidents/{id}", "/api/machines/{id}/isolate");
            put_rule(header, "name = \"defender-classic\"", "name = \"ours\"");
            header["contract"] = "ours".into();
        }),
        of_header("a looser quota under another name", |header, _| {
            put_rule(header, "50/1m,1500/1h", "100000/1s");
            put_rule(header, "name = \"defender-classic\"", "name = \"ours\"");
            header["contract"] = "ours".into();
        }),
        of_header("another permission", |header, _| {
            put_rule(header, "Incident.ReadWrite.All", "Machine.Isolate");
        }),
        of_header("hosts of its own", |header, _| {
            put_rule(header, "origin = ", "hosts = [\"evil.example\"]\norigin = ");
        }),
        of_header("rules of another name", |header, _| header["contract"] = "ours".into()),
        of_header("an option that is consent", |header, _| {
            header["options"] = serde_json::json!(["--base-url", "https://evil.example"]);
        }),
        of_header("an option without its value", |header, _| header["options"] = serde_json::json!(["--set"])),
        of_header("another member", |header, _| header["token"] = "x".into()),
        of_header("rows beyond 64 bits", |header, _| header["rows"] = serde_json::json!(1e20)),
    ]
}

/// The first row's change as a plan of format 2 has it.
const EDITS: &str =
    r#""change":[{"property":"status","edit":{"set":"Resolved"}},{"property":"comment","edit":{"append":"one"}}]"#;

/// Changes of a plan of format 2.
fn forgeries_of_edits() -> Vec<Forgery> {
    vec![
        of_row("a body", |_, rows| put(rows, EDITS, CHANGE)),
        of_row("a body that appends", |_, rows| put(rows, EDITS, &format!(r#""appends":true,{CHANGE}"#))),
        of_row("no edit", |_, rows| put(rows, EDITS, r#""change":[]"#)),
        of_row("no edits", |_, rows| put(rows, EDITS, r#""change":null"#)),
        of_row("a property twice", |_, rows| {
            put(
                rows,
                r#"{"property":"comment","edit":{"append":"one"}}"#,
                r#"{"property":"status","edit":{"set":"Active"}}"#,
            );
        }),
        of_row("a name twice", |_, rows| {
            put(rows, r#""property":"status""#, r#""property":"tags","property":"status""#);
        }),
        of_row("two comments", |_, rows| {
            put(rows, r#"{"append":"one"}}"#, r#"{"append":"one"}},{"property":"comment","edit":{"append":"two"}}"#);
        }),
        of_row("another order", |_, rows| {
            put(
                rows,
                r#""property":"status","edit":{"set":"Resolved"}"#,
                r#""property":"comment","edit":{"append":"two"}"#,
            );
            put(rows, r#"{"append":"one"}"#, r#"{"set":"Resolved"}"#);
        }),
        of_row("another property", |_, rows| put(rows, r#""property":"status""#, r#""property":"severity""#)),
        of_row("another value", |_, rows| put(rows, r#""set":"Resolved""#, r#""set":"Gone""#)),
        of_row("a number for a text", |_, rows| put(rows, r#""set":"Resolved""#, r#""set":7"#)),
        of_row("an object for a text", |_, rows| put(rows, r#""set":"Resolved""#, r#""set":{"a":1}"#)),
        of_row("two edits of a property", |_, rows| {
            put(rows, r#""set":"Resolved""#, r#""set":"Active","set":"Resolved""#);
        }),
        of_row("another kind of edit", |_, rows| put(rows, r#""set":"Resolved""#, r#""unset":"Resolved""#)),
        of_row("another member of an edit", |_, rows| {
            put(rows, r#"{"property":"status","#, r#"{"path":"/","property":"status","#);
        }),
        of_row("a comment that is set", |_, rows| put(rows, r#""append":"one""#, r#""set":"one""#)),
        of_row("a value that is appended", |_, rows| put(rows, r#""set":"Resolved""#, r#""append":"Resolved""#)),
        of_row("a blank comment", |_, rows| put(rows, r#""append":"one""#, r#""append":" ""#)),
        of_row("a choice that is cleared", |_, rows| put(rows, r#"{"set":"Resolved"}"#, r#"{"clear":"text"}"#)),
        of_row("an empty value", |_, rows| {
            put(rows, r#""status","edit":{"set":"Resolved"}"#, r#""assignedTo","edit":{"set":""}"#);
        }),
        of_row("an empty list", |_, rows| {
            put(rows, r#""status","edit":{"set":"Resolved"}"#, r#""tags","edit":{"set":[]}"#);
        }),
        of_row("a list cleared as a text", |_, rows| {
            put(rows, r#""status","edit":{"set":"Resolved"}"#, r#""tags","edit":{"clear":"text"}"#);
        }),
        of_row("a list of numbers", |_, rows| {
            put(rows, r#""status","edit":{"set":"Resolved"}"#, r#""tags","edit":{"set":[7]}"#);
        }),
        of_row("a list edit", |_, rows| {
            put(
                rows,
                r#""status","edit":{"set":"Resolved"}"#,
                r#""tags","edit":{"edit_list":{"add":["x"],"remove":[]}}"#,
            );
        }),
    ]
}

/// A plan as format 1 had it.
fn of_format_1(plan: &str) -> String {
    forged(plan, |header, rows| {
        header["plan"] = 1.into();
        put(rows, EDITS, &format!(r#"{CHANGE},"appends":true"#));
    })
}

/// Each has a valid checksum; the requests and the line in the message are checked.
#[test]
fn forged_plans_are_refused_by_every_command() {
    let program = Program::new().file("a.csv", ROWS).emulator(|_| ());
    let origin = program.origin();
    program.run(&format!("plan a.csv -o a.plan --base-url {origin}")).expect_code(0);
    let plan = program.read("a.plan");
    program.write("format-1.plan", of_format_1(&plan));
    program.run(&format!("plan format-1.plan --base-url {origin}")).expect_code(0).expect_text("Resolved");
    let written = crate::program::names_in(program.dir()).len() + 1;
    let bodies = forgeries().into_iter().map(|forgery| (of_format_1(&plan), forgery));
    let edits = forgeries_of_edits().into_iter().map(|forgery| (plan.clone(), forgery));
    for (plan, Forgery { what, change, line }) in bodies.chain(edits) {
        program.write("evil.plan", forged(&plan, change));
        for command in ["apply evil.plan --yes", "plan evil.plan"] {
            let ended = program.run(&format!("{command} --base-url {origin}")).expect_code(3);
            ended.expect_text(&format!("modified or truncated: line {line}: "));
        }
        assert!(program.requests().is_empty(), "{what}");
        assert_eq!(crate::program::names_in(program.dir()).len(), written, "{what}");
    }
    program.run(&format!("plan evil.plan --format json --base-url {origin}")).expect_code(3);
    // `apply` has no `--dry-run`: `plan` displays a plan.
    program.run(&format!("apply evil.plan --dry-run --base-url {origin}")).expect_code(2);
    program.run("runs").expect_code(0).expect_text("no runs");
}

/// A user's contract file may add values, and the preview shows what it adds.
#[test]
fn plan_of_an_extended_contract_names_it() {
    let program = Program::new().file("a.csv", "incidentId,determination,classification\n1,Benign,FalsePositive\n");
    let program = program.emulator(|_| ());
    let contract = "extends = \"defender\"\nname = \"ours\"\nquota = \"40/1m,1500/1h\"\n\
                    audiences = [\"https://other.example\"]\n\
                    [[properties]]\nname = \"determination\"\nvalues = [{ value = \"Benign\" }]\n\
                    [[dependencies]]\nproperty = \"determination\"\non = \"classification\"\n\
                    allowed.FalsePositive = [\"Benign\"]\n";
    program.write("ours.toml", contract);
    let to = format!("--base-url {}", program.origin());
    let named =
        "contract  ours: PATCH /api/incidents/{id}, quota 40/1m,1500/1h, accepts tokens for https://other.example";
    program.run(&format!("plan a.csv -o a.plan --contract ours.toml {to}")).expect_code(0).expect_text(named);
    program.run(&format!("plan a.plan {to}")).expect_code(0).expect_text(named);
    program.run(&format!("apply a.plan --yes --settle 150ms {to}")).expect_text(named);
    assert_eq!(
        program.updates()[0].body.as_deref(),
        Some(r#"{"classification":"FalsePositive","determination":"Benign"}"#)
    );
    let built_in = program.run(&format!("run a.csv --dry-run --set determination=Other --contract defender {to}"));
    assert!(!built_in.expect_code(0).printed().contains("contract  "));
}

/// No plan can redefine a built-in contract.
#[test]
fn plan_with_altered_built_in_contract_is_refused() {
    let program = Program::new().file("a.csv", ROWS).emulator(|_| ());
    let to = format!("--base-url {}", program.origin());
    program.run(&format!("plan a.csv -o a.plan {to}")).expect_code(0);
    for (from, by) in [
        ("value = \"Active\"", "value = \"Gone\""),
        ("quota = \"50/1m,1500/1h\"", "quota = \"1/1m,2/1h\""),
        ("title = \"", "title = \"Another "),
    ] {
        program.write("evil.plan", forged(&program.read("a.plan"), |header, _| put_rule(header, from, by)));
        for command in ["apply evil.plan --yes", "plan evil.plan"] {
            let ended = program.run(&format!("{command} {to}")).expect_code(2);
            ended.expect_text("the contract `defender-classic` has changed since the plan was created");
        }
        assert!(program.requests().is_empty(), "{from}");
    }
}

/// The command does not wait for the pipe.
#[test]
fn pipe_is_refused_as_contract_and_plan() {
    let program = Program::new().file("a.csv", ROWS);
    let made = finished(std::process::Command::new("mkfifo").arg(program.path("pipe.toml")));
    assert!(made.expect("mkfifo").success());
    for (command, code) in [
        ("check a.csv --contract ./pipe.toml", 2),
        ("run a.csv --yes --contract ./pipe.toml", 2),
        ("fetch -o b.csv --contract ./pipe.toml", 2),
        ("contract ./pipe.toml", 2),
        ("emulator --contract ./pipe.toml", 2),
        ("contract /dev/zero", 2),
        ("apply pipe.toml --yes", 3),
        ("apply /dev/zero --yes", 3),
        ("apply . --yes", 3),
    ] {
        program.run(command).expect_code(code);
    }
}

/// Thousands of bad values against thousands of choices: each is reported within a bounded message.
#[test]
fn errors_of_a_long_contract_are_bounded() {
    let values: Vec<_> = (0..15_000).map(|number| format!("{{ value = \"Value{number}\" }}")).collect();
    let values = values.join(",\n");
    let contract = format!("extends = \"defender\"\n[[properties]]\nname = \"status\"\nvalues = [\n{values}\n]\n");
    let rows = (1..=20_000).map(|number| format!("{number},Valeu{number}")).collect::<Vec<_>>().join("\n");
    let program = Program::new().file("a.csv", format!("incidentId,status\n{rows}\n")).file("long.toml", contract);
    let ended = program.run("check a.csv --contract long.toml --format json").expect_code(3);
    assert_eq!(ended.json()["diagnostics"].as_array().map(Vec::len), Some(20_000));
    assert!(ended.stdout.len() < 40_000_000, "{} bytes", ended.stdout.len());
}
