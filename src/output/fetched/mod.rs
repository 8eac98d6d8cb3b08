//! The file of `fetch`: incidents as rows to fill in and give to `run`; and the partial file beside it, which keeps what
//! was read until the list is complete.
//!
//! Promises: the file appears in one step, whole; nothing is replaced but an empty file or an earlier fetch that nobody
//! has filled in; in a CSV file no cell is a formula; every column but the empty ones is one that `check` carries.

mod fetch_file;
mod incident;
mod partial;
mod rows;

pub use fetch_file::FetchFile;
pub use incident::Fetched;
pub use partial::{PartHeader, PartialFile, PartialStart};
pub(crate) use rows::cell;
