//! The roles of columns and members.

use std::collections::HashMap;

use super::rules::{OtherColumn, ReadyContract};
use super::suggest::distance;
use super::value::{Problem, Requested};
use crate::input::{INCIDENT_ID, Input, InputShape, normalized};
use crate::model::diagnostic::{Diagnostic, codes};
use crate::text::truncate;

/// The role of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role<'a> {
    /// The incident's ID.
    Id,
    /// A property, by its index in the contract.
    Property(usize),
    /// A property that `--set` overrides: only whether the cell is empty matters.
    Overridden(usize),
    /// Copied to the results, never sent.
    Carried,
    /// Carried; the name looks like a misspelling of this name.
    Misspelled(&'a str),
    /// Carried; sets a property only under another contract. The index is that of [`ReadyContract::other_columns`].
    OtherContract(usize),
    /// Carried; the name is a synonym of the property with this index.
    Synonym(usize),
    /// Carried: Sentinel's own incident number.
    SentinelNumber,
    /// Carried: Sentinel's column with Defender's incident ID.
    SentinelProviderId,
}

/// Sentinel's own incident number.
const SENTINEL_NUMBER: &str = "IncidentNumber";
/// Sentinel's column with Defender's incident ID.
const SENTINEL_PROVIDER_ID: &str = "ProviderIncidentId";

/// Synonyms for the owner, normalized.
const OWNER: [&str; 9] = [
    "owner",
    "owneremail",
    "ownername",
    "ownerupn",
    "incidentowner",
    "assignee",
    "assigneeemail",
    "assigneduser",
    "assigneename",
];

/// Finds the role of a name.
pub(super) struct Roles<'a> {
    known: HashMap<String, Role<'a>>,
    names: Vec<(String, &'a str)>,
    is_portal_export: bool,
}

/// Shorter names resemble others by chance.
const SHORTEST_MISSPELLED: usize = 4;
/// Names of at least this length may have two typos.
const LONG_NAME: usize = 8;

impl<'a> Roles<'a> {
    /// `set`: what `--set` requests for each property.
    pub(super) fn new(contract: &ReadyContract<'a>, is_portal_export: bool, set: &[Requested<'_>]) -> Roles<'a> {
        let properties = contract.properties.iter().zip(set).enumerate().map(|(index, (property, set))| {
            let role = match set {
                _ if is_portal_export => Role::Carried,
                Requested::Leave => Role::Property(index),
                _ => Role::Overridden(index),
            };
            (property.column, role)
        });
        let all: Vec<_> = [(INCIDENT_ID, Role::Id)].into_iter().chain(properties).collect();
        let mut known: HashMap<String, Role<'a>> = HashMap::new();
        if !is_portal_export {
            known.insert(normalized(SENTINEL_NUMBER), Role::SentinelNumber);
            known.insert(normalized(SENTINEL_PROVIDER_ID), Role::SentinelProviderId);
            for (index, property) in contract.properties.iter().enumerate() {
                // A synonym of a property that `--set` sets needs no warning.
                let role = if matches!(set[index], Requested::Leave) { Role::Synonym(index) } else { Role::Carried };
                let owner = OWNER.iter().filter(|_| property.name == contract.contract.api.incident.owner);
                known.extend(owner.map(|word| ((*word).to_owned(), role)));
                known.extend(contract.shown_in(index).map(|member| (normalized(member), role)));
            }
        }
        let others = contract.other_columns.iter().filter(|_| !is_portal_export).enumerate();
        known.extend(others.map(|(index, other)| (normalized(&other.column), Role::OtherContract(index))));
        known.extend(all.iter().map(|(name, role)| (normalized(name), *role)));
        Roles { known, names: all.iter().map(|(name, _)| (normalized(name), *name)).collect(), is_portal_export }
    }

    pub(super) fn of(&self, name: &str) -> Role<'a> {
        let name = normalized(name);
        if let Some(role) = self.known.get(&name) {
            return *role;
        }
        let length = name.chars().count();
        if self.is_portal_export || !(SHORTEST_MISSPELLED..=100).contains(&length) {
            return Role::Carried;
        }
        let similar = self.names.iter().find(|(known, _)| {
            let typos = if known.len() >= LONG_NAME { 2 } else { 1 };
            distance(&name, known, typos).is_some()
        });
        similar.map_or(Role::Carried, |(_, name)| Role::Misspelled(name))
    }
}

/// The roles of a CSV file's own columns, and warnings about them.
pub(super) fn of_header<'a>(
    input: &Input,
    roles: &Roles<'a>,
    contract: &ReadyContract<'a>,
    sets_all: bool,
) -> Result<(Vec<Role<'a>>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let InputShape::Csv { columns, .. } = input.shape() else { return Ok((Vec::new(), Vec::new())) };
    let found: Vec<Role<'a>> = columns.iter().map(|column| roles.of(column)).collect();
    let (mut wrong, mut warnings) = (Vec::new(), Vec::new());
    for (at, role) in found.iter().enumerate() {
        let name = truncate(columns[at].trim(), 40);
        match role {
            Role::Misspelled(meant) => {
                let diagnostic = input.header_diagnostic(&codes::MISSPELT_COLUMN, Some(at), misspelled(&name, meant));
                wrong.push(Diagnostic { help: Some(misspelled_help(meant)), ..diagnostic });
            }
            Role::Id | Role::Property(_) | Role::Overridden(_) => {
                if let Some(first) = found[..at].iter().position(|other| other == role) {
                    let message =
                        format!("the column `{name}` means the same as `{}`", truncate(columns[first].trim(), 40));
                    wrong.push(input.header_diagnostic(&codes::COLUMN_TWICE, Some(at), message));
                }
            }
            Role::Carried if input.origin().is_portal_export && contract.appends_by(&columns[at]) => {
                let message =
                    format!("the column `{name}` was added to a portal export, which only provides incident IDs");
                wrong.push(input.header_diagnostic(&codes::PORTAL_COMMENT, Some(at), message));
            }
            Role::Synonym(index) if !found.contains(&Role::Property(*index)) => {
                let property = contract.properties[*index].column;
                let diagnostic = input.header_diagnostic(&codes::NOT_SENT, Some(at), not_sent(&name));
                warnings.push(Diagnostic { help: Some(not_sent_help(property)), ..diagnostic });
            }
            Role::SentinelProviderId if found.contains(&Role::Id) => {
                let message = two_ids(&name);
                wrong.push(input.header_diagnostic(&codes::COLUMN_TWICE, Some(at), message));
            }
            Role::Carried
            | Role::OtherContract(_)
            | Role::Synonym(_)
            | Role::SentinelNumber
            | Role::SentinelProviderId => {}
        }
    }
    let meant_to_set =
        |role: &Role<'_>| matches!(role, Role::Property(_) | Role::Misspelled(_) | Role::OtherContract(_));
    let meant_for_id = |role: &Role<'_>| matches!(role, Role::Id | Role::Misspelled(INCIDENT_ID));
    if !found.iter().any(meant_for_id) {
        let number = found.iter().position(|role| *role == Role::SentinelNumber);
        let message = number.map_or_else(|| format!("no column is named `{INCIDENT_ID}`"), |_| sentinel_number());
        let diagnostic = input.header_diagnostic(&codes::NO_ID_COLUMN, number, message);
        let advice = match input.later_header() {
            Some(line) => format!("line {line} has the column names: delete everything above it"),
            None if number.is_some() => String::new(),
            None => format!("rename the column of the IDs to `{INCIDENT_ID}`"),
        };
        let names = listed(columns.iter().map(String::as_str));
        let help = format!("{advice}{}the columns here are {names}", if advice.is_empty() { "" } else { "; " });
        wrong.push(Diagnostic { help: Some(help), ..diagnostic });
    } else if !sets_all && !found.iter().any(meant_to_set) {
        let code = if input.origin().is_portal_export { &codes::PORTAL_NEEDS_SET } else { &codes::NO_PROPERTY_COLUMN };
        let message = if input.origin().is_portal_export {
            "a portal export shows incidents, not changes"
        } else {
            "no column is a property"
        };
        wrong.push(input.header_diagnostic(code, None, message.to_owned()));
    }
    if wrong.is_empty() {
        Ok((found, warnings))
    } else {
        wrong.append(&mut warnings);
        Err(wrong)
    }
}

/// A list of names; if there are many, of the first ones.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const LISTED: usize = 12;
    let mut names: Vec<String> = names.map(|name| format!("`{}`", truncate(name.trim(), 40))).collect();
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.join(", ") + &more
}

/// The message about a column with Sentinel's own number and no ID column.
pub(super) fn sentinel_number() -> String {
    format!(
        "`{SENTINEL_NUMBER}`: Sentinel's own number, not Defender's incident ID; rename the column \
         `{SENTINEL_PROVIDER_ID}` to `{INCIDENT_ID}`"
    )
}

/// The message about a column with Defender's ID next to `incidentId`.
pub(super) fn two_ids(name: &str) -> String {
    format!("`{name}` is Defender's incident ID in Sentinel, so `{INCIDENT_ID}` beside it may be Sentinel's own number")
}

/// The problem of a value in a column of another contract.
pub(super) fn needs_other_contract(OtherColumn { column, contract }: &OtherColumn) -> Problem {
    let message = format!("only the contract `{contract}` sends `{column}`");
    let help = format!("use `--contract {contract}`, or give `{column}` another name");
    Problem::new(&codes::OTHER_CONTRACT, message).with_help(help)
}

pub(super) fn not_sent(name: &str) -> String {
    format!("`{name}` is copied to the results and not sent")
}

pub(super) fn not_sent_help(property: &str) -> String {
    format!("to send it, name it `{property}`")
}

pub(super) fn misspelled(name: &str, meant: &str) -> String {
    format!("`{name}` looks like a misspelled `{meant}` and would not be sent")
}

pub(super) fn misspelled_help(meant: &str) -> String {
    format!("did you mean `{meant}`? if not, choose a less similar name")
}
