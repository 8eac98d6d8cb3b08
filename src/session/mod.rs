//! A run as a library: check and import the rows, read their incidents, preview, send.
//!
//! Plain options go in; data and events come out. Nothing here prints, prompts or knows a command line.

mod acquire;
mod counts;
mod error;
mod first_requests;
mod import;
mod named_lines;
mod observer;
mod options;
mod outlook;
mod pages;
mod past;
mod plan_file;
mod plan_rows;
mod preflight;
mod preflight_summary;
mod prepared_run;
mod preview;
mod row_diff;
mod set_counts;
mod start;
mod target;
mod undo;

pub use counts::{Counts, LeftOut};
pub use error::SessionError;
pub use first_requests::FirstRequest;
pub use import::Imported;
pub use named_lines::NamedLines;
pub use observer::Step;
pub use options::{CONCURRENCY, CallOptions, MAX_ATTEMPTS, PATIENCE, REMEMBER, SETTLE, SendOptions};
pub use outlook::Outlook;
pub use pages::{report_rows, result_rows};
pub use past::Past;
pub use plan_file::Plan;
pub use preflight::{PreflightListener, PreflightOptions, PreflightStats, Reading};
pub use preflight_summary::{PreflightSummary, ReadReason};
pub use prepared_run::{PreparedRun, ReadStats, RunEnd};
pub use preview::{Estimate, Preview, PreviewOptions};
pub use row_diff::RowDiff;
pub use set_counts::{PropertyCounts, SetCounts};
pub use start::{RunInput, Session};
pub use target::{Target, contract_of};
pub use undo::UndoStats;
