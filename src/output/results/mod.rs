//! The results file: one line per row, in the input's format.
//!
//! Promises: it grows by complete lines as rows finish; files are replaced atomically, so that at every moment either a
//! results file or the earlier file exists; only its owner can read it; the row's own cells are preserved exactly.

mod csv;
mod destination;
mod file;
mod jsonl;
mod retention;

pub use destination::{Destination, EMULATOR, default_name};
pub use file::ResultsFile;
pub use retention::{dated_name, delete_old};
