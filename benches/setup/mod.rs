//! Shared by the benches of sending: the emulator as a process, runs in a journal on disk, facts about the machine.

mod emulator;
mod machine;
mod run;

pub(crate) use emulator::Emulator;
pub(crate) use machine::{facts, median};
pub(crate) use run::Prepared;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
