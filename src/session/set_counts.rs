//! What the changes of a run set, counted in bounded memory.

use serde_json::{Map, Value};

use crate::model::edit::{Edit, Edits, Property, PropertyEdit};
use crate::model::list_edit::ListEdit;

/// Maximum number of values counted separately per property …
const COUNTED_VALUES: usize = 12;

/// … if they are not longer than this, in bytes …
const COUNTED_LENGTH: usize = 1_000;

/// … and the number that is shown.
const SHOWN_VALUES: usize = 3;

/// Stands for the value of a cleared property.
const CLEAR: &str = "<clear>";

/// Counts what the changes set: for each property the rows, and for each of its first values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetCounts(Vec<PropertyCounts>);

/// The counts of one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyCounts {
    /// Its name.
    pub property: String,
    /// Rows that set it.
    pub rows: u64,
    /// Rows that replace a list whose entries are not known.
    pub replaces_list: u64,
    /// Rows that add to a list and take from it.
    pub changes_list: u64,
    /// Rows that clear it: this is not counted as another change of it.
    pub clears: u64,
    values: Vec<(String, u64)>,
}

impl SetCounts {
    /// Counts one more change. `before`: the values of its incident, if they are known; a list is then counted by what
    /// it gets and loses.
    pub fn add(&mut self, edits: &Edits, before: Option<&Map<String, Value>>) {
        for PropertyEdit { property, edit } in edits.iter() {
            let before = before.map(|before| before.get(&**property).unwrap_or(&Value::Null));
            self.property(property).add(edit, before);
        }
    }

    /// Whether any row clears a property.
    #[must_use]
    pub fn clears(&self) -> bool {
        self.0.iter().any(|counts| counts.clears > 0)
    }

    /// How many rows set this value. Only the first few values of a property are counted.
    #[must_use]
    pub fn rows_with(&self, property: &str, value: &str) -> u64 {
        let counts = self.0.iter().find(|counts| counts.property == property);
        let values = counts.into_iter().flat_map(|counts| &counts.values);
        values.filter(|(known, _)| known == value).map(|(_, rows)| rows).sum()
    }

    /// The properties that are set, in the order of their first occurrence.
    #[must_use]
    pub fn properties(&self) -> &[PropertyCounts] {
        &self.0
    }

    fn property(&mut self, property: &Property) -> &mut PropertyCounts {
        let at = self.0.iter().position(|counts| *counts.property == **property).unwrap_or_else(|| {
            self.0.push(PropertyCounts {
                property: property.to_string(),
                rows: 0,
                replaces_list: 0,
                changes_list: 0,
                clears: 0,
                values: Vec::new(),
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

impl PropertyCounts {
    fn add(&mut self, edit: &Edit, before: Option<&Value>) {
        self.rows += 1;
        let text = match (edit, edit.value()) {
            (Edit::Clear(_), _) => {
                self.clears += 1;
                CLEAR.to_owned()
            }
            (Edit::EditList(edit), _) => {
                self.changes_list += 1;
                in_words(edit)
            }
            (_, Value::String(text)) => text,
            (_, value) => {
                self.replaces_list += u64::from(value.is_array() && before.is_none());
                let list_edit = before.and_then(|before| changed(before, &value));
                list_edit.map_or_else(|| value.to_string(), |edit| in_words(&edit))
            }
        };
        let room = self.values.len() < COUNTED_VALUES && text.len() <= COUNTED_LENGTH;
        match self.values.iter_mut().find(|(known, _)| *known == text) {
            Some((_, rows)) => *rows += 1,
            None if room => self.values.push((text, 1)),
            None => {}
        }
    }

    /// The most frequent values with their rows, and the number of rows that set another value.
    #[must_use]
    pub fn most_frequent(&self) -> (Vec<&(String, u64)>, u64) {
        let mut values: Vec<_> = self.values.iter().collect();
        values.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        values.truncate(SHOWN_VALUES);
        let others = self.rows - values.iter().map(|(_, rows)| rows).sum::<u64>();
        (values, others)
    }
}

/// The edit that turns one list into another; `None` if they have the same entries.
fn changed(before: &Value, after: &Value) -> Option<ListEdit> {
    let texts = |list: &Value| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
    };
    if !after.is_array() {
        return None;
    }
    let (before, after) = (texts(before), texts(after));
    let only =
        |ours: &[String], theirs: &[String]| ours.iter().filter(|item| !theirs.contains(item)).cloned().collect();
    let change = ListEdit { add: only(&after, &before), remove: only(&before, &after) };
    (change != ListEdit::default()).then_some(change)
}

/// `adds vip, noise; removes old`
fn in_words(ListEdit { add, remove }: &ListEdit) -> String {
    let part = |verb: &str, items: &[String]| (!items.is_empty()).then(|| format!("{verb} {}", items.join(", ")));
    [part("adds", add), part("removes", remove)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(bodies: &[(&str, u64)]) -> SetCounts {
        let mut counts = SetCounts::default();
        for (body, rows) in bodies {
            let edits = crate::plan::decode(body, body.contains("comment")).expect("a body");
            (0..*rows).for_each(|_| counts.add(&edits, None));
        }
        counts
    }

    #[test]
    fn memory_does_not_grow_with_the_values() {
        let bodies: Vec<_> = (0..100).map(|n| format!(r#"{{"comment":"{n}{}"}}"#, "x".repeat(n * 50))).collect();
        let bodies: Vec<_> = bodies.iter().map(|body| (body.as_str(), 1)).collect();
        let counts = counts(&bodies);
        assert_eq!(counts.0[0].rows, 100);
        assert_eq!(counts.0[0].values.len(), COUNTED_VALUES);
        assert_eq!(counts.0[0].most_frequent().1, 97);
    }
}
