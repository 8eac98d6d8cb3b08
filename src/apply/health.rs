//! Health: whether the service is down, the permission is missing, or the file is wrong. Counts what the
//! responses say; decides nothing about a single row.
//!
//! Promises: if five attempts in a row end without a response, that is an outage, and it uses up no attempts of a
//! row. Pure.

use std::time::Duration;

use crate::clock::BootTime;
use crate::model::call::{Obstacle, Verdict, WhyUnsent};
use crate::model::outcome::{OutcomeKind, RowCode};
use crate::retry::outage_pause;

/// After this many attempts in a row without a response, the service is down.
pub(super) const DOWN_AFTER: u32 = 5;
/// An unknown host name is looked up again after this.
const SECOND_LOOKUP: Duration = Duration::from_secs(2);
/// After this many 403s in a row, the permission is missing.
const FORBIDDEN_AFTER: u32 = 5;
/// If this many first rows fail with the same error, the file is wrong.
const FIRST_ROWS: usize = 5;

/// The state of the service, by its last responses.
#[derive(Debug)]
pub(super) struct Health {
    patience: Duration,
    /// Attempts without a response since the last response.
    streak: u32,
    /// Counts the streaks: a row's attempts in a streak that became an outage do not count.
    streak_id: u64,
    outage: Option<Outage>,
    forbidden: u32,
    any_success: bool,
    /// The service has responded: obstacles from now on may be temporary.
    any_response: bool,
    /// The token was refused, and no request has succeeded since.
    is_refused: bool,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    since: BootTime,
    pauses: u32,
    until: BootTime,
    /// The probe is in flight.
    probing: bool,
}

/// Attempts in a row without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streak {
    pub(super) id: u64,
    /// Whether an attempt without a response counts against its row: it does not in an outage.
    pub(super) counts: bool,
}

/// What an attempt's end says about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HealthEvent {
    /// Nothing new.
    None,
    /// It is down: the run pauses until this time.
    Down { until: BootTime },
    /// It has been down for longer than `--patience`.
    GivenUp,
    /// It responds again.
    Up,
    /// The permission is missing.
    Forbidden,
    /// A policy of the tenant refuses the token.
    Blocked,
    /// No connection is possible, and a retry can't fix it.
    Unreachable,
    /// The token was refused, and a new one was too.
    Unauthorized,
}

impl Health {
    pub(super) fn new(patience: Duration) -> Health {
        Health {
            patience,
            streak: 0,
            streak_id: 0,
            outage: None,
            forbidden: 0,
            any_success: false,
            any_response: false,
            is_refused: false,
        }
    }

    /// How many requests may start at `now`, of `slots`: in an outage one, after its pause.
    pub(super) fn slots(&self, slots: u32, now: BootTime) -> u32 {
        match self.outage {
            None => slots,
            Some(outage) if now < outage.until || outage.probing => 0,
            Some(_) => slots.min(1),
        }
    }

    /// When to ask again if the service is down: the end of the pause, or `never` while the probe is in flight.
    pub(super) fn wake(&self, never: BootTime) -> Option<BootTime> {
        self.outage.map(|outage| if outage.probing { never } else { outage.until })
    }

    /// Takes in the start of a request.
    pub(super) fn on_start(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.probing = true;
        }
    }

    /// The streak of an attempt that ends now.
    pub(super) fn streak(&self) -> Streak {
        Streak { id: self.streak_id, counts: self.outage.is_none() }
    }

    /// Whether the service is down.
    pub(super) fn is_down(&self) -> bool {
        self.outage.is_some()
    }

    /// Whether there is a streak of attempts without a response that may yet become an outage.
    pub(super) fn is_uncertain(&self) -> bool {
        self.streak > 0 && self.outage.is_none()
    }

    /// Takes in the end of an attempt.
    pub(super) fn record(&mut self, verdict: &Verdict, at: BootTime) -> HealthEvent {
        match verdict {
            Verdict::Unsent(WhyUnsent::NoConnection(Some(obstacle))) if !self.any_response => {
                return self.meet(obstacle, at);
            }
            // It tells nothing about the service: the next attempt does.
            Verdict::Dropped { .. } | Verdict::Unsent(WhyUnsent::NoToken | WhyUnsent::ContainsToken) => {
                self.end_probe();
                return HealthEvent::None;
            }
            Verdict::Transient { .. } | Verdict::Unsent(WhyUnsent::NoConnection(_)) => return self.record_nothing(at),
            Verdict::Forbidden { by_policy } => {
                self.forbidden += 1;
                self.on_response();
                if *by_policy {
                    return HealthEvent::Blocked;
                }
                let missing = !self.any_success || self.forbidden >= FORBIDDEN_AFTER;
                return if missing { HealthEvent::Forbidden } else { HealthEvent::None };
            }
            Verdict::Updated { .. } | Verdict::NotApplied { .. } | Verdict::Read { .. } => {
                self.any_success = true;
                self.is_refused = false;
            }
            // A gateway refuses tokens and throttles while the service behind it is down: neither ends a streak of lost
            // responses, or the outage would use up the attempts of rows.
            Verdict::Unauthorized { is_news } => {
                self.any_response = true;
                self.end_probe();
                // One refusal leads to another token. A second refusal in a row is not about the token.
                let again = *is_news && std::mem::replace(&mut self.is_refused, true);
                return if again { HealthEvent::Unauthorized } else { HealthEvent::None };
            }
            Verdict::Throttled { .. } => {
                self.any_response = true;
                self.end_probe();
                return HealthEvent::None;
            }
            _ => {}
        }
        self.forbidden = 0;
        if self.on_response() { HealthEvent::Up } else { HealthEvent::None }
    }

    /// In an outage, the probe has ended without showing whether the outage has.
    fn end_probe(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.probing = false;
        }
    }

    /// There was a response, whatever its status: the service is up. Returns whether it was down.
    fn on_response(&mut self) -> bool {
        self.any_response = true;
        if self.streak > 0 {
            self.streak = 0;
            self.streak_id += 1;
        }
        self.outage.take().is_some()
    }

    /// No connection before the first response. An unknown host name is looked up once more.
    fn meet(&mut self, obstacle: &Obstacle, at: BootTime) -> HealthEvent {
        match self.outage {
            None if matches!(obstacle, Obstacle::UnknownHost { .. }) => {
                self.streak += 1;
                let until = at + SECOND_LOOKUP;
                self.outage = Some(Outage { since: at, pauses: 0, until, probing: false });
                HealthEvent::Down { until }
            }
            Some(Outage { probing: false, .. }) => HealthEvent::None,
            _ => HealthEvent::Unreachable,
        }
    }

    fn record_nothing(&mut self, at: BootTime) -> HealthEvent {
        self.streak += 1;
        let outage = match self.outage {
            // Requests that were in flight when the pause started tell nothing new.
            Some(outage) if !outage.probing => return HealthEvent::None,
            Some(outage) => outage,
            None if self.streak < DOWN_AFTER => return HealthEvent::None,
            None => Outage { since: at, pauses: 0, until: at, probing: false },
        };
        let end = outage.since + self.patience;
        if at >= end {
            return HealthEvent::GivenUp;
        }
        let pauses = outage.pauses + 1;
        let until = (at + outage_pause(pauses)).min(end);
        self.outage = Some(Outage { since: outage.since, pauses, until, probing: false });
        HealthEvent::Down { until }
    }
}

/// Whether too many rows have failed, or the first ones all with the same error.
#[derive(Debug)]
pub(super) struct FailureGuard {
    /// `--max-failures`, which replaces the rule about the first rows.
    most: Option<u64>,
    failed: u64,
    /// The first rows that finished; `None` once the rule no longer applies.
    first: Option<Vec<(OutcomeKind, RowCode)>>,
}

/// Why the run stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FailureLimit {
    /// `--max-failures` was reached.
    Failures(u64),
    /// The first rows all failed with this code.
    FirstRows { rows: usize, code: RowCode },
}

impl FailureGuard {
    /// `first`: the codes of the first rows that finished before this process started. If there are enough of them, the
    /// rule no longer applies.
    pub(super) fn new(most: Option<u64>, first: Vec<(OutcomeKind, RowCode)>) -> FailureGuard {
        let open = most.is_none() && first.len() < FIRST_ROWS;
        FailureGuard { most, failed: 0, first: open.then_some(first) }
    }

    /// A row has finished. `tells_of_file`: its outcome may be the file's fault.
    pub(super) fn record(&mut self, kind: OutcomeKind, code: &RowCode, tells_of_file: bool) -> Option<FailureLimit> {
        if kind == OutcomeKind::Failed {
            self.failed += 1;
        }
        if let Some(most) = self.most {
            return (kind == OutcomeKind::Failed && self.failed >= most.max(1))
                .then_some(FailureLimit::Failures(self.failed));
        }
        let first = self.first.as_mut().filter(|_| tells_of_file)?;
        first.push((kind, code.clone()));
        let alike = first.iter().all(|(kind, other)| *kind == OutcomeKind::Failed && *other == first[0].1);
        if !alike {
            self.first = None;
        } else if first.len() >= FIRST_ROWS {
            self.first = None;
            return Some(FailureLimit::FirstRows { rows: FIRST_ROWS, code: code.clone() });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::OutcomeCode;

    const NOTHING: Verdict = Verdict::Transient { may_have_applied: true };
    const UPDATED: Verdict = Verdict::Updated { differs: None, added: None };

    fn second(seconds: i64) -> BootTime {
        BootTime(seconds * 1_000_000)
    }

    #[test]
    fn five_failures_open_outage_with_growing_pauses() {
        let mut health = Health::new(Duration::from_mins(10));
        for at in 0..4 {
            assert_eq!(health.record(&NOTHING, second(at)), HealthEvent::None);
        }
        assert_eq!(health.record(&NOTHING, second(4)), HealthEvent::Down { until: second(9) });
        assert_eq!(health.record(&NOTHING, second(5)), HealthEvent::None, "was running when the pause began");
        assert_eq!(health.slots(8, second(8)), 0);
        assert_eq!(health.slots(8, second(9)), 1, "one goes first");
        health.on_start();
        assert_eq!(health.slots(8, second(9)), 0, "and no other");
        assert_eq!(health.record(&NOTHING, second(10)), HealthEvent::Down { until: second(20) });
        health.on_start();
        assert_eq!(health.record(&UPDATED, second(20)), HealthEvent::Up);
        assert_eq!(health.slots(8, second(20)), 8);
    }

    /// Until it is clear whether the service is down, attempts count, and rows without attempts left are held.
    #[test]
    fn outage_is_uncertain_until_response_or_fifth_failure() {
        let mut health = Health::new(Duration::from_mins(10));
        assert!(health.streak().counts && !health.is_uncertain());
        let _ = health.record(&UPDATED, second(0));
        assert_eq!((health.is_uncertain(), health.streak().id), (false, 0));
        let _ = health.record(&NOTHING, second(0));
        assert_eq!((health.streak().counts, health.is_uncertain(), health.streak().id), (true, true, 0));
        let _ = health.record(&Verdict::NotFound, second(0));
        assert_eq!((health.is_uncertain(), health.streak().id), (false, 1));
        for _ in 0..5 {
            let _ = health.record(&NOTHING, second(1));
        }
        assert_eq!((health.streak().counts, health.is_uncertain(), health.streak().id), (false, false, 1));
        health.on_start();
        assert_eq!(health.record(&UPDATED, second(9)), HealthEvent::Up);
        assert_eq!((health.streak().counts, health.is_uncertain(), health.streak().id), (true, false, 2));
    }

    /// Found by seed 2072: a gateway in front of a service that is down.
    #[test]
    fn token_trouble_and_429_end_no_streak() {
        for response in [
            Verdict::Unauthorized { is_news: false },
            Verdict::Throttled { resume: None },
            Verdict::Unsent(WhyUnsent::NoToken),
            Verdict::Unsent(WhyUnsent::ContainsToken),
        ] {
            let mut health = Health::new(Duration::from_mins(10));
            for at in 0..3 {
                let _ = health.record(&NOTHING, second(at));
            }
            assert_eq!(health.record(&response, second(3)), HealthEvent::None);
            assert_eq!((health.is_uncertain(), health.streak().id), (true, 0), "{response:?}");
            let _ = health.record(&NOTHING, second(4));
            assert_eq!(health.record(&NOTHING, second(5)), HealthEvent::Down { until: second(10) }, "{response:?}");
            health.on_start();
            assert_eq!(health.record(&response, second(10)), HealthEvent::None, "the service behind it may be down");
            assert_eq!(health.slots(8, second(10)), 1, "the next one goes first");
            health.on_start();
            assert_eq!(health.record(&UPDATED, second(11)), HealthEvent::Up);
        }
    }

    #[test]
    fn ten_minute_outage_costs_at_most_35_requests() {
        let mut health = Health::new(Duration::from_mins(10));
        let (mut at, mut calls) = (second(0), 8);
        for _ in 0..8 {
            let _ = health.record(&NOTHING, at);
        }
        loop {
            at = health.wake(BootTime(i64::MAX)).expect("down");
            health.on_start();
            calls += 1;
            if health.record(&NOTHING, at) == HealthEvent::GivenUp {
                break;
            }
        }
        assert_eq!(at, second(600));
        assert!(calls <= 35, "{calls}");
    }

    #[test]
    fn outage_without_patience_stops_at_once() {
        let mut health = Health::new(Duration::ZERO);
        let news: Vec<HealthEvent> = (0..5).map(|at| health.record(&NOTHING, second(at))).collect();
        assert_eq!(news.last(), Some(&HealthEvent::GivenUp));
    }

    #[test]
    fn obstacle_stops_only_before_the_first_response() {
        let proxy = || Obstacle::Proxy { url: "p".to_owned(), status: Some(407) };
        let refused = || Verdict::Unsent(WhyUnsent::NoConnection(Some(proxy())));
        let mut health = Health::new(Duration::from_mins(10));
        assert_eq!(health.record(&refused(), second(0)), HealthEvent::Unreachable);
        let mut health = Health::new(Duration::from_mins(10));
        let _ = health.record(&UPDATED, second(0));
        for at in 1..5 {
            assert_eq!(health.record(&refused(), second(at)), HealthEvent::None);
        }
        assert_eq!(health.record(&refused(), second(5)), HealthEvent::Down { until: second(10) });
    }

    #[test]
    fn unknown_host_is_looked_up_once_more() {
        let obstacle = || Obstacle::UnknownHost { host: "h".to_owned(), cause: "c".to_owned() };
        let unknown = || Verdict::Unsent(WhyUnsent::NoConnection(Some(obstacle())));
        let mut health = Health::new(Duration::ZERO);
        assert_eq!(health.record(&unknown(), second(0)), HealthEvent::Down { until: second(2) });
        assert_eq!(health.record(&unknown(), second(1)), HealthEvent::None, "was in flight");
        assert_eq!(health.slots(8, second(2)), 1);
        health.on_start();
        assert_eq!(health.record(&unknown(), second(3)), HealthEvent::Unreachable);
        let mut health = Health::new(Duration::ZERO);
        let _ = health.record(&unknown(), second(0));
        health.on_start();
        assert_eq!(health.record(&UPDATED, second(3)), HealthEvent::Up);
    }

    #[test]
    fn any_response_resets_the_failure_streak() {
        for response in [Verdict::NotFound, Verdict::Unconfirmed] {
            let mut health = Health::new(Duration::from_mins(10));
            for at in 0..40 {
                let verdict = if at % 5 == 4 { &response } else { &NOTHING };
                assert_eq!(health.record(verdict, second(at)), HealthEvent::None);
            }
        }
    }

    #[test]
    fn first_403_or_five_in_a_row_stop() {
        let mut health = Health::new(Duration::from_mins(10));
        assert_eq!(health.record(&Verdict::Forbidden { by_policy: false }, second(0)), HealthEvent::Forbidden);
        let mut health = Health::new(Duration::from_mins(10));
        assert_eq!(health.record(&UPDATED, second(0)), HealthEvent::None);
        for at in 1..5 {
            assert_eq!(health.record(&Verdict::Forbidden { by_policy: false }, second(at)), HealthEvent::None);
        }
        assert_eq!(health.record(&Verdict::Forbidden { by_policy: false }, second(5)), HealthEvent::Forbidden);
        // A 429 in between tells nothing about the permission; any other response does.
        for (between, news) in [
            (Verdict::Throttled { resume: None }, HealthEvent::Forbidden),
            (Verdict::Unauthorized { is_news: true }, HealthEvent::Forbidden),
            (Verdict::NotFound, HealthEvent::None),
        ] {
            let mut health = Health::new(Duration::from_mins(10));
            let _ = health.record(&UPDATED, second(0));
            for at in 1..5 {
                assert_eq!(health.record(&Verdict::Forbidden { by_policy: false }, second(at)), HealthEvent::None);
            }
            let _ = health.record(&between, second(5));
            assert_eq!(health.record(&Verdict::Forbidden { by_policy: false }, second(6)), news, "{between:?}");
        }
    }

    #[test]
    fn policy_of_the_tenant_stops_at_once() {
        let mut health = Health::new(Duration::from_mins(10));
        assert_eq!(health.record(&UPDATED, second(0)), HealthEvent::None);
        assert_eq!(health.record(&Verdict::Forbidden { by_policy: true }, second(1)), HealthEvent::Blocked);
    }

    #[test]
    fn two_token_refusals_without_success_between_stop() {
        let [refused, late] = [true, false].map(|is_news| Verdict::Unauthorized { is_news });
        let mut health = Health::new(Duration::from_mins(10));
        assert_eq!(health.record(&refused, second(0)), HealthEvent::None);
        assert_eq!(health.record(&late, second(0)), HealthEvent::None, "a late response to the old token");
        assert_eq!(health.record(&refused, second(1)), HealthEvent::Unauthorized);
        let mut health = Health::new(Duration::from_mins(10));
        assert_eq!(health.record(&refused, second(0)), HealthEvent::None);
        let _ = health.record(&UPDATED, second(0));
        assert_eq!(health.record(&refused, second(1)), HealthEvent::None);
    }

    #[test]
    fn first_five_equal_failures_stop_once() {
        let mut failures = FailureGuard::new(None, Vec::new());
        for _ in 0..4 {
            assert_eq!(failures.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true), None);
        }
        let stop = FailureLimit::FirstRows { rows: 5, code: OutcomeCode::NotFound.into() };
        assert_eq!(failures.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true), Some(stop));
        assert_eq!(failures.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true), None);
        let before = vec![(OutcomeKind::Failed, OutcomeCode::NotFound.into()); 5];
        let mut went_on = FailureGuard::new(None, before);
        assert_eq!(went_on.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true), None);
    }

    #[test]
    fn different_outcome_lifts_the_first_five_rule() {
        let mut failures = FailureGuard::new(None, Vec::new());
        for kind in [OutcomeKind::Failed, OutcomeKind::Updated] {
            assert_eq!(failures.record(kind, &OutcomeCode::NotFound.into(), true), None);
        }
        for _ in 0..10 {
            assert_eq!(failures.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true), None);
        }
    }

    #[test]
    fn unusable_responses_do_not_affect_first_five_rule() {
        let mut failures = FailureGuard::new(None, Vec::new());
        for _ in 0..10 {
            assert_eq!(failures.record(OutcomeKind::Failed, &OutcomeCode::GaveUp.into(), false), None);
        }
        for _ in 0..4 {
            assert_eq!(failures.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true), None);
        }
        assert!(failures.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true).is_some());
    }

    #[test]
    fn max_failures_replaces_the_first_five_rule() {
        let mut failures = FailureGuard::new(Some(7), Vec::new());
        for _ in 0..6 {
            assert_eq!(failures.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true), None);
        }
        assert_eq!(
            failures.record(OutcomeKind::Failed, &OutcomeCode::NotFound.into(), true),
            Some(FailureLimit::Failures(7))
        );
    }
}
