//! Input: splits a file or pipe into records. Detects its encoding, format, delimiter and header, and recognizes results
//! files, fetched files and portal exports.
//!
//! Promises: a broken quote never hides records; no record longer than [`LONGEST_RECORD`] is kept; memory holds only a few
//! chunks, however large the input is. The meaning of columns is not known here, but in `check`.

mod byte_scan;
mod chunks;
pub mod csv;
mod error;
mod fetched;
mod header;
pub mod jsonl;
mod open;
mod portal;
mod preamble;
mod record_splitter;
mod shape;
mod sniff;
mod source;
mod watch;

pub use chunks::{Chunk, LONGEST_RECORD};
pub use error::InputError;
pub use fetched::{CURRENT, FETCHED_AT, INCIDENT_ID};
pub(crate) use header::advice_for_encoding;
pub use header::normalized;
pub use open::{FileKind, Input};
pub use portal::is_portal_export;
pub use record_splitter::{Record, RecordSplitter};
pub use shape::InputShape;
pub use source::Source;
