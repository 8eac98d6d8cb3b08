//! Updates many security incidents at once: every row checked first, as fast as the quota allows, every row accounted
//! for.

pub mod apply;
pub mod attempt;
pub mod check;
pub mod cli;
pub mod client;
pub mod clock;
pub mod contract;
pub mod diagnostic;
pub mod emulator;
pub mod error;
pub mod exit;
pub mod input;
pub mod journal;
pub mod outcome;
pub mod permit;
pub mod quota;
pub mod report;
pub mod retry;
pub mod row;
pub mod text;
pub mod window;
