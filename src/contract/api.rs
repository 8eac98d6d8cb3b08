//! The names that an API gives to what it is asked for and what it shows.

use serde::{Deserialize, Serialize};

/// The names of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Of an incident.
    pub incident: IncidentMembers,
    /// Of a comment on it.
    pub comment: CommentMembers,
    /// Of the list of incidents.
    pub list: ListNames,
    /// Of an error.
    pub error: ErrorMembers,
}

/// The members of an incident that mean something to the program itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentMembers {
    /// Its number, or the number as a text.
    pub id: String,
    /// The number of the incident into which it was merged.
    pub redirect: String,
    /// What the portal calls it.
    pub title: String,
    /// A word.
    pub severity: String,
    /// A time.
    pub created: String,
    /// The property with the status.
    pub status: String,
    /// The property with the owner.
    pub owner: String,
    /// The property with the tags.
    pub tags: String,
}

/// The members of a comment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommentMembers {
    /// What it says.
    pub text: String,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub created: String,
}

/// How the list of incidents is asked for, and where they stand in the response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListNames {
    /// The member with the incidents.
    pub items: String,
    /// The query's name for how many.
    pub top: String,
    /// The query's name for how many to pass over.
    pub skip: String,
    /// The query's name for a filter.
    pub filter: String,
    /// How many to ask for: the largest number first, and those that are tried if a page fails.
    pub page_sizes: Vec<u32>,
    /// What can be filtered by.
    pub filters: ListFilters,
}

/// Conditions on incidents, as the API writes them, with `{}` in the place of a quoted text or a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFilters {
    /// Has this status.
    pub status: String,
    /// Has this owner.
    pub assigned_to: String,
    /// Was created at this time, or later.
    pub created_since: String,
    /// Was created at this time, or earlier.
    pub created_until: String,
    /// Was changed at this time, or later.
    pub updated_since: String,
}

/// The members of an error: `{"error":{"code":…,"message":…,"target":…}}`, and what gateways before the API write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorMembers {
    /// The object with the next three, or a code by itself.
    pub object: String,
    /// A word for programs.
    pub code: String,
    /// A text for people.
    pub message: String,
    /// The tracking ID.
    pub target: String,
    /// Members with a text for people, within the object or beside it. If it has none, the first one that is there counts.
    pub texts: Vec<String>,
    /// Objects and lists in which there may be more errors.
    pub nested: Vec<String>,
    /// When requests may begin again: in seconds, or as a time.
    pub seconds: Vec<String>,
    /// The same in milliseconds.
    pub milliseconds: Vec<String>,
}
