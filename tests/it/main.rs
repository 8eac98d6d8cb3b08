//! The promises to users, held to the program itself: each file is named after one, and judges by what the emulator's
//! log says really came over the wire. What needs time, crashes and chance is in [`simulation`].

mod bad_input;
mod checked_first;
mod every_row_once;
mod fuzzed;
mod layers;
mod no_double_comment;
mod program;
mod samples;
mod simulation;
mod twice_is_once;
mod windows;
