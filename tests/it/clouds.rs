//! Clouds and regions: for each documented host, the options that reach it, and where the program signs in and for which
//! audience. Contradictions are refused before anything is sent.

mod contradictions;
mod kept;
mod keys;

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use bulk_triage::contract::{self, BUILT_IN};
use bulk_triage::emulator::SignIn;

use crate::program::{Ended, Program, at_once, closing, finished, started};
use crate::remote_service::{RemoteService, Tenant};
use crate::sign_in::kinds::{CLIENT, CLIENT_SECRET, PEM, TENANT, write_secret};

const GLOBAL: &str = "login.microsoftonline.com";
const US_GOV: &str = "login.microsoftonline.us";
const CLASSIC: &str = "https://api.security.microsoft.com";

/// A host of the table in `API.md`, section 5: the options that reach it, its origin, where its tenants sign in, and the
/// audience of its tokens. Typed by hand.
type Row = (&'static str, &'static str, &'static str, &'static str);

const HOSTS: [Row; 21] = [
    ("", CLASSIC, GLOBAL, CLASSIC),
    ("--region us", "https://api-us.security.microsoft.com", GLOBAL, CLASSIC),
    ("--region eu", "https://api-eu.security.microsoft.com", GLOBAL, CLASSIC),
    ("--region uk", "https://api-uk.security.microsoft.com", GLOBAL, CLASSIC),
    ("--region au", "https://au.api.security.microsoft.com", GLOBAL, CLASSIC),
    ("--region swa", "https://swa.api.security.microsoft.com", GLOBAL, CLASSIC),
    ("--region ina", "https://ina.api.security.microsoft.com", GLOBAL, CLASSIC),
    ("--region aea", "https://aea.api.security.microsoft.com", GLOBAL, CLASSIC),
    ("--base-url https://us.api.security.microsoft.com", "https://us.api.security.microsoft.com", GLOBAL, CLASSIC),
    ("--base-url https://eu.api.security.microsoft.com", "https://eu.api.security.microsoft.com", GLOBAL, CLASSIC),
    ("--base-url https://uk.api.security.microsoft.com", "https://uk.api.security.microsoft.com", GLOBAL, CLASSIC),
    ("--cloud us-gov-gcc", "https://api-gcc.security.microsoft.us", GLOBAL, "https://api-gcc.security.microsoft.us"),
    ("--cloud us-gov-high", "https://api-gov.security.microsoft.us", US_GOV, "https://api-gov.security.microsoft.us"),
    ("--cloud us-gov-dod", "https://api-gov.security.microsoft.us", US_GOV, "https://api-gov.security.microsoft.us"),
    (
        "--base-url https://api-gcc.securitycenter.microsoft.us",
        "https://api-gcc.securitycenter.microsoft.us",
        GLOBAL,
        "https://api-gcc.securitycenter.microsoft.us",
    ),
    (
        "--base-url https://api-gov.securitycenter.microsoft.us",
        "https://api-gov.securitycenter.microsoft.us",
        US_GOV,
        "https://api-gov.securitycenter.microsoft.us",
    ),
    ("--contract graph", "https://graph.microsoft.com", GLOBAL, "https://graph.microsoft.com"),
    ("--contract graph --cloud us-gov-gcc", "https://graph.microsoft.com", GLOBAL, "https://graph.microsoft.com"),
    ("--contract graph --cloud us-gov-high", "https://graph.microsoft.us", US_GOV, "https://graph.microsoft.us"),
    ("--contract graph --cloud us-gov-dod", "https://dod-graph.microsoft.us", US_GOV, "https://dod-graph.microsoft.us"),
    (
        "--contract graph --base-url https://graph.microsoft.us",
        "https://graph.microsoft.us",
        US_GOV,
        "https://graph.microsoft.us",
    ),
];

/// The table as the page shows it.
pub(crate) fn table() -> String {
    let head = "| options of the command | origin | sign-in host | audience |\n| --- | --- | --- | --- |\n";
    let row = |(options, origin, host, audience): &Row| {
        let options = if options.is_empty() { "none".to_owned() } else { format!("`{options}`") };
        format!("| {options} | `{origin}` | `{host}` | `{audience}` |\n")
    };
    head.to_owned() + &HOSTS.iter().map(row).collect::<String>()
}

/// A program with an application that may sign in, whose emulator plays all hosts.
fn application() -> Program {
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|settings| {
        let mut sign_in = SignIn::new(Duration::from_hours(1));
        sign_in.tenant = Some(TENANT.to_owned());
        settings.sign_in = Some(sign_in);
    });
    write_secret(&program, "secret", CLIENT_SECRET);
    program
}

/// Signs in as the application.
fn signing_in(mut command: Command) -> Command {
    command.env_remove("BULK_TRIAGE_TOKEN").env("AZURE_TENANT_ID", TENANT).env("AZURE_CLIENT_ID", CLIENT);
    command.env("BULK_TRIAGE_SETTLE", "150ms").args(["--client-secret-file", "secret"]);
    command
}

/// Runs it as the application, without a network.
fn run_offline(program: &Program, arguments: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = signing_in(program.command(arguments));
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").envs(variables.iter().copied());
    started(command).end()
}

#[test]
fn each_host_shows_origin_sign_in_and_audience() {
    at_once(HOSTS, |(options, origin, host, audience)| {
        let program = application();
        let said = program.path("said");
        let service = RemoteService::watching(&[&Tenant::new(TENANT, &program)], &said);
        let mut command = signing_in(service.command(&program, "", &format!("run a.csv --yes {options}")));
        command.stdout(Stdio::null()).stderr(File::create(&said).expect("a file"));
        let status = finished(&mut command).expect("it starts");
        let printed = program.read("said");
        assert!(status.success(), "{options}: {printed}");
        assert_eq!(program.updates().len(), 2, "{options}");

        // Before anything leaves, all three are shown.
        let connects = service.connects();
        let line = format!("signing in to {origin} with client-secret at {host}, audience {audience}\n");
        assert!(connects[0].said.contains(&line), "{options}: {}", connects[0].said);
        let hosts: Vec<&str> = connects.iter().map(|connect| connect.to.trim_end_matches(":443")).collect();
        assert_eq!(hosts[0], host, "{options}");
        let others: BTreeSet<&str> = hosts[1..].iter().copied().collect();
        assert_eq!(others, BTreeSet::from([origin.trim_start_matches("https://")]), "{options}");
        let first = &connects[1].said;
        assert!(first.contains("target") && first.contains(origin), "{options}: {first}");

        let requests = program.sign_in_requests();
        let scope = requests[0].form.iter().find(|(name, _)| name == "scope").map(|(_, value)| value.clone());
        assert_eq!((requests.len(), scope), (1, Some(format!("{audience}/.default"))), "{options}");
    });
}

/// Every kind of application signs in at the cloud's host, with an assertion for it.
#[test]
fn applications_sign_in_at_the_clouds_host() {
    for (cloud, exchange) in [("us-gov-gcc", ""), ("us-gov-high", "USGov"), ("us-gov-dod", "USGov")] {
        let program = application();
        write_secret(&program, "certificate.pem", PEM);
        let service = RemoteService::start(&[&Tenant::new(TENANT, &program)]);
        let line = format!("run a.csv --yes --remember 0 --cloud {cloud} --contract graph");
        let command = || {
            let mut command = service.command(&program, "", &line);
            command.env_remove("BULK_TRIAGE_TOKEN").env("AZURE_TENANT_ID", TENANT).env("AZURE_CLIENT_ID", CLIENT);
            command.env("BULK_TRIAGE_SETTLE", "150ms");
            command
        };
        let mut with_certificate = command();
        with_certificate.args(["--client-certificate", "certificate.pem"]);
        started(with_certificate).end().expect_code(0).expect_text("with client-certificate at login.");
        let mut job = command();
        job.env("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/github/token?api-version=2.0", program.origin()));
        job.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "a-token-of-the-job");
        started(job).end().expect_code(0).expect_text("with github-oidc at login.");
        let requests = program.sign_in_requests();
        let asked = requests.iter().flat_map(|request| &request.query).find(|(name, _)| name == "audience");
        let asked = asked.map(|(_, value)| value.clone());
        assert_eq!(asked, Some(format!("api://AzureADTokenExchange{exchange}")), "{cloud}");
    }
}

#[test]
fn table_of_hosts_is_complete() {
    let shown: BTreeSet<String> = HOSTS.iter().map(|(_, origin, _, _)| (*origin).to_owned()).collect();
    let known: BTreeSet<String> = BUILT_IN
        .iter()
        .flat_map(|name| contract::load(name).expect("built in").hosts().collect::<Vec<_>>())
        .map(contract::Host::origin)
        .collect();
    assert_eq!(shown, known);
}

/// The identity of a machine and `az` are asked for the same audience.
#[test]
fn other_credentials_request_the_same_audience() {
    for (options, audience) in [
        ("--contract graph --cloud us-gov-dod", "https://dod-graph.microsoft.us"),
        ("--cloud us-gov-gcc", "https://api-gcc.security.microsoft.us"),
        ("--region au", CLASSIC),
    ] {
        let program = application();
        let service = RemoteService::start(&[&Tenant::new(TENANT, &program)]);
        let line = format!("run a.csv --yes --settle 150ms {options} --auth");
        let mut command = service.command(&program, "", &format!("{line} managed-identity"));
        command.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", program.origin()).env_remove("BULK_TRIAGE_TOKEN");
        let ended = started(command).end().expect_code(0);
        ended.expect_text(&format!("with managed-identity, audience {audience}\n"));
        let resource = program.sign_in_requests()[0].query.iter().find(|(name, _)| name == "resource").cloned();
        assert_eq!(resource.map(|(_, value)| value).as_deref(), Some(audience));

        let bin = program.path("bin");
        fs::create_dir(&bin).expect("a directory");
        program.write("bin/az", "#!/bin/sh\necho \"$*\" >asked\necho opaque\n");
        fs::set_permissions(bin.join("az"), Permissions::from_mode(0o755)).expect("its owner");
        let mut command = program.command(&format!("{line} azure-cli --patience 0"));
        command.env_remove("BULK_TRIAGE_TOKEN").env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        command.env("HTTPS_PROXY", "http://127.0.0.1:1").args(["--tenant", TENANT]);
        started(command).end().expect_text(&format!("with azure-cli, audience {audience}\n"));
        assert!(program.read("asked").contains(&format!("--resource {audience} ")), "{}", program.read("asked"));
    }
}
