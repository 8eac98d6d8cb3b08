//! A profile holds everything that a job needs to sign in: no option is typed but its name.

use std::process::Command;

use super::kinds::{CLIENT, Job, Kind, TENANT};
use crate::program::{Ended, started};
use crate::settings::precedence::{USER, settings_file, shown};

fn with_host(job: &Job, line: &str) -> Command {
    let mut command = job.program.command(line);
    command.env_remove("BULK_TRIAGE_TOKEN").env("AZURE_AUTHORITY_HOST", job.program.origin());
    command
}

fn run(job: &Job, line: &str) -> Ended {
    started(with_host(job, line)).end()
}

/// A path in a settings file is relative to that file.
#[test]
fn profile_signs_in_by_itself() {
    for (kind, proof) in [
        (Kind::ClientSecret, "client-secret-file = '../../secret'"),
        (Kind::ClientCertificate, "client-certificate = '../../certificate.pem'"),
    ] {
        let job = Job::of(kind);
        let (origin, name) = (job.program.origin(), kind.name());
        let of_profile =
            format!("base-url = '{origin}'\nauth = '{name}'\ntenant = '{TENANT}'\nclient-id = '{CLIENT}'\n");
        settings_file(&job.program, USER, &format!("[profiles.contoso]\n{of_profile}{proof}\nsettle = '150ms'\n"));
        let sent = run(&job, "run a.csv --yes --profile contoso").expect_code(0);
        sent.expect_text(&format!("with {name}"));
        assert_eq!(job.program.updates().len(), 3);
        let auth = shown(run(&job, "config --profile contoso --format json run"), "auth");
        assert_eq!(auth, (name.to_owned(), "~/.config/bulk-triage/config.toml:3 [profiles.contoso]".to_owned()));
        // Without the profile there is no credential, and no consent to send one there.
        run(&job, "run a.csv --yes").expect_code(5).expect_text("no token");
    }
}

#[test]
fn typed_token_file_outranks_auth_of_settings() {
    let job = Job::of(Kind::ClientSecret);
    let own = format!("base-url = '{}'\nauth = 'client-secret'\ntoken-command = 'false'\n", job.program.origin());
    settings_file(&job.program, USER, &own);
    run(&job, "run a.csv --yes").expect_code(5).expect_text("client-secret needs a tenant");
    run(&job, "run a.csv --yes --token-file missing").expect_code(5).expect_text("missing");
}
