//! What one row changes of its incident.

use serde_json::{Map, Value};

use crate::compare::PropertyDiff;

/// What a row changes of its incident.
#[derive(Clone, Debug, PartialEq)]
pub struct RowDiff {
    /// The row's line.
    pub line: u64,
    /// The incident that is changed.
    pub incident: u64,
    /// The row's own incident, if that was merged into the other one.
    pub merged: Option<u64>,
    /// The properties that change.
    pub differences: Vec<PropertyDiff>,
    /// What is appended, after the name of its property.
    pub adds: Option<(String, String)>,
}

impl RowDiff {
    /// From a change's body and its differences. `appended` is the property that an update appends to.
    #[must_use]
    pub fn new(line: u64, incident: u64, body: &str, differences: Vec<PropertyDiff>, appended: &str) -> RowDiff {
        let body: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
        let adds = body.get(appended).and_then(Value::as_str).map(|text| (appended.to_owned(), text.to_owned()));
        RowDiff { line, incident, merged: None, differences, adds }
    }
}
