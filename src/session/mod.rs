//! A run as a library: check and import the rows, read their incidents, preview, send.
//!
//! Plain options go in; data and events come out. Nothing here prints, asks or knows a command line.

mod acquire;
mod counts;
mod dry_run;
mod error;
mod import;
mod options;
mod outlook;
mod pages;
mod preflight;
mod preflight_summary;
mod prepared_run;
mod preview;
mod row_diff;
mod set_counts;
mod start;
mod target;

pub use counts::{Counts, LeftOut};
pub use dry_run::{DryRun, DryRunOptions, FirstRequest, KeptRows, dry_run};
pub use error::SessionError;
pub use import::Imported;
pub use options::{CONCURRENCY, CallOptions, MAX_ATTEMPTS, PATIENCE, REMEMBER, SETTLE, SendOptions};
pub use outlook::Outlook;
pub use pages::{report_rows, result_rows};
pub use preflight::{PreflightListener, PreflightOptions, PreflightStats, Reading};
pub use preflight_summary::{NAMED, PreflightSummary, ReadReason};
pub use prepared_run::{PreparedRun, ReadStats, Requests, RunEnd};
pub use preview::{Estimate, Preview, PreviewOptions};
pub use row_diff::RowDiff;
pub use set_counts::{PropertyCounts, SetCounts};
pub use start::{PlanInput, RunInput, Session};
pub use target::Target;
