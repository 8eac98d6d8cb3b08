//! Lists: retries, page sizes and fallbacks if pages of a list fail.

use std::io;
use std::time::Duration;

use super::reading::run;
use super::stage::{Script, Stage, reply, shown};
use crate::apply::events::Event;
use crate::apply::page_size::tests::SIZES;
use crate::apply::{Completion, ListSource, LocalFilter, PreflightSource, StopReason};
use crate::client::{Incomplete, Reply, SendError};
use crate::contract::ListNames;
use crate::model::call::Incident;
use crate::model::change::IncidentId;

/// A page of the list of incidents from `newest` down to 1.
fn page(newest: u64, what: &str) -> Result<Reply, SendError> {
    let number = |name: &str| {
        let rest = what.split(name).nth(1).expect("a page's query");
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().expect("a number")
    };
    let left = newest.saturating_sub(number("skip="));
    let incidents = (1..=left).rev().take(usize::try_from(number("top=")).expect("small"));
    let incidents: Vec<String> =
        incidents.map(|id| format!(r#"{{"incidentId":{id},"status":"Active","comments":[]}}"#)).collect();
    reply(200, &format!(r#"{{"value":[{}]}}"#, incidents.join(",")))
}

/// The requested page sizes.
fn tops(seen: &[(i64, String)]) -> Vec<u32> {
    let top = |what: &str| what.split("top=").nth(1)?.split('&').next()?.parse().ok();
    seen.iter().filter_map(|(_, what)| top(what)).collect()
}

/// Fetches a list. Returns the end, the number of incidents kept, and the requests.
async fn fetch(stage: &mut Stage, script: Script) -> (Completion, u64, Vec<(i64, String)>) {
    let mut fetching = ListSource::new(
        &ListNames { page_sizes: SIZES.to_vec(), ..ListNames::default() },
        None,
        LocalFilter::default(),
        None,
        |_: Vec<Incident>| io::Result::Ok(()),
    );
    let (ends, wire) = run(stage, &mut fetching, script).await;
    (ends.completion, fetching.read(), wire.seen())
}

fn lost() -> Result<Reply, SendError> {
    Err(SendError { may_have_arrived: true, is_reused: false, message: "cut".to_owned(), obstacle: None })
}

fn truncated() -> Result<Reply, SendError> {
    Ok(Reply { incomplete: Some(Incomplete::Cut { bytes: 10 }), ..reply(200, r#"{"value":["#)? })
}

#[tokio::test(start_paused = true)]
async fn fetch_waits_out_outage() {
    for fails in [|| reply(503, ""), || reply(500, ""), || reply(200, "<html>"), lost] {
        for length in [2, 5, 6, 9] {
            let script: Script = Box::new(move |number, what| {
                (100, if (1..=length).contains(&number) { fails() } else { page(350, what) })
            });
            let (end, read, seen) = fetch(&mut Stage::new(), script).await;
            assert_eq!((end, read), (Completion::Finished, 350), "{length}: {seen:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn truncated_page_is_requested_smaller() {
    let script: Script = Box::new(|_, what| {
        (100, if ["top=100&", "top=50&"].iter().any(|top| what.contains(top)) { truncated() } else { page(350, what) })
    });
    let (end, read, seen) = fetch(&mut Stage::new(), script).await;
    assert_eq!((end, read), (Completion::Finished, 350));
    let tops = tops(&seen);
    assert_eq!(tops[..2], [100, 50]);
    assert!(tops[2..].iter().all(|top| *top == 25), "the list keeps its size: {tops:?}");
}

#[tokio::test(start_paused = true)]
async fn fetch_stops_after_patience() {
    for fails in [|| reply(503, ""), lost] {
        let mut stage = Stage::new();
        stage.settings.patience = Duration::from_mins(3);
        let script: Script = Box::new(move |number, what| (100, if number > 0 { fails() } else { page(350, what) }));
        let (end, read, seen) = fetch(&mut stage, script).await;
        assert!(matches!(end, Completion::Stopped(StopReason::ServiceDown { .. })), "{end:?}");
        assert_eq!(read, 100);
        assert!(seen.last().expect("requests").0 >= 180_000, "{seen:?}");
        let downs =
            stage.recorder.events.iter().filter(|(_, event)| matches!(event, Event::ServiceDown { .. })).count();
        assert!(downs > 1, "it pauses and probes");
    }
}

/// A truncated page of one incident is not an outage: waiting does not help.
#[tokio::test(start_paused = true)]
async fn too_large_incident_stops_fetch() {
    let script: Script = Box::new(|_, what| (100, if what.ends_with("skip=0") { truncated() } else { page(9, what) }));
    let (end, read, seen) = fetch(&mut Stage::new(), script).await;
    let Completion::Stopped(StopReason::ListFailed { message }) = end else { panic!("{end:?}") };
    assert!(message.starts_with("incident 1 of the list, alone on its page: "), "{message}");
    assert_eq!((read, tops(&seen)), (0, vec![100, 50, 25, 10, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn failing_list_is_replaced_by_single_reads() {
    for fails in [|| reply(500, ""), || reply(502, ""), || reply(504, ""), || reply(200, "<html>"), lost, truncated] {
        let mut stage = Stage::new();
        let incidents = (1..=40).map(|id| (IncidentId::new(id).expect("an id"), id));
        let mut survey = PreflightSource::new(incidents.collect(), &SIZES);
        let script: Script =
            Box::new(move |_, what| (100, if what.starts_with("LIST") { fails() } else { shown(what) }));
        let (ends, wire) = run(&mut stage, &mut survey, script).await;
        assert_eq!(ends.completion, Completion::Finished);
        let lists = tops(&wire.seen()).len();
        assert_eq!(wire.seen().len() - lists, 40);
        assert!((2..=3).contains(&lists), "{lists}");
        assert!(stage.recorder.events.iter().all(|(_, event)| !matches!(event, Event::ServiceDown { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn failing_single_reads_are_an_outage() {
    let mut stage = Stage::new();
    stage.settings.patience = Duration::from_mins(1);
    let incidents = (1..=40).map(|id| (IncidentId::new(id).expect("an id"), id));
    let (ends, _) =
        run(&mut stage, &mut PreflightSource::new(incidents.collect(), &SIZES), Box::new(|_, _| (100, lost()))).await;
    assert!(matches!(ends.completion, Completion::Stopped(StopReason::ServiceDown { .. })), "{:?}", ends.completion);
}

/// One incident alone: its failures are an outage as those of several are.
#[tokio::test(start_paused = true)]
async fn outage_during_one_read_is_waited_out() {
    let mut stage = Stage::new();
    stage.settings.max_attempts = 5;
    let mut survey = PreflightSource::new(vec![(IncidentId::new(7).expect("an id"), 1)], &SIZES);
    let script: Script = Box::new(|number, what| (100, if number < 6 { reply(502, "") } else { shown(what) }));
    let (ends, wire) = run(&mut stage, &mut survey, script).await;
    assert_eq!((ends.completion, wire.seen().len()), (Completion::Finished, 7));
    let run = ends.journal.runs().expect("reads").remove(0).name;
    let rows = ends.journal.report_rows(&run, crate::journal::RowFilter::NoneOf(&[]), 0, 9).expect("reads");
    assert!(matches!(rows[0].before, Some(crate::model::snapshot::Snapshot::There(_))), "{:?}", rows[0].before);
}
