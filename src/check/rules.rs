//! A contract made ready for a million rows: spellings looked up by hash, values already written as JSON.

use std::collections::HashMap;

use crate::contract::{BUILT_IN, Choice, Contract, PropertyKind, load};
use crate::input::normalized;

/// The contract by numbers: a property is its place in the contract, a value its place in the property.
pub(super) struct ReadyContract<'a> {
    pub(super) properties: Vec<ReadyProperty<'a>>,
    pub(super) dependencies: Vec<ReadyDependency>,
    /// The other built-in contracts: one of them may know the value that this one does not.
    others: Vec<Contract>,
}

pub(super) struct ReadyProperty<'a> {
    pub(super) name: &'a str,
    /// The member's name as it stands in the body: `"status":`.
    pub(super) key: String,
    pub(super) kind: ReadyKind<'a>,
}

pub(super) enum ReadyKind<'a> {
    Choice(Choices<'a>),
    Text,
    List,
    Append,
}

pub(super) struct Choices<'a> {
    pub(super) list: &'a [Choice],
    /// Each value as it stands in the body: `"Resolved"`.
    pub(super) json: Vec<String>,
    /// Values, then aliases, as they are written; without those that are doubtful.
    exact: Vec<(&'a str, usize)>,
    /// All of them in lower case.
    spellings: HashMap<String, usize>,
}

/// For each value of `on` (or none), which values of `property` go with it.
pub(super) struct ReadyDependency {
    pub(super) property: usize,
    pub(super) on: usize,
    /// By the place of the value of `on`: whether each value of `property` goes with it.
    pub(super) allowed: Vec<Vec<bool>>,
}

impl<'a> ReadyContract<'a> {
    pub(super) fn new(contract: &'a Contract) -> ReadyContract<'a> {
        let properties: Vec<ReadyProperty<'a>> = contract
            .properties
            .iter()
            .map(|property| ReadyProperty {
                name: &property.name,
                key: format!("{}:", json(&property.name)),
                kind: match &property.kind {
                    PropertyKind::Choice(list) => ReadyKind::Choice(Choices::new(list)),
                    PropertyKind::Text => ReadyKind::Text,
                    PropertyKind::List => ReadyKind::List,
                    PropertyKind::Append { .. } => ReadyKind::Append,
                },
            })
            .collect();
        let dependencies = contract.dependencies.iter().filter_map(|dependency| {
            let place = |name: &str| properties.iter().position(|property| property.name == name);
            let (property, on) = (place(&dependency.property)?, place(&dependency.on)?);
            let values = |property: usize| match &properties[property].kind {
                ReadyKind::Choice(choices) => choices.list,
                _ => &[],
            };
            let allowed = values(on).iter().map(|on| {
                let list = dependency.allowed.iter().find(|(value, _)| *value == on.value);
                let goes = |value: &Choice| list.is_some_and(|(_, list)| list.contains(&value.value));
                values(property).iter().map(goes).collect()
            });
            Some(ReadyDependency { property, on, allowed: allowed.collect() })
        });
        let dependencies = dependencies.collect();
        let others =
            BUILT_IN.iter().filter(|name| **name != contract.name).filter_map(|name| load(name).ok()).collect();
        ReadyContract { properties, dependencies, others }
    }

    /// The choices of a property, none for one that takes any text.
    pub(super) fn choices(&self, property: usize) -> &'a [Choice] {
        match &self.properties[property].kind {
            ReadyKind::Choice(choices) => choices.list,
            _ => &[],
        }
    }

    /// Whether a column of this name is a property that is added to what is there.
    pub(super) fn appends_by(&self, column: &str) -> bool {
        let named = self.properties.iter().find(|property| normalized(property.name) == normalized(column));
        named.is_some_and(|property| matches!(property.kind, ReadyKind::Append))
    }

    /// "`defender` accepts this: `--contract defender`", where another built-in contract does.
    pub(super) fn other_that_knows(&self, property: &str, value: &str) -> Option<String> {
        self.suggestion(|other| find(other, property, value).is_some())
    }

    /// The same, for two values that go together there.
    pub(super) fn other_that_joins(
        &self,
        (property, value): (&str, &str),
        (on, on_value): (&str, &str),
    ) -> Option<String> {
        self.suggestion(|other| {
            let (Some(value), Some(on_value)) = (find(other, property, value), find(other, on, on_value)) else {
                return false;
            };
            let rule = other.dependencies.iter().find(|rule| rule.property == property && rule.on == on);
            rule.is_none_or(|rule| rule.allowed.iter().any(|(known, list)| *known == on_value && list.contains(&value)))
        })
    }

    fn suggestion(&self, accepts: impl Fn(&Contract) -> bool) -> Option<String> {
        let other = self.others.iter().find(|other| accepts(other))?;
        Some(format!("`{0}` accepts this: `--contract {0}`", other.name))
    }
}

impl<'a> Choices<'a> {
    fn new(list: &'a [Choice]) -> Choices<'a> {
        Choices {
            list,
            json: list.iter().map(|choice| json(&choice.value)).collect(),
            exact: spellings(list).filter(|(_, place)| list[*place].doubtful.is_none()).collect(),
            spellings: spellings(list).map(|(spelling, place)| (spelling.to_lowercase(), place)).collect(),
        }
    }

    /// The value of which this is a spelling to the letter, where nothing about it is doubtful.
    #[inline]
    pub(super) fn exact(&self, text: &str) -> Option<usize> {
        self.exact.iter().find(|(spelling, _)| *spelling == text).map(|(_, place)| *place)
    }

    /// The value that is meant, in any case.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        self.exact(text).or_else(|| self.spellings.get(&text.to_lowercase()).copied())
    }

    /// Everything that may be written, values first.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &'a str> {
        spellings(self.list).map(|(spelling, _)| spelling)
    }
}

/// Everything that may be written, values first, with the place of the value that is meant.
fn spellings(list: &[Choice]) -> impl Iterator<Item = (&str, usize)> {
    let values = list.iter().enumerate().map(|(place, choice)| (choice.value.as_str(), place));
    let aliases = list.iter().enumerate();
    let aliases = aliases.flat_map(|(place, choice)| choice.aliases.iter().map(move |alias| (alias.as_str(), place)));
    values.chain(aliases)
}

/// The value of another contract that a text means, in that contract's spelling.
fn find(contract: &Contract, property: &str, text: &str) -> Option<String> {
    match &contract.property(property)?.kind {
        PropertyKind::Choice(list) => Choices::new(list).find(text).map(|place| list[place].value.clone()),
        _ => None,
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
