//! `--compare`: incidents are looked at before anything is sent, under the run's own quota and journal; rows that need
//! no update, or can't have one, end here.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::read_calls::ReadCalls;
use super::report::report_rows;
use super::send::{code_of, stop_message};
use super::terminal::{Terminal, say};
use crate::apply::{PreflightSource, ReadEnd};
use crate::cli::error::Error;
use crate::clock::BootTime;
use crate::compare::{Diff, compare, compare_since, parts};
use crate::journal::{Contradiction, DiffResult, Journal, PendingRow, ReadScope, RowFilter, RunHandle, Snapshots};
use crate::model::change::IncidentId;
use crate::model::list_edit::resolve_edits;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
use crate::model::snapshot::Snapshot;
use crate::report::diff_line::RowDiff;
use crate::report::preview::{self, Counts};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct PreflightOptions {
    /// Whose incidents.
    pub(super) at: ReadScope,
    /// Whether rows whose incident was merged into another one update that one instead; else they are not sent.
    pub(super) follows: bool,
}

/// An incident that was merged so many times is followed no further: it may go round in a circle.
const HOPS: usize = 5;

/// What came of it.
pub(super) enum PreflightEnd {
    /// All that could be read was, and is with the rows.
    Over(Journal, PreflightStats),
    /// It was stopped before; nothing was sent. With the error of the command.
    Stopped(Journal, Error),
}

/// The requests of a look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    /// All of them.
    pub(super) calls: u64,
    /// The 429s among the responses.
    pub(super) throttled: u64,
    /// How long they took.
    pub(super) lasted: Duration,
}

/// A look that is over.
pub(super) struct PreflightStats {
    /// The rows whose incidents were: what is known of others is from an earlier look.
    rows: HashSet<u64>,
    /// So many incidents,
    incidents: u64,
    /// by these requests,
    looks: Looks,
    /// from then on.
    begun: BootTime,
}

/// Rows are compared so many at a time.
const BATCH: u32 = 500;

impl PreflightStats {
    /// The requests that it took.
    pub(super) fn looks(&self) -> Looks {
        self.looks
    }
}

impl ReadCalls<'_> {
    /// Looks at the incidents of the rows that are not over.
    ///
    /// # Errors
    /// Where the journal fails, there is no token, or it is ended at once.
    pub(super) fn survey(
        &self,
        runtime: &Runtime,
        mut journal: Journal,
        run: &RunHandle,
        look: PreflightOptions,
        terminal: &Terminal,
    ) -> Result<PreflightEnd, Error> {
        let contract = &self.target.contract;
        let mut rows = journal.incidents(run, look.at)?;
        let looked_at = rows.iter().map(|(_, row)| *row).collect();
        let mut surveyed =
            PreflightStats { rows: looked_at, incidents: 0, looks: Looks::default(), begun: self.clock.now().boot };
        if !rows.is_empty() {
            journal.begin_session(run, self.target.quota.longest(), Duration::ZERO, contract.appended())?;
        }
        for hop in 0..=HOPS {
            if rows.is_empty() {
                break;
            }
            let mut survey = PreflightSource::new(rows);
            let incidents = survey.incidents();
            if !terminal.quiet {
                let why = if hop == 0 { preview::ReadReason::First } else { preview::ReadReason::Merged };
                say(&preview::looking(why, incidents, survey.calls()));
            }
            // If it is ended at once, what was loaded is removed by the next start.
            let ends = self.read(runtime, journal, &mut survey, (Some(incidents), 0), terminal)?;
            if let ReadEnd::Stopped(stop) = &ends.end {
                let message = format!("stopped before anything was sent: {}", stop_message(stop, contract));
                say(&message);
                return Ok(PreflightEnd::Stopped(ends.journal, Error::Ended { code: code_of(stop), message }));
            }
            journal = ends.journal;
            surveyed.incidents += incidents;
            surveyed.looks.calls += ends.calls;
            surveyed.looks.throttled += ends.throttled;
            rows = if look.follows && hop < HOPS { journal.retarget(run)? } else { Vec::new() };
        }
        surveyed.looks.lasted = self.clock.now().boot.since(surveyed.begun);
        Ok(PreflightEnd::Over(journal, surveyed))
    }

    /// Compares each row with what was seen of its incident, and ends those that need no update, or can't have one. What
    /// other runs made before the look counts no more where that shows otherwise.
    ///
    /// # Errors
    /// Where the journal fails.
    pub(super) fn apply_diffs(
        &self,
        journal: &mut Journal,
        run: &RunHandle,
        surveyed: &PreflightStats,
    ) -> Result<preview::PreflightSummary, Error> {
        let mut compared = preview::PreflightSummary::new(surveyed.incidents, Some(surveyed.looks.calls));
        let now = self.clock.now().wall;
        let contradicting: HashMap<u64, Diff> =
            journal.contradicting(run)?.iter().map(|found| (found.row, contradiction(found))).collect();
        let mut after = 0;
        loop {
            let rows = journal.pending(run, after, BATCH)?;
            let Some(last) = rows.last() else { return Ok(compared) };
            after = last.row;
            let contradicts = |row: &PendingRow| contradicting.get(&row.row).filter(|_| !row.is_in_doubt);
            // What is known of rows that were not read now is old.
            let is_known = |row: &PendingRow| contradicts(row).is_some() || surveyed.rows.contains(&row.row);
            let rows: Vec<PendingRow> = rows.into_iter().filter(is_known).collect();
            let snapshots = journal.snapshots(run, &rows.iter().map(|row| row.row).collect::<Vec<_>>())?;
            let judged = rows.into_iter().filter_map(|row| {
                let contradicts = contradicts(&row);
                let loaded = Arc::clone(&row.change.body);
                let snapshots = snapshots.get(&row.row)?;
                let (row, said) = self.said_of(row, snapshots);
                Some((row, loaded, contradicts.cloned().or(said)))
            });
            let judged: Vec<(PendingRow, Arc<str>, Option<Diff>)> = judged.collect();
            let is_already_so = |said: &Option<Diff>| matches!(said, Some(Diff::Ends(outcome)) if outcome.code == OutcomeCode::AlreadySo);
            let already_so: Vec<&PendingRow> =
                judged.iter().filter(|(.., said)| is_already_so(said)).map(|(row, ..)| row).collect();
            let set_differently =
                journal.are_just_set_differently(run, &already_so, surveyed.begun, Some(self.appended()))?;
            let set_differently = already_so.iter().zip(set_differently).filter(|(_, is_set)| *is_set);
            let set_differently: HashSet<u64> = set_differently.map(|(row, _)| row.row).collect();
            let mut settled = Vec::new();
            for (mut row, loaded, mut said) in judged {
                if set_differently.contains(&row.row) {
                    // The read may be older than that.
                    said = Some(Diff::Changes(Vec::new()));
                } else if said == Some(Diff::Changes(Vec::new())) {
                    row.change.body = comment_alone(&row, self.appended());
                }
                let body = (row.change.body != loaded).then(|| Arc::clone(&row.change.body));
                let mut one = DiffResult { row: row.row, outcome: None, is_otherwise: false, body };
                match said {
                    Some(Diff::Ends(outcome)) => {
                        compared.add_end(&outcome, row.line);
                        one.outcome = Some(Outcome { finished_at: Some(now), ..outcome });
                    }
                    Some(Diff::Changes(differences)) => {
                        one.is_otherwise = !differences.is_empty();
                    }
                    None => {}
                }
                settled.push(one);
            }
            journal.compared(run, surveyed.begun, &settled)?;
        }
    }

    /// What comparing says of a row, and the row with whole lists where it changes some. `None` of one in doubt whose
    /// doubt has to be cleared up first.
    fn said_of(&self, mut row: PendingRow, sightings: &Snapshots) -> (PendingRow, Option<Diff>) {
        if let (Some(asked), Snapshot::There(before)) = (&row.asked, &sightings.now) {
            // Without list changes that is what was asked for.
            match resolve_edits(asked, &before.values) {
                Ok(body) => row.change.body = body.into(),
                Err(property) => {
                    let outcome = unlisted(&property, row.is_in_doubt);
                    return (row, Some(Diff::Ends(outcome)));
                }
            }
        }
        if !row.is_in_doubt {
            let compared = self.compared(&row, sightings);
            return (row, Some(compared));
        }
        if row.change.appends {
            return (row, None);
        }
        // It may be sent again, and it may be so because it was made.
        let compared = match self.compared(&row, sightings) {
            Diff::Ends(outcome) if outcome.kind == OutcomeKind::Unchanged => Diff::Ends(Outcome::found_by_reading()),
            Diff::Ends(outcome) if outcome.code == OutcomeCode::Unreadable => {
                Diff::Ends(Outcome { kind: OutcomeKind::InDoubt, ..outcome })
            }
            other => other,
        };
        (row, Some(compared))
    }

    fn compared(&self, row: &PendingRow, sightings: &Snapshots) -> Diff {
        let same_as = self.target.contract.same_as();
        match &sightings.planned {
            // What this run itself has changed is no change since.
            Some(planned) if !sightings.is_touched => {
                compare_since(&row.change, planned, &sightings.now, self.appended(), &same_as)
            }
            _ => compare(&row.change, &sightings.now, self.appended(), &same_as),
        }
    }

    /// The first `limit` rows that will be sent, with what they change.
    ///
    /// # Errors
    /// Where the journal can't be read, or `show` fails.
    pub(super) fn each_change(
        &self,
        journal: &Journal,
        run: &RunHandle,
        counts: &Counts,
        limit: usize,
        mut show: impl FnMut(RowDiff) -> io::Result<()>,
    ) -> Result<(), Error> {
        let (mut after, mut shown) = (0, 0);
        loop {
            let rows = journal.pending(run, after, BATCH)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.row;
            // Of those in doubt, that comes first.
            let sent = rows.iter().filter(|row| !row.is_in_doubt && !counts.left_out.contains_key(&row.row));
            let sent: Vec<&PendingRow> = sent.collect();
            let snapshots = journal.snapshots(run, &sent.iter().map(|row| row.row).collect::<Vec<_>>())?;
            for row in sent {
                if shown == limit {
                    return Ok(());
                }
                let Some(sightings) = snapshots.get(&row.row) else { continue };
                if let Diff::Changes(differences) = self.compared(row, sightings) {
                    let repeats = counts.without_comment.contains(&row.row);
                    let sets = parts(&row.change.body, self.appended()).0.filter(|_| repeats);
                    let body = sets.as_deref().unwrap_or(&row.change.body);
                    show(self.changes(row, body, differences))?;
                    shown += 1;
                }
            }
        }
    }

    fn changes(&self, row: &PendingRow, body: &str, differences: Vec<crate::compare::PropertyDiff>) -> RowDiff {
        let changes = RowDiff::new(row.line, row.change.incident.get(), body, differences, self.appended());
        RowDiff { merged: row.merged.map(IncidentId::get), ..changes }
    }

    fn appended(&self) -> &str {
        self.target.contract.appended().unwrap_or_default()
    }
}

/// The body of a row whose properties are all set already, without them.
fn comment_alone(row: &PendingRow, appended: &str) -> Arc<str> {
    parts(&row.change.body, appended).1.map_or_else(|| Arc::clone(&row.change.body), Arc::from)
}

/// The incident does not show a list that the row changes: it is not to be taken for an empty one.
fn unlisted(property: &str, is_in_doubt: bool) -> Outcome {
    let what = format!("the response lacks {property}, which the row changes, or it contains an access token");
    if is_in_doubt {
        return Outcome::new(
            OutcomeKind::InDoubt,
            OutcomeCode::Unreadable,
            format!("it may have been applied: {what}"),
        );
    }
    Outcome::new(OutcomeKind::Failed, OutcomeCode::Unreadable, format!("not sent: {what}"))
}

fn contradiction(found: &Contradiction) -> Diff {
    let Contradiction { target, other_line, .. } = found;
    let message = format!("not sent: conflicting changes to incident {target}: here and on line {other_line}");
    Diff::Ends(Outcome::new(OutcomeKind::Failed, OutcomeCode::Contradiction, message))
}

/// What was seen when the plan was made that this run is loaded from.
///
/// # Errors
/// Where the journal can't be read.
pub(super) fn as_planned(journal: &Journal, run: &RunHandle) -> Result<preview::PreflightSummary, Error> {
    let mut compared = preview::PreflightSummary::new(0, None);
    for row in report_rows(journal, &run.name, RowFilter::NoneOf(&[])) {
        let row = row?;
        compared.incidents += u64::from(row.before.is_some());
        match row.result.outcome.kind {
            OutcomeKind::NotAttempted | OutcomeKind::Invalid => {}
            _ if row.result.outcome.code == OutcomeCode::NothingAsked => {}
            _ => compared.add_end(&row.result.outcome, row.result.line),
        }
    }
    Ok(compared)
}
