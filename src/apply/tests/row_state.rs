//! The states of one row: attempts, reads, outcome.

use super::*;
use crate::model::change::{Change, IncidentId};
use crate::model::operation::OperationId;
use crate::plan::decode;

const SETTLE: Duration = Duration::from_secs(30);
const STREAK: Streak = Streak { id: 1, counts: true };

fn row_state(appends: bool, is_in_doubt: bool) -> RowState {
    let incident = IncidentId::new(7).expect("an id");
    let body = if appends { r#"{"status":"Resolved","comment":"done"}"# } else { r#"{"status":"Resolved"}"# };
    let change = Change { incident, edits: decode(body, appends).expect("a body").resolved().expect("no list edit") };
    let contract = crate::contract::load("defender").expect("built in");
    let row = PendingRow { is_in_doubt, ..PendingRow::first(change) };
    RowState::new(row, &contract)
}

fn now() -> Now {
    Now { boot: BootTime(0), wall: jiff::Timestamp::UNIX_EPOCH }
}

/// The next step after an update without a response.
fn unanswered(row: &mut RowState, may_have_applied: bool) -> RowStep {
    let verdict = Verdict::Transient { may_have_applied };
    let result = CallResult {
        verdict,
        http_status: None,
        request_id: None,
        message: "refused".to_owned(),
        is_truncated: false,
        resume: None,
    };
    let ended = CompletedCall {
        attempt: AttemptId { session: 1, number: 1 },
        operation: Some(OperationId::Update),
        result,
        at: now(),
        took: Duration::ZERO,
    };
    let rules = rules();
    row.on_attempt_end(&ended, STREAK, &rules, &mut OwnComments::default(), &mut fastrand::Rng::with_seed(1)).1
}

#[test]
fn row_gives_up_unread_only_if_nothing_arrived() {
    let mut never_arrived = row_state(false, false);
    assert!(matches!(unanswered(&mut never_arrived, false), RowStep::At(_)));
    assert_eq!(unanswered(&mut never_arrived, false), RowStep::Exhausted);
    assert_eq!(never_arrived.exhaust(now(), SETTLE).map_err(|outcome| outcome.code), Err(OutcomeCode::GaveUp.into()));

    let mut first_may_have = row_state(false, false);
    assert!(matches!(unanswered(&mut first_may_have, true), RowStep::At(_)));
    assert_eq!(unanswered(&mut first_may_have, false), RowStep::Exhausted);
    assert_eq!(first_may_have.exhaust(now(), SETTLE), Ok(BootTime(2_000_000)));
    assert_eq!(first_may_have.kind, CallKind::Read(Vec::new()));

    let mut before_this_start = row_state(false, true);
    assert!(matches!(unanswered(&mut before_this_start, false), RowStep::At(_)));
    assert_eq!(unanswered(&mut before_this_start, false), RowStep::Exhausted);
    assert_eq!(before_this_start.exhaust(now(), SETTLE), Ok(BootTime(2_000_000)));

    // Another process found that it was not applied: nothing is in doubt, and no attempt is left.
    let mut resolved_by_another = row_state(true, true);
    assert!(matches!(unanswered(&mut resolved_by_another, true), RowStep::At(_)));
    assert_eq!(unanswered(&mut resolved_by_another, true), RowStep::Exhausted);
    assert_eq!(resolved_by_another.exhaust(now(), SETTLE), Ok(BootTime(2_000_000)));
    assert_eq!(resolved_by_another.kind, CallKind::Read(Vec::new()));
    assert_eq!(resolved_by_another.was_not_made(now()).map(|outcome| outcome.code), Some(OutcomeCode::GaveUp.into()));
}

fn ended(verdict: Verdict) -> CompletedCall {
    let result = CallResult {
        verdict,
        http_status: None,
        request_id: None,
        message: "no".to_owned(),
        is_truncated: false,
        resume: None,
    };
    CompletedCall {
        attempt: AttemptId { session: 1, number: 9 },
        operation: Some(OperationId::Update),
        result,
        at: now(),
        took: Duration::ZERO,
    }
}

fn rules() -> RowPolicy {
    let policy = Policy { max_attempts: 2 };
    let contract = crate::contract::load("defender").expect("built in");
    RowPolicy { contract: Arc::new(contract), policy, same_as: SameAs::default(), settle: SETTLE }
}

fn on_end(row: &mut RowState, verdict: Verdict, streak: Streak) -> (AttemptEnd, RowStep) {
    on_end_at(0, row, verdict, streak)
}

fn on_end_at(seconds: i64, row: &mut RowState, verdict: Verdict, streak: Streak) -> (AttemptEnd, RowStep) {
    let at = Now { boot: BootTime(seconds * 1_000_000), wall: now().wall + jiff::SignedDuration::from_secs(seconds) };
    let ended = CompletedCall { at, ..ended(verdict) };
    row.on_attempt_end(&ended, streak, &rules(), &mut OwnComments::default(), &mut fastrand::Rng::with_seed(1))
}

fn code(end: &AttemptEnd) -> Option<String> {
    end.outcome.as_ref().map(|(_, outcome)| format!("{} {}", outcome.kind, outcome.code))
}

#[test]
fn only_attempts_before_an_outage_count() {
    let nothing = || Verdict::Transient { may_have_applied: false };
    let mut forgiven = row_state(false, false);
    for _ in 0..3 {
        assert!(matches!(on_end(&mut forgiven, nothing(), STREAK).1, RowStep::At(_)));
        forgiven.forgive(STREAK.id);
        assert_eq!(forgiven.attempts(), 0);
    }
    let mut older = row_state(false, false);
    assert!(matches!(on_end(&mut older, nothing(), STREAK).1, RowStep::At(_)));
    let later = Streak { id: 2, counts: true };
    older.forgive(later.id);
    assert_eq!(older.attempts(), 1);
    assert_eq!(on_end(&mut older, nothing(), later).1, RowStep::Exhausted);
    older.forgive(later.id);
    assert_eq!(older.attempts(), 1);
}

fn doubt(own_row: bool) -> Doubt {
    let change = row_state(true, false).row.change.into();
    let (started, ended) = (BootTime(0), BootTime(1_000_000));
    Doubt { attempt: AttemptId { session: 1, number: 1 }, change, started, ended, own_row, known: Arc::default() }
}

#[test]
fn incident_is_read_after_the_settle_time() {
    let mut row = row_state(true, false);
    let later = Doubt { ended: BootTime(3_000_000), ..doubt(false) };
    assert_eq!(row.read_first(vec![later, doubt(true)], SETTLE), BootTime(5_000_000));
}

/// A read of the incident with the requested status, with or without the comment.
fn read(has_comment: bool) -> Verdict {
    let comment =
        crate::model::call::Comment { text: "done".to_owned(), created_by: None, created_at: Some(now().wall) };
    let incident = crate::model::call::Incident {
        id: 7,
        values: std::iter::once(("status".to_owned(), "Resolved".into())).collect(),
        comments: if has_comment { vec![comment] } else { Vec::new() },
        ..crate::model::call::Incident::default()
    };
    Verdict::Read { incident, server_time: None }
}

fn reading(appends: bool, doubts: Vec<Doubt>, is_last_read: bool) -> RowState {
    let mut row = row_state(appends, true);
    let doubts = doubts.into_iter().map(|doubt| Doubt { change: row.row.change.clone().into(), ..doubt }).collect();
    row.kind = CallKind::Read(doubts);
    row.step.is_final_read = is_last_read;
    row
}

#[test]
fn read_updates_fails_or_resends_the_row() {
    let applied = "updated found-by-reading";
    let gave_up = "failed gave-up";
    for (appends, doubts, is_last_read, has_comment, expected) in [
        (true, vec![doubt(true)], false, true, Some(applied)),
        (true, vec![doubt(true)], false, false, None),
        (true, vec![doubt(false)], false, true, None),
        (true, vec![doubt(true)], true, false, Some(gave_up)),
        (false, vec![], true, false, Some(applied)),
        (false, vec![], false, false, Some(applied)),
    ] {
        let mut row = reading(appends, doubts, is_last_read);
        let (end, then) = on_end_at(31, &mut row, read(has_comment), STREAK);
        assert_eq!(code(&end).as_deref(), expected, "{appends} {is_last_read} {has_comment}");
        assert_eq!(then, if expected.is_some() { RowStep::Finished } else { RowStep::Ready });
        assert_eq!(expected.is_none(), row.kind == CallKind::Update);
    }
}

#[test]
fn message_counts_the_attempts() {
    for (attempts, message) in [(1, "failed after 1 attempt; the last: "), (2, "failed after 2 attempts; the last: ")] {
        let mut row = row_state(false, false);
        for _ in 0..attempts {
            on_end(&mut row, Verdict::Transient { may_have_applied: false }, STREAK);
        }
        let outcome = row.exhaust(now(), SETTLE).expect_err("nothing is in doubt");
        assert!(outcome.message.starts_with(message), "{}", outcome.message);
    }
}

#[test]
fn first_matching_read_of_three_decides() {
    let at = |seconds: i64| BootTime(seconds * 1_000_000);
    // The attempt ended after a second.
    let mut row = reading(true, vec![doubt(true)], false);
    for (read_at, then) in [(3, RowStep::ReadAt(at(11))), (11, RowStep::ReadAt(at(31))), (31, RowStep::Ready)] {
        let (end, next) = on_end_at(read_at, &mut row, read(false), STREAK);
        assert_eq!((next, code(&end)), (then, None));
        assert_eq!(
            end.resolved,
            if read_at == 31 { vec![(AttemptId { session: 1, number: 1 }, false)] } else { vec![] }
        );
    }
    let mut row = reading(true, vec![doubt(true)], false);
    assert_eq!(on_end_at(3, &mut row, read(false), STREAK).1, RowStep::ReadAt(at(11)));
    let (end, then) = on_end_at(11, &mut row, read(true), STREAK);
    assert_eq!((then, end.resolved), (RowStep::Finished, vec![(AttemptId { session: 1, number: 1 }, true)]));
    // Another process has waited already: one read decides.
    let mut row = reading(true, vec![doubt(true)], false);
    assert_eq!(on_end_at(40, &mut row, read(false), STREAK).1, RowStep::Ready);
}

/// An unreadable response leads to reads even if the change adds no comment.
#[test]
fn row_without_comment_is_read_three_times() {
    let at = |seconds: i64| BootTime(seconds * 1_000_000);
    let active = || {
        let Verdict::Read { mut incident, server_time } = read(false) else { unreachable!("a read") };
        incident.values.insert("status".to_owned(), "Active".into());
        Verdict::Read { incident, server_time }
    };
    for (is_last_read, expected) in [(false, None), (true, Some("failed gave-up"))] {
        let mut row = reading(false, vec![], is_last_read);
        row.step.doubtful_until = Some(at(1));
        assert_eq!(on_end_at(3, &mut row, active(), STREAK).1, RowStep::ReadAt(at(11)));
        assert_eq!(on_end_at(11, &mut row, active(), STREAK).1, RowStep::ReadAt(at(31)));
        assert_eq!(code(&on_end_at(31, &mut row, active(), STREAK).0).as_deref(), expected);
    }
}

#[test]
fn unexplained_comment_leaves_the_row_in_doubt() {
    let other = |text: &str| Doubt {
        change: Change {
            edits: decode(&format!(r#"{{"comment":"{text}"}}"#), true).expect("a body"),
            ..doubt(false).change
        },
        ..doubt(false)
    };
    let with = |text: &str| {
        let Verdict::Read { mut incident, server_time } = read(true) else { unreachable!("a read") };
        text.clone_into(&mut incident.comments[0].text);
        Verdict::Read { incident, server_time }
    };
    for (doubt, is_its_own, expected) in [
        (doubt(true), true, "in-doubt unexplained"),
        (doubt(false), true, "in-doubt unexplained"),
        (other("else"), false, "failed unexplained"),
    ] {
        let mut row = reading(true, vec![doubt.clone()], false);
        if !is_its_own {
            row.kind = CallKind::Read(vec![doubt]);
        }
        assert!(matches!(on_end_at(3, &mut row, with("[removed]"), STREAK).1, RowStep::ReadAt(_)));
        let (end, then) = on_end_at(31, &mut row, with("[removed]"), STREAK);
        assert_eq!((code(&end).as_deref(), then), (Some(expected), RowStep::Finished));
        assert_eq!(end.resolved, []);
    }
}

#[test]
fn unreadable_incident_leaves_only_ours_in_doubt() {
    for (doubts, is_last_read, verdict, expected) in [
        (vec![doubt(true)], false, Verdict::Rejected, "in-doubt unreadable"),
        (vec![], true, Verdict::Rejected, "in-doubt unreadable"),
        (vec![], false, Verdict::Rejected, "in-doubt unreadable"),
        (vec![doubt(false)], false, Verdict::Rejected, "failed unreadable"),
        (vec![doubt(true)], false, Verdict::NotFound, "failed not-found"),
    ] {
        let mut row = reading(true, doubts, is_last_read);
        let (end, then) = on_end(&mut row, verdict, STREAK);
        assert_eq!((code(&end).as_deref(), then), (Some(expected), RowStep::Finished));
    }
    // The rejection of an update is about the row itself.
    let (end, _) = on_end(&mut row_state(false, false), Verdict::Rejected, STREAK);
    assert_eq!(code(&end).as_deref(), Some("failed rejected"));
}

/// What is left of a row after its update: a comment, with attempts of its own.
#[test]
fn comment_has_attempts_of_its_own() {
    let whole = row_state(true, true).row;
    let mut row = RowState::new(whole, &crate::contract::steps::tests::two_steps());
    let lost = || Verdict::Transient { may_have_applied: true };
    assert!(matches!(on_end(&mut row, lost(), STREAK).1, RowStep::At(_)));
    let (end, then) = on_end(&mut row, Verdict::Updated { differs: None, added: None }, STREAK);
    assert_eq!((end.applied, code(&end), then), (Some(true), None, RowStep::Ready));
    assert_eq!((row.steps.part, row.kind.clone(), row.attempts()), (Part::Comment, CallKind::Update, 0));
    // Nothing of it is in doubt yet.
    let never_sent = || Verdict::Transient { may_have_applied: false };
    assert!(matches!(on_end(&mut row, never_sent(), STREAK).1, RowStep::At(_)));
    assert_eq!(on_end(&mut row, never_sent(), STREAK).1, RowStep::Exhausted);
    let outcome = row.exhaust(now(), SETTLE).expect_err("nothing is in doubt");
    let outcome = row.end_step(outcome).expect("the last step");
    assert_eq!(outcome.code, OutcomeCode::GaveUp);
    assert!(
        outcome.message.starts_with("status was set, but the comment was not added: failed after 2"),
        "{}",
        outcome.message
    );
}
