//! Everything that a person reads about a run.
//!
//! Before it [`diagnostics`], a [`preview::Preview`] and a prompt; during it a [`progress::Progress`]; after it a
//! [`summary::Summary`] that ends with a [`next_command::NextCommand`]. Progress and summary read `apply`'s events and
//! don't know each other or the results file; a [`reporter::Reporter`] passes the events on.
//! For readers elsewhere there is a [`page`]: the review before a run, the run report after it.
//! All text from outside passes through [`crate::text`].

pub mod diagnostics;
pub mod diff_line;
pub mod fetch_summary;
pub(crate) mod humanize;
mod layout;
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
