//! What stands before the question: what a run would do, how long it takes, what was made before; and the question.

use std::io::{self, BufRead, BufReader, IsTerminal as _};
use std::time::Duration;

use super::arguments::{CallArgs, SendArgs};
use super::load::Loaded;
use super::next_step;
use super::outlook::Outlook;
use super::read_calls::ReadCalls;
use super::target::Target;
use super::terminal::{Terminal, say};
use crate::cli::error::Error;
use crate::clock::Clock;
use crate::compare::parts;
use crate::contract::PropertyKind;
use crate::files::open_terminal;
use crate::input::Source;
use crate::journal::{History, Journal, PendingRow, PriorRuns, RunHandle, Snapshots, WillSend};
use crate::model::outcome::{OutcomeCode, OutcomeKind};
use crate::model::snapshot::Snapshot;
use crate::model::typed::Typed;
use crate::quota::{Buckets, Forecast, arrival};
use crate::report::humanize::counted;
use crate::report::preview::{self, Counter, Counts, FirstRequest, Preview, Recorded, SetCounts};
use crate::report::prompt::{Confirmation, ask};

/// The maximum number of changes shown before the prompt.
const SHOWN: usize = 5;

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
    pub(super) typed: &'a Typed,
    /// What time it is.
    pub(super) clock: &'a Clock,
}

impl PreviewBuilder<'_> {
    /// Of a run in the journal.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub(super) fn of_run(
        &self,
        journal: &Journal,
        run: &RunHandle,
        loaded: &Loaded,
        goes_on: bool,
        compared: Option<preview::PreflightSummary>,
    ) -> Result<Preview, Error> {
        let (mut counts, earlier) = self.count(journal, run)?;
        let ledger = Outlook::of_run(journal, run, self.target)?;
        let mut over = 0;
        for group in journal.outcome_groups(&run.name)? {
            match group.kind {
                OutcomeKind::Invalid => counts.invalid += group.rows,
                OutcomeKind::InDoubt | OutcomeKind::NotAttempted => {}
                _ if group.code == OutcomeCode::NothingAsked => counts.nothing_asked += group.rows,
                _ => over += group.rows,
            }
        }
        // Those that ended by the look are counted by it.
        over -= compared.as_ref().map_or(0, preview::PreflightSummary::ended).min(over);
        if !goes_on {
            counts.ended_in_plan = over;
        }
        counts.limited = loaded.limited;
        let mut first_changes = Vec::new();
        if compared.is_some() {
            let looking = ReadCalls { target: self.target, calls: self.calls, clock: self.clock };
            looking.each_change(journal, run, &counts, SHOWN, |change| {
                first_changes.push(change);
                Ok(())
            })?;
        }
        let goes_on = goes_on.then(|| preview::HistoryNote::GoesOn { run: run.name.clone(), over });
        let shown = goes_on.into_iter().chain(self.shown(&earlier, Some(journal))?).collect();
        let followed = journal.retargeted(run, preview::NAMED)?;
        let preview = self.preview(counts, loaded, Some(shown), &ledger, Vec::new());
        Ok(Preview { compared, followed, first_changes, ..preview })
    }

    /// Counts the rows of a run that have no outcome: those that will be sent, and those that are left out because of
    /// other rows and runs.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn count(&self, journal: &Journal, run: &RunHandle) -> Result<(Counts, PriorRuns), Error> {
        let appended = self.target.contract.appended();
        let (mut counter, mut earlier, mut after) = (Counter::default(), PriorRuns::default(), 0);
        loop {
            let rows = journal.pending(run, after, 1_000)?;
            let Some(last) = rows.last() else { return Ok((counter.finish(), earlier)) };
            after = last.row;
            let first = rows.iter().filter(|row| counter.is_first(row.row, row.change.incident, row.asked()));
            let first: Vec<&PendingRow> = first.collect();
            let will_send = journal.add_prior_runs(run, &first, self.remember, appended, &mut earlier)?;
            // Only lists are counted by what they were.
            let has_list = |row: &&&PendingRow| row.is_recorded && row.change.body.contains('[');
            let listed: Vec<u64> = first.iter().filter(has_list).map(|row| row.row).collect();
            let snapshots = journal.snapshots(run, &listed)?;
            for (row, will_send) in first.into_iter().zip(will_send) {
                if will_send == WillSend::Nothing {
                    counter.leave_out_applied(row.row);
                    continue;
                }
                let body = if row.is_recorded { &row.change.body } else { row.asked() };
                let without = (will_send == WillSend::WithoutComment)
                    .then(|| parts(body, appended.unwrap_or_default()).0.unwrap_or_default());
                if without.is_some() {
                    counter.leave_out_comment(row.row);
                }
                let body = without.as_deref().unwrap_or(body);
                let recorded = match snapshots.get(&row.row).filter(|_| body.contains('[')) {
                    Some(Snapshots { now: Snapshot::There(before), .. }) => Recorded::Values(&before.values),
                    _ if row.is_recorded => Recorded::Yes,
                    _ => Recorded::Nothing,
                };
                counter.add(body, recorded, row.is_in_doubt);
            }
        }
    }

    /// Of a dry run. `earlier` is `None` where the scope is not known.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub(super) fn of_dry_run(
        &self,
        loaded: &Loaded,
        counts: Counts,
        earlier: Option<&PriorRuns>,
        ledger: &Outlook,
        first_requests: Vec<FirstRequest>,
        journal: Option<&History>,
    ) -> Result<Preview, Error> {
        let counts =
            Counts { invalid: loaded.invalid, nothing_asked: loaded.nothing_asked, limited: loaded.limited, ..counts };
        let shown = earlier.map(|earlier| self.shown(earlier, journal)).transpose()?;
        Ok(self.preview(counts, loaded, shown, ledger, first_requests))
    }

    fn preview(
        &self,
        counts: Counts,
        loaded: &Loaded,
        earlier: Option<Vec<preview::HistoryNote>>,
        ledger: &Outlook,
        first_requests: Vec<FirstRequest>,
    ) -> Preview {
        let now = self.clock.now();
        let rows = counts.rows;
        let buckets = Buckets::new(&self.target.quota);
        let end_of = |calls: u64| {
            let ahead = Forecast { calls, concurrency: self.calls.concurrency, latency: ledger.latency };
            if calls == 0 { now.boot } else { arrival(&buckets, &ledger.spent, ledger.pause, now.boot, ahead) }
        };
        let stop_after = self.send.and_then(|send| send.stop_after).map(|after| {
            let (mut fits, mut too_many) = (0, rows + 1);
            while too_many - fits > 1 {
                let middle = fits.midpoint(too_many);
                *if end_of(middle) <= now.boot + after { &mut fits } else { &mut too_many } = middle;
            }
            (after, fits)
        });
        Preview {
            target: self.target.shown(),
            contract: self.target.contract_if_not_built_in(),
            input: self.input.name().into_owned(),
            notes: loaded.notes.clone(),
            doubtful: self.doubtful(&counts.sets),
            counts,
            first_changes: Vec::new(),
            compared: None,
            followed: (0, Vec::new()),
            overridden: loaded.overridden.clone(),
            starts_at: now.wall,
            duration: end_of(rows).since(now.boot),
            stop_after,
            token_expires: self.target.tokens.as_ref().and_then(|tokens| tokens.claims().expires),
            earlier,
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

    fn shown(&self, earlier: &PriorRuns, journal: Option<&History>) -> Result<Vec<preview::HistoryNote>, Error> {
        let mut shown = Vec::new();
        for ((run, again), made) in &earlier.made {
            shown.push(preview::HistoryNote::Made { run: run.clone(), at: made.last, rows: made.rows, again: *again });
        }
        for (run, incidents) in &earlier.unfinished {
            let kept = journal.map(|journal| journal.run(run)).transpose()?.map(|run| run.facts.typed);
            let typed = self.typed.filtered(|option| option == "--state-dir").or(&kept.unwrap_or_default());
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
        let updates = counted(rows, "update");
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
