//! Why a command did not succeed, and the exit code of each reason.

use std::io;

use crate::check::SetError;
use crate::contract::ContractError;
use crate::exit;
use crate::input::InputError;

/// Why a command did not succeed. Its text is a fragment that fits after `error: `.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that do not fit together, or not to the input.
    #[error("{0}")]
    Usage(String),
    /// The contract can't be loaded.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// A `--set` can't be used.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The input can't be read to its end.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Rows are not valid. What is wrong with them was shown.
    #[error("the input is not valid")]
    InvalidRows,
    /// Standard output can't be written.
    #[error("can't write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Contract(_) | Error::Set(_) | Error::Output(_) => exit::USAGE,
            Error::Input(InputError::Unreadable { .. } | InputError::Invalid(_)) | Error::InvalidRows => exit::INPUT,
            Error::Input(InputError::NotKept(_)) => exit::DEFECT,
        }
    }

    /// Whether the user knows already: diagnostics were shown, or the reader of the output has gone.
    #[must_use]
    pub fn was_told(&self) -> bool {
        match self {
            Error::InvalidRows | Error::Input(InputError::Invalid(_)) => true,
            Error::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}
