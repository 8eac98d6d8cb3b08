//! Input: the bytes of a file or pipe as records. Encoding, format, delimiter, the header; results files and portal
//! exports are recognised.
//!
//! Promises: no record is swallowed by a broken quote; a record is never kept once it is known to be longer than
//! [`LONGEST_RECORD`]; what is held at once is a few chunks, however large the input is. What a column *means* is not
//! known here: that is `check`'s.

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
pub use record_splitter::{Cutter, Record};
pub use source::Source;
