//! `doctor`, through the program and over HTTP: each check is ok, warns and fails; the first failure decides the exit
//! code; what depends on it is left out; the API gets one request, or none.

mod machine;
mod promises;
mod service;
mod texts;

use std::process::Command;

use bulk_triage::clock::Clock;
use bulk_triage::emulator::Settings;
use serde_json::Value;

use crate::program::{Ended, Program, started};
use crate::tokens::jwt;

/// The checks, in their order.
const CHECKS: [&str; 7] = ["settings", "state directory", "proxy", "connection", "clock", "token", "permission"];

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const AUDIENCE: &str = "https://api.security.microsoft.com";

/// A program with an emulator that accepts any token.
fn program(change: impl FnOnce(&mut Settings)) -> Program {
    Program::new().emulator(change)
}

fn with_faults(faults: &[&str]) -> Program {
    Program::new().faulty_emulator(faults)
}

/// A token with this permission for a tenant, which expires after this number of seconds.
fn token(audience: &str, permission: &str, seconds: i64) -> String {
    let expires = Clock::machine().now().wall.as_second() + seconds;
    jwt(&format!(
        r#"{{"tid":"{TENANT}","app_displayname":"triage","exp":{expires},"aud":"{audience}","roles":["{permission}"]}}"#
    ))
}

/// The token of an application that may update incidents.
fn good_token() -> String {
    token(AUDIENCE, "Incident.ReadWrite.All", 3_600)
}

/// `doctor` for the emulator, with the good token.
fn command(program: &Program, options: &str) -> Command {
    let mut command = program.command(&format!("doctor --base-url {} {options}", program.origin()));
    command.env("BULK_TRIAGE_TOKEN", good_token());
    command
}

/// The results of a command.
struct Found {
    ended: Ended,
    checks: Vec<Value>,
}

/// Runs a command that prints JSON.
fn found_by(mut command: Command) -> Found {
    command.args(["--format", "json"]);
    let ended = started(command).end();
    let json = ended.json();
    assert_eq!(json["exit"].as_i64(), ended.code.map(i64::from), "{}", ended.printed());
    let checks = json["checks"].as_array().expect("a list").clone();
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().expect("a name")).collect();
    assert_eq!(names, CHECKS);
    Found { ended, checks }
}

fn found(program: &Program, options: &str) -> Found {
    found_by(command(program, options))
}

impl Found {
    fn check(&self, name: &str) -> &Value {
        self.checks.iter().find(|check| check["check"] == name).expect("a check")
    }

    fn state(&self, name: &str) -> &str {
        self.check(name)["state"].as_str().expect("a state")
    }

    /// Its finding and what to do about it.
    fn text(&self, name: &str) -> String {
        let check = self.check(name);
        format!("{}; help: {}", check["finding"].as_str().expect("text"), check["help"].as_str().unwrap_or("none"))
    }

    /// Fails unless this check has this state and these words.
    #[track_caller]
    fn expect(self, name: &str, state: &str, words: &str) -> Found {
        let text = self.text(name);
        assert_eq!(self.state(name), state, "{name}: {text}\n{}", self.ended.printed());
        assert!(text.contains(words), "{name}: `{words}` is missing in: {text}");
        self
    }

    /// Fails unless this is the exit code.
    #[track_caller]
    fn expect_code(self, code: i32) -> Found {
        assert_eq!(self.ended.code, Some(code), "{}", self.ended.printed());
        self
    }

    /// Fails unless all other checks are ok, or are left out because of one of these.
    #[track_caller]
    fn expect_others_ok_but(self, name: &str) -> Found {
        for check in self.checks.iter().filter(|check| check["check"] != name) {
            let finding = check["finding"].as_str().expect("text");
            let is_left_out = check["state"] == "skip" && finding.starts_with("not checked: needs ");
            assert!(check["state"] == "ok" || is_left_out && finding.contains(name), "{}", self.ended.printed());
        }
        self
    }
}

#[test]
fn every_check_is_ok() {
    let program = program(|_| ());
    let found = found(&program, "").expect_code(0);
    assert!(CHECKS.iter().all(|name| found.state(name) == "ok"), "{}", found.ended.printed());
    let words = [
        ("settings", "no settings files; contract defender-classic; target http://127.0.0.1:"),
        ("state directory", "mode 700"),
        ("state directory", " free; SQLite 3."),
        ("proxy", "none"),
        ("connection", "connected to http://127.0.0.1:"),
        ("clock", "agrees"),
        ("token", "BULK_TRIAGE_TOKEN: for https://api.security.microsoft.com; may Incident.ReadWrite.All; 59 min left"),
        ("token", "; as triage; tenant 72f988bf-86f1-41af-91ab-2d7cd011db47"),
        ("permission", "can read incidents, and update them"),
    ];
    words.into_iter().fold(found, |found, (name, words)| found.expect(name, "ok", words));
}

#[test]
fn each_contract_reads_its_own_list() {
    for (contract, path) in
        [("defender-classic", "/api/incidents"), ("defender", "/api/incidents"), ("graph", "/v1.0/security/incidents")]
    {
        let program = program(|_| ());
        let mut command = program.command(&format!("doctor --contract {contract} --base-url {}", program.origin()));
        command.env("BULK_TRIAGE_TOKEN", "an-opaque-token-of-an-emulator");
        let found = found_by(command).expect_code(0);
        found.expect("token", "ok", "opaque").expect("permission", "ok", "doesn't say whether it can update");
        let requests = program.requests();
        assert_eq!(requests.len(), 1, "{contract}");
        assert!(requests[0].method == "GET" && requests[0].path.starts_with(path), "{requests:?}");
    }
}

#[test]
fn emulator_of_its_own_is_ok() {
    let program = Program::new();
    let found = found_by(program.command("doctor --emulator")).expect_code(0);
    assert!(CHECKS.iter().all(|name| found.state(name) == "ok"), "{}", found.ended.printed());
    program.run("doctor --emulator --base-url http://127.0.0.1:1").expect_code(2);
}
