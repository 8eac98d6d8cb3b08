//! Token source: where tokens come from, and why one is missing.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use secrecy::SecretString;

use super::claims::ClaimsError;
use super::token_text::TokenTextError;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where tokens come from. A [`TokenCache`](super::TokenCache) asks it, once at a time.
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// Its current token. It limits its own time, and doesn't block the thread: requests run at the same time.
    ///
    /// # Errors
    /// If it has no usable token.
    fn fetch(&self) -> BoxFuture<'_, Result<SecretString, TokenError>>;

    /// The tenant of its tokens, if the source knows it: an opaque token names none.
    fn tenant_hint(&self) -> Option<String> {
        None
    }
}

/// Why there is no token. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file doesn't exist, or can't be read.
    #[error("cannot read the token file {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("the token file {} is not a regular file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Group or others can read it.
    #[error("the token file {} can be read by others (mode {mode:03o})", .path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether the user may change them.
        can_change: bool,
    },
    /// Group or others can write it.
    #[error("the token file {} can be written by others (mode {mode:03o})", .path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether the user may change them.
        can_change: bool,
    },
    /// It belongs to neither the user nor root.
    #[error("the token file {} belongs to another user (uid {owner})", .path.display())]
    OfAnotherUser {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// There is no token in it.
    #[error("{place} {why}")]
    Text {
        /// `BULK_TRIAGE_TOKEN`, or which file.
        place: String,
        /// Why not.
        why: TokenTextError,
    },
    /// It is not for this service.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// Its file still holds the old token.
    #[error("the token file was not renewed; its token expired at {at}")]
    NotRenewed {
        /// When it expired, for people.
        at: String,
    },
    /// The API refused it, and its file holds no other token.
    #[error("the token file was not renewed; its token was refused: {message}")]
    Refused {
        /// The API's message.
        message: String,
    },
    /// The new token is for another tenant than the one in use.
    #[error("the new token is for another tenant")]
    OtherTenant,
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
}
