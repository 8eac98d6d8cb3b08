//! Sending a run that is in the journal, and accounting for it: what `run` and `runs resume` share.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Format;
use super::arguments::{CallArgs, SendArgs};
use super::next_step::NextStep;
use super::preflight::Looks;
use super::prepared_run::absolute;
use super::report::{Sent, write_run_report};
use super::target::Target;
use super::terminal::{Terminal, listen, say};
use crate::apply::{ApplyError, Completion, EngineSettings, RunEnd, StopReason, apply};
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::{BootTime, Clock};
use crate::contract::Contract;
use crate::journal::{History, Journal, JournalError, RunHandle, RunState};
use crate::model::change::TenantKey;
use crate::model::outcome::{InputShape, OutcomeCode, OutcomeKind, ResultRow};
use crate::output::results::{Destination, ResultsError, ResultsFile};
use crate::report::humanize::counted;
use crate::report::next_command::NextCommand;
use crate::report::page::PageFile;
use crate::report::progress::Progress;
use crate::report::reporter::Reporter;
use crate::report::summary::{RunStats, Summary};
use crate::text::printable;

/// A run about to be sent.
pub(super) struct Sending<'a> {
    /// Where it goes.
    pub(super) target: &'a Target,
    /// Whose incidents.
    pub(super) scope: &'a TenantKey,
    /// How calls are made.
    pub(super) args: &'a SendArgs,
    /// How long a change made by an earlier run counts as made.
    pub(super) remember: Duration,
    /// The input, as it was named.
    pub(super) input: String,
    /// What the results need to know of it.
    pub(super) shape: InputShape,
    /// Where the results go.
    pub(super) destination: Destination,
    /// Where the report goes, where one is asked for.
    pub(super) page: Option<PageFile>,
    /// The reads before the question.
    pub(super) looked: Looks,
    /// What time it is.
    pub(super) clock: Clock,
    /// When it was agreed to be sent: `--stop-after` counts from then on.
    pub(super) agreed_at: BootTime,
    /// What may be suggested in the end.
    pub(super) next: NextStep<'a>,
}

/// The runtime that calls run on.
///
/// # Errors
/// Where the machine gives no threads.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let build = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    room_for_files().and_then(|()| build()).map_err(|source| match source.raw_os_error() {
        Some(TOO_MANY_OPEN_FILES) => Error::Usage {
            message: format!("the process may open too few files: {source}"),
            hint: Some("raise the limit: `ulimit -n 256` or more, LimitNOFILE= in a systemd unit".to_owned()),
        },
        _ => Error::Io { what: "cannot start threads for requests", source },
    })
}

/// `EMFILE`.
const TOO_MANY_OPEN_FILES: i32 = rustix::io::Errno::MFILE.raw_os_error();

/// If the process may open no more files, tokio panics. So this opens as many as tokio needs first.
fn room_for_files() -> io::Result<()> {
    (0..8).map(|_| io::pipe()).collect::<io::Result<Vec<_>>>().map(drop)
}

impl Sending<'_> {
    /// Sends it. Returns the exit code.
    ///
    /// # Errors
    /// Where the journal or the results fail. What was done is in the journal, and the next start goes on with it.
    pub(super) fn send(
        self,
        runtime: &tokio::runtime::Runtime,
        journal: Journal,
        run: &RunHandle,
        terminal: &mut Terminal,
    ) -> Result<u8, Error> {
        let started_at = self.clock.now().wall;
        let results = ResultsFile::create(&self.destination, self.shape.clone(), rows_of(&journal, &run.name, true));
        let results = results.map_err(|error| results_error(error, self.next.to_write_results(&run.name)))?;
        let progress = Progress::new(terminal.screen(), self.clock.clone(), terminal.err.colour);
        let show_progress = progress.shows_on(terminal.asked_for());
        let mut reporter = Reporter::new(results, progress);
        let client = self.target.client(self.args.calls.concurrency, &self.clock, terminal)?;

        let sent = runtime.block_on(async {
            let signals = listen(self.clock.clone(), show_progress)?;
            let clock = self.clock.clone();
            let sending = apply(journal, run, client, self.settings(), clock, signals.stop, &mut reporter);
            tokio::select! {
                sent = sending => Ok::<_, Error>(Ok(sent)),
                code = signals.end_at_once => Ok(Err(code.unwrap_or(exit::INTERRUPTED))),
            }
        })?;
        let (results, mut tally) = reporter.into_results_and_tally();
        let (mut journal, ending, failed) = match sent {
            Ok(Ok(RunEnd { ending, journal, calls, reads, throttled })) => {
                let looked = self.looked;
                tally.count_requests(looked.calls + calls, looked.calls + reads, looked.throttled + throttled);
                (journal, ending, None)
            }
            // What was done is told all the same.
            Ok(Err(ApplyError { error, journal: Some(journal) })) => {
                let (looked, calls, throttled) = (self.looked, tally.calls, tally.throttled);
                tally.count_requests(looked.calls + calls, looked.calls, looked.throttled + throttled);
                (*journal, Completion::Over, Some(error))
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(code) => {
                say("stopped immediately; requests in flight will be verified on the next run");
                return Err(ended_at_once(code));
            }
        };
        let (mut state, mut failed) = (RunState::Unfinished, failed.map(Error::Journal));
        if failed.is_none() {
            match journal.close(run) {
                Ok(found) => state = found,
                Err(error) => failed = Some(error.into()),
            }
        }
        let mut place = self.destination.path().to_owned();
        match results.finish(rows_of(&journal, &run.name, false)) {
            Ok(path) if path == place => {}
            Ok(path) => {
                say(&format!(
                    "{} is now another file and was kept; the results are in {}",
                    printable(&place.to_string_lossy()),
                    printable(&path.to_string_lossy())
                ));
                // Where it can't be kept, `-o` says where `runs results` writes.
                let _ = journal.moved_results(run, &absolute(&path));
                place = path;
            }
            Err(error) => failed = failed.or(Some(results_error(error, self.next.to_write_results(&run.name)))),
        }
        tally.count_the_rest(journal.unsettled(&run.name).unwrap_or(0));
        tally.differs = journal.rows_with_code(&run.name, OutcomeCode::Differs).unwrap_or(0);
        if let Some(Error::Journal(error @ JournalError::Gone { .. })) = failed {
            failed = Some(Error::HistoryGone { error, results: place.clone() });
        }
        let code = match &failed {
            Some(error) => error.exit_code(),
            None => exit_code(&ending, state, &tally, self.args.allow_differs),
        };
        self.print_summary(&journal, &run.name, tally, &ending, failed.as_ref(), &place, code, started_at, terminal);
        failed.map_or(Ok(code), |error| Err(Error::InJson(Box::new(error))))
    }

    fn settings(&self) -> EngineSettings {
        let SendArgs { max_failures, stop_after, settle, .. } = *self.args;
        let prepared = self.clock.now().boot.since(self.agreed_at);
        let stop_after = stop_after.map(|after| after.saturating_sub(prepared));
        EngineSettings { max_failures, stop_after, settle, ..settings(self.target, &self.args.calls, self.remember) }
    }

    #[expect(clippy::too_many_arguments, reason = "each is one part of what a run came to")]
    fn print_summary(
        &self,
        journal: &Journal,
        run: &str,
        tally: RunStats,
        ending: &Completion,
        failed: Option<&Error>,
        place: &Path,
        code: u8,
        started_at: jiff::Timestamp,
        terminal: &Terminal,
    ) {
        let follows = journal.has_redirects(run).unwrap_or(false);
        let next = match code {
            // Nothing is remembered any more: the comments of all other rows might be added again.
            _ if matches!(failed, Some(Error::HistoryGone { .. })) => {
                // If the outcomes are unknown, the user adds `--only`.
                Some(self.next.for_failures(place, follows).option("--only", "not-attempted"))
            }
            _ if failed.is_some() => Some(self.next.to_finish(run, place)),
            exit::OK => None,
            _ if *ending != Completion::Over || tally.outcomes.of(OutcomeKind::InDoubt) > 0 => {
                Some(self.next.to_finish(run, place))
            }
            _ => next_of_finished(self.next, run, place, &tally, follows),
        };
        let meaning = match ending {
            Completion::Over if failed.is_some() => {
                failed.map(|error| format!("stopped early: {error}")).unwrap_or_default()
            }
            Completion::Over => meaning_of_finished(code, &tally),
            Completion::Stopped(stop) => format!("stopped early: {}", stop_message(stop, &self.target.contract)),
        };
        let report = self.write_report(journal, run, &meaning, next.as_ref());
        let is_early = failed.is_some() || matches!(ending, Completion::Stopped(_));
        let summary = Summary {
            run: Some(run.to_owned()),
            error: is_early.then(|| meaning.clone()),
            scope: self.target.shown_scope(self.scope),
            origin: self.target.origin().to_string(),
            input: self.input.clone(),
            tally,
            started_at,
            finished_at: self.clock.now().wall,
            reading: self.looked.lasted,
            results: Some(place.to_owned()),
            exit: code,
            meaning,
            report,
            next,
        };
        print(&summary, self.args.format, terminal);
    }

    /// Writes the report, where one is asked for; the path of it. The run is over all the same where that fails.
    fn write_report(&self, journal: &Journal, run: &str, state: &str, next: Option<&NextCommand>) -> Option<PathBuf> {
        let page = self.page.as_ref()?;
        let sent = Sent {
            state: state.to_owned(),
            is_emulated: self.target.is_emulated,
            caller: self.target.shown().caller,
            quota: Some(&self.target.quota),
            next: next.map(ToString::to_string),
        };
        match write_run_report(journal, run, sent, page) {
            Ok(()) => Some(page.path().to_owned()),
            Err(error) => {
                say(&error.to_string());
                if !self.target.is_emulated {
                    say(&format!("`{}` writes it", self.next.to_show(run, page.path())));
                }
                None
            }
        }
    }
}

/// What a second signal leads to.
pub(super) fn ended_at_once(code: u8) -> Error {
    Error::Ended { code, message: "interrupted".to_owned() }
}

/// Prints the summary of a run. The run is over all the same if that fails, and its exit code says how.
pub(super) fn print(summary: &Summary, format: Format, terminal: &Terminal) {
    let out = io::stdout();
    let written = match format {
        Format::Human if terminal.silent => Ok(()),
        Format::Human => summary.write_text(out, terminal.out),
        Format::Json => summary.write_json(out),
    };
    // Whoever reads a pipe to its middle knows that.
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        say(&format!("cannot write the summary to standard output: {error}"));
    }
}

/// What fits after a finished run that is not done, or differs.
pub(super) fn next_of_finished(
    next: NextStep<'_>,
    run: &str,
    results: &Path,
    tally: &RunStats,
    follows: bool,
) -> Option<NextCommand> {
    let has = |kind| tally.outcomes.of(kind) > 0;
    match () {
        () if has(OutcomeKind::Failed) => Some(next.for_failures(results, follows)),
        () if has(OutcomeKind::Invalid) => Some(next.for_invalid(results)),
        () if tally.differs > 0 => Some(next.to_look_at(run)),
        () => None,
    }
}

/// How calls are made, as it was typed; they end with the run and not before.
pub(super) fn settings(target: &Target, args: &CallArgs, remember: Duration) -> EngineSettings {
    EngineSettings {
        quota: target.quota.clone(),
        concurrency: args.concurrency,
        max_attempts: args.max_attempts,
        patience: args.patience,
        max_failures: None,
        stop_after: None,
        remember,
        settle: Duration::ZERO,
        appended: target.contract.appended().map(str::to_owned),
        same_as: target.contract.same_as(),
        seed: fastrand::u64(..),
    }
}

/// A stop, with what to do about it where the contract knows.
pub(super) fn stop_message(stop: &StopReason, contract: &Contract) -> String {
    match stop {
        StopReason::Forbidden { message } => format!(
            "the permission is missing: {}; grant `{}` to the application, or `{}` to the user",
            message.trim_end_matches('.'),
            contract.permission_application,
            contract.permission_delegated
        ),
        stop => stop.to_string(),
    }
}

/// The exit code of a stop that left something to do.
pub(super) fn code_of(stop: &StopReason) -> u8 {
    match stop {
        StopReason::Unreachable { .. } | StopReason::QueryRejected { .. } => exit::USAGE,
        StopReason::Unauthorized { .. } | StopReason::NotRenewed { .. } | StopReason::Forbidden { .. } => {
            exit::NOT_ALLOWED
        }
        StopReason::TooManyFailures { .. } | StopReason::FirstRowsFailed { .. } => exit::NEEDS_ATTENTION,
        StopReason::Requested
        | StopReason::Deadline
        | StopReason::ServiceDown { .. }
        | StopReason::PausedTooLong { .. }
        | StopReason::ListFailed { .. }
        | StopReason::ListenerFailed { .. } => exit::STOPPED,
    }
}

/// What a finished run came to: for [`exit::SOME_FAILED`] how many rows are not done.
pub(super) fn meaning_of_finished(code: u8, tally: &RunStats) -> String {
    if code != exit::SOME_FAILED {
        return exit::meaning(code).to_owned();
    }
    let words = |kind: OutcomeKind| if kind == OutcomeKind::InDoubt { "in doubt" } else { kind.name() };
    let rows = |kind: &OutcomeKind| {
        let rows = tally.outcomes.of(*kind);
        (rows > 0).then(|| format!("{} {}", counted(rows, "row"), words(*kind)))
    };
    let parts: Vec<_> = OutcomeKind::TROUBLES.iter().filter_map(rows).collect();
    if parts.is_empty() {
        return "finished, but some rows show other values than requested".to_owned();
    }
    format!("{}: {}", exit::meaning(code), parts.join(", "))
}

/// Whether some row is not done.
fn has_troubles(tally: &RunStats) -> bool {
    OutcomeKind::TROUBLES.iter().any(|kind| tally.outcomes.of(*kind) > 0)
}

fn exit_code(ending: &Completion, state: RunState, tally: &RunStats, allows_differs: bool) -> u8 {
    match ending {
        Completion::Stopped(stop) if code_of(stop) == exit::NOT_ALLOWED => exit::NOT_ALLOWED,
        Completion::Stopped(stop) if state == RunState::Unfinished => code_of(stop),
        Completion::Stopped(_) | Completion::Over => code_of_finished(tally, allows_differs),
    }
}

/// The exit code of a finished run.
pub(super) fn code_of_finished(tally: &RunStats, allows_differs: bool) -> u8 {
    let is_done = !has_troubles(tally) && (tally.differs == 0 || allows_differs);
    if is_done { exit::OK } else { exit::SOME_FAILED }
}

/// `results`: the command that writes them.
pub(super) fn results_error(error: ResultsError<JournalError>, results: NextCommand) -> Error {
    match error {
        ResultsError::Destination(error) => error.into(),
        ResultsError::Write(error) => Error::Results { error, results },
        ResultsError::Rows(error) => error.into(),
    }
}

/// The lines of a run's results in the input's order, read some at a time.
pub(super) fn rows_of(
    journal: &History,
    run: &str,
    only_over: bool,
) -> impl Iterator<Item = Result<ResultRow, JournalError>> {
    let mut after = 0;
    let mut page = Vec::new().into_iter();
    std::iter::from_fn(move || {
        if let Some(row) = page.next() {
            return Some(Ok(row));
        }
        match journal.results(run, after, 500, only_over) {
            Ok(rows) => {
                after = rows.last().map_or(after, |row: &ResultRow| row.row);
                page = rows.into_iter();
                page.next().map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    })
}
