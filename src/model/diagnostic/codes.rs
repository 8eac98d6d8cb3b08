//! The registry of diagnostic codes: what each means, and what to do about it.
//!
//! Promises: a code keeps its name and its meaning; `docs/diagnostics.md` shows this table (a test holds the two
//! together); no diagnostic has a code that is not here.

use serde::Serialize;

/// Whether the row can still be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is not sent.
    Error,
    /// Worth checking; the row is sent.
    Warning,
}

impl Severity {
    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable: scripts compare it.
    pub name: &'static str,
    /// Whether a row with it is still sent.
    pub severity: Severity,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What to do about it, in a sentence.
    pub advice: &'static str,
}

/// Declares the codes and the table of all of them in one place, so that none can be left out.
macro_rules! codes {
    ($($constant:ident $name:literal $severity:ident $meaning:literal $advice:literal)*) => {
        $(
            #[doc = $meaning]
            pub static $constant: Code =
                Code { name: $name, severity: Severity::$severity, meaning: $meaning, advice: $advice };
        )*

        /// All codes, in the order of the documentation: of the file, of a row, of a value, across rows.
        pub static ALL: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    WRONG_KIND "wrong-kind" Error
        "The file is not CSV or JSONL, but a workbook, an archive, a web page or a JSON array."
        "save or export it as CSV UTF-8, or as one JSON object per line"
    EMPTY_FILE "empty-file" Error
        "A CSV file has no header line."
        "write the column names in the first line: at least `incidentId`"
    HEADER "header" Error
        "The header line cannot be read: it is not UTF-8, is too long, or contains a NUL byte."
        "save the file as CSV UTF-8, with the column names in the first line"
    NO_ID_COLUMN "no-id-column" Error
        "No column has the incident IDs."
        "rename the column of the IDs to `incidentId`"
    COLUMN_TWICE "column-twice" Error
        "Two columns (or members) mean the same property, or both mean the ID."
        "keep one of them, or give the other a name that is not a property"
    MISSPELT_COLUMN "misspelt-column" Error
        "A column (or member) looks like a misspelled property and would not be sent."
        "correct the name, or choose a less similar one"
    OTHER_CONTRACT "other-contract" Error
        "A column (or member) sets a property only under another contract, and would not be sent."
        "use that contract, or give the column a name that is not a property"
    PORTAL_COMMENT "portal-comment" Error
        "A comment column was added to a portal export, which only provides incident IDs."
        "set the comment with `--set comment=…`, or keep only the ID and your own columns"
    PORTAL_NEEDS_SET "portal-needs-set" Error
        "A portal export shows incidents, not changes, and there is no `--set`."
        "add a change, such as `--set status=Resolved`"
    NO_PROPERTY_COLUMN "no-property-column" Error
        "No column is a property, and there is no `--set`."
        "add a column (`status`, `comment`, …), or use `--set`"
    UNCLOSED_QUOTE "unclosed-quote" Error
        "A quote opens a cell and never closes: the rest of the file would be one cell."
        "close the quote; double a quote inside a quoted cell"
    TEXT_AFTER_QUOTE "text-after-quote" Error
        "Text follows a closing quote, so the end of the cell is unclear."
        "double a quote inside a quoted cell, or add a delimiter after the closing quote"
    TOO_MANY_LINES "too-many-lines" Error
        "The file has more than 4,294,967,295 lines."
        "split the file"
    INPUT_CHANGED "input-changed" Error
        "The file was changed or replaced while it was read."
        "wait until the file is complete, then run the command again"

    TOO_FEW_CELLS "too-few-cells" Error
        "The row has fewer cells than the header has columns."
        "add the missing delimiters, or join the row with the next one if a cell contains a line end"
    TOO_MANY_CELLS "too-many-cells" Error
        "The row has more cells than the header has columns."
        "quote the cell that contains the delimiter"
    ROW_TOO_LARGE "row-too-large" Error
        "The record is longer than 1 MiB (1,048,576 bytes)."
        "shorten it, or look for a quote that is not closed"
    NOT_UTF8 "not-utf8" Error
        "The row contains bytes that are not text in the file's encoding."
        "save the file as CSV UTF-8"
    NUL_BYTE "nul-byte" Error
        "The row contains a NUL byte."
        "remove it; save the file as CSV UTF-8"
    BARE_CR "bare-cr" Error
        "A carriage return without a line feed is outside quotes."
        "save the file with LF or CRLF line ends, or quote the cell"
    JSON_SYNTAX "json-syntax" Error
        "The line is not JSON."
        "write one complete JSON object per line, as `jq -c` does"
    NOT_AN_OBJECT "not-an-object" Error
        "The line is JSON, but not an object."
        "write one JSON object per line, with `incidentId` and the properties to set"
    MEMBER_TWICE "member-twice" Error
        "The object has the same member twice."
        "keep one of them"
    RESULTS_LINE "results-line" Error
        "A line of a results file lacks its outcome or its input, so its state is unknown."
        "use the unmodified results file (`runs results` rebuilds it)"

    ID_MISSING "id-missing" Error
        "The row has no incident ID."
        "enter the incident number, or delete the row"
    ID_INVALID "id-invalid" Error
        "The ID is not a whole number from 1 to 9223372036854775807, in digits only."
        "enter only the digits of the incident number, without leading zeros"
    NOTHING_TO_SET "nothing-to-set" Error
        "The row sets no property."
        "fill in at least one, use `--set`, or delete the row"
    UNKNOWN_VALUE "unknown-value" Error
        "The contract does not have this value."
        "enter a value that `bulk-triage contract` lists; an empty cell leaves the property unchanged"
    PLACEHOLDER_VALUE "placeholder-value" Error
        "The text means \"no value\" (`Unassigned`, `Not set`, `None`, `-`, `System.String[]`); it is not a value to send. In a comment it is a warning."
        "leave the cell empty to keep the value; to clear assignedTo or tags, enter `<clear>`"
    VALUE_MISSING "value-missing" Error
        "A value requires another property in the same row, which is not set. Under `graph` it is a warning."
        "set that property, too"
    VALUES_DISAGREE "values-disagree" Error
        "Two values of the row are not allowed together in this contract. Under `graph` they are unusual, and it is a warning."
        "change one of them, or leave the dependent one empty"
    WRONG_TYPE "wrong-type" Error
        "The member has the wrong JSON type."
        "use a string (for tags: a list of strings)"
    CANNOT_CLEAR "cannot-clear" Error
        "`<clear>` is used for a property that cannot be cleared, or with other tags."
        "leave the cell empty to keep the property unchanged; to remove all tags, enter only `<clear>`"
    EMPTY_LIST "empty-list" Error
        "The list has no tag, or an empty one."
        "enter `<clear>` to remove all tags; leave the cell empty to keep them unchanged"
    BLANK_COMMENT "blank-comment" Error
        "The comment is only white space."
        "enter a comment, or leave the cell empty"
    TAG_CHANGE "tag-change" Error
        "The tag edit (`+a; -b`) is invalid: a tag has no sign, or is both added and removed."
        "put + or - before each tag or before none; if a tag itself starts with one, use JSON: `[\"+a\"]`"
    TAGS_NOT_JSON "tags-not-json" Error
        "The tags begin with `[` or `{` but are not a JSON list of strings or a tag edit."
        "enter `[\"a\",\"b\"]` or `a; b`; to edit the list, `{\"add\":[\"a\"],\"remove\":[\"b\"]}`, or `+a; -b`"

    TWO_RESOLVING_COMMENTS "two-resolving-comments" Error
        "With `--comment-as resolving`, the row has two comments of its resolution."
        "keep one of them"

    CONTRADICTION "contradiction" Error
        "Two rows have conflicting changes to one incident."
        "keep one of them"

    DUPLICATE "duplicate" Warning
        "Two rows have the same change to one incident; it is sent once."
        "delete one of them"
    DOUBTFUL_VALUE "doubtful-value" Warning
        "The value is documented, but the service refuses it, has withdrawn it, or reserves it for itself."
        "use another value: some messages name one"
    COMMA_IN_TAG "comma-in-tag" Warning
        "A tag contains a comma and is sent as one tag."
        "separate tags with semicolons: `a; b`"
    UNTERMINATED_LINE "unterminated-line" Warning
        "The last line has no line end, and its last cell is the ID: if the file was cut there, the ID is incomplete."
        "check that the file is complete; end its last line with a line end"
    NOT_SENT "not-sent" Warning
        "The column (or member) is not sent, although its name resembles a property."
        "to send it, rename it to the property; otherwise ignore this warning"
    SPACE_AROUND "space-around" Warning
        "The text begins or ends with white space, which is sent, too."
        "remove it unless you want it"
    CONTROL_CHARACTER "control-character" Warning
        "The comment contains a control character, which the service may remove or refuse."
        "remove it"
    LONG_COMMENT "long-comment" Warning
        "The comment has more than 30,000 characters, which the service may cut short or refuse."
        "shorten it"
}

/// [`PLACEHOLDER_VALUE`] in a comment: it may be intended, so it is sent.
pub static PLACEHOLDER_COMMENT: Code =
    Code { severity: Severity::Warning, advice: "leave the cell empty to add no comment", ..PLACEHOLDER_VALUE };

/// [`VALUE_MISSING`] under a contract for which it is unusual, not wrong.
pub static VALUE_ALONE: Code = Code {
    severity: Severity::Warning,
    advice: "set that property, too, unless the incident has it already",
    ..VALUE_MISSING
};

/// [`VALUES_DISAGREE`] under a contract for which it is unusual, not wrong.
pub static UNUSUAL_VALUES: Code = Code {
    severity: Severity::Warning,
    advice: "check the values: the API does not document which of them go together",
    ..VALUES_DISAGREE
};

/// The table of `docs/diagnostics.md`, in Markdown.
#[must_use]
pub fn markdown_table() -> String {
    let rows = ALL
        .iter()
        .map(|code| format!("| `{}` | {} | {} | {} |\n", code.name, code.severity.name(), code.meaning, code.advice));
    ["| code | severity | meaning | what to do |\n| --- | --- | --- | --- |\n".to_owned()]
        .into_iter()
        .chain(rows)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_names_are_unique_and_lower_case() {
        let mut names: Vec<_> = ALL.iter().map(|code| code.name).collect();
        assert!(
            names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'8'))
        );
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn docs_show_this_table() {
        let page = include_str!("../../../docs/diagnostics.md");
        assert!(page.contains(&markdown_table()), "docs/diagnostics.md should contain:\n\n{}", markdown_table());
    }
}
