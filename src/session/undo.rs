//! Undoing a run: a plan that restores the earlier values of its incidents.
//!
//! Promises: what others have changed since is not touched; memory does not grow with the rows, apart from the set of
//! incidents.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::error::SessionError;
use super::import::Imported;
use super::named_lines::NamedLines;
use super::observer::Step;
use super::pages::Pages;
use super::prepared_run::PreparedRun;
use super::start::Session;
use crate::input::INCIDENT_ID;
use crate::input::InputShape;
use crate::journal::{
    DiffResult, JournalError, LoadRow, PendingRow, ReportRow, RowFilter, RunKey, RunMetadata, RunSummary, Snapshots,
};
use crate::model::change::{Change, TenantKey};
use crate::model::edit::{Edit, Edits, PropertyEdit};
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
use crate::model::snapshot::Snapshot;
use crate::plan::{Header, PlanRow};
use crate::undo::undo;

/// What can be undone in a run, and what can't.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UndoStats {
    /// The rows that the run updated, in full or in part.
    pub updated: u64,
    /// Of these, the rows in the plan.
    pub rows: u64,
    /// Rows whose incident was not read before it was updated.
    pub not_recorded: u64,
    /// Comments that were added: they can't be removed.
    pub comments: u64,
    /// Rows in the plan that had resolved their incident, and so its alerts.
    pub resolved: u64,
    /// Rows for which others have since changed everything that could be undone.
    pub changed_rows: u64,
    /// Rows whose incident already has the earlier values, or that only added a comment.
    pub left_as_they_are: u64,
    /// Rows whose incident is gone, or can't be read.
    pub unreadable: NamedLines,
    /// Rows for which others have since changed a property, by property.
    pub changed_since: BTreeMap<String, NamedLines>,
    /// Rows with an earlier value that the API does not accept, by property and value.
    pub impossible: BTreeMap<(String, String), NamedLines>,
}

impl UndoStats {
    /// Whether an incident can be undone, as far as known before it is read.
    #[must_use]
    pub fn has_earlier_values(&self) -> bool {
        self.updated > self.not_recorded
    }
}

impl Session {
    /// Imports the rows that a run has updated, each incident once, to read and undo them. `incidents`: only these;
    /// empty: all.
    ///
    /// # Errors
    /// If the journal can't be read or written. Nothing of it is kept.
    pub fn import_undo(mut self, run: RunSummary, incidents: &[u64]) -> Result<(PreparedRun, UndoStats), SessionError> {
        let metadata = RunMetadata {
            input: format!("undo of run {}", run.name),
            shape: InputShape::Jsonl { bom: false },
            results: String::new(),
            options: Vec::new(),
            ..run.facts
        };
        let contract = self.target.contract.name.clone();
        let (mut stats, mut seen, mut pages) = (UndoStats::default(), HashSet::new(), Pages::default());
        let (handle, ()) = self.fill(&contract, &metadata, |rows| {
            while let Some(page) = pages.report(rows.journal(), &run.name, RowFilter::Updated)? {
                for row in page.into_iter().filter(|row| is_named(row, incidents)) {
                    stats.updated += 1;
                    let ReportRow { result, change: Some(change), before: before @ Some(Snapshot::There(_)) } = row
                    else {
                        stats.not_recorded += 1;
                        continue;
                    };
                    // Later rows of the incident ask for the same.
                    if seen.insert(change.incident) {
                        // If a row was updated in part, its comment was not added.
                        let has_comment = change.edits.added().is_some() && result.outcome.kind == OutcomeKind::Updated;
                        stats.comments += u64::from(has_comment);
                        let change = Change { edits: change.edits.without_added(), ..change };
                        let (row, line, incident) = (result.row, result.line, change.incident.to_string());
                        let (change, source) = (Ok(change), Vec::new());
                        rows.add(LoadRow { row, line, incident, change, source, planned: before })?;
                    }
                }
            }
            Ok(())
        })?;
        let key = RunKey::Changes { digest: Vec::new(), within: Duration::ZERO };
        Ok((self.prepared(handle, Imported::default(), metadata, key), stats))
    }
}

/// Whether to undo the incident of a row, its own or the one into which that was merged.
fn is_named(row: &ReportRow, incidents: &[u64]) -> bool {
    let Some(change) = &row.change else { return false };
    let is_it = |id: &u64| *id == change.incident.get() || id.to_string() == row.result.incident_id;
    incidents.is_empty() || incidents.iter().any(is_it)
}

impl PreparedRun {
    /// Turns the rows that [`Session::import_undo`] has imported, and whose incidents were then read, into rows that
    /// undo them.
    ///
    /// # Errors
    /// If the journal can't be read or written.
    pub fn undo(&mut self, stats: &mut UndoStats) -> Result<(), JournalError> {
        let mut pages = Pages::default();
        while let Some(rows) = pages.pending(&self.journal, &self.handle)? {
            let numbers: Vec<u64> = rows.iter().map(|row| row.row).collect();
            let mut snapshots = self.journal.snapshots(&self.handle, &numbers)?;
            let undone = rows.into_iter().map(|row| {
                let edits = snapshots.remove(&row.row).and_then(|found| self.undo_row(&row, found, stats));
                let outcome = edits.is_none().then(|| {
                    Outcome::new(OutcomeKind::Unchanged, OutcomeCode::NothingAsked, "there is nothing to undo")
                });
                DiffResult { row: row.row, outcome, differs: false, edits }
            });
            let undone: Vec<DiffResult> = undone.collect();
            self.journal.compared(&self.handle, self.clock.now().boot, &undone)?;
            self.observer.tell(Step::Compared);
        }
        Ok(())
    }

    /// The change that undoes a row; `None` if nothing can or needs to be undone.
    fn undo_row(&self, row: &PendingRow, snapshots: Snapshots, stats: &mut UndoStats) -> Option<Edits> {
        let (Some(Snapshot::There(then)), Snapshot::There(now)) = (snapshots.planned, snapshots.now) else {
            stats.unreadable.add(row.line);
            return None;
        };
        let undo = undo(&row.change.edits, &then, &now, &self.target.contract);
        if undo.edits.is_empty() {
            let is_as_before = undo.changed_since.is_empty() && undo.impossible.is_empty();
            stats.left_as_they_are += u64::from(is_as_before);
            stats.changed_rows += u64::from(!undo.changed_since.is_empty());
        }
        for property in undo.changed_since {
            stats.changed_since.entry(property).or_default().add(row.line);
        }
        for (property, value) in undo.impossible {
            stats.impossible.entry((property, value.to_string())).or_default().add(row.line);
        }
        if undo.edits.is_empty() {
            return None;
        }
        stats.rows += 1;
        let reopens = self.target.contract.resolving.as_ref().is_some_and(|rule| {
            let value = row.change.edits.of(&rule.property).map(Edit::value);
            value.is_some_and(|value| value == *rule.value) && undo.edits.of(&rule.property).is_some()
        });
        stats.resolved += u64::from(reopens);
        Some(undo.edits.into())
    }

    /// The header of the plan that undoes a run of `tenant`.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn undo_header(&self, tenant: &TenantKey, stats: &UndoStats) -> Result<Header, JournalError> {
        Ok(Header { rows: stats.rows, compared: true, ..self.plan_header(Some(tenant))? })
    }

    /// The rows of that plan, each as a line of an input that sets the same. `comment`: the property and the text that
    /// each of them adds.
    pub fn undo_rows(&self, comment: Option<(&str, &str)>) -> impl Iterator<Item = Result<PlanRow, JournalError>> {
        let comment = comment.map(|(property, text)| PropertyEdit::new(property, Edit::Append(text.to_owned())));
        self.plan_rows_of(RowFilter::NoneOf(&[OutcomeKind::Unchanged])).map(move |row| {
            let mut row = row?;
            if let Ok(change) = &mut row.change {
                change.edits = change.edits.iter().cloned().chain(comment.clone()).collect();
                let mut source = Map::new();
                source.insert(INCIDENT_ID.to_owned(), change.incident.get().into());
                source.extend(change.edits.values());
                row.source = Value::from(source).to_string().into_bytes();
            }
            Ok(row)
        })
    }
}
