//! The arguments of `run` and of whatever else sends, as they are typed. Nothing is looked up or decided here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};

use super::global::Format;
use super::number::number;
use super::page::ReportFormat;
use super::row_options::RowArgs;
use super::settings::argument;
use crate::contract::regions;
use crate::input::Source;
use crate::journal::ReadScope;
use crate::model::cloud::Cloud;
use crate::model::quota_spec::{Quota, duration_text, parse_duration};
use crate::session::{CONCURRENCY, CallOptions, MAX_ATTEMPTS, PATIENCE, PreflightOptions, REMEMBER, SETTLE};

/// Reads the name of an input.
pub(super) fn source() -> impl TypedValueParser<Value = Source> {
    PathBufValueParser::new().map(|path| Source::named(path.as_os_str()))
}

/// Reads the name of a cloud. Names of China's cloud are accepted here, because the error is clearer later.
fn cloud() -> impl TypedValueParser<Value = Cloud> {
    let names = Cloud::SUPPORTED.map(|cloud| PossibleValue::new(cloud.name()));
    let china = PossibleValue::new(Cloud::China.name()).hide(true).aliases(["21vianet", "azure-china", "mooncake"]);
    PossibleValuesParser::new(names.into_iter().chain([china])).map(|name| cloud_named(&name))
}

/// The cloud of a name that [`cloud`] accepts: if no supported cloud has it, it is one of China's.
pub(super) fn cloud_named(name: &str) -> Cloud {
    Cloud::SUPPORTED.into_iter().find(|cloud| cloud.name() == name).unwrap_or(Cloud::China)
}

/// Options that contradict `--emulator`, which has an address and a token of its own.
#[cfg(feature = "emulator")]
pub(super) const NOT_WITH_EMULATOR: [&str; 10] = [
    "base_url",
    "cloud",
    "region",
    "tenant",
    "auth",
    "token_file",
    "token_command",
    "client_id",
    "client_secret_file",
    "client_certificate",
];

/// `bulk-triage run`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunArgs {
    /// A CSV or JSONL file, or `-` for standard input
    #[arg(value_parser = source())]
    pub(super) input: Source,
    /// Check the input and show what would be sent; send no updates
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// The preflight.
    #[command(flatten)]
    pub(super) preflight: PreflightArgs,
    /// The options that change the meaning of a row.
    #[command(flatten)]
    pub(super) rows: RowArgs,
    /// Send the valid rows; record the others as `invalid`
    #[arg(long)]
    pub(super) skip_invalid: bool,
    /// Base URL of the API [default: the contract's]
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// Send to an API emulator that is started for this run; nothing real changes
    #[cfg_attr(feature = "emulator", arg(long, conflicts_with_all = NOT_WITH_EMULATOR))]
    #[cfg_attr(not(feature = "emulator"), arg(skip))]
    pub(super) emulator: bool,
    /// How requests are sent.
    #[command(flatten)]
    pub(super) send: SendArgs,
}

impl RunArgs {
    /// Whether it is a dry run that sends no request and stores nothing.
    pub(super) fn leaves_no_trace(&self) -> bool {
        self.dry_run && !self.preflight.reads_all()
    }
}

/// Options of the preflight, for `run` and `plan`.
#[expect(clippy::struct_excessive_bools, reason = "each Boolean option has a negation")]
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct PreflightArgs {
    /// Read the incidents first, show before and after, and skip those that need no change
    #[arg(long, overrides_with = "no_compare")]
    compare: bool,
    /// Read the incidents first only if a change needs it (the default)
    #[arg(long, hide_short_help = true, overrides_with = "compare")]
    no_compare: bool,
    /// If an incident was merged into another, update its target instead (implies --compare)
    #[arg(long, overrides_with = "no_follow_redirects")]
    follow_redirects: bool,
    /// Don't update the target of a merged incident (the default)
    #[arg(long, hide_short_help = true, overrides_with = "follow_redirects")]
    no_follow_redirects: bool,
}

impl PreflightArgs {
    /// Whether all incidents are read.
    pub(super) fn reads_all(self) -> bool {
        (self.compare && !self.no_compare) || self.follows_redirects()
    }

    /// Whether the target of a merged incident is updated.
    fn follows_redirects(self) -> bool {
        self.follow_redirects && !self.no_follow_redirects
    }

    /// Which incidents are read, and which are updated.
    pub(super) fn options(self) -> PreflightOptions {
        PreflightOptions {
            scope: if self.reads_all() { ReadScope::All } else { ReadScope::Needed },
            follow_redirects: self.follows_redirects(),
        }
    }
}

// Help with names of variables: in a doc comment they would need backticks, which clap would print.
const AUTH: &str = "How to sign in [default: the first that is set; see docs/sign-in.md]";
const TENANT: &str = "Tenant (a GUID or a domain) for sign-in, quota and history [env: AZURE_TENANT_ID]; if the token names \
                      no tenant, any name";
const CLIENT_ID: &str = "Client ID of the application, or of the managed identity [env: AZURE_CLIENT_ID]";
const TOKEN_FILE: &str =
    "Read the access token from this file instead of the variable BULK_TRIAGE_TOKEN, which holds the token itself";
const CLIENT_SECRET_FILE: &str = "Read the client secret from this file instead of the variable AZURE_CLIENT_SECRET";
const CLIENT_CERTIFICATE: &str =
    "File (PEM) with the application's certificate and its key [env: AZURE_CLIENT_CERTIFICATE_PATH]";

/// Options for requests, for every command that calls the API.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CallArgs {
    /// Quota, such as 50/1m,1500/1h; lower it to leave room for other tools [default: the contract's]
    #[arg(long, value_name = "QUOTA")]
    pub(super) quota: Option<Quota>,
    /// Maximum requests in flight
    #[arg(long, value_name = "N", default_value_t = CONCURRENCY, value_parser = number(1, Some(1000_u32)))]
    pub(super) concurrency: u32,
    /// Maximum attempts per row or read, for transient errors (429s don't count)
    #[arg(long, value_name = "N", default_value_t = MAX_ATTEMPTS, value_parser = number(1_u32, None))]
    pub(super) max_attempts: u32,
    /// How long to wait for a service that is down before stopping; 0 stops immediately
    #[arg(long, value_name = "DURATION", default_value = duration_text(PATIENCE), value_parser = parse_duration)]
    pub(super) patience: Duration,
    /// How to sign in.
    #[command(flatten)]
    pub(super) sign_in: SignInArgs,
}

/// Options for signing in, for every command that calls the API.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SignInArgs {
    /// Cloud of the tenant: its API, sign-in host and token audience [default: that of the API's host]
    #[arg(long, value_name = "CLOUD", value_parser = cloud())]
    pub(super) cloud: Option<Cloud>,
    /// Region of the classic API [default: the host for all regions]
    #[arg(long, value_name = "REGION", value_parser = PossibleValuesParser::new(regions()))]
    pub(super) region: Option<String>,
    /// The kind of credential.
    #[arg(long, value_enum, value_name = "KIND", help = AUTH)]
    pub(super) auth: Option<AuthKind>,
    /// The tenant.
    #[arg(long, alias = "scope", value_name = "TENANT", help = TENANT)]
    pub(super) tenant: Option<String>,
    /// The application.
    #[arg(long, value_name = "ID", help = CLIENT_ID)]
    pub(super) client_id: Option<String>,
    /// File of the access token.
    #[arg(long, value_name = "PATH", help = TOKEN_FILE)]
    pub(super) token_file: Option<PathBuf>,
    /// Run this command to get an access token, printed alone or in JSON
    #[arg(long, value_name = "COMMAND")]
    pub(super) token_command: Option<String>,
    /// File of the client secret.
    #[arg(long, value_name = "PATH", help = CLIENT_SECRET_FILE)]
    pub(super) client_secret_file: Option<PathBuf>,
    /// File of the certificate.
    #[arg(long, value_name = "PATH", help = CLIENT_CERTIFICATE)]
    pub(super) client_certificate: Option<PathBuf>,
    /// Which token, secret and certificate files to accept
    #[arg(long, value_enum, value_name = "MODE", default_value_t = TokenFileMode::Private)]
    pub(super) token_file_mode: TokenFileMode,
}

impl CallArgs {
    /// How requests are made.
    #[must_use]
    pub(super) fn options(&self) -> CallOptions {
        let CallArgs { concurrency, max_attempts, patience, .. } = *self;
        CallOptions { concurrency, max_attempts, patience }
    }
}

impl SignInArgs {
    /// Whether an option is one of these: they say who calls the API, and an emulator of ours needs none of them.
    pub(super) fn have(option: &str) -> bool {
        let command = <SignInArgs as clap::Args>::augment_args(clap::Command::new(""));
        argument(&command, option).is_some()
    }

    /// The files that hold secrets, where no output may go.
    pub(super) fn files(&self) -> [Option<&Path>; 3] {
        [&self.token_file, &self.client_secret_file, &self.client_certificate].map(Option::as_deref)
    }
}

/// Kinds of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum AuthKind {
    /// A token in a file that another program keeps up to date
    TokenFile,
    /// A token that a command prints
    TokenCommand,
    /// An application with a client secret
    ClientSecret,
    /// An application with a certificate
    ClientCertificate,
    /// An application with a token of another issuer, such as a Kubernetes cluster
    WorkloadIdentity,
    /// An application, from a GitHub Actions job
    GithubOidc,
    /// The identity of an Azure virtual machine, App Service or Arc machine
    ManagedIdentity,
    /// The Azure CLI's sign-in
    AzureCli,
}

impl fmt::Display for AuthKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(clap::ValueEnum::to_possible_value(self).expect("no kind is hidden").get_name())
    }
}

/// Which token files are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TokenFileMode {
    /// Files that only you can read, and secrets mounted by systemd or a container platform
    Private,
    /// Any file that others cannot write
    Any,
}

/// Options for sending, for `run`, `apply` and `runs resume`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SendArgs {
    /// How requests are sent.
    #[command(flatten)]
    pub(super) calls: CallArgs,
    /// Start no request after this much time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) stop_after: Option<Duration>,
    /// Stop after N failed rows [default: stop only if the first five fail with the same error]
    #[arg(long, value_name = "N", value_parser = number(1_u64, None))]
    pub(super) max_failures: Option<u64>,
    /// Exit with 0 even if responses show that changes were applied only in part
    #[arg(long, overrides_with = "no_allow_differs")]
    allow_differs: bool,
    /// Exit with 1 if responses show that changes were applied only in part (the default)
    #[arg(long, hide_short_help = true, overrides_with = "allow_differs")]
    no_allow_differs: bool,
    /// Skip changes applied within this time; 0 ignores other runs; a resumed run keeps its value
    #[arg(long, value_name = "DURATION", default_value = duration_text(REMEMBER), value_parser = parse_duration)]
    pub(super) remember: Duration,
    /// Longest time until a read shows a change
    #[arg(long, value_name = "DURATION", default_value = duration_text(SETTLE), value_parser = parse_duration)]
    pub(super) settle: Duration,
    /// Send without asking for confirmation
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Write the results to this file [default: NAME.RUN.results.csv in the working directory]
    #[arg(long, value_name = "PATH")]
    pub(super) results: Option<PathBuf>,
    /// Write the results to this directory, as NAME.DAY.RUN.results.csv
    #[arg(long, value_name = "DIR", conflicts_with = "results")]
    pub(super) results_dir: Option<PathBuf>,
    /// After a run, delete results in --results-dir that are older than this (1 day or more)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) results_keep: Option<Duration>,
    /// Write a report (.html or .md): a review before sending, a run report afterwards
    #[arg(long, value_name = "PATH")]
    pub(super) report: Option<PathBuf>,
    /// Format of a report whose name doesn't end in .html or .md
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) report_format: Option<ReportFormat>,
    /// For monitoring.
    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
    /// Format of the summary
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub(super) format: Format,
}

/// The option for monitoring, for `fetch` and whatever sends. It is read even if the rest of the command line is wrong: see
/// `metrics`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct MetricsArgs {
    /// Write metrics to this file (.prom) at the end, for Prometheus' textfile collector
    #[arg(long, value_name = "PATH")]
    metrics_file: Option<PathBuf>,
}

impl SendArgs {
    /// Whether changes that were applied only in part count as done.
    pub(super) fn allows_differs(&self) -> bool {
        self.allow_differs && !self.no_allow_differs
    }
}
