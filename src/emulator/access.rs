//! Access: which tokens the API accepts, and for what.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::request::ApiKind;
use super::response::Refusal;
use super::sign_in::NewToken;

/// The tokens that the API accepts.
pub(super) enum Access {
    /// Any token.
    Any,
    /// Only this one.
    Only(SecretString),
    /// Only those that were issued, until they expire or are revoked.
    Issued(Vec<IssuedToken>),
}

/// A token that was issued.
pub(super) struct IssuedToken {
    token: NewToken,
    is_revoked: bool,
}

impl Access {
    /// Checks a token for a request to one of the APIs, which may be an update.
    ///
    /// # Errors
    /// If the API refuses the token or the request.
    pub(super) fn check(
        &self,
        token: Option<&SecretString>,
        api: ApiKind,
        is_update: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let refused = |message: &str| Err(Refusal::new(401, "Unauthorized", message));
        let Some(given) = token else { return refused("The request has no bearer token.") };
        match self {
            Access::Any => Ok(()),
            Access::Only(expected) if given.expose_secret() == expected.expose_secret() => Ok(()),
            Access::Only(_) => refused("The token is not valid or has expired."),
            Access::Issued(issued) => match issued.iter().find(|issued| issued.is(given)) {
                None => refused("The token was not issued for this API."),
                Some(issued) if issued.is_revoked => refused("The token has been revoked."),
                Some(IssuedToken { token, .. }) if token.expires <= now => refused("The token has expired."),
                Some(IssuedToken { token, .. }) if token.is_for != Some(api) => {
                    refused("The token has a wrong audience.")
                }
                Some(IssuedToken { token, .. }) => check_roles(&token.roles, is_update),
            },
        }
    }

    /// Adds a token that was issued.
    pub(super) fn add(&mut self, token: NewToken) {
        if let Access::Issued(issued) = self {
            issued.push(IssuedToken { token, is_revoked: false });
        }
    }

    /// From now on, refuses this token.
    pub(super) fn revoke(&mut self, token: &SecretString) {
        if let Access::Issued(issued) = self {
            issued.iter_mut().filter(|issued| issued.is(token)).for_each(|issued| issued.is_revoked = true);
        }
    }

    /// The tokens that were issued.
    pub(super) fn issued(&self) -> impl Iterator<Item = &SecretString> {
        let issued = if let Access::Issued(issued) = self { issued.as_slice() } else { &[] };
        issued.iter().map(|issued| &issued.token.text)
    }
}

impl IssuedToken {
    fn is(&self, token: &SecretString) -> bool {
        self.token.text.expose_secret() == token.expose_secret()
    }
}

/// Every permission allows to read; one that can write, to update.
fn check_roles(roles: &[String], is_update: bool) -> Result<(), Refusal> {
    if roles.iter().any(|role| !is_update || role.contains("ReadWrite")) {
        return Ok(());
    }
    Err(Refusal::new(403, "Forbidden", "The token does not have the required permission."))
}
