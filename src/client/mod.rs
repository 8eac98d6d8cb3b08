//! The client: one attempt at one call, and what its answer means.
//!
//! [`Transport`] moves bytes, and is the seam at which a simulation takes the network's place. Reading the answer is
//! pure. Nothing here tries again: that is `retry`'s decision and `apply`'s loop.

mod body;
mod date;
mod prose;
pub mod throttle;

use std::future::Future;

use secrecy::SecretString;

/// One HTTP request, ready to be sent.
#[derive(Debug)]
pub struct Request {
    /// `GET` or `PATCH`.
    pub method: Method,
    /// Begins with a slash; made of the contract's path and a number.
    pub path: String,
    /// Shown by nothing: `SecretString` hides itself.
    pub token: SecretString,
    /// JSON; `None` for a read.
    pub body: Option<std::sync::Arc<str>>,
}

/// The methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Updates.
    Patch,
}

/// What came back over the wire.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status line's number.
    pub status: u16,
    /// The headers that are read, lower-case names; others are not kept.
    pub headers: Vec<(String, String)>,
    /// The body, up to the bound.
    pub body: Vec<u8>,
    /// Whether all of it came: not cut off by the server, the time limit or the bound.
    pub complete: bool,
}

/// Why nothing came back.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// Whether the request's bytes may have reached the server.
    pub may_have_arrived: bool,
    /// In one line, without secrets.
    pub message: String,
}

/// Sends one request once.
pub trait Transport: Send + Sync + 'static {
    /// One attempt. Never tries again, never follows a redirect, always ends within the time limits.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, SendError>> + Send;
}
