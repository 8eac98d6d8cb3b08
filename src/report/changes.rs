//! Changes: one row's before → after, for a person.
//!
//! Promises: one row is one line; text from outside is shown, not obeyed.

use std::fmt;

use serde_json::Value;

use super::wording::fitted;
use crate::compare::Difference;

/// No value is shown longer than this, in characters.
const LONGEST: usize = 60;

/// What a row changes of its incident.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChanges {
    /// The row's line.
    pub line: u64,
    /// The incident that is changed.
    pub incident: u64,
    /// The row's own, where that was merged into it.
    pub merged: Option<u64>,
    /// The properties that change.
    pub differences: Vec<Difference>,
    /// What is added to those that are there, by the property's name.
    pub adds: Option<(String, String)>,
}

impl RowChanges {
    /// Of a change's body and what it changes. `appended` is the property that is added to what is there.
    #[must_use]
    pub fn new(line: u64, incident: u64, body: &str, differences: Vec<Difference>, appended: &str) -> RowChanges {
        let body: serde_json::Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
        let adds = body.get(appended).and_then(Value::as_str).map(|text| (appended.to_owned(), text.to_owned()));
        RowChanges { line, incident, merged: None, differences, adds }
    }
}

/// `line 2, 924565: status Active → Resolved; comment + Rule 42 was tuned`
impl fmt::Display for RowChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}", self.line, self.incident)?;
        if let Some(merged) = self.merged {
            write!(f, " (for {merged}, which was merged into it)")?;
        }
        f.write_str(":")?;
        let mut between = " ";
        for Difference { property, before, after } in &self.differences {
            write!(f, "{between}{} {} → {}", fitted(property, LONGEST), shown(before), shown(after))?;
            between = "; ";
        }
        if let Some((property, text)) = &self.adds {
            write!(f, "{between}{} + {}", fitted(property, LONGEST), fitted(text, LONGEST))?;
        }
        Ok(())
    }
}

/// A value as a person writes it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(not set)".to_owned(),
        Value::String(text) if text.is_empty() => "(not set)".to_owned(),
        Value::Array(list) if list.is_empty() => "(none)".to_owned(),
        Value::String(text) => fitted(text, LONGEST),
        other => fitted(&other.to_string(), LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_is_a_line() {
        let difference = |property: &str, before, after| Difference { property: property.to_owned(), before, after };
        let differences = vec![
            difference("status", json!("Active"), json!("Resolved")),
            difference("assignedTo", json!(null), json!("a\u{1b}[2Jb")),
            difference("tags", json!(["x"]), json!([])),
        ];
        let body = r#"{"status":"Resolved","comment":"two\nlines"}"#;
        let said = "line 2, 7: status Active → Resolved; assignedTo (not set) → a\\u{1b}[2Jb; tags [\"x\"] → (none); \
                    comment + two\\nlines";
        assert_eq!(RowChanges::new(2, 7, body, differences, "comment").to_string(), said);
    }
}
