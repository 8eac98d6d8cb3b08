//! The seam to the network: one request, what came back, and who moves them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::body_reader::Incomplete;
use super::member_filter::Keep;
use crate::model::call::Obstacle;
use crate::model::operation::Method;

/// The time limit of a connection, name lookup and TLS included.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// The longest a call can take, from the first step to the last byte of the response.
pub const WHOLE_CALL: Duration = Duration::from_mins(1);

/// One HTTP request, ready to be sent.
#[derive(Debug)]
pub struct Request {
    /// As the contract has it.
    pub method: Method,
    /// Begins with a slash; made of the contract's path and a number.
    pub path: String,
    /// Of a list, encoded.
    pub query: Option<String>,
    /// Shown by nothing: `SecretString` hides itself.
    pub token: SecretString,
    /// JSON; `None` for a read.
    pub body: Option<Arc<str>>,
    /// What is in use of the body of a success.
    pub keep: Keep,
}

/// What came back over the wire.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status line's number.
    pub status: u16,
    /// The headers that are read, lower-case names; others are not kept.
    pub headers: Vec<(String, String)>,
    /// The body: plain, without a byte order mark; of a success only the members in use.
    pub body: Vec<u8>,
    /// What is missing of it: cut off by the server, the time limit or a bound, or not to be inflated.
    pub incomplete: Option<Incomplete>,
}

impl Reply {
    /// The first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

/// Why nothing came back.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// Whether the request's bytes may have reached the server.
    pub may_have_arrived: bool,
    /// Whether it was lost on a connection that had served another request before.
    pub is_reused: bool,
    /// Why there was no connection, if a retry can't fix it.
    pub obstacle: Option<Obstacle>,
    /// In one line, without secrets.
    pub message: String,
}

/// Sends one request once.
pub trait Transport: Send + Sync + 'static {
    /// One attempt. Never tries again, never follows a redirect, always ends within the time limits.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, SendError>> + Send;
}
