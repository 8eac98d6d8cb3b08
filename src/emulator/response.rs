//! Responses before a fault changes them: status, headers, body; the API's error format; and how a response is sent.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::graph;

/// How a response is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    Half,
    Slow(Duration),
    /// This text, with an endless string after it.
    Endless(&'static str),
    Gzip,
    Deflate,
    /// After a byte order mark.
    Marked,
    /// Whole, after this time.
    Late(Duration),
    /// Not at all: the connection is closed.
    Cut,
    /// Not at all: the connection stays open.
    Stall,
}

/// A complete response, before a fault changes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ApiResponse {
    pub(super) status: u16,
    /// Headers besides `Date`, `Content-Type` and `Content-Length`.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl ApiResponse {
    #[expect(clippy::needless_pass_by_value, reason = "every caller creates it for this")]
    pub(super) fn json(status: u16, body: Value) -> ApiResponse {
        ApiResponse::json_text(status, body.to_string())
    }

    pub(super) fn json_text(status: u16, body: String) -> ApiResponse {
        ApiResponse::of(status, "application/json; charset=utf-8", body)
    }

    pub(super) fn text(status: u16, body: String) -> ApiResponse {
        ApiResponse::of(status, "text/plain; charset=utf-8", body)
    }

    pub(super) fn html(status: u16, body: String) -> ApiResponse {
        ApiResponse::of(status, "text/html; charset=utf-8", body)
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &'static str, value: String) -> ApiResponse {
        self.headers.push((name, value));
        self
    }

    fn of(status: u16, content_type: &'static str, body: String) -> ApiResponse {
        ApiResponse { status, headers: Vec::new(), content_type, body }
    }
}

/// Why the API rejects a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Refusal {
        Refusal { status, code: code.to_owned(), message: message.into() }
    }

    /// The rejection of a fault. Its code is the name of the status.
    pub(super) fn of_status(status: u16) -> Refusal {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let code = reason.unwrap_or("Unexpected").replace(' ', "");
        Refusal::new(status, &code, format!("The emulator was told to return {status}."))
    }

    pub(super) fn response(&self, trace: &Trace) -> ApiResponse {
        ApiResponse::json(self.status, trace.error_body(&self.code, &self.message))
    }
}

/// What an error tells support about its request, in the form of each API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    Classic { tracking: String },
    Graph { request_id: String, client_request_id: String, now: Timestamp },
}

impl Trace {
    /// The body of an error, whose code is the classic API's.
    pub(super) fn error_body(&self, code: &str, message: &str) -> Value {
        match self {
            Trace::Classic { tracking } => json!({"error": {"code": code, "message": message, "target": tracking}}),
            Trace::Graph { request_id, client_request_id, now } => {
                graph::error_body(code, message, request_id, client_request_id, *now)
            }
        }
    }

    /// How the API says that there were too many requests.
    pub(super) fn too_many(&self) -> &'static str {
        match self {
            Trace::Classic { .. } => "You have sent too many requests in a given amount of time.",
            Trace::Graph { .. } => "Too many requests.",
        }
    }
}

/// An HTML page like a proxy's.
pub(super) fn html_page(title: &str, text: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
}

/// A new tracking ID.
pub(super) fn new_id(dice: &mut fastrand::Rng) -> String {
    let id = format!("{:032x}", dice.u128(..));
    format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
}
