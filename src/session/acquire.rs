//! Acquiring a run of an earlier process, if what its rows change is allowed.

use super::pages::Pages;
use crate::contract::Contract;
use crate::journal::{Journal, JournalError, PendingRow, RunHandle};
use crate::plan::check_edits;

/// Acquires a run, if `contract` allows what its rows change: the journal may be an altered copy.
///
/// # Errors
/// If another process sends it, or a row holds something that no row is loaded with.
pub(super) fn acquire(journal: &mut Journal, run: &str, contract: &Contract) -> Result<RunHandle, JournalError> {
    let handle = journal.acquire(run)?;
    let mut pages = Pages::default();
    while let Some(rows) = pages.pending(journal, &handle)? {
        for row in &rows {
            check_kept(row, contract).map_err(|why| journal.damaged(format!("row {} of run {run}: {why}", row.row)))?;
        }
    }
    Ok(handle)
}

/// Checks what a row sends, and what it asked for if that is different.
fn check_kept(row: &PendingRow, contract: &Contract) -> Result<(), String> {
    check_edits(contract, &row.change.edits)?;
    row.asked.as_ref().map_or(Ok(()), |asked| check_edits(contract, asked))
}
