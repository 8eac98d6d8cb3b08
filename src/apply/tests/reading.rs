//! Reading: reads share the quota, pauses, retries and outages with updates.

use std::time::Duration;

use super::stage::{Script, Stage, Wire, no_connection, reply, resolve, shown};
use crate::apply::events::Event;
use crate::apply::page_size::tests::SIZES;
use crate::apply::{Completion, EngineEnd, PreflightSource, ReadResult, ReadSource, StopReason, Wanted, read};
use crate::client::SendError;
use crate::journal::ReadScope;
use crate::model::call::{Call, CallResult, Page};
use crate::model::change::IncidentId;

/// Reads these incidents, one by one.
pub(super) struct OneByOne {
    left: Vec<u64>,
    results: Vec<(u64, &'static str)>,
    fails: bool,
}

impl OneByOne {
    pub(super) fn new(count: u64) -> OneByOne {
        OneByOne { left: (1..=count).rev().collect(), results: Vec::new(), fails: false }
    }
}

impl ReadSource for OneByOne {
    fn next(&mut self) -> Wanted {
        self.left.pop().and_then(IncidentId::new).map_or(Wanted::Nothing, |id| Wanted::Call(Call::Read(id)))
    }

    fn page_failed(&mut self, _: &Page, _: &CallResult) -> Result<Option<Call>, StopReason> {
        unreachable!("it requests no pages")
    }

    fn can_read_singly(&self) -> bool {
        true
    }

    fn on_result(&mut self, call: &Call, result: &CallResult) -> Result<ReadResult, StopReason> {
        let id = call.incident().expect("it reads incidents").get();
        self.results.push((id, result.verdict.name()));
        let full = StopReason::ListenerFailed { message: "full".to_owned() };
        if self.fails { Err(full) } else { Ok(ReadResult { incidents: 1, ..ReadResult::default() }) }
    }

    fn calls_left(&self) -> u64 {
        self.left.len() as u64
    }
}

pub(super) async fn run(stage: &mut Stage, reader: &mut impl ReadSource, script: Script) -> (EngineEnd, Wire) {
    let mut journal = stage.journal();
    let run = stage.run_of(&mut journal, &[resolve(1)]);
    journal.begin_session(&run, stage.settings.quota.longest(), Duration::ZERO).expect("begins");
    let wire = stage.wire(script);
    let (client, stop) = (stage.client(&wire), stage.stop.subscribe());
    let ends = read(journal, client, &stage.settings, stop, reader, &mut stage.recorder).await;
    (ends.expect("the journal works"), wire)
}

pub(super) fn get() -> Script {
    Box::new(|_, what| (100, shown(what)))
}

#[tokio::test(start_paused = true)]
async fn reads_start_at_once_then_wait_for_quota() {
    let mut stage = Stage::new();
    stage.settings.quota = "5/10s".parse().expect("a quota");
    let mut reader = OneByOne::new(7);
    let (ends, wire) = run(&mut stage, &mut reader, get()).await;
    assert_eq!((ends.completion, ends.requests.calls, ends.requests.throttled), (Completion::Finished, 7, 0));
    assert_eq!(wire.times(), [0, 0, 100, 100, 200, 10_102, 10_102]);
    assert_eq!(wire.most_at_once(), 2);
    assert_eq!(reader.results.len(), 7);
    let looked: u64 = stage
        .recorder
        .events
        .iter()
        .map(|(_, event)| if let Event::IncidentsRead(count) = event { *count } else { 0 })
        .sum();
    assert_eq!(looked, 7);
    let waiting = stage.recorder.paces().into_iter().find_map(|(_, pace)| pace.next_call.map(|next| (pace, next)));
    let (pace, next) = waiting.expect("one that waits");
    assert_eq!((pace.calls, pace.windows[0].1, pace.throttled), (5, 5, 0));
    assert!(pace.arrival > next);
}

#[tokio::test(start_paused = true)]
async fn read_pace_is_reported_few_times_a_second() {
    let mut stage = Stage::new();
    run(&mut stage, &mut OneByOne::new(20), get()).await;
    let paces = stage.recorder.paces();
    assert!(paces.len() >= 3 && paces.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 250), "{paces:?}");
}

/// The last event before a wait stays on screen until the wait ends.
#[tokio::test(start_paused = true)]
async fn wait_of_reads_starts_with_the_current_pace() {
    let mut stage = Stage::new();
    (stage.settings.quota, stage.settings.concurrency) = ("50/1m".parse().expect("a quota"), 8);
    let script: Script = Box::new(|_, what| (20, shown(what)));
    let (_, wire) = run(&mut stage, &mut OneByOne::new(60), script).await;
    let begins = *wire.times().get(49).expect("a window of reads");
    let paces = stage.recorder.paces();
    let (reported, pace) = paces.iter().rfind(|(at, _)| *at < 60_000).expect("an event before the wait ends");
    assert!(reported - begins < 500, "{reported} {begins}");
    assert_eq!((pace.calls, pace.windows[0].1), (50, 50), "{pace:?}");
    let next = pace.next_call.expect("a wait");
    let (wait, whole) = (wire.times()[50], pace.arrival.duration_since(next).as_millis());
    assert!(wait >= 60_000 && (0..1_500).contains(&whole), "{wait} {whole}: the finish is not a window late");
}

/// The first estimate uses the latency that the previous loop measured.
#[tokio::test(start_paused = true)]
async fn first_forecast_uses_the_latency_measured_before() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    let slow = || -> Script { Box::new(|_, what| (3_000, shown(what))) };
    run(&mut stage, &mut OneByOne::new(5), slow()).await;
    let before = stage.recorder.paces().len();
    run(&mut stage, &mut OneByOne::new(10), slow()).await;
    let paces = stage.recorder.paces();
    let (reported, pace) = &paces[before];
    let left = pace.arrival.duration_since(stage.clock.now().wall).as_secs() + (stage.now() - reported) / 1_000;
    assert!((27..=33).contains(&left), "{left} s for ten reads of 3 s");
}

#[tokio::test(start_paused = true)]
async fn throttled_read_pauses_all_reads() {
    let mut stage = Stage::new();
    let script: Script = Box::new(|number, what| match number {
        0 => (100, reply(429, r#"{"error":{"message":"Try again in 20 seconds."}}"#)),
        1 => (100, reply(429, "")),
        _ => (100, shown(what)),
    });
    let mut reader = OneByOne::new(4);
    let (ends, wire) = run(&mut stage, &mut reader, script).await;
    assert_eq!((ends.completion, ends.requests.throttled, ends.requests.calls), (Completion::Finished, 2, 6));
    // A 429 without a time pauses for the shortest window.
    assert_eq!(wire.times(), [0, 0, 60_100, 60_200, 60_200, 60_300]);
    assert_eq!(reader.results.iter().map(|(id, _)| *id).max(), Some(4));
}

#[tokio::test(start_paused = true)]
async fn failed_read_is_retried_then_reported() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    let script: Script = Box::new(|_, what| match what {
        "GET 2" => (100, reply(503, "busy")),
        "GET 3" => (100, reply(404, r#"{"error":{"message":"no such"}}"#)),
        _ => (100, shown(what)),
    });
    let mut reader = OneByOne::new(4);
    let (ends, wire) = run(&mut stage, &mut reader, script).await;
    assert_eq!(ends.completion, Completion::Finished);
    reader.results.sort_unstable();
    assert_eq!(reader.results, [(1, "read"), (2, "transient"), (3, "not-found"), (4, "read")]);
    assert_eq!(wire.seen().iter().filter(|(_, what)| what == "GET 2").count(), 3);
    assert!(stage.recorder.events.iter().all(|(_, event)| !matches!(event, Event::ServiceDown { .. })));
}

#[tokio::test(start_paused = true)]
async fn reads_wait_out_outage_until_patience_ends() {
    let mut stage = Stage::new();
    let script: Script =
        Box::new(move |number, what| if number < 7 { (100, no_connection()) } else { (100, shown(what)) });
    let mut reader = OneByOne::new(4);
    let (ends, wire) = run(&mut stage, &mut reader, script).await;
    assert_eq!(ends.completion, Completion::Finished);
    assert!(reader.results.iter().all(|(_, verdict)| *verdict == "read"), "{:?}", reader.results);
    assert!(stage.recorder.events.iter().any(|(_, event)| matches!(event, Event::ServiceDown { .. })));
    assert!(wire.times().last().expect("calls") > &5_000);

    let mut stage = Stage::new();
    stage.settings.patience = Duration::from_secs(20);
    let (ends, _) = run(&mut stage, &mut OneByOne::new(4), Box::new(move |_, _| (100, no_connection()))).await;
    assert_eq!(ends.completion, Completion::Stopped(StopReason::ServiceDown { message: "no connection".to_owned() }));
}

#[tokio::test(start_paused = true)]
async fn stop_refused_token_and_listener_error_end_reads() {
    let mut stage = Stage::new();
    stage.stop.send_replace(true);
    let (ends, wire) = run(&mut stage, &mut OneByOne::new(4), get()).await;
    assert_eq!((ends.completion, wire.seen().len()), (Completion::Stopped(StopReason::Requested), 0));

    let mut stage = Stage::new();
    let refused: Script = Box::new(|_, _| (100, reply(401, r#"{"error":{"message":"expired"}}"#)));
    let (ends, _) = run(&mut stage, &mut OneByOne::new(4), refused).await;
    assert!(matches!(ends.completion, Completion::Stopped(StopReason::Unauthorized { .. })), "{:?}", ends.completion);

    let mut stage = Stage::new();
    let mut reader = OneByOne { fails: true, ..OneByOne::new(9) };
    let (ends, wire) = run(&mut stage, &mut reader, get()).await;
    assert_eq!(ends.completion, Completion::Stopped(StopReason::ListenerFailed { message: "full".to_owned() }));
    assert_eq!(wire.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn preflight_stores_snapshots_and_shrinks_large_pages() {
    let mut stage = Stage::new();
    let mut journal = stage.journal();
    let changes: Vec<_> = [7, 8, 9, 8].into_iter().map(resolve).collect();
    let run = stage.run_of(&mut journal, &changes);
    journal.begin_session(&run, stage.settings.quota.longest(), Duration::ZERO).expect("begins");
    let mut survey = PreflightSource::new(journal.incidents(&run, ReadScope::All).expect("reads"), &SIZES);
    assert_eq!((survey.incidents(), survey.calls()), (3, (1, 6)));
    let wire = stage.wire(Box::new(|number, what| match number {
        0 => (
            100,
            Err(SendError {
                may_have_arrived: true,
                is_reused: false,
                obstacle: None,
                message: "too large".to_owned(),
            }),
        ),
        1 => {
            // A smaller page.
            let incidents = r#"{"incidentId":9,"status":"Active"},{"incidentId":7,"status":"Resolved"}"#;
            let shown = if what.contains("top=100&") { incidents } else { "" };
            (100, reply(200, &format!(r#"{{"value":[{shown}]}}"#)))
        }
        _ => (100, reply(404, r#"{"error":{"message":"no such"}}"#)),
    }));
    let (client, stop) = (stage.client(&wire), stage.stop.subscribe());
    let ends = read(journal, client, &stage.settings, stop, &mut survey, &mut stage.recorder).await.expect("works");
    let seen: Vec<String> = (1..=4)
        .map(|row| {
            ends.journal
                .snapshots(&run, &[row])
                .expect("reads")
                .get(&row)
                .map_or("nothing".to_owned(), |seen| seen.now.to_json())
        })
        .collect();
    let there = |status: &str| format!(r#"{{"there":{{"values":{{"status":"{status}"}}}}}}"#);
    let missing = r#"{"missing":{"message":"no such"}}"#;
    assert_eq!(seen, [there("Resolved").as_str(), missing, &there("Active"), missing]);
    assert_eq!(Call::List(Page { filter: None, top: 1, skip: 0, link: None }).incident(), None);
}

/// 429s don't count as attempts.
#[tokio::test(start_paused = true)]
async fn only_unanswered_requests_use_up_read_attempts() {
    let mut stage = Stage::new();
    let mut reader = OneByOne::new(1);
    let script: Script = Box::new(|number, what| match number {
        0..3 => (100, reply(429, r#"{"error":{"message":"Try again in 2 seconds."}}"#)),
        3 => (100, reply(503, "down for repair")),
        _ => (100, shown(what)),
    });
    let (ends, wire) = run(&mut stage, &mut reader, script).await;
    assert_eq!((ends.completion, wire.seen().len(), ends.requests.throttled), (Completion::Finished, 5, 3));
    assert_eq!(reader.results, [(1, "read")]);
}

/// Another process holds the only token for 3 s. Its end is noticed within 50 ms; the read starts one window later.
#[tokio::test(start_paused = true)]
async fn reads_wait_for_requests_of_another_process() {
    let mut stage = Stage::new();
    stage.settings.quota = "1/10s".parse().expect("a quota");
    let mut other = Stage { directory: tempfile::tempdir().expect("a directory"), ..Stage::new() };
    other.clock = stage.clock.clone();
    other.settings.quota = stage.settings.quota.clone();
    std::mem::swap(&mut other.directory, &mut stage.directory);
    let mut theirs = other.journal();
    let their_run = other.run_of(&mut theirs, &[resolve(50)]);
    let mut ours = other.journal();
    let our_run = other.run_of(&mut ours, &[resolve(60)]);
    ours.begin_session(&our_run, stage.settings.quota.longest(), Duration::ZERO).expect("begins");
    let wire = stage.wire(get());
    let (client, settings, clock) = (stage.client(&wire), stage.settings.clone(), stage.clock.clone());
    let (stop, mut reader) = (stage.stop.subscribe(), OneByOne::new(1));
    let slow: Script = Box::new(|_, what| (3_000, shown(what)));
    let look = async {
        clock.sleep_briefly_until(clock.now().boot + Duration::from_millis(10)).await;
        read(ours, client, &settings, stop, &mut reader, &mut stage.recorder).await.expect("works")
    };
    let (_, ends) = tokio::join!(other.send_run(theirs, &their_run, slow), look);
    assert_eq!(ends.completion, Completion::Finished);
    assert_eq!(wire.times(), [13_002]);
}

/// A read that has no attempt left fails only after it is clear that there is no outage.
#[tokio::test(start_paused = true)]
async fn read_that_met_an_outage_is_retried_afterwards() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 1;
    stage.settings.max_attempts = 2;
    let mut reader = OneByOne::new(3);
    let script: Script = Box::new(|number, what| match number {
        0..6 => (100, no_connection()),
        _ => (100, shown(what)),
    });
    let (ends, _) = run(&mut stage, &mut reader, script).await;
    assert_eq!(ends.completion, Completion::Finished);
    reader.results.sort_unstable();
    assert_eq!(reader.results, [(1, "read"), (2, "read"), (3, "read")]);
    assert!(stage.recorder.events.iter().any(|(_, event)| matches!(event, Event::ServiceDown { .. })));
}

/// Four reads that fail at the same time become due at the same time.
#[tokio::test(start_paused = true)]
async fn reads_due_together_are_all_sent() {
    let mut stage = Stage::new();
    stage.settings.concurrency = 4;
    stage.settings.max_attempts = 1;
    let mut reader = OneByOne::new(4);
    let script: Script = Box::new(|number, what| match number {
        0..4 => (100, no_connection()),
        _ => (100, shown(what)),
    });
    let (ends, wire) = run(&mut stage, &mut reader, script).await;
    assert_eq!((ends.completion, wire.seen().len()), (Completion::Finished, 8));
    // The first pause of an outage takes 5 s.
    assert_eq!(wire.times()[4..], [5_100, 5_100, 5_100, 5_100]);
    reader.results.sort_unstable();
    assert_eq!(reader.results, [(1, "read"), (2, "read"), (3, "read"), (4, "read")]);
}
