//! List edits: what a row adds to a list and removes from it (`tags: +a; -b`), and the complete list that results.
//!
//! The API takes complete lists only, so a list edit is never sent: after its incident was read, it is resolved to the
//! complete list. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is added to a list, and what is removed from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListEdit {
    /// Added at its end, if the list does not have them.
    #[serde(default)]
    pub add: Vec<String>,
    /// Removed from it.
    #[serde(default)]
    pub remove: Vec<String>,
}

impl ListEdit {
    /// The complete list that results from this value; `None` if that is neither a list nor null.
    #[must_use]
    pub fn apply_to(&self, list: &Value) -> Option<Value> {
        let there = match list {
            Value::Null => &[][..],
            Value::Array(list) => list,
            _ => return None,
        };
        let stays = |item: &&Value| !item.as_str().is_some_and(|text| self.remove.iter().any(|one| one == text));
        let mut whole: Vec<Value> = there.iter().filter(stays).cloned().collect();
        for text in &self.add {
            if !whole.iter().any(|item| item == text) {
                whole.push(Value::from(text.as_str()));
            }
        }
        Some(Value::Array(whole))
    }
}

/// `+a; -b`, as it is written in a cell.
impl fmt::Display for ListEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let add = self.add.iter().map(|text| ('+', text));
        let mut between = "";
        for (sign, text) in add.chain(self.remove.iter().map(|text| ('-', text))) {
            write!(f, "{between}{sign}{text}")?;
            between = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn list_edit_is_written_with_signs() {
        let edit = ListEdit { add: vec!["a".into(), "b".into()], remove: vec!["c".into()] };
        assert_eq!(edit.to_string(), "+a; +b; -c");
    }

    proptest! {
        #[test]
        fn list_edit_is_effective_and_idempotent(
            there in prop::collection::vec("[a-e]", 0..5),
            add in prop::collection::btree_set("[a-c]", 0..4),
            remove in prop::collection::btree_set("[d-f]", 0..4),
        ) {
            let change = ListEdit { add: add.into_iter().collect(), remove: remove.into_iter().collect() };
            let once = change.apply_to(&json!(there)).expect("a list");
            let list = once.as_array().expect("a list");
            prop_assert!(change.add.iter().all(|text| list.contains(&json!(text))));
            prop_assert!(change.remove.iter().all(|text| !list.contains(&json!(text))));
            let kept = there.iter().filter(|text| !change.remove.contains(text)).map(|text| json!(text));
            prop_assert!(list.starts_with(&kept.collect::<Vec<_>>()));
            prop_assert_eq!(change.apply_to(&once), Some(once.clone()));
        }
    }
}
