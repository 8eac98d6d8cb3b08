//! Tokens that expire while rows are sent, and whose successors come late.
//!
//! Promises: the service accepts a token until its expiry; the source has the next one 0 to 10 s after that, and until
//! then the old one or nothing.

use std::sync::Arc;
use std::time::Duration;

use bulk_triage::client::{BoxFuture, Token, TokenCache, TokenError, TokenSource, TokenTextError};
use bulk_triage::clock::Clock;
use jiff::Timestamp;
use secrecy::SecretString;

use super::scenario::Scenario;
use super::world::World;
use crate::tokens::jwt;

/// A process may wait this long for a new token.
const MUST_WAIT: Duration = Duration::from_secs(5);

/// When tokens expire, and when the next ones come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renewals {
    /// When the first one expires, in seconds of the world's time.
    first_s: u64,
    /// How long each of the others lives. The last one never expires.
    lives_s: u64,
    count: u64,
    late: Duration,
    /// Whether a token states its expiry.
    is_jwt: bool,
    /// Whether the source has nothing, rather than the old token, until the next one comes.
    is_emptied: bool,
}

impl Renewals {
    pub(super) fn draw(rng: &mut fastrand::Rng, may_say_its_end: bool) -> Renewals {
        Renewals {
            first_s: rng.u64(1..=40),
            lives_s: rng.u64(20..=120),
            count: rng.u64(1..=3),
            late: Duration::from_millis(rng.u64(0..=10_000)),
            is_jwt: may_say_its_end && rng.bool(),
            is_emptied: rng.bool(),
        }
    }

    /// The expiry of a token, if it has one.
    fn end(&self, number: u64) -> Option<Duration> {
        (number < self.count).then(|| Duration::from_secs(self.first_s + number * self.lives_s))
    }

    fn text(&self, number: u64) -> String {
        if !self.is_jwt {
            return format!("opaque-token-{number}");
        }
        let began: Timestamp = World::BEGAN.parse().expect("a time");
        let lives = self.end(number).unwrap_or(Duration::from_hours(10_000));
        let end = began.as_second() + i64::try_from(lives.as_secs()).expect("some hours");
        jwt(&format!(r#"{{"exp":{end}}}"#))
    }

    /// The token that the source has.
    fn held(&self, now: Duration) -> Option<u64> {
        let ended = (0..self.count).filter_map(|number| self.end(number)).filter(|end| *end <= now);
        let Some((last, number)) = ended.zip(1..).last() else { return Some(0) };
        if now >= last + self.late { Some(number) } else { (!self.is_emptied).then_some(number - 1) }
    }

    /// Whether the service accepts this token.
    fn takes(&self, token: &str, now: Duration) -> bool {
        (0..=self.count).any(|number| self.text(number) == token && self.end(number).is_none_or(|end| now < end))
    }

    /// Whether a run that lasts until the next token comes must continue with it.
    pub(super) fn must_be_waited_for(&self) -> bool {
        self.late <= MUST_WAIT
    }
}

impl Scenario {
    /// Whether the service accepts this token.
    pub(super) fn takes(&self, token: &str, now: Duration) -> bool {
        self.renewals.is_none_or(|renewals| renewals.takes(token, now))
    }

    /// Whether a token states its expiry: then it is not sent afterwards.
    pub(super) fn says_its_end(&self) -> bool {
        self.renewals.is_some_and(|renewals| renewals.is_jwt)
    }
}

#[derive(Debug)]
struct Source(Arc<World>);

impl TokenSource for Source {
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        let renewals = self.0.scenario.renewals.expect("a source is made for them");
        let found = match renewals.held(self.0.time()) {
            Some(number) => Ok(SecretString::from(renewals.text(number)).into()),
            None => Err(TokenError::Text { from: "the token file".to_owned(), why: TokenTextError::Empty }),
        };
        Box::pin(std::future::ready(found))
    }

    fn name(&self) -> String {
        "the token file".to_owned()
    }
}

/// The tokens of a start; `None`: there is none.
pub(super) async fn tokens(world: &Arc<World>, clock: &Clock) -> Option<TokenCache> {
    if world.scenario.renewals.is_none() {
        return Some(TokenCache::given(&"a-token".to_owned().into()).expect("a token"));
    }
    TokenCache::open(Source(Arc::clone(world)), clock.clone()).await.ok()
}
