//! Diagnostics: what is wrong with a row or a file, where, with which value, and what to do about it.
//!
//! Promises: a diagnostic can be shown without the file that it speaks of (it carries the source line's window around
//! the value), and its code is one of the documented ones.

use serde::Serialize;

/// Whether the row can be sent all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is not sent.
    Error,
    /// Worth a look; the row is sent.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable, documented in `docs/diagnostics.md`.
    pub code: &'static str,
    /// The file as it was named, `-` for standard input.
    pub file: String,
    /// The line on which the cell begins, from 1.
    pub line: Option<u64>,
    /// The character of that line at which the cell begins, from 1.
    pub column: Option<u64>,
    /// The row's number, from 1.
    pub row: Option<u64>,
    /// The column or member.
    pub field: Option<String>,
    /// The value as it stands there, cut where it is long.
    pub value: Option<String>,
    /// What is wrong, as a fragment that begins in lower case.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The source around the value, to be shown.
    #[serde(skip)]
    pub snippet: Option<Snippet>,
}

/// A window of a source line, with the part that is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The text shown: one line, cut to a window around the mark.
    pub text: String,
    /// The marked part, in bytes of `text`.
    pub mark: std::ops::Range<usize>,
}
