//! Steps: the requests that make a change, one after another.
//!
//! Promise: a step's body is written when it is sent, from typed edits, and never parsed.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::change::IncidentId;
use super::edit::{Edits, Never, PropertyEdit, Spelling};
use super::operation::{Method, OperationId};

/// One request that makes a change, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The operation it uses.
    pub operation: OperationId,
    /// The method, from the contract.
    pub method: Method,
    /// Starts with a slash; built from the contract's path and the incident's number.
    pub path: String,
    /// The incident that it changes.
    pub incident: IncidentId,
    /// The body.
    pub body: Body,
    /// The effect of sending it twice.
    pub repeat: Repeat,
}

/// Which edits of a row a step sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Whole,
    /// The idempotent edits; a separate step adds the comment.
    Properties,
    /// Only the comment.
    Comment,
}

impl Part {
    /// Whether it includes this edit.
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

/// The effect of sending a step twice: decides what a lost response means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The same as sending it once.
    Harmless,
    /// It adds something twice, so the incident is read before it is sent again.
    AppendsOnce,
}

impl<L> Edits<L> {
    /// The effect of sending these edits twice.
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
    /// How it spells some of the properties.
    pub spellings: Vec<Spelling>,
    /// The edits.
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
        self.edits.serialize_members(&mut object, &self.spellings)?;
        object.end()
    }
}
