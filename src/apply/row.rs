//! The way of one row: from one attempt's end to the next call or to the outcome.
//!
//! A [`Hand`] is a row that was taken up and is not over. [`Hand::settle`] is told how an attempt ended and says what
//! is written to the journal and what comes next. Pure: the dispatcher waits, sends and commits.

use std::time::Duration;

use super::doubt::{Seen, clear_up, shows};
use super::service::resumes_at;
use crate::attempt::{Answer, Verdict};
use crate::clock::{BootTime, Now};
use crate::journal::{AttemptId, Doubt, End, MadeBefore, PendingRow, What};
use crate::outcome::{Outcome, OutcomeKind, ResultRow};
use crate::retry::{Next, Policy};

/// A doubt is cleared up no earlier than this after the attempt can have sent its last byte: the server may still be
/// at it.
pub(super) const SETTLING: Duration = Duration::from_secs(2);

/// A row that was taken up.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    pub(super) row: PendingRow,
    /// What its next call is.
    pub(super) what: What,
    /// One of its updates may have been made: no read has shown otherwise since.
    may_be_made: bool,
    /// Its tries at the update are used up; a last look tells whether one of them was made.
    is_last_look: bool,
    /// Tries that count, of updates and of reads.
    updates: Tries,
    reads: Tries,
    /// What the last answer to an update said: it stays with the row when a read ends it.
    last_update: Option<Answer>,
    /// What the last answer to any call said.
    last: Option<Answer>,
}

/// Tries, with those apart that will not count if their streak becomes an outage.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    settled: u32,
    uncertain: u32,
    streak: u64,
}

impl Tries {
    fn add(&mut self, streak: u64) {
        self.fold(streak);
        self.uncertain += 1;
    }

    /// Tries of a streak that is past have counted.
    fn fold(&mut self, streak: u64) {
        if self.streak != streak {
            self.settled += self.uncertain;
            self.uncertain = 0;
            self.streak = streak;
        }
    }

    fn count(&self) -> u32 {
        self.settled + self.uncertain
    }
}

/// What the service's health says about a try that ends now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streak {
    pub(super) id: u64,
    /// Whether a try without an answer counts.
    pub(super) counts: bool,
}

/// What comes next for a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Then {
    /// It is over: the outcome is in the [`End`].
    Over,
    /// It is next again.
    Ready,
    /// It is tried again at this time.
    At(BootTime),
    /// Its tries are used up, if they were not the service's fault.
    UsedUp,
    /// Its token was refused.
    Renew { token_generation: u64 },
}

/// An attempt that has ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) attempt: AttemptId,
    pub(super) answer: Answer,
    /// When the answer had come, or the wait for it was over.
    pub(super) at: Now,
    /// How long it took.
    pub(super) took: Duration,
}

/// What is the same for all rows of a run.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) policy: Policy,
    /// The pause after a 429 that names no time.
    pub(super) shortest_window: Duration,
    /// The property that is added to what is there; empty where the contract has none.
    pub(super) appended: String,
}

impl Hand {
    pub(super) fn new(row: PendingRow) -> Hand {
        Hand {
            may_be_made: row.is_in_doubt,
            row,
            what: What::Update,
            is_last_look: false,
            updates: Tries::default(),
            reads: Tries::default(),
            last_update: None,
            last: None,
        }
    }

    /// Its line of the results, with this outcome.
    pub(super) fn result(&self, outcome: Outcome) -> ResultRow {
        let target = self.row.change.incident;
        let (own, outcome) = match self.row.merged {
            Some(own) => (own, outcome.of_target(target.get())),
            None => (target, outcome),
        };
        ResultRow {
            row: self.row.row,
            line: self.row.line,
            incident_id: own.to_string(),
            outcome,
            attempts: self.row.attempts,
            source: self.row.source.clone(),
        }
    }

    /// How many tries at its present call count.
    pub(super) fn tries(&self) -> u32 {
        match self.what {
            What::Update => self.updates.count(),
            What::Read(_) => self.reads.count(),
        }
    }

    /// The service was down: what was tried in this streak does not count.
    pub(super) fn forgive(&mut self, streak: u64) {
        for tries in [&mut self.updates, &mut self.reads] {
            tries.fold(streak);
            tries.uncertain = 0;
        }
    }

    /// The journal says: read the incident first. Returns when.
    pub(super) fn read_first(&mut self, doubts: Vec<Doubt>) -> BootTime {
        let last_byte = doubts.iter().map(|doubt| doubt.ended).max();
        self.what = What::Read(doubts);
        last_byte.map_or(BootTime(i64::MIN), |last| last + SETTLING)
    }

    /// The journal says: that has been made before.
    pub(super) fn made_before(made: &MadeBefore, now: Now) -> Outcome {
        let at = made.at.strftime("%Y-%m-%d %H:%M:%S UTC");
        let mut outcome = if made.own_row {
            Outcome::new(OutcomeKind::Updated, "found-by-reading", format!("made at {at}, found by reading"))
        } else if made.own_run {
            Outcome::new(OutcomeKind::Unchanged, "done-before", format!("made at {at} by an earlier row of this run"))
        } else {
            Outcome::new(OutcomeKind::Unchanged, "done-before", format!("made at {at} by run {}", made.run))
        };
        outcome.finished_at = Some(now.wall);
        outcome
    }

    /// One attempt has ended: what is written about it, and what comes next.
    pub(super) fn settle(
        &mut self,
        ended: &Ended,
        streak: Streak,
        rules: &Rules,
        rng: &mut fastrand::Rng,
    ) -> (End, Then) {
        let Ended { attempt, answer, at, .. } = ended;
        let tries = match self.what {
            What::Update => &mut self.updates,
            What::Read(_) => &mut self.reads,
        };
        tries.fold(streak.id);
        if streak.counts && matches!(answer.verdict, Verdict::Transient { .. }) {
            tries.add(streak.id);
        }
        // While the service is down no try is a row's last one.
        let most = if streak.counts { u32::MAX } else { rules.policy.max_attempts.saturating_sub(1) };
        let next = rules.policy.decide(&answer.verdict, tries.count().min(most), rng);

        let is_update = matches!(self.what, What::Update);
        self.last = Some(answer.clone());
        if is_update {
            self.last_update = Some(answer.clone());
            self.may_be_made |= was_made(&answer.verdict).is_none();
        }
        let mut end = End {
            attempt: *attempt,
            at: *at,
            verdict: answer.verdict.name(),
            made: if is_update { was_made(&answer.verdict) } else { None },
            http_status: answer.http_status,
            request_id: answer.request_id.clone(),
            outcome: None,
            resolved: Vec::new(),
            pause_until: None,
        };
        let then = match next {
            Next::Done { kind, code } => {
                let is_about_the_row = is_update || answer.verdict == Verdict::NotFound;
                let outcome = if is_about_the_row { of_answer(kind, code, answer, *at) } else { self.unreadable(*at) };
                end.outcome = Some((self.row.row, outcome));
                Then::Over
            }
            Next::Compare => self.compare(ended, &rules.appended, &mut end),
            Next::Again { after } => Then::At(at.boot + after),
            Next::GiveUp { .. } => Then::UsedUp,
            Next::Pause { resume } => {
                end.pause_until = Some(resumes_at(resume, *at, rules.shortest_window));
                Then::Ready
            }
            Next::Renew { token_generation } => Then::Renew { token_generation },
        };
        (end, then)
    }

    /// Its tries are used up for good. Either one more look is due, at the time returned, or it is over.
    pub(super) fn use_up(&mut self, now: Now) -> Result<BootTime, Outcome> {
        match self.what {
            What::Read(_) => Err(self.unreadable(now)),
            What::Update if !self.may_be_made => Err(self.gave_up(now)),
            What::Update => {
                self.is_last_look = true;
                // With a comment the journal names the attempts in doubt when it is asked.
                self.what = What::Read(Vec::new());
                Ok(now.boot + SETTLING)
            }
        }
    }

    /// The incident was read.
    fn compare(&mut self, ended: &Ended, appended: &str, end: &mut End) -> Then {
        let Verdict::Read { incident, server_time } = &ended.answer.verdict else { return Then::Ready };
        let seen = Seen { at: ended.at, took: ended.took, server_time: *server_time };
        let What::Read(doubts) = &self.what else { return Then::Ready };
        end.resolved = clear_up(doubts, incident, seen, appended);
        let own_is_made = doubts.iter().any(|doubt| doubt.own_row && end.resolved.contains(&(doubt.attempt, true)));
        let is_so = !self.row.change.appends && shows(&self.row.change.body, incident, appended);
        if own_is_made || self.is_last_look && is_so {
            end.outcome = Some((self.row.row, self.with_last(Outcome::found_by_reading(), ended.at)));
            return Then::Over;
        }
        end.outcome = self.was_not_made(ended.at).map(|outcome| (self.row.row, outcome));
        if end.outcome.is_some() { Then::Over } else { Then::Ready }
    }

    /// It is known now that none of its updates was made: it is sent, or over where its tries are used up.
    pub(super) fn was_not_made(&mut self, now: Now) -> Option<Outcome> {
        if self.is_last_look {
            return Some(self.gave_up(now));
        }
        self.what = What::Update;
        self.may_be_made = false;
        self.reads = Tries::default();
        None
    }

    fn gave_up(&self, now: Now) -> Outcome {
        let message = format!("no success in {} tries; the last: {}", self.updates.count(), self.last_words());
        self.with_last(Outcome::new(OutcomeKind::Failed, "gave-up", message), now)
    }

    /// The incident can't be read. If it was for an attempt of our own, that stays in doubt; if not, nothing was sent.
    fn unreadable(&self, now: Now) -> Outcome {
        let why = self.last.as_ref().map_or("no answer", |last| &last.message);
        let own_is_in_doubt = matches!(&self.what, What::Read(doubts) if doubts.iter().any(|doubt| doubt.own_row));
        let outcome = if self.is_last_look || own_is_in_doubt {
            let message = format!("it may have been made: the answer was lost, and the incident can't be read: {why}");
            Outcome::new(OutcomeKind::InDoubt, "unreadable", message)
        } else {
            let message = format!("not sent: another run's update is in doubt, and the incident can't be read: {why}");
            Outcome::new(OutcomeKind::Failed, "unreadable", message)
        };
        self.with_last(outcome, now)
    }

    fn last_words(&self) -> &str {
        self.last_update.as_ref().map_or("no answer", |last| &last.message)
    }

    /// An outcome with what the last answer said.
    fn with_last(&self, outcome: Outcome, now: Now) -> Outcome {
        let last = self.last.as_ref();
        Outcome {
            http_status: last.and_then(|last| last.http_status),
            request_id: last.and_then(|last| last.request_id.clone()),
            finished_at: Some(now.wall),
            ..outcome
        }
    }
}

/// Whether an update was made, by its verdict; `None`: in doubt.
fn was_made(verdict: &Verdict) -> Option<bool> {
    match verdict {
        Verdict::Updated { .. } | Verdict::Redirected { .. } => Some(true),
        Verdict::Transient { may_have_applied: true } | Verdict::Unexpected => None,
        _ => Some(false),
    }
}

fn of_answer(kind: OutcomeKind, code: &str, answer: &Answer, at: Now) -> Outcome {
    let message = match &answer.verdict {
        Verdict::Updated { differs: Some(differs) } => differs.clone(),
        Verdict::Redirected { to } => format!("the incident was merged into {to}: the update went to the old one"),
        _ => answer.message.clone(),
    };
    Outcome {
        http_status: answer.http_status,
        request_id: answer.request_id.clone(),
        finished_at: Some(at.wall),
        ..Outcome::new(kind, code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Change, IncidentId};

    const STREAK: Streak = Streak { id: 1, counts: true };

    fn hand(appends: bool, is_in_doubt: bool) -> Hand {
        let incident = IncidentId::new(7).expect("an id");
        let change = Change { incident, body: r#"{"status":"Resolved"}"#.into(), appends };
        Hand::new(PendingRow {
            row: 1,
            line: 2,
            source: Vec::new(),
            change,
            attempts: 0,
            is_in_doubt,
            otherwise_at: None,
            merged: None,
            asked: None,
        })
    }

    fn now() -> Now {
        Now { boot: BootTime(0), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    /// What comes next after an update that ends without an answer.
    fn unanswered(hand: &mut Hand, may_have_applied: bool) -> Then {
        let verdict = Verdict::Transient { may_have_applied };
        let answer = Answer { verdict, http_status: None, request_id: None, message: "refused".to_owned() };
        let ended = Ended { attempt: AttemptId(1), answer, at: now(), took: Duration::ZERO };
        let rules = Rules {
            policy: Policy { max_attempts: 2 },
            shortest_window: Duration::from_secs(1),
            appended: "comment".to_owned(),
        };
        hand.settle(&ended, STREAK, &rules, &mut fastrand::Rng::with_seed(1)).1
    }

    #[test]
    fn a_row_is_given_up_without_a_look_only_if_nothing_of_it_can_have_arrived() {
        let mut never_arrived = hand(false, false);
        assert!(matches!(unanswered(&mut never_arrived, false), Then::At(_)));
        assert_eq!(unanswered(&mut never_arrived, false), Then::UsedUp);
        assert_eq!(never_arrived.use_up(now()).map_err(|outcome| outcome.code), Err("gave-up".to_owned()));

        let mut first_may_have = hand(false, false);
        assert!(matches!(unanswered(&mut first_may_have, true), Then::At(_)));
        assert_eq!(unanswered(&mut first_may_have, false), Then::UsedUp);
        assert_eq!(first_may_have.use_up(now()), Ok(BootTime(0) + SETTLING));
        assert_eq!(first_may_have.what, What::Read(Vec::new()));

        let mut before_this_start = hand(false, true);
        assert!(matches!(unanswered(&mut before_this_start, false), Then::At(_)));
        assert_eq!(unanswered(&mut before_this_start, false), Then::UsedUp);
        assert_eq!(before_this_start.use_up(now()), Ok(BootTime(0) + SETTLING));

        // Another process has found that it was not made: there is nothing to look at, and no try is left.
        let mut looked_at_by_another = hand(true, true);
        assert!(matches!(unanswered(&mut looked_at_by_another, true), Then::At(_)));
        assert_eq!(unanswered(&mut looked_at_by_another, true), Then::UsedUp);
        assert_eq!(looked_at_by_another.use_up(now()), Ok(BootTime(0) + SETTLING));
        assert_eq!(looked_at_by_another.what, What::Read(Vec::new()));
        assert_eq!(looked_at_by_another.was_not_made(now()).map(|outcome| outcome.code), Some("gave-up".to_owned()));
    }

    fn ended(verdict: Verdict) -> Ended {
        let answer = Answer { verdict, http_status: None, request_id: None, message: "no".to_owned() };
        Ended { attempt: AttemptId(9), answer, at: now(), took: Duration::ZERO }
    }

    fn rules() -> Rules {
        let policy = Policy { max_attempts: 2 };
        Rules { policy, shortest_window: Duration::from_secs(1), appended: "comment".to_owned() }
    }

    fn settled(hand: &mut Hand, verdict: Verdict, streak: Streak) -> (End, Then) {
        hand.settle(&ended(verdict), streak, &rules(), &mut fastrand::Rng::with_seed(1))
    }

    fn code(end: &End) -> Option<String> {
        end.outcome.as_ref().map(|(_, outcome)| format!("{} {}", outcome.kind, outcome.code))
    }

    #[test]
    fn tries_of_a_streak_that_became_an_outage_do_not_count_and_older_ones_do() {
        let nothing = || Verdict::Transient { may_have_applied: false };
        let mut forgiven = hand(false, false);
        for _ in 0..3 {
            assert!(matches!(settled(&mut forgiven, nothing(), STREAK).1, Then::At(_)));
            forgiven.forgive(STREAK.id);
            assert_eq!(forgiven.tries(), 0);
        }
        let mut older = hand(false, false);
        assert!(matches!(settled(&mut older, nothing(), STREAK).1, Then::At(_)));
        let later = Streak { id: 2, counts: true };
        older.forgive(later.id);
        assert_eq!(older.tries(), 1);
        assert_eq!(settled(&mut older, nothing(), later).1, Then::UsedUp);
        older.forgive(later.id);
        assert_eq!(older.tries(), 1);
    }

    fn doubt(own_row: bool) -> Doubt {
        let change = hand(true, false).row.change;
        let (started, ended) = (BootTime(0), BootTime(1_000_000));
        Doubt { attempt: AttemptId(1), change, started, ended, own_row, known: std::sync::Arc::default() }
    }

    #[test]
    fn an_incident_is_read_when_the_server_has_settled() {
        let mut hand = hand(true, false);
        let later = Doubt { ended: BootTime(3_000_000), ..doubt(false) };
        assert_eq!(hand.read_first(vec![later, doubt(true)]), BootTime(3_000_000) + SETTLING);
    }

    /// An incident that shows what is asked for, with the comment or without.
    fn read(has_comment: bool) -> Verdict {
        let comment =
            crate::attempt::Comment { text: "done".to_owned(), created_by: None, created_at: Some(now().wall) };
        let incident = crate::attempt::Incident {
            id: 7,
            values: std::iter::once(("status".to_owned(), "Resolved".into())).collect(),
            comments: if has_comment { vec![comment] } else { Vec::new() },
            ..crate::attempt::Incident::default()
        };
        Verdict::Read { incident, server_time: None }
    }

    fn reading(appends: bool, doubts: Vec<Doubt>, is_last_look: bool) -> Hand {
        let mut hand = hand(appends, true);
        if appends {
            hand.row.change.body = r#"{"status":"Resolved","comment":"done"}"#.into();
        }
        let doubts = doubts.into_iter().map(|doubt| Doubt { change: hand.row.change.clone(), ..doubt }).collect();
        hand.what = What::Read(doubts);
        hand.is_last_look = is_last_look;
        hand
    }

    #[test]
    fn what_is_read_decides_by_whose_attempt_it_was() {
        let made = "updated found-by-reading";
        let gave_up = "failed gave-up";
        for (appends, doubts, is_last_look, has_comment, expected) in [
            (true, vec![doubt(true)], false, true, Some(made)),
            (true, vec![doubt(true)], false, false, None),
            (true, vec![doubt(false)], false, true, None),
            (true, vec![doubt(true)], true, false, Some(gave_up)),
            // Nothing is added: it is looked at only when all tries are used up.
            (false, vec![], true, false, Some(made)),
            (false, vec![], false, false, None),
        ] {
            let mut hand = reading(appends, doubts, is_last_look);
            let (end, then) = settled(&mut hand, read(has_comment), STREAK);
            assert_eq!(code(&end).as_deref(), expected, "{appends} {is_last_look} {has_comment}");
            assert_eq!(then, if expected.is_some() { Then::Over } else { Then::Ready });
            assert_eq!(expected.is_none(), hand.what == What::Update);
        }
    }

    #[test]
    fn an_incident_that_can_not_be_read_leaves_in_doubt_what_was_our_own() {
        for (doubts, is_last_look, verdict, expected) in [
            (vec![doubt(true)], false, Verdict::Rejected, "in-doubt unreadable"),
            (vec![], true, Verdict::Rejected, "in-doubt unreadable"),
            (vec![doubt(false)], false, Verdict::Rejected, "failed unreadable"),
            (vec![doubt(true)], false, Verdict::NotFound, "failed not-found"),
        ] {
            let mut hand = reading(true, doubts, is_last_look);
            let (end, then) = settled(&mut hand, verdict, STREAK);
            assert_eq!((code(&end).as_deref(), then), (Some(expected), Then::Over));
        }
        // Of an update, what the API says of it is the row's own.
        let (end, _) = settled(&mut hand(false, false), Verdict::Rejected, STREAK);
        assert_eq!(code(&end).as_deref(), Some("failed rejected"));
    }
}
