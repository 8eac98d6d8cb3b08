//! Graph's codes and error body.

use jiff::Timestamp;
use serde_json::{Value, json};

/// `{"error":{"code":…,"message":…,"innerError":{"date":…,"request-id":…,"client-request-id":…}}}`
pub(in crate::emulator) fn error_body(
    code: &str,
    message: &str,
    request_id: &str,
    client_request_id: &str,
    now: Timestamp,
) -> Value {
    json!({"error": {
        "code": code_of(code),
        "message": message,
        "innerError": {
            "date": now.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": request_id,
            "client-request-id": client_request_id,
        },
    }})
}

/// Graph's code for what the classic API calls so.
fn code_of(classic: &str) -> &str {
    match classic {
        "Unauthorized" => "InvalidAuthenticationToken",
        "ResourceNotFound" => "NotFound",
        "InvalidInput" | "InvalidRequestBody" | "MissingRequiredParameter" | "ODataError" => "BadRequest",
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_request_and_time() {
        let now = "2026-11-24T10:00:00.5Z".parse().expect("a time");
        assert_eq!(
            error_body("ResourceNotFound", "There is none.", "one", "two", now),
            json!({"error": {"code": "NotFound", "message": "There is none.", "innerError": {
                "date": "2026-11-24T10:00:00", "request-id": "one", "client-request-id": "two",
            }}})
        );
    }

    #[test]
    fn codes_are_those_of_graph() {
        for (classic, code) in [
            ("Unauthorized", "InvalidAuthenticationToken"),
            ("InvalidInput", "BadRequest"),
            ("ODataError", "BadRequest"),
            ("TooManyRequests", "TooManyRequests"),
            ("ServiceUnavailable", "ServiceUnavailable"),
        ] {
            assert_eq!(code_of(classic), code);
        }
    }
}
