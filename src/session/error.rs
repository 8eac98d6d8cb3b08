//! Why a step of a run failed.

use std::io;
use std::path::PathBuf;

use crate::apply::StopReason;
use crate::input::InputError;
use crate::journal::JournalError;
use crate::plan::PlanError;

/// Why a step of a run failed. Nothing was sent, except with [`SessionError::Journal`] during sending: what was
/// sent is then in the journal.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The input can't be read, or is invalid as a whole.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Some rows are invalid. Each diagnostic was reported.
    #[error("the input is not valid")]
    InvalidRows,
    /// The plan is refused: it is not a plan, or was modified.
    #[error("{error}")]
    Plan {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        error: PlanError,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The preflight stopped before it was finished.
    #[error("stopped before anything was sent: {0}")]
    Stopped(StopReason),
    /// The rows of a dry run can't be stored.
    #[error("cannot keep the rows of a dry run: {0}")]
    Scratch(#[source] io::Error),
    /// A listener or a writer that was passed in failed.
    #[error(transparent)]
    Listener(io::Error),
}

/// An error of the input; the caller knows its path.
impl From<PlanError> for SessionError {
    fn from(error: PlanError) -> SessionError {
        SessionError::Plan { path: PathBuf::new(), error }
    }
}
