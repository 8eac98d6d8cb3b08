//! Consent: which origins a token may be sent to.
//!
//! Promise: a transport exists only for a [`ConsentedOrigin`], and an origin that a plan, a contract file or a journal
//! names becomes one only if it is built in, or loopback with a token that is not a tenant's.

use super::origin::Origin;
use crate::contract::Contract;

/// An origin that a token may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentedOrigin {
    origin: Origin,
    takes_opaque_only: bool,
}

/// The origin is neither built in nor loopback: only the user can consent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotConsented(pub Origin);

impl ConsentedOrigin {
    /// The user has named it: typed for this command, or in their own settings or a variable.
    #[must_use]
    pub fn by_user(origin: Origin) -> ConsentedOrigin {
        ConsentedOrigin { origin, takes_opaque_only: false }
    }

    /// A plan, a contract file or a journal names it, for this contract.
    ///
    /// # Errors
    /// If it is neither built into the contract's API nor loopback.
    pub fn named(origin: Origin, contract: &Contract) -> Result<ConsentedOrigin, NotConsented> {
        let takes_opaque_only = origin.is_loopback();
        if takes_opaque_only || origin.host_of(contract).is_some() {
            Ok(ConsentedOrigin { origin, takes_opaque_only })
        } else {
            Err(NotConsented(origin))
        }
    }

    /// The origin.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether only opaque tokens are sent there, such as an emulator's: a JWT is a tenant's.
    #[must_use]
    pub fn takes_opaque_only(&self) -> bool {
        self.takes_opaque_only
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_and_loopback_origins_skip_consent() {
        let contract = |name: &str| crate::contract::load(name).expect("built in");
        let (defender, graph) = (contract("defender"), contract("graph"));
        let named_for = |contract: &Contract, text: &str| {
            ConsentedOrigin::named(text.parse().expect(text), contract).map(|it| it.takes_opaque_only())
        };
        let named = |text: &str| named_for(&defender, text);
        assert_eq!(named("https://api.security.microsoft.com"), Ok(false));
        assert_eq!(named_for(&graph, "https://graph.microsoft.com"), Ok(false));
        // A token for one API is not sent to the other.
        named("https://graph.microsoft.com").expect_err("another API");
        named_for(&graph, "https://api.security.microsoft.com").expect_err("another API");
        for text in ["http://127.0.0.1:8080", "https://127.0.0.1", "http://localhost:1", "http://[::1]:1"] {
            assert_eq!(named(text), Ok(true), "{text}");
        }
        for text in ["https://evil.example", "https://api.security.microsoft.com:444", "https://10.0.0.1"] {
            let origin: Origin = text.parse().expect(text);
            assert_eq!(named(text), Err(NotConsented(origin.clone())), "{text}");
            assert!(!ConsentedOrigin::by_user(origin).takes_opaque_only());
        }
    }
}
