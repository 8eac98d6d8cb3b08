//! A fetched incident: a line of the partial file, and a row of the finished file.

use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::model::call::Incident;
use crate::model::snapshot::IncidentState;

/// A fetched incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetched {
    /// The incident's ID.
    pub id: u64,
    /// The time of the read: RFC 3339, UTC.
    pub fetched_at: String,
    /// The values at that time.
    pub before: IncidentState,
}

impl Fetched {
    /// When the incident was created, if the API returned that.
    #[must_use]
    pub fn created(&self, contract: &Contract) -> Option<jiff::Timestamp> {
        self.before.context.get(&contract.api.incident.created)?.as_str()?.parse().ok()
    }

    /// Converts an incident that was read at this time.
    #[must_use]
    pub fn new(incident: Incident, at: jiff::Timestamp) -> Fetched {
        Fetched { id: incident.id, fetched_at: format!("{at:.0}"), before: IncidentState::from(incident) }
    }

    /// The incident as the list showed it.
    #[must_use]
    pub fn incident(self) -> Incident {
        let IncidentState { values, redirect, context } = self.before;
        Incident { id: self.id, redirect, values, context, comments: Vec::new() }
    }
}
