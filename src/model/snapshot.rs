//! The values of an incident when it was read: stored with its rows, displayed, and compared.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::call::Incident;

/// The result of reading an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snapshot {
    /// It exists.
    There(IncidentState),
    /// There is no such incident.
    Missing {
        /// The API's message.
        message: String,
    },
    /// It can't be read.
    Unreadable {
        /// The message of the last response.
        message: String,
    },
}

/// The values of an incident at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IncidentState {
    /// The properties that the contract names, as the server showed them, without comments.
    pub values: Map<String, Value>,
    /// The incident into which it was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<u64>,
    /// Its context: name and times.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
}

impl From<Incident> for IncidentState {
    fn from(incident: Incident) -> IncidentState {
        IncidentState { values: incident.values, redirect: incident.redirect, context: incident.context }
    }
}

impl Snapshot {
    /// The form that the journal stores.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}
