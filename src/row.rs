//! Rows and what they ask for: the incident's id, the change, the scope in which both mean something.
//!
//! Promises: an [`IncidentId`] is a whole number, so it can't change the path of a request; a [`Change`] holds the
//! request's body to the byte, so what was checked and shown is what is sent.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The number of an incident, from 1 to 9223372036854775807.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(u64);

impl IncidentId {
    /// The largest id: the service counts in signed 64-bit numbers.
    pub const MAX: u64 = i64::MAX as u64;

    /// The id of this number; `None` for 0 and for what is past [`IncidentId::MAX`].
    #[must_use]
    pub fn new(number: u64) -> Option<IncidentId> {
        (1..=Self::MAX).contains(&number).then_some(IncidentId(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one row asks of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The incident to update.
    pub incident: IncidentId,
    /// The request's body: a JSON object of the properties to set, in the contract's order, without white space.
    /// Equal changes have equal bodies.
    pub body: Arc<str>,
    /// Whether a property is added to what is there instead of replacing it (a comment): sent twice, it stands twice.
    pub appends: bool,
}

/// Whose quota and whose incidents: see [`Scope::tenant`], [`Scope::named`], [`Scope::origin`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope(String);

impl Scope {
    /// The tenant that a token names.
    #[must_use]
    pub fn tenant(id: &str) -> Scope {
        Scope(format!("tenant:{id}"))
    }

    /// The name that the user gave.
    #[must_use]
    pub fn named(name: &str) -> Scope {
        Scope(format!("name:{name}"))
    }

    /// The origin of the API, where nothing better is known.
    #[must_use]
    pub fn origin(origin: &str) -> Scope {
        Scope(format!("origin:{origin}"))
    }

    /// A scope as the journal keeps it.
    #[must_use]
    pub fn from_stored(text: String) -> Scope {
        Scope(text)
    }

    /// With the kind of it: `tenant 0b7e6d3c-…`.
    #[must_use]
    pub fn described(&self) -> String {
        self.0.replacen(':', " ", 1)
    }

    /// As the journal keeps it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.split_once(':').map_or(self.0.as_str(), |(_, text)| text);
        f.write_str(text)
    }
}
