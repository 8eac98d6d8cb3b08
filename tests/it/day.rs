//! A day's work on paused time: 36,000 rows under the real quota go through the real scheduler, retry and journal in
//! seconds, and no window is exceeded by a count of its own.
//!
//! Debug builds send fewer rows: `cargo test --release day` sends them all.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulk_triage::apply::events::{Event, Listener};
use bulk_triage::apply::{Ending, Settings, apply};
use bulk_triage::client::{Client, Reply, Request, SendError, Tokens, Transport};
use bulk_triage::clock::{BootTime, Clock, Now};
use bulk_triage::contract::load;
use bulk_triage::journal::{Durability, Journal, LoadRow, RunFacts, StateDir};
use bulk_triage::outcome::{InputShape, OutcomeKind};
use bulk_triage::row::{Change, IncidentId, Scope};
use tokio::time::Instant;

const ROWS: u64 = if cfg!(debug_assertions) { 2_000 } else { 36_000 };

/// A service that answers after about 0.4 s, and now and then with a 500, and notes when it counted each call.
struct Service {
    began: Instant,
    seen: Mutex<(fastrand::Rng, Vec<Duration>)>,
}

struct Wire(Arc<Service>);

impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let Wire(service) = self;
        let (before, after, fails) = {
            let dice = &mut service.seen.lock().expect("no panic").0;
            (dice.u64(10..=390), dice.u64(10..=390), dice.u8(..100) == 0)
        };
        pause(before).await;
        service.seen.lock().expect("no panic").1.push(service.began.elapsed());
        pause(after).await;
        let id = request.path.rsplit('/').next().unwrap_or_default();
        let shown = format!(r#"{{"incidentId":{id},"status":"Resolved","comments":[]}}"#);
        let (status, body) = if fails { (500, String::new()) } else { (200, shown) };
        Ok(Reply { status, headers: Vec::new(), body: body.into_bytes(), complete: true })
    }
}

async fn pause(millis: u64) {
    tokio::time::sleep_until(Instant::now() + Duration::from_millis(millis)).await;
}

#[derive(Default)]
struct Updated(u64);

impl Listener for Updated {
    fn hear(&mut self, event: Event) -> std::io::Result<()> {
        if let Event::Finished(rows) = event {
            for row in rows {
                assert_eq!(row.outcome.kind, OutcomeKind::Updated, "{row:?}");
                self.0 += 1;
            }
        }
        Ok(())
    }
}

#[test]
fn a_days_work_exceeds_no_window() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        let at_start = Now { boot: BootTime(0), wall: "2026-11-24T00:00:00Z".parse().expect("a time") };
        let clock = Clock::simulated(at_start, "the one start");
        let dir = StateDir::open(&directory.path().join("state")).expect("a directory");
        let mut journal = Journal::open(&dir, clock.clone(), Durability::Unsynced).expect("opens");
        let contract = load("defender").expect("is built in");
        let facts = RunFacts {
            input: "day.jsonl".to_owned(),
            shape: InputShape::Jsonl { bom: false },
            origin: String::new(),
            contract: String::new(),
            results: String::new(),
            options: Vec::new(),
            remember: Duration::from_hours(12),
        };
        let run = journal
            .begin_loading(&Scope::named("day"), &contract.name, &facts, &mut fastrand::Rng::with_seed(1))
            .expect("begins");
        journal.load(&run, &(1..=ROWS).map(row).collect::<Vec<_>>()).expect("loads");
        journal.ready(&run, &facts, b"day").expect("is ready");

        let service =
            Arc::new(Service { began: Instant::now(), seen: Mutex::new((fastrand::Rng::with_seed(1), vec![])) });
        let tokens = Arc::new(Tokens::given(&"a-token".to_owned().into()).expect("a token"));
        let client = Arc::new(Client::new(Wire(Arc::clone(&service)), tokens, &contract, clock.clone()));
        let settings = Settings {
            quota: "50/1m,1500/1h".parse().expect("a quota"),
            concurrency: 8,
            max_attempts: 5,
            patience: Duration::from_mins(10),
            max_failures: None,
            stop_after: None,
            remember: Duration::from_hours(12),
            appended: Some("comment".to_owned()),
            seed: 1,
        };
        let (_asks, stop) = tokio::sync::watch::channel(false);
        let mut updated = Updated::default();
        let ends = apply(journal, &run, client, settings, clock, stop, &mut updated).await.expect("sends");

        assert_eq!((ends.ending, updated.0), (Ending::Over, ROWS));
        let counted = service.seen.lock().expect("no panic").1.clone();
        assert!(counted.is_sorted() && counted.len() as u64 >= ROWS);
        for (calls, length) in [(50, Duration::from_mins(1)), (1_500, Duration::from_hours(1))] {
            let fits = counted
                .iter()
                .zip(counted.iter().skip(calls))
                .all(|(first, last)| last.saturating_sub(*first) >= length);
            assert!(fits, "more than {calls} calls in {length:?}");
        }
        // 1,500 calls an hour, the first of them at once: slower than that by a round trip an hour, and no more.
        let hours = u32::try_from((counted.len() - 1) / 1_500).expect("some hours");
        let (took, most) = (service.began.elapsed(), Duration::from_mins(31) + hours * Duration::from_secs(3_610));
        assert!(took <= most, "{took:?} for {} calls, and {most:?} are enough", counted.len());
    });
}

fn row(number: u64) -> LoadRow {
    let change = Change {
        incident: IncidentId::new(number).expect("an id"),
        body: r#"{"status":"Resolved"}"#.into(),
        appends: false,
    };
    LoadRow { row: number, line: number, incident: number.to_string(), change: Ok(change), source: b"{}".to_vec() }
}
