//! The service, as far as a whole run is concerned: its health, its pauses after a 429, the token it takes.
//!
//! Whoever makes calls asks how many may go, and is told what follows for all of them when one has ended.

use std::time::Duration;

use jiff::Timestamp;

use super::StopReason;
use super::events::Event;
use super::health::{Health, HealthEvent};
use crate::client::{Renewal, TokenCache, TokenError};
use crate::clock::{BootTime, Now};
use crate::model::call::{CallResult, Resume, Verdict};
use crate::model::permit::{LONGEST_PAUSE, Pause};
use crate::model::quota_spec::Quota;

/// What is known of the service.
#[derive(Debug)]
pub(super) struct ServiceState {
    pub(super) health: Health,
    patience: Duration,
    longest_window: Duration,
    shortest_window: Duration,
    /// End of the pause after a time that had just passed, while nothing else has been answered since.
    just_passed: Option<BootTime>,
    /// The end of a pause; the journal keeps a day of it at most.
    own_pause: Option<BootTime>,
    told_pause: Option<BootTime>,
    token_generation: u64,
    renewal: Option<Awaited>,
    /// The 429s that came.
    pub(super) throttled: u64,
}

/// A new token that is waited for; until then no call starts.
#[derive(Debug)]
struct Awaited {
    /// The token that was refused or has expired.
    generation: u64,
    /// The source is asked again at this time.
    next: BootTime,
    /// And for the last time at this one.
    until: BootTime,
    /// What the service said of the old one.
    message: String,
}

/// What renews a token may take so long: `az … >token` empties the file first.
const RENEWAL: Duration = Duration::from_secs(5);
/// The source is asked again this often.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// What follows for all calls.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// What is told.
    pub(super) event: Option<Event>,
    /// No new call is made.
    pub(super) stop: Option<StopReason>,
    /// It was the service: the tries of this streak do not count.
    pub(super) forgives: bool,
}

/// The pause if a time that was named has just passed: one call tries it out then.
const JUST_PASSED: Duration = Duration::from_secs(1);

impl ServiceState {
    pub(super) fn new(quota: &Quota, patience: Duration) -> ServiceState {
        ServiceState {
            health: Health::new(patience),
            patience,
            longest_window: quota.longest(),
            shortest_window: quota.shortest(),
            just_passed: None,
            own_pause: None,
            told_pause: None,
            token_generation: 0,
            renewal: None,
            throttled: 0,
        }
    }

    /// Until when the journal's own pause does not tell all, or a new token is waited for: nothing goes before.
    pub(super) fn own_pause(&mut self, now: BootTime) -> Option<BootTime> {
        self.own_pause = self.own_pause.filter(|until| now < *until);
        self.own_pause.max(self.renewal.as_ref().map(|awaited| awaited.next))
    }

    /// `at`, or the end of the pause where that is later.
    pub(super) fn not_before_pause(&self, at: BootTime) -> BootTime {
        let ends = [self.own_pause, self.renewal.as_ref().map(|awaited| awaited.next)];
        ends.into_iter().flatten().fold(at, BootTime::max)
    }

    /// Until when the scope pauses because of a response, as the journal keeps it: a 429, or another one that is retried
    /// and names a time.
    pub(super) fn pause(&mut self, answer: &CallResult, at: Now) -> Option<(BootTime, Effects)> {
        let resume = match (&answer.verdict, answer.resume) {
            (Verdict::Throttled { resume }, _) => {
                self.throttled += 1;
                *resume
            }
            (Verdict::Transient { .. }, Some(resume)) => Some(resume),
            _ => {
                self.just_passed = self.just_passed.filter(|until| at.boot < *until);
                return None;
            }
        };
        let until = self.resumes_at(resume, at);
        let mut follows = Effects::default();
        let wall: Timestamp = at.wall_at(until);
        follows.stop = self.is_too_long(until, at);
        if self.own_pause.is_none_or(|own| own < until) {
            self.own_pause = Some(until);
        }
        // Told again only where it is worth a line.
        if self.told_pause.is_none_or(|told| until > told + Duration::from_secs(1)) {
            self.told_pause = Some(until);
            // One time is named, not a passed one beside it.
            let has_passed = resume == Some(Resume::JustPassed);
            let message = if has_passed { "the time that the response names has just passed" } else { &answer.message };
            let message = message.to_owned();
            follows.event = Some(match answer.verdict {
                Verdict::Throttled { .. } => Event::Throttled { until: wall, message },
                _ => Event::Busy { until: wall, message },
            });
        }
        Some((until.min(at.boot + LONGEST_PAUSE), follows))
    }

    /// What follows from the pause in the journal, which another process or an earlier start may have stored, if
    /// requests wait for its end.
    pub(super) fn stored_pause(&self, pause: Option<Pause>, now: Now) -> Option<StopReason> {
        self.is_too_long(pause?.until, now)
    }

    /// Why nobody waits until then, if it is too far away.
    fn is_too_long(&self, until: BootTime, now: Now) -> Option<StopReason> {
        let wait = until.since(now.boot);
        let is_too_long = wait > self.longest_window && wait > self.patience;
        is_too_long.then(|| StopReason::PausedTooLong { until: now.wall_at(until) })
    }

    /// When requests may begin again.
    fn resumes_at(&mut self, resume: Option<Resume>, at: Now) -> BootTime {
        let shortest = at.boot + self.shortest_window;
        match resume {
            Some(Resume::After(delay)) => at.boot + delay,
            Some(Resume::At(time)) => at.boot_at(time).max(at.boot),
            None => shortest,
            Some(Resume::JustPassed) => match self.just_passed {
                // It was in flight when the pause began.
                Some(until) if at.boot < until => until,
                // The one that tried it out was refused too.
                Some(_) => shortest,
                None => *self.just_passed.insert(at.boot + JUST_PASSED.min(self.shortest_window)),
            },
        }
    }

    /// What an attempt's end says about the service.
    pub(super) fn follows(news: HealthEvent, at: Now, message: &str) -> Effects {
        let message = message.to_owned();
        let stop = |stop| Effects { stop: Some(stop), ..Effects::default() };
        let event = |event| Effects { event: Some(event), ..Effects::default() };
        match news {
            HealthEvent::None => Effects::default(),
            HealthEvent::Down { until } => {
                Effects { forgives: true, ..event(Event::ServiceDown { until: at.wall_at(until), message }) }
            }
            HealthEvent::GivenUp => Effects { forgives: true, ..stop(StopReason::ServiceDown { message }) },
            HealthEvent::Up => event(Event::ServiceUp),
            HealthEvent::Unreachable => stop(StopReason::Unreachable { message }),
            HealthEvent::Forbidden => stop(StopReason::Forbidden { message }),
            HealthEvent::Unauthorized => stop(StopReason::Unauthorized { message }),
        }
    }

    /// The token of this generation was refused: no call starts until there is another one, or the run stops.
    pub(super) fn token_refused(
        &mut self,
        generation: u64,
        at: Now,
        tokens: &TokenCache,
        message: &str,
    ) -> Option<StopReason> {
        if self.renewal.as_ref().is_some_and(|awaited| generation <= awaited.generation) {
            // A request that was in flight beside the first one that was refused.
            return None;
        }
        if self.health.token_refused(generation, self.token_generation) == HealthEvent::Unauthorized {
            return Some(StopReason::Unauthorized { message: message.to_owned() });
        }
        if generation >= self.token_generation {
            self.await_token(generation, at.boot, message);
        }
        self.look_for_token(at, tokens)
    }

    /// Asks for a new token if one is waited for and it is time to, or if the one in use has expired. The caller has
    /// calls to make.
    pub(super) fn look_for_token(&mut self, now: Now, tokens: &TokenCache) -> Option<StopReason> {
        let has_expired = tokens.has_expired(now.wall);
        if self.renewal.is_none() && has_expired {
            self.await_token(tokens.current().1, now.boot, "");
        }
        let awaited = self.renewal.as_mut().filter(|awaited| awaited.next <= now.boot)?;
        let claims = tokens.claims();
        let found = tokens.renew(awaited.generation);
        let is_last = now.boot >= awaited.until || matches!(found, Renewal::NoSource);
        if !(is_last || matches!(found, Renewal::Renewed)) {
            awaited.next = (now.boot + ASK_AGAIN).min(awaited.until);
            return None;
        }
        let old = self.renewal.take()?;
        let expired = || claims.expiry(now.wall).filter(|_| has_expired);
        match (found, expired()) {
            (Renewal::Renewed, _) => {
                self.token_generation = tokens.current().1;
                None
            }
            (Renewal::NoSource, Some(at)) => {
                Some(StopReason::NotRenewed { message: format!("the token expired at {at}") })
            }
            // The service may have been wrong, once: by what the token says, it is good.
            (Renewal::NoSource, None) => None,
            (Renewal::Same, None) if claims.expires.is_some() => None,
            (Renewal::OtherTenant, _) => {
                Some(StopReason::Unauthorized { message: "the new token is for another tenant".to_owned() })
            }
            (Renewal::Failed(error), _) if !error.is_empty() => {
                Some(StopReason::NotRenewed { message: error.to_string() })
            }
            (Renewal::Same | Renewal::Failed(_), Some(at)) => {
                Some(StopReason::NotRenewed { message: TokenError::NotRenewed { at }.to_string() })
            }
            (Renewal::Same | Renewal::Failed(_), None) => Some(StopReason::NotRenewed {
                message: format!("the token file was not renewed; its token was refused: {}", old.message),
            }),
        }
    }

    /// Whether no call starts until there is another token.
    pub(super) fn awaits_token(&self) -> bool {
        self.renewal.is_some()
    }

    fn await_token(&mut self, generation: u64, at: BootTime, message: &str) {
        self.renewal = Some(Awaited { generation, next: at, until: at + RENEWAL, message: message.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{TokenSource, TokenTextError};
    use secrecy::SecretString;
    use std::sync::{Arc, Mutex};

    fn at(millis: i64) -> Now {
        let wall = Timestamp::from_millisecond(1_700_000_000_000 + millis).expect("a plain time");
        Now { boot: BootTime(millis * 1_000), wall }
    }

    /// Windows of 10 s, and a patience of 30 s.
    fn service() -> ServiceState {
        ServiceState::new(&"5/1s,50/10s".parse().expect("a quota"), Duration::from_secs(30))
    }

    /// A response that names a time this far from now, in milliseconds.
    fn answer(status: u16, after: u64) -> CallResult {
        resuming(status, Some(Resume::After(Duration::from_millis(after))))
    }

    fn resuming(status: u16, resume: Option<Resume>) -> CallResult {
        let (verdict, resume) = match status {
            429 => (Verdict::Throttled { resume }, None),
            _ => (Verdict::Transient { may_have_applied: false }, resume),
        };
        let message = "wait".to_owned();
        CallResult { verdict, http_status: Some(status), request_id: None, message, is_truncated: false, resume }
    }

    #[test]
    fn pause_longer_than_a_window_is_kept() {
        let mut service = service();
        let (kept, _) = service.pause(&answer(429, 24_000), at(1_000)).expect("a pause");
        assert_eq!(kept, at(25_000).boot);
        assert_eq!(service.not_before_pause(at(9_000).boot), at(25_000).boot);
        assert_eq!(service.not_before_pause(at(26_000).boot), at(26_000).boot);
        // Another one that ends sooner changes nothing.
        assert_eq!(service.pause(&answer(429, 3_000), at(2_000)).expect("a pause").0, at(5_000).boot);
        assert_eq!(service.own_pause(at(24_999).boot), Some(at(25_000).boot));
        service.pause(&answer(503, 25_000), at(2_000)).expect("a pause");
        assert_eq!(service.own_pause(at(26_999).boot), Some(at(27_000).boot));
        assert_eq!(service.own_pause(at(27_000).boot), None);
        assert_eq!(service.not_before_pause(at(9_000).boot), at(9_000).boot);
        assert_eq!(service.throttled, 2, "only 429s are");
    }

    #[test]
    fn journal_keeps_a_day_of_a_pause() {
        let day = 24 * 3_600_000;
        for (named, kept) in [(3 * 3_600_000, 3 * 3_600_000), (day, day), (day + 1, day), (20 * day, day)] {
            let until = service().pause(&answer(429, named), at(0)).expect("a pause").0;
            assert_eq!(until.since(at(0).boot), Duration::from_millis(kept));
        }
    }

    #[test]
    fn stored_pause_stops_like_a_named_one() {
        let stop = |until| {
            let pause = Pause { until: at(until).boot, probing: false };
            service().stored_pause(Some(pause), at(0)).is_some()
        };
        assert_eq!([10_000, 30_000, 30_001].map(stop), [false, false, true]);
        assert_eq!(service().stored_pause(None, at(0)), None);
    }

    #[test]
    fn pause_prolonged_by_a_second_is_reported_again() {
        let mut service = service();
        let is_told = [(9_000, true), (9_000, false), (10_000, false), (10_001, true), (11_001, false), (3_000, false)];
        for (until, is_told) in is_told {
            let event = service.pause(&answer(429, until), at(0)).expect("a pause").1.event;
            let wall = at(i64::try_from(until).expect("small")).wall;
            let told = Event::Throttled { until: wall, message: "wait".to_owned() };
            assert_eq!(event, is_told.then_some(told), "{until}");
        }
    }

    /// A pause within a window is the quota's own business, and one within the patience is waited for.
    #[test]
    fn only_pause_beyond_windows_and_patience_stops() {
        for (patience, until, stops) in [
            (30, 10_000, false),
            (30, 30_000, false),
            (30, 30_001, true),
            (5, 9_000, false),
            (5, 10_000, false),
            (5, 10_001, true),
        ] {
            for status in [429, 503] {
                let mut service = ServiceState::new(&"50/10s".parse().expect("a quota"), Duration::from_secs(patience));
                let stop = service.pause(&answer(status, until), at(0)).expect("a pause").1.stop;
                let wall = at(i64::try_from(until).expect("small")).wall;
                let expected = stops.then_some(StopReason::PausedTooLong { until: wall });
                assert_eq!(stop, expected, "{until} ms with a patience of {patience} s");
            }
        }
    }

    #[test]
    fn errors_without_a_time_pause_nothing() {
        let mut service = service();
        assert!(service.pause(&resuming(503, None), at(0)).is_none());
        assert_eq!(service.pause(&resuming(429, None), at(0)).expect("a pause").0, at(1_000).boot);
    }

    /// A quota of 50/10s and 5/20s: the shortest window is 10 s.
    #[test]
    fn just_passed_time_costs_one_second_once() {
        let passed = resuming(429, Some(Resume::JustPassed));
        let mut service = ServiceState::new(&"50/10s,5/20s".parse().expect("a quota"), Duration::from_secs(30));
        let mut until = |answer: &CallResult, now| service.pause(answer, at(now)).map(|(kept, _)| kept.0 / 1_000);
        assert_eq!(until(&passed, 100), Some(1_100));
        assert_eq!(until(&passed, 600), Some(1_100), "it was in flight");
        assert_eq!(until(&passed, 1_200), Some(11_200), "the one that tried it out");
        assert_eq!(until(&resuming(503, None), 11_300), None);
        assert_eq!(until(&passed, 11_400), Some(12_400), "something else was answered since");
    }

    #[test]
    fn just_passed_time_is_not_shown_with_pause() {
        let passed = resuming(429, Some(Resume::JustPassed));
        let event = service().pause(&passed, at(0)).expect("a pause").1.event;
        let message = "the time that the response names has just passed".to_owned();
        assert_eq!(event, Some(Event::Throttled { until: at(1_000).wall, message }));
    }

    #[test]
    fn attempts_during_an_outage_are_forgiven() {
        for (news, forgives) in [
            (HealthEvent::Down { until: at(5_000).boot }, true),
            (HealthEvent::GivenUp, true),
            (HealthEvent::None, false),
            (HealthEvent::Up, false),
            (HealthEvent::Forbidden, false),
            (HealthEvent::Unauthorized, false),
        ] {
            assert_eq!(ServiceState::follows(news, at(0), "m").forgives, forgives, "{news:?}");
        }
        let event = ServiceState::follows(HealthEvent::Down { until: at(5_000).boot }, at(0), "m").event;
        assert_eq!(event, Some(Event::ServiceDown { until: at(5_000).wall, message: "m".to_owned() }));
    }

    /// What the source has at which time: the last of them that has begun.
    #[derive(Debug)]
    struct Timed(Arc<Mutex<&'static str>>);

    impl TokenSource for Timed {
        fn read(&self) -> Result<SecretString, TokenError> {
            match *self.0.lock().expect("no panic") {
                "" => Err(TokenError::Text { place: "the token file".to_owned(), why: TokenTextError::Empty }),
                text => Ok(SecretString::from(text)),
            }
        }
    }

    fn timed() -> (Arc<Mutex<&'static str>>, TokenCache) {
        let place = Arc::new(Mutex::new("the-first-token"));
        let tokens = TokenCache::from_source(Timed(Arc::clone(&place))).expect("a token");
        (place, tokens)
    }

    #[test]
    fn new_token_may_be_five_seconds_late() {
        for late in [0, 1, 2_000, 4_999, 5_000] {
            let (place, tokens) = timed();
            let mut service = service();
            *place.lock().expect("no panic") = if late > 1 { "" } else { "the-first-token" };
            let mut now = 0;
            let mut stop = None;
            if late == 0 {
                *place.lock().expect("no panic") = "the-second-token";
            }
            stop = stop.or(service.token_refused(0, at(0), &tokens, "expired"));
            // Those beside it say nothing new.
            stop = stop.or(service.token_refused(0, at(0), &tokens, "expired"));
            while let Some(next) = service.own_pause(at(now).boot) {
                now = next.0 / 1_000;
                if now >= late {
                    *place.lock().expect("no panic") = "the-second-token";
                }
                stop = stop.or(service.look_for_token(at(now), &tokens));
            }
            assert_eq!((stop, tokens.current().1, service.token_generation), (None, 1, 1), "{late}");
            assert!(now <= late + 250, "{late}: taken at {now}");
        }
    }

    #[test]
    fn unrenewed_token_file_stops_after_five_seconds() {
        for left in ["the-first-token", ""] {
            let (place, tokens) = timed();
            let mut service = service();
            *place.lock().expect("no panic") = left;
            assert_eq!(service.token_refused(0, at(0), &tokens, "it has expired"), None);
            assert_eq!(service.look_for_token(at(4_999), &tokens), None);
            let stop = service.look_for_token(at(5_000), &tokens);
            let message = "the token file was not renewed; its token was refused: it has expired".to_owned();
            assert_eq!(stop, Some(StopReason::NotRenewed { message }));
        }
    }

    #[test]
    fn refused_new_token_stops_the_run() {
        let (place, tokens) = timed();
        let mut service = service();
        *place.lock().expect("no panic") = "the-second-token";
        assert_eq!(service.token_refused(0, at(0), &tokens, "expired"), None);
        assert_eq!(service.token_refused(0, at(100), &tokens, "expired"), None, "a late answer to the first one");
        assert_eq!(service.own_pause(at(100).boot), None);
        let refused = StopReason::Unauthorized { message: "expired".to_owned() };
        assert_eq!(service.token_refused(1, at(200), &tokens, "expired"), Some(refused));
    }

    /// {"exp":1700000010}: 10 s after the start of this clock.
    const ENDS_SOON: &str = "e30.eyJleHAiOjE3MDAwMDAwMTB9.c2ln";

    #[test]
    fn expired_token_pauses_requests_without_a_refusal() {
        let (place, _) = timed();
        *place.lock().expect("no panic") = ENDS_SOON;
        let tokens = TokenCache::from_source(Timed(Arc::clone(&place))).expect("a token");
        let mut service = service();
        assert_eq!(service.look_for_token(at(9_999), &tokens), None);
        assert_eq!(service.own_pause(at(9_999).boot), None);
        assert_eq!(service.look_for_token(at(10_000), &tokens), None);
        assert_eq!(service.own_pause(at(10_000).boot), Some(at(10_250).boot));
        assert_eq!(service.not_before_pause(at(10_000).boot), at(10_250).boot);
        let stop = service.look_for_token(at(15_000), &tokens);
        let message = "the token file was not renewed; its token expired at 22:13 UTC".to_owned();
        assert_eq!(stop, Some(StopReason::NotRenewed { message }));
        let given = TokenCache::given(&SecretString::from(ENDS_SOON)).expect("a token");
        let stop =
            ServiceState::new(&"5/1s".parse().expect("a quota"), Duration::ZERO).look_for_token(at(10_000), &given);
        assert_eq!(stop, Some(StopReason::NotRenewed { message: "the token expired at 22:13 UTC".to_owned() }));
    }

    /// By what it says about itself it is good: the service may be wrong once, not twice.
    #[test]
    fn refused_valid_token_is_tried_once_more() {
        let (place, _) = timed();
        *place.lock().expect("no panic") = ENDS_SOON;
        let tokens = TokenCache::from_source(Timed(Arc::clone(&place))).expect("a token");
        let mut service = service();
        assert_eq!(service.token_refused(0, at(0), &tokens, "no"), None);
        assert_eq!(service.look_for_token(at(5_000), &tokens), None);
        assert_eq!(service.own_pause(at(5_000).boot), None);
        let refused = StopReason::Unauthorized { message: "no".to_owned() };
        assert_eq!(service.token_refused(0, at(5_100), &tokens, "no"), Some(refused));
    }
}
