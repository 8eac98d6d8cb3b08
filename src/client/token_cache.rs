//! Token cache: the token in use, and its renewal.
//!
//! A source is asked before the token expires, while requests still use it; and after it has expired or was refused,
//! while no request starts. One renewal at a time serves all who wait.
//!
//! Promises: nothing here shows a token, neither `Debug` nor an error; a token of another tenant or for another
//! service never replaces the one in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use super::claims::{TokenFacts, TokenNeeds};
use super::sign_in_error::SignInError;
use super::token_source::{Supply, Token, TokenError, TokenSource};
use super::token_text::token_in;
use crate::clock::{BootTime, Clock, Now};
use crate::text::{Secrets, printable};

/// A source is asked again this long before the token expires, or a quarter of its lifetime before, if that is less: it
/// may have a new one by then. MSAL uses the same five minutes.
const EARLY: SignedDuration = SignedDuration::from_mins(5);
/// How long a store is checked for a new token while no request starts: `az … >token` empties the file first.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// How often a store is checked for a new token.
const STORE_INTERVAL: Duration = Duration::from_millis(250);
/// How often an issuer is asked for a new token while the one in use is still valid.
const ISSUER_INTERVAL: Duration = Duration::from_secs(10);
/// The pauses of an issuer that can't serve a token for the moment: they double.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
        let until = source.clock.now().boot + source.limit();
        let mut pause = source.first_pause();
        loop {
            let found = source.tokens.fetch().await;
            let now = source.clock.now();
            match found {
                Err(error) if (error.is_empty() || error.is_temporary()) && now.boot < until => {
                    let at = (now.boot + error.pause(pause)).min(until);
                    source.clock.sleep_until(at).await;
                    pause = source.next_pause(pause);
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
            let (until, pause) = (now.boot + source.limit(), source.first_pause());
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
        let was_asked = state.asked_at.is_some_and(|at| now.boot < at + source.interval());
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
        let may_change = match source.tokens.supply() {
            Supply::Store => true,
            Supply::Issuer { .. } => found.as_ref().is_err_and(TokenError::is_temporary),
        };
        if may_change && now.boot < until {
            let waits = found.as_ref().err().map_or(*pause, |error| error.pause(*pause));
            *pause = source.next_pause(*pause);
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

impl Source {
    /// How long it is asked again, while no request starts.
    fn limit(&self) -> Duration {
        match self.tokens.supply() {
            Supply::Store => STORE_PATIENCE,
            Supply::Issuer { patience } => patience,
        }
    }

    fn first_pause(&self) -> Duration {
        match self.tokens.supply() {
            Supply::Store => STORE_INTERVAL,
            Supply::Issuer { .. } => FIRST_PAUSE,
        }
    }

    fn next_pause(&self, pause: Duration) -> Duration {
        match self.tokens.supply() {
            Supply::Store => pause,
            Supply::Issuer { .. } => (pause * 2).min(LONGEST_PAUSE),
        }
    }

    /// How often it is asked while the token in use is still valid.
    fn interval(&self) -> Duration {
        match self.tokens.supply() {
            Supply::Store => STORE_INTERVAL,
            Supply::Issuer { .. } => ISSUER_INTERVAL,
        }
    }
}

impl TokenError {
    /// The pause before the source is asked again: at least what its server asked for.
    fn pause(&self, pause: Duration) -> Duration {
        match self {
            TokenError::SignIn(SignInError::Unavailable { retry_after: Some(after), .. }) => pause.max(*after),
            _ => pause,
        }
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
        // Whoever was shown before the question is the one who changes the incidents.
        for (name, found, wanted) in
            [("tenant ", &facts.tenant, &self.facts.tenant), ("", &facts.caller, &self.facts.caller)]
        {
            let plain = |one: &Option<String>| one.as_ref().map(|one| one.to_lowercase());
            if plain(found) != plain(wanted) {
                let kind = if name.is_empty() { "caller" } else { "tenant" };
                let shown = |one: &Option<String>| {
                    one.as_ref().map_or_else(|| format!("no {kind}"), |one| format!("{name}{}", printable(one)))
                };
                return Err(TokenError::OtherIdentity { found: shown(found), wanted: shown(wanted) });
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
mod tests {
    use super::super::claims::ClaimsError;
    use super::super::token_source::BoxFuture;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// `{"tid":"72f988bf","upn":"ana@contoso.com","exp":1795514437}`: 2026-11-24T10:00:37Z.
    const JWT: &str =
        "eyJhbGciOiJub25lIn0.eyJ0aWQiOiI3MmY5ODhiZiIsInVwbiI6ImFuYUBjb250b3NvLmNvbSIsImV4cCI6MTc5NTUxNDQzN30.c2ln";
    /// The same an hour later.
    const LATER: &str =
        "eyJhbGciOiJub25lIn0.eyJ0aWQiOiI3MmY5ODhiZiIsInVwbiI6ImFuYUBjb250b3NvLmNvbSIsImV4cCI6MTc5NTUxODAzN30.c2ln";

    /// A source that returns what was last put into it, after a delay.
    #[derive(Clone, Debug)]
    struct Store(Arc<Held>);

    #[derive(Debug)]
    struct Held {
        text: Mutex<String>,
        takes: Mutex<Duration>,
        fetches: AtomicUsize,
        clock: Clock,
    }

    impl Store {
        /// Opened at this time.
        async fn holding(text: &str, time: &str) -> (Store, TokenCache) {
            let wall = time.parse().expect("a plain time");
            let clock = Clock::simulated(Now { boot: BootTime(0), wall }, "boot");
            let (text, takes) = (Mutex::new(text.to_owned()), Mutex::default());
            let store = Store(Arc::new(Held { text, takes, fetches: AtomicUsize::new(0), clock: clock.clone() }));
            let tokens = TokenCache::open(store.clone(), clock).await.expect("a token");
            (store, tokens)
        }

        fn put(&self, text: &str) {
            text.clone_into(&mut self.0.text.lock().expect("no panic"));
        }

        fn takes(&self, seconds: u64) {
            *self.0.takes.lock().expect("no panic") = Duration::from_secs(seconds);
        }

        fn now(&self) -> Now {
            self.0.clock.now()
        }

        /// How often it was asked since it was opened.
        fn fetches(&self) -> usize {
            self.0.fetches.load(Ordering::Relaxed) - 1
        }

        async fn sleep(&self, millis: u64) {
            self.0.clock.sleep_until(self.now().boot + Duration::from_millis(millis)).await;
        }

        /// The token that a request would be sent with.
        async fn token(&self, tokens: &TokenCache) -> Result<String, String> {
            let token = tokens.token(&self.0.clock).await;
            token.map(|(token, _)| token.expose_secret().to_owned()).map_err(|error| error.to_string())
        }

        fn refused(&self, tokens: &TokenCache, generation: u64, message: &str) -> bool {
            tokens.refused(generation, message, self.now())
        }
    }

    impl TokenSource for Store {
        fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
            Box::pin(async {
                self.0.fetches.fetch_add(1, Ordering::Relaxed);
                let takes = *self.0.takes.lock().expect("no panic");
                self.0.clock.sleep_until(self.now().boot + takes).await;
                let text = self.0.text.lock().expect("no panic");
                let found = token_in(text.as_bytes()).map(Token::from);
                found.map_err(|why| TokenError::Text { from: "the store".to_owned(), why })
            })
        }

        fn name(&self) -> String {
            "the store".to_owned()
        }
    }

    fn given(token: &str) -> TokenCache {
        TokenCache::given(&SecretString::from(token)).expect("a token")
    }

    #[test]
    fn jwt_gives_tenant_and_lifetime() {
        let tokens = given(&format!(" {JWT}\n"));
        let facts = tokens.claims();
        assert_eq!((facts.tenant.as_deref(), tokens.tenant().as_deref()), (Some("72f988bf"), Some("72f988bf")));
        assert_eq!(facts.caller.as_deref(), Some("ana@contoso.com"));
        assert_eq!(facts.expires, Some("2026-11-24T10:00:37Z".parse().expect("a plain time")));
        assert_eq!(tokens.current().0.expose_secret(), JWT);
    }

    /// At the smaller of five minutes and a quarter of its lifetime before the end.
    #[tokio::test(start_paused = true)]
    async fn token_is_renewed_before_it_expires() {
        for (opened, renewed_after) in [("09:00:37", 55 * 60), ("09:40:37", 15 * 60), ("09:58:37", 90), ("10:00:29", 6)]
        {
            let (store, tokens) = Store::holding(JWT, &format!("2026-11-24T{opened}Z")).await;
            store.put(LATER);
            store.sleep(renewed_after * 1_000 - 1).await;
            assert_eq!(store.token(&tokens).await.as_deref(), Ok(JWT));
            store.sleep(1).await;
            assert_eq!((tokens.current().1, store.fetches()), (0, 0), "{opened}: not yet");
            assert_eq!(store.token(&tokens).await.as_deref(), Ok(JWT), "the source is asked meanwhile");
            store.sleep(1).await;
            assert_eq!((store.token(&tokens).await.as_deref(), tokens.current().1), (Ok(LATER), 1), "{opened}");
        }
    }

    /// The source takes 10 s of the 15 s that are left.
    #[tokio::test(start_paused = true)]
    async fn slow_source_holds_up_no_valid_token() {
        let (store, tokens) = Store::holding(JWT, "2026-11-24T09:59:37Z").await;
        store.put(LATER);
        store.takes(10);
        for second in 0..70 {
            let began = store.now();
            let token = store.token(&tokens).await;
            assert_eq!(store.now(), began, "nothing waits");
            assert_eq!(token.as_deref(), Ok(if second <= 55 { JWT } else { LATER }), "{second}");
            assert!(matches!(tokens.status(store.now()), TokenStatus::Valid));
            store.sleep(1_000).await;
        }
        assert_eq!(store.fetches(), 1);
    }

    /// It expires during the renewal: all wait for the same reply.
    #[tokio::test(start_paused = true)]
    async fn source_is_asked_once_for_all() {
        let (store, tokens) = Store::holding(JWT, "2026-11-24T10:00:30Z").await;
        store.put(LATER);
        store.takes(30);
        store.sleep(6_000).await;
        assert_eq!(store.token(&tokens).await.as_deref(), Ok(JWT));
        store.sleep(1_000).await;
        assert!(matches!(tokens.status(store.now()), TokenStatus::Awaited));
        let both = tokio::join!(store.token(&tokens), store.token(&tokens));
        assert_eq!(both, (Ok(LATER.to_owned()), Ok(LATER.to_owned())));
        assert_eq!((store.fetches(), store.now().boot), (1, BootTime(36_000_000)));
        // Unsuccessful early renewals run once every 250 ms.
        let (store, tokens) = Store::holding(JWT, "2026-11-24T10:00:30Z").await;
        store.sleep(5_250).await;
        for _ in 0..20 {
            assert_eq!(store.token(&tokens).await.as_deref(), Ok(JWT));
            store.sleep(50).await;
        }
        assert_eq!(store.fetches(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn new_token_may_be_five_seconds_late() {
        for late in [0, 1, 2_000, 4_999, 5_000] {
            let (store, tokens) = Store::holding("the-first-token", "2026-11-24T10:00:00Z").await;
            store.put(if late > 1 { "" } else { "the-first-token" });
            if late == 0 {
                store.put("the-second-token");
            }
            assert!(store.refused(&tokens, 0, "expired"));
            assert!(!store.refused(&tokens, 0, "expired"), "a concurrent refusal is not the first");
            let renewed = async {
                store.sleep(late).await;
                store.put("the-second-token");
            };
            let (token, ()) = tokio::join!(store.token(&tokens), renewed);
            assert_eq!((token.as_deref(), tokens.current().1), (Ok("the-second-token"), 1), "{late}");
            let took = u64::try_from(store.now().boot.0 / 1_000).expect("later");
            assert!((late..=late + 250).contains(&took), "{late}: taken at {took}");
            assert!(!store.refused(&tokens, 0, "expired"), "a late response to the first one");
            assert!(store.refused(&tokens, 1, "expired"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unrenewed_token_is_given_up_after_five_seconds() {
        for left in ["the-first-token", ""] {
            let (store, tokens) = Store::holding("the-first-token", "2026-11-24T10:00:00Z").await;
            store.put(left);
            assert!(store.refused(&tokens, 0, "it has expired"));
            let error = store.token(&tokens).await.expect_err("no valid token");
            assert_eq!(error, "the store has no new token; the old one was refused: it has expired");
            assert_eq!((store.now().boot, store.fetches()), (BootTime(5_000_000), 21));
            assert!(matches!(tokens.status(store.now()), TokenStatus::Unavailable(_)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn expired_token_is_not_used() {
        let (store, tokens) = Store::holding(JWT, "2026-11-24T10:00:36Z").await;
        assert!(matches!(tokens.status(store.now()), TokenStatus::Valid));
        store.sleep(999).await;
        assert_eq!(store.token(&tokens).await.as_deref(), Ok(JWT));
        store.put("");
        store.sleep(1).await;
        assert!(matches!(tokens.status(store.now()), TokenStatus::Awaited));
        let renewed = async {
            store.sleep(3_000).await;
            store.put(LATER);
        };
        assert_eq!(tokio::join!(store.token(&tokens), renewed).0.as_deref(), Ok(LATER));

        for left in [JWT, ""] {
            let (store, tokens) = Store::holding(JWT, "2026-11-24T10:00:37Z").await;
            store.put(left);
            let error = store.token(&tokens).await.expect_err("it isn't renewed");
            assert_eq!(error, "the store has no new token; the old one expired at 10:00 UTC");
            assert_eq!(store.now().boot, BootTime(5_000_000));
        }
        let TokenStatus::Unavailable(error) = given(JWT).status(store.now()) else { panic!("it has expired") };
        assert_eq!(error.to_string(), "the token expired at 10:00 UTC");
    }

    /// By its claims it is valid: the service may be wrong once.
    #[tokio::test(start_paused = true)]
    async fn refused_valid_token_is_tried_once_more() {
        let (store, tokens) = Store::holding(JWT, "2026-11-24T09:00:00Z").await;
        assert!(store.refused(&tokens, 0, "no"));
        assert_eq!(store.token(&tokens).await.as_deref(), Ok(JWT));
        assert_eq!(store.now().boot, BootTime(5_000_000));
        assert!(store.refused(&tokens, 0, "no"), "again");
        let tokens = given("opaque");
        for _ in 0..2 {
            assert!(store.refused(&tokens, 0, "no"));
            assert!(matches!(tokens.status(store.now()), TokenStatus::Valid));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn token_of_another_caller_is_rejected() {
        // {"tid":"72f988bf","upn":"bob@contoso.com"}
        let other = "e30.eyJ0aWQiOiI3MmY5ODhiZiIsInVwbiI6ImJvYkBjb250b3NvLmNvbSJ9.c2ln";
        let (store, tokens) = Store::holding(JWT, "2026-11-24T10:00:00Z").await;
        store.put(other);
        assert!(store.refused(&tokens, 0, "no"));
        let error = store.token(&tokens).await;
        assert_eq!(error, Err("the new token is for bob@contoso.com, not for ana@contoso.com".to_owned()));
        assert_eq!(tokens.current().0.expose_secret(), JWT);
    }

    #[tokio::test(start_paused = true)]
    async fn token_of_another_tenant_is_rejected() {
        for (other, found) in [("opaque", "no tenant"), ("a.eyJ0aWQiOiJvdGhlciJ9.c", "tenant other")] {
            let (store, tokens) = Store::holding(JWT, "2026-11-24T10:00:00Z").await;
            store.put(other);
            assert!(store.refused(&tokens, 0, "no"));
            let error = store.token(&tokens).await;
            assert_eq!(error, Err(format!("the new token is for {found}, not for tenant 72f988bf")), "{other}");
            assert_eq!(tokens.current().0.expose_secret(), JWT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn renewed_token_for_another_service_is_refused() {
        // {"aud":"ours","roles":["Write"]} and {"aud":"theirs","roles":["Write"]}
        let ours = "e30.eyJhdWQiOiJvdXJzIiwicm9sZXMiOlsiV3JpdGUiXX0.c2ln";
        let theirs = "e30.eyJhdWQiOiJ0aGVpcnMiLCJyb2xlcyI6WyJXcml0ZSJdfQ.c2ln";
        let needs = || TokenNeeds {
            audiences: vec!["ours".to_owned()],
            permissions: vec!["Write".to_owned()],
            tenant: None,
            is_opaque: false,
        };
        let (store, tokens) = Store::holding(ours, "2026-11-24T10:00:00Z").await;
        tokens.require(needs()).expect("is ours");
        store.put(theirs);
        assert!(store.refused(&tokens, 0, "no"));
        let error = tokens.token(&store.0.clock).await.expect_err("is theirs");
        assert!(matches!(*error, TokenError::Claims(ClaimsError::Audience { .. })), "{error}");
        assert_eq!(tokens.current().0.expose_secret(), ours);
        assert!(given(theirs).require(needs()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn empty_source_is_awaited_at_the_start() {
        let (store, _) = Store::holding("the-token", "2026-11-24T10:00:00Z").await;
        store.put("");
        let renewed = async {
            store.sleep(2_900).await;
            store.put("the-token");
        };
        let (tokens, ()) = tokio::join!(TokenCache::open(store.clone(), store.0.clock.clone()), renewed);
        assert_eq!((tokens.expect("a token").current().1, store.now().boot), (0, BootTime(3_000_000)));
        store.put("");
        let error = TokenCache::open(store.clone(), store.0.clock.clone()).await.expect_err("stays empty");
        assert!(error.is_empty() && store.now().boot == BootTime(8_000_000), "{error}");
        store.put("null");
        assert!(TokenCache::open(store.clone(), store.0.clock.clone()).await.is_err());
        assert_eq!(store.now().boot, BootTime(8_000_000), "a malformed token is not an empty file");
    }

    /// The runtime in which it was asked has ended.
    #[tokio::test(start_paused = true)]
    async fn dropped_renewal_can_begin_anew() {
        let (store, tokens) = Store::holding("the-first-token", "2026-11-24T10:00:00Z").await;
        store.put("the-second-token");
        let mut changes = tokens.changes();
        tokens.shared.state().renewal =
            Renewal::Awaited { until: BootTime(1), pause: STORE_INTERVAL, refusal: String::new() };
        drop(ask(Asking { shared: Arc::clone(&tokens.shared), is_done: false }));
        assert!(
            changes.has_changed().expect("it is there") && matches!(tokens.status(store.now()), TokenStatus::Valid)
        );
        changes.mark_unchanged();
        assert!(store.refused(&tokens, 0, "no"));
        assert_eq!(store.token(&tokens).await.as_deref(), Ok("the-second-token"));
    }

    /// A server that gives tokens: what it replies, in this order, and then the last reply again and again.
    #[derive(Clone, Debug)]
    struct Issuer(Arc<(Mutex<Vec<Reply>>, AtomicUsize)>);

    #[derive(Clone, Copy, Debug)]
    enum Reply {
        /// A token that lives for this many seconds.
        Token(&'static str, i64),
        /// It can't serve one, and may ask to wait for this many seconds.
        Busy(Option<u64>),
        Refused,
    }

    impl Issuer {
        fn new(replies: &[Reply]) -> Issuer {
            Issuer(Arc::new((Mutex::new(replies.iter().rev().copied().collect()), AtomicUsize::new(0))))
        }

        fn asked(&self) -> usize {
            self.0.1.load(Ordering::Relaxed)
        }
    }

    const PATIENCE: Duration = Duration::from_mins(1);

    impl TokenSource for Issuer {
        fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
            self.0.1.fetch_add(1, Ordering::Relaxed);
            let mut replies = self.0.0.lock().expect("no panic");
            let last = *replies.last().expect("a reply");
            if replies.len() > 1 {
                replies.pop();
            }
            let (from, message) = ("login.example".to_owned(), "no".to_owned());
            let found = match last {
                Reply::Token(text, seconds) => {
                    let start: Timestamp = "2026-11-24T10:00:00Z".parse().expect("a time");
                    let expires = Some(start + SignedDuration::from_secs(seconds));
                    Ok(Token { text: SecretString::from(text), expires, refresh: None })
                }
                Reply::Busy(after) => {
                    let retry_after = after.map(Duration::from_secs);
                    Err(SignInError::Unavailable { from, message, retry_after }.into())
                }
                Reply::Refused => Err(SignInError::refused(from, message).into()),
            };
            Box::pin(std::future::ready(found))
        }

        fn name(&self) -> String {
            "login.example".to_owned()
        }

        fn supply(&self) -> Supply {
            Supply::Issuer { patience: PATIENCE }
        }
    }

    fn ten_o_clock() -> Clock {
        let wall = "2026-11-24T10:00:00Z".parse().expect("a time");
        Clock::simulated(Now { boot: BootTime(0), wall }, "boot")
    }

    #[tokio::test(start_paused = true)]
    async fn busy_issuer_is_asked_again_within_patience() {
        let token = Reply::Token("opaque", 3_600);
        for (replies, seconds, asked) in [
            (&[Reply::Busy(None), token][..], 1, 2),
            (&[Reply::Busy(None), Reply::Busy(None), Reply::Busy(None), token][..], 7, 4),
            (&[Reply::Busy(Some(20)), token][..], 20, 2),
        ] {
            let (issuer, clock) = (Issuer::new(replies), ten_o_clock());
            TokenCache::open(issuer.clone(), clock.clone()).await.expect("a token at last");
            assert_eq!((clock.now().boot, issuer.asked()), (BootTime(seconds * 1_000_000), asked), "{replies:?}");
        }
        for (reply, seconds, asked) in
            [(Reply::Busy(None), 60, 7), (Reply::Busy(Some(3_600)), 60, 2), (Reply::Refused, 0, 1)]
        {
            let (issuer, clock) = (Issuer::new(&[reply]), ten_o_clock());
            let error = TokenCache::open(issuer.clone(), clock.clone()).await.expect_err("no token");
            assert_eq!(error.is_temporary(), seconds > 0);
            assert_eq!((clock.now().boot, issuer.asked()), (BootTime(seconds * 1_000_000), asked), "{reply:?}");
        }
    }

    /// An hour's token is renewed five minutes before, by one request; while the issuer is down, the valid one is used.
    #[tokio::test(start_paused = true)]
    async fn issuer_that_is_down_delays_nothing() {
        let (first, second) = (Reply::Token("first", 3_600), Reply::Token("second", 7_200));
        let busy = [Reply::Busy(None); 12];
        let (issuer, clock) = (Issuer::new(&[&[first][..], &busy, &[second]].concat()), ten_o_clock());
        let tokens = TokenCache::open(issuer.clone(), clock.clone()).await.expect("a token");
        for second in 0..3_600 {
            let (token, _) = tokens.token(&clock).await.expect("valid");
            let renewed = second > 3_300 + 120;
            assert_eq!(token.expose_secret(), if renewed { "second" } else { "first" }, "{second}");
            assert_eq!(clock.now().boot, BootTime(second * 1_000_000), "nothing waits");
            clock.sleep_until(BootTime((second + 1) * 1_000_000)).await;
        }
        assert_eq!(issuer.asked(), 14, "every ten seconds");
    }

    /// A metadata service returns the token that it keeps.
    #[tokio::test(start_paused = true)]
    async fn refused_token_of_issuer_is_replaced_at_once() {
        let replies = [Reply::Token("first", 3_600), Reply::Token("second", 7_200)];
        let (issuer, clock) = (Issuer::new(&replies), ten_o_clock());
        let tokens = TokenCache::open(issuer.clone(), clock.clone()).await.expect("a token");
        assert!(tokens.renews_itself() && tokens.refused(0, "no", clock.now()));
        assert_eq!(tokens.token(&clock).await.expect("another").0.expose_secret(), "second");
        assert!(tokens.refused(1, "no", clock.now()));
        // By its claims it is valid, so it is tried once more.
        assert_eq!(tokens.token(&clock).await.expect("the same").0.expose_secret(), "second");
        assert_eq!((clock.now().boot, issuer.asked()), (BootTime(0), 3));
    }

    /// One of the two clocks is wrong.
    #[tokio::test(start_paused = true)]
    async fn issuer_of_expired_tokens_is_asked_once() {
        let replies = [Reply::Token("first", 60), Reply::Token("second", 50), Reply::Token("third", 50)];
        let (issuer, clock) = (Issuer::new(&replies), ten_o_clock());
        let tokens = TokenCache::open(issuer.clone(), clock.clone()).await.expect("a token");
        clock.sleep_until(BootTime(60_000_000)).await;
        let error = tokens.token(&clock).await.expect_err("it has expired, too").to_string();
        assert_eq!(error, "the new token had expired when it was received: at 10:00 UTC");
        assert_eq!((clock.now().boot, issuer.asked()), (BootTime(60_000_000), 2));
    }

    #[test]
    fn debug_output_hides_the_token() {
        assert!(!format!("{:?}", given(JWT)).contains("eyJ"));
    }
}
