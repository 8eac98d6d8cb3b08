//! The emulator: an HTTP/1.1 server on loopback that behaves like the API, with its quota, and with faults. It speaks both
//! APIs, the classic one below `/api` and Microsoft Graph below `/v1.0`, over the same incidents and the same quota. Tests and
//! newcomers use the same one.
//!
//! The path of a request: `server` reads it from the connection (`request`) and delays it by its latency. `service` then
//! decides everything under one lock, at one moment: it counts the request (`windows`), picks a fault (`faults`, `trigger`), calls
//! the `api` (with `access`, its `rules`, the `filter` of a list with its `comparison`s, and the `incidents`), creates the response (`response`,
//! `throttle`), and writes a log line (`request_log`). `habits` is the undocumented behavior. After another delay, `server`
//! sends the response, or what the fault leaves of it (`faulty_body`). Requests to the services that issue tokens go to
//! `sign_in` instead. What Graph spells otherwise is in `graph`.
//!
//! Paths, members and query names are written out here, from the API's documentation: tests would otherwise check the
//! client against itself. Only the rules for the values of a classic update come from the contract, because a user's contract
//! can add values.
//!
//! Promises: windows slide and are exact, and share no code with the client's quota; every request that arrives is
//! counted, even if it is rejected, and logged before its response is sent; no token is printed or logged. Sign-in requests
//! are not requests to the API.

mod access;
mod api;
mod comparison;
mod faults;
mod faulty_body;
mod filter;
mod graph;
mod habits;
mod incidents;
mod request;
mod request_log;
mod response;
mod rules;
mod server;
mod service;
mod settings;
mod sign_in;
mod throttle;
mod trigger;
mod windows;

pub use faults::{Fault, Faults, GRAMMAR, ParseFaultError};
pub use habits::{CommentForm, DateHeader, Habits, UnknownCommentForm};
pub use incidents::{Incidents, ParseIncidentsError};
pub use server::{Running, start};
pub use settings::{LARGEST_PAGE, Settings};
pub use sign_in::{
    Endpoint, GITHUB_ISSUER, GITHUB_SUBJECT, IDENTITY_CLIENT_ID, SIGN_IN_GRAMMAR, SignIn, SignInFault, SignInRequest,
    TENANT_ID,
};
pub use throttle::ThrottleForm;
