//! Files that `fetch` has made: how they are known, and how old they are.

use jiff::Timestamp;

use super::jsonl::Member;

/// The column with the incident's number, in every file that is read or written, whatever the API calls it.
pub const INCIDENT_ID: &str = "incidentId";

/// The column that says when an incident was read.
pub const FETCHED_AT: &str = "fetched_at";

/// What those columns begin with that say what an incident is.
pub const CURRENT: &str = "current_";

/// The place of the column that says the time, in the header of a fetched file.
pub(super) fn time_column<'a>(mut names: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    let place = names.clone().position(|name| name.trim() == FETCHED_AT)?;
    names.any(|name| name.starts_with(CURRENT)).then_some(place)
}

/// The time of a fetched line.
pub(super) fn time_of(members: &[Member<'_>]) -> Option<Timestamp> {
    let place = time_column(members.iter().map(|member| &*member.name))?;
    members[place].value.get().trim_matches('"').parse().ok()
}
