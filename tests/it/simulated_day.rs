//! A day of updates on paused time: 36,000 rows under the real quota pass through the real scheduler, retry and journal
//! in seconds. An independent count shows that no window is exceeded. And hours in which some or all of the responses
//! are failures, and rows with comments, which take one request or two.
//!
//! Debug builds send fewer rows: `cargo test --release day` sends them all. `--nocapture` shows the figures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulk_triage::apply::events::{Event, Listener};
use bulk_triage::apply::{Completion, StopReason};
use bulk_triage::check::Rules;
use bulk_triage::client::{Client, Reply, Request, SendError, TokenCache, Transport};
use bulk_triage::clock::{BootTime, Clock, Now};
use bulk_triage::contract::load;
use bulk_triage::input::{Input, Source};
use bulk_triage::journal::{Durability, Journal};
use bulk_triage::model::change::TenantKey;
use bulk_triage::model::outcome::OutcomeKind;
use bulk_triage::session::{Preview, RunInput, SendOptions, Session, Target};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

const ROWS: u64 = if cfg!(debug_assertions) { 2_000 } else { 36_000 };

/// A service that responds after about 0.4 s, in some cases with a 500 (without effect), and records when it counted
/// each request.
struct Service {
    began: Instant,
    /// The percentage of responses that are failures.
    failing: u8,
    seen: Mutex<(fastrand::Rng, Vec<Duration>)>,
}

struct Wire(Arc<Service>);

impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let Wire(service) = self;
        let (before, after, fails) = {
            let dice = &mut service.seen.lock().expect("no panic").0;
            (dice.u64(10..=390), dice.u64(10..=390), dice.u8(..100) < service.failing)
        };
        pause(before).await;
        let arrived = service.began.elapsed();
        service.seen.lock().expect("no panic").1.push(arrived);
        pause(after).await;
        let (status, body) = if fails { (500, String::new()) } else { (200, shown(&request, arrived).to_string()) };
        Ok(Reply { status, headers: Vec::new(), body: body.into_bytes(), incomplete: None })
    }
}

/// The response to an update or a comment that arrived so long after the start, in the spelling of both APIs.
fn shown(request: &Request, arrived: Duration) -> Value {
    let mut body: Map<String, Value> =
        serde_json::from_str(request.body.as_deref().unwrap_or("{}")).expect("an object");
    let created = start() + arrived;
    let comment = |text| json!({"comment": text, "createdTime": created, "createdDateTime": created});
    let comments: Vec<Value> = body.remove("comment").map(comment).into_iter().collect();
    if request.path.ends_with("/comments") {
        return json!({"value": comments});
    }
    let id = request.path.rsplit('/').next().unwrap_or_default();
    let number = id.parse::<u64>().unwrap_or_default();
    let members = [("id", json!(id)), ("incidentId", json!(number)), ("comments", json!(comments))];
    body.extend(members.map(|(name, value)| (name.to_owned(), value)));
    body.into()
}

/// When every job starts.
fn start() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().expect("a time")
}

async fn pause(millis: u64) {
    tokio::time::sleep_until(Instant::now() + Duration::from_millis(millis)).await;
}

/// The outcomes of the rows, and how often an outage paused the run.
#[derive(Default)]
struct Heard {
    outcomes: BTreeMap<OutcomeKind, u64>,
    outages: u32,
}

impl Listener for Heard {
    fn on_event(&mut self, event: Event) -> std::io::Result<()> {
        match event {
            Event::Finished(rows) => {
                for row in rows {
                    *self.outcomes.entry(row.outcome.kind).or_default() += 1;
                }
            }
            Event::ServiceDown { .. } => self.outages += 1,
            _ => {}
        }
        Ok(())
    }
}

/// A finished run.
struct Sent {
    ending: Completion,
    heard: Heard,
    preview: Preview,
    /// When the service counted each request.
    counted: Vec<Duration>,
    took: Duration,
}

/// What is sent.
struct Job {
    contract: &'static str,
    rows: u64,
    /// The members of each row beside the ID.
    row: &'static str,
    /// `--comment-as resolving`.
    comment_resolves: bool,
    /// The percentage of failures.
    failing: u8,
}

/// Rows that set a status, by the classic API.
fn closing(rows: u64, failing: u8) -> Job {
    Job { contract: "defender", rows, row: r#""status":"Resolved""#, comment_resolves: false, failing }
}

/// Sends a job on paused time, under the real quota.
fn sent(Job { contract, rows, row, comment_resolves, failing }: Job) -> Sent {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        let at_start = Now { boot: BootTime(0), wall: start() };
        let clock = Clock::simulated(at_start, "the one start");
        let journal = Journal::open(&directory.path().join("state").into(), clock.clone(), Durability::Unsynced);
        let contract = load(contract).expect("is built in");
        let target = Target {
            contract: contract.clone(),
            origin: "https://api.example".to_owned(),
            tenant: TenantKey::named("day"),
            quota: "50/1m,1500/1h".parse().expect("a quota"),
        };
        let session = Session::open(target, journal.expect("opens"), clock.clone()).with_seed(1);
        let file = directory.path().join("day.jsonl");
        std::fs::write(&file, (1..=rows).map(|id| line(id, row)).collect::<String>()).expect("can be written");
        let input = Input::open(&Source::File(file)).expect("opens");
        let rules = Rules { comment_resolves, ..Rules::new(&contract) };
        let input = RunInput::new(input, "day.jsonl", &rules);
        let mut run = session.import(input, &mut |found| panic!("{found:?}")).expect("imports");
        run.publish(String::new()).expect("is ready");
        let options = SendOptions::default();
        let preview = run.preview(&(&options).into()).expect("a preview");

        let seen = Mutex::new((fastrand::Rng::with_seed(1), vec![]));
        let service = Arc::new(Service { began: Instant::now(), failing, seen });
        let tokens = Arc::new(TokenCache::given(&"a-token".to_owned().into()).expect("a token"));
        let client = Arc::new(Client::new(Wire(Arc::clone(&service)), tokens, &contract, clock.clone()));
        let (_asks, stop) = tokio::sync::watch::channel(false);
        let mut heard = Heard::default();
        let end = run.send(client, &options, stop, &mut heard).await.expect("sends");
        let counted = service.seen.lock().expect("no panic").1.clone();
        Sent { ending: end.completion, heard, preview, counted, took: service.began.elapsed() }
    })
}

fn expect_no_window_exceeded(counted: &[Duration]) {
    assert!(counted.is_sorted());
    for (calls, length) in [(50, Duration::from_mins(1)), (1_500, Duration::from_hours(1))] {
        let mut pairs = counted.iter().zip(counted.iter().skip(calls));
        let fits = pairs.all(|(first, last)| last.saturating_sub(*first) >= length);
        assert!(fits, "more than {calls} calls in {length:?}");
    }
}

#[test]
fn day_of_updates_exceeds_no_window() {
    let Sent { ending, heard, counted, took, .. } = sent(closing(ROWS, 1));
    assert_eq!((ending, heard.outcomes), (Completion::Finished, [(OutcomeKind::Updated, ROWS)].into()));
    assert!(counted.len() as u64 >= ROWS);
    expect_no_window_exceeded(&counted);
    // 1,500 requests an hour, the first of them at once: slower by one round trip an hour, and no more.
    let hours = u32::try_from((counted.len() - 1) / 1_500).expect("some hours");
    let most = Duration::from_mins(31) + hours * Duration::from_secs(3_610);
    assert!(took <= most, "{took:?} for {} calls, and {most:?} are enough", counted.len());
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures, shown where they are asked for")]
fn failures_cost_few_requests_and_few_rows() {
    const ROWS: u64 = 600;
    for failing in [0, 10, 30, 100] {
        let Sent { ending, heard, counted, took, .. } = sent(closing(ROWS, failing));
        let of = |kind| heard.outcomes.get(&kind).copied().unwrap_or(0);
        let (updated, failed) = (of(OutcomeKind::Updated), of(OutcomeKind::Failed));
        let (calls, outages) = (counted.len() as u64, heard.outages);
        println!("{failing} %: {calls} calls, {took:.0?}, {updated} updated, {failed} failed, {outages} pauses");
        expect_no_window_exceeded(&counted);
        if failing == 100 {
            assert!(matches!(ending, Completion::Stopped(StopReason::ServiceDown { .. })), "{ending:?}");
            assert!(heard.outcomes.is_empty(), "{:?}", heard.outcomes);
            let in_ten_minutes = counted.iter().filter(|at| **at < Duration::from_mins(10)).count();
            assert!(in_ten_minutes <= 35, "{in_ten_minutes} calls");
        } else {
            // A row fails after five unsuccessful attempts outside an outage: at 30 %, one in 400.
            assert_eq!((ending, updated + failed), (Completion::Finished, ROWS));
            assert!(failed <= ROWS * u64::from(failing) / 3_000, "{failed} failed");
            assert!(calls * u64::from(100 - failing) <= 110 * ROWS, "{calls} calls");
        }
    }
}

fn line(number: u64, row: &str) -> String {
    format!("{{\"incidentId\":{number},{row}}}\n")
}

/// The requests, and the finish that was estimated before the first of them.
#[test]
#[expect(clippy::print_stdout, reason = "the figures, shown where they are asked for")]
fn comments_cost_the_fewest_requests_and_predicted_time() {
    const ROWS: u64 = 300;
    for (name, contract, comment_resolves, fewest) in [
        ("`defender`", "defender", false, 300),
        ("`graph`", "graph", false, 600),
        ("`graph`, `--comment-as resolving`", "graph", true, 300),
    ] {
        let row = r#""status":"Resolved","comment":"Tuned""#;
        let job = Job { contract, rows: ROWS, row, comment_resolves, failing: 0 };
        let Sent { ending, heard, preview, counted, took } = sent(job);
        let estimate = preview.estimate.duration;
        let off = took.abs_diff(estimate).as_secs_f64() / took.as_secs_f64() * 100.0;
        println!("| {name} | {} | {fewest} | {took:.0?} | {estimate:.0?} | {off:.1} % |", counted.len());
        assert_eq!((ending, heard.outcomes), (Completion::Finished, [(OutcomeKind::Updated, ROWS)].into()));
        assert_eq!((counted.len() as u64, preview.counts.requests), (fewest, fewest), "{name}");
        expect_no_window_exceeded(&counted);
        assert!(off <= 2.0, "{name}: {took:?}, but {estimate:?} was estimated");
    }
}
