//! Steps: the requests that make a change, one after another.
//!
//! Promise: a step's body is written when it is sent, from typed edits, and never parsed.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::change::IncidentId;
use super::edit::{Edits, Never, PropertyEdit};
use super::operation::{Method, OperationId};

/// One request that makes a change, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the API is asked for.
    pub operation: OperationId,
    /// As the contract has it.
    pub method: Method,
    /// Begins with a slash; made of the contract's path and the incident's number.
    pub path: String,
    /// The incident that it changes.
    pub incident: IncidentId,
    /// What it sends.
    pub body: Body,
    /// What sending it twice does.
    pub repeat: Repeat,
}

/// Which edits of a row a step sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Whole,
    /// Those that can be repeated; a step of its own adds the comment.
    Properties,
    /// Only the comment.
    Comment,
}

impl Part {
    /// Whether this edit is one of its.
    pub fn holds<L>(self, one: &PropertyEdit<L>) -> bool {
        match self {
            Part::Whole => true,
            Part::Properties => !one.edit.is_append(),
            Part::Comment => one.edit.is_append(),
        }
    }

    /// Its edits.
    #[must_use]
    pub fn of<L: Clone>(self, edits: &Edits<L>) -> Edits<L> {
        match self {
            Part::Whole => edits.clone(),
            Part::Properties => edits.without_added(),
            Part::Comment => edits.only_added(),
        }
    }

    /// The operation that sends it.
    #[must_use]
    pub fn operation(self) -> OperationId {
        match self {
            Part::Whole | Part::Properties => OperationId::Update,
            Part::Comment => OperationId::Comment,
        }
    }
}

/// What sending a step twice does: decides what a lost response means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The same as sending it once.
    Harmless,
    /// It adds something twice: the incident is read before it is sent again.
    AppendsOnce,
}

impl<L> Edits<L> {
    /// What sending these edits twice does.
    #[must_use]
    pub fn repeat(&self) -> Repeat {
        if self.added().is_some() { Repeat::AppendsOnce } else { Repeat::Harmless }
    }
}

/// The body of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Members that the operation always has: they come first.
    pub always: BTreeMap<String, String>,
    /// What it changes.
    pub edits: Edits<Never>,
}

impl Body {
    /// As it is sent.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("texts and lists are JSON"))
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.always.len() + self.edits.len()))?;
        for (name, value) in &self.always {
            object.serialize_entry(name, value)?;
        }
        self.edits.serialize_members(&mut object)?;
        object.end()
    }
}
