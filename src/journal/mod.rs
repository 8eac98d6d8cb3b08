//! The journal: the database of runs, rows and attempts. All SQL of the program is in this folder.
//!
//! It survives a crash: an attempt is on disk before its request is sent, an attempt's end and its row's outcome are one
//! transaction, and a run's rows are stored all together or not at all. Several processes share one journal, and with it
//! the quota and the history. Its public API shows no SQL, so that another store can take its place.
//!
//! | role | file | owns |
//! | --- | --- | --- |
//! | opening | `location`, `directory`, `open`, `opened` | where it is; whose files; settings; a transaction |
//! | | `format`, `locks` | versions and their upgrades; who may write, who is alive, who sends a run |
//! | runs and rows | `run`, `runs`, `row`, `rows`, `redirects` | a run's start, its lock, its rows, its end |
//! | sending | `batch`, `commit` | what is committed together, in one transaction |
//! | | `gather`, `decide`, `write` | its three parts: the facts, the rule (without SQL), the changes |
//! | | `attempt`, `ledger`, `ledger_store` | attempts, doubts; the requests that the quota counts, and the pause |
//! | reading for reports | `history`, `run_report` | runs, their results and outcomes, their requests over time |
//! | | `read_only`, `prior_runs` | a dry run's view; what earlier runs mean for a new one |
//! | all | `columns`, `sql`, `error` | how rows are stored; what SQL shares; errors |

mod attempt;
mod batch;
mod columns;
mod commit;
mod decide;
mod directory;
mod error;
mod format;
mod gather;
mod history;
mod ledger;
mod ledger_store;
mod location;
mod locks;
mod open;
mod opened;
mod prior_runs;
mod read_only;
mod redirects;
mod row;
mod rows;
mod run;
mod run_report;
mod runs;
mod sql;
mod write;

pub use attempt::{AppliedBy, AttemptId, Doubt, KnownUpdate};
pub use batch::{AttemptEnd, Batch, CallKind, Receipt, Receipts, StartRequest};
pub use error::{JournalError, StoreError, StoreErrorKind, holder};
pub use location::StoreLocation;
pub use locks::Patience;
pub use opened::{Durability, History, Journal, StoreFacts};
pub use prior_runs::{AppliedChanges, PriorRuns, WillSend};
pub use read_only::ReadOnlyJournal;
pub use redirects::Contradiction;
pub use row::{DiffResult, LoadRow, PendingRow, ReadScope, ReportRow, Snapshots};
pub use run::{PrunedRun, RunHandle, RunKey, RunMetadata, RunState, RunSummary};
pub use run_report::{OutcomeGroup, RowFilter, Timeline, TimelinePiece};
pub use runs::is_run_name;
pub use sql::sqlite_build;

#[cfg(test)]
mod tests;
