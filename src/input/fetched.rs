//! Files created by `fetch`: how they are recognized, and their age.

use jiff::Timestamp;

use super::jsonl::Member;

/// The column with the incident's ID, in every file that is read or written, whatever the API calls it.
pub const INCIDENT_ID: &str = "incidentId";

/// The column with the time at which an incident was read.
pub const FETCHED_AT: &str = "fetched_at";

/// The prefix of the columns with an incident's current values.
pub const CURRENT: &str = "current_";

/// The index of the column [`FETCHED_AT`] in the header of a fetched file; `None` if it is not a fetched file.
pub(super) fn time_column<'a>(mut names: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    let index = names.clone().position(|name| name.trim() == FETCHED_AT)?;
    names.any(|name| name.starts_with(CURRENT)).then_some(index)
}

/// The time of a fetched JSONL line.
pub(super) fn time_of(members: &[Member<'_>]) -> Option<Timestamp> {
    let index = time_column(members.iter().map(|member| &*member.name))?;
    members[index].value.get().trim_matches('"').parse().ok()
}
