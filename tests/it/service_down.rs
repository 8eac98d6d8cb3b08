//! Responses that concern the whole run: not allowed, down, or the wrong file. Each stops the run with its exit code
//! after a bounded number of requests, and the same command resumes it.

use crate::program::{Program, at_once, closing};

fn program(rows: u64, faults: &[&str]) -> Program {
    Program::new().file("a.csv", closing(1..=rows)).faulty_emulator(faults)
}

/// Requests that were in flight when the reason became clear: as many as run in parallel.
const CONCURRENCY: usize = 8;

#[test]
fn refused_token_stops_after_one_retry() {
    let program = program(40, &["401"]);
    let ended = program.send("a.csv").expect_code(5).expect_outcomes(&[("not-attempted", 40)]);
    ended.expect_text("token");
    assert!(program.requests().len() <= 2 * CONCURRENCY, "{}", program.requests().len());
}

#[test]
fn occasional_401_does_not_stop_the_run() {
    let program = program(10, &["401@3*1", "401@8*1"]);
    program.send("a.csv --concurrency 1").expect_code(0).expect_outcomes(&[("updated", 10)]);
}

/// The token file is read again, in case it has been renewed.
#[test]
fn new_token_in_file_is_used_after_401() {
    use std::os::unix::fs::PermissionsExt;
    let program = Program::new().file("a.csv", closing(1..=6)).file("token", "the-old-token").emulator(|settings| {
        settings.token = Some("the-new-token".to_owned().into());
        settings.latency = std::time::Duration::from_millis(300)..=std::time::Duration::from_millis(300);
    });
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(program.path("token"), private).expect("its owner");
    let running = program.start_sending("a.csv --token-file token --concurrency 1");
    // The response is on its way: the new token is there before it arrives.
    program.wait_for_requests(1);
    program.write("token", "the-new-token");
    running.end().expect_code(0).expect_outcomes(&[("updated", 6)]);
    assert_eq!(program.requests().len(), 7);
}

#[test]
fn missing_permission_is_named_and_stops_at_once() {
    let program = program(40, &["403"]);
    let ended = program.send("a.csv").expect_code(5).expect_outcomes(&[("not-attempted", 40)]);
    ended.expect_text("Incident.ReadWrite.All").expect_text("Incident.ReadWrite`");
    assert!(program.requests().len() <= CONCURRENCY);
}

#[test]
fn after_success_only_five_403s_stop_the_run() {
    let first = program(10, &["403@#3"]);
    first.send("a.csv --concurrency 1").expect_code(1).expect_outcomes(&[("updated", 9), ("failed", 1)]);
    let then = program(40, &["403@11-"]);
    then.send("a.csv --concurrency 1").expect_code(5);
    assert_eq!(then.requests().len(), 15);
}

/// Rows that Conditional Access blocks have not failed: they are sent once it lets them.
#[test]
fn conditional_access_stops_at_once_with_advice() {
    for contract in ["defender", "graph"] {
        let options = format!("a.csv --contract {contract} --concurrency 1");
        let program = program(10, &["insufficient-claims@4"]);
        let ended = program.send(&options).expect_code(5);
        let ended = ended.expect_text("Conditional Access blocks the token: insufficient_claims: ");
        assert!(!ended.outcomes().contains_key("failed"), "{}", ended.printed());
        ended.expect_text("more claims; ask an administrator").expect_text("sign-in log").expect_text("(exit 5)");
        program.send(&options).expect_code(0).expect_outcomes(&[("updated", 10)]);
        for id in 1..=10 {
            assert_eq!(program.comments(id).len(), 1, "{contract}, incident {id}");
        }
        for line in ["run a.csv --compare --yes", "plan a.csv --compare", "fetch -o b.csv"] {
            let program = Program::new().file("a.csv", closing(1..=2)).faulty_emulator(&["insufficient-claims"]);
            let ended = program.run(&format!("{line} --contract {contract} --base-url {}", program.origin()));
            ended.expect_code(5).expect_text("Conditional Access");
            assert_eq!(program.requests().len(), 1, "{line}");
        }
    }
}

#[test]
fn outage_without_patience_stops_without_failed_rows() {
    at_once(["down", "503", "cut", "cut-after"], |fault| {
        let program = program(40, &[&format!("{fault}@1-12")]);
        let ended = program.send("a.csv --patience 0").expect_code(4);
        let outcomes = ended.outcomes();
        let is_open = |outcome: &String| ["not-attempted", "in-doubt"].contains(&outcome.as_str());
        assert!(outcomes.keys().all(is_open), "{fault}: {}", ended.printed());
        assert!(program.requests().len() <= 5 + CONCURRENCY, "{fault}: {}", program.requests().len());
        ended.expect_text("next:");
        // The run stops after five of the twelve faulty requests; the rest strike the same command again.
        let ended = program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 40)]);
        for id in 1..=40 {
            assert_eq!(program.comments(id).len(), 1, "{fault}, incident {id}\n{}", ended.printed());
        }
    });
}

#[test]
fn outage_within_patience_is_waited_out() {
    let program = program(20, &["down*5"]);
    let ended = program.send("a.csv --concurrency 1").expect_code(0).expect_outcomes(&[("updated", 20)]);
    ended.expect_text("service down").expect_text("responds again");
    let requests = program.requests();
    let pauses: Vec<i64> = requests.windows(2).map(|pair| pair[1].at_us - pair[0].at_us).collect();
    assert!(pauses.iter().any(|pause| *pause > 4_500_000), "the first pause is 5 s: {pauses:?}");
}

/// Nobody listens at all, so there is not even a connection.
#[test]
fn unreachable_service_stops_when_patience_ends() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let program = Program::new().file("a.csv", closing(1..=10));
    let ended = program.run(&format!("run a.csv --yes --base-url http://{port} --patience 500ms")).expect_code(4);
    ended.expect_outcomes(&[("not-attempted", 10)]).expect_text("no connection");
}

/// The summary, its JSON, `runs show` and the page agree: nothing was sent.
#[test]
fn attempts_without_connection_are_no_requests() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let program = Program::new().file("a.csv", closing(1..=10));
    let start = format!("run a.csv --yes --base-url http://{port} --patience 500ms --report r.md");
    let ended = program.run(&start).expect_code(4).expect_text("\n0 requests in ").expect_text(": none throttled");
    assert!(ended.results().iter().all(|row| row["attempts"] == "0"), "{:?}", ended.results());
    let page = program.read("r.md");
    assert!(page.contains("0&#58; 0 updates, 0 reads"), "{page}");
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("not-attempted")).collect();
    assert!(rows.iter().filter(|row| row.ends_with(" | 0 |")).count() == 10, "{page}");
    let json = program.run(&format!("{start} --format json")).expect_code(4).json();
    assert_eq!(["calls", "updates", "reads"].map(|name| json[name].as_u64()), [Some(0); 3], "{json}");
    let shown = program.run(&format!("runs show {}", program.last_run())).expect_code(0);
    shown.expect_text("\nrequests  0, 0 throttled (429)\n");
}

/// If a token is refused, requests that have their permit but no token yet are not sent.
#[test]
fn attempts_without_token_are_no_requests() {
    use std::os::unix::fs::PermissionsExt;
    at_once(0..4, |_| {
        let program = program(40, &["401@10-"]).file("token", "a-token-that-is-refused");
        std::fs::set_permissions(program.path("token"), std::fs::Permissions::from_mode(0o600)).expect("its owner");
        let ended = program.send("a.csv --token-file token --format json").expect_code(5);
        let requests = program.requests().len() as u64;
        assert_eq!(ended.json()["calls"].as_u64(), Some(requests), "{}", ended.printed());
        let shown = program.run(&format!("runs show {} --format json", program.last_run())).expect_code(0).json();
        assert_eq!(shown["calls"].as_u64(), Some(requests), "{shown}");
        let of_rows: u64 = ended.results().iter().map(|row| row["attempts"].parse::<u64>().expect("a number")).sum();
        assert_eq!(of_rows, requests, "{}", ended.printed());
    });
}

#[test]
fn row_without_any_response_fails_alone() {
    let rows = closing(1..=10).replace(",comment", ",note");
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["503@#3*2"]);
    // A settle time that a slow machine can't miss: a read that is late makes the ones before it needless.
    let ended = program.send("a.csv --max-attempts 2 --settle 2s");
    let ended = ended.expect_code(1).expect_outcomes(&[("updated", 9), ("failed", 1)]);
    let failed = &ended.results()[2];
    assert_eq!((failed["code"].as_str(), failed["attempts"].as_str()), ("gave-up", "5"));
    let methods: Vec<String> =
        program.requests().into_iter().filter(|request| request.id == Some(3)).map(|request| request.method).collect();
    assert_eq!(methods, ["PATCH", "PATCH", "GET", "GET", "GET"], "reads decide before it is given up");
}

#[test]
fn first_five_equal_failures_stop_the_run_once() {
    let program = program(60, &["404"]);
    let ended = program.send("a.csv").expect_code(6);
    let stopped = ended.outcomes();
    assert!(stopped["failed"] <= 5 + CONCURRENCY, "{stopped:?}");
    assert_eq!(stopped["failed"] + stopped["not-attempted"], 60);
    ended.expect_text("not-found");
    // It stops only once: starting it again is taken as intended.
    program.send("a.csv").expect_code(1).expect_outcomes(&[("failed", 60)]);
    assert_eq!(program.requests().len(), 60);
}

#[test]
fn different_failures_do_not_stop_the_run() {
    let program = program(20, &["404@#1", "400@#2", "404@#3", "409@#4", "404@#5"]);
    program.send("a.csv").expect_code(1).expect_outcomes(&[("failed", 5), ("updated", 15)]);
}

#[test]
fn max_failures_replaces_the_first_five_rule() {
    let alike = program(30, &["404"]);
    alike.send("a.csv --max-failures 100").expect_code(1).expect_outcomes(&[("failed", 30)]);
    let late = program(30, &["404@20-"]);
    let ended = late.send("a.csv --max-failures 2 --concurrency 1").expect_code(6);
    ended.expect_outcomes(&[("updated", 19), ("failed", 2), ("not-attempted", 9)]);
}

/// Each permanent error ends its row with its code, after one request.
#[test]
fn each_permanent_error_has_its_code() {
    let faults = ["400@#2", "404@#3", "409@#4", "412@#5", "422@#6", "418@#7", "302@#8"];
    let program = program(8, &faults);
    let ended = program.send("a.csv").expect_code(1);
    let codes: Vec<String> = ended.results().iter().map(|row| row["code"].clone()).collect();
    let expected = ["", "rejected", "not-found", "conflict", "conflict", "rejected", "unexpected", "unexpected"];
    assert_eq!(codes, expected);
    assert_eq!(program.requests().len(), 8);
}

#[test]
fn merged_incident_fails_and_names_its_target() {
    let program = Program::new().file("a.csv", closing(6..=8)).emulator(|settings| {
        settings.merged = [(7, 3)].into_iter().collect();
    });
    let ended = program.send("a.csv").expect_code(1).expect_outcomes(&[("updated", 2), ("failed", 1)]);
    let merged = &ended.results()[1];
    assert_eq!(merged["code"], "redirected");
    assert!(merged["message"].contains('3'), "{merged:?}");
    // Nothing is sent again, and it stays a failure: the update went to the merged incident.
    let again = program.send("a.csv").expect_code(1).expect_outcomes(&[("unchanged", 2), ("failed", 1)]);
    assert_eq!(again.results()[1]["code"], "redirected");
}

/// Five failures in a row are an outage, even if they all concern the only row.
#[test]
fn single_incident_waits_out_an_outage() {
    let program = Program::new().file("a.csv", "incidentId,status\n7,Resolved\n").faulty_emulator(&["502@1-5"]);
    let ended = program.send("a.csv --compare").expect_code(0).expect_text("service down: paused");
    ended.expect_outcomes(&[("updated", 1)]);
}
