//! Contracts: what an API accepts and how it is called. Operations, properties, values and their aliases, the rules
//! between them, the quota.
//!
//! A contract is data: a `.toml` file beside this one for each API, or a user's file that extends one. Check, quota,
//! client and documentation read it; no rule or name of an API stands anywhere else. The emulator has its own.

mod api;
mod definition;
mod extension;
mod file;
mod load;
pub(crate) mod steps;

pub use api::{Api, CommentMembers, ErrorMembers, IncidentMembers, ListFilters, ListNames};
pub use definition::{Choice, Contract, Dependency, Property, PropertyKind, SameAs};
pub use load::{BUILT_IN, ContractError, built_in_hosts, is_appended, load};
