//! Commits are atomic.

use super::process::{Place, begin, comment, grant_all, resolve, resolved, updated};
use crate::clock::BootTime;
use crate::journal::{AttemptEnd, Batch, Receipt, StartRequest};
use crate::model::change::Change;
use crate::model::outcome::OutcomeKind;
use crate::model::permit::{Grant, NextPermit, Pause, QuotaUsage};

#[tokio::test(start_paused = true)]
async fn attempt_end_and_outcome_are_one_transaction() {
    let place = Place::new();
    let mut process = place.process(&[comment(1), comment(2)]);
    let attempt = process.start(1);
    // Writing the attempt's end succeeds; writing the outcome fails.
    let break_it = "CREATE TEMP TRIGGER broken BEFORE UPDATE OF outcome ON rows BEGIN SELECT raise(ABORT, 'no'); END";
    process.journal.db.execute_batch(break_it).expect("breaks");
    let end = AttemptEnd { outcome: Some((1, updated())), ..process.ended(attempt) };
    let starts = vec![StartRequest { row: 2, change: resolved(&comment(2)), ..begin() }];
    let batch = Batch { ends: vec![end], starts, slots: 1, ..Batch::default() };
    assert!(process.journal.commit(&batch, grant_all).is_err());
    assert_eq!(process.spent(), (QuotaUsage { in_flight: 1, ended: [].into() }, None));

    process.journal.db.execute_batch("DROP TRIGGER broken").expect("mends");
    let receipts = process.commit(&batch);
    assert!(matches!(receipts.starts[..], [Receipt::Started(_)]), "{receipts:?}");
    let results = process.journal.results(&process.run.name, 0, 10, true).expect("reads");
    let finished: Vec<_> = results.iter().map(|row| (row.row, row.outcome.kind, row.attempts)).collect();
    assert_eq!(finished, [(1, OutcomeKind::Updated, 1)]);
    assert_eq!(process.spent().0.in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn starts_never_exceed_permits_and_slots() {
    let place = Place::new();
    let changes: Vec<Change> = (1..=4).map(resolve).collect();
    let mut process = place.process(&changes);
    let starts: Vec<StartRequest> =
        (1..).zip(changes).map(|(row, change)| StartRequest { row, change: resolved(&change), ..begin() }).collect();
    let batch = Batch { starts, slots: 3, ..Batch::default() };
    let two = |_: &QuotaUsage, _: Option<Pause>, now: BootTime, wanted: u32| {
        assert_eq!(wanted, 3);
        Grant { permits: 2, next: NextPermit::At(now) }
    };
    let receipts = process.journal.commit(&batch, two).expect("commits").starts;
    assert!(
        matches!(receipts[..], [Receipt::Started(_), Receipt::Started(_), Receipt::NoPermit, Receipt::NoPermit]),
        "{receipts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn attempt_ends_once() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1)]);
    let attempt = process.make(1, Some(true));
    process.end(process.ended(attempt));
    assert_eq!(process.seconds_ended(), [1_000]);
}
