//! Calls, attempts and verdicts: what is sent, the record of it, and how it ended.
//!
//! A [`Call`] is what the transport is asked for. A [`Verdict`] is what its answer means, by the table of the guide
//! ("What an answer means"); it says what is known of the server, never what to do next: that is `retry`'s and
//! `apply`'s.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::change::IncidentId;
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
    /// The incident that is called; a list is of none.
    #[must_use]
    pub fn incident(&self) -> Option<IncidentId> {
        match self {
            Call::Step(step) => Some(step.incident),
            Call::Read(incident) => Some(*incident),
            Call::List(_) => None,
        }
    }
}

/// A page of the list of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only incidents for which this holds, as the API's `$filter` is written.
    pub filter: Option<String>,
    /// At most so many; the API allows 100.
    pub top: u32,
    /// Without the first ones.
    pub skip: u64,
}

/// What an incident looks like on the server, as far as it is of interest here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incident {
    /// `incidentId`.
    pub id: u64,
    /// The incident into which this one was merged.
    pub redirect: Option<u64>,
    /// The members of the answer that the contract names as properties, as they were read.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// The members that the contract names as context: what the incident is (its name, its times).
    pub context: serde_json::Map<String, serde_json::Value>,
    /// What was added to it, in the server's order. Of a list: empty.
    pub comments: Vec<Comment>,
}

/// One comment of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The text, to the letter.
    pub text: String,
    /// Who wrote it, where the server says.
    pub created_by: Option<String>,
    /// When, by the server's clock, where it says.
    pub created_at: Option<Timestamp>,
}

/// How far a comment's time may lie outside an attempt's window and still belong to it: clocks differ.
pub const SLACK: SignedDuration = SignedDuration::from_mins(2);

/// A comment that is dated further from an attempt than this is of another one, however much the clocks differ.
pub const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_hours(2);

/// What the response to an update shows of the comment that it added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The comment, if one of those shown is likely to be it.
    pub comment: Option<Comment>,
    /// Whether the service stored another text than was sent, as far as the response shows.
    pub is_rewritten: bool,
}

/// When the server lets calls through again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// So long after the answer.
    After(Duration),
    /// At this time by the wall clock (the server's, as it was written).
    At(Timestamp),
    /// The time that the response named had passed by up to 2 s: requests may begin about now.
    JustPassed,
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The update was made. Holds what the answer shows otherwise than asked, worded for a person.
    Updated {
        /// `None` where the answer shows all that was asked for.
        differs: Option<String>,
        /// What the response shows of the comment that was added, if there was one.
        added: Option<Added>,
    },
    /// A success that shows none of the values that were asked for: nothing was applied. Worded for a person.
    NotApplied {
        /// What the response shows instead.
        differs: String,
    },
    /// The incident was read, with the server's own time where its answer had a `Date`.
    Read {
        /// What it looks like now.
        incident: Incident,
        /// The server's clock when it answered.
        server_time: Option<Timestamp>,
    },
    /// A page of the list was read, in the server's order.
    Listed(Vec<Incident>),
    /// A success that does not show what became of the update: it may have been applied. The incident is read.
    Unconfirmed,
    /// The incident was merged into another one: the update went to the old one.
    Redirected {
        /// The incident into which it was merged.
        to: u64,
    },
    /// 400, 422: the API refuses the values.
    Rejected,
    /// 404.
    NotFound,
    /// 403.
    Forbidden,
    /// 401, or there was no token to send.
    Unauthorized {
        /// Whether it says something new of the token. Of requests that were in flight together only the first does.
        is_news: bool,
    },
    /// 409, 412.
    Conflict,
    /// 429: nothing was done.
    Throttled {
        /// `None` where the answer names no time.
        resume: Option<Resume>,
    },
    /// 408, 5xx, a cut connection, a timeout, an answer that is none: may succeed when tried again.
    Transient {
        /// Whether the server may have done what was asked: the bytes may have reached it.
        may_have_applied: bool,
    },
    /// A kept-alive connection was closed under the request: the next attempt follows at once, on a new one.
    Dropped {
        /// Whether the server may have done what was asked.
        may_have_applied: bool,
    },
    /// There was no connection, so no request was sent.
    Unsent {
        /// Why, if a retry can't fix it.
        obstacle: Option<Obstacle>,
    },
    /// Any other answer.
    Unexpected,
}

/// The name of [`Verdict::Unsent`]: such an attempt uses no quota.
pub const UNSENT: &str = "unsent";

/// Why there is no connection, and a retry can't fix it. Displays with what to do.
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

/// An update of which the response showed a part; the comment, if it had one, was not shown.
pub const PARTLY: &str = "partly";

/// An update of which the response showed a part, with the comment or one that may be it in other words.
pub const PARTLY_WITH_COMMENT: &str = "partly-with-comment";

/// The name of [`Verdict::Redirected`].
pub const REDIRECTED: &str = "redirected";

impl Verdict {
    /// The verdict's name in the journal and the logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Updated { differs: None, .. } => "updated",
            // In other words or not: it is not sent again.
            Verdict::Updated {
                added: Some(Added { comment: Some(_), .. } | Added { is_rewritten: true, .. }), ..
            } => PARTLY_WITH_COMMENT,
            Verdict::Updated { .. } => PARTLY,
            Verdict::NotApplied { .. } => "not-applied",
            Verdict::Read { .. } => "read",
            Verdict::Listed(_) => "listed",
            Verdict::Unconfirmed => "unconfirmed",
            Verdict::Redirected { .. } => REDIRECTED,
            Verdict::Rejected => "rejected",
            Verdict::NotFound => "not-found",
            Verdict::Forbidden => "forbidden",
            Verdict::Unauthorized { .. } => "unauthorized",
            Verdict::Conflict => "conflict",
            Verdict::Throttled { .. } => "throttled",
            Verdict::Transient { may_have_applied: true } => "in-doubt",
            Verdict::Transient { may_have_applied: false } => "transient",
            Verdict::Dropped { .. } => "dropped",
            Verdict::Unsent { .. } => UNSENT,
            Verdict::Unexpected => "unexpected",
        }
    }
}

/// An attempt's end: the verdict and what is kept beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResult {
    /// What it means.
    pub verdict: Verdict,
    /// The status, where there was an answer at all.
    pub http_status: Option<u16>,
    /// The tracking id that support asks for (`error.target`, else a request-id header).
    pub request_id: Option<String>,
    /// What the API or the transport said, in one line, without secrets; empty where all went well.
    pub message: String,
    /// Whether the body was cut off, or larger than what is read of one.
    pub is_truncated: bool,
    /// When requests may begin again, if the response is to be retried and is no 429.
    pub resume: Option<Resume>,
}

impl CallResult {
    /// The result of a call that got no response, or was not sent.
    #[must_use]
    pub fn without_response(verdict: Verdict, message: String) -> CallResult {
        CallResult { verdict, http_status: None, request_id: None, message, is_truncated: false, resume: None }
    }
}
