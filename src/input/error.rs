//! Why an input can't be read to its end.

use std::io;

use crate::diagnostic::{Code, Diagnostic};
use crate::text::printable;

/// Why an input can't be read, or is not valid as a whole.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It can't be opened or read.
    #[error("can't read `{}`: {source}", printable(.name))]
    Unreadable {
        /// As it was named.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be; nothing after this place was looked at.
    #[error("`{}` is not valid: {}", printable(.0.first().map_or("", |first| &first.file)), .0.first().map_or("", |first| &first.message))]
    Invalid(Vec<Diagnostic>),
    /// Whoever takes the rows can't go on.
    #[error("can't keep the rows: {0}")]
    NotKept(#[source] io::Error),
}

impl InputError {
    /// Something that is wrong with the whole file.
    pub(super) fn of_file(code: &Code, name: &str, message: impl Into<String>) -> InputError {
        InputError::Invalid(vec![Diagnostic::new(code, name, message)])
    }
}
