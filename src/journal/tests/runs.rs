//! Runs: published atomically, locked by one process, resumed.

use std::time::Duration;

use tokio::time::advance;

use super::process::{HOUR, Place, Process, comment, facts, key, loaded, resolve, scope, updated, updated_at};
use crate::journal::{AttemptEnd, Batch, Journal, JournalError, RunMetadata, RunState};
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind};
use crate::model::permit::{Grant, NextPermit, QuotaUsage};
use crate::model::setting::{Origin, Settings};

#[tokio::test(start_paused = true)]
async fn run_is_published_complete_or_not_at_all() {
    let place = Place::new();
    let (mut loading, mut other) = (place.open(), place.open());
    let run = loaded(&mut loading, &[resolve(1), resolve(2)]);
    let same = |journal: &Journal| journal.unfinished_same(&scope(), "test", b"digest", HOUR).expect("reads");
    assert!(other.runs().expect("reads").is_empty());
    assert_eq!(same(&other), None);
    loading.publish(&run, &facts(), &key(Duration::ZERO)).expect("is ready");
    assert_eq!(other.run(&run.name).expect("is there").rows(), 2);
    assert_eq!(same(&other), Some(run.name.clone()));

    // The process of another run ends before publishing it: the next start removes the run.
    let half = loaded(&mut other, &[resolve(3)]);
    let (name, id) = (half.name.clone(), half.id);
    drop((half, other));
    let next = place.open();
    assert!(matches!(next.run(&name), Err(JournalError::NoSuchRun(_))));
    let left: u64 =
        next.db.query_row("SELECT count(*) FROM rows WHERE run = ?1", [id], |row| row.get(0)).expect("counts");
    assert_eq!(left, 0);
}

/// Two processes load the same changes, and neither finds the other's run before it publishes its own.
#[tokio::test(start_paused = true)]
async fn same_changes_are_published_once() {
    let place = Place::new();
    let (mut ours, mut theirs) = (place.open(), place.open());
    let [first, second] = [&mut ours, &mut theirs].map(|journal| loaded(journal, &[resolve(1)]));
    ours.publish(&first, &facts(), &key(HOUR)).expect("is the first one");
    let error = theirs.publish(&second, &facts(), &key(HOUR)).expect_err("is the second one");
    assert!(matches!(&error, JournalError::RunIsHeld { run, by: Some(_) } if *run == first.name), "{error}");
    let name = first.name.clone();
    drop((first, ours));
    let error = theirs.publish(&second, &facts(), &key(HOUR)).expect_err("is there still");
    assert!(matches!(&error, JournalError::StartedElsewhere { run } if *run == name), "{error}");
    assert_eq!(theirs.runs().expect("reads").len(), 1);
    // It has become old, or finished.
    advance(HOUR).await;
    theirs.publish(&second, &facts(), &key(HOUR)).expect("is a run of its own");
}

#[tokio::test(start_paused = true)]
async fn runs_without_rows_to_send_may_be_equal() {
    let place = Place::new();
    for _ in 0..2 {
        let mut journal = place.open();
        let run = loaded(&mut journal, &[]);
        journal.publish(&run, &facts(), &key(HOUR)).expect("has nothing to send");
    }
}

#[tokio::test(start_paused = true)]
async fn run_being_loaded_is_kept() {
    let place = Place::new();
    let mut loading = place.open();
    let run = loaded(&mut loading, &[resolve(1)]);
    drop(place.open());
    loading.publish(&run, &facts(), &key(Duration::ZERO)).expect("is ready");
    assert_eq!(loading.run(&run.name).expect("is there").rows(), 1);
}

#[tokio::test(start_paused = true)]
async fn run_has_one_holder() {
    let place = Place::new();
    let process = place.process(&[resolve(1)]);
    let mut other = place.open();
    let name = process.run.name.clone();
    assert!(matches!(other.acquire(&name), Err(JournalError::RunIsHeld { .. })));
    drop(process);
    other.acquire(&name).expect("is free");
}

#[tokio::test(start_paused = true)]
async fn recently_used_unfinished_run_is_resumed() {
    let place = Place::new();
    let mut process = place.process(&[resolve(1), resolve(2)]);
    advance(HOUR * 3).await;
    process.make(1, Some(true));
    advance(HOUR * 3).await;
    let digest = process.run.name.clone().into_bytes();
    let same = |journal: &Journal, remember| {
        journal.unfinished_same(&scope(), "test", &digest, remember).expect("reads").is_some()
    };
    assert!(same(&process.journal, HOUR * 4));
    assert!(!same(&process.journal, HOUR * 2));
    assert_eq!(process.journal.close(&process.run).expect("writes"), RunState::Unfinished);
    let finished = vec![(1, updated()), (2, updated())];
    process.commit(&Batch { finished, ..Batch::default() });
    assert_eq!(process.journal.close(&process.run).expect("writes"), RunState::Over);
    assert!(!same(&process.journal, HOUR * 4));
}

#[tokio::test(start_paused = true)]
async fn rows_in_doubt_are_resumed() {
    let place = Place::new();
    let mut process = place.process(&[comment(1), comment(2)]);
    let finished = vec![(1, Outcome::new(OutcomeKind::InDoubt, OutcomeCode::Unreadable, "")), (2, updated())];
    process.commit(&Batch { finished, ..Batch::default() });
    let Process { journal, run, .. } = process;
    assert!(journal.pending(&run, 0, 10).expect("reads").is_empty());
    let name = run.name.clone();
    drop((journal, run));
    let mut next = place.open();
    let run = next.acquire(&name).expect("is free");
    let rows: Vec<u64> = next.pending(&run, 0, 10).expect("reads").iter().map(|row| row.row).collect();
    assert_eq!(rows, [1]);
}

/// They count like any other request, and are pruned when they have expired.
#[tokio::test(start_paused = true)]
async fn requests_without_run_count_until_they_expire() {
    let place = Place::new();
    let mut journal = place.open();
    journal.begin_reading(&scope(), HOUR).expect("begins");
    let look = Batch { reads: vec![None], slots: 1, ..Batch::default() };
    let grant = |permits| move |_: &QuotaUsage, _, _, _| Grant { permits, next: NextPermit::AfterACallInFlight };
    let attempt = journal.commit(&look, grant(1)).expect("writes").reads[0];
    let end = AttemptEnd { verdict: "listed", applied: None, ..updated_at(attempt, journal.clock().now().boot) };
    journal.commit(&Batch { ends: vec![end], ..Batch::default() }, grant(0)).expect("writes");
    assert!(journal.runs().expect("reads").is_empty());

    let mut other = place.process(&[resolve(1)]);
    let mut seen = 0;
    let count = |spent: &QuotaUsage, _, _, _| {
        seen = spent.ended.len();
        Grant { permits: 0, next: NextPermit::AfterACallInFlight }
    };
    other.journal.commit(&Batch { slots: 1, ..Batch::default() }, count).expect("writes");
    assert_eq!(seen, 1, "a run of the same tenant key counts it");

    let left = |journal: &Journal| -> u64 {
        journal.db.query_row("SELECT count(*) FROM attempts", [], |row| row.get(0)).expect("counts")
    };
    journal.prune(Duration::ZERO).expect("prunes");
    assert_eq!(left(&journal), 1);
    advance(HOUR * 24).await;
    journal.prune(Duration::ZERO).expect("prunes");
    assert_eq!(left(&journal), 0);
}

/// Members without a value stay, too.
#[test]
fn resumed_run_keeps_the_new_options() {
    let place = Place::new();
    let mut journal = place.open();
    let run = loaded(&mut journal, &[resolve(1)]);
    journal.publish(&run, &facts(), &key(HOUR)).expect("publishes");
    let mut changed = RunMetadata { results: "not this".to_owned(), ..facts() };
    changed.typed.push("--yes", None, Origin::Flag);
    changed.settings.push("--quota", Some("2/1h".to_owned()), Origin::Contract);
    journal.keep_options(&run, &changed).expect("keeps");
    let kept = journal.run(&run.name).expect("is there").facts;
    assert_eq!(kept, RunMetadata { results: facts().results, ..changed });

    // As earlier revisions wrote them.
    let typed =
        "UPDATE runs SET facts = json_remove(json_set(facts, '$.typed', json('[[\"--yes\",null]]')), '$.settings')";
    journal.db.execute(typed, []).expect("writes");
    let kept = journal.run(&run.name).expect("is there").facts;
    assert_eq!((kept.typed.has("--yes"), kept.settings), (true, Settings::default()));
}
