//! Contracts: what an API accepts and how it is called. Operations, properties, values and their aliases, the rules
//! between them, the quota.
//!
//! A contract is data: one `.toml` file per API beside this file, or a user's file that extends one. Check, quota,
//! client and documentation read it; no other file has a rule or name of an API. The emulator has its own.

mod api;
mod definition;
mod extension;
mod file;
mod hosts;
mod load;
mod portal;
pub(crate) mod steps;

pub use api::{Api, CommentMembers, ErrorMembers, IncidentMembers, ListFilters, ListNames};
pub use definition::{Absence, Choice, Contract, Dependency, Host, Property, PropertyKind, Resolving, SameAs};
pub use hosts::{absences, built_in_at, regions};
pub use load::{BUILT_IN, ContractError, is_appended, load};
