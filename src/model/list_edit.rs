//! List changes: what a row adds to a list and takes from it (`tags: +a; -b`), and the whole list that results.
//!
//! The API takes whole lists only. So a change that was not looked at yet holds `{"add":[…],"remove":[…]}` in the place of
//! the list, and that is never sent: it gives way to the whole list once its incident was read. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::is_redacted;

/// What is added to a list, and taken from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListEdit {
    /// Stands at its end afterwards, where it did not stand in it before.
    #[serde(default)]
    pub add: Vec<String>,
    /// Does not stand in it afterwards.
    #[serde(default)]
    pub remove: Vec<String>,
}

impl ListEdit {
    /// What a value of a change's body is; `None` where it is a whole value.
    #[must_use]
    pub fn of(value: &Value) -> Option<ListEdit> {
        value.is_object().then(|| ListEdit::deserialize(value).unwrap_or_default())
    }

    /// The whole list, of the one that was there; `None` where that is neither a list nor null.
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

/// Whether a change's body changes a list.
#[must_use]
pub fn changes_lists(body: &str) -> bool {
    // Most bodies hold no other brace: that is seen without reading them.
    body.get(1..).is_some_and(|rest| rest.contains('{'))
        && serde_json::from_str(body).is_ok_and(|body: Map<String, Value>| body.values().any(Value::is_object))
}

/// The body with whole lists: `values` is what its incident was.
///
/// # Errors
/// Where that does not show a list that is changed, or shows it redacted: with its name.
pub fn resolve_edits(body: &str, values: &Map<String, Value>) -> Result<String, String> {
    let mut body: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    for (property, value) in &mut body {
        if let Some(change) = ListEdit::of(value) {
            let list = values.get(property).filter(|list| !is_redacted(list));
            *value = list.and_then(|list| change.apply_to(list)).ok_or_else(|| property.clone())?;
        }
    }
    Ok(Value::Object(body).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn whole(body: &str, values: &Value) -> String {
        resolve_edits(body, values.as_object().expect("an object")).expect("shows the list")
    }

    #[test]
    fn list_edit_keeps_unnamed_entries() {
        let body = r#"{"status":"Resolved","tags":{"add":["c","a","c"],"remove":["b","x"]},"comment":"\":{"}"#;
        let expected = |tags: &str| format!(r#"{{"status":"Resolved","tags":{tags},"comment":"\":{{"}}"#);
        assert_eq!(whole(body, &json!({"tags": ["b", "a", "B"]})), expected(r#"["a","B","c"]"#));
        assert_eq!(whole(body, &json!({"tags": null})), expected(r#"["c","a"]"#));
        assert_eq!(whole(r#"{"tags":{"add":[],"remove":["b"]}}"#, &json!({"tags": ["b"]})), r#"{"tags":[]}"#);
    }

    #[test]
    fn missing_list_is_not_treated_as_empty() {
        let body = r#"{"tags":{"add":["a"],"remove":[]}}"#;
        for values in [
            json!({}),
            json!({"tags": "a"}),
            json!({"tags": {"a": 1}}),
            json!({"Tags": []}),
            json!({"tags": ["a", "***token***"]}),
        ] {
            let values = values.as_object().expect("an object");
            assert_eq!(resolve_edits(body, values), Err("tags".to_owned()), "{values:?}");
        }
    }

    #[test]
    fn body_without_a_list_edit_gives_none() {
        assert!(!changes_lists(r#"{"tags":["a"],"comment":"\":{"}"#));
        assert!(!changes_lists(r#"{"comment":":{"}"#));
        assert!(changes_lists(r#"{"comment":":{","tags":{"add":["a"],"remove":[]}}"#));
        assert_eq!(ListEdit::of(&json!({"add": ["a", "b"], "remove": ["c"]})).expect("one").to_string(), "+a; +b; -c");
        assert_eq!(ListEdit::of(&json!(["a"])), None);
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
