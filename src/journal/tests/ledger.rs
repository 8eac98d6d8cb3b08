//! The ledger and the pause: shared by all processes of a tenant key, and kept after they end.

use std::time::Duration;

use tokio::time::advance;

use super::process::{Place, Process, REMEMBERED, comment, facts, load_row, resolve};
use crate::clock::BootTime;
use crate::journal::{AttemptEnd, Batch, Receipt};
use crate::model::call::UNSENT;
use crate::model::change::TenantKey;
use crate::model::permit::{Pause, QuotaUsage};

#[tokio::test(start_paused = true)]
async fn two_processes_share_requests_and_pause() {
    let place = Place::new();
    let mut ours = place.process(&[resolve(1), resolve(2), resolve(3)]);
    let mut theirs = place.process(&[resolve(4)]);
    let (first, second) = (ours.start(1), ours.start(2));
    theirs.start(1);
    assert_eq!(ours.spent().0.in_flight, 3);
    assert!(ours.commit(&Batch::default()).others_in_flight);

    let pause_until = Some(BootTime(1_030_000_000));
    ours.end(AttemptEnd { pause_until, applied: Some(false), ..ours.ended(first) });
    let (spent, pause) = theirs.spent();
    assert_eq!((spent.in_flight, spent.ended.len()), (2, 1));
    assert_eq!(pause, Some(Pause { until: BootTime(1_030_000_000), probing: false }));
    ours.end(ours.ended(second));
    assert_eq!(theirs.spent().0.in_flight, 1);
    assert!(!theirs.commit(&Batch::default()).others_in_flight);
}

#[tokio::test(start_paused = true)]
async fn tenants_do_not_share() {
    let place = Place::new();
    let mut ours = place.process(&[resolve(1)]);
    ours.start(1);
    let mut journal = place.open();
    let elsewhere = TenantKey::named("elsewhere");
    let run = journal.create_run(&elsewhere, "test", &facts(), &mut fastrand::Rng::new()).expect("begins");
    journal.load(&run, &[load_row(1, &resolve(1))]).expect("loads");
    let mut theirs = Process { journal, run, changes: vec![resolve(1)] };
    theirs.begin_session(REMEMBERED);
    assert_eq!(theirs.spent().0, QuotaUsage::default());
    theirs.start(1);
}

#[tokio::test(start_paused = true)]
async fn requests_of_dead_process_count_two_seconds_longer() {
    for (later, ended) in [(15, 1_017), (200, 1_062)] {
        let place = Place::new();
        let mut gone = place.process(&[comment(1)]);
        let attempt = gone.start(1);
        drop(gone);
        advance(Duration::from_secs(later)).await;
        let mut next = place.process(&[comment(1)]);
        assert_eq!(next.seconds_ended(), [ended], "{later} s later");
        assert_eq!(next.spent().0.in_flight, 0);
        let Receipt::InDoubt(doubts) = next.offer(1) else { panic!("it is not in doubt") };
        assert_eq!(doubts.iter().map(|doubt| doubt.attempt).collect::<Vec<_>>(), [attempt]);
    }
}

#[tokio::test(start_paused = true)]
async fn probe_of_dead_process_passes_to_another() {
    let place = Place::new();
    let (mut ours, mut theirs) = (place.process(&[resolve(1), resolve(2)]), place.process(&[resolve(3)]));
    let first = ours.start(1);
    ours.end(AttemptEnd { pause_until: Some(BootTime(1_010_000_000)), applied: Some(false), ..ours.ended(first) });
    advance(Duration::from_secs(10)).await;
    theirs.start(1);
    assert_eq!(ours.spent().1.map(|pause| pause.probing), Some(true));
    assert_eq!(ours.offer(2), Receipt::NoPermit);
    drop(theirs);
    ours.start(2);
    assert_eq!(ours.seconds_ended(), [1_000, 1_012]);
}

/// By the process itself, by another one, and after a restart.
#[tokio::test(start_paused = true)]
async fn request_without_response_counts_two_seconds_longer() {
    let place = Place::new();
    let mut ours = place.process(&[resolve(1), resolve(2), resolve(3)]);
    let mut theirs = place.process(&[resolve(4)]);
    let (cut, whole, open) = (ours.start(1), ours.start(2), ours.start(3));
    ours.end(AttemptEnd { http_status: None, verdict: "transient", applied: None, ..ours.ended(cut) });
    advance(Duration::from_secs(1)).await;
    ours.end(ours.ended(whole));
    assert_eq!(ours.seconds_ended(), [1_001, 1_002]);
    assert_eq!(theirs.seconds_ended(), [1_001, 1_002]);
    advance(Duration::from_secs(3)).await;
    drop((ours, theirs));
    let mut next = place.process(&[resolve(4)]);
    assert_eq!(next.seconds_ended(), [1_001, 1_002, 1_006], "the process of {open:?} was found dead at 1004");
}

#[tokio::test(start_paused = true)]
async fn pause_is_prolonged_but_never_shortened() {
    let place = Place::new();
    let mut process = place.process(&(1..=3).map(resolve).collect::<Vec<_>>());
    let attempts = [process.start(1), process.start(2), process.start(3)];
    let mut until = Vec::new();
    for (attempt, seconds) in attempts.into_iter().zip([1_030, 1_010, 1_040]) {
        let pause_until = Some(BootTime(seconds * 1_000_000));
        process.end(AttemptEnd { pause_until, applied: Some(false), ..process.ended(attempt) });
        until.extend(process.spent().1.map(|pause| pause.until.0 / 1_000_000));
    }
    assert_eq!(until, [1_030, 1_030, 1_040]);
}

#[tokio::test(start_paused = true)]
async fn unsent_probe_lifts_no_pause() {
    let place = Place::new();
    let mut process = place.process(&(1..=3).map(resolve).collect::<Vec<_>>());
    let throttled = process.start(1);
    let until = BootTime(1_030_000_000);
    process.end(AttemptEnd { pause_until: Some(until), applied: Some(false), ..process.ended(throttled) });
    advance(Duration::from_secs(30)).await;
    let probe = process.start(1);
    process.end(AttemptEnd { http_status: None, verdict: UNSENT, applied: Some(false), ..process.ended(probe) });
    assert_eq!(process.spent().1, Some(Pause { until, probing: false }));
    process.start(2);
    assert_eq!(process.offer(3), Receipt::NoPermit, "one probe at a time");
}

#[tokio::test(start_paused = true)]
async fn only_end_of_first_request_lifts_pause() {
    let place = Place::new();
    let mut process = place.process(&(1..=5).map(resolve).collect::<Vec<_>>());
    let (old, throttled) = (process.start(1), process.start(2));
    let pause = |until: i64| Some(BootTime(until * 1_000_000));
    process.end(AttemptEnd { pause_until: pause(1_030), applied: Some(false), ..process.ended(throttled) });
    assert_eq!(process.offer(2), Receipt::NoPermit);
    advance(Duration::from_secs(30)).await;
    let probe = process.start(2);
    assert_eq!(process.offer(3), Receipt::NoPermit, "one probe at a time");
    // An older request succeeds late.
    process.end(process.ended(old));
    assert_eq!(process.offer(3), Receipt::NoPermit, "an older request lifts no pause");
    // The probe is throttled, too: a new pause begins.
    process.end(AttemptEnd { pause_until: pause(1_060), applied: Some(false), ..process.ended(probe) });
    assert_eq!(process.spent().1, Some(Pause { until: BootTime(1_060_000_000), probing: false }));
    advance(Duration::from_secs(30)).await;
    let probe = process.start(2);
    process.end(process.ended(probe));
    assert_eq!(process.spent().1, None);
    process.start(3);
    process.start(4);
}
