//! A contract as TOML: the built-in contracts, and the changes that a user's file may make to one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::api::Api;
use super::definition::{Absence, Choice, Contract, Dependency, Host, Property, PropertyKind, Resolving};
use super::portal::Portal;
use crate::model::operation::{OperationId, Operations};

/// A whole contract.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContractFile {
    pub(super) name: String,
    title: String,
    pub(super) origin: String,
    /// The hosts at which the API is known to be: of built-in contracts only, and of one of them for each API.
    #[serde(default, skip_serializing)]
    pub(super) hosts: Vec<Host>,
    /// The clouds that it is not in; likewise.
    #[serde(default, skip_serializing)]
    pub(super) absent: Vec<Absence>,
    /// Where the portal shows incidents; likewise.
    #[serde(default, skip_serializing)]
    pub(super) portal: Option<Portal>,
    /// Of contract format 1, which runs and plans of earlier revisions have kept: the path of an incident.
    #[serde(default, skip_serializing)]
    pub(super) path: Option<String>,
    /// Missing in the earliest contracts of format 1.
    #[serde(default)]
    pub(super) audiences: Vec<String>,
    quota: String,
    #[serde(default, rename = "quota-limit", skip_serializing_if = "Option::is_none")]
    quota_limit: Option<String>,
    #[serde(default)]
    context: Vec<String>,
    /// Missing in format 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operations: Option<Operations>,
    /// Missing in format 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) api: Option<Api>,
    pub(super) permissions: Permissions,
    properties: Vec<PropertyEntry>,
    #[serde(default)]
    dependencies: Vec<DependencyEntry>,
    /// Missing in earlier revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resolving: Option<Resolving>,
}

/// A user's file: only its differences from the contract that it extends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extension {
    /// The name of a built-in contract.
    pub(super) extends: String,
    pub(super) name: Option<String>,
    pub(super) title: Option<String>,
    pub(super) origin: Option<String>,
    /// Replaces that of the contract it extends.
    pub(super) audiences: Option<Vec<String>>,
    pub(super) quota: Option<String>,
    #[serde(default)]
    pub(super) properties: Vec<PropertyExtension>,
    #[serde(default)]
    pub(super) dependencies: Vec<DependencyEntry>,
}

/// Values that are new to a property, and aliases or doubts that are new to its values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PropertyExtension {
    pub(super) name: String,
    pub(super) values: Vec<ChoiceEntry>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Permissions {
    application: String,
    delegated: String,
    #[serde(default)]
    pub(super) read_application: String,
    #[serde(default)]
    pub(super) read_delegated: String,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum PropertyEntry {
    Choice {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
        values: Vec<ChoiceEntry>,
        #[serde(default, skip_serializing_if = "is_update")]
        operation: OperationId,
    },
    Text {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        clear_with_null: bool,
        #[serde(default, skip_serializing_if = "is_update")]
        operation: OperationId,
    },
    List {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
        #[serde(default, skip_serializing_if = "is_update")]
        operation: OperationId,
    },
    Append {
        name: String,
        shown_in: String,
        #[serde(default, skip_serializing_if = "is_update")]
        operation: OperationId,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_update(operation: &OperationId) -> bool {
    *operation == OperationId::Update
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChoiceEntry {
    pub(super) value: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) aliases: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) same_as: Vec<String>,
    /// Empty in an extension: removes the warning of the contract that it extends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) doubtful: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) doubtful_spelling: bool,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DependencyEntry {
    pub(super) property: String,
    pub(super) on: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) advisory: bool,
    pub(super) allowed: BTreeMap<String, Vec<String>>,
}

impl ContractFile {
    /// Whether it describes the API whose updates have this path.
    pub(super) fn is_of_api(&self, path: &str) -> bool {
        self.operations.as_ref().is_some_and(|known| known.update.path == path)
    }

    /// Whether the values of this property are added to existing ones.
    pub(super) fn appends(&self, property: &str) -> bool {
        let mut entries = self.properties.iter();
        entries.any(|entry| matches!(entry, PropertyEntry::Append { name, .. } if name == property))
    }

    /// The contract.
    ///
    /// # Errors
    /// If its quota is invalid, or it has no operations or names.
    pub(super) fn into_contract(self) -> Result<Contract, String> {
        let contract = Contract {
            quota: self.quota.parse().map_err(|error| format!("{error}"))?,
            quota_limit: match self.quota_limit {
                Some(limit) => Some(limit.parse().map_err(|error| format!("{error}"))?),
                None => None,
            },
            operations: self.operations.ok_or("it has no `operations`")?,
            api: self.api.ok_or("it has no `api`")?,
            name: self.name,
            title: self.title,
            origin: self.origin,
            audiences: self.audiences,
            context: self.context,
            permission_application: self.permissions.application,
            permission_delegated: self.permissions.delegated,
            read_application: self.permissions.read_application,
            read_delegated: self.permissions.read_delegated,
            properties: self.properties.into_iter().map(Property::from).collect(),
            dependencies: self.dependencies.into_iter().map(Dependency::from).collect(),
            resolving: self.resolving,
        };
        contract.expect_operations()?;
        Ok(contract)
    }
}

impl Contract {
    /// Checks that each property is set by the right operation: added texts by that for comments, if there is one, and
    /// every other by the update.
    fn expect_operations(&self) -> Result<(), String> {
        let comments = if self.operations.comment.is_some() { OperationId::Comment } else { OperationId::Update };
        for Property { name, kind, operation, .. } in &self.properties {
            let is_added = matches!(kind, PropertyKind::Append { .. });
            let expected = if is_added { comments } else { OperationId::Update };
            if *operation != expected {
                return Err(format!("its property `{name}` is set by another operation than the one for it"));
            }
        }
        Ok(())
    }
}

impl From<&Contract> for ContractFile {
    fn from(contract: &Contract) -> ContractFile {
        ContractFile {
            name: contract.name.clone(),
            title: contract.title.clone(),
            origin: contract.origin.clone(),
            hosts: Vec::new(),
            absent: Vec::new(),
            portal: None,
            path: None,
            audiences: contract.audiences.clone(),
            quota: contract.quota.to_string(),
            quota_limit: contract.quota_limit.as_ref().map(ToString::to_string),
            context: contract.context.clone(),
            operations: Some(contract.operations.clone()),
            api: Some(contract.api.clone()),
            permissions: Permissions {
                application: contract.permission_application.clone(),
                delegated: contract.permission_delegated.clone(),
                read_application: contract.read_application.clone(),
                read_delegated: contract.read_delegated.clone(),
            },
            properties: contract.properties.iter().cloned().map(PropertyEntry::from).collect(),
            dependencies: contract.dependencies.iter().cloned().map(DependencyEntry::from).collect(),
            resolving: contract.resolving.clone(),
        }
    }
}

impl From<PropertyEntry> for Property {
    fn from(entry: PropertyEntry) -> Property {
        match entry {
            PropertyEntry::Choice { name, member, column, values, operation } => {
                let kind = PropertyKind::Choice(values.into_iter().map(Choice::from).collect());
                Property { operation, member, column, ..Property::new(&name, kind) }
            }
            PropertyEntry::Text { name, member, column, clear_with_null, operation } => {
                Property { operation, member, column, clear_with_null, ..Property::new(&name, PropertyKind::Text) }
            }
            PropertyEntry::List { name, member, column, operation } => {
                Property { operation, member, column, ..Property::new(&name, PropertyKind::List) }
            }
            PropertyEntry::Append { name, shown_in, operation } => {
                Property { operation, ..Property::new(&name, PropertyKind::Append { shown_in }) }
            }
        }
    }
}

impl From<Property> for PropertyEntry {
    fn from(property: Property) -> PropertyEntry {
        let Property { name, kind, operation, member, column, clear_with_null } = property;
        match kind {
            PropertyKind::Choice(values) => {
                let values = values.into_iter().map(ChoiceEntry::from).collect();
                PropertyEntry::Choice { name, member, column, values, operation }
            }
            PropertyKind::Text => PropertyEntry::Text { name, member, column, clear_with_null, operation },
            PropertyKind::List => PropertyEntry::List { name, member, column, operation },
            PropertyKind::Append { shown_in } => PropertyEntry::Append { name, shown_in, operation },
        }
    }
}

impl From<ChoiceEntry> for Choice {
    fn from(entry: ChoiceEntry) -> Choice {
        let doubtful = entry.doubtful.filter(|doubt| !doubt.is_empty());
        let ChoiceEntry { value, aliases, same_as, doubtful_spelling, .. } = entry;
        Choice { value, aliases, doubtful, doubtful_spelling, same_as }
    }
}

impl From<Choice> for ChoiceEntry {
    fn from(choice: Choice) -> ChoiceEntry {
        ChoiceEntry {
            value: choice.value,
            aliases: choice.aliases,
            same_as: choice.same_as,
            doubtful: choice.doubtful,
            doubtful_spelling: choice.doubtful_spelling,
        }
    }
}

impl From<DependencyEntry> for Dependency {
    fn from(entry: DependencyEntry) -> Dependency {
        let DependencyEntry { property, on, advisory, allowed } = entry;
        Dependency { property, on, advisory, allowed: allowed.into_iter().collect() }
    }
}

impl From<Dependency> for DependencyEntry {
    fn from(dependency: Dependency) -> DependencyEntry {
        DependencyEntry {
            property: dependency.property,
            on: dependency.on,
            advisory: dependency.advisory,
            allowed: dependency.allowed.into_iter().collect(),
        }
    }
}
