//! Rows whose incident redirects to another one.

use std::collections::BTreeMap;

use super::process::{HOUR, Place, Process, begin, change, resolve, resolved, updated};
use crate::journal::{AttemptEnd, Batch, Contradiction, Receipt, StartRequest};
use crate::model::change::IncidentId;
use crate::model::snapshot::{IncidentState, Snapshot};

/// Stores reads of `(row, target)`: the incident of the row redirects to the target.
fn read_as_merged(process: &mut Process, rows: &[(u64, u64)]) {
    let seen = |into| Snapshot::There(IncidentState { redirect: Some(into), ..IncidentState::default() }).to_json();
    let snapshots = rows.iter().map(|(row, into)| (*row, seen(*into))).collect();
    process.commit(&Batch { snapshots, ..Batch::default() });
}

fn followed(process: &mut Process) -> Vec<(u64, u64)> {
    let followed = process.journal.retarget(&process.run).expect("writes");
    followed.into_iter().map(|(incident, row)| (incident.get(), row)).collect()
}

#[tokio::test(start_paused = true)]
async fn finished_doubtful_and_unmerged_rows_keep_incident() {
    let place = Place::new();
    let mut process = place.process(&(1..=5).map(resolve).collect::<Vec<_>>());
    process.make(2, None);
    process.commit(&Batch { finished: vec![(3, updated())], ..Batch::default() });
    read_as_merged(&mut process, &[(1, 90), (2, 90), (3, 90), (5, u64::MAX)]);
    assert_eq!(followed(&mut process), [(90, 1)]);
    // The snapshot of the old incident is not valid for the new one.
    assert_eq!(process.journal.snapshots(&process.run, &[1]).expect("reads"), BTreeMap::new());
    assert_eq!(followed(&mut process), []);

    let targets: Vec<_> = process.journal.pending(&process.run, 0, 9).expect("reads");
    let targets: Vec<_> = targets.iter().map(|row| (row.row, row.change.incident.get(), row.merged)).collect();
    assert_eq!(targets, [(1, 90, IncidentId::new(1)), (2, 2, None), (4, 4, None), (5, 5, None)]);
    assert_eq!(process.journal.retargeted(&process.run, 0).expect("reads"), (1, vec![]));
    assert_eq!(process.journal.retargeted(&process.run, 5).expect("reads"), (1, vec![1]));
}

/// Rows 1 and 2 redirect to the incident of row 3, which sets another status.
#[tokio::test(start_paused = true)]
async fn merged_rows_conflict_by_their_requested_changes() {
    let place = Place::new();
    let active = change(90, r#"{"status":"Active"}"#);
    let mut process = place.process(&[resolve(1), resolve(2), active, resolve(4), resolve(91)]);
    assert_eq!(process.journal.contradicting(&process.run).expect("reads"), []);
    read_as_merged(&mut process, &[(1, 90), (2, 90), (4, 91)]);
    assert_eq!(followed(&mut process), [(90, 1), (90, 2), (91, 4)]);
    let found = |row, other_line| Contradiction { row, target: 90, other_line };
    let contradicting = process.journal.contradicting(&process.run).expect("reads");
    assert_eq!(contradicting, [found(1, 3), found(2, 3), found(3, 1)]);
    // A finished row is not reported, but the others still conflict with it.
    process.commit(&Batch { finished: vec![(3, updated())], ..Batch::default() });
    assert_eq!(process.journal.contradicting(&process.run).expect("reads"), [found(1, 3), found(2, 3)]);
}

/// An update of the old incident counts if it was sent before the merge, not if it was redirected.
#[tokio::test(start_paused = true)]
async fn changes_applied_before_the_merge_count() {
    for (verdict, is_made) in [("updated", true), ("redirected", false)] {
        let place = Place::new();
        let mut earlier = place.process(&[resolve(30)]);
        let attempt = earlier.start(1);
        earlier.end(AttemptEnd { verdict, ..earlier.ended(attempt) });
        drop(earlier);
        let mut process = Process::with(place.open(), &[resolve(30)], HOUR);
        read_as_merged(&mut process, &[(1, 31)]);
        assert_eq!(followed(&mut process), [(31, 1)]);
        let starts = vec![StartRequest { change: resolved(&resolve(31)), merged: IncidentId::new(30), ..begin() }];
        let receipt = process.commit(&Batch { starts, slots: 1, ..Batch::default() }).starts.remove(0);
        assert_eq!(matches!(receipt, Receipt::AlreadyApplied(_)), is_made, "{verdict}: {receipt:?}");
        assert_eq!(matches!(receipt, Receipt::Started(_)), !is_made, "{verdict}: {receipt:?}");
    }
}
