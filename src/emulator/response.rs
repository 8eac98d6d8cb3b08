//! Responses before a fault changes them: status, headers, body; the API's error format; and how a response is sent.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

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

    pub(super) fn response(&self, tracking: &str) -> ApiResponse {
        ApiResponse::json(self.status, error_body(&self.code, &self.message, tracking))
    }
}

/// `{"error":{"code":…,"message":…,"target":…}}`
pub(super) fn error_body(code: &str, message: &str, tracking: &str) -> Value {
    json!({"error": {"code": code, "message": message, "target": tracking}})
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
