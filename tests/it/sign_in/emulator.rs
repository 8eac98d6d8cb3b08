//! `emulator --sign-in`: the services as a process of their own, with every option.

use std::io::Read as _;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use super::kinds::{CLIENT, CLIENT_SECRET, PEM, TENANT, write_secret};
use crate::program::{Program, closing, started, started_as_it_is};

#[test]
fn emulator_signs_in_by_its_options() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("cert.pem", PEM);
    write_secret(&program, "secret", CLIENT_SECRET);
    let options = format!(
        "--sign-in 1h --sign-in-tenant {TENANT} --sign-in-client {CLIENT} --sign-in-secret-file secret \
         --sign-in-certificate cert.pem --sign-in-keys . --sign-in-opaque --sign-in-revoke 2 --sign-in-fault 503@1 \
         --sign-in-log sign-in.jsonl"
    );
    let mut command = program.command(&format!("emulator {options}"));
    let (mut said, stdout) = std::io::pipe().expect("a pipe");
    command.stdout(stdout).stderr(Stdio::piped());
    let running = started_as_it_is(command);
    let mut origin = Vec::new();
    let mut byte = [0];
    while said.read(&mut byte).is_ok_and(|read| read == 1) && byte != *b"\n" {
        origin.extend(byte);
    }
    let origin = String::from_utf8(origin).expect("an origin");
    let line = format!("run a.csv --yes --base-url {origin} --client-secret-file secret --client-id {CLIENT}");
    let run = |tenant: &str| {
        let mut command = program.command(&format!("{line} --tenant {tenant} --concurrency 1"));
        command.env_remove("BULK_TRIAGE_TOKEN").env("AZURE_AUTHORITY_HOST", &origin);
        started(command).end()
    };
    run("00000000-0000-4000-8000-000000000000").expect_code(5).expect_text("AADSTS90002");
    run(TENANT).expect_code(0).expect_outcomes(&[("updated", 3)]);
    running.signal(Signal::TERM);
    running.end().expect_code(0);

    let log = program.read("sign-in.jsonl");
    assert!(!log.contains(CLIENT_SECRET), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let statuses: Vec<u64> = lines.iter().map(|line| line["status"].as_u64().expect("a response")).collect();
    assert_eq!(statuses, [503, 400, 200, 200], "a fault, another tenant, a token, one for the revoked token");
    assert_eq!(lines[1]["error"], "invalid_request AADSTS90002");
}
