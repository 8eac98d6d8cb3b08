//! Why an input can't be read to its end.

use std::io;

use crate::model::diagnostic::{Code, Diagnostic, codes};
use crate::text::printable;

/// Why an input can't be read, or is not valid as a whole.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It can't be opened or read.
    #[error("cannot read `{}`: {source}", printable(.name))]
    Unreadable {
        /// The input's name, as it was typed.
        name: String,
        /// The I/O error.
        source: io::Error,
    },
    /// It has a problem that affects the whole input. Nothing after it was read.
    #[error("`{}` is not valid: {}", printable(.0.first().map_or("", |first| &first.file)), .0.first().map_or("", |first| &first.message))]
    Invalid(Vec<Diagnostic>),
    /// The consumer of the rows failed.
    #[error("cannot keep the rows: {0}")]
    NotKept(#[source] io::Error),
}

impl InputError {
    /// A problem of the whole file.
    pub(super) fn of_file(code: &Code, name: &str, message: impl Into<String>) -> InputError {
        InputError::Invalid(vec![Diagnostic::new(code, name, message)])
    }

    /// Text follows a closing quote at byte `at` of `source`, which begins on line `line`.
    pub(super) fn text_after_quote(name: &str, source: &[u8], line: u64, at: usize) -> InputError {
        let message = "text follows a closing quote, so the end of the cell is unclear";
        let diagnostic = Diagnostic::new(&codes::TEXT_AFTER_QUOTE, name, message);
        InputError::Invalid(vec![diagnostic.at(source, line, at..at + 1)])
    }

    /// The quote at byte `at` of `source`, which begins on line `line`, never closes.
    pub(super) fn unclosed_quote(name: &str, source: &[u8], line: u64, at: usize) -> InputError {
        InputError::Invalid(vec![unclosed(name).at(source, line, at..at + 1)])
    }

    /// The same, if only the line of the quote is known.
    pub(super) fn unclosed_quote_on(name: &str, line: u64) -> InputError {
        InputError::Invalid(vec![Diagnostic { line: Some(line), ..unclosed(name) }])
    }
}

fn unclosed(name: &str) -> Diagnostic {
    let message = "a quote opens here and never closes: the rest of the file would be one cell";
    Diagnostic::new(&codes::UNCLOSED_QUOTE, name, message)
}
