//! Sending: when each row is sent, and which events are reported.

use std::time::Duration;

use super::stage::{Script, Stage, Wire, change, no_connection, reply, resolve, shown, willing};
use crate::apply::events::Event;
use crate::apply::{Completion, StopReason};
use crate::client::{Reply, SendError};
use crate::model::change::Change;
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind, ResultRow};

fn rows(count: u64) -> Vec<Change> {
    (1..=count).map(resolve).collect()
}

/// `updated`, `failed not-found`
fn short(outcome: &Outcome) -> String {
    format!("{} {}", outcome.kind, outcome.code).trim_end().to_owned()
}

fn ends_of(rows: &[ResultRow]) -> Vec<(u64, String)> {
    let mut ends: Vec<_> = rows.iter().map(|row| (row.row, short(&row.outcome))).collect();
    ends.sort();
    ends
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_used_up_and_events_are_complete() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 3;
    let (ends, wire, _run) = stage.send(&rows(7), willing()).await;
    assert_eq!((ends.completion, ends.requests.calls, ends.requests.throttled), (Completion::Finished, 7, 0));
    assert_eq!(wire.times(), [0, 0, 0, 100, 100, 100, 200]);
    assert_eq!(wire.most_at_once(), 3);
    assert!(matches!(&stage.recorder.events[0].1, Event::Started { rows: 7, before } if before.is_empty()));
    let finished = stage.recorder.finished();
    assert_eq!(finished.len(), 7);
    let row = finished.iter().find(|row| row.row == 3).expect("the row is reported");
    assert_eq!((row.line, row.incident_id.as_str(), row.attempts), (4, "3", 1));
    let outcome = &row.outcome;
    assert_eq!((outcome.http_status, outcome.request_id.as_deref()), (Some(200), Some("r-1")));
    assert!(outcome.finished_at.is_some());
    // An empty commit reports no event.
    assert!(stage.recorder.events.iter().all(|(_, event)| !matches!(event, Event::Finished(rows) if rows.is_empty())));
}

#[tokio::test(start_paused = true)]
async fn pace_is_reported_few_times_a_second() {
    let mut stage = Stage::new();
    stage.settings.quota = "5/10s".parse().expect("a quota");
    stage.send(&rows(8), Box::new(|_, what| (40, shown(what)))).await;
    let paces = stage.recorder.paces();
    assert!(paces.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 250), "{paces:?}");
    let (at, first) = &paces[0];
    assert_eq!((*at, first.calls, first.in_flight, first.throttled), (0, 2, 2, 0));
    assert_eq!(first.windows[0].1, 2);
    // The sixth request waits for the first token, which returns one window after the end of its request.
    let waiting = &paces.iter().find(|(_, pace)| pace.next_call.is_some()).expect("one that waits").1;
    assert_eq!((waiting.calls, waiting.windows[0].1), (5, 5));
    let next = waiting.next_call.expect("it is known");
    assert_eq!(
        next.as_millisecond(),
        "2026-11-24T10:00:10.041Z".parse::<jiff::Timestamp>().expect("valid").as_millisecond()
    );
    assert!(waiting.arrival > next && waiting.arrival < next + jiff::SignedDuration::from_secs(2), "{waiting:?}");
}

/// The measured latency replaces the initial guess.
#[tokio::test(start_paused = true)]
async fn estimated_finish_follows_the_measured_latency() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    stage.send(&rows(20), Box::new(|_, what| (4_000, shown(what)))).await;
    let end = stage.now();
    let paces = stage.recorder.paces();
    let start: jiff::Timestamp = "2026-11-24T10:00:00Z".parse().expect("a time");
    let said = |at: i64| {
        let (_, pace) = paces.iter().rev().find(|(reported, _)| *reported <= at).expect("a reported pace");
        pace.arrival.as_millisecond() - start.as_millisecond()
    };
    assert!(said(0) < 20_000, "{}", said(0));
    assert!((said(end / 2) - end).abs() < end / 4, "{} of {end}", said(end / 2));
    assert!((said(end - 5_000) - end).abs() < end / 10, "{} of {end}", said(end - 5_000));
    for (at, pace) in &paces {
        assert!(pace.next_call.is_none_or(|next| next.as_millisecond() - start.as_millisecond() >= *at), "{pace:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn request_waits_no_longer_than_its_token() {
    let mut stage = Stage::new();
    stage.settings.quota = "2/10s".parse().expect("a quota");
    stage.settings.concurrency = 8;
    let (_, wire, _run) = stage.send(&rows(5), willing()).await;
    // A token returns after a window and a ten-thousandth of it; the clock sleeps whole milliseconds.
    assert_eq!(wire.times(), [0, 0, 10_102, 10_102, 20_204]);
}

#[tokio::test(start_paused = true)]
async fn already_applied_row_needs_no_permit() {
    let mut stage = Stage::new();
    let (_, _, _run) = stage.send(&rows(40), willing()).await;
    stage.settings.quota = "1/10m".parse().expect("a quota");
    stage.recorder.events.clear();
    let started = stage.now();
    let mut again = rows(40);
    again.insert(0, change(99, r#"{"status":"Active"}"#));
    again.insert(1, change(98, r#"{"status":"Active"}"#));
    stage.settings.stop_after = Some(Duration::from_secs(5));
    let (ends, _, run) = stage.send(&again, willing()).await;
    assert_eq!(ends.completion, Completion::Stopped(StopReason::Deadline));
    let kept: std::collections::HashMap<_, _> = ends.journal.outcomes(&run.name).expect("reads").into_iter().collect();
    assert_eq!(kept[&Some(OutcomeKind::Unchanged)], 40);
    let over: Vec<i64> = stage
        .recorder
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Finished(_)))
        .map(|(at, _)| *at)
        .collect();
    assert!(over.iter().all(|at| *at - started < 1_000), "{over:?}");
    let finished = stage.recorder.finished();
    assert_eq!(finished.iter().filter(|row| row.outcome.code == OutcomeCode::DoneBefore).count(), 40);
}

/// So are the rows that were checked for duplicates while there was no permit.
#[tokio::test(start_paused = true)]
async fn rows_are_sent_in_input_order() {
    let mut stage = Stage::new();
    stage.settings.quota = "2/10s".parse().expect("a quota");
    stage.settings.concurrency = 4;
    let (_, wire, _run) = stage.send(&rows(30), willing()).await;
    let sent: Vec<String> = wire.seen().into_iter().map(|(_, what)| what).collect();
    assert_eq!(sent, (1..=30).map(|id| format!("PATCH {id}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn no_request_starts_after_the_deadline() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    stage.settings.stop_after = Some(Duration::from_millis(250));
    let (ends, wire, run) = stage.send(&rows(9), willing()).await;
    assert_eq!(ends.completion, Completion::Stopped(StopReason::Deadline));
    assert_eq!(wire.times(), [0, 100, 200]);
    assert_eq!(ends.journal.pending(&run, 0, 9).expect("reads").len(), 6);
    let stopping = stage.recorder.events.iter().find_map(|(at, event)| match event {
        Event::Stopping { in_flight, .. } => Some((*at, *in_flight)),
        _ => None,
    });
    assert_eq!(stopping, Some((250, 1)));
}

#[tokio::test(start_paused = true)]
async fn stopping_run_waits_for_requests_in_flight() {
    let mut stage = Stage::new();
    stage.stop.send_replace(true);
    let (ends, wire, _run) = stage.send(&rows(3), willing()).await;
    assert_eq!(ends.completion, Completion::Stopped(StopReason::Requested));
    assert!(wire.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn failing_listener_stops_the_run() {
    let mut stage = Stage::new();
    stage.recorder.fails_at = Some(2);
    let (ends, wire, _run) = stage.send(&rows(9), willing()).await;
    assert!(matches!(ends.completion, Completion::Stopped(StopReason::ListenerFailed { .. })), "{:?}", ends.completion);
    assert_eq!(wire.seen().len(), 2);
}

fn missing() -> Script {
    Box::new(|_, _| (100, reply(404, r#"{"error":{"code":"NotFound","message":"no such"}}"#)))
}

#[tokio::test(start_paused = true)]
async fn first_five_equal_failures_stop_longer_runs() {
    for (count, stops) in [(5, false), (6, true), (20, true)] {
        let mut stage = Stage::new();
        stage.settings.concurrency = 1;
        let (ends, wire, _run) = stage.send(&rows(count), missing()).await;
        let expected = StopReason::FirstRowsFailed { rows: 5, code: OutcomeCode::NotFound.into() };
        let ending = if stops { Completion::Stopped(expected) } else { Completion::Finished };
        assert_eq!((ends.completion, wire.seen().len()), (ending, 5), "{count} rows");
    }
}

#[tokio::test(start_paused = true)]
async fn run_stops_at_max_failures() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    stage.settings.max_failures = Some(7);
    let (ends, wire, _run) = stage.send(&rows(20), missing()).await;
    assert_eq!(ends.completion, Completion::Stopped(StopReason::TooManyFailures { failed: 7 }));
    assert_eq!(wire.seen().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn after_a_429_one_request_goes_first() {
    let mut stage = Stage::new();
    let script: Script = Box::new(|number, what| match number {
        1 => (100, reply(429, r#"{"error":{"message":"Try again in 20 seconds."}}"#)),
        _ => (100, shown(what)),
    });
    let (ends, wire, _run) = stage.send(&rows(6), script).await;
    assert_eq!((ends.completion, ends.requests.throttled, ends.requests.calls), (Completion::Finished, 1, 7));
    let times = wire.times();
    assert_eq!(times[..3], [0, 0, 20_100], "{times:?}");
    assert_eq!(times[3..], [20_200, 20_200, 20_300, 20_300], "{times:?}");
    let reported = stage.recorder.events.iter().filter(|(_, event)| matches!(event, Event::Throttled { .. })).count();
    assert_eq!(reported, 1);
}

#[tokio::test(start_paused = true)]
async fn too_long_pause_stops_the_run() {
    let mut stage = Stage::new();
    stage.settings.patience = Duration::from_secs(30);
    let script: Script = Box::new(|_, _| (100, reply(429, r#"{"error":{"message":"Try again in 7200 seconds."}}"#)));
    let (ends, _, _run) = stage.send(&rows(6), script).await;
    let Completion::Stopped(StopReason::PausedTooLong { until }) = ends.completion else {
        panic!("{:?}", ends.completion)
    };
    assert_eq!(until, "2026-11-24T12:00:00.1Z".parse().expect("a time"));
}

#[tokio::test(start_paused = true)]
async fn row_without_any_response_fails_with_reason() {
    let mut stage = Stage::new();
    let script: Script = Box::new(|_, what| match what {
        "PATCH 2" => (100, reply(503, "down for repair")),
        "GET 2" => (100, reply(200, r#"{"incidentId":2,"status":"Active","comments":[]}"#)),
        _ => (100, shown(what)),
    });
    let (ends, wire, _run) = stage.send(&rows(60), script).await;
    assert_eq!(ends.completion, Completion::Finished);
    let finished = stage.recorder.finished();
    let failed = finished.iter().find(|row| row.row == 2).expect("the row is finished");
    assert_eq!(short(&failed.outcome), "failed gave-up");
    assert_eq!(failed.outcome.message, "failed after 3 attempts; the last: down for repair");
    assert_eq!((failed.outcome.http_status, failed.outcome.request_id.as_deref()), (Some(200), Some("r-1")));
    assert!(failed.outcome.finished_at.is_some());
    // Three attempts, and three reads to find out whether one of them was applied.
    assert_eq!(wire.seen().iter().filter(|(_, what)| what.ends_with(" 2")).count(), 6);
    let retries = stage.recorder.events.iter().filter_map(|(_, event)| match event {
        Event::Retry { row, attempts, message, .. } => Some((*row, *attempts, message.clone())),
        _ => None,
    });
    assert_eq!(
        retries.collect::<Vec<_>>(),
        [(2, 1, "down for repair".to_owned()), (2, 2, "down for repair".to_owned())]
    );
}

/// Row 1 waits to be read; meanwhile its only slot is free for the others.
#[tokio::test(start_paused = true)]
async fn waits_between_reads_hold_no_slot() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    let changes: Vec<Change> = (1..=3).map(|id| change(id, r#"{"status":"Resolved","comment":"done"}"#)).collect();
    let script: Script = Box::new(|number, what| match (number, what) {
        (0, _) => (100, reply(503, "")),
        (5, _) => (
            100,
            reply(
                200,
                r#"{"incidentId":1,"status":"Resolved","comments":[
                {"comment":"done","createdTime":"2026-11-24T10:00:25Z"}]}"#,
            ),
        ),
        _ => (100, shown(what)),
    });
    let (_, wire, _run) = stage.send(&changes, script).await;
    let seen: Vec<String> = wire.seen().into_iter().map(|(at, what)| format!("{at} {what}")).collect();
    assert_eq!(seen, ["0 PATCH 1", "100 PATCH 2", "200 PATCH 3", "2100 GET 1", "10100 GET 1", "30100 GET 1"]);
    let row = stage.recorder.finished().into_iter().find(|row| row.row == 1).expect("the row is reported");
    assert_eq!(short(&row.outcome), "updated found-by-reading");
}

/// Without another row, nothing shows whether the row or the service is at fault.
#[tokio::test(start_paused = true)]
async fn last_row_gives_up_even_if_outage_uncertain() {
    let mut stage = Stage::new();
    let script: Script = Box::new(|_, _| (100, no_connection()));
    let (ends, wire, _run) = stage.send(&rows(1), script).await;
    assert_eq!(ends.completion, Completion::Finished);
    assert_eq!(ends_of(&stage.recorder.finished()), [(1, "failed gave-up".to_owned())]);
    assert_eq!(wire.seen().len(), 3);
}

/// A row that has no attempt left fails only after it is clear that there is no outage.
#[tokio::test(start_paused = true)]
async fn row_that_met_outage_first_keeps_its_attempts() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    stage.settings.max_attempts = 2;
    let script: Script = Box::new(|number, what| match number {
        0..6 => (100, no_connection()),
        _ => (100, shown(what)),
    });
    let (ends, _, _run) = stage.send(&rows(3), script).await;
    assert_eq!(ends.completion, Completion::Finished);
    assert_eq!(ends_of(&stage.recorder.finished()), (1..=3).map(|row| (row, "updated".to_owned())).collect::<Vec<_>>());
    assert!(stage.recorder.events.iter().any(|(_, event)| matches!(event, Event::ServiceDown { .. })));
}

fn dropped() -> Result<Reply, SendError> {
    Err(SendError { may_have_arrived: true, is_reused: true, obstacle: None, message: "closed".to_owned() })
}

#[tokio::test(start_paused = true)]
async fn dropped_requests_use_permits_but_no_attempts() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    stage.settings.max_attempts = 1;
    stage.settings.patience = Duration::ZERO;
    stage.settings.quota = "7/10s".parse().expect("a quota");
    let script: Script = Box::new(|number, what| (100, if number < 6 { dropped() } else { shown(what) }));
    let (ends, wire, _run) = stage.send(&rows(2), script).await;
    assert_eq!((ends.completion, ends.requests.calls), (Completion::Finished, 8));
    let times = wire.times();
    assert_eq!(times[..7], [0, 100, 200, 300, 400, 500, 600]);
    assert!(times[7] > 10_000, "{times:?}");
    let finished = stage.recorder.finished();
    assert_eq!(ends_of(&finished), [(1, "updated".to_owned()), (2, "updated".to_owned())]);
    assert_eq!(finished.iter().map(|row| row.attempts).collect::<Vec<_>>(), [7, 1]);
    assert!(!stage.recorder.events.iter().any(|(_, event)| matches!(event, Event::ServiceDown { .. })));
}

#[tokio::test(start_paused = true)]
async fn dropped_comment_is_read_at_once() {
    let mut stage = Stage::new();
    stage.settings.max_attempts = 1;
    let script: Script = Box::new(|number, what| (100, if number < 2 { dropped() } else { shown(what) }));
    let (ends, wire, _run) = stage.send(&[change(1, r#"{"comment":"x"}"#)], script).await;
    assert_eq!(ends.completion, Completion::Finished);
    let seen = wire.seen();
    let expected = [(0, "PATCH 1"), (100, "GET 1"), (200, "GET 1")];
    assert_eq!(seen[..3].iter().map(|(at, what)| (*at, what.as_str())).collect::<Vec<_>>(), expected);
    // The comment is sent again only after a read that is later than the settle time.
    assert_eq!(seen.last().map(|(_, what)| what.as_str()), Some("PATCH 1"));
    assert!(seen.last().is_some_and(|(at, _)| *at > 30_000), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn outage_uses_up_no_attempts() {
    let mut stage = Stage::new();
    let script: Script = Box::new(move |number, what| match number {
        0..10 => (100, no_connection()),
        _ => (100, shown(what)),
    });
    let (ends, wire, _run) = stage.send(&rows(4), script).await;
    assert_eq!(ends.completion, Completion::Finished);
    assert_eq!(ends_of(&stage.recorder.finished()), (1..=4).map(|row| (row, "updated".to_owned())).collect::<Vec<_>>());
    let down: Vec<i64> = stage
        .recorder
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::ServiceDown { .. }))
        .map(|(at, _)| *at)
        .collect();
    assert!(!down.is_empty());
    assert_eq!(stage.recorder.events.iter().filter(|(_, event)| matches!(event, Event::ServiceUp)).count(), 1);
    // In an outage one request probes the service, after 5 s, 10 s, 20 s, 40 s …
    let times = wire.times();
    let pauses: Vec<i64> = times[5..].windows(2).map(|pair| pair[1] - pair[0]).take(3).collect();
    assert_eq!(pauses, [10_100, 20_100, 40_100], "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn permanent_outage_stops_after_patience() {
    let mut stage = Stage::new();
    stage.settings.patience = Duration::from_secs(30);
    let script: Script = Box::new(|_, _| (100, no_connection()));
    let (ends, _, run) = stage.send(&rows(4), script).await;
    assert_eq!(ends.completion, Completion::Stopped(StopReason::ServiceDown { message: "no connection".to_owned() }));
    assert_eq!(ends.journal.pending(&run, 0, 9).expect("reads").len(), 4);
    assert!(stage.now() >= 30_000 && stage.now() < 120_000, "{}", stage.now());
}

#[tokio::test(start_paused = true)]
async fn missing_permission_stops_without_failed_rows() {
    let mut stage = Stage::new();
    let script: Script =
        Box::new(|_, _| (100, reply(403, r#"{"error":{"code":"Forbidden","message":"no permission"}}"#)));
    let (ends, _, run) = stage.send(&rows(20), script).await;
    assert!(matches!(ends.completion, Completion::Stopped(StopReason::Forbidden { .. })), "{:?}", ends.completion);
    let left = ends.journal.pending(&run, 0, 30).expect("reads").len();
    assert_eq!(left + stage.recorder.finished().len(), 20);
    assert!(left >= 16, "{left}");
}

#[tokio::test(start_paused = true)]
async fn refused_token_without_successor_stops_the_run() {
    let mut stage = Stage::new();
    let script: Script = Box::new(|_, _| (100, reply(401, r#"{"error":{"message":"expired"}}"#)));
    let (ends, wire, run) = stage.send(&rows(9), script).await;
    assert!(matches!(ends.completion, Completion::Stopped(StopReason::Unauthorized { .. })), "{:?}", ends.completion);
    assert!(wire.seen().len() <= 4, "{:?}", wire.seen());
    assert_eq!(ends.journal.pending(&run, 0, 9).expect("reads").len(), 9);
}

#[tokio::test(start_paused = true)]
async fn differences_in_a_response_are_reported() {
    let mut stage = Stage::new();
    let script: Script = Box::new(|_, what| {
        let body = match what {
            "PATCH 1" => r#"{"incidentId":1,"status":"Active","comments":[]}"#,
            _ => r#"{"incidentId":2,"redirectIncidentId":77,"status":"Resolved","comments":[]}"#,
        };
        (100, reply(200, body))
    });
    stage.send(&rows(2), script).await;
    let mut finished = stage.recorder.finished();
    finished.sort_by_key(|row| row.row);
    assert_eq!(short(&finished[0].outcome), "failed not-applied");
    assert_eq!(finished[0].outcome.message, r#"the response shows other values: `status` is "Active", not "Resolved""#);
    assert_eq!(short(&finished[1].outcome), "failed redirected");
    assert_eq!(finished[1].outcome.message, "the incident was merged into 77: the update went to the old one");
}

#[tokio::test(start_paused = true)]
async fn rows_of_one_incident_are_sent_in_sequence() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 4;
    let changes = [resolve(1), change(1, r#"{"status":"Active"}"#), change(1, r#"{"comment":"x"}"#), resolve(2)];
    let (_, wire, _run) = stage.send(&changes, willing()).await;
    let seen = wire.seen();
    assert_eq!(
        seen.iter().map(|(at, what)| (*at, what.as_str())).collect::<Vec<_>>(),
        [(0, "PATCH 1"), (0, "PATCH 2"), (100, "PATCH 1"), (200, "PATCH 1"),]
    );
}

/// Another process sends a row, which takes 3 s; ours starts 10 ms later. Returns our requests and theirs.
async fn beside_another(stage: &mut Stage, theirs: Change, ours: Change) -> (Wire, Wire) {
    let mut other = Stage { directory: tempfile::tempdir().expect("a directory"), ..Stage::new() };
    other.clock = stage.clock.clone();
    other.settings.quota = stage.settings.quota.clone();
    std::mem::swap(&mut other.directory, &mut stage.directory);
    let mut their_journal = other.journal();
    let their_run = other.run_of(&mut their_journal, &[theirs]);
    let mut our_journal = other.journal();
    let our_run = other.run_of(&mut our_journal, &[ours]);
    let slow: Script = Box::new(|_, what| (3_000, shown(what)));
    let ((_, their_wire), (_, our_wire)) = {
        let send_theirs = Box::pin(other.send_run(their_journal, &their_run, slow));
        let send_ours = async {
            stage.clock.sleep_briefly_until(stage.clock.now().boot + Duration::from_millis(10)).await;
            stage.send_run(our_journal, &our_run, willing()).await
        };
        tokio::join!(send_theirs, send_ours)
    };
    (our_wire, their_wire)
}

#[tokio::test(start_paused = true)]
async fn equal_change_in_another_process_is_awaited() {
    let mut stage = Stage::new();
    let (our_wire, their_wire) = beside_another(&mut stage, resolve(50), resolve(50)).await;
    assert_eq!((their_wire.times(), our_wire.times()), (vec![0], vec![]));
    let (at, _) = stage
        .recorder
        .events
        .iter()
        .find(|(_, event)| matches!(event, Event::Finished(_)))
        .expect("the row is finished");
    assert!((3_000..3_060).contains(at), "{at}");
    assert_eq!(ends_of(&stage.recorder.finished()), [(1, "unchanged done-before".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn token_held_by_another_process_is_awaited() {
    let mut stage = Stage::new();
    // The other process holds the only token.
    stage.settings.quota = "1/10s".parse().expect("a quota");
    let (our_wire, their_wire) = beside_another(&mut stage, resolve(50), resolve(60)).await;
    assert_eq!(their_wire.times(), [0]);
    // Its end is noticed within 50 ms; the token returns one window later.
    assert_eq!(our_wire.times(), [13_002]);
}

#[tokio::test(start_paused = true)]
async fn long_rows_are_loaded_few_at_a_time() {
    let mut stage = Stage::new();
    stage.settings.quota = "1/10m".parse().expect("a quota");
    stage.settings.stop_after = Some(Duration::from_mins(1));
    let long = format!(r#"{{"comment":"{}"}}"#, "x".repeat(900_000));
    let changes: Vec<Change> = (1..=30).map(|id| change(id, &long)).collect();
    // The last row is applied first: it is found as a duplicate only if all rows are loaded.
    stage.send(&changes[29..], willing()).await;
    stage.recorder.events.clear();
    stage.send(&changes, willing()).await;
    let found = stage.recorder.finished().iter().filter(|row| row.outcome.kind == OutcomeKind::Unchanged).count();
    assert_eq!(found, 0, "more than 16 MiB of rows were loaded");
}

/// A row in flight needs no second request.
#[tokio::test(start_paused = true)]
async fn requests_in_flight_do_not_delay_the_estimate() {
    let mut stage = Stage::new();
    stage.settings.quota = "2/10s".parse().expect("a quota");
    stage.settings.concurrency = 2;
    let (ends, _, _) = stage.send(&rows(4), willing()).await;
    assert_eq!(ends.completion, Completion::Finished);
    let (now, wall) = (stage.now(), stage.clock.now().wall);
    let paces = stage.recorder.paces();
    let reported: Vec<i64> =
        paces.iter().map(|(_, pace)| now + pace.arrival.as_millisecond() - wall.as_millisecond()).collect();
    assert!(reported.iter().all(|reported| (reported - now).abs() < 1_000), "reported {reported:?}, finished at {now}");
}
