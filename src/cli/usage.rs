//! What the parser of the command line says: help, the version, or what is wrong.
//!
//! Promises: nothing that was typed or that a variable holds reaches the terminal as it is. The parser says it again of
//! arguments and defaults that were escaped before it saw them: what it prints may then be painted, and a line end of
//! an argument begins no line.

use std::ffi::OsString;

use super::terminal;
use crate::cli::error::Error;
use crate::text::printable;

/// Says on its stream what `error` is about: `command`, of which all is safe to print, has failed to parse `arguments`.
pub(super) fn tell(error: &clap::Error, command: clap::Command, arguments: &[OsString]) {
    let escaped = arguments.iter().map(|argument| printable(&argument.to_string_lossy()).into_owned());
    let again = command.try_get_matches_from(escaped);
    // If it can't be written, there is nobody to tell.
    match again {
        Err(again) if again.kind() == error.kind() => drop(again.print()),
        // An argument that is right where it is escaped: one that is not UTF-8.
        _ => error.render().to_string().lines().for_each(terminal::say),
    }
}

/// What the parser of the command line says, in one line.
pub(super) fn usage_error(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.trim_start_matches("error: ").split_whitespace().collect();
    Error::usage(words.join(" "))
}
