//! The emulator: a real HTTP/1.1 server on loopback that behaves as the API does, quota and faults included. Tests and
//! newcomers use the same one.
//!
//! The way of a request: `server` takes it from the wire, lets its way in take time, and asks `service`, which decides
//! everything under one lock at one moment: it counts (`windows`), picks a fault (`faults`), asks the `api` (its
//! `rules`, the `filter` of a list, the `incidents`), words the answer (`answer`, `throttle`) and writes a line
//! (`request_log`). What a service does beyond its documentation is in `habits`. Then the way back takes time, and the answer leaves, whole or as the fault wants it
//! (`faulty_body`).
//!
//! Paths, members and query names are its own, from the API's facts: else tests would check the client against itself.
//! Only the rules of what an update may set come from the contract, since a user's file can add values.
//!
//! Promises: windows slide, and are counted exactly, by code that the client's quota doesn't share; every request that
//! arrives is counted, the refused ones too, and is in the log before it is answered; no token is printed or logged.

mod answer;
mod api;
mod faults;
mod faulty_body;
mod filter;
mod habits;
mod incidents;
mod request_log;
mod rules;
mod server;
mod service;
mod settings;
mod throttle;
mod windows;

pub use faults::{Fault, Faults, GRAMMAR, ParseFaultError};
pub use habits::{CommentForm, DateHeader, Habits, UnknownCommentForm};
pub use incidents::{Incidents, ParseIncidentsError};
pub use server::{Running, start};
pub use settings::Settings;
pub use throttle::{ThrottleForm, UnknownThrottleForm};
