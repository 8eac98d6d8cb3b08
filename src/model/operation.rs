//! Operations: what an API can do, and the request for each.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::change::IncidentId;

/// What an API can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationId {
    /// Sets properties of an incident.
    #[default]
    Update,
    /// Adds a comment, if the API has a separate request for that.
    Comment,
    /// Shows one incident.
    Read,
    /// Shows a page of the list of incidents.
    List,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Sets the members in the body.
    Patch,
    /// Adds the content of the body.
    Post,
}

impl Method {
    /// As in a request line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Patch => "PATCH",
            Method::Post => "POST",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One operation as a contract describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Of its request.
    pub method: Method,
    /// The path of its URL, with `{id}` for the incident's number.
    pub path: String,
    /// Members that its body always has, before those of the change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub body: BTreeMap<String, String>,
    /// Headers that its request always has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// In the response to a comment, the member that lists the incident's comments. Without it, the response shows the
    /// incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_in: Option<String>,
}

impl Operation {
    /// The path for this incident.
    #[must_use]
    pub fn path_of(&self, incident: IncidentId) -> String {
        self.path.replace("{id}", &incident.to_string())
    }
}

/// The operations of an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// See [`OperationId::Update`].
    pub update: Operation,
    /// See [`OperationId::Comment`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Operation>,
    /// See [`OperationId::Read`].
    pub read: Operation,
    /// See [`OperationId::List`].
    pub list: Operation,
}

impl Operations {
    /// The operation; an API without one for comments adds them with an update.
    #[must_use]
    pub fn get(&self, id: OperationId) -> &Operation {
        match id {
            OperationId::Update => &self.update,
            OperationId::Comment => self.comment.as_ref().unwrap_or(&self.update),
            OperationId::Read => &self.read,
            OperationId::List => &self.list,
        }
    }
}
