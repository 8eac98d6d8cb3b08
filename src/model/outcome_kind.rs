//! The six outcomes of a row.
//!
//! Promises: the names are those in results files, journals and plans.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How one row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// The API applied the change.
    Updated,
    /// Nothing was sent: all values were already set, or an earlier request had applied the change.
    Unchanged,
    /// The API refused it, or every attempt failed.
    Failed,
    /// The row itself has errors; nothing was sent.
    Invalid,
    /// It may have been applied; no read could tell.
    InDoubt,
    /// The run was stopped first.
    NotAttempted,
}

impl OutcomeKind {
    /// All of them, in display order.
    pub const ALL: [OutcomeKind; 6] = [
        OutcomeKind::Updated,
        OutcomeKind::Unchanged,
        OutcomeKind::Failed,
        OutcomeKind::Invalid,
        OutcomeKind::InDoubt,
        OutcomeKind::NotAttempted,
    ];

    /// Those that need attention when a run is finished.
    pub const TROUBLES: [OutcomeKind; 3] = [OutcomeKind::Failed, OutcomeKind::InDoubt, OutcomeKind::Invalid];

    /// The name in results files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OutcomeKind::Updated => "updated",
            OutcomeKind::Unchanged => "unchanged",
            OutcomeKind::Failed => "failed",
            OutcomeKind::Invalid => "invalid",
            OutcomeKind::InDoubt => "in-doubt",
            OutcomeKind::NotAttempted => "not-attempted",
        }
    }

    /// Whether the row needs nothing more.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, OutcomeKind::Updated | OutcomeKind::Unchanged)
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is not the name of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an outcome: enter updated, unchanged, failed, invalid, in-doubt or not-attempted")]
pub struct UnknownOutcome(pub String);

impl FromStr for OutcomeKind {
    type Err = UnknownOutcome;
    fn from_str(text: &str) -> Result<OutcomeKind, UnknownOutcome> {
        let wanted = text.trim();
        OutcomeKind::ALL.into_iter().find(|kind| kind.name() == wanted).ok_or_else(|| UnknownOutcome(text.to_owned()))
    }
}
