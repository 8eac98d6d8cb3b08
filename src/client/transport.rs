//! The seam to the network: a request, a response, and the transport between them.

use std::collections::BTreeMap;
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
    /// The method, from the contract.
    pub method: Method,
    /// Starts with a slash; built from the contract's path and a number.
    pub path: String,
    /// The encoded query of a list.
    pub query: Option<String>,
    /// The token; `SecretString` never shows it.
    pub token: SecretString,
    /// Headers that the operation always has, from the contract.
    pub headers: BTreeMap<String, String>,
    /// JSON; `None` for a read.
    pub body: Option<Arc<str>>,
    /// The members in use of the body of a success.
    pub keep: Keep,
}

/// A response as it arrived.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status line's number.
    pub status: u16,
    /// The headers in use, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body: plain, without a byte order mark; of a success only the members in use.
    pub body: Vec<u8>,
    /// Why it is incomplete: cut off by the server, the time limit or a bound, or damaged compression.
    pub incomplete: Option<Incomplete>,
}

impl Reply {
    /// The first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

/// Why there is no response.
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
    /// Where it sends everything: scheme, host and port. `None` if there is no network.
    fn origin(&self) -> Option<String> {
        None
    }

    /// One attempt. Never retries, never follows a redirect, always ends within the time limits.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, SendError>> + Send;
}
