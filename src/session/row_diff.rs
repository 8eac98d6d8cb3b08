//! What one row changes of its incident.

use crate::compare::PropertyDiff;

/// What a row changes of its incident.
#[derive(Clone, Debug, PartialEq)]
pub struct RowDiff {
    /// The row's line.
    pub line: u64,
    /// The incident that is changed.
    pub incident: u64,
    /// The row's own incident, if that was merged into the updated one.
    pub merged: Option<u64>,
    /// The properties that change.
    pub differences: Vec<PropertyDiff>,
    /// What is appended, after the name of its property.
    pub adds: Option<(String, String)>,
}

impl RowDiff {
    /// The diff of the row at `line`: its property diffs, and what it adds.
    #[must_use]
    pub fn new(line: u64, incident: u64, added: Option<(&str, &str)>, differences: Vec<PropertyDiff>) -> RowDiff {
        let adds = added.map(|(property, text)| (property.to_owned(), text.to_owned()));
        RowDiff { line, incident, merged: None, differences, adds }
    }
}
