//! The results file: one line for each row, in the input's format.
//!
//! Promises: it grows by whole lines as rows finish; what replaces a file is complete before it takes the name, so that
//! at every moment there is a results file or what was there before; it is readable by its owner alone; a row's own
//! cells come out again as they went in.

mod csv;
mod destination;
mod file;
mod jsonl;

pub use destination::{Destination, default_name};
pub use file::{ResultsError, ResultsFile};
