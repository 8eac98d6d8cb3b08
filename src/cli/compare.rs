//! `--compare`: incidents are looked at before anything is sent, under the run's own quota and journal; rows that need
//! no update, or can't have one, end here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::arguments::CallArgs;
use super::report::accounted;
use super::send::{explained, settings};
use super::target::Target;
use super::terminal::{Terminal, listen, say};
use crate::apply::events::{Event, Listener};
use crate::apply::{Ending, Stop, Survey, read};
use crate::client::{Client, HttpTransport};
use crate::clock::Clock;
use crate::compare::{Compared, compare, compare_since};
use crate::error::Error;
use crate::exit;
use crate::journal::{Journal, PendingRow, Pick, RunHandle, Sightings};
use crate::outcome::{Outcome, OutcomeKind};
use crate::report::changes::RowChanges;
use crate::report::preview;
use crate::report::progress::Progress;

/// A run whose incidents are to be looked at.
pub(super) struct Comparing<'a> {
    /// Where they are.
    pub(super) target: &'a Target,
    /// How calls are made.
    pub(super) args: &'a CallArgs,
    /// What time it is.
    pub(super) clock: &'a Clock,
}

/// What came of it.
pub(super) enum Looked {
    /// All that could be read was, and is with the rows.
    Over(Journal, preview::Compared),
    /// It was stopped before; nothing was sent. With the exit code.
    Stopped(Journal, u8),
    /// It was ended at once. The exit code.
    EndedAtOnce(u8),
}

/// So many changes stand before the question.
const SHOWN: usize = 5;
/// Rows are compared so many at a time.
const BATCH: u32 = 500;

impl Comparing<'_> {
    /// Looks at the incidents of the rows that are not over, and ends those rows that need no update.
    ///
    /// # Errors
    /// Where the journal fails, or there is no token.
    pub(super) fn look(
        &self,
        runtime: &tokio::runtime::Runtime,
        mut journal: Journal,
        run: &RunHandle,
        terminal: &Terminal,
    ) -> Result<Looked, Error> {
        let contract = &self.target.contract;
        let settings = settings(self.target, self.args, Duration::ZERO);
        let mut survey = Survey::new(journal.incidents(run)?);
        let incidents = survey.incidents();
        if incidents == 0 {
            return Ok(Looked::Over(journal, preview::Compared::new(0, Some(0))));
        }
        if !terminal.quiet {
            say(&preview::looking(incidents, survey.calls()));
        }
        journal.begin_session(run, settings.quota.longest(), Duration::ZERO, contract.appended())?;
        let transport = HttpTransport::new(&self.target.origin, self.args.concurrency as usize)?;
        let tokens = self.target.tokens.clone().ok_or(Error::NoToken)?;
        let client = Arc::new(Client::new(transport, tokens, contract, self.clock.clone()));
        let progress = Progress::new(terminal.screen(), self.clock.clone(), terminal.colour_err);
        let mut listener = Onlooker(progress);
        listener.0.hear(&Event::Looking(Some(incidents)));

        let begun = self.clock.now().wall;
        let read = runtime.block_on(async {
            let signals = listen(self.clock.clone())?;
            let clock = self.clock.clone();
            let reading = read(journal, client, settings, clock, signals.stop, &mut survey, &mut listener);
            tokio::select! {
                read = reading => read.map(Ok).map_err(Error::from),
                code = signals.end_at_once => Ok(Err(code.unwrap_or(exit::INTERRUPTED))),
            }
        })?;
        drop(listener);
        let ends = match read {
            Ok(ends) => ends,
            // What was loaded is removed by the next start.
            Err(code) => return Ok(Looked::EndedAtOnce(code)),
        };
        let mut journal = ends.journal;
        if let Ending::Stopped(stop) = &ends.ending {
            say(&format!("stopped before anything was sent: {}", explained(stop, contract)));
            let refused = matches!(stop, Stop::Unauthorized { .. } | Stop::Forbidden { .. });
            return Ok(Looked::Stopped(journal, if refused { exit::NOT_ALLOWED } else { exit::STOPPED }));
        }
        let mut compared = preview::Compared::new(incidents, Some(ends.calls));
        self.settle(&mut journal, run, begun, &mut compared)?;
        Ok(Looked::Over(journal, compared))
    }

    /// Compares each row with what was seen of its incident. What other runs made before `begun` counts no more where
    /// that shows otherwise.
    fn settle(
        &self,
        journal: &mut Journal,
        run: &RunHandle,
        begun: jiff::Timestamp,
        compared: &mut preview::Compared,
    ) -> Result<(), Error> {
        let now = self.clock.now().wall;
        let mut after = 0;
        loop {
            let rows = journal.pending(run, after, BATCH)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.row;
            let mut settled = Vec::new();
            for row in &rows {
                match self.compared(journal, run, row)? {
                    None => {}
                    Some(Compared::Ends(outcome)) => {
                        compared.add_end(&outcome, row.line);
                        settled.push((row.row, Some(Outcome { finished_at: Some(now), ..outcome })));
                    }
                    Some(Compared::Changes(differences)) => {
                        if !differences.is_empty() {
                            settled.push((row.row, None));
                        }
                        compared.changing += 1;
                        if compared.first.len() < SHOWN {
                            compared.first.push(self.changes(row, differences));
                        }
                    }
                }
            }
            journal.compared(run, begun, &settled)?;
        }
    }

    fn compared(&self, journal: &Journal, run: &RunHandle, row: &PendingRow) -> Result<Option<Compared>, Error> {
        if row.is_in_doubt {
            return Ok(None);
        }
        let Some(Sightings { now, planned, is_touched }) = journal.seen(run, row.row)? else { return Ok(None) };
        Ok(Some(match planned {
            // What this run itself has changed is no change since.
            Some(planned) if !is_touched => compare_since(&row.change, &planned, &now, self.appended()),
            _ => compare(&row.change, &now, self.appended()),
        }))
    }

    /// Each row that is to be sent, with what it changes.
    ///
    /// # Errors
    /// Where the journal can't be read, or `show` fails.
    pub(super) fn each_change(
        &self,
        journal: &Journal,
        run: &RunHandle,
        mut show: impl FnMut(RowChanges) -> io::Result<()>,
    ) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let rows = journal.pending(run, after, BATCH)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.row;
            for row in &rows {
                if let Some(Compared::Changes(differences)) = self.compared(journal, run, row)? {
                    show(self.changes(row, differences))?;
                }
            }
        }
    }

    fn changes(&self, row: &PendingRow, differences: Vec<crate::compare::Difference>) -> RowChanges {
        let change = &row.change;
        RowChanges::new(row.line, change.incident.get(), &change.body, differences, self.appended())
    }

    fn appended(&self) -> &str {
        self.target.contract.appended().unwrap_or_default()
    }
}

/// What was seen when the plan was made that this run is loaded from.
///
/// # Errors
/// Where the journal can't be read.
pub(super) fn as_planned(journal: &Journal, run: &RunHandle) -> Result<preview::Compared, Error> {
    let mut compared = preview::Compared::new(0, None);
    for row in accounted(journal, &run.name, Pick::NoneOf(&[])) {
        let row = row?;
        compared.incidents += u64::from(row.before.is_some());
        match row.result.outcome.kind {
            OutcomeKind::NotAttempted => compared.changing += 1,
            OutcomeKind::Invalid => {}
            _ => compared.add_end(&row.result.outcome, row.result.line),
        }
    }
    Ok(compared)
}

/// Shows the progress of a look.
pub(super) struct Onlooker(pub(super) Progress);

impl Listener for Onlooker {
    fn hear(&mut self, event: Event) -> io::Result<()> {
        self.0.hear(&event);
        Ok(())
    }
}
