//! Reports: what a person or a script is told of a run.
//!
//! Before it [`diagnostics`], a [`preview::Preview`] and a question; during it a [`progress::Progress`] and a growing
//! [`results::ResultsFile`]; after it a [`summary::Summary`] that ends with a [`next_command::NextCommand`]. Progress,
//! results and summary read `apply`'s events and don't know each other; a [`reporter::Reporter`] hands the events on.
//! What `fetch` has read becomes a [`fetched::FetchFile`].
//! For those who read it elsewhere there is a [`page`]: the review before it, the report after it.
//! All text from outside goes through [`crate::text`] on its way.

pub mod diagnostics;
pub mod diff_line;
pub mod fetched;
pub(crate) mod humanize;
mod layout;
pub mod next_command;
pub mod outcome_counts;
pub mod page;
pub mod plan_file;
pub mod preview;
pub mod progress;
pub mod prompt;
pub mod reporter;
pub mod results;
pub mod summary;
pub mod table;

pub use humanize::{age, left_alone};
pub use layout::Layout;
