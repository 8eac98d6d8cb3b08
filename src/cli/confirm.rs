//! The preview of a run, and the prompt.

use std::io::{self, BufRead, BufReader, IsTerminal as _};
use std::time::Duration;

use super::arguments::{CallArgs, SendArgs};
use super::known_options::with_short_paths;
use super::next_step;
use super::row_options::{comment_note, notes};
use super::target::Target;
use super::terminal::{Terminal, say};
use crate::cli::error::Error;
use crate::contract::PropertyKind;
use crate::files::open_terminal;
use crate::input::{InputShape, Source};
use crate::journal::PriorRuns;
use crate::model::setting::Settings;
use crate::output::results::Destination;
use crate::report::humanize::counted;
use crate::report::next_command::NextCommand;
use crate::report::preview::Preview;
use crate::report::prompt::{Confirmation, ask};
use crate::session::{PreparedRun, PreviewOptions, SetCounts};

/// More rows need more than a `y`.
const UNTYPED: u64 = 1_000;

/// A run that is about to be sent.
pub(super) struct PreviewBuilder<'a> {
    /// Where it goes.
    pub(super) target: &'a Target,
    /// How requests are sent.
    pub(super) calls: &'a CallArgs,
    /// How it is sent; `None` if it is only shown.
    pub(super) send: Option<&'a SendArgs>,
    /// The dedup window.
    pub(super) remember: Duration,
    /// Its input, as it was named.
    pub(super) input: &'a Source,
    /// The options of this command line, as they were typed.
    pub(super) typed: &'a Settings,
}

impl PreviewBuilder<'_> {
    /// What a run would do.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn of_run(&self, run: &PreparedRun) -> Result<Preview, Error> {
        let (remember, concurrency) = (self.remember, self.calls.concurrency);
        let stop_after = self.send.and_then(|send| send.stop_after);
        let previewed = run.preview(&PreviewOptions { remember, concurrency, stop_after })?;
        let imported = &run.imported;
        let mut notes = notes(imported.kind, imported.all, imported.skipped);
        // A plan or a run that is resumed keeps its comments.
        if imported.all > 0 {
            let comments = previewed.counts.comments;
            notes.extend(comment_note(&self.target.contract, self.typed.has("--comment-as"), comments));
        }
        let tokens = self.target.tokens.as_ref().filter(|tokens| !tokens.renews_itself());
        Ok(Preview {
            target: self.target.shown(),
            contract: self.target.contract_if_not_built_in(),
            input: self.input.name().into_owned(),
            notes,
            alerts: self.alerts(&previewed.counts.sets),
            doubtful: self.doubtful(&previewed.counts.sets),
            token_expires: tokens.and_then(|tokens| tokens.claims().expires),
            finish: self.finish(run, previewed.earlier.as_ref())?,
            first_requests: Vec::new(),
            run: previewed,
        })
    }

    /// What the service does to the alerts of these incidents.
    fn alerts(&self, sets: &SetCounts) -> Vec<String> {
        let contract = &self.target.contract;
        let resolved = contract.resolving.as_ref().map_or(0, |rule| sets.rows_with(&rule.property, &rule.value));
        let owner = sets.properties().iter().find(|counts| counts.property == contract.api.incident.owner);
        let assigned = owner.map_or(0, |counts| counts.rows - counts.clears);
        [("active", resolved, "resolved"), ("all", assigned, "assigned")]
            .into_iter()
            .filter(|(_, rows, _)| *rows > 0)
            .map(|(which, rows, done)| format!("{which} alerts of {} will be {done}, too", counted(rows, "incident")))
            .collect()
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

    /// The commands that finish the unfinished runs that have changes for the same incidents.
    fn finish(&self, run: &PreparedRun, earlier: Option<&PriorRuns>) -> Result<Vec<NextCommand>, Error> {
        let finish = |name: &String| {
            let kept = run.history().map(|history| history.run(name)).transpose()?;
            let kept = kept.map(|run| with_short_paths(&run.facts.typed)).unwrap_or_default();
            let typed = self.typed.filtered(|setting| setting.name == "--state-dir").or(&kept);
            Ok(next_step::resume(name, &typed))
        };
        earlier.iter().flat_map(|earlier| earlier.unfinished.keys()).map(finish).collect()
    }

    /// Shows it and asks, unless `--yes` has answered or nothing is to be sent.
    ///
    /// # Errors
    /// If there is nobody to prompt.
    pub(super) fn confirm(&self, preview: &Preview, send: &SendArgs, terminal: &Terminal) -> Result<bool, Error> {
        if !terminal.quiet || !send.yes {
            // If standard error is closed, the run is sent anyway.
            let _ = preview.write(io::stderr(), terminal.err);
            self.target.announced();
            if preview.run.counts.rows == 0 {
                say("nothing to send");
            }
        }
        if preview.run.counts.rows == 0 || send.yes {
            return Ok(true);
        }
        let (rows, clears) = (preview.run.counts.rows, preview.run.counts.sets.clears());
        let yes = if clears || rows > UNTYPED { Confirmation::Number(rows) } else { Confirmation::Word };
        let mut updates = counted(rows, "update");
        if preview.run.counts.requests != rows {
            updates = format!("{updates} ({})", counted(preview.run.counts.requests, "request"));
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

/// Finds what would stop a run later, before a large file is read: there is nobody to ask, or the results can't be written
/// where `--results` says.
///
/// # Errors
/// What was found.
pub(super) fn expect_all(send: &SendArgs, input: &Source, shape: &InputShape) -> Result<(), Error> {
    can_ask(send, input)?;
    send.results.as_ref().map(|results| Destination::examine(results, input.path(), shape)).transpose()?;
    Ok(())
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
