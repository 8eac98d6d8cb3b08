//! A run as a plan: its header and its rows.

use super::pages::report_rows;
use super::prepared_run::PreparedRun;
use crate::journal::{JournalError, ReportRow, RowFilter};
use crate::model::change::TenantKey;
use crate::model::outcome::OutcomeKind;
use crate::plan::{Header, PlanRow, digits};

impl PreparedRun {
    /// The header of a plan of this run. `tenant`: whose incidents it may change, if known.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub fn plan_header(&self, tenant: Option<&TenantKey>) -> Result<Header, JournalError> {
        let facts = &self.metadata;
        let rows = self.journal.outcomes(&self.handle.name)?.iter().map(|(_, rows)| rows).sum();
        Ok(Header {
            origin: facts.origin.clone(),
            scope: tenant.map(|tenant| tenant.as_str().to_owned()),
            contract: self.target.contract.name.clone(),
            rules: facts.contract.clone(),
            input: facts.input.clone(),
            digest: digits(&self.imported.digest),
            rows,
            options: facts.options.clone(),
            ..Header::new(self.clock.now().wall, facts.shape.clone())
        })
    }

    /// Its rows, as they are written to a plan.
    pub fn plan_rows(&self) -> impl Iterator<Item = Result<PlanRow, JournalError>> {
        self.plan_rows_of(RowFilter::NoneOf(&[]))
    }

    pub(super) fn plan_rows_of(&self, filter: RowFilter<'_>) -> impl Iterator<Item = Result<PlanRow, JournalError>> {
        let rows = report_rows(&self.journal, &self.handle.name, filter);
        rows.map(|row| {
            let ReportRow { result, change, before } = row?;
            let change = match change.filter(|_| result.outcome.kind == OutcomeKind::NotAttempted) {
                Some(change) => Ok(change.resolved().ok_or_else(|| self.unresolved(result.row))?),
                None => Err(result.outcome),
            };
            let (row, line, incident, source) = (result.row, result.line, result.incident_id, result.source);
            Ok(PlanRow { row, line, incident, change, before, source })
        })
    }

    /// A list edit is resolved before its row is planned.
    fn unresolved(&self, row: u64) -> JournalError {
        let run = &self.handle.name;
        self.journal.damaged(format!("row {row} of run {run} has a list edit in the place of the list"))
    }
}
