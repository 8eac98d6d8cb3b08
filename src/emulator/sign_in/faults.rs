//! Faults of the sign-in endpoints, and their syntax ([`SIGN_IN_GRAMMAR`]).

use std::str::FromStr;
use std::time::Duration;

use super::request::Endpoint;
use crate::emulator::faults::ParseFaultError;
use crate::emulator::trigger::{Arrival, Parts, Selectable, Trigger};
use crate::model::quota_spec::parse_duration;

/// The syntax of sign-in faults, for `--help`.
pub const SIGN_IN_GRAMMAR: &str = include_str!("faults.txt");

const SELECTABLE: Selectable = Selectable {
    // The names of `Endpoint`.
    kinds: &["token", "imds", "arc", "app-service", "github"],
    has_incidents: false,
};

/// What happens instead of the normal response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SignInFaultKind {
    /// This error of Entra.
    Aadsts {
        code: u32,
        /// Whether the description has its IDs on lines of their own.
        has_lines: bool,
    },
    /// The error that is worth a retry, with this status.
    Unavailable(u16),
    /// This status, with a `Retry-After` if a time is given.
    Status(u16, Option<Duration>),
    /// This status, with an error that repeats the secrets of the request.
    Echo(u16),
    Drop,
    Stall,
    /// The response comes after this time.
    Slow(Duration),
    NotJson {
        /// Whether it is plain text instead of HTML.
        is_text: bool,
    },
    Huge,
    NoIdentity,
    Redirect(String),
    /// A token with another content.
    Altered(Alteration),
}

/// What a fault changes in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alteration {
    WrongAudience,
    NoRoles,
    OtherTenant,
}

/// One fault of the sign-in endpoints: what, where, how often.
#[derive(Clone, Debug, PartialEq)]
pub struct SignInFault {
    /// The fault as it was written.
    text: String,
    pub(super) kind: SignInFaultKind,
    trigger: Trigger,
}

impl SignInFault {
    /// The fault as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The first fault that affects this request.
pub(super) fn draw<'a>(
    faults: &'a mut [SignInFault],
    number: u64,
    since_start: Duration,
    endpoint: Endpoint,
    dice: &mut fastrand::Rng,
) -> Option<&'a SignInFault> {
    let arrival = Arrival { number, since_start, incident: None, kind: Some(endpoint.name()) };
    faults.iter_mut().find_map(|fault| fault.trigger.strikes(&arrival, dice).then_some(&*fault))
}

impl FromStr for SignInFault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<SignInFault, ParseFaultError> {
        let text = text.trim();
        parse(text).map_err(|problem| ParseFaultError::new(text, problem))
    }
}

fn parse(text: &str) -> Result<SignInFault, String> {
    let parts = Parts::parse(text, &SELECTABLE)?;
    let kind = parse_kind(parts.name, parts.detail).map_err(|problem| problem + parts.hint())?;
    Ok(SignInFault { text: text.to_owned(), kind, trigger: parts.trigger })
}

fn parse_kind(name: &str, detail: Option<&str>) -> Result<SignInFaultKind, String> {
    let duration = |text: &str| parse_duration(text).map_err(|error| error.to_string());
    if let Some(code) = name.strip_prefix("aadsts") {
        let code = code.parse().map_err(|_| format!("`{code}` is not the number of an AADSTS error"))?;
        return match detail {
            None | Some("lines") => Ok(SignInFaultKind::Aadsts { code, has_lines: detail.is_some() }),
            Some(detail) => Err(format!("`{name}` accepts only `=lines`, not `={detail}`")),
        };
    }
    let kind = match name {
        "temporarily-unavailable" => {
            let status = detail.unwrap_or("503").parse().ok().filter(|status| [400, 503].contains(status));
            let wrong = || format!("`{name}` accepts only `=400` and `=503`");
            return Ok(SignInFaultKind::Unavailable(status.ok_or_else(wrong)?));
        }
        "echo" => {
            let status = detail.unwrap_or("400").parse().ok().filter(|status| (300..=599).contains(status));
            let wrong = || format!("`{name}` accepts only a status from 300 to 599");
            return Ok(SignInFaultKind::Echo(status.ok_or_else(wrong)?));
        }
        "not-json" => match detail {
            None => return Ok(SignInFaultKind::NotJson { is_text: false }),
            Some("text") => return Ok(SignInFaultKind::NotJson { is_text: true }),
            Some(detail) => return Err(format!("`{name}` accepts only `=text`, not `={detail}`")),
        },
        "slow" => return Ok(SignInFaultKind::Slow(duration(detail.unwrap_or("2s"))?)),
        "redirect" => {
            let to = detail.unwrap_or("/elsewhere");
            let is_sendable = !to.is_empty() && to.bytes().all(|byte| byte.is_ascii_graphic());
            let wrong = || format!("`{to}` is not a URL");
            return is_sendable.then(|| SignInFaultKind::Redirect(to.to_owned())).ok_or_else(wrong);
        }
        "drop" => SignInFaultKind::Drop,
        "stall" => SignInFaultKind::Stall,
        "huge" => SignInFaultKind::Huge,
        "no-identity" => SignInFaultKind::NoIdentity,
        "wrong-audience" => SignInFaultKind::Altered(Alteration::WrongAudience),
        "no-roles" => SignInFaultKind::Altered(Alteration::NoRoles),
        "other-tenant" => SignInFaultKind::Altered(Alteration::OtherTenant),
        _ => {
            if let Ok(status @ 300..=599) = name.parse() {
                let default = (status == 429).then(|| Duration::from_secs(1));
                return Ok(SignInFaultKind::Status(status, detail.map(duration).transpose()?.or(default)));
            }
            let names = "enter aadsts and a number, temporarily-unavailable, a status from 300 to 599, echo, drop, stall, \
                         slow, not-json, huge, no-identity, wrong-audience, no-roles, other-tenant or redirect";
            return Err(names.to_owned());
        }
    };
    match detail {
        None => Ok(kind),
        Some(detail) => Err(format!("`{name}` accepts no `={detail}`")),
    }
}
