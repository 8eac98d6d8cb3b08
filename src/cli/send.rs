//! Confirming and sending a run that is in the journal, and its summary: what `run`, `apply` and `runs resume` share.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::arguments::SendArgs;
use super::command_stats::Counted;
use super::confirm::PreviewBuilder;
use super::destination::{absolute, delete_old_results, destination};
use super::global::Format;
use super::next_step::NextStep;
use super::page::page_error;
use super::preflight::Preflight;
use super::signals::until_ended;
use super::stop::{code_of, stop_message};
use super::target::Target;
use super::terminal::{Terminal, say};
use crate::apply::Completion;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::client::{ClockOffset, ServerClock};
use crate::clock::BootTime;
use crate::files::OutputError;
use crate::input::Source;
use crate::journal::{History, Journal, JournalError, RunHandle, RunState};
use crate::model::outcome::OutcomeKind;
use crate::output::results::{Destination, ResultsFile};
use crate::report::humanize::counted;
use crate::report::next_command::NextCommand;
use crate::report::page::{PageFile, Sent, write_run_report};
use crate::report::progress::Progress;
use crate::report::reporter::Reporter;
use crate::report::summary::{RunStats, Summary};
use crate::session::{PreflightOptions, PreparedRun, RunEnd, SendOptions, result_rows};
use crate::text::printable;

/// How the incidents of a run are read, and how it is confirmed and sent.
pub(super) struct Sending<'a> {
    /// Where it goes.
    pub(super) target: &'a Target,
    /// The options as typed.
    pub(super) args: &'a SendArgs,
    /// The dedup window.
    pub(super) remember: Duration,
    /// The input.
    pub(super) input: &'a Source,
    /// The file of `--report`.
    pub(super) page: Option<PageFile>,
    /// The command that may be suggested at the end.
    pub(super) next: NextStep<'a>,
}

/// The runtime on which requests run.
///
/// # Errors
/// If threads can't be started.
pub(super) fn runtime() -> Result<Runtime, Error> {
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
    /// Reads the incidents of a run, previews it, prompts, and sends it. Returns the exit code. `reads`: which are read.
    ///
    /// # Errors
    /// If the answer is no, or the journal or the results fail.
    pub(super) fn confirm_and_send(
        self,
        run: PreparedRun,
        reads: Option<PreflightOptions>,
        runtime: &Runtime,
        terminal: &Terminal,
    ) -> Result<u8, Error> {
        let destination_of = |run: &_| destination(run, self.target, self.args, self.input);
        // Checked before a preflight that may take an hour, and again after it: another file may be there by then.
        destination_of(&run)?;
        let mut run = self.read(run, reads, runtime, terminal)?;
        let destination = destination_of(&run)?;
        let builder = self.preview();
        let preview = builder.of_run(&run)?;
        if !builder.confirm(&preview, self.args, terminal)? {
            run.discard()?;
            let message = "nothing was sent: the answer to the prompt was no".to_owned();
            return Err(Error::Ended { code: exit::STOPPED, message });
        }
        // `--stop-after` counts from here.
        let confirmed_at = run.clock().now().boot;
        run.publish(absolute(destination.path()))?;
        self.send(run, &destination, confirmed_at, runtime, terminal)
    }

    /// Reads the incidents of a run, if any are to be read.
    ///
    /// # Errors
    /// If the journal fails, there is no token, or it is stopped.
    pub(super) fn read(
        &self,
        run: PreparedRun,
        reads: Option<PreflightOptions>,
        runtime: &Runtime,
        terminal: &Terminal,
    ) -> Result<PreparedRun, Error> {
        let Some(options) = reads else { return Ok(run) };
        Preflight { target: self.target, calls: &self.args.calls, options }.run(run, runtime, terminal)
    }

    /// What shows the run before it is sent.
    pub(super) fn preview(&self) -> PreviewBuilder<'_> {
        let (target, args, remember, input) = (self.target, self.args, self.remember, self.input);
        PreviewBuilder { target, calls: &args.calls, send: Some(args), remember, input, typed: self.next.typed() }
    }

    fn send(
        self,
        run: PreparedRun,
        destination: &Destination,
        confirmed_at: BootTime,
        runtime: &Runtime,
        terminal: &Terminal,
    ) -> Result<u8, Error> {
        let (clock, reads) = (run.clock().clone(), run.reads);
        let (tenant, metadata) = (run.target.tenant.clone(), run.metadata.clone());
        let started_at = clock.now().wall;
        let name = run.handle.name.clone();
        let mut stats = RunStats::default();
        let finished =
            result_rows(&run.journal, &name, true).inspect(|row| row.iter().for_each(|row| stats.note_earlier(row)));
        let results = ResultsFile::create(destination, metadata.shape.clone(), finished);
        let results = results.map_err(|error| results_error(error, self.next.to_write_results(&name)))?;
        let progress = Progress::new(terminal.screen(), clock.clone(), terminal.err.color);
        let shows = progress.shows_on(terminal.asked_for());
        let mut reporter = Reporter::new(results, progress, stats);
        self.target.announce(terminal);
        let offset = ClockOffset::default();
        let transport = self.target.transport(self.args.calls.concurrency)?;
        let client = self.target.client_of(ServerClock::new(transport, clock.clone(), offset.clone()), &clock)?;
        let options = self.options(clock.now().boot.since(confirmed_at));
        let sending = until_ended(clock, shows, async |stop| {
            run.send(client, &options, stop, &mut Counted(&mut reporter, &terminal.stats)).await
        });
        let sent = runtime.block_on(sending);
        let (results, mut stats) = reporter.into_results_and_stats();
        terminal.stats.set_outcomes(stats.outcomes);
        let sent = sent.inspect_err(|error| {
            if matches!(error, Error::Ended { .. }) {
                say("stopped immediately; requests in flight will be verified on the next run");
            }
        })?;
        let RunEnd { completion, state, unsettled, differs, requests, mut journal, handle, failed } = sent?;

        let throttled = reads.throttled + requests.throttled;
        stats.count_requests(reads.calls + requests.calls, reads.calls + requests.reads, requests.comments, throttled);
        let (path, failed_results) = self.finish_results(&results, destination.path(), &handle, &mut journal);
        let mut failed = failed.map(Error::Journal).or(failed_results);
        // The journal of an emulator's run knows no others, and one that failed may not know all.
        if !self.target.is_emulated && failed.is_none() {
            let deleted = delete_old_results(self.args, self.input.path(), &path, &journal, offset.get());
            if deleted > 0 && !terminal.quiet {
                say(&format!("deleted {}", counted(deleted, "old results file")));
            }
        }
        stats.count_the_rest(unsettled);
        terminal.stats.set_outcomes(stats.outcomes);
        stats.differs = differs;
        if let Some(Error::Journal(error @ JournalError::Gone { .. })) = failed {
            failed = Some(Error::HistoryGone { error, results: path.clone() });
        }
        let code = match &failed {
            Some(error) => error.exit_code(),
            None => exit_code(&completion, state, &stats, self.args.allows_differs()),
        };
        let (scope, origin) = (self.target.shown_scope(&tenant), self.target.origin().to_string());
        let summary = Summary {
            stats,
            finished_at: journal.clock().now().wall,
            reading: reads.lasted,
            results: Some(path.clone()),
            settings: metadata.settings,
            exit: code,
            ..Summary::new(name, metadata.input, scope, origin, started_at)
        };
        self.print_summary(summary, &path, &completion, failed.as_ref(), &journal, terminal);
        failed.map_or(Ok(code), |error| Err(Error::InJson(Box::new(error))))
    }

    /// Writes the results in input order. Returns their path, which is another one if `planned` is another file by now, and
    /// the error if they can't be written.
    fn finish_results(
        &self,
        results: &ResultsFile,
        planned: &Path,
        run: &RunHandle,
        journal: &mut Journal,
    ) -> (PathBuf, Option<Error>) {
        let planned = planned.to_owned();
        match results.finish(result_rows(journal, &run.name, false)) {
            Ok(path) if path == planned => (planned, None),
            Ok(path) => {
                say(&format!(
                    "{} is now another file and was kept; the results are in {}",
                    printable(&planned.to_string_lossy()),
                    printable(&path.to_string_lossy())
                ));
                // If it can't be kept, `-o` says where `runs results` writes.
                let _ = journal.moved_results(run, &absolute(&path));
                (path, None)
            }
            Err(error) => (planned, Some(results_error(error, self.next.to_write_results(&run.name)))),
        }
    }

    /// `prepared`: the time since it was confirmed.
    fn options(&self, prepared: Duration) -> SendOptions {
        let SendArgs { max_failures, stop_after, settle, .. } = *self.args;
        let stop_after = stop_after.map(|after| after.saturating_sub(prepared));
        SendOptions { calls: self.args.calls.options(), max_failures, stop_after, remember: self.remember, settle }
    }

    fn print_summary(
        &self,
        summary: Summary,
        results: &Path,
        completion: &Completion,
        failed: Option<&Error>,
        journal: &Journal,
        terminal: &Terminal,
    ) {
        let (run, stats, code) = (&summary.run, &summary.stats, summary.exit);
        let follows = journal.has_redirects(run).unwrap_or(false);
        let next = match code {
            // The record of applied changes is gone: the comments of all other rows might be added again.
            _ if matches!(failed, Some(Error::HistoryGone { .. })) => {
                // If the outcomes are unknown, the user adds `--only`.
                Some(self.next.for_failures(results, follows).option("--only", "not-attempted"))
            }
            _ if failed.is_some() => Some(self.next.to_finish(run, results)),
            exit::OK => None,
            _ if *completion != Completion::Finished || stats.outcomes.of(OutcomeKind::InDoubt) > 0 => {
                Some(self.next.to_finish(run, results))
            }
            _ => next_of_finished(self.next, run, results, stats, follows),
        };
        let meaning = match completion {
            Completion::Finished if failed.is_some() => {
                failed.map(|error| format!("stopped early: {error}")).unwrap_or_default()
            }
            Completion::Finished => meaning_of_finished(code, stats),
            Completion::Stopped(stop) => format!("stopped early: {}", stop_message(stop, &self.target.contract)),
        };
        let report = self.write_report(journal, run, &meaning, next.as_ref());
        let is_early = failed.is_some() || matches!(completion, Completion::Stopped(_));
        let error = is_early.then(|| meaning.clone());
        print(&Summary { error, meaning, report, next, ..summary }, self.args.format, terminal);
    }

    /// Writes the report, if one was requested. Returns its path. The run has ended even if this fails.
    fn write_report(&self, journal: &History, run: &str, state: &str, next: Option<&NextCommand>) -> Option<PathBuf> {
        let page = self.page.as_ref()?;
        let sent = Sent {
            state: state.to_owned(),
            is_emulated: self.target.is_emulated,
            caller: self.target.shown().caller,
            next: next.map(ToString::to_string),
        };
        match write_run_report(journal, run, sent, page).map_err(page_error) {
            Ok(()) => Some(page.path().to_owned()),
            Err(error) => {
                say(&error.to_string());
                if !self.target.is_emulated {
                    say(&format!("`{}` writes it", self.next.to_show(run, page.second_path())));
                }
                None
            }
        }
    }
}

/// Prints the summary of a run. The run has ended even if this fails, and its exit code says how.
pub(super) fn print(summary: &Summary, format: Format, terminal: &Terminal) {
    let out = io::stdout();
    let written = match format {
        Format::Human if terminal.silent => Ok(()),
        Format::Human => summary.write_text(out, terminal.out),
        Format::Json => summary.write_json(out),
    };
    // A reader that closes the pipe early knows that it did.
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        say(&format!("cannot write the summary to standard output: {error}"));
    }
}

/// The command to suggest after a finished run with rows that are not done or differ.
pub(super) fn next_of_finished(
    next: NextStep<'_>,
    run: &str,
    results: &Path,
    stats: &RunStats,
    follows: bool,
) -> Option<NextCommand> {
    let has = |kind| stats.outcomes.of(kind) > 0;
    match () {
        () if has(OutcomeKind::Failed) => Some(next.for_failures(results, follows)),
        () if has(OutcomeKind::Invalid) => Some(next.for_invalid(results)),
        () if stats.differs > 0 => Some(next.to_look_at(run)),
        () => None,
    }
}

/// The result of a finished run in words: for [`exit::SOME_FAILED`] with the rows that are not done.
pub(super) fn meaning_of_finished(code: u8, stats: &RunStats) -> String {
    if code != exit::SOME_FAILED {
        return exit::meaning(code).to_owned();
    }
    let words = |kind: OutcomeKind| if kind == OutcomeKind::InDoubt { "in doubt" } else { kind.name() };
    let rows = |kind: &OutcomeKind| {
        let rows = stats.outcomes.of(*kind);
        (rows > 0).then(|| format!("{} {}", counted(rows, "row"), words(*kind)))
    };
    let parts: Vec<_> = OutcomeKind::TROUBLES.iter().filter_map(rows).collect();
    if parts.is_empty() {
        return "finished, but some rows show other values than requested".to_owned();
    }
    format!("{}: {}", exit::meaning(code), parts.join(", "))
}

/// Whether some row is not done.
fn has_troubles(stats: &RunStats) -> bool {
    OutcomeKind::TROUBLES.iter().any(|kind| stats.outcomes.of(*kind) > 0)
}

fn exit_code(ending: &Completion, state: RunState, stats: &RunStats, allows_differs: bool) -> u8 {
    match ending {
        Completion::Stopped(stop) if code_of(stop) == exit::NOT_ALLOWED => exit::NOT_ALLOWED,
        Completion::Stopped(stop) if state == RunState::Unfinished => code_of(stop),
        Completion::Stopped(_) | Completion::Finished => code_of_finished(stats, allows_differs),
    }
}

/// The exit code of a finished run.
pub(super) fn code_of_finished(stats: &RunStats, allows_differs: bool) -> u8 {
    let is_done = !has_troubles(stats) && (stats.differs == 0 || allows_differs);
    if is_done { exit::OK } else { exit::SOME_FAILED }
}

/// `results`: the command that writes them.
pub(super) fn results_error(error: OutputError<JournalError>, results: NextCommand) -> Error {
    match error {
        OutputError::Path(error) => error.into(),
        OutputError::Write(error) => Error::Results { error, results },
        OutputError::Rows(error) => error.into(),
    }
}
