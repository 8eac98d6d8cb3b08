//! Stand-in.
pub mod emulator;
