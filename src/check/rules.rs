//! A contract made ready for a million rows: spellings are looked up by hash.

use std::collections::{HashMap, HashSet};

use crate::contract::{BUILT_IN, Choice, Contract, PropertyKind, load};
use crate::input::normalized;
use crate::model::edit::Property;
use crate::text::trimmed;

/// The contract by numbers: a property is its place in the contract, a value its place in the property.
pub(super) struct ReadyContract<'a> {
    pub(super) contract: &'a Contract,
    pub(super) properties: Vec<ReadyProperty<'a>>,
    pub(super) dependencies: Vec<ReadyDependency>,
    /// The other built-in contracts: one of them may know the value that this one does not.
    others: Vec<Contract>,
    /// All that this one and the others know, as [`loose`] makes it: a quick look before they are asked.
    known: HashSet<String>,
}

pub(super) struct ReadyProperty<'a> {
    pub(super) name: &'a str,
    /// The same name, for the rows' changes.
    pub(super) shared: Property,
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
    /// Values, then aliases, as they are written; without those that are doubtful.
    exact: Vec<(&'a str, usize)>,
    /// All of them in lower case.
    spellings: HashMap<String, usize>,
    /// All of them as [`loose`] makes them; of two that are the same then, the alias counts.
    loose: HashMap<String, usize>,
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
                shared: property.name.as_str().into(),
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
        let others: Vec<Contract> =
            BUILT_IN.iter().filter(|name| **name != contract.name).filter_map(|name| load(name).ok()).collect();
        let all = std::iter::once(contract).chain(&others).flat_map(|contract| &contract.properties);
        let lists = all.filter_map(|property| match &property.kind {
            PropertyKind::Choice(list) => Some(list),
            _ => None,
        });
        let known = lists.flat_map(|list| spellings(list)).map(|(spelling, _)| loose(spelling)).collect();
        ReadyContract { contract, properties, dependencies, others, known }
    }

    /// The choices of a property, none for one that takes any text.
    pub(super) fn choices(&self, property: usize) -> &'a [Choice] {
        match &self.properties[property].kind {
            ReadyKind::Choice(choices) => choices.list,
            _ => &[],
        }
    }

    /// The member of an incident that lists what was added by the property at this place.
    pub(super) fn shown_in(&self, property: usize) -> Option<&'a str> {
        match &self.contract.properties[property].kind {
            PropertyKind::Append { shown_in } => Some(shown_in),
            _ => None,
        }
    }

    /// Whether a column of this name is a property that is added to what is there.
    pub(super) fn appends_by(&self, column: &str) -> bool {
        let named = self.properties.iter().find(|property| normalized(property.name) == normalized(column));
        named.is_some_and(|property| matches!(property.kind, ReadyKind::Append))
    }

    /// "`defender` accepts this: `--contract defender`", where another built-in contract does.
    pub(super) fn other_that_knows(&self, property: &str, value: &str) -> Option<String> {
        if !self.known.contains(&loose(value)) {
            return None;
        }
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

    /// If a text is the values of two properties at once, as portals show them (`True positive – Malware`): how to write
    /// them, and the other contract that it takes.
    pub(super) fn two_values(&self, text: &str) -> Option<(String, Option<String>)> {
        const SEPARATORS: [char; 7] = ['–', '—', '-', '/', ':', '|', ','];
        // Longer than any two values: dear to try.
        let places = text.match_indices(SEPARATORS).filter(|_| text.len() <= 200);
        let mut parts = places.map(|(at, between)| (trimmed(&text[..at]), trimmed(&text[at + between.len()..])));
        parts.find_map(|(left, right)| {
            if !self.known.contains(&loose(left)) || !self.known.contains(&loose(right)) {
                return None;
            }
            let is_own = |contract: &Contract| std::ptr::eq(contract, self.contract);
            self.contracts().find_map(|contract| {
                let [(one, left), (other, right)] = two_of(contract, left, right)?;
                let columns = format!("use two columns: {one} `{left}` and {other} `{right}`");
                Some((columns, (!is_own(contract)).then(|| accepts(contract))))
            })
        })
    }

    /// This contract, then the others.
    fn contracts(&self) -> impl Iterator<Item = &Contract> {
        std::iter::once(self.contract).chain(&self.others)
    }

    fn suggestion(&self, accepts: impl Fn(&Contract) -> bool) -> Option<String> {
        self.others.iter().find(|other| accepts(other)).map(self::accepts)
    }
}

/// So many spellings are tried one by one, which is faster than a hash; a contract may have thousands.
const MOST_EXACT: usize = 100;

impl<'a> Choices<'a> {
    fn new(list: &'a [Choice]) -> Choices<'a> {
        Choices {
            list,
            exact: spellings(list)
                .take(MOST_EXACT)
                .filter(|(spelling, place)| doubt(&list[*place], spelling).is_none())
                .collect(),
            spellings: spellings(list).map(|(spelling, place)| (spelling.to_lowercase(), place)).collect(),
            loose: spellings(list).map(|(spelling, place)| (loose(spelling), place)).collect(),
        }
    }

    /// Why the value at this place is doubtful, if it was written so.
    pub(super) fn doubt(&self, place: usize, written: &str) -> Option<&'a str> {
        doubt(&self.list[place], written)
    }

    /// The value of which this is a spelling to the letter, where nothing about it is doubtful.
    #[inline]
    pub(super) fn exact(&self, text: &str) -> Option<usize> {
        self.exact.iter().find(|(spelling, _)| *spelling == text).map(|(_, place)| *place)
    }

    /// The value that is meant, in any case; as a last resort whatever stands between its words.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        let spelling = || self.spellings.get(&text.to_lowercase()).copied();
        self.exact(text).or_else(spelling).or_else(|| self.loose.get(&loose(text)).copied())
    }

    /// Everything that may be written, values first.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &'a str> {
        spellings(self.list).map(|(spelling, _)| spelling)
    }
}

fn accepts(other: &Contract) -> String {
    format!("`{0}` accepts this: `--contract {0}`", other.name)
}

/// The properties and values that two texts mean, each of another property.
fn two_of<'c>(contract: &'c Contract, left: &str, right: &str) -> Option<[(&'c str, String); 2]> {
    let found = |text: &str, not: &str| {
        let others = contract.properties.iter().filter(|property| property.name != not);
        others.map(|property| &*property.name).find_map(|name| Some((name, find(contract, name, text)?)))
    };
    let left = found(left, "")?;
    let right = found(right, left.0)?;
    Some([left, right])
}

/// Everything that may be written, values first, with the place of the value that is meant.
fn spellings(list: &[Choice]) -> impl Iterator<Item = (&str, usize)> {
    let values = list.iter().enumerate().map(|(place, choice)| (choice.value.as_str(), place));
    let aliases = list.iter().enumerate();
    let aliases = aliases.flat_map(|(place, choice)| choice.aliases.iter().map(move |alias| (alias.as_str(), place)));
    values.chain(aliases)
}

/// Why a choice is doubtful, if it was written so: of a doubtful spelling, an alias is not.
fn doubt<'a>(choice: &'a Choice, written: &str) -> Option<&'a str> {
    let concerns = !choice.doubtful_spelling || choice.value.eq_ignore_ascii_case(written);
    choice.doubtful.as_deref().filter(|_| concerns)
}

/// The words of a text in lower case, whatever stands between them: white space, commas, hyphens or dashes.
fn loose(text: &str) -> String {
    let is_space = |character: char| character.is_whitespace() && !character.is_control();
    let is_between = |character: char| is_space(character) || matches!(character, '-' | '_' | ',' | '‐'..='—');
    if text.starts_with(is_between) || text.ends_with(is_between) {
        return text.to_lowercase();
    }
    let words: Vec<&str> = text.split(is_between).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// The value of another contract that a text means, in that contract's spelling.
fn find(contract: &Contract, property: &str, text: &str) -> Option<String> {
    match &contract.property(property)?.kind {
        PropertyKind::Choice(list) => Choices::new(list).find(text).map(|place| list[place].value.clone()),
        _ => None,
    }
}
