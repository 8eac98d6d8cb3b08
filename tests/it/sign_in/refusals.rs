//! What a job is told if it gets no token, or the wrong one: before any request to the API, with a way to fix it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::kinds::{CLIENT, HOUR, Job, Kind, TENANT};
use crate::program::{Ended, Program, at_once, closing, finished, in_place_of, started};

fn job(kind: Kind, faults: &[&str]) -> Job {
    Job::new(kind, HOUR, |_, sign_in| {
        sign_in.faults = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
    })
}

#[track_caller]
fn expect_nothing_sent(job: &Job, ended: Ended, code: i32) -> Ended {
    assert_eq!(job.program.requests().len(), 0, "{}", ended.printed());
    ended.expect_code(code)
}

#[test]
fn entra_error_shows_message_trace_and_advice() {
    let consent = format!("/{TENANT}/adminconsent?client_id={CLIENT}");
    for (code, advice) in [
        (7_000_215, "use the secret's value, not its ID"),
        (7_000_222, "create a new one"),
        (700_016, "check the client ID and the tenant"),
        (90_002, "check the tenant ID"),
        (500_011, "license"),
        (65_001, consent.as_str()),
        (53_003, "sign-in log"),
        (50_196, "loop"),
    ] {
        for detail in ["", "=lines"] {
            let job = job(Kind::ClientSecret, &[&format!("aadsts{code}{detail}")]);
            let ended = expect_nothing_sent(&job, started(job.command("a.csv")).end(), 5);
            let shown = ended.expect_text(&format!("AADSTS{code}: ")).expect_text("trace ID ").expect_text(advice);
            assert_eq!(job.requests().len(), 1, "an error that stays is not retried: {}", shown.printed());
        }
    }
}

#[test]
fn passing_errors_are_retried_until_a_token_comes() {
    let faults = ["429", "500", "503", "503=2s", "temporarily-unavailable", "temporarily-unavailable=400", "drop"];
    at_once(faults, |fault| {
        let (name, detail) =
            fault.split_once('=').map_or((fault, String::new()), |(name, it)| (name, format!("={it}")));
        let job = job(Kind::ClientSecret, &[&format!("{name}@1{detail}")]);
        started(job.command("a.csv")).end().expect_code(0).expect_outcomes(&[("updated", 3)]);
        assert_eq!(job.requests().len(), 2, "{fault}");
    });
}

#[test]
fn endpoint_that_stays_down_ends_with_4() {
    let kinds = [Kind::ClientSecret, Kind::GithubOidc, Kind::VirtualMachine, Kind::AppService, Kind::Arc];
    at_once(kinds, |kind| {
        let job = job(kind, &["503"]);
        let ended = started(job.command("a.csv --patience 2s")).end();
        expect_nothing_sent(&job, ended, 4);
        let requests = job.requests().len();
        assert!((2..=5).contains(&requests), "{kind:?}: {requests} requests in 2 s");
    });
}

#[test]
fn metadata_service_is_retried_after_404_and_410() {
    at_once(["404@1", "410@1"], |fault| {
        let job = job(Kind::VirtualMachine, &[fault]);
        started(job.command("a.csv")).end().expect_code(0).expect_outcomes(&[("updated", 3)]);
    });
}

#[test]
fn unusable_responses_are_no_tokens() {
    let kinds = [Kind::ClientSecret, Kind::GithubOidc, Kind::VirtualMachine, Kind::AppService, Kind::Arc];
    let faults = [
        ("not-json", 5, "its response is not JSON"),
        ("not-json=text", 5, "its response is not JSON"),
        ("redirect", 5, "redirects are not followed"),
        ("huge", 4, "larger than 1 MiB"),
    ];
    at_once(kinds.into_iter().flat_map(|kind| faults.map(|fault| (kind, fault))), |(kind, (fault, code, said))| {
        let job = job(kind, &[fault]);
        let ended = started(job.command("a.csv --patience 1s")).end();
        expect_nothing_sent(&job, ended, code).expect_text("no token from ").expect_text(said);
        let followed = job.requests().iter().any(|request| request.path == "/elsewhere");
        assert!(!followed, "{kind:?}: a redirect was followed");
    });
}

#[test]
fn machine_without_identity_is_explained() {
    let job = job(Kind::VirtualMachine, &["no-identity"]);
    let ended = expect_nothing_sent(&job, started(job.command("a.csv")).end(), 5);
    ended.expect_text("Identity not found").expect_text("assign");
}

#[test]
fn unmatched_federation_names_issuer_and_subject() {
    let job = Job::new(Kind::WorkloadIdentity, HOUR, |_, sign_in| {
        sign_in.federated = Some(("https://other.example".to_owned(), "someone".to_owned()));
    });
    let ended = expect_nothing_sent(&job, started(job.command("a.csv")).end(), 5);
    ended.expect_text("https://cluster.example").expect_text("system:serviceaccount:soc:triage");
}

#[test]
fn unsuitable_token_is_never_sent() {
    for (fault, said) in [
        ("wrong-audience", "the token is for api.securitycenter.microsoft.com, not for api.security.microsoft.com"),
        ("no-roles", "no permission"),
        ("other-tenant", TENANT),
    ] {
        for kind in [Kind::ClientSecret, Kind::VirtualMachine, Kind::AzureCli, Kind::TokenCommand, Kind::TokenFile] {
            let job = job(kind, &[fault]);
            let ended = started(job.command(&format!("a.csv --tenant {TENANT}"))).end();
            expect_nothing_sent(&job, ended, 5).expect_text(said);
        }
    }
}

/// The first token is right, the next ones are not.
#[test]
fn unsuitable_token_ends_a_run_at_renewal() {
    at_once(["other-tenant@2-", "wrong-audience@2-", "no-roles@2-"], |fault| {
        let job = Job::new(Kind::ClientSecret, Duration::from_secs(3), |_, sign_in| {
            sign_in.faults = vec![fault.parse().expect("a fault")];
        });
        job.program.write("a.csv", closing(1..=30));
        let ended =
            started(job.command("a.csv --quota 3/1s")).end().expect_code(5).expect_text("stopped early: the token ");
        let sent = job.program.requests();
        // The last requests of the first token may come when it has just expired.
        let of_the_first = |status| status == 200 || status == 401;
        let all_of_the_first = sent.iter().all(|request| of_the_first(request.status()));
        assert!(all_of_the_first && sent.len() < 20, "{fault}: {sent:?} {}", ended.printed());
    });
}

/// A wrong secret must not fall through to someone's `az login`, which changes incidents under another name.
#[test]
fn refused_kind_tries_no_other_identity() {
    let job = job(Kind::ClientCertificate, &["aadsts700027"]);
    let mut command = job.command("a.csv");
    command.env("AZURE_CLIENT_SECRET", "another-secret-that-works");
    command.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", job.program.origin());
    let ended = expect_nothing_sent(&job, started(command).end(), 5).expect_text("client-secret");
    let requests = job.requests();
    assert!(requests.len() == 1 && requests[0].field("client_assertion").is_some(), "{}", ended.printed());
}

/// It holds the pipe open for a minute, unless it is killed.
#[test]
fn interrupted_wait_ends_the_token_command() {
    for signal in [Signal::INT, Signal::TERM] {
        let program = Program::new().file("a.csv", closing(1..=2)).faulty_emulator(&[]);
        let pipe = program.path("pipe");
        assert!(finished(Command::new("mkfifo").arg(&pipe)).expect("mkfifo").success());
        let script = format!("sh -c 'exec 3>{}; echo started >&3; exec sleep 60'", pipe.display());
        let origin = program.origin();
        let arguments = ["run", "a.csv", "--yes", "--base-url", &origin, "--token-command", &script];
        let command = program.command_of(arguments);
        // Tests that a script starts in the background ignore Ctrl-C, and so does what they start.
        let mut listening = in_place_of(&command, "env");
        listening.arg("--default-signal").arg(command.get_program()).args(command.get_args());
        let running = started(listening);
        let mut lines = BufReader::new(File::open(&pipe).expect("opens")).lines();
        assert_eq!(lines.next().expect("a line").expect("reads"), "started");
        let began = Instant::now();
        running.signal(signal);
        let ended = running.end().expect_code(4);
        ended.expect_text("interrupted while waiting for a token; nothing was sent");
        assert!(lines.next().is_none() && began.elapsed() < Duration::from_secs(30), "the command has ended");
        assert!(program.requests().is_empty());
    }
}

#[test]
fn failing_program_is_named_with_its_last_line() {
    for kind in [Kind::TokenCommand, Kind::AzureCli] {
        let job = job(kind, &["503"]);
        let ended = expect_nothing_sent(&job, started(job.command("a.csv")).end(), 5);
        let name = if kind == Kind::AzureCli { "`az`" } else { "`sh`" };
        ended.expect_text("ERROR: no token at the moment").expect_text(name);
    }
}
