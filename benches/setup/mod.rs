//! What the benches of sending stand on: the emulator in a process of its own, runs in a journal on the disk, and what
//! the machine can do.

mod emulator;
mod machine;
mod run;

pub(crate) use emulator::Emulator;
pub(crate) use machine::{facts, median};
pub(crate) use run::Prepared;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
