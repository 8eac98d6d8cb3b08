//! Rows of a run, read from the journal some at a time: memory does not grow with them.

use crate::journal::{History, Journal, JournalError, PendingRow, ReportRow, RowFilter, RunHandle};
use crate::model::outcome::ResultRow;

/// Rows that are read at a time.
const PAGE: u32 = 500;

/// Iterates over rows of a run, a page at a time. The journal may change between two pages.
#[derive(Debug, Default)]
pub(super) struct Pages {
    after: u64,
}

impl Pages {
    /// The next page of the rows without an outcome; `None` at the end.
    pub(super) fn pending(
        &mut self,
        journal: &Journal,
        run: &RunHandle,
    ) -> Result<Option<Vec<PendingRow>>, JournalError> {
        Ok(self.next(journal.pending(run, self.after, PAGE)?, |row| row.row))
    }

    /// The next page of the rows that a report needs; `None` at the end.
    pub(super) fn report(
        &mut self,
        journal: &History,
        run: &str,
        filter: RowFilter<'_>,
    ) -> Result<Option<Vec<ReportRow>>, JournalError> {
        Ok(self.next(journal.report_rows(run, filter, self.after, PAGE)?, |row| row.result.row))
    }

    fn next<T>(&mut self, rows: Vec<T>, number: impl Fn(&T) -> u64) -> Option<Vec<T>> {
        self.after = rows.last().map_or(self.after, number);
        Some(rows).filter(|rows| !rows.is_empty())
    }
}

/// The results of a run, in the input's order. `only_finished`: without the rows that have no outcome.
pub fn result_rows(
    journal: &History,
    run: &str,
    only_finished: bool,
) -> impl Iterator<Item = Result<ResultRow, JournalError>> {
    paged(move |after| journal.results(run, after, PAGE, only_finished), |row: &ResultRow| row.row)
}

/// The rows of a run, as a report needs them.
pub fn report_rows(
    journal: &History,
    run: &str,
    filter: RowFilter<'_>,
) -> impl Iterator<Item = Result<ReportRow, JournalError>> {
    paged(move |after| journal.report_rows(run, filter, after, PAGE), |row: &ReportRow| row.result.row)
}

/// Reads page after page until one is empty.
fn paged<T>(
    read: impl Fn(u64) -> Result<Vec<T>, JournalError>,
    number: impl Fn(&T) -> u64,
) -> impl Iterator<Item = Result<T, JournalError>> {
    let mut after = 0;
    let mut page = Vec::new().into_iter();
    std::iter::from_fn(move || {
        if page.len() == 0 {
            match read(after) {
                Ok(rows) => page = rows.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
        let row = page.next()?;
        after = number(&row);
        Some(Ok(row))
    })
}
