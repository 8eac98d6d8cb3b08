//! The preview: exactly the rows that will be sent, and how long that takes.

use std::time::Duration;

use jiff::Timestamp;

use super::counts::{Counter, Counts, Recorded};
use super::error::SessionError;
use super::named_lines::{NAMED, NamedLines};
use super::options::SendOptions;
use super::outlook::Outlook;
use super::pages::Pages;
use super::past::Past;
use super::preflight_summary::PreflightSummary;
use super::prepared_run::PreparedRun;
use super::row_diff::RowDiff;
use serde_json::Value;

use crate::clock::Now;
use crate::journal::{JournalError, PendingRow, PriorRuns, Snapshots, WillSend};
use crate::model::edit::{Edit, Edits, Empty};
use crate::model::outcome::{OutcomeCode, OutcomeKind};
use crate::model::quota_spec::Quota;
use crate::model::snapshot::Snapshot;
use crate::quota::{Buckets, Forecast, arrival};

/// Maximum number of changes in a preview.
const FIRST_CHANGES: usize = 5;

/// How a run would be sent.
#[derive(Clone, Copy, Debug)]
pub struct PreviewOptions {
    /// The dedup window.
    pub remember: Duration,
    /// Maximum requests in flight.
    pub concurrency: u32,
    /// Start no request after this time.
    pub stop_after: Option<Duration>,
}

impl From<&SendOptions> for PreviewOptions {
    fn from(options: &SendOptions) -> PreviewOptions {
        let SendOptions { remember, stop_after, .. } = *options;
        PreviewOptions { remember, concurrency: options.calls.concurrency, stop_after }
    }
}

/// What a run would do.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The rows that will be sent, what they set, and those that are left out.
    pub counts: Counts,
    /// The summary of the preflight, if there was one.
    pub compared: Option<PreflightSummary>,
    /// Rows that update the incident into which their own was merged.
    pub retargeted: NamedLines,
    /// The first changes, if the incidents were read.
    pub first_changes: Vec<RowDiff>,
    /// Properties whose cells `--set` overrides, with the number of cells.
    pub overridden: Vec<(String, u64)>,
    /// If a run is resumed, its ID and its finished rows.
    pub resumed: Option<(String, u64)>,
    /// What earlier runs mean for it; `None` if whose incidents it changes is unknown.
    pub earlier: Option<PriorRuns>,
    /// What the estimate is based on.
    pub outlook: Outlook,
    /// How long it takes.
    pub estimate: Estimate,
}

/// How long a run takes, computed from the quota.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// The time at which it would start.
    pub starts_at: Timestamp,
    /// How long it takes.
    pub duration: Duration,
    /// If it stops after some time, that time and the rows that fit into it.
    pub stop_after: Option<(Duration, u64)>,
}

impl Estimate {
    /// When it ends.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.starts_at.saturating_add(self.duration).unwrap_or(Timestamp::MAX)
    }

    /// For these rows.
    fn new(counts: &Counts, outlook: &Outlook, quota: &Quota, options: &PreviewOptions, now: Now) -> Estimate {
        let buckets = Buckets::new(quota);
        let end_of = |calls: u64| {
            let ahead = Forecast { calls, concurrency: options.concurrency, latency: outlook.latency };
            if calls == 0 { now.boot } else { arrival(&buckets, &outlook.spent, outlook.pause, now.boot, ahead) }
        };
        let stop_after = options.stop_after.map(|after| {
            let (mut fits, mut too_many) = (0, counts.requests + 1);
            while too_many - fits > 1 {
                let middle = fits.midpoint(too_many);
                *if end_of(middle) <= now.boot + after { &mut fits } else { &mut too_many } = middle;
            }
            // The requests of a row are sent one after the other.
            (after, fits * counts.rows / counts.requests.max(1))
        });
        Estimate { starts_at: now.wall, duration: end_of(counts.requests).since(now.boot), stop_after }
    }
}

impl PreparedRun {
    /// Previews what will be sent, and what will not.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn preview(&self, options: &PreviewOptions) -> Result<Preview, SessionError> {
        let (mut counts, earlier) = self.count(options.remember)?;
        let mut finished = 0;
        for group in self.journal.outcome_groups(&self.handle.name)? {
            match group.kind {
                OutcomeKind::Invalid => counts.invalid += group.rows,
                OutcomeKind::InDoubt | OutcomeKind::NotAttempted => {}
                _ if group.code == OutcomeCode::NothingAsked => counts.nothing_asked += group.rows,
                _ => finished += group.rows,
            }
        }
        // The preflight counts the rows that it has ended.
        finished -= self.compared.as_ref().map_or(0, PreflightSummary::ended).min(finished);
        if !self.resumes {
            counts.finished_in_plan = finished;
        }
        counts.limited = self.imported.limited;
        let mut first_changes = Vec::new();
        if self.compared.is_some() {
            self.each_change(&counts, FIRST_CHANGES, |change| {
                first_changes.push(change);
                Ok(())
            })?;
        }
        let outlook = self.outlook()?;
        let estimate = Estimate::new(&counts, &outlook, &self.target.quota, options, self.clock.now());
        let (rows, first) = self.journal.retargeted(&self.handle, NAMED)?;
        Ok(Preview {
            counts,
            compared: self.compared.clone(),
            retargeted: NamedLines { rows, first },
            first_changes,
            overridden: self.imported.overridden.clone(),
            resumed: self.resumes.then(|| (self.handle.name.clone(), finished)),
            earlier: Some(earlier).filter(|_| !matches!(self.past, Past::Unknown)),
            outlook,
            estimate,
        })
    }

    /// Counts the rows without an outcome: those that will be sent, and those that are left out because of other rows
    /// and runs.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn count(&self, remember: Duration) -> Result<(Counts, PriorRuns), JournalError> {
        let (journal, run, contract) = (&self.journal, &self.handle, &self.target.contract);
        let (mut counter, mut earlier) = (Counter::default(), PriorRuns::default());
        let mut pages = Pages::default();
        while let Some(rows) = pages.pending(journal, run)? {
            let first = rows.iter().filter(|row| counter.is_first(row.row, row.change.incident, row.asked()));
            let first: Vec<&PendingRow> = first.collect();
            let will_send = self.add_prior_runs(&first, remember, &mut earlier)?;
            // Only for lists do the counts depend on earlier values.
            let has_list = |row: &&&PendingRow| row.is_recorded && sets_list(&row.change.edits);
            let listed: Vec<u64> = first.iter().filter(has_list).map(|row| row.row).collect();
            let snapshots = journal.snapshots(run, &listed)?;
            for (row, will_send) in first.into_iter().zip(will_send) {
                if will_send == WillSend::Nothing {
                    counter.leave_out_applied(row.row);
                    continue;
                }
                let mut edits = if row.is_recorded { row.change.edits.clone() } else { row.asked().clone() };
                match will_send {
                    WillSend::WithoutComment => {
                        counter.leave_out_comment(row.row);
                        edits = edits.without_added();
                    }
                    WillSend::OnlyComment | WillSend::CommentInDoubt => {
                        counter.leave_out_properties(row.row);
                        edits = edits.only_added();
                    }
                    WillSend::All | WillSend::Nothing => {}
                }
                let recorded = match snapshots.get(&row.row) {
                    Some(Snapshots { now: Snapshot::There(before), .. }) => Recorded::Values(&before.values),
                    // Lists are read before they are edited.
                    _ if row.is_recorded || row.change.edits.edit_lists() => Recorded::Yes,
                    _ => Recorded::Nothing,
                };
                let is_in_doubt = match will_send {
                    WillSend::CommentInDoubt => true,
                    // The comment was never sent, or refused.
                    WillSend::OnlyComment => false,
                    WillSend::All | WillSend::WithoutComment | WillSend::Nothing => row.is_in_doubt,
                };
                counter.add(&edits, contract.parts(&edits).count(), recorded, is_in_doubt);
                if let Some(rule) = &contract.resolving {
                    counter.add_comment(&edits, rule);
                }
            }
        }
        Ok((counter.finish(), earlier))
    }
}

/// Whether a list is replaced or cleared.
fn sets_list(edits: &Edits) -> bool {
    let is_list = |edit: &Edit| matches!(edit, Edit::Set(Value::Array(_)) | Edit::Clear(Empty::List));
    edits.iter().any(|one| is_list(&one.edit))
}
