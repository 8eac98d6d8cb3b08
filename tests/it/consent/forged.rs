//! Plans, contract files and journals that name another origin: refused before a byte leaves, with the command that
//! would accept it.

use super::{EvilServer, advised, forged, pasted};
use crate::program::{Program, at_once};
use crate::tokens::jwt;

const ROWS: &str = "incidentId,status,comment\n1,Resolved,one\n";

/// Origins that only the user can consent to; `PORT` is that of somebody else's server.
const ORIGINS: [&str; 23] = [
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

/// A program with a plan for the API itself; nothing was sent.
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
                assert!(matches!(ended.code, Some(2 | 3)), "{origin:?}, {command}: {}", ended.said());
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
            assert_eq!(ended.code, Some(2), "{origin:?}, {command}: {}", ended.said());
        }
        assert_eq!(evil.connections(), 0, "{origin:?}");
    });
}

/// A journal that was restored, or written by somebody else.
#[test]
fn forged_origins_of_journals_get_no_byte() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n").emulator(|_| ());
    program.send("a.csv --compare").expect_code(0);
    let run = program.last_run();
    at_once(ORIGINS, |origin| {
        let evil = EvilServer::start();
        let origin = origin.replace("PORT", &evil.port.to_string());
        let state = tempfile::tempdir().expect("a directory");
        let copy = state.path().join("state");
        copy_journal(&program.path("state"), &copy);
        #[expect(clippy::disallowed_methods, reason = "writes a journal as somebody else does")]
        let journal = rusqlite::Connection::open(copy.join("journal.db")).expect("a journal");
        let unfinished = "UPDATE runs SET state = 'ready', facts = json_set(facts, '$.origin', ?1)";
        journal.execute(unfinished, [&origin]).expect("it is changed");
        journal.execute("UPDATE rows SET outcome = NULL WHERE row = 2", []).expect("it is changed");
        drop(journal);
        for command in [format!("runs resume {run} --yes"), format!("runs undo {run} -o undo.plan")] {
            let mut command = evil.command(&program, &command);
            command.env("BULK_TRIAGE_STATE_DIR", &copy);
            let ended = crate::program::started(command).end();
            assert_eq!(ended.code, Some(2), "{origin:?}: {}", ended.said());
        }
        assert_eq!(evil.connections(), 0, "{origin:?}");
    });
}

fn copy_journal(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(to).expect("a directory");
    for name in ["journal.db", "journal.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("a copy");
        }
    }
}

/// The token goes there once the user has typed it, and not before.
#[test]
fn printed_command_is_the_consent() {
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
        assert!(evil.connections() > before, "{line}: {}", ended.said());
    }
    assert!(evil.has_token());
}

/// Of an emulator, and of whoever has no tenant.
#[test]
fn opaque_token_goes_to_loopback_of_a_plan() {
    let program = Program::new().file("a.csv", ROWS).emulator(|_| ());
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    program.run("apply a.plan --yes").expect_code(0).expect_outcomes(&[("updated", 1)]);
}

/// Whatever the token file holds later.
#[test]
fn renewed_token_stays_opaque_on_loopback() {
    use std::os::unix::fs::PermissionsExt as _;
    let program = Program::new().file("a.csv", ROWS).file("requests.jsonl", "").file("token", "opaque-0123456789");
    let program = program.emulator(|settings| settings.token = Some("another-token".to_owned().into()));
    std::fs::set_permissions(program.path("token"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    program.run(&format!("plan a.csv -o a.plan --base-url {} --token-file token", program.origin())).expect_code(0);
    let running = crate::program::started(program.command("apply a.plan --yes --token-file token"));
    program.wait_for_requests(1);
    program.write("token", jwt(r#"{"aud":"https://api.security.microsoft.com","roles":["Incident.ReadWrite.All"]}"#));
    running.end().expect_code(5).expect_text("a tenant's token goes to this machine only if you name the origin");
    assert_eq!(program.requests().len(), 1);
}
