//! Deduplication: equal changes that were applied, are in doubt, or are in flight.

use std::time::Duration;

use tokio::time::advance;

use super::process::{HOUR, Place, Process, REMEMBERED, change, comment, contract, resolve, scope};
use crate::journal::{AppliedBy, AttemptEnd, PriorRuns, ReadOnlyJournal, Receipt, WillSend};

fn applied(receipt: &Receipt) -> Option<(bool, bool)> {
    match receipt {
        Receipt::AlreadyApplied(applied) => Some((applied.own_run, applied.own_row)),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn applied_change_counts_within_the_dedup_window() {
    let place = Place::new();
    let mut first = place.process(&[comment(1)]);
    first.make(1, Some(true));
    advance(REMEMBERED.checked_sub(Duration::from_secs(1)).expect("longer")).await;
    let mut second = place.process(&[comment(1)]);
    let Receipt::AlreadyApplied(found) = second.offer(1) else { panic!("it was not found") };
    let at = "2026-11-24T10:00:00Z".parse().expect("a time");
    assert_eq!(
        found,
        AppliedBy {
            run: first.run.name.clone(),
            own_run: false,
            own_row: false,
            was_redirected: false,
            was_partly_shown: false,
            at
        }
    );
    advance(Duration::from_secs(1)).await;
    second.start(1);
}

#[tokio::test(start_paused = true)]
async fn remember_zero_checks_only_its_own_run() {
    let place = Place::new();
    place.process(&[comment(1)]).make(1, Some(true));
    let mut process = Process::with(place.open(), &[comment(1), comment(1)], Duration::ZERO);
    process.make(1, Some(true));
    advance(HOUR * 1_000).await;
    assert_eq!(applied(&process.offer(2)), Some((true, false)));
    assert_eq!(applied(&process.offer(1)), Some((true, true)));
}

#[tokio::test(start_paused = true)]
async fn unapplied_change_is_sent() {
    let place = Place::new();
    place.process(&[comment(1)]).make(1, Some(false));
    place.process(&[comment(1)]).start(1);
}

/// What one API has applied says nothing about another: it stores other values. The quota is one.
#[tokio::test(start_paused = true)]
async fn change_applied_by_other_api_is_sent() {
    let place = Place::new();
    let graph = crate::contract::load("graph").expect("built in");
    let contract = |name: &str| crate::contract::load(name).expect("built in");
    place.process(&[comment(1)]).make(1, Some(true));
    let will_send = |contract: &crate::contract::Contract| {
        let dry =
            ReadOnlyJournal::open(&place.location(), &scope(), place.clock.clone()).expect("opens").expect("is there");
        dry.add_prior_runs(&[&comment(1)], contract, HOUR, &mut PriorRuns::default()).expect("reads")[0]
    };
    assert_eq!(will_send(&contract("defender-classic")), WillSend::Nothing);
    assert_eq!(will_send(&contract("defender")), WillSend::Nothing);
    assert_eq!(will_send(&graph), WillSend::All);
    let mut classic = Process::under(&contract("defender-classic"), place.open(), &[comment(1)], REMEMBERED);
    assert_eq!(applied(&classic.offer(1)), Some((false, false)));
    let mut other = Process::under(&graph, place.open(), &[comment(1)], REMEMBERED);
    other.make(1, Some(true));
    assert_eq!(other.spent().0.ended.len(), 2, "both count against the quota");
    let mut again = Process::under(&graph, place.open(), &[comment(1)], REMEMBERED);
    assert_eq!(applied(&again.offer(1)).map(|(own_run, _)| own_run), Some(false));
}

#[tokio::test(start_paused = true)]
async fn other_change_or_incident_is_no_duplicate() {
    let place = Place::new();
    place.process(&[comment(1)]).make(1, Some(true));
    let mut process = place.process(&[comment(2), resolve(1), change(1, r#"{"comment":"looked at"}"#)]);
    for row in 1..=3 {
        process.start(row);
    }
}

#[tokio::test(start_paused = true)]
async fn later_different_update_makes_change_due_again() {
    for (later, is_due) in [
        (r#"{"status":"Active"}"#, true),
        (r#"{"status":"Active","comment":"looked at"}"#, true),
        // An equal value, another property or another comment overwrites nothing.
        (r#"{"status":"Resolved","assignedTo":"a"}"#, false),
        (r#"{"assignedTo":"a"}"#, false),
        (r#"{"comment":"more"}"#, false),
    ] {
        let place = Place::new();
        place.process(&[comment(1)]).make(1, Some(true));
        place.process(&[change(1, later)]).make(1, Some(true));
        let receipt = place.process(&[comment(1)]).offer(1);
        // The comment was added before; only the properties are sent again.
        assert_eq!(receipt == Receipt::CommentApplied, is_due, "{later}: {receipt:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn overwrite_counts_if_applied_or_in_doubt() {
    for (overwritten, is_due) in [(Some(false), false), (None, true)] {
        let place = Place::new();
        place.process(&[resolve(1)]).make(1, Some(true));
        place.process(&[change(1, r#"{"status":"Active"}"#)]).make(1, overwritten);
        let receipt = place.process(&[resolve(1)]).offer(1);
        assert_eq!(applied(&receipt).is_none(), is_due, "{overwritten:?}: {receipt:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn change_in_flight_elsewhere_is_awaited() {
    let place = Place::new();
    let (mut ours, mut theirs) = (place.process(&[comment(1)]), place.process(&[comment(1)]));
    let attempt = theirs.start(1);
    assert_eq!(ours.offer(1), Receipt::InFlight);
    theirs.end(theirs.ended(attempt));
    assert_eq!(applied(&ours.offer(1)), Some((false, false)));
}

#[tokio::test(start_paused = true)]
async fn comment_in_doubt_is_resolved_before_next_comment() {
    let place = Place::new();
    let lost = place.process(&[comment(1)]).make(1, None);
    let mut process = place.process(&[change(1, r#"{"comment":"another"}"#), resolve(1), comment(2)]);
    let Receipt::InDoubt(doubts) = process.offer(1) else { panic!("it is not in doubt") };
    assert_eq!(doubts.len(), 1);
    assert_eq!((doubts[0].attempt, doubts[0].own_row, &doubts[0].change), (lost, false, &comment(1)));
    process.start(2);
    process.start(3);

    // A read shows that it was applied.
    let Receipt::Started(read) = process.offer_read(1, &doubts) else { panic!("it was not started") };
    process.end(AttemptEnd { applied: None, resolved: vec![(lost, true)], ..process.ended(read) });
    process.make(1, Some(true));
    assert_eq!(applied(&place.process(&[comment(1)]).offer(1)), Some((false, false)));
}

#[tokio::test(start_paused = true)]
async fn older_changes_are_counted_before_the_prompt() {
    let place = Place::new();
    let mut old = place.process(&[comment(1), comment(2)]);
    old.make(1, Some(true));
    advance(REMEMBERED * 2).await;
    old.make(2, Some(true));
    let process = place.process(&[comment(1), comment(2), resolve(1)]);
    let mut earlier = PriorRuns::default();
    let Process { journal, run, .. } = &process;
    let rows = journal.pending(run, 0, 10).expect("reads");
    let rows: Vec<_> = rows.iter().collect();
    let will_send = journal.add_prior_runs(run, &rows, &contract(), REMEMBERED, &mut earlier).expect("reads");
    assert_eq!(will_send, [WillSend::All, WillSend::Nothing, WillSend::All]);
    let counted: Vec<_> = earlier.applied.iter().map(|((_, again), applied)| (*again, applied.rows)).collect();
    assert_eq!(counted, [(false, 1), (true, 1)]);
    assert_eq!(earlier.unfinished.into_iter().collect::<Vec<_>>(), [(old.run.name.clone(), 1)]);
    let peek =
        ReadOnlyJournal::open(&place.location(), &scope(), place.clock.clone()).expect("opens").expect("is there");
    let mut dry_run = PriorRuns::default();
    let changes: Vec<_> = process.changes.iter().collect();
    peek.add_prior_runs(&changes, &contract(), REMEMBERED, &mut dry_run).expect("reads");
    assert_eq!(dry_run.applied.values().map(|applied| applied.rows).collect::<Vec<_>>(), [1, 1]);
}
