//! The preflight: incidents are read before anything is sent, under the run's own quota and journal. Rows that need no
//! update, or can't have one, end here.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::counts::Counts;
use super::error::SessionError;
use super::observer::Step;
use super::options::CallOptions;
use super::pages::{Pages, report_rows};
use super::preflight_summary::{PreflightSummary, ReadReason};
use super::prepared_run::{PreparedRun, ReadStats};
use super::row_diff::RowDiff;
use crate::apply::events::{Event, Listener};
use crate::apply::{ApplyError, Completion, PreflightSource, read};
use crate::client::{Client, Transport};
use crate::clock::BootTime;
use crate::compare::{Diff, compare, compare_since};
use crate::contract::SameAs;
use crate::journal::{Contradiction, DiffResult, JournalError, PendingRow, ReadScope, RowFilter, Snapshots};
use crate::model::change::IncidentId;
use crate::model::edit::Edits;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
use crate::model::snapshot::Snapshot;

/// Which incidents are read.
#[derive(Clone, Copy, Debug)]
pub struct PreflightOptions {
    /// Of which rows.
    pub scope: ReadScope,
    /// Whether rows whose incident was merged into another one update that one instead; otherwise they are not sent.
    pub follow_redirects: bool,
}

/// Incidents that are about to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Why.
    pub reason: ReadReason,
    /// How many.
    pub incidents: u64,
    /// The minimum and the maximum number of requests.
    pub requests: (u64, u64),
}

/// Listens to a preflight.
pub trait PreflightListener: Listener {
    /// Incidents are about to be read.
    fn on_reading(&mut self, reading: &Reading);
}

/// Maximum number of merges followed from one incident: they may form a circle.
const HOPS: usize = 5;

/// The result of reading.
#[derive(Debug)]
pub struct PreflightStats {
    /// The rows whose incidents were read; the snapshots of others are from an earlier read.
    rows: HashSet<u64>,
    incidents: u64,
    reads: ReadStats,
    started_at: BootTime,
}

impl PreparedRun {
    /// Whether a preflight of these rows has an incident to read.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn needs_preflight(&self, scope: ReadScope) -> Result<bool, JournalError> {
        Ok(scope != ReadScope::Needed || !self.journal.incidents(&self.handle, scope)?.is_empty())
    }

    /// Reads the incidents of its rows, and ends the rows that need no update, or can't have one.
    ///
    /// # Errors
    /// If the journal fails; if it is stopped: then the run is discarded.
    pub async fn preflight<T: Transport>(
        self,
        client: Arc<Client<T>>,
        options: PreflightOptions,
        calls: &CallOptions,
        stop: watch::Receiver<bool>,
        listener: &mut impl PreflightListener,
    ) -> Result<PreparedRun, SessionError> {
        if !self.needs_preflight(options.scope)? {
            return Ok(self);
        }
        let (mut run, stats) = self.read_incidents(client, options, calls, stop, listener).await?;
        run.compared = Some(run.apply_diffs(&stats)?);
        Ok(run)
    }

    /// Reads the incidents of its rows, and compares nothing.
    ///
    /// # Errors
    /// If the journal fails; if it is stopped: then the run is discarded.
    pub async fn read_incidents<T: Transport>(
        mut self,
        client: Arc<Client<T>>,
        options: PreflightOptions,
        calls: &CallOptions,
        stop: watch::Receiver<bool>,
        listener: &mut impl PreflightListener,
    ) -> Result<(PreparedRun, PreflightStats), SessionError> {
        let mut rows = self.journal.incidents(&self.handle, options.scope)?;
        let mut stats = PreflightStats {
            rows: rows.iter().map(|(_, row)| *row).collect(),
            incidents: 0,
            reads: ReadStats::default(),
            started_at: self.clock.now().boot,
        };
        if !rows.is_empty() {
            self.journal.begin_session(&self.handle, self.target.quota.longest(), Duration::ZERO)?;
        }
        for hop in 0..=HOPS {
            if rows.is_empty() {
                break;
            }
            let mut source = PreflightSource::new(rows, &self.target.contract.api.list.page_sizes);
            let incidents = source.incidents();
            let reason = if hop == 0 { ReadReason::First } else { ReadReason::Merged };
            listener.on_reading(&Reading { reason, incidents, requests: source.calls() });
            listener.on_event(Event::ReadingStarted(Some(incidents))).map_err(SessionError::Listener)?;
            let settings = calls.to_read(&self.target, self.rng.u64(..));
            let (client, stop) = (Arc::clone(&client), stop.clone());
            // If the process ends here, the next start removes what was imported.
            let ends = Box::pin(read(self.journal, client, &settings, stop, &mut source, listener)).await;
            let ends = ends.map_err(|ApplyError { error, .. }| error)?;
            self.journal = ends.journal;
            if let Completion::Stopped(stop) = ends.completion {
                self.discard()?;
                return Err(SessionError::Stopped(stop));
            }
            stats.incidents += incidents;
            stats.reads.calls += ends.requests.calls;
            stats.reads.throttled += ends.requests.throttled;
            let follows = options.follow_redirects && hop < HOPS;
            rows = if follows { self.journal.retarget(&self.handle)? } else { Vec::new() };
        }
        stats.reads.lasted = self.clock.now().boot.since(stats.started_at);
        self.reads = stats.reads;
        Ok((self, stats))
    }

    /// Compares each row with the snapshot of its incident, and ends those that need no update, or can't have one. If a
    /// read shows other values, earlier updates by other runs no longer count.
    fn apply_diffs(&mut self, stats: &PreflightStats) -> Result<PreflightSummary, SessionError> {
        let mut compared = PreflightSummary::new(stats.incidents, Some(stats.reads.calls));
        let now = self.clock.now().wall;
        let contradicting: HashMap<u64, Diff> =
            self.journal.contradicting(&self.handle)?.iter().map(|found| (found.row, contradiction(found))).collect();
        let same_as = self.target.contract.same_as();
        let mut pages = Pages::default();
        while let Some(rows) = pages.pending(&self.journal, &self.handle)? {
            let contradicts = |row: &PendingRow| contradicting.get(&row.row).filter(|_| !row.is_in_doubt);
            // The snapshots of rows that were not read now are old.
            let is_known = |row: &PendingRow| contradicts(row).is_some() || stats.rows.contains(&row.row);
            let rows: Vec<PendingRow> = rows.into_iter().filter(is_known).collect();
            let numbers: Vec<u64> = rows.iter().map(|row| row.row).collect();
            let snapshots = self.journal.snapshots(&self.handle, &numbers)?;
            let judged = rows.into_iter().filter_map(|row| {
                let contradicts = contradicts(&row);
                let loaded = row.change.edits.clone();
                let snapshots = snapshots.get(&row.row)?;
                let (row, diff) = diff_of(row, snapshots, &same_as);
                Some((row, loaded, contradicts.cloned().or(diff)))
            });
            let judged: Vec<(PendingRow, Edits, Option<Diff>)> = judged.collect();
            let is_already_so = |diff: &Option<Diff>| matches!(diff, Some(Diff::Skipped(outcome)) if outcome.code == OutcomeCode::AlreadySo);
            let already_so: Vec<&PendingRow> =
                judged.iter().filter(|(.., diff)| is_already_so(diff)).map(|(row, ..)| row).collect();
            let set_differently = self.journal.are_just_set_differently(&self.handle, &already_so, stats.started_at)?;
            let set_differently = already_so.iter().zip(set_differently).filter(|(_, is_set)| *is_set);
            let set_differently: HashSet<u64> = set_differently.map(|(row, _)| row.row).collect();
            let mut results = Vec::new();
            for (mut row, loaded, mut diff) in judged {
                if set_differently.contains(&row.row) {
                    // The read may be older than our own update.
                    diff = Some(Diff::Changes(Vec::new()));
                } else if diff == Some(Diff::Changes(Vec::new())) {
                    // All properties are already set.
                    row.change.edits = comment_alone(&row.change.edits);
                }
                let edits = (row.change.edits != loaded).then(|| row.change.edits.clone());
                let mut result = DiffResult { row: row.row, outcome: None, differs: false, edits };
                match diff {
                    Some(Diff::Skipped(outcome)) => {
                        compared.add_end(&outcome, row.line);
                        result.outcome = Some(Outcome { finished_at: Some(now), ..outcome });
                    }
                    Some(Diff::Changes(differences)) => {
                        result.differs = !differences.is_empty();
                    }
                    None => {}
                }
                results.push(result);
            }
            self.journal.compared(&self.handle, stats.started_at, &results)?;
            self.observer.tell(Step::Compared);
        }
        Ok(compared)
    }

    /// The summary of the preflight from when this run's plan was created.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn as_planned(&self) -> Result<PreflightSummary, SessionError> {
        let mut compared = PreflightSummary::new(0, None);
        for row in report_rows(&self.journal, &self.handle.name, RowFilter::NoneOf(&[])) {
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

    /// Calls `show` with the first `limit` rows that will be sent.
    ///
    /// # Errors
    /// If the journal can't be read, or `show` fails.
    pub fn each_change(
        &self,
        counts: &Counts,
        limit: usize,
        mut show: impl FnMut(RowDiff) -> io::Result<()>,
    ) -> Result<(), SessionError> {
        let same_as = self.target.contract.same_as();
        let (mut pages, mut shown) = (Pages::default(), 0);
        while let Some(rows) = pages.pending(&self.journal, &self.handle)? {
            // Rows in doubt are resolved first.
            let sent = rows.iter().filter(|row| !row.is_in_doubt && !counts.left_out.contains_key(&row.row));
            let sent: Vec<&PendingRow> = sent.collect();
            let numbers: Vec<u64> = sent.iter().map(|row| row.row).collect();
            let snapshots = self.journal.snapshots(&self.handle, &numbers)?;
            for row in sent {
                if shown == limit {
                    return Ok(());
                }
                let Some(snapshots) = snapshots.get(&row.row) else { continue };
                if let Diff::Changes(mut differences) = diff(row, snapshots, &same_as) {
                    if counts.only_comment.contains(&row.row) {
                        differences.clear();
                    }
                    let repeats = counts.without_comment.contains(&row.row);
                    let added = row.change.edits.added().filter(|_| !repeats || !row.change.edits.sets_any());
                    let changes = RowDiff::new(row.line, row.change.incident.get(), added, differences);
                    show(RowDiff { merged: row.merged.map(IncidentId::get), ..changes })
                        .map_err(SessionError::Listener)?;
                    shown += 1;
                }
            }
        }
        Ok(())
    }
}

/// The diff of a row, and the row with its list edits resolved. `None` if the row's doubt must be resolved first.
fn diff_of(mut row: PendingRow, snapshots: &Snapshots, same_as: &SameAs) -> (PendingRow, Option<Diff>) {
    if let (Some(asked), Snapshot::There(before)) = (&row.asked, &snapshots.now) {
        // Without list edits, what is sent is what was asked for.
        match asked.resolve(&before.values) {
            Ok(edits) => row.change.edits = edits.into(),
            Err(property) => {
                let outcome = unlisted(&property, row.is_in_doubt);
                return (row, Some(Diff::Skipped(outcome)));
            }
        }
    }
    if !row.is_in_doubt {
        let compared = diff(&row, snapshots, same_as);
        return (row, Some(compared));
    }
    if row.change.edits.added().is_some() {
        return (row, None);
    }
    // It may be sent again; the values may be set because an earlier attempt was applied.
    let compared = match diff(&row, snapshots, same_as) {
        Diff::Skipped(outcome) if outcome.kind == OutcomeKind::Unchanged => Diff::Skipped(Outcome::found_by_reading()),
        Diff::Skipped(outcome) if outcome.code == OutcomeCode::Unreadable => {
            Diff::Skipped(Outcome { kind: OutcomeKind::InDoubt, ..outcome })
        }
        other => other,
    };
    (row, Some(compared))
}

fn diff(row: &PendingRow, snapshots: &Snapshots, same_as: &SameAs) -> Diff {
    match &snapshots.planned {
        // A change by this run itself doesn't count.
        Some(planned) if !snapshots.is_touched => compare_since(&row.change, planned, &snapshots.now, same_as),
        _ => compare(&row.change, &snapshots.now, same_as),
    }
}

/// The comment without the properties, if there is one.
fn comment_alone(edits: &Edits) -> Edits {
    if edits.added().is_some() { edits.only_added() } else { edits.clone() }
}

/// The incident does not show a list that the row edits: it must not be taken for empty.
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
    Diff::Skipped(Outcome::new(OutcomeKind::Failed, OutcomeCode::Contradiction, message))
}
