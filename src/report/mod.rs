//! Reports: what a person or a script is told. All text from outside goes through [`crate::text`] on its way.

pub mod diagnostics;
pub mod next_command;
