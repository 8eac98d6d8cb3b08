//! Why a credential got no token.

use std::time::Duration;

/// Why a credential got no token. Shows no secret.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// A server can't serve one for the moment, or can't be reached: asking again may help.
    #[error("no token from {from}: {message}")]
    Unavailable {
        /// The host or program.
        from: String,
        /// Why.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The credential is refused, or can't be used.
    #[error("no token from {from}: {message}")]
    Refused {
        /// The host, program or file.
        from: String,
        /// Why.
        message: String,
        /// What to do about it, where that is known.
        hint: Option<String>,
    },
}

impl SignInError {
    /// A refusal without a hint.
    pub(super) fn refused(from: impl Into<String>, message: impl Into<String>) -> SignInError {
        SignInError::Refused { from: from.into(), message: message.into(), hint: None }
    }
}
