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
        match self.health.token_refused(generation, self.token_generation) {
            News::Unauthorized => return refused(message),
            _ if generation < self.token_generation => return None,
            _ => {}
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
