//! What an incident looked like when it was read: kept with the rows for which it was, shown, and compared.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::call::Incident;

/// What came of looking at an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snapshot {
    /// It is there.
    There(IncidentState),
    /// There is no such incident.
    Missing {
        /// What the API said.
        message: String,
    },
    /// It can't be told.
    Unreadable {
        /// What the last answer said.
        message: String,
    },
}

/// An incident as it was, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IncidentState {
    /// The properties that the contract names, as the server showed them; comments are none of them.
    pub values: Map<String, Value>,
    /// The incident into which it was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<u64>,
    /// What it is: its name, its times.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
}

impl From<Incident> for IncidentState {
    fn from(incident: Incident) -> IncidentState {
        IncidentState { values: incident.values, redirect: incident.redirect, context: incident.context }
    }
}

impl Snapshot {
    /// As the journal keeps it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// What [`Snapshot::to_json`] wrote.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn from_json(text: &str) -> serde_json::Result<Snapshot> {
        serde_json::from_str(text)
    }
}
