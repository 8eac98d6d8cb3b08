//! Doubts shared by processes: one process resolves at a time, and only what is in doubt at that moment.

use std::time::Duration;

use super::process::{Place, Process, change, comment, resolve};
use crate::journal::{AttemptEnd, AttemptId, Doubt, Receipt};

/// Two processes with the same comment for one incident and empty dedup windows; an attempt of the first is in doubt.
/// Returns the attempt, and the doubts that each process has to resolve.
fn both_in_doubt(place: &Place) -> (Process, Process, AttemptId, [Vec<Doubt>; 2]) {
    let process = || Process::with(place.open(), &[comment(1), resolve(1)], Duration::ZERO);
    let (mut ours, mut theirs) = (process(), process());
    let lost = ours.make(1, None);
    let doubts = [&mut ours, &mut theirs].map(|process| match process.offer(1) {
        Receipt::InDoubt(doubts) => doubts,
        other => panic!("it is not in doubt: {other:?}"),
    });
    (ours, theirs, lost, doubts)
}

fn started(receipt: Receipt) -> AttemptId {
    match receipt {
        Receipt::Started(attempt) => attempt,
        other => panic!("it was not started: {other:?}"),
    }
}

/// Ends a read that shows whether the attempt was applied.
fn end_read(process: &mut Process, read: AttemptId, attempt: AttemptId, applied: bool) {
    process.end(AttemptEnd { applied: None, resolved: vec![(attempt, applied)], ..process.ended(read) });
}

/// Starts and ends such a read.
fn resolve_doubt(process: &mut Process, doubts: &[Doubt], attempt: AttemptId, applied: bool) {
    let read = started(process.offer_read(1, doubts));
    end_read(process, read, attempt, applied);
}

#[tokio::test(start_paused = true)]
async fn resolving_process_blocks_other_reads_and_comments() {
    let place = Place::new();
    let (mut ours, mut theirs, lost, [we_know, they_know]) = both_in_doubt(&place);
    let mut third = place.process(&[change(1, r#"{"comment":"another"}"#)]);
    let read = started(ours.offer_read(1, &we_know));
    assert_eq!(theirs.offer_read(1, &they_know), Receipt::InFlight);
    assert_eq!(third.offer(1), Receipt::InFlight);
    // A change without a comment does not disturb the read.
    theirs.make(2, Some(true));
    end_read(&mut ours, read, lost, false);
    third.start(1);
}

#[tokio::test(start_paused = true)]
async fn doubt_resolved_elsewhere_is_not_resolved_again() {
    let place = Place::new();
    let (mut ours, mut theirs, lost, [we_know, they_know]) = both_in_doubt(&place);
    resolve_doubt(&mut theirs, &they_know, lost, false);
    assert_eq!(ours.offer_read(1, &we_know), Receipt::Resolved);

    // Their comment is not mistaken for ours, neither in flight nor in doubt.
    let sent = theirs.start(1);
    assert_eq!(ours.offer_read(1, &we_know), Receipt::InFlight);
    theirs.end(AttemptEnd { applied: None, ..theirs.ended(sent) });
    let Receipt::InDoubt(doubts) = ours.offer_read(1, &we_know) else { panic!("it is not in doubt") };
    assert_eq!(doubts.iter().map(|doubt| (doubt.attempt, doubt.own_row)).collect::<Vec<_>>(), [(sent, false)]);
    started(ours.offer_read(1, &doubts));
}

#[tokio::test(start_paused = true)]
async fn read_for_doubts_needs_the_current_ones() {
    let place = Place::new();
    let (mut ours, mut theirs, lost, [we_know, they_know]) = both_in_doubt(&place);
    assert_eq!(ours.offer_read(1, &[]), Receipt::InDoubt(we_know));
    resolve_doubt(&mut theirs, &they_know, lost, false);
    assert_eq!(ours.offer_read(1, &[]), Receipt::Resolved);
    // A row without a comment has no doubts to resolve.
    started(ours.offer_read(2, &[]));
}

#[tokio::test(start_paused = true)]
async fn row_found_applied_elsewhere_is_finished() {
    let place = Place::new();
    let (mut ours, mut theirs, lost, [we_know, they_know]) = both_in_doubt(&place);
    resolve_doubt(&mut theirs, &they_know, lost, true);
    assert!(matches!(ours.offer_read(1, &we_know), Receipt::AlreadyApplied(applied) if applied.own_row));
    // With an empty dedup window, their own comment is still due.
    theirs.start(1);
}

#[tokio::test(start_paused = true)]
async fn dead_resolving_process_is_not_awaited() {
    let place = Place::new();
    let (mut ours, mut theirs, _, [we_know, they_know]) = both_in_doubt(&place);
    started(theirs.offer_read(1, &they_know));
    assert_eq!(ours.offer_read(1, &we_know), Receipt::InFlight);
    drop(theirs);
    started(ours.offer_read(1, &we_know));
}

#[tokio::test(start_paused = true)]
async fn comments_of_one_incident_go_in_sequence() {
    let place = Place::new();
    let mut ours = place.process(&[comment(1)]);
    let mut theirs = place.process(&[change(1, r#"{"comment":"looked at"}"#), resolve(1), comment(2)]);
    let attempt = ours.start(1);
    assert_eq!(theirs.offer(1), Receipt::InFlight);
    theirs.start(2);
    theirs.start(3);
    ours.end(ours.ended(attempt));
    theirs.start(1);
}
