//! `bulk-triage emulator`: runs the emulator until Ctrl-C or SIGTERM.
//!
//! Promises: the first line of standard output is the origin to use as `--base-url`; no token is printed.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use jiff::SignedDuration;
use secrecy::SecretString;

use super::emulator_sign_in::SignInArgs;
use super::environment::Environment;
use super::number::number;
use crate::check::nearest;
use crate::cli::error::Error;
use crate::client::TokenFile;
use crate::contract::{self, Contract};
use crate::emulator::{
    self, CommentForm, DateHeader, Fault, GRAMMAR, Habits, Incidents, LARGEST_PAGE, SIGN_IN_GRAMMAR, Settings,
    ThrottleForm,
};
use crate::model::change::IncidentId;
use crate::model::quota_spec::{ParseWindowError, Quota, parse_duration};

/// The help of `--token-file`: as a doc comment the variable would need backticks, which clap would print.
const TOKEN_FILE: &str =
    "Accept only the token of this file, else that of BULK_TRIAGE_TOKEN [default: accept any token]";

/// Run a local emulator of the API, with its quota and optional faults
#[derive(Debug, Args)]
#[command(after_long_help = format!("{GRAMMAR}\n{SIGN_IN_GRAMMAR}"))]
pub(super) struct EmulatorArgs {
    /// Port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 0, value_parser = number(0, Some(u16::MAX)))]
    port: u16,

    /// File of the access token.
    #[arg(long, value_name = "PATH", help = TOKEN_FILE)]
    pub(super) token_file: Option<PathBuf>,

    /// Contract (rules and quota of an API version): defender-classic, defender, graph, or a TOML file
    #[arg(long, value_name = "NAME or FILE", default_value = contract::BUILT_IN[0], value_hint = ValueHint::FilePath)]
    pub(super) contract: String,

    /// Incidents that exist: `every` (lists show 1 to 500), or IDs and ranges such as 1-1000,2001
    #[arg(long, value_name = "IDS", default_value = "every")]
    incidents: Incidents,

    /// A merged incident and its target, such as 7=3 (repeatable)
    #[arg(long, value_name = "ID=ID", value_parser = parse_merged)]
    merged: Vec<(u64, u64)>,

    /// Minimum size of an incident in a response, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = number(0_usize, None))]
    incident_size: usize,

    /// Quota to enforce [default: the contract's]
    #[arg(long, value_name = "QUOTA")]
    quota: Option<Quota>,

    /// Latency of each request, or its range, such as 5ms or 20ms..300ms
    #[arg(long, value_name = "DURATION[..DURATION]", default_value = "0", value_parser = parse_latency)]
    latency: RangeInclusive<Duration>,

    /// Respond to this many requests per connection; close it at the next one
    #[arg(long, value_name = "N", value_parser = number(0_u64, None))]
    requests_per_connection: Option<u64>,

    /// A fault to inject, such as 503:5% or cut-after@3,7-9 (repeatable; --help describes the syntax)
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,

    /// Change stored comments, in the order you list: trim, crlf, nfc, nbsp, html, p, no-tags, cut=N, redact
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    comments: Vec<CommentForm>,

    /// How long reads show the old state after an update
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    lag: Duration,

    /// Delay of updates applied by a fault with -after
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    late: Duration,

    /// How far the creation times of comments are ahead of the clock, such as 5s or -1h
    #[arg(long, value_name = "OFFSET", default_value = "0", value_parser = parse_offset, allow_hyphen_values = true)]
    created_time: SignedDuration,

    /// Offset of the Date header from the clock, or `none` to omit the header
    #[arg(long, value_name = "OFFSET", default_value = "0", value_parser = parse_date, allow_hyphen_values = true)]
    date: DateHeader,

    /// How a 429 states its waiting time [default: time; Graph: header-seconds]
    #[arg(long, value_name = "FORMAT", value_enum)]
    throttle_form: Option<ThrottleForm>,

    /// Largest page of Graph's list
    #[arg(long, value_name = "N", default_value_t = LARGEST_PAGE, value_parser = number(1_usize, None))]
    largest_page: usize,

    /// Append a JSON line for each request to this file
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,

    /// Seed of the random latencies and faults
    #[arg(long, default_value_t = 0, value_parser = number(0_u64, None))]
    seed: u64,

    #[command(flatten)]
    sign_in: SignInArgs,
}

impl EmulatorArgs {
    fn into_settings(self, contract: Contract, token: Option<SecretString>) -> Result<Settings, Error> {
        Ok(Settings {
            sign_in: self.sign_in.into_settings(&contract)?,
            port: self.port,
            token,
            quota: self.quota,
            latency: self.latency,
            requests_per_connection: self.requests_per_connection,
            incidents: self.incidents,
            merged: self.merged.into_iter().collect(),
            incident_size: self.incident_size,
            faults: self.faults.into_iter().collect(),
            habits: Habits {
                comments: self.comments,
                lag: self.lag,
                late: self.late,
                created_time: self.created_time,
                date: self.date,
            },
            throttle_form: self.throttle_form,
            largest_page: self.largest_page,
            log: self.log,
            seed: self.seed,
            ..Settings::new(contract)
        })
    }
}

/// Serves until Ctrl-C or SIGTERM. Prints the origin first, and the numbers of requests at the end.
///
/// # Errors
/// If the contract or the token can't be used, the port is taken, or the log or standard output can't be written.
pub(super) fn run(args: EmulatorArgs, env: &Environment) -> Result<(), Error> {
    let contract = contract::load(&args.contract)?;
    if args.log.as_ref().is_some_and(|log| log.as_os_str() == "-") {
        return Err(Error::usage("the log needs a file: standard output has the origin"));
    }
    for fault in &args.faults {
        if let Some(name) = fault.unknown_property(&contract) {
            let message = format!("`{}` names `{name}`, which is not a property of `{}`", fault.text(), contract.name);
            let names = contract.properties.iter().map(|property| property.name.as_str());
            let hint = nearest(name, names).map(|meant| format!("did you mean `{meant}`?"));
            return Err(Error::Usage { message, hint });
        }
    }
    let token = match &args.token_file {
        Some(path) => Some(TokenFile::new(path).read()?),
        None => env.token.clone(),
    };
    let settings = args.into_settings(contract, token)?;
    super::send::runtime()?.block_on(async {
        // Before the origin is printed: its reader may send a signal immediately.
        let stopped = stop_signal().map_err(|source| Error::Io { what: "cannot listen for signals", source })?;
        let running = emulator::start(settings)
            .await
            .map_err(|source| Error::Io { what: "cannot start the emulator", source })?;
        print(&running.origin())?;
        stopped.await;
        let (requests, throttled) = (running.requests(), running.throttled());
        running.stop().await;
        Ok(print(&format!("{requests} requests, {throttled} throttled"))?)
    })
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Listens from now on. The future ends with the first signal.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn parse_latency(text: &str) -> Result<RangeInclusive<Duration>, String> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    let parse = |text: &str| parse_duration(text.trim()).map_err(|error: ParseWindowError| error.to_string());
    let latency = parse(min)?..=parse(max)?;
    if latency.is_empty() { Err("the first duration is longer than the second".to_owned()) } else { Ok(latency) }
}

fn parse_offset(text: &str) -> Result<SignedDuration, String> {
    let ahead = parse_duration(text.trim_start_matches(['+', '-'])).map_err(|error| error.to_string())?;
    let ahead = SignedDuration::try_from(ahead).map_err(|error| error.to_string())?;
    Ok(if text.starts_with('-') { -ahead } else { ahead })
}

fn parse_date(text: &str) -> Result<DateHeader, String> {
    if text == "none" { Ok(DateHeader::Missing) } else { parse_offset(text).map(DateHeader::Ahead) }
}

fn parse_merged(text: &str) -> Result<(u64, u64), String> {
    let id = |text: &str| text.parse().ok().and_then(IncidentId::new).map(IncidentId::get);
    let pair = text.split_once('=').and_then(|(from, to)| Some((id(from)?, id(to)?)));
    pair.ok_or_else(|| "enter the merged incident and its target, such as `7=3`".to_owned())
}
