//! The file of `fetch`: incidents as rows to fill in and pass to `run`; and the partial file next to it, which holds the
//! incidents that were read until the list is complete.
//!
//! Promises: the file is written atomically; it replaces only an empty file, or an earlier fetch that was not filled in;
//! no cell of a CSV file is a formula; `check` sends no column except the empty ones.

mod fetch_file;
mod incident;
mod partial;
mod rows;

pub use fetch_file::FetchFile;
pub use incident::Fetched;
pub use partial::{PartialFile, PartialHeader, PartialStart};
pub(crate) use rows::cell;
