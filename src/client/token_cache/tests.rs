//! The cache over time, with a store and an issuer whose replies are scripted; the clock is paused.

use super::super::claims::ClaimsError;
use super::super::sign_in_error::SignInError;
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
    for (opened, renewed_after) in [("09:00:37", 55 * 60), ("09:40:37", 15 * 60), ("09:58:37", 90), ("10:00:29", 6)] {
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
        Renewal::Awaited { until: BootTime(1), pause: Supply::Store.first_pause(), refusal: String::new() };
    drop(ask(Asking { shared: Arc::clone(&tokens.shared), is_done: false }));
    assert!(changes.has_changed().expect("it is there") && matches!(tokens.status(store.now()), TokenStatus::Valid));
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
