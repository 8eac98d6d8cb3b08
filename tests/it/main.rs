//! The promises to users, held to the program itself: each file is named after one, and judges by what the emulator's
//! log says really came over the wire. What needs time, crashes and chance is in [`simulation`].

mod account;
mod bad_input;
mod checked_first;
mod every_row_once;
mod faults;
mod faults_told;
mod kills;
mod layers;
mod machine;
mod no_double_comment;
mod power_cut;
mod program;
mod samples;
mod simulation;
mod twice_is_once;
mod windows;
