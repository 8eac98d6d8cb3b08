//! The format of an input, for its results.

use serde::{Deserialize, Serialize};

/// The format of an input, which its results share. It is stored with the run, so that the results can be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "lowercase")]
pub enum InputShape {
    /// A CSV file.
    Csv {
        /// `,`, `;` or a tab.
        delimiter: char,
        /// Whether it began with a byte order mark.
        bom: bool,
        /// The names of the input's own columns, unchanged.
        columns: Vec<String>,
    },
    /// A JSONL file.
    Jsonl {
        /// Whether it began with a byte order mark.
        bom: bool,
    },
}

impl InputShape {
    /// The file extension: `csv` or `jsonl`.
    #[must_use]
    pub fn extension(&self) -> &'static str {
        match self {
            InputShape::Csv { .. } => "csv",
            InputShape::Jsonl { .. } => "jsonl",
        }
    }
}
