//! Retry: decides what follows an attempt. It is not a loop: the caller waits and sends again.
//!
//! Promises: pure (the caller has the clock and the random generator); every verdict has exactly one decision. Whether the
//! incident must be read before an update is sent again is decided in `apply`: it depends on the doubt and the comment.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

use crate::model::call::{Verdict, WhyUnsent};
use crate::model::outcome::{OutcomeCode, OutcomeKind};

/// The limit of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Maximum attempts per row for transient errors, including the first attempt. 429s, renewed tokens and attempts
    /// during an outage don't count.
    pub max_attempts: u32,
}

/// What follows from a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// The row is finished.
    Done {
        /// The row's outcome.
        kind: OutcomeKind,
        /// The reason for the outcome, if there is one.
        code: Option<OutcomeCode>,
    },
    /// The incident was read: compare it with the change.
    Compare,
    /// Read the incident: a success did not show the effect of the update. The attempt counts.
    Read,
    /// Send the next attempt immediately. The attempt doesn't count.
    Immediately,
    /// Send it again after a delay. The attempt counts.
    Retry {
        /// The delay after the end of the attempt.
        after: Duration,
    },
    /// There are no attempts left.
    GiveUp {
        /// Whether the last attempt may have been applied nevertheless.
        may_have_applied: bool,
    },
    /// Pause all requests of the tenant, or wait for a token; then send the row first. The attempt doesn't count.
    Pause,
}

impl Policy {
    /// What follows from `verdict` after this many `attempts` of the row, including the last one.
    pub fn decide(self, verdict: &Verdict, attempts: u32, rng: &mut fastrand::Rng) -> RetryDecision {
        let failed = |code| RetryDecision::Done { kind: OutcomeKind::Failed, code: Some(code) };
        match *verdict {
            Verdict::Updated { ref differs, .. } => {
                let code = differs.as_ref().map(|_| OutcomeCode::Differs);
                RetryDecision::Done { kind: OutcomeKind::Updated, code }
            }
            Verdict::Read { .. } | Verdict::Listed { .. } => RetryDecision::Compare,
            Verdict::NotApplied { .. } => failed(OutcomeCode::NotApplied),
            Verdict::Redirected { .. } => failed(OutcomeCode::Redirected),
            Verdict::Rejected | Verdict::Unsent(WhyUnsent::ContainsToken) => failed(OutcomeCode::Rejected),
            Verdict::NotFound => failed(OutcomeCode::NotFound),
            Verdict::Forbidden { .. } => failed(OutcomeCode::Forbidden),
            Verdict::Conflict => failed(OutcomeCode::Conflict),
            Verdict::Unexpected => failed(OutcomeCode::Unexpected),
            Verdict::Throttled { .. } | Verdict::Unauthorized { .. } | Verdict::Unsent(WhyUnsent::NoToken) => {
                RetryDecision::Pause
            }
            Verdict::Unconfirmed if attempts >= self.max_attempts => RetryDecision::GiveUp { may_have_applied: true },
            Verdict::Unconfirmed => RetryDecision::Read,
            Verdict::Dropped { .. } => RetryDecision::Immediately,
            Verdict::Unsent(WhyUnsent::NoConnection(_)) if attempts >= self.max_attempts => {
                RetryDecision::GiveUp { may_have_applied: false }
            }
            Verdict::Transient { may_have_applied } if attempts >= self.max_attempts => {
                RetryDecision::GiveUp { may_have_applied }
            }
            Verdict::Transient { .. } | Verdict::Unsent(WhyUnsent::NoConnection(_)) => {
                RetryDecision::Retry { after: delay(attempts, rng) }
            }
        }
    }
}

/// The delay after this many attempts: a random duration up to 0.5 s, 1 s, 2 s, … 30 s ("full jitter"), so that requests
/// that failed together are not retried together.
pub fn delay(attempts: u32, rng: &mut fastrand::Rng) -> Duration {
    let ceiling = ceiling(Duration::from_millis(500), Duration::from_secs(30), attempts);
    Duration::from_millis(rng.u64(0..=u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX)))
}

/// The pause after the service was down `times` times in a row: 5 s, 10 s, … 60 s.
#[must_use]
pub fn outage_pause(times: u32) -> Duration {
    ceiling(Duration::from_secs(5), Duration::from_mins(1), times)
}

/// `first`, doubled `times - 1` times, up to `longest`.
fn ceiling(first: Duration, longest: Duration, times: u32) -> Duration {
    let mut backoff = ExponentialBackoff {
        current_interval: first,
        initial_interval: first,
        max_interval: longest,
        multiplier: 2.0,
        // Its random generator and clock are not used: the jitter comes from the run's own generator.
        randomization_factor: 0.0,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    for _ in 1..times {
        if backoff.current_interval == longest {
            break;
        }
        backoff.next_backoff();
    }
    backoff.current_interval
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(schedule: impl Fn(u32) -> Duration, times: std::ops::RangeInclusive<u32>) -> Vec<u128> {
        times.map(|attempts| schedule(attempts).as_millis()).collect()
    }

    #[test]
    fn backoff_doubles_from_half_a_second_to_thirty() {
        let row = |attempts| ceiling(Duration::from_millis(500), Duration::from_secs(30), attempts);
        assert_eq!(millis(row, 1..=9), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(row(0), row(1), "the delay before the first try is that after it");
        assert_eq!(row(u32::MAX), Duration::from_secs(30));
    }

    #[test]
    fn outage_pauses_double_from_five_seconds_to_sixty() {
        assert_eq!(millis(outage_pause, 1..=6), [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
    }

    #[test]
    fn jitter_uses_the_whole_range() {
        let mut rng = fastrand::Rng::with_seed(7);
        let delays: Vec<Duration> = (0..1_000).map(|_| delay(3, &mut rng)).collect();
        assert!(delays.iter().min() < Some(&Duration::from_millis(100)));
        assert!(delays.iter().max() > Some(&Duration::from_millis(1_900)));
    }

    #[test]
    fn every_verdict_has_its_decision() {
        let done = |kind, code| RetryDecision::Done { kind, code };
        let failed = |code| done(OutcomeKind::Failed, Some(code));
        let resume = Some(crate::model::call::Resume::After(Duration::from_secs(37)));
        for (verdict, next) in [
            (Verdict::Updated { differs: None, added: None }, done(OutcomeKind::Updated, None)),
            (
                Verdict::Updated { differs: Some("status".to_owned()), added: None },
                done(OutcomeKind::Updated, Some(OutcomeCode::Differs)),
            ),
            (
                Verdict::Read { incident: crate::model::call::Incident::default(), server_time: None },
                RetryDecision::Compare,
            ),
            (Verdict::NotApplied { differs: String::new() }, failed(OutcomeCode::NotApplied)),
            (Verdict::Redirected { to: 8 }, failed(OutcomeCode::Redirected)),
            (Verdict::Rejected, failed(OutcomeCode::Rejected)),
            (Verdict::NotFound, failed(OutcomeCode::NotFound)),
            (Verdict::Forbidden { by_policy: false }, failed(OutcomeCode::Forbidden)),
            (Verdict::Conflict, failed(OutcomeCode::Conflict)),
            (Verdict::Unexpected, failed(OutcomeCode::Unexpected)),
            (Verdict::Unauthorized { is_news: true }, RetryDecision::Pause),
            (Verdict::Throttled { resume }, RetryDecision::Pause),
            (Verdict::Throttled { resume: None }, RetryDecision::Pause),
            (Verdict::Dropped { may_have_applied: true }, RetryDecision::Immediately),
            (Verdict::Unconfirmed, RetryDecision::GiveUp { may_have_applied: true }),
            (Verdict::Unsent(WhyUnsent::NoConnection(None)), RetryDecision::GiveUp { may_have_applied: false }),
            (Verdict::Unsent(WhyUnsent::NoToken), RetryDecision::Pause),
            (Verdict::Unsent(WhyUnsent::ContainsToken), failed(OutcomeCode::Rejected)),
            (Verdict::Transient { may_have_applied: true }, RetryDecision::GiveUp { may_have_applied: true }),
            (Verdict::Transient { may_have_applied: false }, RetryDecision::GiveUp { may_have_applied: false }),
        ] {
            let next_now = Policy { max_attempts: 5 }.decide(&verdict, 5, &mut fastrand::Rng::with_seed(1));
            assert_eq!(next_now, next, "{verdict:?}");
        }
    }

    #[test]
    fn transient_error_is_retried_until_attempts_run_out() {
        let transient = Verdict::Transient { may_have_applied: false };
        let mut rng = fastrand::Rng::with_seed(1);
        let mut next = |attempts| Policy { max_attempts: 3 }.decide(&transient, attempts, &mut rng);
        assert!(matches!(next(1), RetryDecision::Retry { after } if after <= Duration::from_millis(500)));
        assert!(matches!(next(2), RetryDecision::Retry { after } if after <= Duration::from_secs(1)));
        assert_eq!(next(3), RetryDecision::GiveUp { may_have_applied: false });
        assert_eq!(next(4), RetryDecision::GiveUp { may_have_applied: false });
        assert_eq!(Policy { max_attempts: 3 }.decide(&Verdict::Unconfirmed, 2, &mut rng), RetryDecision::Read);
    }

    proptest! {
        #[test]
        fn no_delay_exceeds_its_limit(attempts in 0u32..=1_000, seed: u64) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let exact = 0.5 * 2f64.powi(i32::try_from(attempts.max(1)).expect("small") - 1);
            prop_assert!(delay(attempts, &mut rng).as_secs_f64() <= exact.min(30.0));
        }
    }
}
