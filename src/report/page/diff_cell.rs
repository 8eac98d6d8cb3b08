//! How a change affects a property, for display: set, before and after, appended, or unchanged.
//!
//! Promise: all text is safe to print, except for its line ends, which are kept.

use serde_json::{Map, Value as Json};

use crate::model::edit::{Edit, Edits};
use crate::model::list_edit::ListEdit;
use crate::text::printable;

/// A value for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `null`, `""` or `[]`.
    Empty,
    Text(String),
    List(Vec<String>),
}

/// The effect on a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// It is not set.
    Untouched,
    /// It is set; the current value is unknown.
    Sets(Value),
    /// It is set to its current value.
    Same(Value),
    /// It is set to a different value.
    Changes { before: Value, after: Value },
    /// Items are removed from and added to its list.
    Edits { kept: Vec<String>, removed: Vec<String>, added: Vec<String> },
    /// A text is appended.
    Adds(Value),
}

impl Cell {
    /// The effect of the edits on the property `name`.
    pub(super) fn new(name: &str, edits: &Edits, before: Option<&Map<String, Json>>) -> Cell {
        let Some(edit) = edits.of(name) else { return Cell::Untouched };
        let after = value(&edit.value());
        match edit {
            Edit::Append(_) => return Cell::Adds(after),
            Edit::EditList(ListEdit { add, remove }) => {
                let all_shown = |items: &[String]| items.iter().map(|item| shown(item)).collect();
                return Cell::Edits { kept: Vec::new(), removed: all_shown(remove), added: all_shown(add) };
            }
            Edit::Set(_) | Edit::Clear(_) => {}
        }
        let Some(before) = before.and_then(|before| before.get(name)) else { return Cell::Sets(after) };
        match (value(before), after) {
            (before, after) if before == after => Cell::Same(after),
            (Value::List(before), Value::List(after)) => {
                let (kept, removed): (Vec<_>, Vec<_>) = before.into_iter().partition(|item| after.contains(item));
                let added = after.into_iter().filter(|item| !kept.contains(item)).collect();
                Cell::Edits { kept, removed, added }
            }
            (before, after) => Cell::Changes { before, after },
        }
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Empty,
        Json::String(text) if text.is_empty() => Value::Empty,
        Json::Array(items) if items.is_empty() => Value::Empty,
        Json::String(text) => Value::Text(shown(text)),
        Json::Array(items) => Value::List(items.iter().map(item).collect()),
        other => Value::Text(shown(&other.to_string())),
    }
}

fn item(json: &Json) -> String {
    json.as_str().map_or_else(|| shown(&json.to_string()), shown)
}

/// The complete text, with escapes for hidden characters except line ends.
pub(super) fn shown(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(json: &Json) -> Map<String, Json> {
        json.as_object().expect("an object").clone()
    }

    fn edits(json: &Json) -> Edits {
        crate::plan::decode(&json.to_string(), json.get("comment").is_some()).expect("a body")
    }

    fn cell(before: &Json, after: &Json) -> Cell {
        Cell::new("p", &edits(&json!({ "p": after })), Some(&map(&json!({ "p": before }))))
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn changed_and_unchanged_values_are_distinguished() {
        assert_eq!(cell(&json!("A"), &json!("B")), Cell::Changes { before: text("A"), after: text("B") });
        assert_eq!(cell(&json!("A"), &json!("A")), Cell::Same(text("A")));
        assert_eq!(cell(&json!(null), &json!("")), Cell::Same(Value::Empty));
        assert_eq!(cell(&json!("A"), &json!("")), Cell::Changes { before: text("A"), after: Value::Empty });
    }

    #[test]
    fn lists_show_added_and_removed_entries() {
        let own = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let edits = Cell::Edits { kept: own(&["b"]), removed: own(&["a"]), added: own(&["c"]) };
        assert_eq!(cell(&json!(["a", "b"]), &json!(["b", "c"])), edits);
        assert_eq!(
            cell(&json!([]), &json!(["c"])),
            Cell::Changes { before: Value::Empty, after: Value::List(own(&["c"])) }
        );
    }

    #[test]
    fn unread_list_shows_its_edit() {
        let after = edits(&json!({"p": {"add": ["a\u{0}"], "remove": ["b"]}}));
        let edits = Cell::Edits { kept: vec![], removed: vec!["b".to_owned()], added: vec!["a\\u{0}".to_owned()] };
        assert_eq!(Cell::new("p", &after, None), edits);
    }

    #[test]
    fn unknown_values_are_not_claimed() {
        let after = edits(&json!({"p": "B", "comment": "c"}));
        assert_eq!(Cell::new("p", &after, None), Cell::Sets(text("B")));
        assert_eq!(Cell::new("p", &after, Some(&map(&json!({})))), Cell::Sets(text("B")));
        assert_eq!(Cell::new("q", &after, None), Cell::Untouched);
        assert_eq!(Cell::new("comment", &after, Some(&map(&json!({"comment": "c"})))), Cell::Adds(text("c")));
    }

    #[test]
    fn hidden_characters_are_shown_line_breaks_stay() {
        assert_eq!(shown("a\u{202e}b\r\nc\u{0}"), "a\\u{202e}b\\r\nc\\u{0}");
    }
}
