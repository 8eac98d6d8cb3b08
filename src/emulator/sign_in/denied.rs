//! Why a sign-in request is refused, in the error formats of Entra, of a managed identity and of a plain service.

use jiff::Timestamp;
use serde_json::json;

use crate::emulator::response::{ApiResponse, new_id};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// An error of Entra.
    Entra {
        /// The number after `AADSTS`.
        code: u32,
        /// Without the code and the IDs.
        message: String,
    },
    /// An error of a managed identity.
    Identity { status: u16, error: &'static str, description: String },
    /// Arc asks for the key in this file.
    Challenge(String),
    /// An error without a code.
    Plain { status: u16, message: &'static str },
}

impl Denied {
    pub(super) fn entra(code: u32, message: impl Into<String>) -> Denied {
        Denied::Entra { code, message: message.into() }
    }

    pub(super) fn identity(description: impl Into<String>) -> Denied {
        Denied::Identity { status: 400, error: "invalid_request", description: description.into() }
    }

    /// The error as the log has it.
    pub(super) fn summary(&self) -> String {
        match self {
            Denied::Entra { code, .. } => format!("{} AADSTS{code}", entra_error(*code).1),
            Denied::Identity { error, .. } => (*error).to_owned(),
            Denied::Challenge(_) => "challenge".to_owned(),
            Denied::Plain { message, .. } => (*message).to_owned(),
        }
    }

    pub(super) fn response(&self, dice: &mut fastrand::Rng, now: Timestamp) -> ApiResponse {
        match self {
            Denied::Entra { code, message } => {
                let (status, error) = entra_error(*code);
                entra_response(status, error, *code, message, " ", dice, now)
            }
            Denied::Identity { status, error, description } => {
                ApiResponse::json(*status, json!({"error": error, "error_description": description}))
            }
            Denied::Challenge(file) => {
                ApiResponse::text(401, String::new()).with("www-authenticate", format!("Basic realm={file}"))
            }
            Denied::Plain { status, message } => ApiResponse::json(*status, json!({"message": message})),
        }
    }
}

/// An error body of Entra. `separator` stands before each ID of the description.
pub(super) fn entra_response(
    status: u16,
    error: &str,
    code: u32,
    message: &str,
    separator: &str,
    dice: &mut fastrand::Rng,
    now: Timestamp,
) -> ApiResponse {
    let (trace, correlation) = (new_id(dice), new_id(dice));
    let timestamp = now.strftime("%F %TZ").to_string();
    let ids =
        [format!("Trace ID: {trace}"), format!("Correlation ID: {correlation}"), format!("Timestamp: {timestamp}")];
    let description = format!("AADSTS{code}: {message}{separator}{}", ids.join(separator));
    let body = json!({
        "error": error,
        "error_description": description,
        "error_codes": [code],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    ApiResponse::json(status, body)
}

/// The status and the `error` of a code.
pub(super) fn entra_error(code: u32) -> (u16, &'static str) {
    match code {
        7_000_215 | 7_000_218 | 7_000_222 | 700_024 | 700_027 | 50_012 => (401, "invalid_client"),
        700_016 | 7_000_112 => (400, "unauthorized_client"),
        500_011 | 650_052 | 650_057 => (400, "invalid_resource"),
        65_001 | 65_002 | 53_003 | 530_035 | 50_034 | 50_076 | 50_079 | 50_196 => (400, "invalid_grant"),
        70_011 => (400, "invalid_scope"),
        70_003 => (400, "unsupported_grant_type"),
        _ => (400, "invalid_request"),
    }
}

/// What Entra says with a code.
pub(super) fn entra_message(code: u32) -> &'static str {
    match code {
        7_000_215 => {
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
             the client secret ID."
        }
        7_000_222 => "The provided client secret keys are expired.",
        700_016 => "Application was not found in the directory.",
        7_000_112 => "Application is disabled.",
        90_002 => {
            "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        }
        500_011 => "The resource principal was not found in the tenant.",
        65_001 => "The user or administrator has not consented to use the application.",
        53_003 => "Access has been blocked by Conditional Access policies.",
        700_027 => {
            "The certificate with identifier used to sign the client assertion is not registered on application."
        }
        700_024 => "Client assertion is not within its valid time range.",
        70_021 => "No matching federated identity record found for presented assertion.",
        50_196 => "The server terminated an operation because it encountered a client request loop.",
        _ => "The emulator was told to return this error.",
    }
}
