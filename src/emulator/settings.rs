//! What the emulator shall be, all in one place, as tests and the command line set it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::faults::Faults;
use super::habits::Habits;
use super::incidents::Incidents;
use super::throttle::ThrottleForm;
use crate::contract::Contract;
use crate::model::quota_spec::Quota;

/// What the emulator shall be.
#[derive(Debug)]
pub struct Settings {
    /// Whose path, properties and rules.
    pub contract: Contract,
    /// 0 takes a free one.
    pub port: u16,
    /// The bearer token; without one, any that is not empty is taken.
    pub token: Option<SecretString>,
    /// In the place of the contract's.
    pub quota: Option<Quota>,
    /// How long a request takes on its way in and its way back, together. Drawn for each, and divided by chance, so
    /// that requests overtake one another as they do on a network.
    pub latency: RangeInclusive<Duration>,
    /// Which exist.
    pub incidents: Incidents,
    /// Which were merged into which.
    pub merged: BTreeMap<u64, u64>,
    /// The titles of those that have one of their own.
    pub titles: BTreeMap<u64, String>,
    /// The size of each incident in bytes: smaller ones are filled up with an alert.
    pub incident_size: usize,
    /// What goes wrong.
    pub faults: Faults,
    /// What the service does beyond its documentation.
    pub habits: Habits,
    /// How a 429 says its time.
    pub throttle_form: ThrottleForm,
    /// A connection is closed without a response when it gets more requests than this.
    pub requests_per_connection: Option<u64>,
    /// Where each request is written, as JSONL. Added to.
    pub log: Option<PathBuf>,
    /// For latencies, chances and tracking ids.
    pub seed: u64,
}

impl Settings {
    /// A friendly server: every incident, no latency, no fault, any token, any port.
    #[must_use]
    pub fn new(contract: Contract) -> Settings {
        Settings {
            contract,
            port: 0,
            token: None,
            quota: None,
            latency: Duration::ZERO..=Duration::ZERO,
            incidents: Incidents::every(),
            merged: BTreeMap::new(),
            titles: BTreeMap::new(),
            incident_size: 0,
            faults: Faults::default(),
            habits: Habits::default(),
            throttle_form: ThrottleForm::default(),
            requests_per_connection: None,
            log: None,
            seed: 0,
        }
    }
}
