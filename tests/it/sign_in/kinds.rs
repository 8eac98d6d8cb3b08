//! The kinds of credentials, each set up as its users do: files, variables, options; and the services that accept exactly
//! these.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bulk_triage::clock::Clock;
use bulk_triage::emulator::{Endpoint, GITHUB_ISSUER, GITHUB_SUBJECT, Settings, SignIn, SignInRequest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::keeper::{Fetched, Keeper};
use crate::program::{Program, closing};

pub(crate) const TENANT: &str = "3b0a1d52-6c7e-4f80-9a1b-2c3d4e5f6071";
pub(crate) const CLIENT: &str = "6f2c1a94-0b3d-4e5f-8a7b-9c0d1e2f3a4b";
/// With every character that a form encodes.
pub(crate) const CLIENT_SECRET: &str = "p+A&b%2~c=d_the-secret-of-the-application";
pub(crate) const GITHUB_TOKEN: &str = "the-request-token-of-the-workflow-run";
pub(super) const IDENTITY_HEADER: &str = "the-identity-header-of-the-app-service";
/// The end of the federated assertion.
pub(super) const FEDERATED_SIGNATURE: &str = "dGhlLXNpZ25hdHVyZS1vZi10aGUtY2x1c3Rlcg";
const CLUSTER: &str = "https://cluster.example";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:soc:triage";
/// A certificate and its key.
pub(crate) const PEM: &str = include_str!("../../../src/client/credentials/certificate-for-tests.pem");

/// A kind of credentials; a managed identity on each of its platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TokenFile,
    TokenCommand,
    ClientSecret,
    ClientCertificate,
    WorkloadIdentity,
    GithubOidc,
    VirtualMachine,
    AppService,
    Arc,
    AzureCli,
}

pub(crate) const KINDS: [Kind; 10] = [
    Kind::TokenFile,
    Kind::TokenCommand,
    Kind::ClientSecret,
    Kind::ClientCertificate,
    Kind::WorkloadIdentity,
    Kind::GithubOidc,
    Kind::VirtualMachine,
    Kind::AppService,
    Kind::Arc,
    Kind::AzureCli,
];

impl Kind {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::TokenFile => "token-file",
            Kind::TokenCommand => "token-command",
            Kind::ClientSecret => "client-secret",
            Kind::ClientCertificate => "client-certificate",
            Kind::WorkloadIdentity => "workload-identity",
            Kind::GithubOidc => "github-oidc",
            Kind::VirtualMachine | Kind::AppService | Kind::Arc => "managed-identity",
            Kind::AzureCli => "azure-cli",
        }
    }

    /// Whether it is used only with `--auth`: nobody sets a variable to say so.
    pub(super) fn is_typed(self) -> bool {
        matches!(self, Kind::VirtualMachine | Kind::AppService | Kind::Arc | Kind::AzureCli)
    }

    /// Whether its tokens come from Entra's token endpoint.
    pub(super) fn asks_entra(self) -> bool {
        self.sends_requests() && !self.is_typed()
    }

    /// Whether it sends requests itself.
    pub(super) fn sends_requests(self) -> bool {
        !matches!(self, Kind::TokenFile | Kind::TokenCommand | Kind::AzureCli)
    }

    /// How many requests a token takes.
    pub(super) fn requests_for_a_token(self) -> u64 {
        if matches!(self, Kind::GithubOidc | Kind::Arc) { 2 } else { 1 }
    }

    /// Sets the variables of this kind.
    fn set(self, command: &mut Command, origin: &str) {
        match self {
            Kind::TokenFile => {
                command.args(["--token-file", "token"]);
            }
            Kind::TokenCommand => {
                command.args(["--token-command", "sh print-token 'for the API'"]);
            }
            Kind::ClientSecret => {
                command.args(["--client-secret-file", "secret"]);
            }
            Kind::ClientCertificate => {
                command.env("AZURE_CLIENT_CERTIFICATE_PATH", "certificate.pem");
            }
            Kind::WorkloadIdentity => {
                command.env("AZURE_FEDERATED_TOKEN_FILE", "federated");
            }
            Kind::GithubOidc => {
                command.env("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{origin}/github/token?api-version=2.0"));
                command.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", GITHUB_TOKEN);
            }
            Kind::VirtualMachine => {
                command.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", origin);
            }
            Kind::AppService => {
                command.env("IDENTITY_ENDPOINT", format!("{origin}/msi/token"));
                command.env("IDENTITY_HEADER", IDENTITY_HEADER);
            }
            Kind::Arc => {
                command.env("IDENTITY_ENDPOINT", format!("{origin}/metadata/identity/oauth2/token"));
                command.env("BULK_TRIAGE_ARC_KEYS", command.get_current_dir().expect("a directory").join("keys"));
            }
            Kind::AzureCli => {
                let bin = command.get_current_dir().expect("a directory").join("bin");
                command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).args(["--tenant", TENANT]);
            }
        }
        if self.is_typed() {
            command.args(["--auth", self.name()]);
        }
    }
}

/// The program with a credential of a kind, and what issues its tokens.
pub(crate) struct Job {
    pub(super) kind: Kind,
    pub(crate) program: Program,
    keeper: Option<Keeper>,
}

/// The script of `az` and of the token command. It records how it was called.
const SCRIPT: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>calls
env >>environment-of-script
echo >asks
answer=$(cat answers)
if [ -z "$answer" ]; then
    echo 'ERROR: no token at the moment' >&2
    exit 1
fi
printf '%s\n' "$answer"
"#;

/// The lifetime of tokens that outlive the test.
pub(crate) const HOUR: Duration = Duration::from_hours(1);

impl Job {
    /// A job whose tokens outlive it, and whose services work.
    pub(crate) fn of(kind: Kind) -> Job {
        Job::new(kind, HOUR, |_, _| ())
    }

    /// A job whose tokens live this long.
    pub(crate) fn new(kind: Kind, lifetime: Duration, change: impl FnOnce(&mut Settings, &mut SignIn)) -> Job {
        let program = Program::new().file("a.csv", closing(1..=3));
        DirBuilder::new().mode(0o700).create(program.path("keys")).expect("a directory");
        let keys = program.path("keys");
        let program = program.emulator(|settings| {
            let mut sign_in = SignIn::new(lifetime);
            sign_in.tenant = Some(TENANT.to_owned());
            sign_in.client = Some(CLIENT.to_owned());
            sign_in.secret = Some(CLIENT_SECRET.to_owned().into());
            let certificate = CertificateDer::from_pem_slice(PEM.as_bytes()).expect("a certificate");
            sign_in.certificate = Some(certificate.to_vec());
            sign_in.federated = Some(match kind {
                Kind::GithubOidc => (GITHUB_ISSUER.to_owned(), GITHUB_SUBJECT.to_owned()),
                _ => (CLUSTER.to_owned(), SERVICE_ACCOUNT.to_owned()),
            });
            sign_in.github_token = Some(GITHUB_TOKEN.to_owned().into());
            sign_in.identity_header = Some(IDENTITY_HEADER.to_owned().into());
            sign_in.key_directory = Some(keys);
            change(settings, &mut sign_in);
            settings.sign_in = Some(sign_in);
        });
        write_secret(&program, "secret", &format!("{CLIENT_SECRET}\n"));
        write_secret(&program, "certificate.pem", PEM);
        write_secret(&program, "federated", &federated_assertion());
        let address = program.origin().trim_start_matches("http://").to_owned();
        let keeper = match kind {
            Kind::TokenFile => Some(Keeper::of_file(address, program.path("token"), lifetime / 2)),
            Kind::TokenCommand => {
                program.write("print-token", SCRIPT);
                Some(Keeper::of_scripts(address, program.dir(), |fetched| fetched.token.clone()))
            }
            Kind::AzureCli => {
                fs::create_dir(program.path("bin")).expect("a directory");
                program.write("bin/az", SCRIPT);
                fs::set_permissions(program.path("bin/az"), Permissions::from_mode(0o755)).expect("its owner");
                Some(Keeper::of_scripts(address, program.dir(), as_az))
            }
            _ => None,
        };
        Job { kind, program, keeper }
    }

    /// `run` with this credential and no other.
    pub(super) fn command(&self, arguments: &str) -> Command {
        self.with_credential(self.program.send_command(arguments))
    }

    /// Any command that sends requests, with this credential and no other.
    pub(crate) fn with_credential(&self, mut command: Command) -> Command {
        command.env_remove("BULK_TRIAGE_TOKEN").env("PATH", "/usr/bin:/bin");
        if !matches!(self.kind, Kind::TokenFile | Kind::TokenCommand | Kind::AzureCli) {
            command.env("AZURE_CLIENT_ID", CLIENT).env("AZURE_AUTHORITY_HOST", self.program.origin());
        }
        command.env("AZURE_TENANT_ID", TENANT);
        self.kind.set(&mut command, &self.program.origin());
        command
    }

    /// A command about the last run, in the place of `LAST`.
    pub(super) fn command_of_runs(&self, arguments: &str) -> Command {
        let mut command = self.program.command(&arguments.replace("LAST", &self.program.last_run()));
        command.env_remove("BULK_TRIAGE_TOKEN");
        command
    }

    /// The requests to the services that issue tokens, without those of the keeper.
    pub(crate) fn requests(&self) -> Vec<SignInRequest> {
        if self.kind.sends_requests() { self.program.sign_in_requests() } else { Vec::new() }
    }

    /// The tokens that were issued for this job.
    pub(super) fn fetched(&self) -> u64 {
        let has_token = |request: &&SignInRequest| request.status == Some(200) && request.endpoint != Endpoint::Github;
        match &self.keeper {
            Some(keeper) => keeper.fetched(),
            None => self.requests().iter().filter(has_token).count() as u64,
        }
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_secret(program: &Program, name: &str, text: &str) {
    program.write(name, text);
    fs::set_permissions(program.path(name), Permissions::from_mode(0o600)).expect("its owner");
}

/// A token of a cluster, as Kubernetes writes it.
fn federated_assertion() -> String {
    let until = Clock::machine().now().wall.as_second() + 3600;
    let claims = json!({
        "aud": ["api://AzureADTokenExchange"], "exp": until, "iss": CLUSTER, "sub": SERVICE_ACCOUNT,
    });
    let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
    format!("{}.{}.{FEDERATED_SIGNATURE}", encode(r#"{"alg":"RS256","kid":"1"}"#), encode(&claims.to_string()))
}

/// What `az account get-access-token` prints.
fn as_az(fetched: &Fetched) -> String {
    let expires_on: i64 = fetched.expires_on.parse().expect("seconds");
    let local = jiff::Timestamp::from_second(expires_on).expect("a time").strftime("%F %T.000000").to_string();
    json!({
        "accessToken": fetched.token, "expires_on": expires_on, "expiresOn": local,
        "subscription": "5a1b2c3d-0000-4000-8000-000000000001", "tenant": TENANT, "tokenType": "Bearer",
    })
    .to_string()
}
