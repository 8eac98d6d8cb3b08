//! JSON Web Tokens (RFC 7519): written without a valid signature, and read.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// A JWT in its parts.
pub(super) struct Jwt<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// The part that is signed.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Reads a signed JWT; `None` if the text is none.
    pub(super) fn read(text: &'a str) -> Option<Jwt<'a>> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let object = |part: &str| serde_json::from_slice(&decode(part)?).ok();
        let signature = decode(signature).filter(|signature| !signature.is_empty())?;
        Some(Jwt { header: object(header)?, claims: object(claims)?, signed, signature })
    }

    /// A claim that is a text.
    pub(super) fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A claim that is a time, in seconds since 1970.
    pub(super) fn seconds(&self, name: &str) -> Option<i64> {
        self.claims.get(name)?.as_i64()
    }

    /// Whether `aud` is this audience, or a list that has it.
    pub(super) fn has_audience(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(|one| one == audience),
            one => one.is_some_and(|one| one == audience),
        }
    }
}

/// Writes a JWT. Its signature is random: nobody who gets it could verify it.
pub(super) fn write(header: &Value, claims: &Value, secrets: &mut fastrand::Rng) -> String {
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.{}", encode(header), encode(claims), random_text(256, secrets))
}

/// Random bytes as text.
pub(super) fn random_text(bytes: usize, secrets: &mut fastrand::Rng) -> String {
    let mut random = vec![0; bytes];
    secrets.fill(&mut random);
    BASE64_URL_SAFE_NO_PAD.encode(random)
}
