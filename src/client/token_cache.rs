//! Token cache: the token in use, and its renewal.
//!
//! A source is asked before the token expires, while requests still use it; and after it has expired or was refused,
//! while no request starts. One renewal at a time serves all who wait.
//!
//! Promises: nothing here shows a token, neither `Debug` nor an error; a token of another tenant or
//! caller, or for another service, never replaces the one in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use super::claims::{TokenFacts, TokenNeeds};
use super::token_source::{Supply, Token, TokenError, TokenSource};
use super::token_text::token_in;
use crate::clock::{BootTime, Clock, Now};
use crate::text::{Secrets, printable};

/// A source is asked again this long before the token expires, or a quarter of its lifetime before, if that is less: it
/// may have a new one by then. MSAL uses the same five minutes.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// Whether a request may be sent.
#[derive(Clone, Debug)]
pub enum TokenStatus {
    /// With the token in use.
    Valid,
    /// Not before the source has another token.
    Awaited,
    /// Never: there is no token.
    Unavailable(Arc<TokenError>),
}

/// The token in use and where the next one comes from.
#[derive(Debug)]
pub struct TokenCache {
    shared: Arc<Shared>,
}

/// The state that the cache shares with the task that asks the source.
#[derive(Debug)]
struct Shared {
    /// `None`: the token was given, and there is no other.
    source: Option<Source>,
    state: Mutex<State>,
    /// Wakes those who wait for a token.
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Source {
    tokens: Box<dyn TokenSource>,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    current: CachedToken,
    renewal: Renewal,
    /// When the last early renewal started.
    asked_at: Option<BootTime>,
}

#[derive(Debug)]
struct CachedToken {
    token: SecretString,
    /// Counts the tokens of this process, from 0.
    generation: u64,
    /// This token and the earlier ones.
    secrets: Arc<Secrets>,
    facts: TokenFacts,
    /// When to ask for the next one.
    renew_at: Option<Timestamp>,
    /// What the claims of each token must name.
    needs: Option<TokenNeeds>,
}

/// The state of a renewal.
#[derive(Debug)]
enum Renewal {
    Idle,
    /// The source is asked while the token in use is still valid.
    Early,
    /// The source is asked until this time, at least once, and no request starts.
    Awaited {
        until: BootTime,
        /// Before it is asked again.
        pause: Duration,
        refusal: String,
    },
    /// The source has no other token.
    Failed(Arc<TokenError>),
}

impl TokenCache {
    /// A token that is never renewed: from the environment.
    ///
    /// # Errors
    /// If it is not a bearer token.
    pub fn given(token: &SecretString) -> Result<TokenCache, TokenError> {
        let found = token_in(token.expose_secret().as_bytes());
        let token = found.map_err(|why| TokenError::Text { from: "BULK_TRIAGE_TOKEN".to_owned(), why })?;
        Ok(TokenCache::holding(None, token.into(), None))
    }

    /// The token of a source, which is asked again when the token is about to expire or was refused. A file that is empty
    /// for a moment, and a server that can't serve a token for the moment, are waited for.
    ///
    /// # Errors
    /// If it has no token.
    pub async fn open(tokens: impl TokenSource + 'static, clock: Clock) -> Result<TokenCache, TokenError> {
        let source = Source { tokens: Box::new(tokens), clock };
        let supply = source.tokens.supply();
        let until = source.clock.now().boot + supply.patience();
        let mut pause = supply.first_pause();
        loop {
            let found = source.tokens.fetch().await;
            let now = source.clock.now();
            match found {
                Err(error) if (error.is_empty() || error.is_temporary()) && now.boot < until => {
                    let at = (now.boot + error.pause(pause)).min(until);
                    source.clock.sleep_until(at).await;
                    pause = supply.next_pause(pause);
                }
                found => {
                    let token = found?;
                    return Ok(TokenCache::holding(Some(source), token, Some(now)));
                }
            }
        }
    }

    fn holding(source: Option<Source>, token: Token, now: Option<Now>) -> TokenCache {
        let (facts, renew_at) = facts_of(&token, now);
        let token = token.text;
        let mut secrets = Secrets::default();
        secrets.add(token.expose_secret());
        let current = CachedToken { token, generation: 0, facts, renew_at, needs: None, secrets: Arc::new(secrets) };
        let state = Mutex::new(State { current, renewal: Renewal::Idle, asked_at: None });
        TokenCache { shared: Arc::new(Shared { source, state, changes: watch::Sender::new(()) }) }
    }

    /// The token and its generation.
    #[must_use]
    pub fn current(&self) -> (SecretString, u64) {
        let state = self.shared.state();
        (state.current.token.clone(), state.current.generation)
    }

    /// Whether a request may be sent at `now`. Call this only with a request to send: if the token has expired, its
    /// source is asked for another. [`TokenCache::changes`] signals when to call it again.
    ///
    /// Call this within a runtime.
    #[must_use]
    pub fn status(&self, now: Now) -> TokenStatus {
        let mut state = self.shared.state();
        if state.renewal.allows_requests() && state.current.facts.has_expired(now.wall) {
            self.await_another(&mut state, now, "");
        }
        match &state.renewal {
            Renewal::Idle | Renewal::Early => TokenStatus::Valid,
            Renewal::Awaited { .. } => TokenStatus::Awaited,
            Renewal::Failed(error) => TokenStatus::Unavailable(Arc::clone(error)),
        }
    }

    /// Changes when a wait for a token has ended, with or without one.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changes.subscribe()
    }

    /// Waits for a valid token; returns it with its generation. If it is about to expire, this also asks the source for
    /// the next token.
    ///
    /// # Errors
    /// Why the source has no valid token.
    pub async fn token(&self, clock: &Clock) -> Result<(SecretString, u64), Arc<TokenError>> {
        let mut changes = self.changes();
        loop {
            let now = clock.now();
            match self.status(now) {
                TokenStatus::Valid => {
                    self.renew_early(now);
                    return Ok(self.current());
                }
                // The sender is in `self`.
                TokenStatus::Awaited => drop(changes.changed().await),
                TokenStatus::Unavailable(error) => return Err(error),
            }
        }
    }

    /// The API refused the token of this generation: no request starts until there is another. Returns whether this is
    /// its first refusal: requests in flight at the same time are refused, too.
    pub(super) fn refused(&self, generation: u64, message: &str, now: Now) -> bool {
        let mut state = self.shared.state();
        let is_first = generation >= state.current.generation && state.renewal.allows_requests();
        if is_first {
            self.await_another(&mut state, now, message);
        }
        is_first
    }

    fn await_another(&self, state: &mut State, now: Now, refusal: &str) {
        let is_asked = matches!(state.renewal, Renewal::Early);
        if let Some(source) = &self.shared.source {
            let supply = source.tokens.supply();
            let (until, pause) = (now.boot + supply.patience(), supply.first_pause());
            state.renewal = Renewal::Awaited { until, pause, refusal: refusal.to_owned() };
            if !is_asked {
                self.start_asking();
            }
        } else if let Some(at) = state.current.expired_at(now) {
            state.renewal = Renewal::Failed(Arc::new(TokenError::ExpiredInUse { at }));
        }
    }

    /// Without a new token the old one is used until it expires.
    fn renew_early(&self, now: Now) {
        let mut state = self.shared.state();
        let Some(source) = &self.shared.source else { return };
        let is_near = state.current.renew_at.is_some_and(|at| at <= now.wall);
        let was_asked = state.asked_at.is_some_and(|at| now.boot < at + source.tokens.supply().interval());
        if is_near && !was_asked && matches!(state.renewal, Renewal::Idle) {
            (state.renewal, state.asked_at) = (Renewal::Early, Some(now.boot));
            self.start_asking();
        }
    }

    fn start_asking(&self) {
        tokio::spawn(ask(Asking { shared: Arc::clone(&self.shared), is_done: false }));
    }

    /// What must not appear in any response: pieces of the token in use and of earlier ones.
    #[must_use]
    pub(super) fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.shared.state().current.secrets)
    }

    /// What the token in use says about itself.
    #[must_use]
    pub fn claims(&self) -> TokenFacts {
        self.shared.state().current.facts.clone()
    }

    /// The tenant of the tokens, if they or their source name it.
    #[must_use]
    pub fn tenant(&self) -> Option<String> {
        let hint = || self.shared.source.as_ref().and_then(|source| source.tokens.tenant_hint());
        self.claims().tenant.or_else(hint)
    }

    /// What its source is called, for people.
    #[must_use]
    pub fn source_name(&self) -> String {
        self.shared.source.as_ref().map_or_else(|| "BULK_TRIAGE_TOKEN".to_owned(), |source| source.tokens.name())
    }

    /// Whether a token that expires during a run is replaced without anybody's help.
    #[must_use]
    pub fn renews_itself(&self) -> bool {
        let supply = self.shared.source.as_ref().map(|source| source.tokens.supply());
        matches!(supply, Some(Supply::Issuer { .. }))
    }

    /// Whether the source may provide another token.
    #[must_use]
    pub fn can_be_renewed(&self) -> bool {
        self.shared.source.is_some()
    }

    /// Checks that the token in use is for this service, by its claims. From now on only tokens that pass this check
    /// replace it.
    ///
    /// # Errors
    /// If it is for another service, tenant or use.
    pub fn require(&self, needs: TokenNeeds) -> Result<(), TokenError> {
        let mut state = self.shared.state();
        state.current.facts.check(&needs)?;
        state.current.needs = Some(needs);
        Ok(())
    }
}

impl Shared {
    /// A panic elsewhere leaves the state consistent: it is replaced in one step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, state: &mut State, renewal: Renewal) {
        state.renewal = renewal;
        self.changes.send_replace(());
    }

    /// Handles what the source returned at `now`. Returns when to ask it again, if necessary.
    fn on_fetched(&self, source: &Source, found: Result<Token, TokenError>, now: Now) -> Option<BootTime> {
        let state = &mut *self.state();
        let found = found.and_then(|token| state.current.replace(token, now));
        if let Err(error) = &found {
            tracing::info!(error = %printable(&error.to_string()), "no new token");
        }
        let (until, pause, refusal) = match &mut state.renewal {
            Renewal::Awaited { until, pause, refusal } if !matches!(found, Ok(true)) => (*until, pause, &*refusal),
            _ => {
                self.end(state, Renewal::Idle);
                return None;
            }
        };
        let supply = source.tokens.supply();
        let may_change = match supply {
            Supply::Store => true,
            Supply::Issuer { .. } => found.as_ref().is_err_and(TokenError::is_temporary),
        };
        if may_change && now.boot < until {
            let waits = found.as_ref().err().map_or(*pause, |error| error.pause(*pause));
            *pause = supply.next_pause(*pause);
            return Some((now.boot + waits).min(until));
        }
        let is_same = found.is_ok();
        let from = source.tokens.name();
        let failure = match (found, state.current.expired_at(now)) {
            (Err(error), _) if !error.is_empty() => Some(error),
            (_, Some(at)) => Some(TokenError::NotRenewed { from, at }),
            // The service may have been wrong once: by its claims the token is valid.
            _ if is_same && state.current.facts.expires.is_some() => None,
            _ => Some(TokenError::Refused { from, message: refusal.clone() }),
        };
        self.end(state, failure.map_or(Renewal::Idle, |error| Renewal::Failed(Arc::new(error))));
        None
    }
}

/// What a token and its source say about it; and when to ask for the next one, if it was received at `now`.
fn facts_of(token: &Token, now: Option<Now>) -> (TokenFacts, Option<Timestamp>) {
    let claims = TokenFacts::read(token.text.expose_secret());
    // What the source says counts from this machine's clock, which may be wrong.
    let facts = TokenFacts { expires: token.expires.or(claims.expires), ..claims };
    let before_expiry = |expires: Timestamp, now: Now| {
        let lifetime = expires.duration_since(now.wall);
        expires.checked_sub(EARLY.min(lifetime / 4).max(SignedDuration::ZERO)).ok()
    };
    let by_expiry = facts.expires.zip(now).and_then(|(expires, now)| before_expiry(expires, now));
    (facts, token.refresh.or(by_expiry))
}

impl Renewal {
    /// Whether the token in use may be sent, if it has not expired.
    fn allows_requests(&self) -> bool {
        matches!(self, Renewal::Idle | Renewal::Early)
    }
}

impl CachedToken {
    /// When it expired, for people, if it has at `now`.
    fn expired_at(&self, now: Now) -> Option<String> {
        self.facts.expiry(now.wall).filter(|_| self.facts.has_expired(now.wall))
    }

    /// Replaces the token in use. Returns whether `token` is different.
    fn replace(&mut self, token: Token, now: Now) -> Result<bool, TokenError> {
        if token.text.expose_secret() == self.token.expose_secret() {
            return Ok(false);
        }
        let (facts, renew_at) = facts_of(&token, Some(now));
        let token = token.text;
        // The caller must stay the one that was shown before the prompt.
        for identity in [tenant_of as fn(&TokenFacts) -> String, caller_of] {
            let (found, wanted) = (identity(&facts), identity(&self.facts));
            if found.to_lowercase() != wanted.to_lowercase() {
                return Err(TokenError::OtherIdentity { found, wanted });
            }
        }
        // Else the source would be asked again at once, forever.
        if let Some(at) = facts.expiry(now.wall).filter(|_| facts.has_expired(now.wall)) {
            return Err(TokenError::NewExpired { at });
        }
        if let Some(needs) = &self.needs {
            facts.check(needs)?;
        }
        Arc::make_mut(&mut self.secrets).add(token.expose_secret());
        (self.token, self.facts, self.renew_at) = (token, facts, renew_at);
        self.generation += 1;
        Ok(true)
    }
}

/// The tenant of a token, for people.
fn tenant_of(facts: &TokenFacts) -> String {
    facts.tenant.as_ref().map_or_else(|| "no tenant".to_owned(), |tenant| format!("tenant {}", printable(tenant)))
}

/// The user or application of a token, for people.
fn caller_of(facts: &TokenFacts) -> String {
    facts.caller.as_ref().map_or_else(|| "no caller".to_owned(), |caller| printable(caller).into_owned())
}

/// The one task that asks the source.
struct Asking {
    shared: Arc<Shared>,
    is_done: bool,
}

/// Asks the source until it has another token, or none is needed.
async fn ask(mut asking: Asking) {
    let shared = Arc::clone(&asking.shared);
    let Some(source) = &shared.source else { return };
    loop {
        let found = source.tokens.fetch().await;
        match shared.on_fetched(source, found, source.clock.now()) {
            Some(at) => source.clock.sleep_until(at).await,
            None => break asking.is_done = true,
        }
    }
}

/// If its runtime ended or the source panicked, the next request starts a new renewal.
impl Drop for Asking {
    fn drop(&mut self) {
        if !self.is_done {
            self.shared.end(&mut self.shared.state(), Renewal::Idle);
        }
    }
}

#[cfg(test)]
mod tests;
