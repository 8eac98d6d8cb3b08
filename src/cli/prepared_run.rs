//! A run that is in the journal and has not been sent: looked at, shown, asked about, and sent or taken away again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::arguments::{CallArgs, SendArgs};
use super::confirm::PreviewBuilder;
use super::load::{self, Loaded};
use super::next_step::NextStep;
use super::outlook::Outlook;
use super::preflight::{Looks, PreflightEnd, PreflightOptions};
use super::read_calls::ReadCalls;
use super::report;
use super::send::Sending;
use super::target::Target;
use super::terminal::Terminal;
use crate::check::Rules;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::contract::Contract;
use crate::input::{Input, Source};
use crate::journal::{Journal, JournalError, PendingRow, ReadScope, RunHandle, RunKey, RunMetadata, RunSummary};
use crate::model::change::TenantKey;
use crate::model::diagnostic::Diagnostic;
use crate::model::outcome::InputShape;
use crate::model::typed::Typed;
use crate::output::results::{Destination, default_name};
use crate::plan::{Lists, check_body, check_change};
use crate::report::Layout;
use crate::report::next_command::NextCommand;
use crate::report::page::{PageFile, Warnings};
use crate::report::preview::{self, Preview};
use crate::text::printable;

/// A run that has not been sent.
pub(super) struct PreparedRun<'a> {
    /// Where it goes.
    pub(super) target: &'a Target,
    /// Whose incidents.
    pub(super) scope: TenantKey,
    /// Where it is.
    pub(super) journal: Journal,
    /// Which one it is.
    pub(super) handle: RunHandle,
    /// Whether it is one that began before, and goes on.
    pub(super) goes_on: bool,
    /// What of it is left to be sent, in numbers.
    pub(super) loaded: Loaded,
    /// What it keeps of its beginning.
    pub(super) facts: RunMetadata,
    /// By what it is known again.
    pub(super) same: RunKey,
    /// What looking at the incidents has shown, where that was asked for.
    pub(super) compared: Option<preview::PreflightSummary>,
    /// The requests that this took.
    pub(super) looked: Looks,
    /// What time it is.
    pub(super) clock: &'a Clock,
}

/// An input that is read into the journal.
pub(super) struct RunInput<'a> {
    /// The input.
    pub(super) input: Input,
    /// What its rows are checked against.
    pub(super) rules: &'a Rules<'a>,
    /// Whether the valid rows go on without the others.
    pub(super) skip_invalid: bool,
    /// The options that change what is sent, as they were typed.
    pub(super) options: Vec<String>,
    /// All options, as they were typed.
    pub(super) typed: Typed,
}

impl<'a> PreparedRun<'a> {
    /// A new run, whose incidents were not read.
    #[expect(clippy::too_many_arguments, reason = "each is one part of the run")]
    pub(super) fn new(
        target: &'a Target,
        scope: TenantKey,
        journal: Journal,
        handle: RunHandle,
        loaded: Loaded,
        facts: RunMetadata,
        same: RunKey,
        clock: &'a Clock,
    ) -> PreparedRun<'a> {
        let (compared, looked) = (None, Looks::default());
        PreparedRun { target, scope, journal, handle, goes_on: false, loaded, facts, same, compared, looked, clock }
    }

    /// Checks an input and loads it. `source` is where it comes from.
    ///
    /// # Errors
    /// Where it is not valid, or the journal can't be written: nothing of it stays.
    #[expect(clippy::too_many_arguments, reason = "each is one part of the run that begins")]
    pub(super) fn load(
        reading: RunInput<'_>,
        mut journal: Journal,
        target: &'a Target,
        scope: TenantKey,
        source: &Source,
        remember: Duration,
        clock: &'a Clock,
        tell: &mut dyn FnMut(Diagnostic),
    ) -> Result<PreparedRun<'a>, Error> {
        let facts = RunMetadata {
            input: source.name().into_owned(),
            shape: reading.input.shape().clone(),
            origin: target.origin().to_string(),
            contract: target.contract.to_toml(),
            results: String::new(),
            options: reading.options,
            typed: reading.typed,
            remember,
        };
        let RunInput { input, rules, skip_invalid, .. } = reading;
        let mut rng = fastrand::Rng::new();
        let (handle, loaded) =
            load::into_journal(&mut journal, input, rules, skip_invalid, tell, &scope, &facts, &mut rng)?;
        let same = RunKey::Changes(loaded.digest.clone());
        Ok(PreparedRun::new(target, scope, journal, handle, loaded, facts, same, clock))
    }

    /// A run that began before, and goes on.
    ///
    /// # Errors
    /// Where another process holds it, or the journal can't be read.
    pub(super) fn resume(
        mut journal: Journal,
        run: RunSummary,
        target: &'a Target,
        clock: &'a Clock,
    ) -> Result<PreparedRun<'a>, Error> {
        let handle = hold(&mut journal, &run.name, &target.contract)?;
        let loaded = Loaded::default();
        let RunSummary { scope, facts, plan, .. } = run;
        let same = plan.map_or_else(|| RunKey::Changes(Vec::new()), RunKey::Plan);
        Ok(PreparedRun {
            goes_on: true,
            ..PreparedRun::new(target, scope, journal, handle, loaded, facts, same, clock)
        })
    }

    /// The run with the same changes that did not finish within `remember` goes on in its place, if there is one.
    ///
    /// # Errors
    /// Where the journal fails, or another process holds that run.
    pub(super) fn or_resume_matching(mut self, remember: Duration) -> Result<PreparedRun<'a>, Error> {
        let contract = &self.target.contract;
        let same = self.journal.unfinished_same(&self.scope, &contract.name, &self.loaded.digest, remember)?;
        if let Some(name) = same.filter(|_| self.loaded.rows > 0) {
            self.journal.discard(&self.handle)?;
            self.handle = hold(&mut self.journal, &name, contract)?;
            self.goes_on = true;
        }
        Ok(self)
    }

    /// Looks at the incidents of its rows, where that is asked for or needed.
    ///
    /// # Errors
    /// Where the journal fails, or it ended before that was over: then it is taken away.
    pub(super) fn preflight(
        self,
        runtime: &Runtime,
        calls: &CallArgs,
        look: PreflightOptions,
        terminal: &Terminal,
    ) -> Result<PreparedRun<'a>, Error> {
        if look.at == ReadScope::Needed && self.journal.incidents(&self.handle, look.at)?.is_empty() {
            return Ok(self);
        }
        let PreparedRun { target, scope, journal, handle, goes_on, loaded, facts, same, clock, .. } = self;
        let looking = ReadCalls { target, calls, clock };
        let (mut journal, surveyed) = match looking.survey(runtime, journal, &handle, look, terminal)? {
            PreflightEnd::Over(journal, surveyed) => (journal, surveyed),
            PreflightEnd::Stopped(mut journal, error) => {
                if !goes_on {
                    journal.discard(&handle)?;
                }
                return Err(error);
            }
        };
        let compared = Some(looking.apply_diffs(&mut journal, &handle, &surveyed)?);
        let looked = surveyed.looks();
        Ok(PreparedRun { target, scope, journal, handle, goes_on, loaded, facts, same, compared, looked, clock })
    }

    /// Whether a row of it will be sent, as far as that is known without a look.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn has_rows_to_send(&self, before: &PreviewBuilder<'_>) -> Result<bool, Error> {
        Ok(before.count(&self.journal, &self.handle)?.0.rows > 0)
    }

    /// What a person is shown of it.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub(super) fn preview(&self, before: &PreviewBuilder<'_>) -> Result<Preview, Error> {
        before.of_run(&self.journal, &self.handle, &self.loaded, self.goes_on, self.compared.clone())
    }

    /// Shows it on `out`, each row with what it changes where that was looked at.
    ///
    /// # Errors
    /// Where the journal can't be read, or `out` fails.
    pub(super) fn show(
        &self,
        mut preview: Preview,
        calls: &CallArgs,
        mut out: impl io::Write,
        layout: Layout,
    ) -> Result<(), Error> {
        // All of them come, not only these.
        preview.first_changes.clear();
        preview.write(&mut out, layout)?;
        if self.compared.is_some() && preview.counts.rows > 0 {
            writeln!(out, "\nChanges:")?;
            let looking = ReadCalls { target: self.target, calls, clock: self.clock };
            looking.each_change(&self.journal, &self.handle, &preview.counts, usize::MAX, |change| {
                change.write(&mut out, layout)
            })?;
        }
        Ok(())
    }

    /// Writes the review of it.
    ///
    /// # Errors
    /// Where the journal can't be read, or the page not be written.
    pub(super) fn write_review(
        &self,
        page: &PageFile,
        preview: &Preview,
        calls: &CallArgs,
        warnings: Warnings,
        next: &NextCommand,
    ) -> Result<(), Error> {
        let ledger = Outlook::of_run(&self.journal, &self.handle, self.target)?;
        let forecast = report::forecast(&self.target.quota, calls, &ledger, self.clock.now(), preview.counts.rows);
        let contract = &self.target.contract;
        let checksum = if let RunKey::Plan(checksum) = &self.same { Some(checksum.clone()) } else { None };
        let review = report::review(self.target, contract.appended(), preview, forecast, warnings, next);
        let rows = report::review_rows(&self.journal, &self.handle.name, &self.facts.shape, contract, &preview.counts);
        page.write_review(&crate::report::page::Review { checksum, ..review }, rows).map_err(report::page_error)
    }

    /// Takes it away: nothing of it is left but the calls that count.
    ///
    /// # Errors
    /// Where the journal can't be written.
    pub(super) fn discard(mut self) -> Result<(), JournalError> {
        if self.goes_on { Ok(()) } else { self.journal.discard(&self.handle) }
    }

    /// Where its results go.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub(super) fn destination(&self, results: Option<&PathBuf>, input: &Source) -> Result<Destination, Error> {
        let input = input.path();
        let name = if self.target.is_emulated { "emulator" } else { &self.handle.name };
        let path = match results {
            Some(path) => path.clone(),
            None if self.goes_on => PathBuf::from(self.journal.run(&self.handle.name)?.facts.results),
            None => default_name(input, name, self.shape()),
        };
        // A run that goes on may be given its own results file: then it is the input, and stays as it is.
        let is_input = input.is_some_and(|input| same_file(input, &path));
        let path = if is_input && results.is_none() {
            default_name(input, &format!("{name}-again"), self.shape())
        } else {
            path
        };
        Ok(Destination::examine(&path, input, self.shape())?)
    }

    fn shape(&self) -> &InputShape {
        &self.facts.shape
    }

    /// Shows it, asks, and sends it. Returns the exit code.
    ///
    /// # Errors
    /// Where the journal or the results fail.
    #[expect(clippy::too_many_arguments, reason = "each is one part of how a run is sent")]
    pub(super) fn ask_and_send(
        mut self,
        runtime: &Runtime,
        args: &SendArgs,
        remember: Duration,
        input: &Source,
        page: Option<PageFile>,
        next: NextStep<'_>,
        terminal: &mut Terminal,
    ) -> Result<u8, Error> {
        let destination = self.destination(args.results.as_ref(), input)?;
        let before = PreviewBuilder {
            target: self.target,
            send: Some(args),
            calls: &args.calls,
            remember,
            input,
            typed: next.typed(),
            clock: self.clock,
        };
        let preview = self.preview(&before)?;
        if !before.confirm(&preview, args, terminal)? {
            self.discard()?;
            let message = "nothing was sent: the answer to the prompt was no".to_owned();
            return Err(Error::Ended { code: exit::STOPPED, message });
        }
        let agreed_at = self.clock.now().boot;
        if !self.goes_on {
            self.facts.results = absolute(destination.path());
            self.journal.publish(&self.handle, &self.facts, &self.same)?;
        }
        let sending = Sending {
            target: self.target,
            scope: &self.scope,
            args,
            remember,
            input: self.facts.input.clone(),
            shape: self.facts.shape,
            destination,
            page,
            looked: self.looked,
            clock: self.clock.clone(),
            agreed_at,
            next,
        };
        sending.send(runtime, self.journal, &self.handle, terminal)
    }
}

/// How many rows are read from the journal and checked at a time.
const BATCH: u32 = 1_000;

/// Holds a run that goes on, if what its rows change is what `contract` allows: the journal may be an altered copy.
///
/// # Errors
/// If another process holds it, or a row holds something that no row is loaded with.
fn hold(journal: &mut Journal, run: &str, contract: &Contract) -> Result<RunHandle, JournalError> {
    let handle = journal.acquire(run)?;
    let mut after = 0;
    loop {
        let rows = journal.pending(&handle, after, BATCH)?;
        let Some(last) = rows.last() else { return Ok(handle) };
        after = last.row;
        for row in &rows {
            check_kept(row, contract).map_err(|why| journal.damaged(format!("row {} of run {run}: {why}", row.row)))?;
        }
    }
}

/// Checks what a row sends, and what it asked for where that is something else.
fn check_kept(row: &PendingRow, contract: &Contract) -> Result<(), String> {
    check_change(contract, &row.change, Lists::MayBeEdits)?;
    if let Some(asked) = &row.asked {
        check_body(contract, asked, Lists::MayBeEdits)?;
    }
    Ok(())
}

/// Says that nothing was sent, and how to send `rows` rows.
///
/// # Errors
/// If `out` fails.
pub(super) fn say_next(mut out: impl io::Write, rows: u64, next: &NextCommand) -> Result<(), Error> {
    if rows == 0 {
        return Ok(writeln!(out, "\nnothing to send")?);
    }
    Ok(writeln!(out, "\nnothing was sent; to send it:\n  {next}")?)
}

/// Says where the report is.
///
/// # Errors
/// Where `out` fails.
pub(super) fn say_report(mut out: impl io::Write, page: &PageFile) -> Result<(), Error> {
    Ok(writeln!(out, "\nreport: {}", printable(&page.path().to_string_lossy()))?)
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}
