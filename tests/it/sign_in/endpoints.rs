//! Where credentials are sent, and by which commands: never to another machine in plain http, never through a proxy on this
//! one, and not at all by commands that send nothing.

use super::kinds::{GITHUB_TOKEN, HOUR, IDENTITY_HEADER, Job, KINDS, Kind};
use crate::program::{at_once, closing, started};

/// No server listens there.
const DEAD_PROXY: &str = "http://127.0.0.1:1";

#[test]
fn sign_in_on_this_machine_uses_no_proxy() {
    at_once(KINDS, |kind| {
        let job = Job::of(kind);
        let mut command = job.command("a.csv");
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env(name, DEAD_PROXY);
        }
        started(command).end().expect_code(0).expect_outcomes(&[("updated", 3)]);
    });
}

#[test]
fn plain_http_to_other_machines_is_refused() {
    for (kind, variable, value) in [
        (Kind::ClientSecret, "AZURE_AUTHORITY_HOST", "http://login.example"),
        (Kind::ClientCertificate, "AZURE_AUTHORITY_HOST", "http://192.0.2.7"),
        (Kind::GithubOidc, "ACTIONS_ID_TOKEN_REQUEST_URL", "http://github.example/token?api-version=2.0"),
        (Kind::VirtualMachine, "AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://192.0.2.7"),
        (Kind::VirtualMachine, "AZURE_POD_IDENTITY_AUTHORITY_HOST", "https://metadata.example"),
        (Kind::AppService, "IDENTITY_ENDPOINT", "http://192.0.2.7/msi/token"),
        (Kind::Arc, "IDENTITY_ENDPOINT", "http://arc.example/metadata/identity/oauth2/token"),
    ] {
        let job = Job::of(kind);
        let mut command = job.command("a.csv --patience 0");
        command.env(variable, value);
        let ended = started(command).end().expect_code(2).expect_text(variable);
        let shown = ended.printed();
        assert!(!shown.contains(GITHUB_TOKEN) && !shown.contains(IDENTITY_HEADER), "{shown}");
        assert!(job.requests().is_empty() && job.program.requests().is_empty(), "{kind:?}");
    }
}

/// Whoever answers on Arc's port must not choose which file it is sent.
#[test]
fn arc_key_elsewhere_is_not_read() {
    let job = Job::new(Kind::Arc, HOUR, |_, sign_in| {
        let keys = sign_in.key_directory.take().expect("a directory");
        sign_in.key_directory = keys.parent().map(Into::into);
    });
    started(job.command("a.csv")).end().expect_code(5).expect_text("its challenge names no key in");
    let requests = job.requests();
    assert!(requests.len() == 1 && requests[0].header("authorization").is_none());
}

#[test]
fn commands_that_send_nothing_request_no_token() {
    at_once(KINDS.into_iter().filter(|kind| kind.sends_requests()), |kind| {
        let job = Job::of(kind);
        for line in ["plan a.csv -o a.plan", "run a.csv --dry-run"] {
            let command = job.with_credential(job.program.command(line));
            started(command).end().expect_code(0);
        }
        assert!(job.requests().is_empty(), "{kind:?}");
    });
}

#[test]
fn each_command_that_sends_signs_in() {
    let job = Job::of(Kind::ClientCertificate);
    let origin = job.program.origin();
    let to = format!("--base-url {origin} --quota 1000/1s");
    started(job.with_credential(job.program.command(&format!("plan a.csv -o a.plan {to}")))).end().expect_code(0);
    let lines = [
        format!("fetch -o open.csv --limit 5 {to}"),
        format!("run a.csv --compare --yes {to}"),
        format!("plan a.csv --compare -o b.plan {to}"),
        format!("apply a.plan --yes --remember 0 {to}"),
    ];
    for (before, line) in lines.iter().enumerate() {
        started(job.with_credential(job.program.command(line))).end().expect_code(0);
        assert_eq!(job.fetched(), before as u64 + 1, "{line}");
    }
}

#[test]
fn permission_to_read_is_enough_to_fetch() {
    let job = Job::new(Kind::ClientSecret, HOUR, |_, sign_in| sign_in.roles = vec!["Incident.Read.All".to_owned()]);
    let fetch = format!("fetch -o open.csv --limit 5 --base-url {} --quota 1000/1s", job.program.origin());
    started(job.with_credential(job.program.command(&fetch))).end().expect_code(0);
    let ended = started(job.command("a.csv")).end().expect_code(5);
    ended.expect_text("the token has the permission `Incident.Read.All`; it needs `Incident.ReadWrite.All`");
    assert!(job.program.updates().is_empty());
}

#[test]
fn killed_run_resumes_with_a_new_token() {
    let job = Job::new(Kind::WorkloadIdentity, HOUR, |settings, _| settings.quota = "20/1s".parse().ok());
    job.program.write("a.csv", closing(1..=30));
    let running = started(job.command("a.csv --quota 10/1s"));
    job.program.wait_for_requests(5);
    running.kill();
    let ended = started(job.command("a.csv --quota 10/1s")).end();
    ended.expect_code(0).expect_outcomes(&[("updated", 30)]);
    assert_eq!(job.fetched(), 2);
    assert!((1..=30).all(|id| job.program.comments(id).len() == 1));
}
