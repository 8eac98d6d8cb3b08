//! The registry of diagnostic codes: what each one means, and what to do about it.
//!
//! Promises: a code keeps its name and its meaning; `docs/diagnostics.md` shows this table (a test holds the two
//! together); no diagnostic has a code that is not here.

use super::Severity;

/// One kind of thing that can be wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable: scripts compare it.
    pub name: &'static str,
    /// Whether a row with it is sent all the same.
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
        "The file is something else than CSV or JSONL: a workbook, an archive, a web page, a JSON array."
        "Save or export it as CSV UTF-8, or write one JSON object a line."
    EMPTY_FILE "empty-file" Error
        "A CSV file has no header line."
        "Write the column names in the first line: at least `incidentId`."
    HEADER "header" Error
        "The header line can't be read: it is not UTF-8, too long, or holds a NUL byte."
        "Save the file as CSV UTF-8, with the column names in the first line."
    NO_ID_COLUMN "no-id-column" Error
        "No column is the incident's id."
        "Name the column with the ids `incidentId`."
    COLUMN_TWICE "column-twice" Error
        "Two columns (or members) mean the same property, or both mean the id."
        "Keep one of them, or rename the other to something that is only carried along."
    MISSPELT_COLUMN "misspelt-column" Error
        "A column (or member) looks like a misspelt property; it would silently not be sent."
        "Correct the name, or give it one that is less alike."
    PORTAL_COMMENT "portal-comment" Error
        "A comment column was added to a portal export, of which only the ids are used."
        "Set the comment with `--set comment=…`, or keep only the id and your own columns."
    PORTAL_NEEDS_SET "portal-needs-set" Error
        "A portal export says what incidents are, not what to change, and there is no `--set`."
        "Say what to change: `--set status=Resolved`, for one."
    NO_PROPERTY_COLUMN "no-property-column" Error
        "No column is a property that can be set, and there is no `--set`."
        "Add a column (`status`, `comment`, …), or use `--set`."
    UNCLOSED_QUOTE "unclosed-quote" Error
        "A quote opens a cell and never closes: the rest of the file would be one cell."
        "Close the quote; a quote inside a quoted cell is written twice."
    TEXT_AFTER_QUOTE "text-after-quote" Error
        "Text follows a closing quote, so it is not known where the cell ends."
        "Write a quote inside a quoted cell twice, or put a delimiter after the closing one."
    TOO_MANY_LINES "too-many-lines" Error
        "The file has more than 4,294,967,295 lines."
        "Split it."
    INPUT_CHANGED "input-changed" Error
        "The file was changed or replaced while it was read."
        "Wait until the file is complete, then run the command again."

    TOO_FEW_CELLS "too-few-cells" Error
        "The row has fewer cells than the header has columns."
        "Add the missing delimiters, or join the row with the next one where a line end got into a cell."
    TOO_MANY_CELLS "too-many-cells" Error
        "The row has more cells than the header has columns."
        "Quote the cell that holds the delimiter."
    ROW_TOO_LARGE "row-too-large" Error
        "The record is longer than 1 MiB (1,048,576 bytes)."
        "Shorten it; look for a quote that is not closed where it should be."
    NOT_UTF8 "not-utf8" Error
        "The row holds bytes that are not text in the file's encoding."
        "Save the file as CSV UTF-8."
    NUL_BYTE "nul-byte" Error
        "The row holds a NUL byte."
        "Remove it; save the file as CSV UTF-8."
    BARE_CR "bare-cr" Error
        "A carriage return without a line feed stands outside quotes."
        "Save the file with LF or CRLF line ends, or quote the cell."
    JSON_SYNTAX "json-syntax" Error
        "The line is not JSON."
        "Write one whole JSON object on each line (`jq -c` does)."
    NOT_AN_OBJECT "not-an-object" Error
        "The line is JSON, but not an object."
        "Write one JSON object on each line, with `incidentId` and what to set."
    MEMBER_TWICE "member-twice" Error
        "The object has the same member twice."
        "Keep one of them."
    RESULTS_LINE "results-line" Error
        "A line of a results file lacks its outcome or its input, so it is not known whether it is done."
        "Take the results file as it was written (`runs results` makes it again)."

    ID_MISSING "id-missing" Error
        "The row has no incident id."
        "Write the incident's number, or delete the row."
    ID_INVALID "id-invalid" Error
        "The id is not a whole number from 1 to 9223372036854775807, written in digits alone."
        "Write the incident's number, without sign, leading zeros, decimals or exponent."
    NOTHING_TO_SET "nothing-to-set" Error
        "The row sets no property."
        "Fill in at least one, use `--set`, or delete the row."
    UNKNOWN_VALUE "unknown-value" Error
        "The contract does not know this value."
        "Write one of the values that `bulk-triage contract` lists; an empty cell leaves the property as it is."
    PLACEHOLDER_VALUE "placeholder-value" Error
        "The text stands for \"no value\" (`Unassigned`, `Not set`, `None`, `-`, `System.String[]`); it is not a value to send. In a comment it is a warning."
        "Leave the cell empty to keep the value; to empty assignedTo or tags, write `<clear>`."
    VALUE_MISSING "value-missing" Error
        "A value needs another property to be set in the same row, and it is not."
        "Set that property too."
    VALUES_DISAGREE "values-disagree" Error
        "Two values of the row do not go together in this contract."
        "Change one of them, or empty the one that depends on the other."
    WRONG_TYPE "wrong-type" Error
        "The member has the wrong JSON type."
        "Write a text (for tags: a list of texts)."
    CANNOT_CLEAR "cannot-clear" Error
        "`<clear>` stands where the property can't be emptied, or beside other tags."
        "Leave the cell empty to leave the property as it is; to empty the tags, write `<clear>` alone."
    EMPTY_LIST "empty-list" Error
        "The list has no tag, or one that is empty."
        "Write `<clear>` to remove all tags; leave the cell empty to leave them as they are."
    BLANK_COMMENT "blank-comment" Error
        "The comment is white space alone."
        "Write a comment, or leave the cell empty."
    TAG_CHANGE "tag-change" Error
        "The change of tags (`+a; -b`) can't be made: a tag has no sign, or is added and removed."
        "Write + or - before each tag, or before none; a tag that starts so itself is written as JSON: `[\"+a\"]`."
    TAGS_NOT_JSON "tags-not-json" Error
        "The tags begin with `[` or `{` and are not a JSON list of texts, or a change of one."
        "Write `[\"a\",\"b\"]`, or `a; b`; for a change `{\"add\":[\"a\"],\"remove\":[\"b\"]}`, or `+a; -b`."

    CONTRADICTION "contradiction" Error
        "Two rows ask for different changes of the same incident."
        "Keep one of them."

    DUPLICATE "duplicate" Warning
        "Two rows ask for the same change of the same incident: it is made once."
        "Delete one of them."
    DOUBTFUL_VALUE "doubtful-value" Warning
        "The value is documented, but the service refuses it, has withdrawn it, or should be the only one to set it."
        "Use another value: the one that the message names, if it names one."
    COMMA_IN_TAG "comma-in-tag" Warning
        "A tag holds a comma; it is sent as one tag."
        "Separate tags with semicolons: `a; b`."
    UNTERMINATED_LINE "unterminated-line" Warning
        "The last line has no line end, and its last cell is the ID: if the file was cut there, the ID is incomplete."
        "Check that the file is complete; end its last line with a line end."
    NOT_SENT "not-sent" Warning
        "The column (or member) is carried along and not sent, though its name is another word for a property."
        "To send it, give it the property's name; else ignore this warning."
    SPACE_AROUND "space-around" Warning
        "The text begins or ends with white space, which is sent as it is."
        "Remove it, unless it is meant."
    CONTROL_CHARACTER "control-character" Warning
        "The comment holds a control character, which the service may remove or refuse."
        "Remove it."
    LONG_COMMENT "long-comment" Warning
        "The comment has more than 30,000 characters, which the service may cut short or refuse."
        "Shorten it."
}

/// [`PLACEHOLDER_VALUE`] in a comment: it may be meant, so it is sent.
pub static PLACEHOLDER_COMMENT: Code = Code {
    severity: Severity::Warning,
    advice: "Leave the cell empty to add no comment, unless it is meant.",
    ..PLACEHOLDER_VALUE
};

/// The table of `docs/diagnostics.md`, in Markdown.
#[must_use]
pub fn markdown_table() -> String {
    let rows = ALL.iter().map(|code| {
        let severity = match code.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        format!("| `{}` | {severity} | {} | {} |\n", code.name, code.meaning, code.advice)
    });
    ["| code | severity | meaning | what to do |\n| --- | --- | --- | --- |\n".to_owned()]
        .into_iter()
        .chain(rows)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_one_style() {
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
    fn the_documentation_shows_this_table() {
        let page = include_str!("../../docs/diagnostics.md");
        assert!(page.contains(&markdown_table()), "docs/diagnostics.md should contain:\n\n{}", markdown_table());
    }
}
