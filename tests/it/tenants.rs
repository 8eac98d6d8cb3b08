//! Tenants: no plan, partial file or run of one tenant is used for another.

use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Ended, Program, closing, incidents, results_at, started};
use crate::remote_service::{ORIGIN, RemoteService, Tenant};

const A: &str = "11111111-1111-1111-1111-111111111111";
const B: &str = "22222222-2222-2222-2222-222222222222";

/// A program whose emulator holds these incidents, slow enough to be interrupted.
fn with_incidents(incidents: &str) -> Program {
    Program::new().emulator(|settings| {
        settings.incidents = incidents.parse().expect("incidents");
        settings.latency = Duration::from_millis(50)..=Duration::from_millis(100);
    })
}

#[test]
fn undo_plan_is_refused_for_another_tenant() {
    let program = with_incidents("1-9").file("a.csv", "incidentId,status\n1,Resolved\n");
    let others = with_incidents("1-9");
    let (a, b) = (Tenant::new(A, &program), Tenant::new(B, &others));
    let service = RemoteService::start(&[&a, &b]);
    let in_tenant = |tenant: &Tenant<'_>, arguments: &str| -> Ended {
        started(service.command(&program, &tenant.token, arguments)).end()
    };
    in_tenant(&a, &format!("run a.csv --yes --compare --base-url {ORIGIN}")).expect_code(0);
    let run = program.last_run();
    in_tenant(&a, &format!("runs undo {run} -o undo.plan --base-url {ORIGIN}")).expect_code(0);
    let requests = program.requests().len();
    let refused = in_tenant(&b, &format!("apply undo.plan --yes --base-url {ORIGIN}")).expect_code(2);
    refused.expect_text(A).expect_text(B);
    assert_eq!((program.requests().len(), others.requests().len()), (requests, 0));
    in_tenant(&a, &format!("apply undo.plan --yes --base-url {ORIGIN}")).expect_code(0);
    assert_eq!(program.incident(1)["status"], "Active");
}

#[test]
fn partial_file_of_another_tenant_is_not_resumed() {
    let program = with_incidents("1-900");
    let others = with_incidents("5001-5150");
    let (a, b) = (Tenant::new(A, &program), Tenant::new(B, &others));
    let service = RemoteService::start(&[&a, &b]);
    let fetch = |tenant: &Tenant<'_>| {
        service.command(&program, &tenant.token, &format!("fetch -o open.csv --base-url {ORIGIN}"))
    };
    let interrupted = started(fetch(&a));
    program.wait_for_requests(4);
    interrupted.kill();
    let read = program.read("open.csv.part").lines().count() - 1;
    assert!(read >= 100, "{read} incidents of A were read");
    started(fetch(&b)).end().expect_code(0);
    let ids: Vec<u64> =
        results_at(&program.path("open.csv")).iter().map(|row| row["incidentId"].parse().expect("an ID")).collect();
    assert_eq!(ids, (5_001..=5_150).rev().collect::<Vec<_>>());
}

#[test]
fn unfinished_run_of_another_tenant_is_not_resumed() {
    let program = with_incidents("1-9").file("a.csv", closing(1..=8));
    let others = with_incidents("1-9");
    let (a, b) = (Tenant::new(A, &program), Tenant::new(B, &others));
    let service = RemoteService::start(&[&a, &b]);
    let run = |tenant: &Tenant<'_>| {
        let arguments = format!("run a.csv --yes --concurrency 1 --format json --base-url {ORIGIN}");
        started(service.command(&program, &tenant.token, &arguments))
    };
    let interrupted = run(&a);
    program.wait_for_requests(3);
    interrupted.signal(Signal::INT);
    let in_a = interrupted.end().expect_code(4).json();
    let sent_in_a = program.updates().len();
    let ended = run(&b).end().expect_code(0).expect_outcomes(&[("updated", 8)]);
    assert_ne!(in_a["run"], ended.json()["run"]);
    assert_eq!(incidents(&others.updates()), (1..=8).collect::<Vec<_>>());
    assert_eq!(program.updates().len(), sent_in_a, "nothing was sent in A");
    run(&a).end().expect_code(0).expect_outcomes(&[("updated", 8)]);
    assert_eq!(incidents(&program.updates()), (1..=8).collect::<Vec<_>>());
}
