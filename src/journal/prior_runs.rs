//! What earlier runs mean for rows that are about to be sent: shown before the prompt.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decide::DedupDecision::{Applied, CommentApplied, InDoubt, InFlight, Send};
use super::decide::{DedupDecision, DedupQuery, Facts, READS_LAG, deduplicate, since, was_set_differently};
use super::error::JournalError;
use super::gather::facts_of_rows;
use super::opened::Journal;
use super::row::PendingRow;
use super::run::RunHandle;
use crate::clock::BootTime;
use crate::contract::Contract;
use crate::model::change::{Change, IncidentId};
use crate::model::step::Part;
use jiff::Timestamp;

/// What earlier runs mean for rows that are about to be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriorRuns {
    /// Changes already applied: by run, and whether they will be sent again (after the dedup window).
    pub applied: BTreeMap<(String, bool), AppliedChanges>,
    /// By unfinished run, the rows whose incident it updates with a different change.
    pub unfinished: BTreeMap<String, u64>,
}

/// Which part of a row will be sent, as far as known before the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WillSend {
    /// Nothing: the same change was applied.
    Nothing,
    /// Its properties: the same comment was added.
    WithoutComment,
    /// Its comment, a separate step: the properties were set.
    OnlyComment,
    /// Its comment, if a read doesn't show it: the properties were set, and the comment is in doubt.
    CommentInDoubt,
    /// All of it.
    All,
}

/// Changes that a run applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedChanges {
    /// How many.
    pub rows: u64,
    /// The last of them.
    pub last: Timestamp,
}

impl PriorRuns {
    /// Adds what the updates of its incident mean for one change. Returns which part of it will be sent.
    pub(super) fn add(
        &mut self,
        facts: &Facts,
        ours: &Change,
        merged: Option<IncidentId>,
        query: DedupQuery<'_>,
        contract: &Contract,
    ) -> WillSend {
        let prior = facts.updates_of(ours.incident, merged);
        let forever = DedupQuery { since: BootTime(i64::MIN), comments_since: BootTime(i64::MIN), ..query };
        let decide = |query: DedupQuery<'_>| -> Vec<DedupDecision> {
            let of = |part: Part| deduplicate(&prior, &part.of(&ours.edits), DedupQuery { part, ..query });
            contract.parts(&ours.edits).map(of).collect()
        };
        let now = decide(query);
        let will_send = match &now[..] {
            [Applied(_)] | [Applied(_), Applied(_)] => WillSend::Nothing,
            [CommentApplied] | [_, Applied(_)] => WillSend::WithoutComment,
            [Applied(_), Send | InFlight] => WillSend::OnlyComment,
            [Applied(_), InDoubt(_)] => WillSend::CommentInDoubt,
            _ => WillSend::All,
        };
        let ever = if will_send == WillSend::Nothing { now } else { decide(forever) };
        let is_applied = ever.iter().all(|decision| matches!(decision, Applied(_)));
        if let Some(Applied(applied)) = ever.into_iter().last().filter(|_| is_applied) {
            let is_sent = will_send != WillSend::Nothing;
            let entry =
                self.applied.entry((applied.run, is_sent)).or_insert(AppliedChanges { rows: 0, last: applied.at });
            *entry = AppliedChanges { rows: entry.rows + 1, last: entry.last.max(applied.at) };
        }
        let mut runs: Vec<&str> = prior
            .iter()
            .filter(|prior| prior.run != query.run && !prior.run_is_finished && prior.asked != *query.asked)
            .map(|prior| prior.run_name.as_str())
            .collect();
        runs.dedup();
        for run in runs {
            *self.unfinished.entry(run.to_owned()).or_insert(0) += 1;
        }
        will_send
    }
}

impl Journal {
    /// Adds to `prior` what earlier runs mean for rows of a run that has not started, or is resumed. Returns which part
    /// of each will be sent.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn add_prior_runs(
        &self,
        run: &RunHandle,
        rows: &[&PendingRow],
        contract: &Contract,
        remember: Duration,
        prior: &mut PriorRuns,
    ) -> Result<Vec<WillSend>, JournalError> {
        let now = self.clock.now();
        let facts = self.read(|db| facts_of_rows(db, run, rows))?;
        let will_send = rows.iter().map(|row| {
            let (since, comments_since) = since(now, remember, row.differed_at);
            let query =
                DedupQuery { run: run.id, row: row.row, since, comments_since, asked: row.asked(), part: Part::Whole };
            prior.add(&facts, &row.change, row.merged, query, contract)
        });
        Ok(will_send.collect())
    }

    /// For each row, whether an update of ours has set one of its properties to another value shortly before its incident
    /// was read at `read_at`: the read may be older than that.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn are_just_set_differently(
        &self,
        run: &RunHandle,
        rows: &[&PendingRow],
        read_at: BootTime,
    ) -> Result<Vec<bool>, JournalError> {
        let facts = self.read(|db| facts_of_rows(db, run, rows))?;
        let is_set = |row: &&PendingRow| {
            let prior = facts.updates_of(row.change.incident, row.merged);
            was_set_differently(&prior, row.asked(), read_at - READS_LAG)
        };
        Ok(rows.iter().map(is_set).collect())
    }
}
