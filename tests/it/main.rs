//! The promises to users, held to the program itself: each file is named after one, and judges by what the emulator's
//! log says really came over the wire. What needs time, crashes and chance is in [`simulation`].

mod account;
mod bad_input;
mod browser;
mod check_command;
mod checked_first;
mod command_line;
mod compare;
mod day;
mod docs;
mod every_row_once;
mod exit_codes;
mod faults;
mod fetch;
mod fuzzed;
mod intent_first;
mod kills;
mod layers;
mod machine;
mod memory;
mod naughty;
mod no_double_comment;
mod nothing_else_sends;
mod outputs;
mod outside_is_data;
mod plan;
mod power_cut;
mod program;
mod report;
mod samples;
mod secrets;
mod service_down;
mod simulation;
mod twice_is_once;
mod undo;
mod windows;
