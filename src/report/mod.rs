//! Everything that people read about a run.
//!
//! Before a run: [`diagnostics`] or `annotations`, a [`preview::Preview`] and a prompt. During a run: a
//! [`progress::Progress`]. After a run: a [`summary::Summary`], which ends with a [`next_command::NextCommand`]. For other
//! readers there is a [`page`]: a review before a run, and a run report after it; a monitor reads `metrics`.
//! Without a run: a report of [`doctor`]. A [`reporter::Reporter`] passes the events of `apply` to the progress, the summary
//! and the results file, which don't know each other.
//! All text from outside passes through [`crate::text`].

pub(crate) mod annotations;
pub mod diagnostics;
pub mod diff_line;
pub mod doctor;
pub mod fetch_summary;
pub(crate) mod humanize;
mod layout;
pub(crate) mod metrics;
pub mod next_command;
pub mod outcome_counts;
pub mod page;
pub mod preview;
pub mod progress;
pub mod prompt;
pub mod reporter;
pub mod summary;
pub mod table;
mod undo_summary;

pub use humanize::{age, left_alone};
pub use layout::Layout;
