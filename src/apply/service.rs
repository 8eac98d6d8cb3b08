//! The service: its health, its pauses after a 429, and the token.
//!
//! The engine asks how many requests may start, and when one has ended, what follows for all others.

use std::time::Duration;

use jiff::Timestamp;

use super::StopReason;
use super::events::Event;
use super::health::{Health, HealthEvent};
use crate::client::{TokenCache, TokenError, TokenStatus};
use crate::clock::{BootTime, Now};
use crate::model::call::{CallResult, Resume, Verdict};
use crate::model::permit::{LONGEST_PAUSE, Pause};
use crate::model::quota_spec::Quota;

/// The state of the service.
#[derive(Debug)]
pub(super) struct ServiceState {
    pub(super) health: Health,
    patience: Duration,
    longest_window: Duration,
    shortest_window: Duration,
    /// End of the pause after a named time that had just passed, as long as no other response has arrived.
    just_passed: Option<BootTime>,
    /// The end of a pause, of which the journal stores a day at most.
    own_pause: Option<BootTime>,
    reported_pause: Option<BootTime>,
    /// No request starts until there is another token.
    pub(super) awaits_token: bool,
    /// The 429s received.
    pub(super) throttled: u64,
}

/// The effects of a result on the whole engine.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// What to report.
    pub(super) event: Option<Event>,
    /// Why no new request is sent.
    pub(super) stop: Option<StopReason>,
    /// The service was down: the attempts of this streak do not count.
    pub(super) forgives: bool,
}

impl Effects {
    /// What an attempt's end at `at` means for all other requests.
    pub(super) fn of(event: HealthEvent, at: Now, message: &str) -> Effects {
        let message = message.to_owned();
        let stop = |stop| Effects { stop: Some(stop), ..Effects::default() };
        let tell = |event| Effects { event: Some(event), ..Effects::default() };
        match event {
            HealthEvent::None => Effects::default(),
            HealthEvent::Down { until } => {
                Effects { forgives: true, ..tell(Event::ServiceDown { until: at.wall_at(until), message }) }
            }
            HealthEvent::GivenUp => Effects { forgives: true, ..stop(StopReason::ServiceDown { message }) },
            HealthEvent::Up => tell(Event::ServiceUp),
            HealthEvent::Unreachable => stop(StopReason::Unreachable { message }),
            HealthEvent::Forbidden => stop(StopReason::Forbidden { message }),
            HealthEvent::Blocked => stop(StopReason::Blocked { message }),
            HealthEvent::Unauthorized => stop(StopReason::Unauthorized { message }),
        }
    }
}

/// The pause if a named time has just passed: then one request probes the service.
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
            reported_pause: None,
            awaits_token: false,
            throttled: 0,
        }
    }

    /// Whether no request may start: in a pause longer than the journal stores, or while waiting for a token.
    pub(super) fn is_paused(&self, now: BootTime) -> bool {
        self.awaits_token || self.own_pause.is_some_and(|until| now < until)
    }

    /// `at`, or the end of the pause or of the outage's pause if that is later; `never` while the probe of an outage is
    /// in flight.
    pub(super) fn earliest(&self, at: BootTime, never: BootTime) -> BootTime {
        [self.own_pause, self.health.wake(never)].into_iter().flatten().fold(at, BootTime::max)
    }

    /// Until when the tenant key pauses because of a response, as the journal stores it: a 429, or another response
    /// that is retried and names a time.
    pub(super) fn pause(&mut self, result: &CallResult, at: Now) -> Option<(BootTime, Effects)> {
        let resume = match (&result.verdict, result.resume) {
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
        let mut effects = Effects::default();
        let wall: Timestamp = at.wall_at(until);
        effects.stop = self.is_too_long(until, at);
        if self.own_pause.is_none_or(|own| own < until) {
            self.own_pause = Some(until);
        }
        // Reported again only if it ends noticeably later.
        if self.reported_pause.is_none_or(|reported| until > reported + Duration::from_secs(1)) {
            self.reported_pause = Some(until);
            // Name only one time, not the passed one as well.
            let has_passed = resume == Some(Resume::JustPassed);
            let message = if has_passed { "the time that the response names has just passed" } else { &result.message };
            let message = message.to_owned();
            effects.event = Some(match result.verdict {
                Verdict::Throttled { .. } => Event::Throttled { until: wall, message },
                _ => Event::Busy { until: wall, message },
            });
        }
        Some((until.min(at.boot + LONGEST_PAUSE), effects))
    }

    /// The effects of the pause in the journal, which another process or an earlier start may have stored, if
    /// requests wait for its end.
    pub(super) fn stored_pause(&self, pause: Option<Pause>, now: Now) -> Option<StopReason> {
        self.is_too_long(pause?.until, now)
    }

    /// Why the run stops instead of waiting, if that time is too far away.
    fn is_too_long(&self, until: BootTime, now: Now) -> Option<StopReason> {
        let wait = until.since(now.boot);
        let is_too_long = wait > self.longest_window && wait > self.patience;
        is_too_long.then(|| StopReason::PausedTooLong { until: now.wall_at(until) })
    }

    /// When requests may start again.
    fn resumes_at(&mut self, resume: Option<Resume>, at: Now) -> BootTime {
        let shortest = at.boot + self.shortest_window;
        match resume {
            Some(Resume::After(delay)) => at.boot + delay,
            Some(Resume::At(time)) => at.boot_at(time).max(at.boot),
            None => shortest,
            Some(Resume::JustPassed) => match self.just_passed {
                // It was in flight when the pause started.
                Some(until) if at.boot < until => until,
                // The probe was refused, too.
                Some(_) => shortest,
                None => *self.just_passed.insert(at.boot + JUST_PASSED.min(self.shortest_window)),
            },
        }
    }

    /// Whether the token in use may be sent. Call it only with requests to send: an expired token is renewed.
    pub(super) fn check_token(&mut self, tokens: &TokenCache, now: Now) -> Option<StopReason> {
        let status = tokens.status(now);
        self.awaits_token = matches!(status, TokenStatus::Awaited);
        let TokenStatus::Unavailable(error) = status else { return None };
        let message = error.to_string();
        Some(match *error {
            TokenError::OtherIdentity { .. } => StopReason::Unauthorized { message },
            ref error if error.is_temporary() => StopReason::SignInDown { message },
            _ => StopReason::NotRenewed { message },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Now {
        let wall = Timestamp::from_millisecond(1_700_000_000_000 + millis).expect("a plain time");
        Now { boot: BootTime(millis * 1_000), wall }
    }

    /// Windows of 10 s, and a patience of 30 s.
    fn service() -> ServiceState {
        ServiceState::new(&"5/1s,50/10s".parse().expect("a quota"), Duration::from_secs(30))
    }

    /// A response that names a time this far from now, in milliseconds.
    fn result(status: u16, after: u64) -> CallResult {
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
        let (kept, _) = service.pause(&result(429, 24_000), at(1_000)).expect("a pause");
        assert_eq!(kept, at(25_000).boot);
        assert_eq!(service.earliest(at(9_000).boot, at(99_000).boot), at(25_000).boot);
        assert_eq!(service.earliest(at(26_000).boot, at(99_000).boot), at(26_000).boot);
        // A pause that ends sooner changes nothing.
        assert_eq!(service.pause(&result(429, 3_000), at(2_000)).expect("a pause").0, at(5_000).boot);
        assert!(service.is_paused(at(24_999).boot));
        service.pause(&result(503, 25_000), at(2_000)).expect("a pause");
        assert!(service.is_paused(at(26_999).boot));
        assert!(!service.is_paused(at(27_000).boot));
        assert_eq!(service.throttled, 2, "only 429s are");
    }

    #[test]
    fn journal_keeps_a_day_of_a_pause() {
        let day = 24 * 3_600_000;
        for (named, kept) in [(3 * 3_600_000, 3 * 3_600_000), (day, day), (day + 1, day), (20 * day, day)] {
            let until = service().pause(&result(429, named), at(0)).expect("a pause").0;
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
        let is_reported =
            [(9_000, true), (9_000, false), (10_000, false), (10_001, true), (11_001, false), (3_000, false)];
        for (until, is_reported) in is_reported {
            let event = service.pause(&result(429, until), at(0)).expect("a pause").1.event;
            let wall = at(i64::try_from(until).expect("small")).wall;
            let reported = Event::Throttled { until: wall, message: "wait".to_owned() };
            assert_eq!(event, is_reported.then_some(reported), "{until}");
        }
    }

    /// A pause within a window belongs to the quota; a pause within the patience is waited for.
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
                let stop = service.pause(&result(status, until), at(0)).expect("a pause").1.stop;
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
        let mut until = |result: &CallResult, now| service.pause(result, at(now)).map(|(kept, _)| kept.0 / 1_000);
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
            assert_eq!(Effects::of(news, at(0), "m").forgives, forgives, "{news:?}");
        }
        let event = Effects::of(HealthEvent::Down { until: at(5_000).boot }, at(0), "m").event;
        assert_eq!(event, Some(Event::ServiceDown { until: at(5_000).wall, message: "m".to_owned() }));
    }
}
