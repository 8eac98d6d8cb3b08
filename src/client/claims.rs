//! Claims: what a token says about itself, where it is a JWT (RFC 7519).

use jiff::Timestamp;

/// What a token says about itself. Not verified: the server does that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// The id of the tenant (`tid`).
    pub tenant: Option<String>,
    /// The user or application, as a person knows it.
    pub caller: Option<String>,
    /// When it expires (`exp`).
    pub expires: Option<Timestamp>,
}

impl TokenFacts {
    /// Reads the claims of a JWT; an opaque token says nothing.
    pub(super) fn read(token: &str) -> TokenFacts {
        let claims = token.split('.').nth(1).and_then(base64url);
        let claims: serde_json::Map<String, serde_json::Value> =
            claims.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        let text = |name: &str| claims.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let callers = ["upn", "unique_name", "preferred_username", "app_displayname", "appid"];
        TokenFacts {
            tenant: text("tid"),
            caller: callers.into_iter().find_map(text),
            expires: claims
                .get("exp")
                .and_then(serde_json::Value::as_i64)
                .and_then(|exp| Timestamp::from_second(exp).ok()),
        }
    }
}

/// Decodes base64 with the alphabet for URLs (RFC 4648, section 5), padded or not.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_jwt_says_nothing() {
        for token in ["opaque", "a.b.c", "..", "a.eyJ0aWQiOjd9.c", "a.W10.c", "a.A.c", "a.****.c"] {
            assert_eq!(TokenFacts::read(token), TokenFacts::default(), "{token}");
        }
    }

    #[test]
    fn base64_of_the_rfc_is_decoded() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(base64url(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(base64url("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(base64url("+/8"), None);
    }
}
