//! The two loops on paused time, against a service that answers as it is told: who is called when, and what is told.

mod lists;
mod read_loop;
mod renewal;
mod sending;
mod stage;
