//! `bulk-triage fetch`: incidents as rows, to be filled in and given to `run`.

use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueHint;
use clap::builder::NonEmptyStringValueParser;
use jiff::Timestamp;

use super::arguments::CallArgs;
use super::environment::{Environment, state_dir};
use super::global::{Format, GlobalArgs};
use super::next_step::{fetch_again, run_fetched};
use super::number::number;
use super::patience::open_journal;
use super::read_calls::read_list;
use super::send::runtime;
use super::stop::{code_of, stop_message};
use super::target::{Access, Place, Target};
use super::terminal::{Terminal, say};
use crate::apply::{Completion, ListSource, LocalFilter, ServerFilter, StopReason, not_newer};
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::contract::{BUILT_IN, Contract, PropertyKind, load};
use crate::files::{open_input, temporary_dir};
use crate::model::call::Incident;
use crate::model::change::TenantKey;
use crate::model::quota_spec::parse_duration;
use crate::output::fetched::{FetchFile, Fetched, PartialFile, PartialHeader, PartialStart};
use crate::report::fetch_summary::{FetchSummary, incomplete};
use crate::report::next_command::NextCommand;
use crate::text::printable;

/// What was read goes on to be read within this time; after it, it is read anew.
const OLDEST_PART: Duration = Duration::from_hours(12);

/// `bulk-triage fetch`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct FetchArgs {
    /// Write the incidents to this file (.csv or .jsonl); `-` writes CSV to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Maximum number of incidents, newest first
    #[arg(long, value_name = "N", value_parser = number(0_u64, None))]
    pub(super) limit: Option<u64>,
    /// Contract (rules and quota of an API version): defender-classic, defender, or a TOML file that extends one
    #[arg(long, value_name = "NAME or FILE", default_value = BUILT_IN[0], value_hint = ValueHint::FilePath)]
    pub(super) contract: String,
    /// Base URL of the API [default: the contract's]
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// How requests are sent.
    #[command(flatten)]
    pub(super) calls: CallArgs,
    /// Format of the summary
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
    /// Which incidents: after the other options, because its heading goes on to the end.
    #[command(flatten)]
    pub(super) which: WhichArgs,
}

/// Which incidents: those that pass all filters.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Filters (combined with AND)")]
pub(super) struct WhichArgs {
    /// A `$filter` expression, sent to the API unchanged
    #[arg(long, value_name = "FILTER", value_parser = NonEmptyStringValueParser::new())]
    filter: Option<String>,
    /// Only incidents with this status
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only incidents created since this time, this date, or this long ago (24h)
    #[arg(long, value_name = "WHEN")]
    created_since: Option<String>,
    /// Only incidents updated since then
    #[arg(long, value_name = "WHEN")]
    updated_since: Option<String>,
    /// Only incidents assigned to exactly this user
    #[arg(long, value_name = "OWNER", value_parser = NonEmptyStringValueParser::new())]
    assigned_to: Option<String>,
    /// Only incidents with this tag, ignoring case (filtered locally; repeat to require several)
    #[arg(long, value_name = "TAG", value_parser = NonEmptyStringValueParser::new())]
    tag: Vec<String>,
    /// Only incidents with this severity, ignoring case (filtered locally)
    #[arg(long, value_name = "SEVERITY", value_parser = NonEmptyStringValueParser::new())]
    severity: Option<String>,
    /// Only incidents whose title contains this text, ignoring case (filtered locally)
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    title_contains: Option<String>,
}

impl WhichArgs {
    fn filter(&self, contract: &Contract, now: Timestamp) -> Result<ServerFilter, Error> {
        let since = |name, typed: &Option<String>| typed.as_ref().map(|typed| since(name, typed, now)).transpose();
        Ok(ServerFilter {
            raw: self.filter.clone(),
            status: self.status.as_ref().map(|typed| status(contract, typed)).transpose()?,
            assigned_to: self.assigned_to.clone(),
            created_since: since("--created-since", &self.created_since)?,
            updated_since: since("--updated-since", &self.updated_since)?,
        })
    }

    fn sieve(&self, contract: &Contract) -> LocalFilter {
        LocalFilter {
            members: contract.api.incident.clone(),
            tags: self.tag.clone(),
            severity: self.severity.clone(),
            title_contains: self.title_contains.clone(),
        }
    }
}

/// Fetches. Returns the exit code.
///
/// # Errors
/// If the output can't be written, a filter is invalid, or the journal fails.
pub(super) fn run(
    args: &FetchArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &mut Terminal,
) -> Result<u8, Error> {
    let contract = load(&args.contract)?;
    let clock = Clock::machine();
    let started_at = clock.now().wall;
    let filter = args.which.filter(&contract, started_at)?;
    let to_stdout = args.output.as_os_str() == "-";
    // Standard output gets the whole list or nothing: until it is whole it is kept here, and not longer.
    let temporary = to_stdout.then(temporary_dir).transpose();
    let temporary = temporary.map_err(|source| Error::Io { what: "cannot create a directory", source })?;
    let output = temporary.as_ref().map_or_else(|| args.output.clone(), |dir| dir.path().join("incidents.csv"));
    let file = FetchFile::examine(&output)?;
    let place = Place { typed: args.base_url.as_deref(), named: &contract.origin.clone(), by: "the contract" };
    let target = Target::new(contract, place, &args.calls, Some(Access::Read), global, env)?;
    target.expect_access(Access::Read, &clock)?;
    let scope = target.scope_or_origin();
    let mut journal = open_journal(&state_dir(global)?, &clock)?;

    let sieve = args.which.sieve(&target.contract);
    let (mut read_before, mut newest) = (Vec::new(), None);
    let header = header(global, &filter, &target, &scope);
    let oldest = started_at.saturating_sub(OLDEST_PART).unwrap_or(started_at);
    let (mut part, begun) = PartialFile::open(&file, header, started_at, oldest, |one| {
        newest = newest.max(one.created(&target.contract));
        read_before.push((one.id, sieve.matches(&one.incident())));
    })?;
    if !terminal.quiet {
        say_begun(&begun, read_before.len());
    }

    let list = &target.contract.api.list;
    // What came in since would stand before all that was read.
    let asked = part.header().filter.clone();
    let filter = newest.map(|newest| not_newer(asked.as_deref(), newest, &list.filters)).or(asked);
    let keeping = clock.clone();
    let keep = |page: Vec<Incident>| {
        let at = keeping.now().wall;
        let page: Vec<Fetched> = page.into_iter().map(|incident| Fetched::new(incident, at)).collect();
        part.append(&page)
    };
    let mut fetching = ListSource::new(&list.page_sizes, filter, sieve.clone(), args.limit, keep);
    for (id, is_asked_for) in read_before {
        fetching.mark_known(id, is_asked_for);
    }

    journal.begin_reading(&scope, target.quota.longest())?;
    let known = fetching.read();
    let ends = read_list((&target, &args.calls), &runtime()?, journal, &mut fetching, known, terminal)?;
    let incidents_read = fetching.read();
    drop(fetching);
    // Only a list that was read to its end may replace what is there.
    if let Completion::Stopped(stop) = &ends.completion {
        let again = fetch_again(&args.output, &global.typed);
        return Err(stopped_early(stop, part, to_stdout, incidents_read, &target.contract, &again)?);
    }

    let mut incidents = 0;
    let asked_for = part.incidents()?.filter(|one| {
        let takes = one.as_ref().map_or(true, |one| sieve.matches(&one.clone().incident()));
        let takes = takes && args.limit.is_none_or(|limit| incidents < limit);
        incidents += u64::from(takes);
        takes
    });
    let replaced = file.write(&target.contract, asked_for)?;
    part.remove()?;
    if to_stdout {
        copy_to_stdout(&output)?;
    }
    let summary = FetchSummary {
        file: args.output.clone(),
        scope: target.shown_scope(&scope),
        origin: target.origin().to_string(),
        incidents,
        read: incidents_read,
        replaced,
        calls: ends.requests.calls,
        throttled: ends.requests.throttled,
        started_at,
        finished_at: clock.now().wall,
        next: (!to_stdout).then(|| run_fetched(&args.output, &global.typed, &target.contract)),
    };
    let out: &mut dyn io::Write = if to_stdout { &mut io::stderr() } else { &mut io::stdout() };
    match args.format {
        Format::Human if terminal.silent => {}
        Format::Human => summary.write_text(out)?,
        Format::Json => summary.write_json(out)?,
    }
    Ok(exit::OK)
}

/// Ends a list that was not read to its end. Returns the error that says so.
fn stopped_early(
    stop: &StopReason,
    part: PartialFile,
    to_stdout: bool,
    incidents_read: u64,
    contract: &Contract,
    again: &NextCommand,
) -> Result<Error, Error> {
    if let StopReason::QueryRejected { message } = stop {
        part.remove()?;
        return Ok(Error::usage(format!("the API rejects the query: {}", printable(message))));
    }
    let message = format!("stopped early: {}", stop_message(stop, contract));
    say(&message);
    say(&incomplete(incidents_read));
    let kept = match incidents_read {
        _ if to_stdout => "nothing was written; to start over",
        0 => part.remove().map(|()| "nothing was read; to try again")?,
        _ => "progress is saved; to resume",
    };
    say(&format!("{kept}:\n  {again}"));
    let message = format!("{message}; {}", incomplete(incidents_read));
    Ok(Error::Ended { code: code_of(stop), message })
}

/// Writes a fetched file to standard output.
fn copy_to_stdout(file: &Path) -> Result<(), Error> {
    let mut whole = BufReader::new(open_input(file)?);
    // The mark is for spreadsheets that open the file; who reads a pipe knows that it is UTF-8.
    if whole.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        whole.consume("\u{feff}".len());
    }
    io::copy(&mut whole, &mut io::stdout().lock()).map_err(Error::of_output("the list"))?;
    Ok(())
}

/// The options that ask, in the order in which partial files have them.
const QUERY: [&str; 9] = [
    "--filter",
    "--status",
    "--created-since",
    "--updated-since",
    "--assigned-to",
    "--severity",
    "--title-contains",
    "--tag",
    "--limit",
];

/// The question, as it is known again.
fn header(global: &GlobalArgs, filter: &ServerFilter, target: &Target, scope: &TenantKey) -> PartialHeader {
    let (origin, scope) = (target.origin().to_string(), scope.as_str().to_owned());
    PartialHeader::new(
        global.typed.words_of(&QUERY),
        filter.to_odata(&target.contract.api.list.filters),
        origin,
        scope,
        target.contract.to_toml(),
    )
}

fn say_begun(begun: &PartialStart, read_before: usize) {
    match begun {
        PartialStart::New => {}
        PartialStart::Resumed => say(&format!("resuming after the {read_before} incidents that were read before")),
        PartialStart::Discarded => {
            say("saved progress is for a different query or too old; starting over");
        }
    }
}

/// A status as the API spells it.
fn status(contract: &Contract, typed: &str) -> Result<String, Error> {
    let choices = match contract.property(&contract.api.incident.status).map(|property| &property.kind) {
        Some(PropertyKind::Choice(choices)) => choices.as_slice(),
        _ => &[],
    };
    let is_it = |spelling: &String| spelling.eq_ignore_ascii_case(typed.trim());
    let found = choices.iter().find(|choice| is_it(&choice.value) || choice.aliases.iter().any(is_it));
    found.map(|choice| choice.value.clone()).ok_or_else(|| {
        let values: Vec<&str> = choices.iter().map(|choice| choice.value.as_str()).collect();
        Error::Usage {
            message: format!("`--status {}` is not a status of `{}`", printable(typed), contract.name),
            hint: Some(format!("write {}", values.join(", "))),
        }
    })
}

/// A time, the beginning of a day (UTC), or so long ago.
fn since(name: &str, typed: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let time = || typed.parse::<Timestamp>().ok();
    let date = || format!("{typed}T00:00:00Z").parse().ok();
    // To the second: the API takes no more than seven decimals.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let ago = || now.checked_sub(parse_duration(typed).ok()?).ok();
    time().or_else(date).or_else(ago).ok_or_else(|| Error::Usage {
        message: format!("`{name} {}` is not a time", printable(typed)),
        hint: Some("enter 2026-11-24T10:00:00Z, 2026-11-24, or an age such as 24h or 7d".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_option_takes_time_date_or_age() {
        let now: Timestamp = "2026-11-24T10:00:00.123456789Z".parse().expect("a time");
        for (typed, meant) in [
            ("2026-11-20T12:00:00+02:00", "2026-11-20T10:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("24h", "2026-11-23T10:00:00Z"),
            ("90s", "2026-11-24T09:58:30Z"),
            ("7d", "2026-11-17T10:00:00Z"),
        ] {
            assert_eq!(since("--created-since", typed, now).expect("a time").to_string(), meant, "{typed}");
        }
        for typed in ["", "yesterday", "2026-13-01", "2026-11-20T12:00:00", "7w", "-1h"] {
            assert!(since("--created-since", typed, now).is_err(), "{typed}");
        }
    }

    #[test]
    fn status_takes_the_spelling_of_the_contract() {
        let contract = load("defender").expect("built in");
        assert_eq!(status(&contract, "in progress").expect("an alias"), "InProgress");
        assert_eq!(status(&contract, "ACTIVE").expect("a value"), "Active");
        assert!(status(&contract, "open").is_err());
    }
}
