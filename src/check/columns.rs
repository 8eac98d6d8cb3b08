//! What a column, or a member, means to the contract.

use std::collections::HashMap;

use super::rules::ReadyContract;
use super::suggest::distance;
use super::value::Asked;
use crate::diagnostic::{Diagnostic, codes};
use crate::input::{Input, normalized};
use crate::outcome::InputShape;
use crate::text::excerpt;

/// The column of the incident's id.
pub(super) const ID: &str = "incidentId";

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role<'a> {
    /// The incident's id.
    Id,
    /// A property, by its place in the contract.
    Property(usize),
    /// A property that `--set` sets: nothing of it is read but whether something stands there.
    GivesWay(usize),
    /// Carried to the results, never sent.
    Carried,
    /// Carried, but it looks like this name misspelt.
    Misspelt(&'a str),
}

/// Knows the role of every name.
pub(super) struct Roles<'a> {
    known: HashMap<String, Role<'a>>,
    names: Vec<(String, &'a str)>,
    is_portal_export: bool,
}

/// Below this many characters a name resembles too much by chance.
const SHORTEST_MISSPELT: usize = 4;
/// From this many characters on, two slips are still a misspelling.
const LONG_NAME: usize = 8;

impl<'a> Roles<'a> {
    /// `set`: what `--set` sets, by the property's place in the contract.
    pub(super) fn new(contract: &ReadyContract<'a>, is_portal_export: bool, set: &[Asked<'_>]) -> Roles<'a> {
        let properties = contract.properties.iter().zip(set).enumerate().map(|(place, (property, set))| {
            let role = match set {
                _ if is_portal_export => Role::Carried,
                Asked::Leave => Role::Property(place),
                _ => Role::GivesWay(place),
            };
            (property.name, role)
        });
        let all: Vec<_> = [(ID, Role::Id)].into_iter().chain(properties).collect();
        Roles {
            known: all.iter().map(|(name, role)| (normalized(name), *role)).collect(),
            names: all.iter().map(|(name, _)| (normalized(name), *name)).collect(),
            is_portal_export,
        }
    }

    pub(super) fn of(&self, name: &str) -> Role<'a> {
        let name = normalized(name);
        if let Some(role) = self.known.get(&name) {
            return *role;
        }
        let length = name.chars().count();
        if self.is_portal_export || !(SHORTEST_MISSPELT..=100).contains(&length) {
            return Role::Carried;
        }
        let alike = self.names.iter().find(|(known, _)| {
            let slips = if known.len() >= LONG_NAME { 2 } else { 1 };
            distance(&name, known, slips).is_some()
        });
        alike.map_or(Role::Carried, |(_, name)| Role::Misspelt(name))
    }
}

/// The roles of a CSV file's own columns.
pub(super) fn of_header<'a>(
    input: &Input,
    roles: &Roles<'a>,
    contract: &ReadyContract<'a>,
    sets_all: bool,
) -> Result<Vec<Role<'a>>, Vec<Diagnostic>> {
    let InputShape::Csv { columns, .. } = input.shape() else { return Ok(Vec::new()) };
    let found: Vec<Role<'a>> = columns.iter().map(|column| roles.of(column)).collect();
    let mut wrong = Vec::new();
    for (at, role) in found.iter().enumerate() {
        let name = excerpt(columns[at].trim(), 40);
        match role {
            Role::Misspelt(meant) => {
                let diagnostic = input.header_diagnostic(&codes::MISSPELT_COLUMN, Some(at), misspelt(&name, meant));
                wrong.push(Diagnostic { help: Some(misspelt_help(meant)), ..diagnostic });
            }
            Role::Id | Role::Property(_) | Role::GivesWay(_) => {
                if let Some(first) = found[..at].iter().position(|other| other == role) {
                    let message =
                        format!("the column `{name}` means the same as `{}`", excerpt(columns[first].trim(), 40));
                    wrong.push(input.header_diagnostic(&codes::COLUMN_TWICE, Some(at), message));
                }
            }
            Role::Carried if input.origin().is_portal_export && contract.appends_by(&columns[at]) => {
                let message =
                    format!("the column `{name}` was added to a portal export, of which only the ids are used");
                wrong.push(input.header_diagnostic(&codes::PORTAL_COMMENT, Some(at), message));
            }
            Role::Carried => {}
        }
    }
    let meant_for_id = |role: &Role<'_>| matches!(role, Role::Id | Role::Misspelt(ID));
    if !found.iter().any(meant_for_id) {
        let message = "no column is named `incidentId`".to_owned();
        wrong.push(input.header_diagnostic(&codes::NO_ID_COLUMN, None, message));
    } else if !sets_all && !found.iter().any(|role| matches!(role, Role::Property(_) | Role::Misspelt(_))) {
        let code = if input.origin().is_portal_export { &codes::PORTAL_NEEDS_SET } else { &codes::NO_PROPERTY_COLUMN };
        let message = if input.origin().is_portal_export {
            "a portal export says what incidents are, not what to change"
        } else {
            "no column is a property that can be set"
        };
        wrong.push(input.header_diagnostic(code, None, message.to_owned()));
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

pub(super) fn misspelt(name: &str, meant: &str) -> String {
    format!("`{name}` looks like `{meant}` misspelt, and would not be sent")
}

pub(super) fn misspelt_help(meant: &str) -> String {
    format!("did you mean `{meant}`? To carry the column along as it is, give it a name that is less alike")
}
