//! `bulk-triage emulator`: the API's stand-in as a server, until Ctrl-C or SIGTERM.
//!
//! Promises: the first line of standard output is the origin to use as `--base-url`; no token is printed.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use secrecy::SecretString;

use super::environment::Environment;
use crate::change::IncidentId;
use crate::check::nearest;
use crate::client::{TokenCache, TokenFile};
use crate::contract::{self, Contract};
use crate::emulator::{self, CommentForm, DateHeader, Fault, GRAMMAR, Habits, Incidents, Settings, ThrottleForm};
use crate::error::Error;
use crate::quota_spec::{ParseWindowError, Quota, parse_duration};

/// A local server that behaves as the API does, quota and faults included.
#[derive(Debug, Args)]
#[command(after_long_help = GRAMMAR)]
pub(super) struct EmulatorArgs {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// The only token that is taken, in a file; else `BULK_TRIAGE_TOKEN`. Without one, any is.
    #[arg(long, value_name = "PATH")]
    pub(super) token_file: Option<PathBuf>,

    /// Whose rules: `defender-classic`, `defender`, or a TOML file.
    #[arg(long, value_name = "NAME or FILE", default_value = "defender-classic")]
    pub(super) contract: String,

    /// Which incidents exist: `every` (lists show 500 of them, 1 to 500), or ids and ranges such as `1-1000,2001`.
    #[arg(long, value_name = "IDS", default_value = "every")]
    incidents: Incidents,

    /// An incident that was merged into another one, such as `7=3`. Repeatable.
    #[arg(long, value_name = "ID=ID", value_parser = parse_merged)]
    merged: Vec<(u64, u64)>,

    /// Size of each incident in bytes; smaller ones are filled up with an alert.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    incident_size: usize,

    /// The windows that are counted, in the place of the contract's.
    #[arg(long, value_name = "QUOTA")]
    quota: Option<Quota>,

    /// How long a request and its answer take, such as `5ms` or `20ms..300ms`.
    #[arg(long, value_name = "DURATION[..DURATION]", default_value = "0", value_parser = parse_latency)]
    latency: RangeInclusive<Duration>,
    /// Close a connection without a response when it gets more requests than this.
    #[arg(long, value_name = "N")]
    requests_per_connection: Option<u64>,

    /// What goes wrong, such as `503:5%` or `cut-after@3,7-9`. Repeatable; `--help` has the grammar.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,

    /// How comments are stored: trim, crlf, nfc, nbsp, html, p, no-tags, cut=N, redact. Separated by commas, applied in order.
    #[arg(long, value_name = "FORM", value_delimiter = ',')]
    comments: Vec<CommentForm>,

    /// Reads show incidents as they were this long ago.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    lag: Duration,

    /// An update whose response is lost (a fault with `-after`) is applied this late.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    late: Duration,

    /// How far the comments' `createdTime` is ahead of the true time, such as `5s` or `-1h`.
    #[arg(long, value_name = "OFFSET", default_value = "0", value_parser = parse_offset, allow_hyphen_values = true)]
    created_time: SignedDuration,

    /// How far the `Date` header is ahead of the true time, or `none` for no header.
    #[arg(long, value_name = "OFFSET", default_value = "0", value_parser = parse_date, allow_hyphen_values = true)]
    date: DateHeader,

    /// How a 429 says its time.
    #[arg(long, value_name = "FORM", default_value_t)]
    throttle_form: ThrottleForm,

    /// Adds a line of JSON for each request to this file.
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,

    /// The same seed draws the same latencies and chances.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl EmulatorArgs {
    fn into_settings(self, contract: Contract, token: Option<SecretString>) -> Settings {
        Settings {
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
            log: self.log,
            seed: self.seed,
            ..Settings::new(contract)
        }
    }
}

/// Serves until Ctrl-C or SIGTERM, and says on standard output where, and at the end how much.
///
/// # Errors
/// Where the contract or the token can't be used, the port is taken, or the log or standard output can't be written.
pub(super) fn run(args: EmulatorArgs, env: &Environment) -> Result<(), Error> {
    let contract = contract::load(&args.contract)?;
    if args.log.as_ref().is_some_and(|log| log.as_os_str() == "-") {
        return Err(Error::usage("the log needs a file: standard output begins with the origin"));
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
        Some(path) => Some(TokenCache::from_source(TokenFile::new(path))?.current().0),
        None => env.token.clone(),
    };
    super::send::runtime()?.block_on(async {
        // Before the address is known to anyone: who reads it may signal at once.
        let stopped = stop_signal().map_err(|source| Error::Io { what: "can't listen for signals", source })?;
        let running = emulator::start(args.into_settings(contract, token))
            .await
            .map_err(|source| Error::Io { what: "the emulator can't be started", source })?;
        say(&running.origin())?;
        stopped.await;
        let (requests, throttled) = (running.requests(), running.throttled());
        running.stop().await;
        Ok(say(&format!("{requests} requests, {throttled} of them throttled"))?)
    })
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Listens from now on; done when the first signal has come.
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
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let parse = |text: &str| parse_duration(text.trim()).map_err(|error: ParseWindowError| error.to_string());
    let latency = parse(least)?..=parse(most)?;
    if latency.is_empty() { Err("the first duration is above the second".to_owned()) } else { Ok(latency) }
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
    pair.ok_or_else(|| "write the merged incident and the other one, such as `7=3`".to_owned())
}
