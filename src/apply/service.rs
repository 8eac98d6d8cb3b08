//! The service, as far as a whole run is concerned: its health, its pauses after a 429, the token it takes.
//!
//! Whoever makes calls asks how many may go, and is told what follows for all of them when one has ended.

use std::time::Duration;

use jiff::Timestamp;

use super::Stop;
use super::events::Event;
use super::health::{Health, News};
use crate::attempt::Resume;
use crate::client::{Renewal, Tokens};
use crate::clock::{BootTime, Now};
use crate::window::Quota;

/// What is known of the service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) health: Health,
    patience: Duration,
    longest_window: Duration,
    /// A pause that is longer than what the journal keeps of it.
    own_pause: Option<BootTime>,
    told_pause: Option<BootTime>,
    token_generation: u64,
    /// The 429s that came.
    pub(super) throttled: u64,
}

/// What follows for all calls.
#[derive(Debug, Default)]
pub(super) struct Follows {
    /// What is told.
    pub(super) event: Option<Event>,
    /// No new call is made.
    pub(super) stop: Option<Stop>,
    /// It was the service: the tries of this streak do not count.
    pub(super) forgives: bool,
}

/// When a 429 lets calls through again; `shortest_window` where it names no time.
pub(super) fn resumes_at(resume: Option<Resume>, at: Now, shortest_window: Duration) -> BootTime {
    match resume {
        Some(Resume::After(delay)) => at.boot + delay,
        Some(Resume::At(time)) => at.boot_at(time).max(at.boot),
        None => at.boot + shortest_window,
    }
}

impl Service {
    pub(super) fn new(quota: &Quota, patience: Duration) -> Service {
        Service {
            health: Health::new(patience),
            patience,
            longest_window: quota.longest(),
            own_pause: None,
            told_pause: None,
            token_generation: 0,
            throttled: 0,
        }
    }

    /// Until when the journal's own pause does not tell all: nothing goes before.
    pub(super) fn own_pause(&mut self, now: BootTime) -> Option<BootTime> {
        self.own_pause = self.own_pause.filter(|until| now < *until);
        self.own_pause
    }

    /// `at`, or the end of the pause where that is later.
    pub(super) fn not_before_pause(&self, at: BootTime) -> BootTime {
        self.own_pause.map_or(at, |until| at.max(until))
    }

    /// A 429: until when the scope pauses, as the journal keeps it.
    pub(super) fn pause(&mut self, until: BootTime, at: Now, message: &str) -> (BootTime, Follows) {
        self.throttled += 1;
        let mut follows = Follows::default();
        let wait = until.since(at.boot);
        let wall: Timestamp = at.wall_at(until);
        if wait > self.longest_window && wait > self.patience {
            follows.stop = Some(Stop::PausedTooLong { until: wall });
        }
        if self.own_pause.is_none_or(|own| own < until) {
            self.own_pause = Some(until);
        }
        // Told again only where it is worth a line.
        if self.told_pause.is_none_or(|told| until > told + Duration::from_secs(1)) {
            self.told_pause = Some(until);
            follows.event = Some(Event::Throttled { until: wall, message: message.to_owned() });
        }
        (until.min(at.boot + self.longest_window), follows)
    }

    /// What an attempt's end says about the service.
    pub(super) fn follows(news: News, at: Now, message: &str) -> Follows {
        let message = message.to_owned();
        let stop = |stop| Follows { stop: Some(stop), ..Follows::default() };
        let event = |event| Follows { event: Some(event), ..Follows::default() };
        match news {
            News::None => Follows::default(),
            News::Down { until } => {
                Follows { forgives: true, ..event(Event::ServiceDown { until: at.wall_at(until), message }) }
            }
            News::GivenUp => Follows { forgives: true, ..stop(Stop::ServiceDown { message }) },
            News::Up => event(Event::ServiceUp),
            News::Forbidden => stop(Stop::Forbidden { message }),
            News::Unauthorized => stop(Stop::Unauthorized { message }),
        }
    }

    /// The token of this generation was refused: another one is taken, or the run stops.
    pub(super) fn renew(&mut self, generation: u64, tokens: &Tokens, message: &str) -> Option<Stop> {
        let refused = |message: &str| Some(Stop::Unauthorized { message: message.to_owned() });
        if self.health.token_refused(generation, self.token_generation) == News::Unauthorized {
            return refused(message);
        }
        match tokens.renew(generation) {
            Renewal::Renewed => {
                self.token_generation = tokens.current().1;
                None
            }
            Renewal::Same => None,
            Renewal::OtherTenant => refused("the new token is for another tenant"),
            Renewal::Failed(error) => refused(&error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn at(millis: i64) -> Now {
        let wall = Timestamp::from_millisecond(1_700_000_000_000 + millis).expect("a plain time");
        Now { boot: BootTime(millis * 1_000), wall }
    }

    /// Windows of 10 s, and a patience of 30 s.
    fn service() -> Service {
        Service::new(&"5/1s,50/10s".parse().expect("a quota"), Duration::from_secs(30))
    }

    #[test]
    fn a_pause_that_is_longer_than_a_window_is_kept_to_its_end() {
        let mut service = service();
        let (kept, _) = service.pause(at(25_000).boot, at(1_000), "");
        assert_eq!(kept, at(11_000).boot, "a window is all that the journal keeps");
        assert_eq!(service.not_before_pause(at(9_000).boot), at(25_000).boot);
        assert_eq!(service.not_before_pause(at(26_000).boot), at(26_000).boot);
        // Another one that ends sooner changes nothing.
        assert_eq!(service.pause(at(5_000).boot, at(2_000), "").0, at(5_000).boot);
        assert_eq!(service.own_pause(at(24_999).boot), Some(at(25_000).boot));
        service.pause(at(27_000).boot, at(2_000), "");
        assert_eq!(service.own_pause(at(26_999).boot), Some(at(27_000).boot));
        assert_eq!(service.own_pause(at(27_000).boot), None);
        assert_eq!(service.not_before_pause(at(9_000).boot), at(9_000).boot);
        assert_eq!(service.throttled, 3);
    }

    #[test]
    fn a_pause_is_told_again_where_it_grows_by_more_than_a_second() {
        let mut service = service();
        let is_told = [(9_000, true), (9_000, false), (10_000, false), (10_001, true), (11_001, false), (3_000, false)];
        for (until, is_told) in is_told {
            let event = service.pause(at(until).boot, at(0), "wait").1.event;
            let told = Event::Throttled { until: at(until).wall, message: "wait".to_owned() };
            assert_eq!(event, is_told.then_some(told), "{until}");
        }
    }

    /// A pause within a window is the quota's own business, and one within the patience is waited for.
    #[test]
    fn only_a_pause_past_every_window_and_the_patience_stops_the_run() {
        for (patience, until, stops) in [
            (30, 10_000, false),
            (30, 30_000, false),
            (30, 30_001, true),
            (5, 9_000, false),
            (5, 10_000, false),
            (5, 10_001, true),
        ] {
            let mut service = Service::new(&"50/10s".parse().expect("a quota"), Duration::from_secs(patience));
            let stop = service.pause(at(until).boot, at(0), "").1.stop;
            let expected = stops.then(|| Stop::PausedTooLong { until: at(until).wall });
            assert_eq!(stop, expected, "{until} ms with a patience of {patience} s");
        }
    }

    #[test]
    fn no_row_pays_for_a_service_that_is_down() {
        for (news, forgives) in [
            (News::Down { until: at(5_000).boot }, true),
            (News::GivenUp, true),
            (News::None, false),
            (News::Up, false),
            (News::Forbidden, false),
            (News::Unauthorized, false),
        ] {
            assert_eq!(Service::follows(news, at(0), "m").forgives, forgives, "{news:?}");
        }
        let event = Service::follows(News::Down { until: at(5_000).boot }, at(0), "m").event;
        assert_eq!(event, Some(Event::ServiceDown { until: at(5_000).wall, message: "m".to_owned() }));
    }

    #[test]
    fn a_refused_token_is_read_again_once_and_a_late_refusal_of_the_old_one_is_none() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let write = |token: &str| std::fs::write(file.path(), token).expect("writes");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).expect("its own");
        write("the-first-token-of-all");
        let tokens = Tokens::from_file(file.path()).expect("a token");
        let mut service = service();
        write("the-second-token-of-all");
        assert_eq!(service.renew(0, &tokens, "expired"), None);
        assert_eq!((tokens.current().1, service.token_generation), (1, 1));
        assert_eq!(service.renew(0, &tokens, "expired"), None);
        assert_eq!(tokens.current().1, 1);
        let refused = Stop::Unauthorized { message: "expired".to_owned() };
        assert_eq!(service.renew(1, &tokens, "expired"), Some(refused));
    }
}
