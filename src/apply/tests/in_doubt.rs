//! How reads resolve attempts in doubt: by texts, clocks and authors.

use serde_json::Value;

use super::*;
use crate::model::change::{Change, IncidentId};
use crate::plan::decode;

static SAME_AS: std::sync::LazyLock<SameAs> = std::sync::LazyLock::new(SameAs::default);

const TEXT: &str = "closed by tuning";
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const OURS: &str = "triage@contoso.com";

fn now(seconds: i64) -> Now {
    let wall = Timestamp::from_second(1_700_000_000 + seconds).expect("a plain time");
    Now { boot: BootTime(seconds * 1_000_000), wall }
}

fn change() -> Change {
    let body = format!(r#"{{"status":"Resolved","comment":"{TEXT}"}}"#);
    Change { incident: IncidentId::new(7).expect("positive"), edits: decode(&body, true).expect("a body") }
}

fn doubt(attempt: i64, started: i64, known: &[i64]) -> Doubt {
    Doubt {
        attempt: AttemptId { session: 1, number: attempt },
        change: change(),
        started: now(started).boot,
        ended: now(started + 1).boot,
        own_row: true,
        known: known
            .iter()
            .map(|at| KnownUpdate { change: change(), started: now(*at).boot, ended: now(*at + 1).boot })
            .collect(),
    }
}

fn comment(text: &str, created: Option<i64>) -> Comment {
    Comment { text: text.to_owned(), created_by: Some(OURS.to_owned()), created_at: created.map(|at| now(at).wall) }
}

fn incident(comments: &[Comment], status: &str) -> Incident {
    Incident {
        id: 7,
        values: [("status".to_owned(), Value::from(status))].into_iter().collect(),
        comments: comments.to_vec(),
        ..Incident::default()
    }
}

/// An incident that has the same comment at these times.
fn written(at: &[i64]) -> Incident {
    let comments: Vec<Comment> = at.iter().map(|at| comment(TEXT, Some(*at))).collect();
    incident(&comments, "Resolved")
}

fn seen(at: i64, date: Option<i64>) -> ReadTiming {
    ReadTiming { at: now(at), took: Duration::from_millis(300), server_time: date.map(|at| now(at).wall) }
}

fn resolve_with(doubts: &[Doubt], incident: &Incident, seen: ReadTiming, own: &mut OwnComments) -> Vec<Found> {
    let settle = Duration::from_secs(30);
    let evidence = Evidence { incident, seen, same_as: &SAME_AS, settle, before: None };
    resolve(doubts, &evidence, own).into_iter().map(|(_, found)| found).collect()
}

/// Resolves attempts by a read at 140 whose response has a `Date`.
fn found(doubts: &[Doubt], incident: &Incident) -> Vec<Found> {
    resolve_with(doubts, incident, seen(140, Some(140)), &mut OwnComments::default())
}

/// Resolves one attempt that lasted from 100 to 101.
fn found_of(incident: &Incident) -> Found {
    found(&[doubt(1, 100, &[])], incident)[0]
}

#[test]
fn late_start_skips_some_of_three_reads() {
    let (ended, settle) = (now(100).boot, Duration::from_secs(30));
    let next = |read_at: Option<i64>| next_read(ended, settle, read_at.map(|at| now(at).boot));
    for (read_at, due) in [
        (None, Some(102)),
        (Some(90), Some(102)),
        (Some(101), Some(102)),
        (Some(102), Some(110)),
        (Some(109), Some(110)),
        (Some(110), Some(130)),
        (Some(129), Some(130)),
        (Some(130), None),
        (Some(999), None),
    ] {
        assert_eq!(next(read_at), due.map(|at| now(at).boot), "{read_at:?}");
    }
}

#[test]
fn comment_within_the_window_is_ours() {
    for at in [101, 100, 131, 100 - 2 * MINUTE, 131 + 2 * MINUTE] {
        assert_eq!(found_of(&written(&[at])), Found::Applied, "{at}");
    }
    assert_eq!(found_of(&incident(&[comment("<p>closed by tuning</p>", Some(101))], "Active")), Found::Applied);
    assert_eq!(found_of(&incident(&[], "Resolved")), Found::Absent);
}

#[test]
fn same_text_outside_the_slack_is_unexplained() {
    for at in [90 - 2 * MINUTE, 140 + 2 * MINUTE, 100 - 2 * HOUR, 131 + 2 * HOUR] {
        assert_eq!(found_of(&written(&[at])), Found::Unexplained, "{at}");
    }
    for at in [99 - 2 * HOUR, 132 + 2 * HOUR, -9 * HOUR] {
        assert_eq!(found_of(&written(&[at])), Found::Absent, "{at}");
    }
}

#[test]
fn other_text_in_the_window_is_unexplained() {
    let one = |text: &str, at: Option<i64>| found_of(&incident(&[comment(text, at)], "Resolved"));
    assert_eq!(one("[removed by policy]", Some(101)), Found::Unexplained);
    assert_eq!(one("[removed by policy]", None), Found::Unexplained);
    assert_eq!(one("looked at it yesterday", Some(90 - 2 * MINUTE)), Found::Absent);
}

/// Three clocks take part: of `createdTime`, of `Date` and our own.
#[test]
fn either_clock_may_be_wrong() {
    let read = |created: i64, date: Option<i64>| {
        let seen = seen(140, date.map(|ahead| 140 + ahead));
        resolve_with(&[doubt(1, 100, &[])], &written(&[101 + created]), seen, &mut OwnComments::default())[0]
    };
    for (created, date, expected) in [
        (0, None, Found::Applied),
        (-5, Some(0), Found::Applied),
        (5, Some(0), Found::Applied),
        (0, Some(HOUR), Found::Applied),
        (HOUR, Some(HOUR), Found::Applied),
        (-HOUR, Some(-HOUR), Found::Applied),
        (HOUR, Some(0), Found::Unexplained),
        (-HOUR, None, Found::Unexplained),
        (-HOUR, Some(HOUR), Found::Unexplained),
    ] {
        assert_eq!(read(created, date), expected, "{created} {date:?}");
    }
}

fn own_comments(text: &str, author: &str, ahead: i64) -> OwnComments {
    let mut own = OwnComments::default();
    let comment = Comment { created_by: Some(author.to_owned()), ..comment(text, Some(50 + ahead)) };
    own.record(&Added { comment: Some(comment), is_rewritten: text != TEXT }, now(50), Duration::ZERO);
    own
}

#[test]
fn offset_of_our_own_comments_corrects_the_times() {
    let read = |at: i64| {
        let own = &mut own_comments(TEXT, OURS, -HOUR);
        resolve_with(&[doubt(1, 100, &[])], &written(&[at]), seen(140, None), own)[0]
    };
    assert_eq!(read(101 - HOUR), Found::Applied);
    // With the offset, the comment was written an hour later: after the read.
    assert_eq!(read(101), Found::Unexplained);
}

#[test]
fn other_authors_count_until_ours_is_known() {
    let theirs = Comment { created_by: Some("boss@contoso.com".to_owned()), ..comment("why?", Some(101)) };
    let read = |own: &mut OwnComments, comment: &Comment| {
        let incident = incident(std::slice::from_ref(comment), "Resolved");
        resolve_with(&[doubt(1, 100, &[])], &incident, seen(140, Some(140)), own)[0]
    };
    assert_eq!(read(&mut OwnComments::default(), &theirs), Found::Unexplained);
    assert_eq!(read(&mut own_comments(TEXT, "TRIAGE@contoso.com", 0), &theirs), Found::Absent);
    assert_eq!(read(&mut own_comments(TEXT, OURS, 0), &comment("[removed]", Some(101))), Found::Unexplained);
    // The same text is ours, whatever the author.
    let renamed = Comment { text: TEXT.to_owned(), ..theirs.clone() };
    assert_eq!(read(&mut own_comments(TEXT, OURS, 0), &renamed), Found::Applied);
    // An attempt of an earlier process may have had another token.
    let mut later = OwnComments { since: now(120).boot, ..own_comments(TEXT, OURS, 0) };
    assert_eq!(read(&mut later, &theirs), Found::Unexplained);
}

#[test]
fn our_comment_in_a_read_reveals_the_author() {
    let mut own = OwnComments::default();
    resolve_with(&[doubt(1, 100, &[])], &written(&[101]), seen(140, None), &mut own);
    assert_eq!((own.author.as_deref(), own.are_rewritten), (Some(OURS), false));
}

#[test]
fn rewritten_texts_never_justify_a_repeat() {
    let other = incident(&[comment("[removed]", Some(100 - HOUR))], "Resolved");
    let read = |own: &mut OwnComments| resolve_with(&[doubt(1, 100, &[])], &other, seen(140, None), own)[0];
    assert_eq!(read(&mut own_comments(TEXT, OURS, 0)), Found::Absent);
    assert_eq!(read(&mut own_comments("<p>closed by tuning</p>", OURS, 0)), Found::Unexplained);
}

#[test]
fn comment_from_before_the_attempt_is_not_ours() {
    let here = written(&[90]);
    let read = |read_at: i64| {
        let before = ReadBefore::new(&here, now(read_at).boot);
        let (settle, seen) = (Duration::from_secs(30), seen(140, Some(140)));
        let evidence = Evidence { incident: &here, seen, same_as: &SAME_AS, settle, before: Some(&before) };
        resolve(&[doubt(1, 100, &[])], &evidence, &mut OwnComments::default())[0].1
    };
    assert_eq!(read(95), Found::Absent);
    assert_eq!(read(105), Found::Applied);
}

#[test]
fn comment_of_known_update_is_not_matched_twice() {
    assert_eq!(found(&[doubt(1, 100, &[99])], &written(&[99])), [Found::Absent]);
    assert_eq!(found(&[doubt(1, 100, &[99])], &written(&[99, 101])), [Found::Applied]);
    let rewritten = |comments: &[Comment]| found(&[doubt(1, 100, &[99])], &incident(comments, "Resolved"));
    assert_eq!(rewritten(&[comment("[removed]", Some(99))]), [Found::Absent]);
    assert_eq!(rewritten(&[comment("[removed]", Some(99)), comment("[removed]", Some(101))]), [Found::Unexplained]);
    assert_eq!(rewritten(&[comment("[removed]", Some(99)), comment(TEXT, Some(101))]), [Found::Unexplained]);
}

#[test]
fn known_update_matches_only_its_own_comment() {
    assert_eq!(found(&[doubt(1, 100, &[90])], &written(&[-9 * HOUR, 90])), [Found::Absent]);
}

#[test]
fn two_attempts_in_doubt_need_two_comments() {
    let doubts = [doubt(1, 100, &[]), doubt(2, 105, &[])];
    assert_eq!(found(&doubts, &written(&[101])), [Found::Applied, Found::Absent]);
    assert_eq!(found(&doubts, &written(&[101, 106])), [Found::Applied, Found::Applied]);
}

#[test]
fn without_times_the_other_properties_decide() {
    let untimed = |status: &str| found_of(&incident(&[comment(TEXT, None)], status));
    assert_eq!(untimed("Resolved"), Found::Applied);
    assert_eq!(untimed("Active"), Found::Unexplained);
}
