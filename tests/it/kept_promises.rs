//! Promises that single changes of the code would break without any other test noticing: each was broken on purpose, and
//! the test here failed. The changes are among the patches in `tests/mutations`.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

use crate::far::{FarService, ORIGIN, Tenant};
use crate::program::{Ended, Program, closing, eventually, incidents, results_at, started};

const A: &str = "11111111-1111-1111-1111-111111111111";
const B: &str = "22222222-2222-2222-2222-222222222222";

/// A program whose emulator holds these incidents, and is slow enough to be interrupted.
fn with_incidents(incidents: &str) -> Program {
    Program::new().emulator(|settings| {
        settings.incidents = incidents.parse().expect("incidents");
        settings.latency = Duration::from_millis(50)..=Duration::from_millis(100);
    })
}

#[test]
fn renewed_token_is_in_no_output() {
    let old = "eyJ-the-first-token-0123456789-0123456789";
    let new = "eyJ-the-second-token-9876543210-9876543210";
    for format in ["text", "json"] {
        let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n");
        program.write("token", old);
        fs::set_permissions(program.path("token"), fs::Permissions::from_mode(0o600)).expect("its owner");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let file = program.path("token");
        let server = std::thread::spawn(move || {
            let mut tokens = Vec::new();
            for stream in listener.incoming().flatten().take(3) {
                tokens.push(answer(stream, old, new, &file));
            }
            tokens
        });
        let arguments = format!(
            "run a.csv --yes -vvv --log-format {format} --concurrency 1 --token-file token --base-url {origin}"
        );
        let told = program.run(&arguments).expect_code(0);
        let again = program.run(&format!("{arguments} --log-file log.txt --remember 0 --dry-run")).expect_code(0);
        fs::remove_file(program.path("token")).expect("it is there");
        assert_eq!(server.join().expect("no panic"), ["old", "new", "new"], "the token was renewed");
        assert!(told.said().contains("DEBUG"), "it is logged at its highest level: {}", told.said());
        for token in [old, new] {
            for said in [told.said(), again.said()] {
                assert!(!said.contains(&token[..20]), "{said}");
            }
            expect_in_no_file(program.dir(), token.as_bytes());
        }
    }
}

/// Refuses the old token, and writes the new one to its file before it says so. Returns which token came.
fn answer(mut stream: TcpStream, old: &str, new: &str, file: &Path) -> &'static str {
    let mut request = String::new();
    let mut bytes = [0; 4_096];
    while !request.contains("\r\n\r\n") || request.contains("PATCH") && !request.ends_with('}') {
        let read = std::io::Read::read(&mut stream, &mut bytes).expect("a request");
        request.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    let (status, body, which) = if request.contains(old) {
        fs::write(file, new).expect("the token is renewed");
        ("401 Unauthorized", r#"{"error":{"code":"Unauthorized","message":"expired"}}"#.to_owned(), "old")
    } else {
        assert!(request.contains(new), "{request}");
        let id = request.split(['/', ' ']).find_map(|word| word.parse::<u64>().ok()).expect("an incident");
        ("200 OK", format!(r#"{{"incidentId":{id},"status":"Resolved","comments":[]}}"#), "new")
    };
    let length = body.len();
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(response.as_bytes()).expect("the program listens");
    which
}

fn expect_in_no_file(dir: &Path, secret: &[u8]) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            expect_in_no_file(&path, secret);
        } else {
            let bytes = fs::read(&path).expect("a file");
            let is_there = bytes.windows(20).any(|window| window == &secret[..20]);
            assert!(!is_there, "the token is in {}", path.display());
        }
    }
}

#[test]
fn undo_plan_is_refused_for_another_tenant() {
    let program = with_incidents("1-9").file("a.csv", "incidentId,status\n1,Resolved\n");
    let others = with_incidents("1-9");
    let (a, b) = (Tenant::new(A, &program), Tenant::new(B, &others));
    let far = FarService::start(&[&a, &b]);
    let in_tenant = |tenant: &Tenant<'_>, arguments: &str| -> Ended {
        started(far.command(&program, &tenant.token, arguments)).end()
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
    let far = FarService::start(&[&a, &b]);
    let fetch =
        |tenant: &Tenant<'_>| far.command(&program, &tenant.token, &format!("fetch -o open.csv --base-url {ORIGIN}"));
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
fn only_sends_exactly_rows_of_each_outcome() {
    const OUTCOMES: [&str; 6] = ["updated", "unchanged", "failed", "invalid", "in-doubt", "not-attempted"];
    let program = Program::new().file("a.csv", closing(1..=6)).emulator(|_| ());
    // Every outcome stands at another row; as real results have them, whatever led to it.
    let ended = program.send("a.csv").expect_code(0);
    let whole = fs::read_to_string(ended.results_path()).expect("results");
    let (header, rows) = whole.split_once('\n').expect("a header");
    let rows: Vec<String> =
        rows.lines().zip(OUTCOMES).map(|(row, outcome)| row.replacen("updated", outcome, 1)).collect();
    assert!(rows.iter().zip(OUTCOMES).all(|(row, outcome)| row.contains(outcome)), "{rows:?}");
    program.write("r.csv", format!("{header}\n{}\n", rows.join("\n")));
    let selections = OUTCOMES.iter().zip(1..).map(|(outcome, id)| ((*outcome).to_owned(), vec![id]));
    let several = [("updated,in-doubt,failed".to_owned(), vec![1, 3, 5])];
    for (only, ids) in selections.chain(several) {
        let before = program.updates().len();
        program.send(&format!("r.csv --only {only} --remember 0")).expect_code(0);
        assert_eq!(incidents(&program.updates()[before..]), ids, "--only {only}");
    }
    let before = program.updates().len();
    program.send("r.csv --remember 0").expect_code(0);
    assert_eq!(incidents(&program.updates()[before..]), [3, 4, 5, 6], "without --only");
}

/// The journal's lock is held by somebody else until the plan was read for the first time.
#[test]
fn plan_replaced_between_check_and_load_is_refused() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("b.csv", closing(4..=6)).emulator(|_| ());
    for name in ["a", "b"] {
        program.run(&format!("plan {name}.csv -o {name}.plan --base-url {}", program.origin())).expect_code(0);
    }
    program.run("runs list").expect_code(0);
    let lock = program.path("state/journal.lock");
    for (then, code) in [("b", 3), ("a", 0)] {
        program.write("now.plan", program.read("a.plan"));
        let held = File::open(&lock).expect("it is there");
        held.lock().expect("nobody else is there");
        let applying = started(program.command("apply now.plan --yes"));
        eventually("it has read the plan, and waits for the journal", || applying.locks(&lock));
        program.write("then.plan", program.read(&format!("{then}.plan")));
        fs::rename(program.path("then.plan"), program.path("now.plan")).expect("it is there");
        drop(held);
        applying.end().expect_code(code);
        assert_eq!(program.requests().len(), if code == 0 { 3 } else { 0 }, "then {then}.plan");
    }
}

/// The plan was made with another version of the program, whose contract of this name had another rule.
#[test]
fn plan_for_other_contract_rules_is_refused() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    let plan = program.read("a.plan");
    for (rule, other) in [("Malware", "Malicious"), ("1500/1h", "1400/1h")] {
        assert!(plan.contains(rule), "{plan}");
        program.write("other.plan", sealed(&plan.replacen(rule, other, 1)));
        let refused = program.run("apply other.plan --yes").expect_code(2);
        refused.expect_text("has changed since the plan was created");
    }
    assert_eq!(program.requests().len(), 0);
    program.write("same.plan", sealed(&plan));
    program.run("apply same.plan --yes").expect_code(0);
    assert_eq!(program.requests().len(), 3);
}

/// A plan with the checksum that its lines have.
fn sealed(plan: &str) -> String {
    let lines = &plan[..=plan.trim_end().rfind('\n').expect("the checksum has its own line")];
    let digits: Vec<String> = Sha256::digest(lines).iter().map(|byte| format!("{byte:02x}")).collect();
    let digits = digits.concat();
    format!("{lines}{{\"seal\":\"sha256:{digits}\"}}\n")
}

/// The older one was last sent more than 12 hours ago, so the same command has begun a new run.
#[test]
fn newer_of_two_equal_unfinished_runs_is_resumed() {
    let program = with_incidents("1-9").file("a.csv", closing(1..=8));
    let interrupt = |requests| {
        let running = program.start_sending("a.csv --concurrency 1");
        program.wait_for_requests(requests);
        running.signal(Signal::INT);
        running.end().expect_code(4);
        program.last_run()
    };
    let older = interrupt(2);
    move_back(&program.path("state/journal.db"), Duration::from_hours(13));
    let newer = interrupt(program.requests().len() + 2);
    assert_ne!(older, newer, "too old to be resumed within 12 hours");
    let ended = program.send("a.csv --remember 24h --format json").expect_code(0);
    assert_eq!(ended.json()["run"].as_str(), Some(newer.as_str()));
    program.run(&format!("runs show {older}")).expect_code(0).expect_text("unfinished");
    let shown = program.run(&format!("runs show {newer}")).expect_code(0);
    assert!(!shown.stdout.contains("unfinished"), "{}", shown.said());
}

/// As if everything in this journal had happened so much earlier.
#[expect(clippy::disallowed_methods, reason = "no run of the program takes hours")]
fn move_back(journal: &Path, time: Duration) {
    let micros = i64::try_from(time.as_micros()).expect("some hours");
    let db = Connection::open(journal).expect("the journal is there");
    for change in [
        "UPDATE attempts SET started = started - ?1, started_wall = started_wall - ?1, ended = ended - ?1,
         ended_wall = ended_wall - ?1",
        "UPDATE runs SET created_wall = created_wall - ?1",
    ] {
        db.execute(change, [micros]).expect("it is no later");
    }
}

#[test]
fn unfinished_run_of_another_tenant_is_not_resumed() {
    let program = with_incidents("1-9").file("a.csv", closing(1..=8));
    let others = with_incidents("1-9");
    let (a, b) = (Tenant::new(A, &program), Tenant::new(B, &others));
    let far = FarService::start(&[&a, &b]);
    let run = |tenant: &Tenant<'_>| {
        let arguments = format!("run a.csv --yes --concurrency 1 --format json --base-url {ORIGIN}");
        started(far.command(&program, &tenant.token, &arguments))
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
