//! A contract that is prepared for fast lookups.

use std::collections::{HashMap, HashSet};

use crate::contract::{BUILT_IN, Choice, Contract, PropertyKind, Resolving, load};
use crate::input::normalized;
use crate::model::edit::Property;
use crate::text::trimmed;

/// A contract whose properties and values are identified by their indexes.
pub(super) struct ReadyContract<'a> {
    pub(super) contract: &'a Contract,
    pub(super) properties: Vec<ReadyProperty<'a>>,
    pub(super) dependencies: Vec<ReadyDependency>,
    pub(super) resolving: Option<ReadyResolving>,
    /// The columns that only other built-in contracts have.
    pub(super) other_columns: Vec<OtherColumn>,
    /// The other built-in contracts of this API, which may accept a value that this one does not.
    others: Vec<Contract>,
    /// The values of all these contracts in [`loose`] form, for a quick test.
    known: HashSet<String>,
}

pub(super) struct ReadyProperty<'a> {
    pub(super) name: &'a str,
    /// The column that sets it.
    pub(super) column: &'a str,
    /// The same name, to share among the changes of rows.
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
    /// Values, then aliases, in their exact spelling; without doubtful ones.
    exact: Vec<(&'a str, usize)>,
    /// All values and aliases in lower case.
    spellings: HashMap<String, usize>,
    /// All values and aliases in [`loose`] form. If two are equal, the alias applies.
    loose: HashMap<String, usize>,
}

/// The values of `property` that each value of `on` allows.
pub(super) struct ReadyDependency {
    pub(super) property: usize,
    pub(super) on: usize,
    /// Whether other values only give a warning.
    pub(super) advisory: bool,
    /// By the index of the value of `on`, and the index of the value of `property`.
    pub(super) allowed: Vec<Vec<bool>>,
}

/// A column that sets a property only under another built-in contract.
pub(super) struct OtherColumn {
    pub(super) column: String,
    /// The contract's name.
    pub(super) contract: String,
}

/// How the comment of a row that resolves its incident becomes a property: see [`Resolving`].
pub(super) struct ReadyResolving {
    pub(super) property: usize,
    pub(super) value: usize,
    /// The property that the comment becomes.
    pub(super) target: usize,
    /// The property of comments.
    pub(super) comment: usize,
}

impl<'a> ReadyContract<'a> {
    pub(super) fn new(contract: &'a Contract) -> ReadyContract<'a> {
        let properties: Vec<ReadyProperty<'a>> = contract
            .properties
            .iter()
            .map(|property| ReadyProperty {
                name: &property.name,
                column: property.column(),
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
            let index = |name: &str| properties.iter().position(|property| property.name == name);
            let (property, on) = (index(&dependency.property)?, index(&dependency.on)?);
            let values = |property: usize| match &properties[property].kind {
                ReadyKind::Choice(choices) => choices.list,
                _ => &[],
            };
            let allowed = values(on).iter().map(|on| {
                let list = dependency.allowed.iter().find(|(value, _)| *value == on.value);
                let is_allowed = |value: &Choice| list.is_some_and(|(_, list)| list.contains(&value.value));
                values(property).iter().map(is_allowed).collect()
            });
            Some(ReadyDependency { property, on, advisory: dependency.advisory, allowed: allowed.collect() })
        });
        let dependencies = dependencies.collect();
        let resolving = contract.resolving.as_ref().and_then(|Resolving { property, value, comment }| {
            let index = |name: &str| properties.iter().position(|property| property.name == name);
            let property = index(property)?;
            let ReadyKind::Choice(choices) = &properties[property].kind else { return None };
            let value = choices.list.iter().position(|choice| choice.value == *value)?;
            let (target, comment) = (index(comment.as_deref()?)?, index(contract.appended()?)?);
            Some(ReadyResolving { property, value, target, comment })
        });
        let others = BUILT_IN.iter().filter(|name| **name != contract.name).filter_map(|name| load(name).ok());
        let (others, other_apis): (Vec<Contract>, Vec<Contract>) =
            others.partition(|other| other.is_same_api(contract));
        let is_own = |column: &str| properties.iter().any(|property| normalized(property.column) == normalized(column));
        let other_columns = others.iter().chain(&other_apis).flat_map(|other| {
            let foreign = other.properties.iter().filter(|property| !is_own(property.column()));
            foreign.map(|property| OtherColumn { column: property.column().to_owned(), contract: other.name.clone() })
        });
        let other_columns = other_columns.collect();
        let all = std::iter::once(contract).chain(&others).flat_map(|contract| &contract.properties);
        let lists = all.filter_map(|property| match &property.kind {
            PropertyKind::Choice(list) => Some(list),
            _ => None,
        });
        let known = lists.flat_map(|list| spellings(list)).map(|(spelling, _)| loose(spelling)).collect();
        ReadyContract { contract, properties, dependencies, resolving, other_columns, others, known }
    }

    /// The choices of a property; empty if it accepts any text.
    pub(super) fn choices(&self, property: usize) -> &'a [Choice] {
        match &self.properties[property].kind {
            ReadyKind::Choice(choices) => choices.list,
            _ => &[],
        }
    }

    /// The member of an incident that lists the texts appended by this property.
    pub(super) fn shown_in(&self, property: usize) -> Option<&'a str> {
        match &self.contract.properties[property].kind {
            PropertyKind::Append { shown_in } => Some(shown_in),
            _ => None,
        }
    }

    /// Whether a column of this name is an appended property.
    pub(super) fn appends_by(&self, column: &str) -> bool {
        let named = self.properties.iter().find(|property| normalized(property.name) == normalized(column));
        named.is_some_and(|property| matches!(property.kind, ReadyKind::Append))
    }

    /// `` `defender` accepts this: `--contract defender` ``, if another built-in contract accepts the value.
    pub(super) fn suggest_contract_for(&self, property: &str, value: &str) -> Option<String> {
        if !self.known.contains(&loose(value)) {
            return None;
        }
        self.suggestion(|other| find(other, property, value).is_some())
    }

    /// The same, for two values that the other contract allows together.
    pub(super) fn suggest_contract_for_both(
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

    /// If a text combines the values of two properties, as portals do (`True positive – Malware`): advice to split them, and
    /// to use another contract if necessary.
    pub(super) fn two_values(&self, text: &str) -> Option<(String, Option<String>)> {
        const SEPARATORS: [char; 7] = ['–', '—', '-', '/', ':', '|', ','];
        // Longer text can't be two values, and would be slow to search.
        let separators = text.match_indices(SEPARATORS).filter(|_| text.len() <= 200);
        let mut parts = separators.map(|(at, found)| (trimmed(&text[..at]), trimmed(&text[at + found.len()..])));
        parts.find_map(|(left, right)| {
            if !self.known.contains(&loose(left)) || !self.known.contains(&loose(right)) {
                return None;
            }
            let is_own = |contract: &Contract| std::ptr::eq(contract, self.contract);
            self.contracts().find_map(|contract| {
                let [(first, left), (second, right)] = two_of(contract, left, right)?;
                let columns = format!("use two columns: {first} `{left}` and {second} `{right}`");
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

/// The maximum number of spellings that are compared one by one, which is faster than hashing. A contract may have
/// thousands.
const MAX_EXACT: usize = 100;

impl<'a> Choices<'a> {
    fn new(list: &'a [Choice]) -> Choices<'a> {
        Choices {
            list,
            exact: spellings(list)
                .take(MAX_EXACT)
                .filter(|(spelling, index)| doubt(&list[*index], spelling).is_none())
                .collect(),
            spellings: spellings(list).map(|(spelling, index)| (spelling.to_lowercase(), index)).collect(),
            loose: spellings(list).map(|(spelling, index)| (loose(spelling), index)).collect(),
        }
    }

    /// Why a value with this spelling is doubtful, if it is.
    pub(super) fn doubt(&self, index: usize, spelling: &str) -> Option<&'a str> {
        doubt(&self.list[index], spelling)
    }

    /// The value with exactly this spelling, unless it is doubtful.
    #[inline]
    pub(super) fn exact(&self, text: &str) -> Option<usize> {
        self.exact.iter().find(|(spelling, _)| *spelling == text).map(|(_, index)| *index)
    }

    /// The value that is meant, in any case; or else with any separators between its words.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        let spelling = || self.spellings.get(&text.to_lowercase()).copied();
        self.exact(text).or_else(spelling).or_else(|| self.loose.get(&loose(text)).copied())
    }

    /// All accepted spellings, values first.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &'a str> {
        spellings(self.list).map(|(spelling, _)| spelling)
    }
}

fn accepts(other: &Contract) -> String {
    format!("`{0}` accepts this: `--contract {0}`", other.name)
}

/// The properties and values that two texts mean, if these are different properties.
fn two_of<'c>(contract: &'c Contract, left: &str, right: &str) -> Option<[(&'c str, String); 2]> {
    let found = |text: &str, not: &str| {
        let others = contract.properties.iter().filter(|property| property.name != not);
        others.map(|property| &*property.name).find_map(|name| Some((name, find(contract, name, text)?)))
    };
    let left = found(left, "")?;
    let right = found(right, left.0)?;
    Some([left, right])
}

/// All accepted spellings, values first, with the index of the value.
fn spellings(list: &[Choice]) -> impl Iterator<Item = (&str, usize)> {
    let values = list.iter().enumerate().map(|(index, choice)| (choice.value.as_str(), index));
    let aliases = list.iter().enumerate();
    let aliases = aliases.flat_map(|(index, choice)| choice.aliases.iter().map(move |alias| (alias.as_str(), index)));
    values.chain(aliases)
}

/// Why a choice with this spelling is doubtful. If only the spelling of the value is doubtful, its aliases are not.
fn doubt<'a>(choice: &'a Choice, spelling: &str) -> Option<&'a str> {
    let applies = !choice.doubtful_spelling || choice.value.eq_ignore_ascii_case(spelling);
    choice.doubtful.as_deref().filter(|_| applies)
}

/// The words of a text in lower case, without the white space, commas, hyphens or dashes between them.
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
        PropertyKind::Choice(list) => Choices::new(list).find(text).map(|index| list[index].value.clone()),
        _ => None,
    }
}
