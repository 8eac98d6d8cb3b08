//! Doubt: whether an attempt without an answer was made all the same, by what the incident looks like now.
//!
//! Promises: a comment that was there before, or that another known call of ours has added, is not taken for the one in
//! doubt. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::row::SETTLING;
use crate::attempt::{Comment, Incident};
use crate::clock::{BootTime, Now};
use crate::compare::differences;
use crate::journal::{AttemptId, Doubt, Known};

/// A read, as far as time is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When the answer had come.
    pub(super) at: Now,
    /// How long the read took.
    pub(super) took: Duration,
    /// The server's clock when it answered, where it said (whole seconds).
    pub(super) server_time: Option<Timestamp>,
}

/// Where the server does not say what time it is, its clock is taken to differ by no more than this.
const UNKNOWN_SKEW: SignedDuration = SignedDuration::from_mins(1);
/// The part of a second that a `Date` header cuts off, and one more for the way.
const KNOWN_SKEW: SignedDuration = SignedDuration::from_secs(2);

impl Seen {
    /// The earliest time by the server's clock at which a call that began at `started` can have been carried out.
    fn earliest(&self, started: BootTime) -> Timestamp {
        let ours = self.at.wall_at(started);
        let took = SignedDuration::try_from(self.took).unwrap_or(SignedDuration::ZERO);
        let (skew, slack) = match self.server_time {
            Some(theirs) => (theirs.duration_since(self.at.wall), KNOWN_SKEW + took),
            None => (SignedDuration::ZERO, UNKNOWN_SKEW),
        };
        ours.saturating_add(skew - slack).unwrap_or(ours)
    }

    /// The latest one for a call that had ended at `ended`.
    fn latest(&self, ended: BootTime) -> Timestamp {
        let earliest = self.earliest(ended);
        let took = SignedDuration::try_from(self.took).unwrap_or(SignedDuration::ZERO);
        let slack = if self.server_time.is_some() { KNOWN_SKEW + took } else { UNKNOWN_SKEW };
        earliest.saturating_add(slack + slack).unwrap_or(earliest)
    }
}

/// For each attempt in doubt whether it was made. `appended` is the property whose values an incident lists.
pub(super) fn clear_up(doubts: &[Doubt], incident: &Incident, seen: Seen, appended: &str) -> Vec<(AttemptId, bool)> {
    let mut free: Vec<Option<&Comment>> = incident.comments.iter().map(Some).collect();
    free.sort_by_key(|comment| comment.and_then(|comment| comment.created_at));
    // What is known to have been made has its comment already. Whoever had to be first takes the oldest that fits: so
    // each finds one, and none takes another's.
    let mut known: Vec<&Known> = doubts.first().map_or(&[][..], |doubt| &doubt.known).iter().collect();
    known.sort_by_key(|known| known.ended);
    for Known { change, started, ended } in known {
        let text = added_text(&change.body, appended);
        let (earliest, latest) = (seen.earliest(*started), seen.latest(*ended + SETTLING));
        take(&mut free, |comment| {
            Some(&comment.text) == text.as_ref() && comment.created_at.is_none_or(|at| earliest <= at && at <= latest)
        });
    }
    let mut oldest_first: Vec<&Doubt> = doubts.iter().collect();
    oldest_first.sort_by_key(|doubt| doubt.started);
    oldest_first
        .into_iter()
        .map(|doubt| {
            let text = added_text(&doubt.change.body, appended);
            let earliest = seen.earliest(doubt.started);
            let made = take(&mut free, |comment| {
                Some(&comment.text) == text.as_ref()
                    && match comment.created_at {
                        Some(at) => at >= earliest,
                        // Without a time the other properties must speak for it.
                        None => shows(&doubt.change.body, incident, appended),
                    }
            });
            (doubt.attempt, made)
        })
        .collect()
}

/// Whether the incident shows every property that `body` sets; what it adds is not looked at.
pub(super) fn shows(body: &str, incident: &Incident, appended: &str) -> bool {
    differences(body, &incident.values, appended).is_empty()
}

fn added_text(body: &str, appended: &str) -> Option<String> {
    let asked: Map<String, Value> = serde_json::from_str(body).ok()?;
    asked.get(appended)?.as_str().map(str::to_owned)
}

/// Takes the first comment that fits, so that no other can be taken for it.
fn take(free: &mut [Option<&Comment>], fits: impl Fn(&Comment) -> bool) -> bool {
    match free.iter_mut().find(|comment| comment.is_some_and(&fits)) {
        Some(comment) => comment.take().is_some(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Change, IncidentId};

    const BODY: &str = r#"{"status":"Resolved","comment":"closed by tuning"}"#;

    fn now(seconds: i64) -> Now {
        let wall = Timestamp::from_second(1_700_000_000 + seconds).expect("a plain time");
        Now { boot: BootTime(seconds * 1_000_000), wall }
    }

    fn change() -> Change {
        Change { incident: IncidentId::new(7).expect("positive"), body: BODY.into(), appends: true }
    }

    fn doubt(attempt: i64, started: i64, known: &[i64]) -> Doubt {
        Doubt {
            attempt: AttemptId(attempt),
            change: change(),
            started: now(started).boot,
            ended: now(started + 1).boot,
            own_row: true,
            known: known
                .iter()
                .map(|at| Known { change: change(), started: now(*at).boot, ended: now(*at + 1).boot })
                .collect(),
        }
    }

    /// An incident whose comments were written at these times by a server whose clock is `ahead` of ours.
    fn incident(written: &[Option<i64>], status: &str, ahead: i64) -> Incident {
        let comment = |at: &Option<i64>| Comment {
            text: "closed by tuning".to_owned(),
            created_by: None,
            created_at: at.map(|at| now(at + ahead).wall),
        };
        Incident {
            id: 7,
            values: [("status".to_owned(), Value::from(status))].into_iter().collect(),
            comments: written.iter().map(comment).collect(),
            ..Incident::default()
        }
    }

    fn seen(at: i64, ahead: i64) -> Seen {
        Seen { at: now(at), took: Duration::from_millis(300), server_time: Some(now(at + ahead).wall) }
    }

    #[test]
    fn a_comment_written_after_the_attempt_began_is_its_own() {
        let made = clear_up(&[doubt(1, 100, &[])], &incident(&[Some(101)], "Resolved", 0), seen(110, 0), "comment");
        assert_eq!(made, [(AttemptId(1), true)]);
    }

    #[test]
    fn the_same_text_from_before_is_not() {
        let made = clear_up(&[doubt(1, 100, &[])], &incident(&[Some(40)], "Resolved", 0), seen(110, 0), "comment");
        assert_eq!(made, [(AttemptId(1), false)]);
    }

    #[test]
    fn a_server_whose_clock_is_an_hour_off_is_understood_by_its_date() {
        for ahead in [3_600, -3_600] {
            let new =
                clear_up(&[doubt(1, 100, &[])], &incident(&[Some(101)], "Active", ahead), seen(110, ahead), "comment");
            assert_eq!(new, [(AttemptId(1), true)], "{ahead}");
            let old =
                clear_up(&[doubt(1, 100, &[])], &incident(&[Some(40)], "Active", ahead), seen(110, ahead), "comment");
            assert_eq!(old, [(AttemptId(1), false)], "{ahead}");
        }
    }

    #[test]
    fn a_comment_that_a_known_call_has_made_is_not_taken_twice() {
        let one = incident(&[Some(99)], "Resolved", 0);
        assert_eq!(clear_up(&[doubt(1, 100, &[99])], &one, seen(110, 0), "comment"), [(AttemptId(1), false)]);
        let two = incident(&[Some(99), Some(101)], "Resolved", 0);
        assert_eq!(clear_up(&[doubt(1, 100, &[99])], &two, seen(110, 0), "comment"), [(AttemptId(1), true)]);
    }

    #[test]
    fn a_known_call_takes_its_own_comment_and_leaves_older_ones() {
        let here = incident(&[Some(-9_000), Some(90)], "Resolved", 0);
        let unsure = Seen { server_time: None, ..seen(110, 0) };
        assert_eq!(clear_up(&[doubt(1, 100, &[90])], &here, unsure, "comment"), [(AttemptId(1), false)]);
    }

    /// A slow read tells the server's time less exactly: by as much as it took, in both directions.
    #[test]
    fn the_time_that_a_read_took_is_allowed_for() {
        let slow = |took| Seen { took: Duration::from_secs(took), ..seen(130, 0) };
        let early = incident(&[Some(95)], "Resolved", 0);
        assert_eq!(clear_up(&[doubt(1, 100, &[])], &early, slow(10), "comment"), [(AttemptId(1), true)]);
        assert_eq!(clear_up(&[doubt(1, 100, &[])], &early, slow(1), "comment"), [(AttemptId(1), false)]);
        // The known call had ended at 91, and the server may have been at it until 93: its comment of 105 is its own.
        let late = incident(&[Some(105)], "Resolved", 0);
        assert_eq!(clear_up(&[doubt(1, 100, &[90])], &late, slow(10), "comment"), [(AttemptId(1), false)]);
        assert_eq!(clear_up(&[doubt(1, 100, &[90])], &late, slow(1), "comment"), [(AttemptId(1), true)]);
    }

    #[test]
    fn two_attempts_in_doubt_need_two_comments() {
        let doubts = [doubt(1, 100, &[]), doubt(2, 105, &[])];
        let one = clear_up(&doubts, &incident(&[Some(101)], "Resolved", 0), seen(110, 0), "comment");
        assert_eq!(one, [(AttemptId(1), true), (AttemptId(2), false)]);
        let two = clear_up(&doubts, &incident(&[Some(101), Some(106)], "Resolved", 0), seen(110, 0), "comment");
        assert_eq!(two, [(AttemptId(1), true), (AttemptId(2), true)]);
    }

    #[test]
    fn without_times_the_other_properties_decide() {
        let resolved = incident(&[None], "Resolved", 0);
        assert_eq!(clear_up(&[doubt(1, 100, &[])], &resolved, seen(110, 0), "comment"), [(AttemptId(1), true)]);
        let active = incident(&[None], "Active", 0);
        assert_eq!(clear_up(&[doubt(1, 100, &[])], &active, seen(110, 0), "comment"), [(AttemptId(1), false)]);
    }
}
