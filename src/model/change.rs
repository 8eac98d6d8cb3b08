//! Changes: an incident's ID, what changes, and the tenant key that both belong to.
//!
//! Promises: an [`IncidentId`] is a whole number, so it can't change the path of a request; a [`ResolvedChange`] has no
//! list edit, so an incomplete list can't be sent.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::edit::{Edits, Never};
use crate::model::list_edit::ListEdit;

/// The number of an incident, from 1 to 9223372036854775807.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct IncidentId(u64);

impl IncidentId {
    /// The largest ID: the service uses signed 64-bit numbers.
    pub const MAX: u64 = i64::MAX as u64;

    /// The ID of this number; `None` for 0 and above [`IncidentId::MAX`].
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

impl TryFrom<u64> for IncidentId {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<IncidentId, &'static str> {
        IncidentId::new(number).ok_or("an incident ID is a number from 1 to 9223372036854775807")
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one row changes of one incident. `L` is how it edits lists: [`ListEdit`], or [`Never`] once they are resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change<L = ListEdit> {
    /// The incident to update.
    pub incident: IncidentId,
    /// What it changes.
    pub edits: Edits<L>,
}

/// A change without a list edit: only such a change can be sent.
pub type ResolvedChange = Change<Never>;

impl Change {
    /// The change with complete lists. `values`: the snapshot of its incident.
    ///
    /// # Errors
    /// The property of a list edit, if `values` lacks that list, or shows it redacted.
    pub fn resolve(&self, values: &Map<String, Value>) -> Result<ResolvedChange, String> {
        Ok(Change { incident: self.incident, edits: self.edits.resolve(values)? })
    }

    /// The same change, if it edits no list.
    #[must_use]
    pub fn resolved(&self) -> Option<ResolvedChange> {
        Some(Change { incident: self.incident, edits: self.edits.resolved()? })
    }
}

impl From<ResolvedChange> for Change {
    fn from(change: ResolvedChange) -> Change {
        Change { incident: change.incident, edits: change.edits.into() }
    }
}

/// Whose quota and whose incidents: see [`TenantKey::tenant`], [`TenantKey::named`], [`TenantKey::origin`]; and at
/// which family of origins. All hosts of the built-in contracts are one family, and every other origin is one.
///
/// A text such as `tenant:0b7e6d3c-…`, as earlier revisions also wrote it; in another family than that of the built-in
/// contracts, such as `at:https://other.example tenant:0b7e6d3c-…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantKey(String);

/// The prefix of a tenant key at another family of origins than that of the built-in contracts.
const FAMILY: &str = "at:";

impl TenantKey {
    /// The tenant that a token names.
    #[must_use]
    pub fn tenant(id: &str) -> TenantKey {
        TenantKey(format!("tenant:{id}"))
    }

    /// The name that the user gave.
    #[must_use]
    pub fn named(name: &str) -> TenantKey {
        TenantKey(format!("name:{name}"))
    }

    /// The origin of the API, if no tenant or name is known.
    #[must_use]
    pub fn origin(origin: &str) -> TenantKey {
        TenantKey(format!("origin:{origin}"))
    }

    /// The same tenant or name at an origin that is a separate family: its history does not count here.
    #[must_use]
    pub fn at(self, origin: &str) -> TenantKey {
        TenantKey(format!("{FAMILY}{origin} {}", self.0))
    }

    /// Reads a tenant key as the journal stores it.
    #[must_use]
    pub fn from_stored(text: String) -> TenantKey {
        TenantKey(text)
    }

    /// Whether only the origin is known.
    #[must_use]
    pub fn is_origin(&self) -> bool {
        self.within_family().starts_with("origin:")
    }

    /// Whether it is a tenant.
    #[must_use]
    pub fn is_tenant(&self) -> bool {
        self.within_family().starts_with("tenant:")
    }

    /// Whether both are the same tenant or name, at any origin; if only origins are known, they are not. Plans and runs
    /// of earlier revisions know no families.
    #[must_use]
    pub fn is_same_tenant(&self, other: &TenantKey) -> bool {
        self.within_family() == other.within_family() || self.is_origin() && other.is_origin()
    }

    /// With its kind, for people: `tenant 0b7e6d3c-…`.
    #[must_use]
    pub fn described(&self) -> String {
        self.within_family().replacen(':', " ", 1)
    }

    /// As the journal stores it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn within_family(&self) -> &str {
        let within = self.0.strip_prefix(FAMILY).and_then(|rest| rest.split_once(' '));
        within.map_or(self.0.as_str(), |(_, within)| within)
    }
}

impl fmt::Display for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self.within_family();
        f.write_str(within.split_once(':').map_or(within, |(_, text)| text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_is_kept_and_not_shown() {
        let here = TenantKey::tenant("T");
        let there = here.clone().at("https://other.example");
        assert_eq!((here.as_str(), there.as_str()), ("tenant:T", "at:https://other.example tenant:T"));
        assert_ne!(here, there);
        assert!(here.is_same_tenant(&there) && there.is_tenant());
        assert!(!here.is_same_tenant(&TenantKey::tenant("U").at("https://other.example")));
        assert_eq!((there.described().as_str(), there.to_string().as_str()), ("tenant T", "T"));
        let named = TenantKey::named("at: x").at("https://[::1]:8443");
        assert_eq!(named.described(), "name at: x");
    }
}
