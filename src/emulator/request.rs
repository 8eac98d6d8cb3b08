//! Requests as they were received: the API and the operation by path and method, and what headers and body say.

use axum::body::Bytes;
use secrecy::SecretString;

use crate::model::change::IncidentId;

/// One of the two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiKind {
    /// Below `/api`.
    Classic,
    /// Microsoft Graph, below `/v1.0`.
    Graph,
}

/// The operation of a request, by its path and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Update,
    /// A comment alone.
    Comment,
    Read,
    List,
    /// An unknown path.
    Elsewhere,
    /// A known path with another method.
    WrongMethod,
}

/// A request as it was received; its token is never printed.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) api: ApiKind,
    pub(super) call: Call,
    pub(super) method: String,
    /// The path without the query.
    pub(super) path: String,
    pub(super) query: String,
    /// The bearer token.
    pub(super) token: Option<SecretString>,
    /// The host and port that it was sent to.
    pub(super) host: Option<String>,
    /// The ID that the client gave it.
    pub(super) client_request_id: Option<String>,
    /// Whether the client asks for members of enumerations that it may not know.
    pub(super) includes_unknown: bool,
    /// Whether its content type is JSON.
    pub(super) says_json: bool,
    /// The body; `None` if it was too large.
    pub(super) body: Option<Bytes>,
}

impl ApiKind {
    /// The API that a path belongs to.
    pub(super) fn of_path(path: &str) -> Option<ApiKind> {
        let is_below =
            |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_below("/api") {
            return Some(ApiKind::Classic);
        }
        is_below("/v1.0").then_some(ApiKind::Graph)
    }
}

impl Call {
    /// Whether it changes an incident.
    pub(super) fn changes(self) -> bool {
        matches!(self, Call::Update | Call::Comment)
    }
}

impl Received {
    /// The incident that the path names; `None` if that is not an ID.
    pub(super) fn incident(&self) -> Option<IncidentId> {
        let path = match self.call {
            Call::Update | Call::Read => self.path.as_str(),
            Call::Comment => self.path.strip_suffix("/comments")?,
            Call::List | Call::Elsewhere | Call::WrongMethod => return None,
        };
        let last = path.rsplit('/').next()?;
        let digits = last.bytes().all(|byte| byte.is_ascii_digit());
        if digits { IncidentId::new(last.parse().ok()?) } else { None }
    }
}
