//! Token source: where tokens come from, and why one is missing.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use super::claims::ClaimsError;
use super::secret_file::SecretFileError;
use super::sign_in_error::SignInError;
use super::token_text::TokenTextError;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where tokens come from. A [`TokenCache`](super::TokenCache) asks it, once at a time.
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// Its current token. It limits its own time, and doesn't block the thread: requests run at the same time.
    ///
    /// # Errors
    /// If it has no usable token.
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>>;

    /// What it is, for people: `the token file`.
    fn name(&self) -> String;

    /// Whether asking again may help.
    fn supply(&self) -> Supply {
        Supply::Store
    }

    /// The tenant of its tokens, if the source knows it: an opaque token names none.
    fn tenant_hint(&self) -> Option<String> {
        None
    }
}

/// How a source gets its tokens, and so when asking again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// Another program stores them, such as in a file. Asking again soon may find the next one.
    Store,
    /// It issues one when it is asked. Asking again helps only if a server can't serve it for the moment.
    Issuer {
        /// How long to ask again.
        patience: Duration,
    },
}

/// How long a store is checked for a new token while no request starts: `az … >token` empties the file first.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// How often a store is checked for a new token.
const STORE_INTERVAL: Duration = Duration::from_millis(250);
/// How often an issuer is asked for a new token while the one in use is still valid.
const ISSUER_INTERVAL: Duration = Duration::from_secs(10);
/// The pauses of an issuer that can't serve a token for the moment: they double.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Supply {
    /// How long to ask again while no request starts.
    pub(super) fn patience(self) -> Duration {
        match self {
            Supply::Store => STORE_PATIENCE,
            Supply::Issuer { patience } => patience,
        }
    }

    /// The pause before it is asked for the second time.
    pub(super) fn first_pause(self) -> Duration {
        match self {
            Supply::Store => STORE_INTERVAL,
            Supply::Issuer { .. } => FIRST_PAUSE,
        }
    }

    /// The pause after one of this length.
    pub(super) fn next_pause(self, pause: Duration) -> Duration {
        match self {
            Supply::Store => pause,
            Supply::Issuer { .. } => (pause * 2).min(LONGEST_PAUSE),
        }
    }

    /// How often to ask while the token in use is still valid.
    pub(super) fn interval(self) -> Duration {
        match self {
            Supply::Store => STORE_INTERVAL,
            Supply::Issuer { .. } => ISSUER_INTERVAL,
        }
    }
}

/// A token, with what its source says about its lifetime; its claims may say more.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub text: SecretString,
    /// When it expires.
    pub expires: Option<Timestamp>,
    /// When to get the next one.
    pub refresh: Option<Timestamp>,
}

impl From<SecretString> for Token {
    fn from(text: SecretString) -> Token {
        Token { text, expires: None, refresh: None }
    }
}

/// Why there is no token. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token file is not read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// There is no token in it.
    #[error("{from} {why}")]
    Text {
        /// `BULK_TRIAGE_TOKEN`, or which file.
        from: String,
        /// Why not.
        why: TokenTextError,
    },
    /// A credential got none.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// It is not for this service.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// Its source has only the old token.
    #[error("{from} has no new token; the old one expired at {at}")]
    NotRenewed {
        /// The source.
        from: String,
        /// When it expired, for people.
        at: String,
    },
    /// The API refused it, and its source has no other token.
    #[error("{from} has no new token; the old one was refused: {message}")]
    Refused {
        /// The source.
        from: String,
        /// The API's message.
        message: String,
    },
    /// The new token is for another tenant, user or application than the one in use.
    #[error("the new token is for {found}, not for {wanted}")]
    OtherIdentity {
        /// Whom it is for.
        found: String,
        /// Whom the token in use is for.
        wanted: String,
    },
    /// The new token is no better than the one in use: a clock is wrong.
    #[error("the new token had expired when it was received: at {at}")]
    NewExpired {
        /// When it expired, for people.
        at: String,
    },
    /// It expired before the first request, and no source has another token.
    #[error("the token expired at {at}; nothing was sent")]
    Expired {
        /// When it expired, for people.
        at: String,
    },
    /// It expired after requests were sent with it, and no source has another token.
    #[error("the token expired at {at}")]
    ExpiredInUse {
        /// When it expired, for people.
        at: String,
    },
}

impl TokenError {
    /// Whether there is no token yet: a program that is writing one has emptied the file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, TokenError::Text { why: TokenTextError::Empty, .. })
    }

    /// The pause before the source is asked again: at least what its server asked for.
    pub(super) fn pause(&self, pause: Duration) -> Duration {
        match self {
            TokenError::SignIn(SignInError::Unavailable { retry_after: Some(after), .. }) => pause.max(*after),
            _ => pause,
        }
    }

    /// Whether a server can't serve it for the moment.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, TokenError::SignIn(SignInError::Unavailable { .. }))
    }
}
