//! Promise 2: no window is ever exceeded as the server sees it; and a 429 is obeyed.
//!
//! The emulator counts by itself, exactly, including rejected requests: one request too many is a 429 in its log.

use std::time::Duration;

use bulk_triage::emulator::{Settings, ThrottleForm};
use clap::ValueEnum as _;

use crate::program::{Program, Started, at_once, closing, fault_of, throttled};

const QUOTA: &str = "50/2s,1500/60s";

/// A service with windows of 2 s and the latency of a distant one.
fn exact(settings: &mut Settings) {
    settings.quota = Some(QUOTA.parse().expect("a quota"));
    settings.latency = Duration::from_millis(20)..=Duration::from_millis(300);
}

#[test]
fn consecutive_runs_get_no_429() {
    let program = Program::new().file("a.csv", closing(1..=120)).file("b.csv", closing(201..=270)).emulator(exact);
    for (file, rows) in [("a.csv", 120), ("b.csv", 70)] {
        program.send(&format!("{file} --quota {QUOTA}")).expect_code(0).expect_outcomes(&[("updated", rows)]);
    }
    let requests = program.requests();
    assert_eq!((requests.len(), throttled(&requests)), (190, 0));
}

#[test]
fn parallel_processes_share_the_quota() {
    for processes in [2, 4] {
        let mut program = Program::new().emulator(exact);
        for process in 0..processes {
            let ids = process * 1_000 + 1..=process * 1_000 + 120 / processes;
            program = program.file(&format!("{process}.csv"), closing(ids));
        }
        let start = |process| program.start_sending(&format!("{process}.csv --quota {QUOTA}"));
        let started: Vec<Started> = (0..processes).map(start).collect();
        for one in started {
            one.end().expect_code(0);
        }
        let requests = program.requests();
        assert_eq!((requests.len(), throttled(&requests)), (120, 0), "{processes} processes");
    }
}

/// Requests in flight at the kill may have been counted: the next start must know.
#[test]
fn restart_after_kill_gets_no_429() {
    let program = Program::new().file("a.csv", closing(1..=80)).emulator(exact);
    let killed = program.start_sending(&format!("a.csv --quota {QUOTA}"));
    program.wait_for_requests(30);
    killed.kill();
    program.send(&format!("a.csv --quota {QUOTA}")).expect_code(0);
    assert_eq!(throttled(&program.requests()), 0);
}

/// Others use the quota too: the server responds with 429 though the client kept to its quota.
#[test]
fn time_in_every_429_form_is_kept() {
    at_once(ThrottleForm::value_variants().iter().copied().filter(|form| *form != ThrottleForm::Days), obeys);
}

fn obeys(form: ThrottleForm) {
    let form = form.to_possible_value().expect("no form is hidden");
    let form = form.get_name();
    let shortest = Duration::from_millis(700);
    let program = Program::new().file("a.csv", closing(1..=12)).emulator(|settings| {
        settings.quota = Some("1000/700ms".parse().expect("a quota"));
        settings.faults = [fault_of(&format!("429@4={form}/900ms"))].into_iter().collect();
    });
    let ended = program.send("a.csv --quota 1000/700ms --concurrency 1").expect_code(0);
    let ended = ended.expect_outcomes(&[("updated", 12)]);
    assert!(ended.stdout.contains("1 throttled"), "{form}: {}", ended.printed());
    let requests = program.requests();
    assert_eq!((requests.len(), throttled(&requests)), (13, 1), "{form}");
    let at = requests[3].at_us;
    // Without a time, or with a past one, the pause is the shortest window.
    let named = requests[3].resume_us.filter(|resume| *resume > at);
    let resume = named.unwrap_or(at + i64::try_from(shortest.as_micros()).expect("short"));
    assert!(requests[4].at_us >= resume, "{form}: {} µs too early", resume - requests[4].at_us);
    assert_eq!(requests[4].id, requests[3].id, "{form}: the row is next again");
}

/// Requests in flight may still arrive, but no new one; after the pause one goes first.
#[test]
fn one_request_goes_first_after_a_429() {
    let program = Program::new().file("a.csv", closing(1..=60)).emulator(|settings| {
        settings.latency = Duration::from_millis(100)..=Duration::from_millis(100);
        settings.faults = [fault_of("429@20*17=time/1500ms")].into_iter().collect();
    });
    program.send("a.csv --quota 1000/1s").expect_code(0);
    let requests = program.requests();
    let resume = requests[19].resume_us.expect("a 429 with a time");
    let late = requests.iter().skip(20).filter(|request| request.at_us < resume).count();
    // The first response took less time than a request does: the other seven had one request in flight, and may have
    // started one more.
    assert!(late <= 14, "{late} calls in the pause");
    // By the program's own journal: after the pause, which is the longest gap, one request goes first.
    let calls = calls_of(&program);
    let pause = (1..calls.len()).max_by_key(|at| calls[*at].0 - calls[at - 1].0).expect("calls");
    let (_, first_ended) = calls[pause];
    let too_early = calls[pause + 1..].iter().filter(|(started, _)| *started < first_ended).count();
    assert_eq!(too_early, 0, "{:?}", &calls[pause..]);
}

/// When the requests of the journal started and ended, in order of their start.
fn calls_of(program: &Program) -> Vec<(i64, i64)> {
    let journal = program.journal();
    let mut calls = journal.prepare("SELECT started, ended FROM attempts ORDER BY started, id").expect("its attempts");
    let calls = calls.query_map([], |call| Ok((call.get(0)?, call.get(1)?))).expect("they are read");
    calls.collect::<Result<_, _>>().expect("they have ended")
}

#[test]
fn pause_holds_for_other_processes_and_restarts() {
    let program = Program::new().file("a.csv", closing(1..=2)).file("b.csv", closing(11..=12)).emulator(|settings| {
        settings.faults = [fault_of("429@1=time/1500ms")].into_iter().collect();
    });
    let first = program.start_sending("a.csv --quota 100/2s");
    program.wait_for_requests(1);
    let log = |program: &Program| program.requests()[0].resume_us.expect("a 429 with a time");
    let resume = log(&program);
    // It is unknown whether its response was read; killed or not, nothing may arrive earlier.
    let second = program.start_sending("b.csv --quota 100/2s");
    first.end().expect_code(0);
    second.end().expect_code(0);
    let early = program.requests().iter().skip(2).filter(|request| request.at_us < resume).count();
    assert_eq!(early, 0);
}

/// Longer than the longest window and the patience, so waiting makes no sense.
#[test]
fn pause_of_days_stops_with_its_end_time() {
    let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["429@1=days"]);
    let ended = program.send("a.csv --quota 100/1s --concurrency 1").expect_code(4);
    ended.expect_text("until").expect_outcomes(&[("not-attempted", 3)]);
    assert_eq!(program.requests().len(), 1);
    let again = program.send("a.csv --quota 100/1s").expect_code(4);
    again.expect_text("the service accepts no requests until 20");
    assert_eq!(program.requests().len(), 1);
    // The journal stores at most a day of the pause: a wrong date locks nobody out.
    program.age_the_pause(Duration::from_hours(24));
    program.send("a.csv --quota 100/1s").expect_code(0).expect_outcomes(&[("updated", 3)]);
}
