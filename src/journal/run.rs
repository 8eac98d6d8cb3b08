//! Runs, as they are created, listed and found again.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::locks::RunLock;
use crate::input::InputShape;
use crate::model::change::TenantKey;
use crate::model::outcome::OutcomeKind;
use crate::model::setting::{Origin, Settings};

/// What a run keeps of its start: enough to show it, to resume it, and to rebuild its results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMetadata {
    /// The input, as it was named.
    pub input: String,
    /// What the results file needs to know about it.
    pub shape: InputShape,
    /// The base URL of the API.
    pub origin: String,
    /// The contract, whole, as TOML: its file may change.
    pub contract: String,
    /// Where the results are written.
    pub results: String,
    /// The options that change what is sent, as they were typed but with absolute paths, for the command that resumes it.
    /// Of a plan: as they were typed when it was made.
    pub options: Vec<String>,
    /// All options of its command lines, as they were typed but with absolute paths, for the next command; empty for a run
    /// of an older revision.
    #[serde(default)]
    pub typed: Settings,
    /// The options of the last process that sent it, each with its origin: command line, variable, contract, default.
    #[serde(default)]
    pub settings: Settings,
    /// The dedup window.
    pub remember: Duration,
}

impl RunMetadata {
    /// The options that change what is sent, as settings.
    #[must_use]
    pub fn row_options(&self) -> Settings {
        let mut options = Settings::default();
        for option in self.options.chunks_exact(2) {
            options.push(option[0].clone(), Some(option[1].clone()), Origin::Flag);
        }
        options
    }

    /// The settings of the run; those of an older revision may be incomplete.
    #[must_use]
    pub fn settings(&self) -> Settings {
        if self.settings == Settings::default() { self.row_options() } else { self.settings.clone() }
    }
}

/// A run of this journal whose lock this process holds.
#[derive(Debug)]
pub struct RunHandle {
    pub(super) id: i64,
    /// `7f3k`
    pub name: String,
    #[expect(dead_code, reason = "holding it is its use")]
    pub(super) hold: RunLock,
}

/// Whether a run is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Rows are left to send.
    Unfinished,
    /// Every row has a final outcome.
    Over,
}

/// What is left of a run that applied a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedRun {
    /// Its name.
    pub name: String,
    /// When it was finished.
    pub finished: Timestamp,
}

/// What makes two runs the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunKey {
    /// The same changes in the same order.
    Changes {
        /// Their digest.
        digest: Vec<u8>,
        /// How long ago the last request of an unfinished run, or its start, may be.
        within: Duration,
    },
    /// The same plan, by its checksum.
    Plan(String),
}

/// A run, for the list.
#[derive(Clone, Debug)]
pub struct RunSummary {
    /// `7f3k`
    pub name: String,
    /// Whether it is finished.
    pub state: RunState,
    /// Whether a process is sending it now.
    pub is_held: bool,
    /// Whose incidents and quota.
    pub scope: TenantKey,
    /// The contract's name.
    pub contract: String,
    /// The checksum of the plan that it applies.
    pub plan: Option<String>,
    /// What it keeps of its start.
    pub facts: RunMetadata,
    /// When it was loaded.
    pub created: Timestamp,
    /// When it was finished.
    pub finished: Option<Timestamp>,
    /// Its rows by outcome; rows without one are `not-attempted`.
    pub outcomes: Vec<(OutcomeKind, u64)>,
    /// Requests, updates and reads.
    pub calls: u64,
    /// 429s among the responses.
    pub throttled: u64,
}

impl RunSummary {
    /// All rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.outcomes.iter().map(|(_, count)| count).sum()
    }
}
