//! The arguments of `run` and of whatever else sends, as they are typed. Nothing is looked up or decided here.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};

use super::preflight::PreflightOptions;
use super::{Format, RowArgs};
use crate::input::Source;
use crate::journal::ReadScope;
use crate::quota_spec::{Quota, parse_duration};

/// How long a change made by an earlier run counts as made, where nothing is said: a nightly job is left alone.
pub(super) const REMEMBER: Duration = Duration::from_hours(12);

/// Reads the name of an input.
pub(super) fn source() -> impl TypedValueParser<Value = Source> {
    PathBufValueParser::new().map(|path| Source::named(path.as_os_str()))
}

/// `bulk-triage run`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunArgs {
    /// A CSV or JSONL file, or `-` for standard input.
    #[arg(value_parser = source())]
    pub(super) input: Source,
    /// Do all but sending: check, and show what would be sent and how long it takes.
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// What is looked at first.
    #[command(flatten)]
    pub(super) look: PreflightArgs,
    /// What changes the meaning of a row.
    #[command(flatten)]
    pub(super) rows: RowArgs,
    /// Go on with the valid rows; the others end as `invalid`.
    #[arg(long)]
    pub(super) skip_invalid: bool,
    /// Another place of the API.
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// An emulator started for this run: nothing real is changed.
    #[arg(long, conflicts_with_all = ["base_url", "token_file", "scope"])]
    pub(super) emulator: bool,
    /// Names the scope where the token does not name a tenant.
    #[arg(long, value_name = "NAME")]
    pub(super) scope: Option<String>,
    /// How calls are made.
    #[command(flatten)]
    pub(super) send: SendArgs,
}

/// What is looked at before anything is sent: options of `run` and `plan`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct PreflightArgs {
    /// Look at the incidents first: show before → after, and send nothing that is so already (of a plan: or that has
    /// changed since).
    #[arg(long)]
    pub(super) compare: bool,
    /// With `--compare`, which it implies: where an incident was merged into another one, update that.
    #[arg(long)]
    pub(super) follow_redirects: bool,
}

impl PreflightArgs {
    /// Whether all incidents are looked at.
    pub(super) fn looks(self) -> bool {
        self.compare || self.follow_redirects
    }

    /// What is looked at.
    pub(super) fn look(self) -> PreflightOptions {
        PreflightOptions {
            at: if self.looks() { ReadScope::All } else { ReadScope::Needed },
            follows: self.follow_redirects,
        }
    }
}

/// How calls are made: options of whatever calls.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CallArgs {
    /// The windows to keep, such as `50/1m,1500/1h`: lower them to leave room for others.
    #[arg(long, value_name = "QUOTA")]
    pub(super) quota: Option<Quota>,
    /// Calls under way at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) concurrency: u32,
    /// Tries at one row for errors that may pass; a 429 is none.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_attempts: u32,
    /// How long to wait for a service that is down; 0 stops at once.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub(super) patience: Duration,
    /// Read the access token from this file (see the docs for the modes); else `BULK_TRIAGE_TOKEN`
    #[arg(long, value_name = "PATH")]
    pub(super) token_file: Option<PathBuf>,
    /// Which token files are read
    #[arg(long, value_enum, value_name = "MODE", default_value = "private")]
    pub(super) token_file_mode: TokenFileMode,
}

/// Which token files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TokenFileMode {
    /// Those that only you can read, and secrets mounted by systemd and container platforms
    Private,
    /// Any that others can't write
    Any,
}

/// How a run is sent: options of `run`, `apply` and `runs resume`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SendArgs {
    /// How calls are made.
    #[command(flatten)]
    pub(super) calls: CallArgs,
    /// Make no new call after this (`ms`, `s`, `m`, `h`).
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) stop_after: Option<Duration>,
    /// Stop when so many rows have failed; without it, when the first five all fail alike.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_failures: Option<u64>,
    /// Exit with 0 even if a response shows only a part of a change.
    #[arg(long)]
    pub(super) allow_differs: bool,
    /// How long a change made by an earlier run counts as made; 0 looks at no other run [default: 12h, or as the run
    /// that goes on began]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) remember: Option<Duration>,
    /// How long the service may take to show a change; a comment whose response was lost is not sent again before that
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(super) settle: Duration,
    /// Do not ask.
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Where to write the results.
    #[arg(long, value_name = "PATH")]
    pub(super) results: Option<PathBuf>,
    /// Write a page to read and to hand over: of a dry run the review, else the account (.html or .md).
    #[arg(long, value_name = "PATH")]
    pub(super) report: Option<PathBuf>,
    /// The summary's form.
    #[arg(long, value_name = "FORM", default_value = "human")]
    pub(super) format: Format,
}
