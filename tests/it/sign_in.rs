//! A job signs in without a person: each kind of credentials, through the program and over HTTP, against the services
//! that the emulator plays. `az` and token commands are scripts, whose tokens come from the emulator, too.

mod emulator;
mod endpoints;
mod keeper;
pub(crate) mod kinds;
mod profiles;
mod refusals;
mod renewal;
mod requests;
pub(crate) mod sinks;
