//! Redacts tokens in texts.
//!
//! A response may repeat the token: all of it or a piece, in a different case, percent-encoded, with JSON escapes, or in
//! base64 at any offset. So every response is searched, before anything reads it, for every 16-byte piece of each token
//! that this process has used. The part of a JWT before its first dot is not a secret: it names the signature algorithm,
//! and many tokens share it.
//!
//! Promises: text without a piece is neither changed nor copied; JSON remains JSON. Of a token, only keyed hashes of its
//! pieces and a bit set of its 4-byte groups are kept. In text without escapes, which is most text, only every thirteenth
//! position is examined.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasher as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use foldhash::quality::RandomState;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// Replaces a token.
pub const REDACTED: &str = "***token***";

/// The length of the pieces that are searched for, in bytes.
const PIECE: usize = 16;

/// Shorter tokens are not secrets, and may be words of ordinary text.
const SHORTEST: usize = 12;

/// The tokens that must not appear in any text.
#[derive(Clone, Default)]
pub struct Secrets {
    hashes: RandomState,
    pieces: HashSet<u64, foldhash::fast::RandomState>,
    /// The lengths of the pieces: 16, and those of shorter tokens.
    lengths: Vec<usize>,
    groups: Groups,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Adds a token; earlier ones stay.
    pub fn add(&mut self, token: &str) {
        let is_jwt = matches!(token.matches('.').count(), 2 | 4);
        let secret = token.split_once('.').filter(|_| is_jwt).map_or(token, |(_, secret)| secret);
        if secret.len() < SHORTEST {
            return;
        }
        let length = secret.len().min(PIECE);
        for length in [length, PIECE] {
            if !self.lengths.contains(&length) {
                self.lengths.push(length);
            }
        }
        self.add_pieces(secret, length);
        // Base64 encodes three bytes as four letters, so the token can start at three offsets.
        for skipped in 0..3 {
            let bytes = &secret.as_bytes()[skipped..];
            let whole = bytes.len() - bytes.len() % 3;
            self.add_pieces(SecretString::from(BASE64.encode(&bytes[..whole])).expose_secret(), PIECE);
        }
    }

    fn add_pieces(&mut self, secret: &str, length: usize) {
        let mut run = Run::default();
        for byte in secret.bytes() {
            run.push(byte);
            if run.length >= Groups::BYTES {
                self.groups.insert(run.last_group());
            }
            if run.length >= length {
                self.pieces.insert(self.hash(&run, length));
            }
        }
    }

    /// The text, with each word that contains a piece replaced by [`REDACTED`].
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(redacted) => Cow::Owned(String::from_utf8_lossy(&redacted).into_owned()),
        }
    }

    /// [`Secrets::redact`] for bytes that may not be UTF-8.
    #[must_use]
    pub fn redact_bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if !self.may_be_in(text) {
            return Cow::Borrowed(text);
        }
        let mut redacted = Vec::new();
        let (mut copied, mut at, mut start) = (0, 0, 0);
        let (mut run, mut is_secret) = (Run::default(), false);
        while at < text.len() {
            let (byte, length) = unit(&text[at..]);
            if is_token_byte(byte) {
                run.push(byte);
                is_secret = is_secret || self.ends_with_piece(&run);
                at += length;
                continue;
            }
            if is_secret {
                redacted.extend_from_slice(&text[copied..start]);
                redacted.extend_from_slice(REDACTED.as_bytes());
                copied = at;
            }
            at += length;
            (run, is_secret, start) = (Run::default(), false, at);
        }
        if is_secret {
            redacted.extend_from_slice(&text[copied..start]);
            redacted.extend_from_slice(REDACTED.as_bytes());
            return Cow::Owned(redacted);
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        redacted.extend_from_slice(&text[copied..]);
        Cow::Owned(redacted)
    }

    /// Whether the text contains a piece.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        matches!(self.redact_bytes(text.as_bytes()), Cow::Owned(_))
    }

    /// False only if the text contains no piece. The examined positions are so close that one of them is in each piece.
    fn may_be_in(&self, text: &[u8]) -> bool {
        let Some(shortest) = self.lengths.iter().min() else { return false };
        let mut examined = text.windows(Groups::BYTES).step_by(shortest - Groups::BYTES + 1);
        memchr::memchr2(b'%', b'\\', text).is_some()
            || examined.any(|group| {
                let mut run = Run::default();
                for byte in group {
                    run.push(*byte);
                }
                self.groups.contains(run.last_group())
            })
    }

    fn ends_with_piece(&self, run: &Run) -> bool {
        self.groups.contains(run.last_group())
            && self.lengths.iter().any(|length| run.length >= *length && self.pieces.contains(&self.hash(run, *length)))
    }

    fn hash(&self, run: &Run, length: usize) -> u64 {
        self.hashes.hash_one(run.bytes << (8 * (PIECE - length)))
    }
}

/// A bit set of the hashed 4-byte groups of the pieces, with a few false positives.
#[derive(Clone)]
struct Groups(Box<[u64]>);

impl Default for Groups {
    fn default() -> Groups {
        Groups(vec![0; 1 << 10].into())
    }
}

impl Groups {
    const BYTES: usize = 4;

    fn insert(&mut self, group: u32) {
        let (word, bit) = Groups::position(group);
        self.0[word] |= bit;
    }

    fn contains(&self, group: u32) -> bool {
        let (word, bit) = Groups::position(group);
        self.0[word] & bit != 0
    }

    /// The word and bit of a group: ten and six bits of its hash.
    fn position(group: u32) -> (usize, u64) {
        let hash = group.wrapping_mul(0x9e37_79b1) >> 16;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }
}

/// The end of a word, in lower case.
#[derive(Clone, Copy, Default)]
struct Run {
    /// The last 16 bytes; the last one is the lowest.
    bytes: u128,
    length: usize,
}

impl Run {
    fn push(&mut self, byte: u8) {
        self.bytes = self.bytes << 8 | u128::from(byte.to_ascii_lowercase());
        self.length += 1;
    }

    /// The last four bytes.
    fn last_group(&self) -> u32 {
        let [.., a, b, c, d] = self.bytes.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// Whether a part of a value was redacted. Such a value must not be sent back.
#[must_use]
pub fn is_redacted(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(REDACTED),
        Value::Array(list) => list.iter().any(is_redacted),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains(REDACTED) || is_redacted(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The first byte of a text, decoded if it is `%41` or a JSON escape, and its length in the text.
#[inline]
fn unit(text: &[u8]) -> (u8, usize) {
    match text {
        [b'%', high, low, ..] if let Some(byte) = byte_of(*high, *low) => (byte, 3),
        [b'\\', b'u', b'0', b'0', high, low, ..] if let Some(byte) = byte_of(*high, *low) => (byte, 6),
        [b'\\', b'/', ..] => (b'/', 2),
        [b'\\', _, ..] => (b'\\', 2),
        [byte, ..] => (*byte, 1),
        [] => (0, 1),
    }
}

fn byte_of(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Whether a token may hold this byte (RFC 6750, `b64token`).
#[inline]
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JWT: &str = "eyJhbGciOiJub25lIn0.eyJ0aWQiOiI3MmY5ODhiZiIsInVwbiI6ImFuYSJ9.c2lnbmF0dXJl";

    fn secrets(tokens: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for token in tokens {
            secrets.add(token);
        }
        secrets
    }

    #[test]
    fn token_is_redacted_in_every_form() {
        let encoded = JWT.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let escaped = JWT.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat();
        let secrets = secrets(&["an-earlier-opaque-token", JWT]);
        for form in [
            JWT,
            &JWT[30..46],
            &JWT.to_uppercase(),
            &JWT.replace('.', "%2e"),
            &encoded,
            &escaped,
            &BASE64.encode(JWT.as_bytes()),
            &BASE64.encode(format!("Bearer {JWT}").as_bytes()),
            &BASE64.encode(format!("xy{JWT}").as_bytes()),
            &BASE64.encode(format!("Authorization: Bearer {JWT}").as_bytes())[60..80],
            "an-earlier-opaque-token",
            "AN-EARLIER-OPAQ",
            "earlier-opaque-t",
        ] {
            let is_short = form.len() < PIECE;
            for text in [format!("Bearer {form}"), format!("<{form}>"), format!("{{\"a\":\"{form}\"}}")] {
                let redacted = secrets.redact(&text);
                assert_eq!(redacted.contains(REDACTED), !is_short, "{text}: {redacted}");
                assert_eq!(redacted.contains(form), is_short, "{text}: {redacted}");
            }
        }
        assert_eq!(secrets.redact(&format!("token '{JWT}' has expired")), "token '***token***' has expired");
    }

    #[test]
    fn other_text_is_not_copied() {
        let secrets = secrets(&[JWT, "short", "twelve-bytes"]);
        for text in
            ["", "nothing of it", "eyJhbGciOiJub25lIn0.", "eyJhbGciOiJub25lIn0", "short", "\\", "%", "%4", "\\u00"]
        {
            assert!(matches!(secrets.redact(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        assert_eq!(secrets.redact("a Twelve-Bytes b"), "a ***token*** b");
        assert!(!secrets.are_in("twelve-byte"));
    }

    #[test]
    fn redaction_mark_is_found_at_any_depth() {
        assert!(is_redacted(&serde_json::json!(["a", {"b": format!("x {REDACTED}")}])));
        assert!(!is_redacted(&serde_json::json!(["***", {"b": 1}])));
    }

    proptest! {
        #[test]
        fn redaction_leaves_no_part_and_valid_json(
            token in "[A-Za-z0-9._~+/-]{12,60}",
            texts in prop::collection::vec(".{0,20}", 2),
            (from, length) in (0usize..44, 16usize..60),
        ) {
            let secrets = secrets(&[&token]);
            let piece = &token[from.min(token.len().saturating_sub(16))..token.len().min(from + length)];
            let json = serde_json::json!({"a": [&texts[0], piece, format!("{}{piece}{}", texts[0], texts[1])]}).to_string();
            let redacted = secrets.redact(&json);
            prop_assert!(serde_json::from_str::<Value>(&redacted).is_ok(), "{}", redacted);
            prop_assert!(!secrets.are_in(&redacted));
            let plain: String = "eyJ ".to_owned() + &texts[0];
            prop_assert_eq!(secrets.redact(&plain).len() == plain.len() || secrets.are_in(&plain), true);
        }
    }
}
