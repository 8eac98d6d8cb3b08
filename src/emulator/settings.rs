//! Emulator settings, set by tests and the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::faults::Faults;
use super::habits::Habits;
use super::incidents::Incidents;
use super::sign_in::SignIn;
use super::throttle::ThrottleForm;
use crate::contract::Contract;
use crate::model::quota_spec::Quota;

/// What clients use as the largest page of Graph's list; it is not documented.
pub const LARGEST_PAGE: usize = 50;

/// Emulator settings.
#[derive(Debug)]
pub struct Settings {
    /// The contract: the quota, and the rules of the classic API. A contract for Graph leaves those to `defender`, and Graph
    /// has its own.
    pub contract: Contract,
    /// The port; 0 picks a free one.
    pub port: u16,
    /// The bearer token; if `None`, any that is not empty is accepted.
    pub token: Option<SecretString>,
    /// The sign-in endpoints. With them, only tokens that they issued are accepted.
    pub sign_in: Option<SignIn>,
    /// The quota, instead of the contract's.
    pub quota: Option<Quota>,
    /// The range of the round-trip latency. It is drawn for each request and divided at random between request and
    /// response, so that requests overtake one another as on a network.
    pub latency: RangeInclusive<Duration>,
    /// The incidents that exist.
    pub incidents: Incidents,
    /// The merged incidents, each with its target.
    pub merged: BTreeMap<u64, u64>,
    /// The incidents whose status is `AwaitingAction` until it is set.
    pub awaiting_action: BTreeSet<u64>,
    /// The titles that differ from the default.
    pub titles: BTreeMap<u64, String>,
    /// The size of each incident in bytes: smaller ones are padded with an alert.
    pub incident_size: usize,
    /// The faults.
    pub faults: Faults,
    /// The undocumented behavior.
    pub habits: Habits,
    /// The format of the time in a 429; if `None`, the one that each API documents.
    pub throttle_form: Option<ThrottleForm>,
    /// The largest `$top` of Graph's list, and the size of a page without one.
    pub largest_page: usize,
    /// A connection that gets more requests than this is closed without a response.
    pub requests_per_connection: Option<u64>,
    /// The request log (JSONL), which is appended to.
    pub log: Option<PathBuf>,
    /// The seed for latencies, chances and tracking IDs.
    pub seed: u64,
}

impl Settings {
    /// A server with every incident and any free port, without latency or faults, that accepts any token.
    #[must_use]
    pub fn new(contract: Contract) -> Settings {
        Settings {
            contract,
            port: 0,
            token: None,
            sign_in: None,
            quota: None,
            latency: Duration::ZERO..=Duration::ZERO,
            incidents: Incidents::every(),
            merged: BTreeMap::new(),
            awaiting_action: BTreeSet::new(),
            titles: BTreeMap::new(),
            incident_size: 0,
            faults: Faults::default(),
            habits: Habits::default(),
            throttle_form: None,
            largest_page: LARGEST_PAGE,
            requests_per_connection: None,
            log: None,
            seed: 0,
        }
    }
}
