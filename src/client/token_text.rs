//! Token text: finds the token in the output of a tool or the text of a person, and refuses everything else.
//!
//! Promises: the result is a bearer token by the syntax of RFC 6750, section 2.1; no error shows any of the text.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

/// The longest text, in bytes: several times the size of a token with every group of a large directory.
pub(super) const LONGEST: usize = 64 * 1024;

/// The members of a JSON object that hold a token, as `az`, token endpoints and other tools call it.
const MEMBERS: [&str; 3] = ["accessToken", "access_token", "token"];

/// Placeholders for a missing value, in any case.
const NO_VALUE: [&str; 3] = ["null", "none", "undefined"];

/// Why a text has no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenTextError {
    /// Only white space.
    #[error("is empty")]
    Empty,
    /// Longer than any token.
    #[error("is longer than {LONGEST} bytes: it should hold only a token")]
    TooLong,
    /// As Windows PowerShell's `>` writes it.
    #[error("is UTF-16 text: write it as plain text (PowerShell: `Set-Content -Encoding ascii -NoNewline`)")]
    Utf16,
    /// In quotes, as JSON and shells write text.
    #[error("has its token in quotation marks: remove them (az: `--query accessToken -o tsv`)")]
    Quoted,
    /// The scheme precedes the token.
    #[error("begins with `Bearer`: keep only the token")]
    Bearer,
    /// A word that `jq` and scripts write for a missing value.
    #[error("holds the word `null`, `None` or `undefined`, which tools write if they have no token: get a new token")]
    NoValue,
    /// An array, an object without a token, or no complete JSON.
    #[error("is JSON without a token: it needs a member `accessToken`, `access_token` or `token`")]
    NoMember,
    /// Plain text or a page from an endpoint that answers in JSON.
    #[error("is not JSON")]
    NotJson,
    /// White space between other characters: two tokens, or a token broken into lines.
    #[error("has white space inside, at byte {at}: it should hold one token, on one line")]
    WhiteSpace {
        /// Counted from 1, from the start of the token.
        at: usize,
    },
    /// Any other character that no token contains.
    #[error("has a character that tokens don't have, at byte {at}")]
    Character {
        /// Counted from 1, from the start of the token.
        at: usize,
    },
}

/// What a JSON object says about the lifetime of its token, in the members of token endpoints (RFC 6749, section 5.1) and
/// of `az`. Numbers may be texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// `expires_in`: from when the response was written.
    pub(super) expires_in: Option<Duration>,
    /// `refresh_in`: when to get the next token, from the same moment.
    pub(super) refresh_in: Option<Duration>,
    /// `expires_on`
    pub(super) expires_on: Option<Timestamp>,
}

/// The token in `text`: alone, or as a member of a JSON object. A byte order mark and white space around it are
/// dropped.
pub(super) fn token_in(text: &[u8]) -> Result<SecretString, TokenTextError> {
    token_with_lifetime(text).map(|(token, _)| token)
}

/// The same, with what the text says about its lifetime.
pub(super) fn token_with_lifetime(text: &[u8]) -> Result<(SecretString, Lifetime), TokenTextError> {
    if text.len() > LONGEST {
        return Err(TokenTextError::TooLong);
    }
    if text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) || is_utf16_without_mark(text) {
        return Err(TokenTextError::Utf16);
    }
    // Bytes that are not UTF-8 become characters that no token contains.
    let text = SecretText(String::from_utf8_lossy(text).into_owned());
    let trimmed = text.0.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if trimmed.starts_with(['{', '[']) {
        return from_json(trimmed);
    }
    Ok((bare(trimmed)?, Lifetime::default()))
}

/// A text that is wiped when it is dropped.
struct SecretText(String);

impl Drop for SecretText {
    fn drop(&mut self) {
        drop(SecretString::from(std::mem::take(&mut self.0)));
    }
}

/// Every second byte at the start is zero.
fn is_utf16_without_mark(text: &[u8]) -> bool {
    let first = &text[..text.len().min(8)];
    let is_zero = |place: usize| first.len() >= 4 && first.iter().skip(place).step_by(2).all(|byte| *byte == 0);
    is_zero(0) || is_zero(1)
}

fn from_json(text: &str) -> Result<(SecretString, Lifetime), TokenTextError> {
    // An error message of serde may repeat a part of the text.
    let members: HashMap<String, Value> = serde_json::from_str(text).map_err(|_| TokenTextError::NoMember)?;
    let mut texts = MEMBERS.iter().filter_map(|name| members.get(*name)?.as_str()).map(str::trim);
    let first = texts.clone().next().ok_or(TokenTextError::NoMember)?;
    let token = bare(texts.find(|text| !text.is_empty() && !is_no_value(text)).unwrap_or(first))?;
    let seconds = |name: &str| members.get(name).and_then(whole_number);
    let after = |name: &str| seconds(name).and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    let expires_on = seconds("expires_on").and_then(|seconds| Timestamp::from_second(seconds).ok());
    Ok((token, Lifetime { expires_in: after("expires_in"), refresh_in: after("refresh_in"), expires_on }))
}

/// A number, or a text of digits: some endpoints write every value as a text.
fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn is_no_value(text: &str) -> bool {
    NO_VALUE.contains(&text.to_lowercase().as_str())
}

/// `b64token` of RFC 6750: letters, digits and `-._~+/`, then `=`.
fn bare(token: &str) -> Result<SecretString, TokenTextError> {
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}');
    if token.is_empty() {
        return Err(TokenTextError::Empty);
    }
    if token.starts_with(is_quote) || token.ends_with(is_quote) {
        return Err(TokenTextError::Quoted);
    }
    if is_no_value(token) {
        return Err(TokenTextError::NoValue);
    }
    let first_word = token.split([' ', '\t', ':', '=']).next().unwrap_or_default();
    if first_word.len() < token.len() && ["bearer", "authorization"].contains(&first_word.to_lowercase().as_str()) {
        return Err(TokenTextError::Bearer);
    }
    let letters = token.trim_end_matches('=');
    let other = letters.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || "-._~+/".contains(*c)));
    match other {
        Some((at, c)) if c.is_whitespace() => Err(TokenTextError::WhiteSpace { at: at + 1 }),
        Some((at, _)) => Err(TokenTextError::Character { at: at + 1 }),
        None if letters.is_empty() => Err(TokenTextError::Character { at: 1 }),
        None => Ok(SecretString::from(token)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn token_is_found_in_output_of_tools() {
        let token = "eyJ0.eyJ1-_~+/.c2ln==";
        for text in [
            token.to_owned(),
            format!("\u{feff}{token}\r\n"),
            format!(" \t\n{token}\u{a0}\n\n"),
            format!(r#"{{"accessToken":"{token}","expiresOn":"2026-11-28","tokenType":"Bearer"}}"#),
            format!(
                "\u{feff}\n{{\"token_type\":\"Bearer\",\n\"access_token\": \"{token}\",\"refresh_token\":\"0.x\"}}\n"
            ),
            format!(r#"{{"token":"{token}","id":7}}"#),
            // The first that has a value, in the order of the names.
            format!(r#"{{"token":"other","access_token":"{token}","accessToken":null}}"#),
        ] {
            assert_eq!(token_in(text.as_bytes()).expect("a token").expose_secret(), token, "{text}");
        }
    }

    /// As in `API.md`: token endpoints, managed identities and `az`.
    #[test]
    fn lifetime_is_read_as_number_or_text() {
        let lifetime = |text: &str| token_with_lifetime(text.as_bytes()).expect("a token").1;
        let hour = Some(Duration::from_secs(3599));
        let v2 = r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"eyJ0"}"#;
        assert_eq!(lifetime(v2), Lifetime { expires_in: hour, ..Lifetime::default() });
        let v1 = r#"{"expires_in":"3599","refresh_in":"1800","expires_on":"1795514437","access_token":"eyJ0"}"#;
        let expires_on = Some("2026-11-24T10:00:37Z".parse().expect("a time"));
        let refresh_in = Some(Duration::from_mins(30));
        assert_eq!(lifetime(v1), Lifetime { expires_in: hour, refresh_in, expires_on });
        let az = r#"{"accessToken":"eyJ0","expires_on":1795514437,"expiresOn":"2026-11-24 11:00:37.000000"}"#;
        assert_eq!(lifetime(az), Lifetime { expires_on, ..Lifetime::default() });
        for odd in ["-1", "1.5", "null", r#""soon""#, "9223372036854775807"] {
            let text = format!(r#"{{"access_token":"eyJ0","expires_on":{odd},"refresh_in":{odd}}}"#);
            assert_eq!(lifetime(&text).expires_on.filter(|at| at.as_second() != -1), None, "{odd}");
        }
    }

    #[test]
    fn member_without_a_value_is_skipped() {
        for text in [
            r#"{"accessToken":"","access_token":"eyJ0"}"#,
            r#"{"accessToken":" \n","token":"eyJ0"}"#,
            r#"{"access_token":"","token":"eyJ0","accessToken":7}"#,
            r#"{"accessToken":"null","access_token":"undefined","token":" eyJ0 "}"#,
        ] {
            assert_eq!(token_in(text.as_bytes()).expect(text).expose_secret(), "eyJ0", "{text}");
        }
        // A wrong one is not.
        let text = br#"{"accessToken":"Bearer eyJ0","token":"eyJ0"}"#;
        assert_eq!(token_in(text).expect_err("is refused"), TokenTextError::Bearer);
    }

    #[test]
    fn other_text_is_rejected_with_reason() {
        use TokenTextError::*;
        let utf16 = |text: &str, little: bool| -> Vec<u8> {
            let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
            text.encode_utf16().flat_map(bytes).collect()
        };
        for (text, error) in [
            (b"".to_vec(), Empty),
            (b"\xef\xbb\xbf\r\n".to_vec(), Empty),
            (br#""eyJ.s3cret""#.to_vec(), Quoted),
            (b"'s3cret'".to_vec(), Quoted),
            ("\u{201c}s3cret\u{201d}".into(), Quoted),
            (b"Bearer s3cret".to_vec(), Bearer),
            (b"bearer\ts3cret".to_vec(), Bearer),
            (b"Authorization: Bearer s3cret".to_vec(), Bearer),
            (utf16("\u{feff}s3cret", true), Utf16),
            (utf16("\u{feff}s3cret", false), Utf16),
            (utf16("s3cret", true), Utf16),
            (utf16("s3cret", false), Utf16),
            (b"null\n".to_vec(), NoValue),
            (b"None".to_vec(), NoValue),
            (br#"{"token":"undefined"}"#.to_vec(), NoValue),
            (br#"{"refresh_token":"s3cret"}"#.to_vec(), NoMember),
            (br#"{"access_token":7}"#.to_vec(), NoMember),
            (br#"{"access_token":"s3cret"#.to_vec(), NoMember),
            (br#"[{"access_token":"s3cret"}]"#.to_vec(), NoMember),
            (br#"{"access_token":""}"#.to_vec(), Empty),
            (br#"{"access_token":"Bearer s3cret"}"#.to_vec(), Bearer),
            (b"s3cret\ns3cret".to_vec(), WhiteSpace { at: 7 }),
            (b"s3cret\0".to_vec(), Character { at: 7 }),
            (b"s3c=ret".to_vec(), Character { at: 4 }),
            (b"====".to_vec(), Character { at: 1 }),
            (b"s3cret\xff".to_vec(), Character { at: 7 }),
            (b"s3cret,s3cret".to_vec(), Character { at: 7 }),
            (b"<html>s3cret".to_vec(), Character { at: 1 }),
            (b"s3cret".repeat(20_000), TooLong),
        ] {
            let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
            let found = token_in(&text).expect_err(&shown);
            assert_eq!(found, error, "{shown}");
            assert!(!format!("{found} {found:?}").contains("s3cret"), "{found}");
        }
    }

    /// A token that starts like the scheme is still a token.
    #[test]
    fn token_starting_with_bearer_is_accepted() {
        for token in ["bearer", "Bearer-token.1", "bearerx"] {
            assert_eq!(token_in(token.as_bytes()).expect(token).expose_secret(), token);
        }
    }
}
