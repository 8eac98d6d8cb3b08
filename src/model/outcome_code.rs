//! Outcome codes: why a row ended as it did, in a word that scripts can compare.
//!
//! Promises: a code keeps its name and its meaning; `docs/file-formats.md` shows this table (a test compares the two);
//! a code that this version does not know is kept and shown as it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::diagnostic::codes::{self, Code};
use super::outcome_kind::OutcomeKind::{self, Failed, InDoubt, Unchanged, Updated};

/// Declares the codes and the table of all of them in one place, so that none can be left out.
macro_rules! outcome_codes {
    ($($variant:ident $name:literal [$($kind:ident),+] $meaning:literal)*) => {
        /// Why a row ended as it did, other than by a problem of its input.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum OutcomeCode {
            $(#[doc = $meaning] $variant,)*
        }

        impl OutcomeCode {
            /// All codes, in the order of the documentation.
            pub const ALL: &[OutcomeCode] = &[$(OutcomeCode::$variant),*];

            /// The code in results, journals and plans.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(OutcomeCode::$variant => $name,)* }
            }

            /// The outcomes that have this code.
            #[must_use]
            pub const fn outcomes(self) -> &'static [OutcomeKind] {
                match self { $(OutcomeCode::$variant => &[$($kind),+],)* }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(OutcomeCode::$variant => $meaning,)* }
            }
        }
    };
}

outcome_codes! {
    Differs "differs" [Updated]
        "The response shows another value for some of what the row asked for."
    FoundByReading "found-by-reading" [Updated]
        "The response was lost; a read showed that the update was applied."
    DoneBefore "done-before" [Unchanged]
        "An earlier row or run applied the same change."
    AlreadySo "already-so" [Unchanged]
        "All values are already set (`--compare`)."
    NothingAsked "nothing-asked" [Unchanged]
        "No cell of the fetched row was filled in."
    Rejected "rejected" [Failed]
        "The API refuses the values (400, 422)."
    NotFound "not-found" [Failed]
        "There is no such incident (404)."
    Forbidden "forbidden" [Failed]
        "The token may not update this incident (403)."
    CommentRejected "comment-rejected" [Failed]
        "The update was applied, and the comment, a request of its own, was refused."
    Conflict "conflict" [Failed]
        "The incident was being changed by someone else (409, 412)."
    Redirected "redirected" [Failed]
        "The incident was merged into another one."
    NotApplied "not-applied" [Failed]
        "The response shows none of the values."
    Unexpected "unexpected" [Failed]
        "The API gave a response that it does not document."
    GaveUp "gave-up" [Failed]
        "Every attempt at the row, or at its comment, failed, and none was applied."
    ChangedSince "changed-since" [Failed]
        "The incident has changed since the plan was created."
    Contradiction "contradiction" [Failed]
        "Two rows lead to one incident and have conflicting changes."
    Unreadable "unreadable" [Failed, InDoubt]
        "The incident can't be read."
    Unexplained "unexplained" [Failed, InDoubt]
        "A new comment may be the one of an update in doubt: of another row (`failed`) or of this one (`in-doubt`)."
    HalfDone "half-done" [InDoubt]
        "The run was stopped between the update and its comment; the next start sends the comment."
    Unsettled "unsettled" [InDoubt]
        "The run was stopped before a read resolved the doubt."
}

impl fmt::Display for OutcomeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The `code` of a row's outcome.
///
/// Journals and plans hold it as text. A text that is neither an outcome code nor a diagnostic code comes from another
/// version, and is kept as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RowCode {
    /// The outcome needs no reason.
    #[default]
    Empty,
    /// Sending or the preflight decided it. Includes `contradiction`, which is also a diagnostic.
    Outcome(OutcomeCode),
    /// The row is invalid.
    Diagnostic(&'static Code),
    /// Not known to this version.
    Other(String),
}

impl RowCode {
    /// The code as it is stored and printed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            RowCode::Empty => "",
            RowCode::Outcome(code) => code.name(),
            RowCode::Diagnostic(code) => code.name,
            RowCode::Other(text) => text,
        }
    }

    /// Whether there is no code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_str().is_empty()
    }
}

impl fmt::Display for RowCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<OutcomeCode> for RowCode {
    fn from(code: OutcomeCode) -> RowCode {
        RowCode::Outcome(code)
    }
}

impl From<Option<OutcomeCode>> for RowCode {
    fn from(code: Option<OutcomeCode>) -> RowCode {
        code.map_or(RowCode::Empty, RowCode::Outcome)
    }
}

/// Reads a code as it is stored.
impl From<&str> for RowCode {
    fn from(text: &str) -> RowCode {
        if text.is_empty() {
            return RowCode::Empty;
        }
        if let Some(code) = OutcomeCode::ALL.iter().find(|code| code.name() == text) {
            return RowCode::Outcome(*code);
        }
        match codes::ALL.iter().find(|code| code.name == text) {
            Some(code) => RowCode::Diagnostic(code),
            None => RowCode::Other(text.to_owned()),
        }
    }
}

impl From<String> for RowCode {
    fn from(text: String) -> RowCode {
        RowCode::from(&*text)
    }
}

impl From<RowCode> for String {
    fn from(code: RowCode) -> String {
        match code {
            RowCode::Other(text) => text,
            known => known.as_str().to_owned(),
        }
    }
}

impl PartialEq<OutcomeCode> for RowCode {
    fn eq(&self, other: &OutcomeCode) -> bool {
        matches!(self, RowCode::Outcome(code) if code == other)
    }
}

/// The table of `docs/file-formats.md`, in Markdown.
#[must_use]
pub fn markdown_table() -> String {
    let rows = OutcomeCode::ALL.iter().map(|code| {
        let outcomes: Vec<String> = code.outcomes().iter().map(|kind| format!("`{kind}`")).collect();
        format!("| `{code}` | {} | {} |\n", outcomes.join(", "), code.meaning())
    });
    ["| code | outcome | meaning |\n| --- | --- | --- |\n".to_owned()].into_iter().chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_keeps_its_text() {
        let known = OutcomeCode::ALL.iter().map(|code| code.name()).chain(codes::ALL.iter().map(|code| code.name));
        for text in known.chain(["", "from-the-future"]) {
            let code = RowCode::from(text);
            assert_eq!((code.as_str(), String::from(code.clone())), (text, text.to_owned()));
            assert_eq!(serde_json::to_value(&code).expect("a text"), text);
            assert_eq!(serde_json::from_value::<RowCode>(text.into()).expect("any text"), code);
        }
        assert_eq!(RowCode::from("id-missing"), RowCode::Diagnostic(&codes::ID_MISSING));
        assert_eq!(RowCode::from("contradiction"), OutcomeCode::Contradiction);
        assert_eq!(RowCode::from("from-the-future"), RowCode::Other("from-the-future".to_owned()));
    }

    #[test]
    fn docs_show_this_table() {
        let page = include_str!("../../docs/file-formats.md");
        assert!(page.contains(&markdown_table()), "docs/file-formats.md should contain:\n\n{}", markdown_table());
    }
}
