//! Diagnostics: what is wrong with a row or a file, where, with which value, and what to do about it.
//!
//! Promises: a diagnostic can be shown without its file (it contains the part of the source line around
//! the value), and its code is one of the documented ones.

pub mod codes;

use std::ops::Range;

use serde::Serialize;

pub use codes::{Code, Severity};

/// A problem in the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable, documented in `docs/diagnostics.md`.
    pub code: &'static str,
    /// The file as it was named, `-` for standard input.
    pub file: String,
    /// The line on which the cell starts, from 1.
    pub line: Option<u64>,
    /// The character of that line at which the cell starts, from 1.
    pub column: Option<u64>,
    /// The row's number, from 1.
    pub row: Option<u64>,
    /// The column or member.
    pub field: Option<String>,
    /// The value in the input, truncated if it is long.
    pub value: Option<String>,
    /// The problem, as a fragment in lower case.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The source around the value, to be shown.
    #[serde(skip)]
    pub snippet: Option<Snippet>,
    /// How it is reported if a file has many of its kind.
    #[serde(skip)]
    pub repetition: Repetition,
}

/// How diagnostics of one kind are reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Repetition {
    /// Each one.
    #[default]
    Each,
    /// Only the first one in a file, after the rows, with the number of rows.
    Counted,
    /// Each one; the first one in a file has this help in place of its own.
    FirstHelp(String),
}

impl Diagnostic {
    /// A diagnostic of this kind without a location yet, with the code's own hint.
    #[must_use]
    pub fn new(code: &Code, file: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: code.severity,
            code: code.name,
            file: file.to_owned(),
            line: None,
            column: None,
            row: None,
            field: None,
            value: None,
            message: message.into(),
            help: Some(code.advice.to_owned()),
            snippet: None,
            repetition: Repetition::Each,
        }
    }

    /// The same, located in a source text that starts with line `first_line` of the file: line, column and snippet
    /// are those of `range`, which may reach over several lines.
    #[must_use]
    pub fn at(mut self, source: &[u8], first_line: u64, range: Range<usize>) -> Diagnostic {
        let start = range.start.min(source.len());
        let newlines = memchr::memchr_iter(b'\n', &source[..start]).count();
        let line_start = memchr::memrchr(b'\n', &source[..start]).map_or(0, |at| at + 1);
        let line_end = memchr::memchr(b'\n', &source[start..]).map_or(source.len(), |at| start + at);
        let before = String::from_utf8_lossy(&source[line_start..start]);
        self.line = Some(first_line + newlines as u64);
        self.column = Some(before.chars().count() as u64 + 1);
        self.snippet = Some(Snippet::around(&source[line_start..line_end], start - line_start..range.end - line_start));
        self
    }
}

/// How many bytes of a line are kept before the mark, in it, and after it.
const WINDOW: usize = 240;

impl Snippet {
    /// The window of `line` (without its line end) around `mark`, in bytes of it.
    fn around(line: &[u8], mark: Range<usize>) -> Snippet {
        let mark = mark.start..mark.end.clamp(mark.start, line.len());
        let cut = |from: usize, to: usize| String::from_utf8_lossy(&line[from..to]).into_owned();
        let is_boundary = |at: &usize| line.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
        let back_to_boundary = |at: usize| (at.saturating_sub(3)..=at).rev().find(is_boundary).unwrap_or(at);
        let from = back_to_boundary(mark.start.saturating_sub(WINDOW));
        let mark_end = back_to_boundary(mark.end.min(mark.start + WINDOW)).max(mark.start);
        let to = back_to_boundary(line.len().min(mark_end + WINDOW)).max(mark_end);
        let mut text = cut(from, mark.start);
        let start = text.len();
        text.push_str(&cut(mark.start, mark_end));
        let end = text.len();
        text.push_str(&cut(mark_end, to));
        Snippet { text, mark: start..end }
    }
}

/// A window of a source line, with the part that is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The text shown: one line, cut to a window around the mark.
    pub text: String,
    /// The marked part, in bytes of `text`.
    pub mark: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::codes::UNKNOWN_VALUE;
    use super::*;

    #[test]
    fn multiline_record_location_has_line_and_character() {
        let record = "1,\"a\nü\",x".as_bytes();
        let at = record.len() - 1;
        let diagnostic = Diagnostic::new(&UNKNOWN_VALUE, "f.csv", "m").at(record, 7, at..at + 1);
        assert_eq!((diagnostic.line, diagnostic.column), (Some(8), Some(4)));
        assert_eq!(diagnostic.snippet, Some(Snippet { text: "ü\",x".to_owned(), mark: 4..5 }));
    }

    #[test]
    fn long_line_is_cut_between_characters() {
        let line = "ü".repeat(1000);
        for at in [0, 500, 1000, 1999] {
            let snippet = Snippet::around(line.as_bytes(), at..2000);
            assert!(snippet.text.len() <= 3 * WINDOW + 12 && snippet.text.is_char_boundary(snippet.mark.start));
        }
    }
}
