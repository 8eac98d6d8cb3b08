//! Run reports: rows by outcome, requests over time.

use std::time::Duration;

use super::process::{Place, resolve};
use crate::journal::{AttemptEnd, AttemptId, OutcomeGroup, RowFilter};
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind, RowCode};

fn over(row: u64, kind: OutcomeKind, code: impl Into<RowCode>) -> (u64, Outcome) {
    (row, Outcome::new(kind, code, ""))
}

#[tokio::test(start_paused = true)]
async fn every_row_is_selected_once_by_outcome() {
    let place = Place::new();
    let mut process = place.process(&[1, 2, 3, 4, 5, 6].map(resolve));
    for (row, outcome) in [
        (1, over(1, OutcomeKind::Updated, "")),
        (2, over(2, OutcomeKind::Failed, OutcomeCode::NotFound)),
        (3, over(3, OutcomeKind::Failed, OutcomeCode::Rejected)),
        (4, over(4, OutcomeKind::Failed, OutcomeCode::NotFound)),
    ] {
        let attempt = process.start(row);
        process.end(AttemptEnd { outcome: Some(outcome), ..process.ended(attempt) });
    }
    // Row 5 is in flight when the run ends; row 6 was not attempted.
    process.start(5);
    let (journal, run) = (&process.journal, &process.run.name);
    let groups = journal.outcome_groups(run).expect("reads");
    let group = |kind, code: &str, rows| OutcomeGroup { kind, code: code.into(), rows };
    assert_eq!(
        groups,
        [
            group(OutcomeKind::Failed, "not-found", 2),
            group(OutcomeKind::Failed, "rejected", 1),
            group(OutcomeKind::InDoubt, "unsettled", 1),
            group(OutcomeKind::NotAttempted, "", 1),
            group(OutcomeKind::Updated, "", 1),
        ]
    );
    let rows = |pick, after| {
        let rows = journal.report_rows(run, pick, after, 10).expect("reads");
        rows.iter().map(|row| (row.result.row, row.result.outcome.kind)).collect::<Vec<_>>()
    };
    for group in &groups {
        let picked = rows(RowFilter::Group(group), 0);
        assert_eq!(picked.len() as u64, group.rows);
        assert!(picked.iter().all(|(_, kind)| *kind == group.kind));
    }
    assert_eq!(rows(RowFilter::Group(&groups[0]), 2), [(4, OutcomeKind::Failed)]);
    let others = rows(RowFilter::NoneOf(&[OutcomeKind::Failed, OutcomeKind::InDoubt, OutcomeKind::Invalid]), 0);
    assert_eq!(others, [(1, OutcomeKind::Updated), (6, OutcomeKind::NotAttempted)]);
    let first = journal.report_rows(run, RowFilter::NoneOf(&[]), 0, 1).expect("reads");
    assert_eq!(first[0].change, Some(resolve(1)));
}

/// Three requests at once; the first gets a 429 at 1 s, and the pause ends at 5 s.
#[tokio::test(start_paused = true)]
async fn timeline_counts_requests_and_each_pause_once() {
    let place = Place::new();
    let mut process = place.process(&[1, 2, 3, 4].map(resolve));
    assert_eq!(process.journal.timeline(&process.run.name, 10).expect("reads").from, None);
    let started: Vec<AttemptId> = (1..=3).map(|row| process.start(row)).collect();
    tokio::time::advance(Duration::from_secs(1)).await;
    process.end(AttemptEnd { verdict: "throttled", applied: Some(false), ..process.ended(started[0]) });
    for attempt in &started[1..] {
        process.end(process.ended(*attempt));
    }
    tokio::time::advance(Duration::from_secs(4)).await;
    process.make(1, Some(true));
    process.make(4, Some(true));
    tokio::time::advance(Duration::from_secs(5)).await;
    let timeline = process.journal.timeline(&process.run.name, 10).expect("reads");
    assert_eq!((timeline.calls, timeline.reads, timeline.throttled, timeline.transient), (5, 0, 1, 0));
    assert_eq!(timeline.lasts, Duration::from_secs(5));
    let pieces: Vec<_> =
        timeline.pieces.iter().map(|piece| (piece.at.as_secs(), piece.calls, piece.throttled)).collect();
    assert_eq!(pieces, [(0, 3, 1), (5, 2, 0)]);
    assert_eq!((timeline.pauses, timeline.paused), (1, Duration::from_secs(4)));
    assert_eq!(timeline.longest_pause, Duration::from_secs(4));
}
