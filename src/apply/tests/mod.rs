//! The loops for sending and reading, on paused time and against a scripted service: requests, their times, and events.

mod lists;
mod read_loop;
mod renewal;
mod sending;
mod stage;
