//! The engine, sending and reading, on paused time and against a scripted service: requests, their times, and events.

mod lists;
mod reading;
mod renewal;
mod sending;
mod stage;
