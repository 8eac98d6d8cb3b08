//! The promises to users, held to the program itself: each file is named after one, and judges by what the emulator's
//! log says really came over the wire.

mod bad_input;
mod checked_first;
mod every_row_once;
mod layers;
mod no_double_comment;
mod outside_is_data;
mod program;
mod samples;
mod secrets;
mod twice_is_once;
mod windows;
