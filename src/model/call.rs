//! Calls, attempts and verdicts: what is sent, the record of it, and how it ended.
//!
//! A [`Call`] is a request to the API. A [`Verdict`] is what its response means, by the table of the guide
//! ("How responses are handled"); it tells what is known about the server, not what to do next: `retry` and `apply` decide
//! that.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::change::IncidentId;
use crate::model::operation::OperationId;
use crate::model::step::Step;

/// One HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Changes an incident.
    Step(Step),
    /// Reads an incident.
    Read(IncidentId),
    /// Reads a page of the list of incidents, newest first.
    List(Page),
}

impl Call {
    /// The incident of the call; a list has none.
    #[must_use]
    pub fn incident(&self) -> Option<IncidentId> {
        match self {
            Call::Step(step) => Some(step.incident),
            Call::Read(incident) => Some(*incident),
            Call::List(_) => None,
        }
    }

    /// The operation that it uses.
    #[must_use]
    pub fn operation(&self) -> OperationId {
        match self {
            Call::Step(step) => step.operation,
            Call::Read(_) => OperationId::Read,
            Call::List(_) => OperationId::List,
        }
    }
}

/// A page of the list of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only incidents that match this, in the syntax of the API's `$filter`.
    pub filter: Option<String>,
    /// Maximum number of incidents; the API allows 100.
    pub top: u32,
    /// The number of incidents to skip.
    pub skip: u64,
    /// The query of the link that the previous page had to this one: if present, it replaces all of these.
    pub link: Option<String>,
}

/// An incident as the server shows it: the members in use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incident {
    /// `incidentId`.
    pub id: u64,
    /// The incident into which this one was merged.
    pub redirect: Option<u64>,
    /// The members that the contract names as properties, as they were read.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// The members that the contract names as context: what the incident is (its name, its times).
    pub context: serde_json::Map<String, serde_json::Value>,
    /// Its comments, in the server's order. Empty in a list.
    pub comments: Vec<Comment>,
}

/// One comment of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The exact text.
    pub text: String,
    /// Its author, if the server names one.
    pub created_by: Option<String>,
    /// When it was created, by the server's clock, if known.
    pub created_at: Option<Timestamp>,
}

/// How far a comment's time may be outside an attempt's period and still belong to it: clocks differ.
pub const SLACK: SignedDuration = SignedDuration::from_mins(2);

/// A comment dated further than this from an attempt belongs to another one, however much the clocks differ.
pub const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_hours(2);

/// What the response to an update shows of the comment that it added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The comment, if one of those shown is probably it.
    pub comment: Option<Comment>,
    /// Whether the service stored another text than was sent, as far as the response shows.
    pub is_rewritten: bool,
}

/// When the server accepts requests again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// This long after the response.
    After(Duration),
    /// At this time by the wall clock (the server's, as it was written).
    At(Timestamp),
    /// The time that the response named had passed by up to 2 s: requests may begin about now.
    JustPassed,
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The update was applied. Holds how the response differs from the request, worded for a person.
    Updated {
        /// `None` if the response shows everything as requested.
        differs: Option<String>,
        /// What the response shows of the comment that was added, if there was one.
        added: Option<Added>,
    },
    /// A success that shows none of the requested values: nothing was applied. Worded for a person.
    NotApplied {
        /// What the response shows instead.
        differs: String,
    },
    /// The incident was read, with the server's own time if its response had a `Date`.
    Read {
        /// Its current state.
        incident: Incident,
        /// The server's time of the response.
        server_time: Option<Timestamp>,
    },
    /// A page of the list was read, in the server's order.
    Listed {
        /// Its incidents.
        incidents: Vec<Incident>,
        /// The link to the next page: a URL, and of what the client returns only its query. `None` on the last page, and
        /// if the API has no links.
        next: Option<String>,
    },
    /// A success that does not show whether the update was applied. The incident is read.
    Unconfirmed,
    /// The incident was merged into another: the update went to the old one.
    Redirected {
        /// The incident into which it was merged.
        to: u64,
    },
    /// 400, 422: the API refuses the values.
    Rejected,
    /// 404.
    NotFound,
    /// 403.
    Forbidden {
        /// Whether a policy of the tenant (Conditional Access) refuses the token, not a missing permission.
        by_policy: bool,
    },
    /// 401.
    Unauthorized {
        /// Whether it is news about the token: of requests in flight together, only for the first.
        is_news: bool,
    },
    /// 409, 412.
    Conflict,
    /// 429: nothing was applied.
    Throttled {
        /// `None` if the response names no time.
        resume: Option<Resume>,
    },
    /// 408, 5xx, a cut connection, a timeout, a malformed response: may succeed on retry.
    Transient {
        /// Whether the request may have reached the server and been applied.
        may_have_applied: bool,
    },
    /// A kept-alive connection was closed during the request: the next attempt follows immediately, on a new one.
    Dropped {
        /// Whether the request may have been applied.
        may_have_applied: bool,
    },
    /// No byte left: this is no request, and uses no quota.
    Unsent(WhyUnsent),
    /// Any other response.
    Unexpected,
}

/// The name of [`Verdict::Unsent`]: such an attempt is not counted as a request.
pub const UNSENT: &str = "unsent";

/// Why an attempt was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyUnsent {
    /// There was no connection. Holds why, if a retry can't fix it.
    NoConnection(Option<Obstacle>),
    /// There was no valid token.
    NoToken,
    /// The request would have contained the access token or its redacted form.
    ContainsToken,
}

/// Why there is no connection, and a retry can't fix it. Its text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The server's certificate is refused.
    #[error("the certificate of `{host}` is refused ({cause}); set SSL_CERT_FILE to your organization's CA")]
    Certificate {
        /// The server.
        host: String,
        /// What TLS says.
        cause: String,
    },
    /// There is a server, but not one with which TLS works.
    #[error("no TLS with `{host}` ({cause}); check the base URL")]
    Handshake {
        /// The server.
        host: String,
        /// What TLS says.
        cause: String,
    },
    /// The proxy refuses the connection.
    #[error("the proxy {url} refuses the connection{}; check HTTPS_PROXY and NO_PROXY", .status.map(|status| format!(" with status {status}")).unwrap_or_default())]
    Proxy {
        /// Without its password.
        url: String,
        /// The status of its response, if known.
        status: Option<u16>,
    },
    /// The name is not known.
    #[error("host `{host}` not found ({cause}); check the base URL, HTTPS_PROXY and the network")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the system says.
        cause: String,
    },
}

/// An update whose response showed it in part; its comment, if any, was not shown.
pub const PARTLY: &str = "partly";

/// An update whose response showed it in part, with its comment or one that may be it in other words.
pub const PARTLY_WITH_COMMENT: &str = "partly-with-comment";

/// The name of [`Verdict::Redirected`].
pub const REDIRECTED: &str = "redirected";

impl Verdict {
    /// Whether no byte left: the attempt is no request.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self, Verdict::Unsent(_))
    }

    /// The verdict's name in the journal and the logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Updated { differs: None, .. } => "updated",
            // In other words or not, it is not sent again.
            Verdict::Updated {
                added: Some(Added { comment: Some(_), .. } | Added { is_rewritten: true, .. }), ..
            } => PARTLY_WITH_COMMENT,
            Verdict::Updated { .. } => PARTLY,
            Verdict::NotApplied { .. } => "not-applied",
            Verdict::Read { .. } => "read",
            Verdict::Listed { .. } => "listed",
            Verdict::Unconfirmed => "unconfirmed",
            Verdict::Redirected { .. } => REDIRECTED,
            Verdict::Rejected => "rejected",
            Verdict::NotFound => "not-found",
            Verdict::Forbidden { .. } => "forbidden",
            Verdict::Unauthorized { .. } => "unauthorized",
            Verdict::Conflict => "conflict",
            Verdict::Throttled { .. } => "throttled",
            Verdict::Transient { may_have_applied: true } => "in-doubt",
            Verdict::Transient { may_have_applied: false } => "transient",
            Verdict::Dropped { .. } => "dropped",
            Verdict::Unsent(_) => UNSENT,
            Verdict::Unexpected => "unexpected",
        }
    }
}

/// The result of a call: the verdict and the details of the response.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResult {
    /// The meaning of the response.
    pub verdict: Verdict,
    /// The status, if there was a response.
    pub http_status: Option<u16>,
    /// The tracking id that support asks for (`error.target`, else a request-id header).
    pub request_id: Option<String>,
    /// The message of the API or the transport, in one line, without secrets; empty after a success.
    pub message: String,
    /// Whether the body was cut off, or larger than the limit.
    pub is_truncated: bool,
    /// When requests may start again, if the response is retried and is not a 429.
    pub resume: Option<Resume>,
}

impl CallResult {
    /// The result of a call that got no response, or was not sent.
    #[must_use]
    pub fn without_response(verdict: Verdict, message: String) -> CallResult {
        CallResult { verdict, http_status: None, request_id: None, message, is_truncated: false, resume: None }
    }
}
