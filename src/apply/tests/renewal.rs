//! Renewal: the token expires during a run, and the next one is late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrecy::SecretString;

use super::reading::{OneByOne, get, run};
use super::stage::{Stage, resolve, since_start, willing};
use crate::apply::{Completion, StopReason};
use crate::client::{BoxFuture, SignInError, Supply, Token, TokenCache, TokenError, TokenSource, TokenTextError};
use crate::clock::Clock;
use crate::model::change::Change;

/// Expires 2 s after the start of the stage's clock.
const ENDS: &str = "e30.eyJleHAiOjE3OTU1MTQ0MDJ9.c2ln";
/// Expires an hour later.
const NEXT: &str = "e30.eyJleHAiOjE3OTU1MTgwMDB9.c2ln";

/// A token file that is empty for `by` milliseconds after its token expires.
#[derive(Debug)]
struct Late {
    clock: Clock,
    by: i64,
}

impl TokenSource for Late {
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        let found = match since_start(self.clock.now().boot) {
            ..2_000 => Ok(SecretString::from(ENDS).into()),
            now if now >= 2_000 + self.by => Ok(SecretString::from(NEXT).into()),
            _ => Err(TokenError::Text { from: "the token file".to_owned(), why: TokenTextError::Empty }),
        };
        Box::pin(std::future::ready(found))
    }

    fn name(&self) -> String {
        "the token file".to_owned()
    }
}

async fn stage(by: i64) -> Stage {
    let mut stage = Stage::new();
    // 40 rows, one every 100 ms, take 4 s.
    stage.settings.concurrency = 1;
    let clock = stage.clock.clone();
    let tokens = TokenCache::open(Late { clock: clock.clone(), by }, clock).await;
    stage.tokens = Arc::new(tokens.expect("a token"));
    stage
}

fn rows() -> Vec<Change> {
    (1..=40).map(resolve).collect()
}

#[tokio::test(start_paused = true)]
async fn token_five_seconds_late_costs_only_time() {
    for by in [0, 1, 250, 1_700, 4_900, 5_000, 5_001, 7_500, 10_000] {
        let mut stage = stage(by).await;
        let (ends, wire, run) = stage.send(&rows(), willing()).await;
        let times = wire.times();
        let in_time = times.iter().filter(|at| **at < 2_000).count();
        assert_eq!(in_time, 20, "{by}: {times:?}");
        let left = ends.journal.pending(&run, 0, 99).expect("reads").len();
        if by <= 5_000 {
            assert_eq!((ends.completion, ends.requests.calls, left), (Completion::Finished, 40, 0), "{by}");
            let first = times[20];
            assert!((2_000 + by..=2_250 + by).contains(&first), "{by}: {first}");
            // The wait used no permit and no attempt: a row is sent every 100 ms, as before.
            assert_eq!(times.last(), Some(&(first + 1_900)), "{by}");
        } else {
            let message = "the token file has no new token; the old one expired at 10:00 UTC".to_owned();
            assert_eq!(ends.completion, Completion::Stopped(StopReason::NotRenewed { message }), "{by}");
            assert_eq!((ends.requests.calls, left, stage.now()), (20, 20, 7_000), "{by}");
        }
    }
}

/// A server whose first token expires after 2 s, and that is down then, for `by` milliseconds.
#[derive(Debug)]
struct Down(Late);

const PATIENCE: Duration = Duration::from_secs(10);

impl TokenSource for Down {
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(async {
            self.0.fetch().await.map_err(|_| {
                let (from, message) = ("login.example".to_owned(), "status 503".to_owned());
                SignInError::Unavailable { from, message, retry_after: None }.into()
            })
        })
    }

    fn name(&self) -> String {
        "login.example".to_owned()
    }

    fn supply(&self) -> Supply {
        Supply::Issuer { patience: PATIENCE }
    }
}

#[tokio::test(start_paused = true)]
async fn sign_in_down_for_long_stops_resumably() {
    for (by, is_over) in [(6_000, true), (20_000, false)] {
        let mut stage = stage(by).await;
        let clock = stage.clock.clone();
        let tokens = TokenCache::open(Down(Late { clock: clock.clone(), by }), clock).await;
        stage.tokens = Arc::new(tokens.expect("a token"));
        let (ends, wire, run) = stage.send(&rows(), willing()).await;
        let left = ends.journal.pending(&run, 0, 99).expect("reads").len();
        if is_over {
            assert_eq!((ends.completion, wire.times().len(), left), (Completion::Finished, 40, 0));
        } else {
            let message = "no token from login.example: status 503".to_owned();
            assert_eq!(ends.completion, Completion::Stopped(StopReason::SignInDown { message }));
            assert_eq!((ends.requests.calls, left, stage.now()), (20, 20, 12_000));
        }
    }
}

/// Tokens of an hour, each fetched in 20 s, from a server that has down times of seven minutes.
#[derive(Debug)]
struct Hourly {
    clock: Clock,
    fetched: Arc<AtomicUsize>,
}

impl TokenSource for Hourly {
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(async {
            let began = self.clock.now();
            self.clock.sleep_until(began.boot + Duration::from_secs(20)).await;
            // Down from minute 52 of each hour: when the token is renewed, and for four minutes.
            if since_start(began.boot) % 3_600_000 / 60_000 >= 52 {
                let (from, message) = ("login.example".to_owned(), "status 503".to_owned());
                return Err(SignInError::Unavailable { from, message, retry_after: None }.into());
            }
            let number = self.fetched.fetch_add(1, Ordering::Relaxed);
            let expires = self.clock.now().wall.checked_add(Duration::from_hours(1)).ok();
            Ok(Token { text: format!("token-{number}").into(), expires, refresh: None })
        })
    }

    fn name(&self) -> String {
        "login.example".to_owned()
    }

    fn supply(&self) -> Supply {
        Supply::Issuer { patience: Duration::from_mins(10) }
    }
}

/// 500 rows of 25 a minute and 167 an hour: the last hour begins after three.
#[tokio::test(start_paused = true)]
async fn three_hours_need_one_token_an_hour() {
    let mut stage = Stage::new();
    stage.settings.quota = "25/1m,160/1h".parse().expect("a quota");
    let (clock, fetched) = (stage.clock.clone(), Arc::new(AtomicUsize::new(0)));
    let tokens = TokenCache::open(Hourly { clock: clock.clone(), fetched: Arc::clone(&fetched) }, clock).await;
    stage.tokens = Arc::new(tokens.expect("a token"));
    let changes: Vec<_> = (1..=500).map(resolve).collect();
    let (ends, wire, _) = stage.send(&changes, willing()).await;
    assert_eq!((ends.completion, ends.requests.calls, wire.times().len()), (Completion::Finished, 500, 500));
    assert!(stage.now() > 3 * 3_600_000, "{}", stage.now());
    let longest = usize::try_from(stage.now() / 3_300_000).expect("positive") + 1;
    let fetched = fetched.load(Ordering::Relaxed);
    assert!((2..=longest).contains(&fetched), "{fetched} tokens in {} ms", stage.now());
}

#[tokio::test(start_paused = true)]
async fn reads_wait_for_a_late_token_too() {
    for (by, over) in [(3_000, true), (6_000, false)] {
        let mut stage = stage(by).await;
        let mut reader = OneByOne::new(40);
        let (ends, wire) = run(&mut stage, &mut reader, get()).await;
        let times = wire.times();
        assert!(times.iter().all(|at| *at < 2_000 || *at >= 2_000 + by), "{times:?}");
        assert_eq!(ends.completion == Completion::Finished, over, "{:?}", ends.completion);
        assert_eq!(times.len(), if over { 40 } else { 20 });
    }
}

#[tokio::test(start_paused = true)]
async fn stop_works_during_the_wait_for_token() {
    let mut stage = stage(4_000).await;
    let (stop, clock) = (stage.stop.clone(), stage.clock.clone());
    let at = clock.now().boot + Duration::from_millis(3_100);
    tokio::spawn(async move {
        clock.sleep_until(at).await;
        stop.send_replace(true);
    });
    let (ends, wire, _) = stage.send(&rows(), willing()).await;
    assert_eq!(ends.completion, Completion::Stopped(StopReason::Requested));
    assert_eq!((wire.seen().len(), stage.now()), (20, 3_100));
}

/// The time of the next request, computed before the wait, is replaced.
#[tokio::test(start_paused = true)]
async fn pace_is_reported_during_wait_for_token() {
    let mut stage = stage(4_000).await;
    // The next request is due at 3 s; the token ends at 2 s and its successor comes at 6 s.
    stage.settings.quota = "1/3s".parse().expect("a quota");
    let (ends, wire, _) = stage.send(&[resolve(1), resolve(2)], willing()).await;
    assert_eq!(ends.completion, Completion::Finished);
    let second = wire.times()[1];
    assert!((6_000..=6_250).contains(&second), "{second}");
    let waits: Vec<_> = stage.recorder.paces().into_iter().filter(|(at, _)| (3_200..second).contains(at)).collect();
    let is_current = |next: jiff::Timestamp| next.as_millisecond() - stage.clock.now().wall.as_millisecond();
    assert!(!waits.is_empty(), "no pace is reported while the token is awaited");
    for (at, pace) in waits {
        assert!(pace.next_call.is_none_or(|next| is_current(next) + stage.now() > at), "{at}: {pace:?}");
    }
}
