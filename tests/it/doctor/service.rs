//! What `doctor` finds between this machine and the API: proxy, connection, clocks, token, permission.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use bulk_triage::emulator::DateHeader;
use jiff::SignedDuration;

use super::{AUDIENCE, Found, TENANT, command, found, found_by, program, token, with_faults};
use crate::connections::{plain_server, refusing_proxy, server_with_unknown_certificate};
use crate::program::{Program, at_once};
use crate::remote_service::{ORIGIN, RemoteService, Tenant};
use crate::sign_in::kinds::{HOUR, Job, Kind};

/// `doctor` for another origin.
fn to(program: &Program, origin: &str) -> Command {
    let mut command = program.command(&format!("doctor --base-url {origin}"));
    command.env("BULK_TRIAGE_TOKEN", super::good_token());
    command
}

#[test]
fn refusing_proxy_fails_the_proxy_check() {
    for (status, shown) in [("407 Proxy Authentication Required", "407"), ("403 Forbidden", "403")] {
        let program = Program::new();
        let mut command = to(&program, "https://api.example.com");
        command.env("HTTPS_PROXY", format!("http://me:s3cret@127.0.0.1:{}", refusing_proxy(status)));
        let found = found_by(command).expect_code(2).expect("proxy", "fail", &format!("with status {shown}"));
        let found = found.expect("proxy", "fail", "check HTTPS_PROXY and NO_PROXY").expect_others_ok_but("proxy");
        assert!(!found.ended.printed().contains("s3cret"), "{}", found.ended.printed());
    }
}

#[test]
fn proxy_is_shown_without_its_password() {
    let program = Program::new();
    let proxied = |url: &str, variables: &[(&str, &str)]| {
        let mut command = to(&program, url);
        command.env("HTTPS_PROXY", "http://me:s3cret@127.0.0.1:1").envs(variables.iter().copied());
        let found = found_by(command);
        assert!(!found.ended.printed().contains("s3cret"), "{}", found.ended.printed());
        found
    };
    let found = proxied("https://api.example.com", &[]).expect("proxy", "ok", "http://127.0.0.1:1");
    let found = found.expect("connection", "fail", "through the proxy http://127.0.0.1:1").expect_code(4);
    found.expect("connection", "fail", "check that the proxy is the right one");
    let found = proxied("https://127.0.0.1:2", &[]).expect("proxy", "ok", "none");
    found.expect("connection", "fail", "refused").expect_code(4);
    proxied("https://no-such-host.invalid", &[("NO_PROXY", "invalid")]).expect("proxy", "ok", "none");
}

/// A password with characters that a URL must escape makes another URL, or none.
#[test]
fn malformed_proxy_is_a_warning_without_its_password() {
    let program = Program::new();
    for value in [
        "http://me:s3c@ret@127.0.0.1:1",
        "http://me:s3c/ret@127.0.0.1:1",
        "http://me:s3c#ret@127.0.0.1:1",
        "http://s3c ret",
    ] {
        for variable in ["HTTPS_PROXY", "ALL_PROXY"] {
            let mut command = to(&program, "https://no-such-host.invalid");
            command.env(variable, value).arg("-vv");
            let found = found_by(command);
            let printed = found.ended.printed();
            assert!(!printed.contains("s3c") && !printed.contains("ret@"), "{value}: {printed}");
            if value != "http://me:s3c@ret@127.0.0.1:1" {
                found.expect("proxy", "warn", &format!("{variable} is not the URL of a proxy")).expect(
                    "proxy",
                    "warn",
                    &format!("set {variable} to http://HOST:PORT"),
                );
            }
        }
    }
}

#[test]
fn unsupported_proxy_fails_the_proxy_check() {
    let program = Program::new();
    let mut command = to(&program, "https://api.example.com");
    command.env("ALL_PROXY", "socks5://me:s3cret@127.0.0.1:9");
    found_by(command).expect_code(2).expect("proxy", "fail", "socks5://127.0.0.1:9").expect_others_ok_but("proxy");
}

#[test]
fn failed_connections_are_told_apart() {
    for (origin, code, words) in [
        ("http://127.0.0.1:1".to_owned(), 4, "no connection: Connection refused"),
        ("https://no-such-host.invalid".to_owned(), 2, "host `no-such-host.invalid` not found"),
        (format!("https://127.0.0.1:{}", server_with_unknown_certificate()), 2, "set SSL_CERT_FILE"),
        (format!("https://127.0.0.1:{}", plain_server()), 2, "no TLS with"),
    ] {
        let program = Program::new();
        let found = found_by(to(&program, &origin)).expect_code(code);
        found.expect("connection", "fail", words).expect_others_ok_but("connection");
    }
}

#[test]
fn missing_certificates_name_the_variable() {
    let program = Program::new().file("empty.pem", "");
    let mut command = to(&program, "https://127.0.0.1:1");
    command.env("SSL_CERT_FILE", program.path("empty.pem"));
    found_by(command).expect_code(2).expect("connection", "fail", "SSL_CERT_FILE");
}

#[test]
fn proxy_and_own_certificates_are_used() {
    let program = program(|_| ());
    let tenant = Tenant::new(TENANT, &program);
    let remote = RemoteService::start(&[&tenant]);
    let command = remote.command(&program, &tenant.token, &format!("doctor --base-url {ORIGIN}"));
    let found = found_by(command).expect_code(0).expect("proxy", "ok", "http://127.0.0.1:");
    let found = found.expect("connection", "ok", "through the proxy http://127.0.0.1:");
    found.expect("connection", "ok", "certificates from SSL_CERT_FILE");
    assert_eq!(program.requests().len(), 1);
}

#[test]
fn clock_warns_after_seconds_fails_after_minutes() {
    for (seconds, state, words, code) in [
        (0, "ok", "agrees", 0),
        (3, "ok", "agrees", 0),
        (-4, "ok", "agrees", 0),
        (60, "warn", " behind the service's clock; help: synchronize", 0),
        (-60, "warn", " ahead of the service's clock; help: synchronize", 0),
        (400, "fail", "6 min", 2),
        (-400, "fail", "6 min", 2),
    ] {
        let ahead = DateHeader::Ahead(SignedDuration::from_secs(seconds));
        let program = program(|settings| settings.habits.date = ahead);
        found(&program, "").expect_code(code).expect("clock", state, words).expect_others_ok_but("clock");
    }
    let program = program(|settings| settings.habits.date = DateHeader::Missing);
    found(&program, "").expect_code(0).expect("clock", "warn", "no `Date`");
}

/// The clock decides before the permission, which may be refused because of it.
#[test]
fn clock_is_compared_by_any_response() {
    for fault in ["403", "401", "500", "429=header-seconds/1h"] {
        let program = Program::new().emulator(|settings| {
            settings.habits.date = DateHeader::Ahead(SignedDuration::from_mins(10));
            settings.faults = [crate::program::fault_of(fault)].into_iter().collect();
        });
        found(&program, "").expect_code(2).expect("clock", "fail", "behind the service's clock");
    }
}

#[test]
fn unsuitable_token_is_reported_and_not_sent() {
    let good = super::good_token();
    let unsuitable = [
        (String::new(), "no token: choose how to sign in"),
        (format!("Bearer {good}"), "BULK_TRIAGE_TOKEN"),
        (token(AUDIENCE, "Incident.ReadWrite.All", -60), "expired at"),
        (
            token("https://graph.microsoft.com", "Incident.ReadWrite.All", 3_600),
            "for graph.microsoft.com, not for api.",
        ),
        (token(AUDIENCE, "Alert.Read.All", 3_600), "the permission `Alert.Read.All`; it needs `Incident.Read.All`"),
    ];
    for (token, words) in unsuitable {
        let program = with_faults(&[]);
        let mut command = command(&program, "");
        command.env("BULK_TRIAGE_TOKEN", &token);
        let found = found_by(command).expect_code(5).expect("token", "fail", words).expect_others_ok_but("token");
        assert_eq!(program.requests().len(), 0);
        assert!(token.is_empty() || !found.ended.printed().contains(&token));
    }
    let program = with_faults(&[]);
    let other = "--tenant 11111111-1111-1111-1111-111111111111";
    found(&program, other).expect_code(5).expect("token", "fail", "the token is for tenant 72f988bf");
    assert_eq!(program.requests().len(), 0);
}

#[test]
fn token_that_ends_soon_is_a_warning() {
    let program = program(|_| ());
    let mut command = command(&program, "");
    command.env("BULK_TRIAGE_TOKEN", token(AUDIENCE, "Incident.ReadWrite.All", 150));
    found_by(command).expect_code(0).expect("token", "warn", "2 min left").expect("token", "warn", "--auth");
}

/// `doctor` of a job that signs in.
fn doctor_of(job: &Job, options: &str) -> Found {
    let line = format!("doctor --base-url {} {options}", job.program.origin());
    found_by(job.with_credential(job.program.command(&line)))
}

#[test]
fn every_kind_of_credential_is_named() {
    at_once(crate::sign_in::kinds::KINDS, |kind| {
        let job = Job::of(kind);
        let found = doctor_of(&job, "").expect_code(0);
        found.expect("token", "ok", &format!("{}: for {AUDIENCE}; ", kind.name())).expect("token", "ok", " min left; ");
        assert_eq!(job.program.requests().len(), 1, "{kind:?}");
    });
}

#[test]
fn refused_credential_is_explained() {
    for (fault, code, words) in [
        ("aadsts7000222", 5, "create a new one"),
        ("aadsts7000215", 5, "use the secret's value, not its ID"),
        ("503", 4, "no token from"),
        ("wrong-audience", 5, "not for api.security.microsoft.com"),
        ("no-roles", 5, "no permission"),
    ] {
        let job = Job::new(Kind::ClientSecret, HOUR, |_, sign_in| {
            sign_in.faults = vec![fault.parse().expect("a fault")];
        });
        let found = doctor_of(&job, "").expect_code(code).expect("token", "fail", words);
        found.expect_others_ok_but("token");
        assert!(job.program.requests().is_empty());
        assert_eq!(job.requests().len(), 1, "it waits for nothing");
    }
}

#[test]
fn incomplete_or_contradicting_credentials_are_explained() {
    let program = with_faults(&[]);
    found(&program, "--auth client-secret").expect_code(5).expect("token", "fail", "client-secret needs a tenant");
    let both = found(&program, "--token-file a --token-command b").expect_code(2);
    both.expect("token", "fail", "choose with --auth").expect_others_ok_but("token");
    found(&program, "--token-file missing").expect_code(5).expect("token", "fail", "missing");
}

#[test]
fn missing_permission_is_named() {
    let program = with_faults(&["403"]);
    let found = found(&program, "").expect_code(5).expect("permission", "fail", "grant `Incident.ReadWrite.All`");
    found.expect_others_ok_but("permission");
    assert_eq!(program.requests().len(), 1);
}

#[test]
fn permission_to_read_only_is_a_warning() {
    let program = program(|_| ());
    let mut command = command(&program, "");
    command.env("BULK_TRIAGE_TOKEN", token(AUDIENCE, "Incident.Read.All", 3_600));
    let found = found_by(command).expect_code(0).expect("permission", "warn", "but not update them");
    found.expect("permission", "warn", "grant the permission").expect("token", "ok", "may Incident.Read.All");
}

#[test]
fn service_that_fails_is_asked_once() {
    for (fault, code, words) in [
        ("503", 4, "cannot read the list of incidents"),
        ("down", 4, "cannot read the list of incidents"),
        ("html", 4, "cannot read the list of incidents"),
        ("401", 5, "get a new token"),
        ("400", 2, "the API rejects the query"),
    ] {
        let program = with_faults(&[fault]);
        found(&program, "").expect_code(code).expect("permission", "fail", words);
        // A refused token may be replaced by a valid one, so the request is repeated once.
        assert_eq!(program.requests().len(), if fault == "401" { 2 } else { 1 }, "{fault}");
    }
}

#[test]
fn used_up_quota_is_a_warning() {
    let program = program(|_| ());
    found(&program, "--quota 1/1h").expect_code(0).expect("permission", "ok", "can read");
    let found = found(&program, "--quota 1/1h").expect_code(0);
    found.expect("permission", "warn", "not checked: the quota is used up").expect("clock", "skip", "needs permission");
    assert_eq!(program.requests().len(), 1);
    let throttled = with_faults(&["429=header-seconds/30s"]);
    super::found(&throttled, "").expect_code(0).expect("permission", "warn", "the service throttles requests");
    assert_eq!(throttled.requests().len(), 1);
    let paused = with_faults(&["429=header-seconds/2h"]);
    super::found(&paused, "").expect_code(4).expect("permission", "fail", "run it again after that time");
}

#[test]
fn slow_service_is_waited_for() {
    let slow = program(|settings| settings.latency = Duration::from_secs(6)..=Duration::from_secs(6));
    found(&slow, "").expect_code(0).expect("permission", "ok", "can read");
}

/// A token file is read again for as long as the wait for a permit.
#[test]
fn refused_token_file_is_not_a_slow_service() {
    let program = with_faults(&["401"]).file("token", token(AUDIENCE, "Incident.ReadWrite.All", 3_600));
    fs::set_permissions(program.path("token"), fs::Permissions::from_mode(0o600)).expect("a mode");
    let mut command = command(&program, "--token-file token");
    command.env_remove("BULK_TRIAGE_TOKEN");
    found_by(command).expect_code(5).expect("permission", "fail", "get a new token");
}

/// Nothing else used the quota, and nobody asked for a pause.
#[test]
fn service_without_an_answer_fails() {
    let program = with_faults(&["stall"]);
    found(&program, "").expect_code(4).expect("permission", "fail", "response timed out");
}

/// In the order of the table, whatever is found first.
#[test]
fn first_failing_check_decides() {
    let (program, down) = (Program::new(), "http://127.0.0.1:1");
    let mut command = to(&program, down);
    command.env_remove("BULK_TRIAGE_TOKEN");
    let found = found_by(command).expect_code(4).expect("token", "fail", "no token");
    found.expect("connection", "fail", "refused").expect("permission", "skip", "needs connection, token");
    let mut command = to(&program, &format!("{down} --state-dir /dev/null/state"));
    command.env_remove("BULK_TRIAGE_TOKEN");
    found_by(command).expect_code(2).expect("permission", "skip", "needs state directory, connection, token");
}
