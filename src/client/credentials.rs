//! Tokens: the one in use, and when its source is asked again.
//!
//! Promises: a token is shown by nothing here, neither `Debug` nor an error; a token of another tenant or for another
//! service never takes the place of this one's.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use super::claims::{ClaimsError, TokenFacts, TokenNeeds};
use super::token_text::{TokenTextError, token_in};
use crate::text::Secrets;

/// A source is asked again this long before the token expires: there may be a new one by then.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// How it went to get a new token.
#[derive(Debug)]
pub enum Renewal {
    /// There is a new one.
    Renewed,
    /// The source still has the one that was refused.
    Same,
    /// There is no source that could have another one.
    NoSource,
    /// The source has a token of another tenant: it was not taken.
    OtherTenant,
    /// The source has no token that can be used.
    Failed(TokenError),
}

/// Why there is no token. Names the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No such file, or no right to read it.
    #[error("cannot read the token file {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("the token file {} is not a regular file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Group or others can read it.
    #[error("the token file {} can be read by others (mode {mode:03o})", .path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether the user may change them.
        can_change: bool,
    },
    /// Group or others can write it.
    #[error("the token file {} can be written by others (mode {mode:03o})", .path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether the user may change them.
        can_change: bool,
    },
    /// It belongs to neither the user nor root.
    #[error("the token file {} belongs to another user (uid {owner})", .path.display())]
    OfAnotherUser {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// There is no token in it.
    #[error("{place} {why}")]
    Text {
        /// `BULK_TRIAGE_TOKEN`, or which file.
        place: String,
        /// Why not.
        why: TokenTextError,
    },
    /// It is not for this service.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// Its file holds the old one still.
    #[error("the token file was not renewed; its token expired at {at}")]
    NotRenewed {
        /// When, as a person reads it.
        at: String,
    },
    /// It was valid once.
    #[error("the token expired at {at}; nothing was sent")]
    Expired {
        /// When, as a person reads it.
        at: String,
    },
}

impl TokenError {
    /// Whether there is only no token yet: a program that writes one has emptied the file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, TokenError::Text { why: TokenTextError::Empty, .. })
    }
}

/// Where tokens come from.
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// The token that it has now. Called while requests are in flight: it must not wait.
    ///
    /// # Errors
    /// Why it has none.
    fn read(&self) -> Result<SecretString, TokenError>;
}

/// The token in use and where the next one comes from.
#[derive(Debug)]
pub struct TokenCache {
    /// `None`: the token was given, and there is no other.
    source: Option<Box<dyn TokenSource>>,
    current: Mutex<CachedToken>,
}

#[derive(Debug)]
struct CachedToken {
    token: SecretString,
    /// Counts the tokens of this process, from 0.
    generation: u64,
    /// This token and the earlier ones.
    secrets: Arc<Secrets>,
    facts: TokenFacts,
    /// What each of them must be for.
    needs: Option<TokenNeeds>,
}

impl TokenCache {
    /// A token that stays as it is: from the environment.
    ///
    /// # Errors
    /// If it is no bearer token.
    pub fn given(token: &SecretString) -> Result<TokenCache, TokenError> {
        let found = token_in(token.expose_secret().as_bytes());
        let token = found.map_err(|why| TokenError::Text { place: "BULK_TRIAGE_TOKEN".to_owned(), why })?;
        Ok(TokenCache::holding(None, token))
    }

    /// The token of a source, which is asked again when the token has expired or was refused.
    ///
    /// # Errors
    /// If it has no token now.
    pub fn from_source(source: impl TokenSource + 'static) -> Result<TokenCache, TokenError> {
        let token = source.read()?;
        Ok(TokenCache::holding(Some(Box::new(source)), token))
    }

    fn holding(source: Option<Box<dyn TokenSource>>, token: SecretString) -> TokenCache {
        let facts = TokenFacts::read(token.expose_secret());
        let mut secrets = Secrets::default();
        secrets.add(token.expose_secret());
        let held = CachedToken { token, generation: 0, facts, needs: None, secrets: Arc::new(secrets) };
        TokenCache { source, current: Mutex::new(held) }
    }

    /// The token and its generation.
    #[must_use]
    pub fn current(&self) -> (SecretString, u64) {
        let held = self.held();
        (held.token.clone(), held.generation)
    }

    /// The token in use at `now`, and its generation; its source is asked first if it is about to expire. `None` if it
    /// has expired: it is not sent.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> (Option<SecretString>, u64) {
        let expiring = {
            let held = self.held();
            let is_near = held.facts.expires.is_some_and(|expires| expires.duration_since(now) <= EARLY);
            is_near.then_some(held.generation)
        };
        if let Some(generation) = expiring {
            // Without a new one the old one is good to its end.
            let _ = self.renew(generation);
        }
        let held = self.held();
        let token = Some(&held.token).filter(|_| !held.facts.has_expired(now));
        (token.cloned(), held.generation)
    }

    /// What no text that comes back may hold: pieces of the token in use and of those before it.
    #[must_use]
    pub(super) fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.held().secrets)
    }

    /// What the token in use says about itself.
    #[must_use]
    pub fn claims(&self) -> TokenFacts {
        self.held().facts.clone()
    }

    /// Whether the token in use has expired at `now`.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.held().facts.has_expired(now)
    }

    /// Whether there may be another token than the one in use.
    #[must_use]
    pub fn can_be_renewed(&self) -> bool {
        self.source.is_some()
    }

    /// Checks that the token in use is for this service, by what it says about itself. From now on no other one takes
    /// its place.
    ///
    /// # Errors
    /// If it is for another service, tenant or use.
    pub fn require(&self, needs: TokenNeeds) -> Result<(), TokenError> {
        let mut held = self.held();
        held.facts.check(&needs)?;
        held.needs = Some(needs);
        Ok(())
    }

    /// Gets another token than that of `generation`. If that was replaced already, nothing is left to do.
    pub fn renew(&self, generation: u64) -> Renewal {
        let mut held = self.held();
        if held.generation != generation {
            return Renewal::Renewed;
        }
        let token = match self.source.as_deref().map(TokenSource::read) {
            None => return Renewal::NoSource,
            Some(Err(error)) => return Renewal::Failed(error),
            Some(Ok(token)) => token,
        };
        if token.expose_secret() == held.token.expose_secret() {
            return Renewal::Same;
        }
        let facts = TokenFacts::read(token.expose_secret());
        if facts.tenant != held.facts.tenant {
            return Renewal::OtherTenant;
        }
        if let Some(Err(error)) = held.needs.as_ref().map(|needs| facts.check(needs)) {
            return Renewal::Failed(error.into());
        }
        let mut secrets = Arc::clone(&held.secrets);
        Arc::make_mut(&mut secrets).add(token.expose_secret());
        *held = CachedToken { token, generation: generation + 1, facts, needs: held.needs.take(), secrets };
        Renewal::Renewed
    }

    /// A panic elsewhere leaves the token whole: it is replaced in one step.
    fn held(&self) -> MutexGuard<'_, CachedToken> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"tid":"72f988bf","upn":"ana@contoso.com","exp":1795514437}`: 2026-11-24T10:00:37Z.
    const JWT: &str =
        "eyJhbGciOiJub25lIn0.eyJ0aWQiOiI3MmY5ODhiZiIsInVwbiI6ImFuYUBjb250b3NvLmNvbSIsImV4cCI6MTc5NTUxNDQzN30.c2ln";
    /// The same an hour later.
    const LATER: &str =
        "eyJhbGciOiJub25lIn0.eyJ0aWQiOiI3MmY5ODhiZiIsInVwbiI6ImFuYUBjb250b3NvLmNvbSIsImV4cCI6MTc5NTUxODAzN30.c2ln";

    /// A source that has what was put into it last.
    #[derive(Clone, Debug, Default)]
    struct Place(Arc<Mutex<String>>);

    impl Place {
        fn holding(text: &str) -> (Place, TokenCache) {
            let place = Place::default();
            place.put(text);
            let tokens = TokenCache::from_source(place.clone()).expect("a token");
            (place, tokens)
        }

        fn put(&self, text: &str) {
            text.clone_into(&mut self.0.lock().expect("no panic"));
        }
    }

    impl TokenSource for Place {
        fn read(&self) -> Result<SecretString, TokenError> {
            let text = self.0.lock().expect("no panic");
            token_in(text.as_bytes()).map_err(|why| TokenError::Text { place: "the place".to_owned(), why })
        }
    }

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a plain time")
    }

    #[test]
    fn jwt_gives_tenant_and_lifetime() {
        let tokens = TokenCache::given(&SecretString::from(format!(" {JWT}\n"))).expect("a token");
        let facts = tokens.claims();
        assert_eq!(facts.tenant.as_deref(), Some("72f988bf"));
        assert_eq!(facts.caller.as_deref(), Some("ana@contoso.com"));
        assert_eq!(facts.expires, Some(at("2026-11-24T10:00:37Z")));
        assert_eq!(tokens.current().0.expose_secret(), JWT);
    }

    #[test]
    fn token_is_renewed_a_minute_before_expiry() {
        let (place, tokens) = Place::holding(JWT);
        place.put(LATER);
        assert_eq!(tokens.at(at("2026-11-24T09:30:00Z")).1, 0);
        let (token, generation) = tokens.at(at("2026-11-24T09:59:40Z"));
        assert_eq!((token.expect("a valid one").expose_secret(), generation), (LATER, 1));
    }

    #[test]
    fn expired_token_is_not_used() {
        let (place, tokens) = Place::holding(JWT);
        assert!(tokens.at(at("2026-11-24T10:00:36Z")).0.is_some());
        assert!(tokens.at(at("2026-11-24T10:00:37Z")).0.is_none());
        place.put("");
        assert!(tokens.at(at("2026-11-24T10:00:37Z")).0.is_none());
        place.put(LATER);
        assert!(tokens.at(at("2026-11-24T10:00:37Z")).0.is_some());
        let given = TokenCache::given(&SecretString::from(JWT)).expect("a token");
        assert!(given.at(at("2026-11-24T10:00:37Z")).0.is_none());
    }

    #[test]
    fn refused_token_is_renewed_once_for_all_holders() {
        let (place, tokens) = Place::holding("first");
        assert!(matches!(tokens.renew(0), Renewal::Same));
        place.put("second");
        assert!(matches!(tokens.renew(0), Renewal::Renewed));
        assert!(matches!(tokens.renew(0), Renewal::Renewed), "a late answer to the first token");
        assert!(matches!(tokens.renew(1), Renewal::Same));
        place.put("");
        assert!(matches!(tokens.renew(1), Renewal::Failed(error) if error.is_empty()));
        assert_eq!(tokens.current().0.expose_secret(), "second");
    }

    #[test]
    fn token_of_another_tenant_is_rejected() {
        let (place, tokens) = Place::holding(JWT);
        for other in ["opaque", "a.eyJ0aWQiOiJvdGhlciJ9.c"] {
            place.put(other);
            assert!(matches!(tokens.renew(0), Renewal::OtherTenant), "{other}");
            assert_eq!(tokens.current().0.expose_secret(), JWT);
        }
    }

    #[test]
    fn renewed_token_for_another_service_is_refused() {
        // {"aud":"ours","roles":["Write"]} and {"aud":"theirs","roles":["Write"]}
        let ours = "e30.eyJhdWQiOiJvdXJzIiwicm9sZXMiOlsiV3JpdGUiXX0.c2ln";
        let theirs = "e30.eyJhdWQiOiJ0aGVpcnMiLCJyb2xlcyI6WyJXcml0ZSJdfQ.c2ln";
        let needs = || TokenNeeds {
            audiences: vec!["ours".to_owned()],
            permissions: vec!["Write".to_owned()],
            tenant: None,
            is_opaque: false,
        };
        let (place, tokens) = Place::holding(ours);
        tokens.require(needs()).expect("is ours");
        place.put(theirs);
        assert!(matches!(tokens.renew(0), Renewal::Failed(TokenError::Claims(ClaimsError::Audience { .. }))));
        assert_eq!(tokens.current().0.expose_secret(), ours);
        assert!(Place::holding(theirs).1.require(needs()).is_err());
    }

    #[test]
    fn fixed_token_is_never_renewed() {
        let tokens = TokenCache::given(&SecretString::from("given")).expect("a token");
        assert!(matches!(tokens.renew(0), Renewal::NoSource));
    }

    #[test]
    fn debug_output_hides_the_token() {
        let tokens = TokenCache::given(&SecretString::from(JWT)).expect("a token");
        assert!(!format!("{tokens:?}").contains("eyJ"));
    }
}
