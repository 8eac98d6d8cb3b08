//! No secret, assertion or token is printed, logged, stored, or visible in the process list, for any kind.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use super::kinds::{CLIENT_SECRET, FEDERATED_SIGNATURE, GITHUB_TOKEN, HOUR, IDENTITY_HEADER, Job, KINDS, Kind, PEM};
use crate::program::{TOKEN, at_once, closing, files_below, started};

/// Enough of a secret to be of use.
const TELLING: usize = 16;

/// The files that hold secrets on purpose.
const OWN: [&str; 6] = ["token", "secret", "certificate.pem", "federated", "environment-of-script", "calls"];

/// The secrets of a job, by their pieces.
pub(crate) struct Secrets(HashSet<Vec<u8>>);

impl Secrets {
    pub(crate) fn of(job: &Job) -> Secrets {
        let mut all = job.program.issued_secrets();
        all.extend([CLIENT_SECRET, FEDERATED_SIGNATURE, GITHUB_TOKEN, IDENTITY_HEADER, TOKEN].map(str::to_owned));
        let key = PEM.split("PRIVATE KEY-----").nth(1).expect("a key");
        all.extend(key.lines().map(str::to_owned));
        let sent = job.program.sign_in_requests();
        all.extend(sent.iter().filter_map(|request| request.field("client_assertion")).map(str::to_owned));
        // All JWTs begin alike.
        let telling = |secret: &String| secret.rsplit_once('.').map_or(secret.clone(), |(_, end)| end.to_owned());
        let pieces = all.iter().map(telling).filter(|secret| secret.len() >= TELLING);
        Secrets(pieces.flat_map(|secret| windows(secret.as_bytes()).map(<[u8]>::to_vec).collect::<Vec<_>>()).collect())
    }

    pub(crate) fn are_in(&self, bytes: &[u8]) -> bool {
        windows(bytes).any(|piece| self.0.contains(piece))
    }
}

fn windows(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.windows(TELLING)
}

/// The files of a job that the program may have written.
fn written(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let is_of_program = |path: &std::path::PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        let is_pipe = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_fifo());
        !is_pipe && !OWN.contains(&name.as_ref()) && path.extension().is_none_or(|ending| ending != "key")
    };
    let files = files_below(dir).into_iter().filter(is_of_program);
    files.map(|path| (path.display().to_string(), fs::read(&path).expect("a file"))).collect()
}

#[test]
fn no_kind_shows_its_secrets_anywhere() {
    at_once(KINDS, |kind| {
        let job = Job::new(kind, HOUR, |settings, sign_in| {
            settings.faults =
                ["500@2", "html@4", "401@6"].iter().map(|fault| fault.parse().expect("a fault")).collect();
            // A program that fails after a refusal ends the run.
            sign_in.faults = kind.sends_requests().then(|| "503@1".parse().expect("a fault")).into_iter().collect();
        });
        job.program.write("a.csv", closing(1..=8));
        let running = started(job.command("a.csv -vvv --log-file log.txt --report page.html"));
        job.program.wait_for_requests(1);
        let command_line = running.command_line();
        let ended = running.end();
        let report = started(job.command_of_runs("runs show LAST --format json --report shown.md")).end();
        let secrets = Secrets::of(&job);
        assert!(!secrets.are_in(&command_line), "{kind:?}");
        for shown in [&ended, &report] {
            assert!(!secrets.are_in(shown.printed().as_bytes()), "{kind:?}: {}", shown.printed());
        }
        let files = written(job.program.dir());
        for name in ["log.txt", "page.html", "journal.db", "results.csv"] {
            assert!(files.iter().any(|(path, _)| path.ends_with(name)), "{kind:?}: {name} is missing");
        }
        for (path, bytes) in files {
            assert!(!secrets.are_in(&bytes), "{kind:?}: {path}");
        }
        ended.expect_outcomes(&[("updated", 8)]);
    });
}

/// A server may repeat what it got, in an error that passes as in one that stays.
#[test]
fn echoed_secrets_are_redacted_for_each_kind() {
    let kinds = KINDS.into_iter().filter(|kind| kind.sends_requests());
    // The second request of a kind with two has its own secret.
    let faults = ["echo@1", "echo@2", "echo@1=503", "echo@2=503", "echo@2-=429"];
    at_once(kinds.flat_map(|kind| faults.map(|fault| (kind, fault))), |(kind, fault)| {
        let job = Job::new(kind, Duration::from_secs(2), |_, sign_in| {
            sign_in.faults = vec![fault.parse().expect("a fault")];
        });
        let command = job.command("a.csv -vvv --log-file log.txt --patience 2s --quota 1/1s");
        let ended = started(command).end();
        let secrets = Secrets::of(&job);
        let mut shown = written(job.program.dir());
        shown.push(("its output".to_owned(), ended.printed().into_bytes()));
        for (place, bytes) in shown {
            assert!(!secrets.are_in(&bytes), "{kind:?} {fault}: {place} {}", ended.printed());
        }
        assert!(!ended.printed().contains('\u{1b}'), "{kind:?} {fault}: {}", ended.printed());
    });
}

/// Proves that the checks above can fail.
#[test]
fn planted_secrets_are_found() {
    let job = Job::of(Kind::ClientSecret);
    started(job.command("a.csv")).end().expect_code(0);
    let secrets = Secrets::of(&job);
    for planted in job.program.issued_secrets().into_iter().chain([format!("x{}", &CLIENT_SECRET[..20])]) {
        assert!(secrets.are_in(planted.as_bytes()));
    }
    assert!(!secrets.are_in(job.program.read("a.csv").as_bytes()));
}

/// A command gets the environment of the program, without the token that it may have been given.
#[test]
fn scripts_do_not_inherit_the_given_token() {
    for kind in [Kind::TokenCommand, Kind::AzureCli] {
        let job = Job::of(kind);
        let mut command = job.command("a.csv");
        command.env("BULK_TRIAGE_TOKEN", TOKEN).env("OF_THE_USER", "kept");
        started(command).end().expect_code(0);
        let environment = job.program.read("environment-of-script");
        assert!(!environment.contains(TOKEN) && !environment.contains("BULK_TRIAGE_TOKEN"), "{kind:?}");
        assert!(environment.contains("OF_THE_USER=kept"), "{kind:?}");
    }
}
