//! What a check found, in numbers: all that the lines before the question need, whatever the input's size.

use std::collections::BTreeMap;

use super::RowError;
use super::rules::{ReadyContract, ReadyKind};
use super::value::Asked;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All rows that were read.
    pub rows: u64,
    /// Rows without an error, those of a results file that are done among them.
    pub valid: u64,
    /// Rows of the run: taken by `--only` (or not done), within `--limit`; valid or not.
    pub selected: u64,
    /// Of these, the ones without an error of their own (two that contradict each other are counted).
    pub sendable: u64,
    /// Rows of a results file that are not taken, because they are done or by `--only`.
    pub skipped: u64,
    /// How many errors there are of each code.
    pub errors: BTreeMap<&'static str, u64>,
    /// How many warnings there are of each code.
    pub warnings: BTreeMap<&'static str, u64>,
    /// What the rows of the run set, in the contract's order; counted where rows are taken, empty elsewhere.
    pub sets: Vec<PropertyTally>,
    /// The rows of the run that contradict another row, sorted: both of two, with why.
    pub contradicting: Vec<(u64, RowError)>,
}

impl Tally {
    /// Whether any row, or two together, are wrong.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }
}

/// What the rows of the run ask of one property.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertyTally {
    /// As the contract spells it.
    pub property: String,
    /// How many rows set it.
    pub rows: u64,
    /// How many of these empty it.
    pub cleared: u64,
    /// How many cells that were not empty gave way to `--set`.
    pub overridden: u64,
    /// For a choice, how many rows set it to each value, in the contract's order; values that no row sets are left out.
    pub values: Vec<(String, u64)>,
    /// The value as JSON, where all rows that set it set it to the same.
    pub same: Option<String>,
}

/// A property's count as it grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    pub(super) rows: u64,
    pub(super) cleared: u64,
    pub(super) overridden: u64,
    pub(super) choices: Vec<u64>,
    same: Same,
}

#[derive(Clone, Debug, Default)]
enum Same {
    #[default]
    Unset,
    All(Asked<'static>),
    Various,
}

impl Count {
    /// Counts what a row asks of the property.
    pub(super) fn add(&mut self, asked: &Asked<'_>) {
        match asked {
            Asked::Leave | Asked::Wrong => return,
            Asked::Choice(place) => self.choices[*place] += 1,
            Asked::Text(text) => self.cleared += u64::from(text.is_empty()),
            Asked::List(list) => self.cleared += u64::from(list.is_empty()),
        }
        self.rows += 1;
        self.see(asked);
    }

    fn see(&mut self, asked: &Asked<'_>) {
        match &self.same {
            Same::Unset => self.same = Same::All(asked.clone().into_owned()),
            Same::All(same) if same != asked => self.same = Same::Various,
            Same::All(_) | Same::Various => {}
        }
    }

    /// Counts what another one counted.
    pub(super) fn merge(&mut self, other: &Count) {
        self.rows += other.rows;
        self.cleared += other.cleared;
        self.overridden += other.overridden;
        self.choices.resize(self.choices.len().max(other.choices.len()), 0);
        self.choices.iter_mut().zip(&other.choices).for_each(|(ours, theirs)| *ours += theirs);
        match &other.same {
            Same::Unset => {}
            Same::All(asked) => self.see(asked),
            Same::Various => self.same = Same::Various,
        }
    }
}

/// A count for each property of the contract.
pub(super) fn counts(contract: &ReadyContract<'_>) -> Vec<Count> {
    let choices = |kind: &ReadyKind<'_>| match kind {
        ReadyKind::Choice(choices) => vec![0; choices.list.len()],
        _ => Vec::new(),
    };
    contract.properties.iter().map(|property| Count { choices: choices(&property.kind), ..Count::default() }).collect()
}

/// The counts with their names, those that count nothing left out.
pub(super) fn named(contract: &ReadyContract<'_>, counts: Vec<Count>) -> Vec<PropertyTally> {
    let named = counts.into_iter().enumerate().map(|(place, count)| PropertyTally {
        property: contract.properties[place].name.to_owned(),
        rows: count.rows,
        cleared: count.cleared,
        overridden: count.overridden,
        values: {
            let values = contract.choices(place).iter().zip(count.choices);
            values.filter(|(_, rows)| *rows > 0).map(|(choice, rows)| (choice.value.clone(), rows)).collect()
        },
        same: match count.same {
            Same::All(asked) => contract.json(place, &asked),
            Same::Unset | Same::Various => None,
        },
    });
    named.filter(|tally| tally.rows > 0 || tally.overridden > 0).collect()
}
