//! The edits of a change: what it does to each property.
//!
//! Promises: equal changes have equal edits: a property is emptied by [`Edit::Clear`], never by an empty value.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::model::list_edit::ListEdit;
use crate::text::is_redacted;

/// A type without values, in the place of list edits once they are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Never {}

/// What happens to a property.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit<L = ListEdit> {
    /// Its value is replaced by this one, which is not empty.
    Set(Value),
    /// It is emptied.
    Clear(Empty),
    /// Entries are added to its list, or removed.
    EditList(L),
    /// This text is added (a comment): sent twice, it is added twice.
    Append(String),
}

/// The value of a cleared property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// `""`
    Text,
    /// `[]`
    List,
}

impl<L> Edit<L> {
    /// Sets a property to this value, or clears it if the value is empty.
    #[must_use]
    pub fn set(value: Value) -> Edit<L> {
        match value {
            Value::String(text) if text.is_empty() => Edit::Clear(Empty::Text),
            Value::Array(list) if list.is_empty() => Edit::Clear(Empty::List),
            value => Edit::Set(value),
        }
    }

    pub(super) fn is_append(&self) -> bool {
        matches!(self, Edit::Append(_))
    }
}

impl<L: Serialize> Edit<L> {
    /// The value as it is sent to the API; of a list edit, its parts.
    #[must_use]
    pub fn value(&self) -> Value {
        match self {
            Edit::Set(value) => value.clone(),
            Edit::Clear(Empty::Text) => Value::from(""),
            Edit::Clear(Empty::List) => Value::Array(Vec::new()),
            Edit::EditList(edit) => serde_json::json!(edit),
            Edit::Append(text) => Value::from(text.as_str()),
        }
    }
}

impl From<Edit<Never>> for Edit {
    fn from(edit: Edit<Never>) -> Edit {
        match edit {
            Edit::Set(value) => Edit::Set(value),
            Edit::Clear(empty) => Edit::Clear(empty),
            Edit::Append(text) => Edit::Append(text),
        }
    }
}

/// The edit of one property.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropertyEdit<L = ListEdit> {
    /// As the API spells it.
    pub property: Property,
    /// Its edit.
    pub edit: Edit<L>,
}

impl<L> PropertyEdit<L> {
    /// This edit of this property.
    pub fn new(property: impl Into<Property>, edit: Edit<L>) -> PropertyEdit<L> {
        PropertyEdit { property: property.into(), edit }
    }
}

/// How a body spells a property, if not by its name and with an empty value for `<clear>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Its name.
    pub property: String,
    /// The member that is sent.
    pub member: String,
    /// Whether `<clear>` sends `null`.
    pub clear_with_null: bool,
}

/// A property's name, shared by the rows that change it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Property(Arc<str>);

impl From<&str> for Property {
    fn from(name: &str) -> Property {
        Property(name.into())
    }
}

impl Deref for Property {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Property {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Property, D::Error> {
        Ok(Property(String::deserialize(deserializer)?.into()))
    }
}

/// The edits of a change, in the contract's order. Cheap to clone.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Edits<L = ListEdit>(Arc<[PropertyEdit<L>]>);

impl<L> Clone for Edits<L> {
    fn clone(&self) -> Edits<L> {
        Edits(Arc::clone(&self.0))
    }
}

impl<L> Default for Edits<L> {
    fn default() -> Edits<L> {
        Edits::from_iter([])
    }
}

impl<L> Deref for Edits<L> {
    type Target = [PropertyEdit<L>];

    fn deref(&self) -> &[PropertyEdit<L>] {
        &self.0
    }
}

impl<L> FromIterator<PropertyEdit<L>> for Edits<L> {
    fn from_iter<I: IntoIterator<Item = PropertyEdit<L>>>(edits: I) -> Edits<L> {
        Edits(edits.into_iter().collect())
    }
}

impl<L> Edits<L> {
    /// The edit of this property.
    #[must_use]
    pub fn of(&self, property: &str) -> Option<&Edit<L>> {
        self.iter().find(|one| *one.property == *property).map(|one| &one.edit)
    }

    /// The property to which a text is added, and that text.
    #[must_use]
    pub fn added(&self) -> Option<(&str, &str)> {
        self.iter().find_map(|one| match &one.edit {
            Edit::Append(text) => Some((&*one.property, text.as_str())),
            _ => None,
        })
    }

    /// The text that is added.
    #[must_use]
    pub fn added_text(&self) -> Option<&str> {
        self.added().map(|(_, text)| text)
    }

    /// The idempotent edits: all but what is added.
    pub fn sets(&self) -> impl Iterator<Item = &PropertyEdit<L>> {
        self.iter().filter(|one| !one.edit.is_append())
    }

    /// Whether there is an idempotent edit.
    #[must_use]
    pub fn sets_any(&self) -> bool {
        self.sets().next().is_some()
    }
}

impl<L: Clone> Edits<L> {
    /// These edits without what is added.
    #[must_use]
    pub fn without_added(&self) -> Edits<L> {
        self.sets().cloned().collect()
    }

    /// Only what is added.
    #[must_use]
    pub fn only_added(&self) -> Edits<L> {
        self.iter().filter(|one| one.edit.is_append()).cloned().collect()
    }
}

impl<L: Serialize> Edits<L> {
    /// The values by property, as they are sent.
    #[must_use]
    pub fn values(&self) -> Map<String, Value> {
        self.iter().map(|one| (one.property.to_string(), one.edit.value())).collect()
    }

    /// A JSON object of the properties and their values, without white space. Equal edits give equal texts.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Members(self)).unwrap_or_else(|_| unreachable!("texts and lists are JSON"))
    }

    /// Their approximate size in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let list = |texts: &[Value]| texts.iter().map(|text| 4 + text.as_str().map_or(8, str::len)).sum();
        let edit = |edit: &Edit<L>| match edit {
            Edit::Set(Value::Array(texts)) => list(texts),
            Edit::Set(value) => value.as_str().map_or(8, str::len),
            Edit::Append(text) => text.len(),
            Edit::Clear(_) => 0,
            // Rare, and bounded by the row.
            Edit::EditList(edit) => serde_json::json!(edit).to_string().len(),
        };
        self.iter().map(|one| one.property.len() + edit(&one.edit)).sum()
    }
}

impl Edits {
    /// Whether one of them edits a list.
    #[must_use]
    pub fn edit_lists(&self) -> bool {
        self.iter().any(|one| matches!(one.edit, Edit::EditList(_)))
    }

    /// The edits with complete lists. `values`: the snapshot of their incident.
    ///
    /// # Errors
    /// The property of a list edit, if `values` lacks that list, or shows it redacted.
    pub fn resolve(&self, values: &Map<String, Value>) -> Result<Edits<Never>, String> {
        let resolve = |PropertyEdit { property, edit }: &PropertyEdit| {
            let edit = match edit {
                Edit::Set(value) => Edit::Set(value.clone()),
                Edit::Clear(empty) => Edit::Clear(*empty),
                Edit::Append(text) => Edit::Append(text.clone()),
                Edit::EditList(edit) => {
                    let list = values.get(&**property).filter(|list| !is_redacted(list));
                    Edit::set(list.and_then(|list| edit.apply_to(list)).ok_or_else(|| property.to_string())?)
                }
            };
            Ok(PropertyEdit { property: property.clone(), edit })
        };
        self.iter().map(resolve).collect()
    }

    /// The same edits, if none edits a list.
    #[must_use]
    pub fn resolved(&self) -> Option<Edits<Never>> {
        self.resolve(&Map::new()).ok()
    }
}

impl From<Edits<Never>> for Edits {
    fn from(edits: Edits<Never>) -> Edits {
        edits
            .iter()
            .cloned()
            .map(|PropertyEdit { property, edit }| PropertyEdit { property, edit: edit.into() })
            .collect()
    }
}

/// The form in a plan, and of rows that wait to be shown: each edit with its kind.
impl<L: Serialize> Serialize for Edits<L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, L: Deserialize<'de>> Deserialize<'de> for Edits<L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Edits<L>, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}

impl<L: Serialize> Edits<L> {
    /// Adds the properties and their values, as they are sent, to an object.
    pub(super) fn serialize_members<M: SerializeMap>(
        &self,
        object: &mut M,
        spellings: &[Spelling],
    ) -> Result<(), M::Error> {
        for PropertyEdit { property, edit } in self.iter() {
            let spelling = spellings.iter().find(|spelling| spelling.property == **property);
            let member = spelling.map_or(&**property, |spelling| &spelling.member);
            match edit {
                Edit::Set(value) => object.serialize_entry(member, value)?,
                Edit::EditList(edit) => object.serialize_entry(member, edit)?,
                Edit::Append(text) => object.serialize_entry(member, text)?,
                Edit::Clear(_) if spelling.is_some_and(|spelling| spelling.clear_with_null) => {
                    object.serialize_entry(member, &())?;
                }
                Edit::Clear(Empty::Text) => object.serialize_entry(member, "")?,
                Edit::Clear(Empty::List) => object.serialize_entry(member, &[(); 0])?,
            }
        }
        Ok(())
    }
}

/// Edits as the members of an object.
struct Members<'a, L>(&'a Edits<L>);

impl<L: Serialize> Serialize for Members<'_, L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        self.0.serialize_members(&mut object, &[])?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn edits() -> Edits {
        let edit = ListEdit { add: vec!["c".into(), "a".into(), "c".into()], remove: vec!["b".into(), "x".into()] };
        Edits::from_iter([
            PropertyEdit::new("status", Edit::set(json!("Resolved"))),
            PropertyEdit::new("assignedTo", Edit::set(json!(""))),
            PropertyEdit::new("tags", Edit::EditList(edit)),
            PropertyEdit::new("comment", Edit::Append("\":{".into())),
        ])
    }

    fn resolved(values: &Value) -> Result<String, String> {
        Ok(edits().resolve(values.as_object().expect("an object"))?.to_json())
    }

    #[test]
    fn list_edit_keeps_unnamed_entries() {
        let expected =
            |tags: &str| Ok(format!(r#"{{"status":"Resolved","assignedTo":"","tags":{tags},"comment":"\":{{"}}"#));
        assert_eq!(resolved(&json!({"tags": ["b", "a", "B"]})), expected(r#"["a","B","c"]"#));
        assert_eq!(resolved(&json!({"tags": null})), expected(r#"["c","a"]"#));
    }

    #[test]
    fn emptied_list_is_a_cleared_one() {
        let edit = Edit::EditList(ListEdit { add: vec![], remove: vec!["b".into()] });
        let edits = Edits::from_iter([PropertyEdit::new("tags", edit)]);
        let values = json!({"tags": ["b"]});
        let resolved = edits.resolve(values.as_object().expect("an object")).expect("shows the list");
        assert_eq!(resolved.of("tags"), Some(&Edit::Clear(Empty::List)));
    }

    #[test]
    fn missing_list_is_not_treated_as_empty() {
        for values in [
            json!({}),
            json!({"tags": "a"}),
            json!({"tags": {"a": 1}}),
            json!({"Tags": []}),
            json!({"tags": ["a", "***token***"]}),
        ] {
            assert_eq!(resolved(&values), Err("tags".to_owned()), "{values:?}");
        }
    }

    #[test]
    fn only_changes_without_list_edits_are_resolved() {
        let all = edits();
        assert!(all.edit_lists() && all.resolved().is_none());
        let rest: Edits = all.iter().filter(|one| *one.property != *"tags").cloned().collect();
        assert!(!rest.edit_lists());
        assert_eq!(Edits::from(rest.resolved().expect("no list edit")), rest);
    }

    #[test]
    fn edits_are_read_back() {
        let all = edits();
        let text = json!(all).to_string();
        assert_eq!(serde_json::from_str::<Edits>(&text).expect("as it was written"), all);
        serde_json::from_str::<Edits<Never>>(&text).expect_err("edits a list");
        let (set, added) = (all.without_added(), all.only_added());
        assert_eq!((set.len(), added.added(), added.sets_any()), (3, Some(("comment", "\":{")), false));
    }
}
