//! Claims: what a token says about itself, if it is a JWT (RFC 7519), and whether it is for this service.
//!
//! Promise: an opaque token has no claims, and is never refused for that.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, PAD_INDIFFERENT};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// What a token says about itself. Not verified: the server does that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// The id of the tenant (`tid`).
    pub tenant: Option<String>,
    /// The user or application, as people know it.
    pub caller: Option<String>,
    /// When it expires (`exp`).
    pub expires: Option<Timestamp>,
    /// The services it is for (`aud`).
    pub audiences: Vec<String>,
    /// The permissions of an application (`roles`) and of a user (`scp`).
    pub permissions: Vec<String>,
    /// Whether it is a JWT: tokens of tenants are, other tokens are opaque.
    pub is_jwt: bool,
}

/// What the claims of a token must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenNeeds {
    /// The audiences of the service: it must name one of them; the first is shown.
    pub audiences: Vec<String>,
    /// The permissions: it must have one of them; the first two are shown.
    pub permissions: Vec<String>,
    /// The tenant that it must name, if it names one.
    pub tenant: Option<String>,
    /// Whether it must be opaque: it is sent to this machine, without the user having named that.
    pub is_opaque: bool,
}

/// Why a token is not for this service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// `aud` names other services.
    #[error("the token is for {found}, not for {wanted}")]
    Audience {
        /// The services that it names.
        found: String,
        /// The service.
        wanted: String,
    },
    /// Neither `roles` nor `scp` has a permission that is enough.
    #[error("the token has {found}; it needs `{application}` (an application) or `{delegated}` (a user)")]
    Permission {
        /// What it has.
        found: String,
        /// What an application needs.
        application: String,
        /// What a user needs.
        delegated: String,
    },
    /// `tid` names another tenant.
    #[error("the token is for tenant {found}, not for {wanted}")]
    Tenant {
        /// The tenant that it names.
        found: String,
        /// The required tenant.
        wanted: String,
    },
    /// It is a JWT.
    #[error("a tenant's token is sent to this machine only if you confirm it with `--base-url`")]
    NotOpaque,
}

/// Padded or not (RFC 4648, section 5); some issuers leave bits after the last byte.
const BASE64_URL: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, PAD_INDIFFERENT.with_decode_allow_trailing_bits(true));

/// Whom a federated token is about.
pub(super) struct Subject {
    /// Who issued it (`iss`).
    pub(super) issuer: String,
    /// Whom it is about (`sub`).
    pub(super) name: String,
    /// When it expires (`exp`).
    pub(super) expires: Option<Timestamp>,
}

/// Whom a JWT is about.
pub(super) fn subject(token: &str) -> Option<Subject> {
    let claims = object(token, 1)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let expires = claims.get("exp").and_then(number).and_then(|exp| Timestamp::from_second(exp).ok());
    Some(Subject { issuer: text("iss"), name: text("sub"), expires })
}

/// A part of a JWT.
fn object(token: &str, place: usize) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_URL.decode(token.split('.').nth(place)?).ok()?).ok()
}

impl TokenFacts {
    /// Reads the claims of a JWT; an opaque token has none.
    pub(super) fn read(token: &str) -> TokenFacts {
        let claims = object(token, 1).unwrap_or_default();
        let text = |name: &str| claims.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let callers = ["upn", "unique_name", "preferred_username", "app_displayname", "appid", "azp"];
        let facts = TokenFacts {
            is_jwt: false,
            tenant: text("tid"),
            caller: callers.into_iter().find_map(text),
            expires: claims.get("exp").and_then(number).and_then(|exp| Timestamp::from_second(exp).ok()),
            audiences: words(claims.get("aud"), |text| vec![text.to_owned()]),
            permissions: ["roles", "scp"]
                .into_iter()
                .flat_map(|name| words(claims.get(name), |text| text.split_whitespace().map(str::to_owned).collect()))
                .collect(),
        };
        // An encrypted JWT has a header, and no readable claims.
        let has_header = token.contains('.') && object(token, 0).is_some();
        TokenFacts { is_jwt: has_header || facts != TokenFacts::default(), ..facts }
    }

    /// Whether it has expired at `now`, if it names a time.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// When it expires, for a person who reads it at `now`: with the date if that is on another day.
    #[must_use]
    pub fn expiry(&self, now: Timestamp) -> Option<String> {
        let day = |time: Timestamp| time.strftime("%F").to_string();
        let form = |at: Timestamp| if day(at) == day(now) { "%H:%M UTC" } else { "%F %H:%M UTC" };
        self.expires.map(|at| at.strftime(form(at)).to_string())
    }

    /// Checks the claims that it has. `roles` and `scp` count only beside an `aud`: then it is an access token of
    /// Entra, which has one of them once a permission was granted.
    ///
    /// # Errors
    /// The first claim that doesn't fit this service.
    pub fn check(&self, needs: &TokenNeeds) -> Result<(), ClaimsError> {
        if needs.is_opaque && self.is_jwt {
            return Err(ClaimsError::NotOpaque);
        }
        if let (Some(found), Some(wanted)) = (&self.tenant, &needs.tenant)
            && !found.eq_ignore_ascii_case(wanted)
        {
            return Err(ClaimsError::Tenant { found: found.clone(), wanted: wanted.clone() });
        }
        if self.audiences.is_empty() {
            return Ok(());
        }
        let plain = |audience: &str| audience.trim_end_matches('/').to_ascii_lowercase();
        let is_for_us = |found: &String| needs.audiences.iter().any(|wanted| plain(wanted) == plain(found));
        if !self.audiences.iter().any(is_for_us) {
            let shown = |audience: &String| {
                let rest = audience.strip_prefix("https://").unwrap_or(audience);
                rest.trim_end_matches('/').to_owned()
            };
            let found = self.audiences.iter().map(shown).collect::<Vec<_>>().join(", ");
            return Err(ClaimsError::Audience {
                found,
                wanted: needs.audiences.first().map(shown).unwrap_or_default(),
            });
        }
        if self.permissions.iter().any(|found| needs.permissions.contains(found)) {
            return Ok(());
        }
        let found = match self.permissions.join(" ") {
            none if none.is_empty() => "no permission (an administrator has to consent)".to_owned(),
            some => format!("the permission `{some}`"),
        };
        let named = |place: usize| needs.permissions.get(place).cloned().unwrap_or_default();
        Err(ClaimsError::Permission { found, application: named(0), delegated: named(1) })
    }
}

/// Seconds, which some issuers write with a fraction (RFC 7519, section 2).
fn number(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a time far out of range is no time, whatever it becomes")]
    let whole = |fraction: f64| fraction.floor() as i64;
    value.as_i64().or_else(|| value.as_f64().map(whole))
}

/// The texts of a claim that is one text, split by `read`, or a list of texts.
fn words(claim: Option<&Value>, read: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    match claim {
        Some(Value::String(text)) if !text.is_empty() => read(text),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tokens_than_jwt_have_no_claims() {
        for token in ["opaque", "a.b.c", "..", "a.eyJ0aWQiOjd9.c", "a.W10.c", "a.A.c", "a.****.c"] {
            assert_eq!(TokenFacts::read(token), TokenFacts::default(), "{token}");
        }
    }

    fn facts(claims: &str) -> TokenFacts {
        use std::fmt::Write as _;
        // Base64 of the URL's alphabet, by the definition: six bits for each digit.
        let bits = claims.bytes().fold(String::new(), |mut bits, byte| {
            write!(bits, "{byte:08b}").expect("a String takes all");
            bits
        });
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let digit = |six: &[u8]| {
            let six = std::str::from_utf8(six).expect("zeros and ones");
            char::from(digits[usize::from_str_radix(&format!("{six:0<6}"), 2).expect("six bits")])
        };
        TokenFacts::read(&format!("e30.{}.c2ln", bits.as_bytes().chunks(6).map(digit).collect::<String>()))
    }

    #[test]
    fn claims_decide_if_token_fits_the_service() {
        let needs = TokenNeeds {
            audiences: vec!["https://api.security.microsoft.com".to_owned(), "8ee8fdad-app".to_owned()],
            permissions: ["Incident.ReadWrite.All", "Incident.ReadWrite"].map(str::to_owned).to_vec(),
            tenant: None,
            is_opaque: false,
        };
        for claims in [
            r#"{"tid":"t"}"#,
            r#"{"roles":["Other"],"scp":"User.Read"}"#,
            r#"{"aud":"https://api.security.microsoft.com","roles":["Incident.ReadWrite.All"]}"#,
            r#"{"aud":"https://API.security.microsoft.com/","scp":"User.Read Incident.ReadWrite"}"#,
            r#"{"aud":"8ee8fdad-app","roles":["Other","Incident.ReadWrite.All"]}"#,
            r#"{"aud":["https://other","8ee8fdad-app"],"roles":"Incident.ReadWrite.All"}"#,
        ] {
            assert_eq!(facts(claims).check(&needs), Ok(()), "{claims}");
        }
        for (claims, error) in [
            (
                r#"{"aud":"https://graph.microsoft.com/","scp":"User.Read"}"#,
                "the token is for graph.microsoft.com, not for api.security.microsoft.com",
            ),
            (
                r#"{"aud":["00000003-0","https://graph.microsoft.com"],"roles":["Incident.ReadWrite.All"]}"#,
                "the token is for 00000003-0, graph.microsoft.com, not for api.security.microsoft.com",
            ),
            (
                r#"{"aud":"8ee8fdad-app","scp":"Incident.Read User.Read"}"#,
                "the token has the permission `Incident.Read User.Read`; it needs `Incident.ReadWrite.All` (an \
                 application) or `Incident.ReadWrite` (a user)",
            ),
            (
                r#"{"aud":"8ee8fdad-app"}"#,
                "the token has no permission (an administrator has to consent); it needs `Incident.ReadWrite.All` (an \
                 application) or `Incident.ReadWrite` (a user)",
            ),
        ] {
            assert_eq!(
                facts(claims).check(&needs).map_err(|error| error.to_string()),
                Err(error.to_owned()),
                "{claims}"
            );
        }
        let of_tenant = TokenNeeds { tenant: Some("T-1".to_owned()), ..needs };
        assert_eq!(facts(r#"{"tid":"t-1"}"#).check(&of_tenant), Ok(()));
        assert_eq!(facts("{}").check(&of_tenant), Ok(()));
        let error = facts(r#"{"tid":"t-2"}"#).check(&of_tenant).expect_err("another tenant");
        assert_eq!(error.to_string(), "the token is for tenant t-2, not for T-1");
    }

    #[test]
    fn expiry_on_another_day_shows_its_date() {
        let at = |time: &str| -> Timestamp { time.parse().expect("a time") };
        for exp in ["1795514437", "1795514437.9"] {
            let facts = facts(&format!(r#"{{"exp":{exp}}}"#));
            assert!(facts.has_expired(at("2026-11-24T10:00:37Z")) && !facts.has_expired(at("2026-11-24T10:00:36Z")));
            assert_eq!(facts.expiry(at("2026-11-24T23:00:00Z")).as_deref(), Some("10:00 UTC"));
            assert_eq!(facts.expiry(at("2026-11-25T00:00:00Z")).as_deref(), Some("2026-11-24 10:00 UTC"));
        }
        assert!(!facts("{}").has_expired(Timestamp::MAX));
    }

    #[test]
    fn base64_examples_of_the_rfc_are_decoded() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(BASE64_URL.decode(text).as_deref(), Ok(bytes.as_bytes()), "{text}");
        }
        assert_eq!(BASE64_URL.decode("-_8"), Ok(vec![0xfb, 0xff]));
        assert!(BASE64_URL.decode("+/8").is_err());
    }
}
