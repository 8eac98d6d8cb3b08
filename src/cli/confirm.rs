//! What stands before the question: what a run would do, how long it takes, what was made before; and the question.

use std::io::{self, BufRead, BufReader, IsTerminal as _};
use std::time::Duration;

use super::arguments::{CallArgs, SendArgs};
use super::next_step;
use super::row_options::notes;
use super::target::Target;
use super::terminal::{Terminal, say};
use crate::cli::error::Error;
use crate::clock::Now;
use crate::contract::PropertyKind;
use crate::files::open_terminal;
use crate::input::Source;
use crate::journal::{History, PriorRuns};
use crate::model::setting::Settings;
use crate::report::humanize::counted;
use crate::report::preview::{self, FirstRequest, Preview};
use crate::report::prompt::{Confirmation, ask};
use crate::session::{self, DryRun, Imported, Outlook, PreparedRun, PreviewOptions, SetCounts};

/// More rows are not sent for a mere `y`.
const UNTYPED: u64 = 1_000;

/// A run that is about to be sent.
pub(super) struct PreviewBuilder<'a> {
    /// Where it goes.
    pub(super) target: &'a Target,
    /// How calls are made.
    pub(super) calls: &'a CallArgs,
    /// How it is sent, where it is.
    pub(super) send: Option<&'a SendArgs>,
    /// How long a change made by an earlier run counts as made.
    pub(super) remember: Duration,
    /// Its input, as it was named.
    pub(super) input: &'a Source,
    /// The options of this command line, as they were typed.
    pub(super) typed: &'a Settings,
}

impl PreviewBuilder<'_> {
    /// Of a run in the journal.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn of_run(&self, run: &PreparedRun) -> Result<Preview, Error> {
        let previewed = run.preview(&self.options())?;
        let resumes = previewed.resumed.map(|over| preview::HistoryNote::GoesOn { run: run.handle.name.clone(), over });
        let notes = self.history(&previewed.earlier, Some(&run.journal))?;
        let history = Some(resumes.into_iter().chain(notes).collect());
        Ok(self.preview(previewed, &run.imported, history, Vec::new()))
    }

    /// Of a dry run. `earlier` is `None` if the tenant is not known.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn of_dry_run(
        &self,
        run: DryRun,
        outlook: &Outlook,
        now: Now,
        first_requests: Vec<FirstRequest>,
        journal: Option<&History>,
    ) -> Result<Preview, Error> {
        let history = self.target.scope.as_ref().map(|_| self.history(&run.earlier, journal)).transpose()?;
        let (previewed, imported) = run.preview(outlook, &self.target.quota, &self.options(), now);
        Ok(self.preview(previewed, &imported, history, first_requests))
    }

    /// How the run would be sent.
    pub(super) fn options(&self) -> PreviewOptions {
        let (remember, concurrency) = (self.remember, self.calls.concurrency);
        PreviewOptions { remember, concurrency, stop_after: self.send.and_then(|send| send.stop_after) }
    }

    fn preview(
        &self,
        previewed: session::Preview,
        imported: &Imported,
        history: Option<Vec<preview::HistoryNote>>,
        first_requests: Vec<FirstRequest>,
    ) -> Preview {
        let session::Preview { counts, compared, retargeted, first_changes, estimate, .. } = previewed;
        Preview {
            target: self.target.shown(),
            contract: self.target.contract_if_not_built_in(),
            input: self.input.name().into_owned(),
            notes: notes(imported.kind, imported.all, imported.skipped),
            doubtful: self.doubtful(&counts.sets),
            counts,
            first_changes,
            compared,
            followed: retargeted,
            overridden: imported.overridden.clone(),
            starts_at: estimate.starts_at,
            duration: estimate.duration,
            stop_after: estimate.stop_after,
            token_expires: self.target.tokens.as_ref().and_then(|tokens| tokens.claims().expires),
            earlier: history,
            first_requests,
        }
    }

    /// What is set that the contract calls doubtful, repeated before the prompt.
    fn doubtful(&self, sets: &SetCounts) -> Vec<(u64, String)> {
        let choices = self.target.contract.properties.iter().flat_map(|property| match &property.kind {
            PropertyKind::Choice(choices) => choices.iter().map(|choice| (&property.name, choice)).collect(),
            _ => Vec::new(),
        });
        let doubts = choices.filter_map(|(property, choice)| {
            let why = choice.doubtful.as_ref().filter(|_| !choice.doubtful_spelling)?;
            let rows = sets.rows_with(property, &choice.value);
            (rows > 0).then(|| (rows, format!("{property} to `{}`: {why}", choice.value)))
        });
        doubts.collect()
    }

    fn history(&self, earlier: &PriorRuns, journal: Option<&History>) -> Result<Vec<preview::HistoryNote>, Error> {
        let mut shown = Vec::new();
        for ((run, again), made) in &earlier.made {
            shown.push(preview::HistoryNote::Made { run: run.clone(), at: made.last, rows: made.rows, again: *again });
        }
        for (run, incidents) in &earlier.unfinished {
            let kept = journal.map(|journal| journal.run(run)).transpose()?.map(|run| run.facts.typed);
            let typed = self.typed.filtered(|setting| setting.name == "--state-dir").or(&kept.unwrap_or_default());
            let finish = next_step::resume(run, &typed);
            shown.push(preview::HistoryNote::Unfinished { run: run.clone(), incidents: *incidents, finish });
        }
        Ok(shown)
    }

    /// Shows it and asks, unless `--yes` has answered or nothing is to be sent.
    ///
    /// # Errors
    /// Where there is nobody to ask.
    pub(super) fn confirm(&self, preview: &Preview, send: &SendArgs, terminal: &Terminal) -> Result<bool, Error> {
        if !terminal.quiet || !send.yes {
            // A standard error that is gone is no reason not to send.
            let _ = preview.write(io::stderr(), terminal.err);
            self.target.announced();
        }
        if preview.counts.rows == 0 {
            say("nothing to send");
        }
        if preview.counts.rows == 0 || send.yes {
            return Ok(true);
        }
        let (rows, clears) = (preview.counts.rows, preview.counts.sets.clears());
        let yes = if clears || rows > UNTYPED { Confirmation::Number(rows) } else { Confirmation::Word };
        let mut updates = counted(rows, "update");
        if preview.counts.requests != rows {
            updates = format!("{updates} ({})", counted(preview.counts.requests, "request"));
        }
        let question = if clears {
            format!("This sends {updates} and clears or replaces values.")
        } else {
            format!("Send {updates}?")
        };
        let answer = asked(self.input).and_then(|answers| ask(&question, yes, answers, io::stderr()));
        let is_agreed = answer.map_err(|source| Error::Io { what: "cannot prompt", source })?;
        if !is_agreed {
            say("nothing was sent");
        }
        Ok(is_agreed)
    }
}

/// Whether `--yes` is said or there is somebody to ask.
///
/// # Errors
/// Where there is not, with what to do.
pub(super) fn can_ask(send: &SendArgs, input: &Source) -> Result<(), Error> {
    if send.yes || asked(input).is_ok() {
        return Ok(());
    }
    Err(Error::Usage {
        message: "cannot prompt: no terminal".to_owned(),
        hint: Some("use --yes to send without a prompt, or --dry-run to see what would be sent".to_owned()),
    })
}

/// Where an answer comes from: standard input, or the terminal itself if a run's rows come, or came, from there.
///
/// # Errors
/// If that is no terminal.
fn asked(input: &Source) -> io::Result<Box<dyn BufRead>> {
    match input {
        Source::StandardInput => Ok(Box::new(BufReader::new(open_terminal()?))),
        Source::File(_) if io::stdin().is_terminal() => Ok(Box::new(io::stdin().lock())),
        Source::File(_) => Err(io::Error::other("cannot prompt: standard input is not a terminal")),
    }
}
