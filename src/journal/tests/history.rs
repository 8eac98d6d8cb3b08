//! Runs in lists: their counts, and what remains after pruning.

use std::time::Duration;

use tokio::time::advance;

use super::process::{
    HOUR, Place, Process, comment, facts, key, load_row, loaded, resolve, scope, start_of_the_clock, updated,
};
use crate::clock::{BootTime, Clock, Now};
use crate::journal::{AttemptEnd, Batch, JournalError, LoadRow, ReadOnlyJournal, RunState};
use crate::model::change::TenantKey;
use crate::model::outcome::{Outcome, OutcomeKind, RowCode};

fn ended(kind: OutcomeKind, code: &str, second: i64) -> Outcome {
    let finished_at = jiff::Timestamp::from_second(second).expect("a time");
    Outcome { finished_at: Some(finished_at), ..Outcome::new(kind, code, "") }
}

#[tokio::test(start_paused = true)]
async fn run_is_listed_with_its_counts() {
    let place = Place::new();
    let mut process = place.process(&(1..=5).map(comment).collect::<Vec<_>>());
    // One row is applied, one throttled, one in doubt, two not attempted.
    process.make(1, Some(true));
    let throttled = process.start(2);
    process.end(AttemptEnd { verdict: "throttled", applied: Some(false), ..process.ended(throttled) });
    process.make(3, None);
    process.commit(&Batch { finished: vec![(1, updated())], ..Batch::default() });

    assert_eq!(process.journal.unsettled(&process.run.name).expect("reads"), 1);
    let run = &process.journal.runs().expect("reads")[0];
    let outcomes = [(OutcomeKind::Updated, 1), (OutcomeKind::InDoubt, 1), (OutcomeKind::NotAttempted, 3)];
    assert_eq!((run.name.as_str(), run.rows(), run.calls, run.throttled), (process.run.name.as_str(), 5, 3, 1));
    assert_eq!(run.outcomes.iter().copied().collect::<std::collections::BTreeMap<_, _>>(), outcomes.into());
    assert_eq!((run.state, run.is_held), (RunState::Unfinished, true));
    let finished: Vec<(u64, Outcome)> = (1..=5).map(|row| (row, updated())).collect();
    process.commit(&Batch { finished, ..Batch::default() });
    process.journal.close(&process.run).expect("writes");
    let name = process.run.name.clone();
    drop(process);
    let run = place.open().run(&name).expect("is there");
    assert_eq!((run.state, run.is_held), (RunState::Over, false));
    assert_eq!(run.outcomes, [(OutcomeKind::Updated, 5)]);
}

/// Invalid rows and rows that were not sent are left out: they were known before.
#[tokio::test(start_paused = true)]
async fn first_outcomes_are_in_order_of_finish() {
    let place = Place::new();
    let mut process = place.process(&(1..=4).map(resolve).collect::<Vec<_>>());
    let finished = vec![
        (1, ended(OutcomeKind::Failed, "later", 30)),
        (2, ended(OutcomeKind::Invalid, "id", 10)),
        (3, ended(OutcomeKind::Updated, "", 20)),
    ];
    process.commit(&Batch { finished, ..Batch::default() });
    let first = process.journal.first_outcomes(&process.run, 5).expect("reads");
    let expected = [(OutcomeKind::Updated, RowCode::Empty), (OutcomeKind::Failed, RowCode::Other("later".to_owned()))];
    assert_eq!(first, expected);
    assert_eq!(process.journal.first_outcomes(&process.run, 1).expect("reads"), expected[..1]);
}

#[tokio::test(start_paused = true)]
async fn ledger_of_own_tenant_is_known_beforehand() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1), resolve(2)]);
    process.make(1, Some(true));
    process.start(2);
    let (spent, pause) = process.journal.spent().expect("a session");
    assert_eq!((spent.in_flight, spent.ended.len(), pause), (1, 1, None));

    let mut next = place.open();
    let run = loaded(&mut next, &[resolve(3)]);
    let (spent, _) = next.ledger(&run, HOUR).expect("reads");
    assert_eq!((spent.in_flight, spent.ended.len()), (1, 1));
    let elsewhere = TenantKey::named("elsewhere");
    let other = next.create_run(&elsewhere, "test", &facts(), &mut fastrand::Rng::new()).expect("begins");
    assert_eq!(next.ledger(&other, HOUR).expect("reads").0.in_flight, 0);
    advance(HOUR * 3).await;
    assert!(next.ledger(&run, HOUR).expect("reads").0.ended.is_empty());
}

#[tokio::test(start_paused = true)]
async fn dry_run_reads_only_ledger_of_this_boot() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1)]);
    process.make(1, Some(true));
    let peek =
        |clock: Clock| ReadOnlyJournal::open(&place.location(), &scope(), clock).expect("opens").expect("is there");
    assert_eq!(peek(place.clock.clone()).ledger(HOUR).expect("reads").0.ended.len(), 1);
    let reborn = Clock::simulated(start_of_the_clock(), "second");
    assert!(peek(reborn).ledger(HOUR).expect("reads").0.ended.is_empty());
    advance(HOUR * 3).await;
    assert!(peek(place.clock.clone()).ledger(HOUR).expect("reads").0.ended.is_empty());
}

/// A token returns after its window, a request's time limit and a margin. The ledger keeps requests that long.
#[tokio::test(start_paused = true)]
async fn ledger_keeps_requests_until_their_tokens_return() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1)]);
    process.make(1, Some(true));
    advance(HOUR).await;
    assert_eq!(process.seconds_ended(), [1_000]);
    advance(Duration::from_mins(2)).await;
    assert!(process.seconds_ended().is_empty());
    let mut next = place.process(&[resolve(2)]);
    assert!(next.seconds_ended().is_empty());
}

#[tokio::test(start_paused = true)]
async fn conflicting_rows_are_not_sent() {
    let place = Place::new();
    let mut journal = place.open();
    let run = loaded(&mut journal, &[resolve(1), resolve(2)]);
    journal.load_invalid(&run, &[(2, Outcome::new(OutcomeKind::Invalid, "contradicts", "why"))]).expect("writes");
    let left: Vec<u64> = journal.pending(&run, 0, 10).expect("reads").iter().map(|row| row.row).collect();
    assert_eq!(left, [1]);
    journal.publish(&run, &facts(), &key(Duration::ZERO)).expect("is ready");
    let shown = journal.results(&run.name, 0, 10, true).expect("reads");
    assert_eq!((shown.len(), shown[0].row, shown[0].outcome.code.as_str()), (1, 2, "contradicts"));
}

#[tokio::test(start_paused = true)]
async fn long_rows_take_more_pages_without_gaps() {
    let place = Place::new();
    let mut journal = place.open();
    let run = journal.create_run(&scope(), "test", &facts(), &mut fastrand::Rng::new()).expect("begins");
    let rows: Vec<LoadRow> =
        (1..=8).map(|row| LoadRow { source: vec![b'x'; 400_000], ..load_row(row, &resolve(row)) }).collect();
    journal.load(&run, &rows).expect("loads");
    let (mut pages, mut after) = (Vec::new(), 0);
    loop {
        let page = journal.pending(&run, after, 100).expect("reads");
        let Some(last) = page.last() else { break };
        after = last.row;
        pages.push(page.len());
    }
    // Three rows exceed 1 MiB.
    assert_eq!(pages, [3, 3, 2]);
}

#[tokio::test(start_paused = true)]
async fn discarded_and_pruned_runs_lose_their_locks() {
    let place = Place::new();
    let mut journal = place.open();
    let run = loaded(&mut journal, &[resolve(1)]);
    let lock = place.path().join(format!("run-{}.lock", run.name));
    assert!(lock.exists());
    journal.discard(&run).expect("writes");
    assert!(matches!(journal.run(&run.name), Err(JournalError::NoSuchRun(_))));
    assert!(!lock.exists());
    drop(journal);

    let names: Vec<String> = (0..3)
        .map(|_| {
            let mut process = place.process(&[resolve(1)]);
            process.commit(&Batch { finished: vec![(1, updated())], ..Batch::default() });
            process.journal.close(&process.run).expect("writes");
            process.run.name.clone()
        })
        .collect();
    let unfinished = place.process(&[resolve(2)]).run.name.clone();
    let mut journal = place.open();
    assert_eq!(journal.prune(Duration::ZERO).expect("writes"), 0);
    advance(Duration::from_secs(1)).await;
    assert_eq!(journal.prune(Duration::ZERO).expect("writes"), 3);
    assert!(names.iter().all(|name| journal.run(name).is_err()));
    assert_eq!(journal.runs().expect("reads").iter().map(|run| run.name.clone()).collect::<Vec<_>>(), [unfinished]);
}

/// A day in which the machine's date is wrong takes no request from the quota's count, and no update from what is remembered.
#[tokio::test(start_paused = true)]
async fn wrong_date_prunes_no_recent_run() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1)]);
    process.make(1, Some(true));
    process.commit(&Batch { finished: vec![(1, updated())], ..Batch::default() });
    process.journal.close(&process.run).expect("writes");
    let name = process.run.name.clone();
    drop(process);

    let wall = "2027-11-24T10:00:00Z".parse().expect("a time");
    let wrong = Place { clock: Clock::simulated(Now { wall, ..place.clock.now() }, "first"), ..place };
    let mut journal = wrong.open();
    assert_eq!(journal.prune(HOUR).expect("writes"), 0);
    assert!(journal.run(&name).is_ok());
    drop(journal);
    assert_eq!(wrong.process(&[resolve(2)]).seconds_ended(), [1_000]);

    advance(2 * HOUR).await;
    assert_eq!(wrong.open().prune(HOUR).expect("writes"), 1);
}

/// As those of `fetch`, or of a run that was discarded: they count, too.
#[tokio::test(start_paused = true)]
async fn wrong_date_prunes_no_request_without_a_run() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1)]);
    process.make(1, Some(true));
    process.journal.discard(&process.run).expect("writes");
    drop(process);

    let wall = "2027-11-24T10:00:00Z".parse().expect("a time");
    let wrong = Place { clock: Clock::simulated(Now { wall, ..place.clock.now() }, "first"), ..place };
    assert_eq!(wrong.open().prune(HOUR).expect("writes"), 0);
    assert_eq!(wrong.process(&[resolve(2)]).seconds_ended(), [1_000]);
}

/// After a reboot, boot times are smaller than those of old requests were.
#[tokio::test(start_paused = true)]
async fn old_run_of_earlier_boot_is_pruned() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1)]);
    process.make(1, Some(true));
    process.commit(&Batch { finished: vec![(1, updated())], ..Batch::default() });
    process.journal.close(&process.run).expect("writes");
    drop(process);

    advance(2 * HOUR).await;
    let boot = BootTime(1_000_000);
    let rebooted = Place { clock: Clock::simulated(Now { boot, ..place.clock.now() }, "second"), ..place };
    assert_eq!(rebooted.open().prune(3 * HOUR).expect("writes"), 0);
    assert_eq!(rebooted.open().prune(HOUR).expect("writes"), 1);
}

#[tokio::test(start_paused = true)]
async fn ended_process_removes_its_liveness_lock() {
    let place = Place::new();
    let signs = || {
        let entries = std::fs::read_dir(place.path()).expect("lists");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("process-")).count()
    };
    let (one, other) = (place.open(), place.open());
    assert_eq!(signs(), 2);
    drop(one);
    assert_eq!(signs(), 1);
    drop(other);
    assert_eq!(signs(), 0);
}

/// A database that is deleted while in use is not written to: another process would create a new one.
#[tokio::test(start_paused = true)]
async fn deleted_database_is_noticed() {
    let place = Place::new();
    let mut process: Process = place.process(&[resolve(1)]);
    std::fs::remove_file(place.database()).expect("deletes");
    let error = process.journal.close(&process.run).expect_err("it is gone");
    assert!(matches!(error, JournalError::Gone { .. }), "{error}");
    std::fs::write(place.database(), "another file").expect("writes");
    assert!(matches!(process.journal.close(&process.run), Err(JournalError::Gone { .. })));
}

#[tokio::test(start_paused = true)]
async fn end_between_others_keeps_ledger_sorted() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1), resolve(2), resolve(3)]);
    let attempts = [process.start(1), process.start(2), process.start(3)];
    for (attempt, second) in attempts.into_iter().zip([1_020, 1_010, 1_015]) {
        process.end(AttemptEnd { at: BootTime(second * 1_000_000), ..process.ended(attempt) });
    }
    let (spent, _) = process.journal.spent().expect("a session");
    assert_eq!(spent.ended.iter().map(|end| end.0 / 1_000_000).collect::<Vec<_>>(), [1_010, 1_015, 1_020]);
}
