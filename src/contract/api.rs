//! The names in an API's requests and responses.

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
    /// Its title in the portal.
    pub title: String,
    /// Its severity, a word.
    pub severity: String,
    /// When it was created.
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
    /// Its text.
    pub text: String,
    /// Its author.
    pub author: String,
    /// When it was created.
    pub created: String,
}

/// How the list of incidents is requested, and where the incidents are in the response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListNames {
    /// The member with the incidents.
    pub items: String,
    /// The query parameter for the number of incidents.
    pub top: String,
    /// The query parameter for the number of incidents to skip.
    pub skip: String,
    /// The query parameter for a filter.
    pub filter: String,
    /// The member with the URL of the next page, if pages are linked. The last page lacks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Page sizes, largest first: the smaller ones are used if a page fails.
    pub page_sizes: Vec<u32>,
    /// The conditions of filters.
    pub filters: ListFilters,
}

/// Conditions on incidents in the API's syntax, with `{}` for a quoted text or a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFilters {
    /// Has this status.
    pub status: String,
    /// Has this owner.
    pub assigned_to: String,
    /// Has no owner, if the API has a condition for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unassigned: Option<String>,
    /// Was created at this time, or later.
    pub created_since: String,
    /// Was created at this time, or earlier.
    pub created_until: String,
    /// Was changed at this time, or later.
    pub updated_since: String,
}

/// The members of an error: `{"error":{"code":…,"message":…,"target":…}}`, and those that gateways before the API
/// write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorMembers {
    /// The object with the next three, or a bare code.
    pub object: String,
    /// A word for programs.
    pub code: String,
    /// A text for people.
    pub message: String,
    /// The tracking ID.
    pub target: String,
    /// Objects beside these, which may have the tracking ID in the member `inner_id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inner: Vec<String>,
    /// The tracking ID in `inner`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inner_id: String,
    /// Members with a text for people, within the object or beside it. If it has none, the first one present counts.
    pub texts: Vec<String>,
    /// Objects and lists in which there may be more errors.
    pub nested: Vec<String>,
    /// When requests may start again: in seconds, or as a time.
    pub seconds: Vec<String>,
    /// The same in milliseconds.
    pub milliseconds: Vec<String>,
}
