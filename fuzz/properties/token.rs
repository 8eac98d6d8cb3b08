//! Tokens, and what they say about themselves.

use bulk_triage::client::TokenCache;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

/// Any text is a token or an error, none of which shows it; of a JWT, the claims are those that were put into it.
pub fn tokens(data: &[u8]) {
    const MARK: &str = "s3cret-";
    let text = format!("{MARK}{}", String::from_utf8_lossy(data));
    match TokenCache::given(&SecretString::from(text.as_str())) {
        Ok(tokens) => {
            let (token, generation) = tokens.current();
            let bare = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            assert_eq!((token.expose_secret(), generation), (bare, 0));
            // RFC 6750, section 2.1.
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert!(bare.trim_end_matches('=').bytes().all(is_letter));
            // Claims are no secret, and might hold the mark.
            assert!(!format!("{tokens:?}").contains(MARK) || format!("{:?}", tokens.claims()).contains(MARK));
        }
        Err(error) => assert!(!format!("{error} {error:?}").contains(MARK)),
    }

    let jwt = format!("e30.{}.c2ln", base64url(data));
    let Ok(tokens) = TokenCache::given(&SecretString::from(jwt)) else {
        return assert!(data.len() > 40_000, "a short JWT is a token");
    };
    let claims: Map<String, Value> = serde_json::from_slice(data).unwrap_or_default();
    let facts = tokens.claims();
    assert_eq!(
        facts.tenant.as_deref().unwrap_or_default(),
        claims.get("tid").and_then(Value::as_str).unwrap_or_default()
    );
    #[expect(clippy::cast_possible_truncation, reason = "as in the program: a time out of range is none")]
    let seconds = |exp: &Value| exp.as_i64().or_else(|| exp.as_f64().map(|exp| exp.floor() as i64));
    let expires = claims.get("exp").and_then(seconds).and_then(|exp| Timestamp::from_second(exp).ok());
    assert_eq!(facts.expires, expires);
}

/// Base64 with the alphabet for URLs, not padded (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let of_three = |three: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(three.get(at).copied().unwrap_or_default()));
        (0..=three.len()).map(move |at| char::from(ALPHABET[bits >> (18 - 6 * at) & 63])).collect::<String>()
    };
    bytes.chunks(3).map(of_three).collect()
}
