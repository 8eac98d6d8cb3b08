//! `fetch`: incidents as rows, whatever happens during the fetch, and directly usable as input of `run`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{
    Ended, Program, by_api, finished, results_at, spelled, started, throttled, with_contract, with_graph,
};

with_graph!(
    fetched_file_has_every_incident_once,
    empty_list_gives_a_header_only,
    each_filter_selects_exactly_its_incidents,
    impossible_query_is_reported_and_writes_nothing,
    killed_fetch_resumes_after_what_was_read,
    partial_file_of_another_query_is_discarded,
    incidents_leaving_the_list_hide_no_others,
    fetch_waits_for_429_and_retries_errors,
    fetch_and_runs_share_the_quota,
    other_and_filled_in_files_are_kept,
    two_fetches_of_one_file_do_not_mix,
    fetched_file_is_valid_input_of_run,
);

/// A program whose service holds these incidents.
fn program(incidents: &str) -> Program {
    Program::new().emulator(|settings| settings.incidents = incidents.parse().expect("incidents"))
}

fn fetch_command(program: &Program, arguments: &[&str]) -> Command {
    let mut command = program.command("fetch --quota 100000/1s --base-url");
    command.arg(program.origin()).args(arguments);
    command
}

fn fetch(program: &Program, arguments: &[&str]) -> Ended {
    started(fetch_command(program, arguments)).end()
}

/// The rows of a fetched file.
fn rows(program: &Program, name: &str) -> Vec<BTreeMap<String, String>> {
    results_at(&program.path(name))
}

fn ids(program: &Program, name: &str) -> Vec<u64> {
    rows(program, name).iter().map(|row| row["incidentId"].parse().expect("an id")).collect()
}

#[test]
fn fetched_file_has_every_incident_once() {
    // The last page of the classic API shows nothing new, that of Graph is not full and has no link to another one.
    let classic = [("9000", 1, 2), ("1-100", 100, 2), ("1-101", 101, 3), ("1-350", 350, 5)];
    let graph = [("9000", 1, 1), ("1-100", 100, 3), ("1-101", 101, 3), ("1-350", 350, 8)];
    for (incidents, count, calls) in by_api(classic, graph) {
        let program = program(incidents);
        let ended = fetch(&program, &["-o", "open.csv", "--format", "json"]).expect_code(0);
        let summary = ended.json();
        assert_eq!((summary["incidents"].as_u64(), summary["calls"].as_u64()), (Some(count), Some(calls)));
        let ids = ids(&program, "open.csv");
        assert_eq!(ids.len() as u64, count);
        assert!(ids.is_sorted_by(|one, next| one > next), "newest first");
        assert!(program.requests().iter().all(|request| request.method == "GET"));
        assert_eq!(program.names(), ["open.csv", "requests.jsonl", "state"], "nothing else is left");
        let mode = fs::metadata(program.path("open.csv")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn empty_list_gives_a_header_only() {
    let program = program("1-9");
    fetch(&program, &["-o", "none.csv", "--status", "resolved"]).expect_code(0).expect_text("0 incidents in none.csv");
    assert_eq!(program.read("none.csv").lines().count(), 1);
    fetch(&program, &["-o", "none.jsonl", "--status", "resolved"]).expect_code(0);
    assert_eq!(program.read("none.jsonl"), "");
    for file in ["none.csv", "none.jsonl"] {
        program.run(&format!("check {file}")).expect_code(0);
        fetch(&program, &["-o", file]).expect_code(0).expect_text("9 incidents in");
    }
}

#[test]
fn each_filter_selects_exactly_its_incidents() {
    let program = Program::new()
        .file("a.csv", "incidentId,status,assignedTo,tags\n3,Resolved,o'neill@contoso.com,Noise; tuned\n4,,,noise\n")
        .emulator(|settings| {
            settings.incidents = "1-6".parse().expect("incidents");
            settings.titles = [(5, "Größe: 100%".to_owned())].into();
        });
    program.send("a.csv").expect_code(0);
    let all = [6, 5, 4, 3, 2, 1].as_slice();
    for (arguments, expected) in [
        (&[][..], all),
        (&["--status", "resolved"], &[3]),
        (&["--status", "ACTIVE"], &[6, 5, 4, 2, 1]),
        (&["--assigned-to", "o'neill@contoso.com"], &[3]),
        (&["--tag", "NOISE"], &[4, 3]),
        (&["--tag", "noise", "--tag", "tuned"], &[3]),
        (&["--severity", "medium"], all),
        (&["--severity", "High"], &[]),
        (&["--title-contains", "größe: 100%"], &[5]),
        (&["--updated-since", "1h"], &[4, 3]),
        (&["--created-since", "24h"], &[]),
        (&["--created-since", "2020-01-01"], all),
        (&["--created-since", "2020-01-01T10:00:00+02:00", "--status", "Active", "--tag", "noise"], &[4]),
        (&["--filter", "status ne 'Active'"], &[3]),
        (&["--filter", "status eq 'Active'", "--updated-since", "1h"], &[4]),
        (&["--limit", "2"], &[6, 5]),
        (&["--limit", "1", "--tag", "noise"], &[4]),
        (&["--limit", "0"], &[]),
    ] {
        let arguments: Vec<_> = arguments.iter().map(|argument| spelled(argument)).collect();
        let arguments: Vec<&str> = ["-o", "out.csv"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        fetch(&program, &arguments).expect_code(0);
        assert_eq!(ids(&program, "out.csv"), expected, "{arguments:?}");
    }
}

#[test]
fn impossible_query_is_reported_and_writes_nothing() {
    let program = program("1-9");
    for (arguments, said) in [
        (["--filter", "tags eq 'noise'"], "the API rejects the query"),
        (["--status", "open"], by_api("write Active, Resolved", "write active, inProgress, resolved")),
        (["--created-since", "yesterday"], "an age such as 24h"),
    ] {
        let ended = fetch(&program, &[&["-o", "out.csv"], &arguments[..]].concat()).expect_code(2).expect_text(said);
        assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.printed());
    }
    fetch(&program, &["-o", "out.txt"]).expect_code(2).expect_text(".csv, .jsonl");
    assert_eq!(program.names(), ["requests.jsonl", "state"]);
    let mut command = fetch_command(&program, &["-o", "out.csv"]);
    command.env_remove("BULK_TRIAGE_TOKEN");
    started(command).end().expect_code(5);
    let program = Program::new().faulty_emulator(&["401"]);
    let ended = fetch(&program, &["-o", "out.csv"]).expect_code(5).expect_text("the token is refused");
    ended.expect_text("nothing was read; to try again:\n  bulk-triage fetch -o out.csv --base-url");
    assert_eq!(program.names(), ["requests.jsonl", "state"]);
}

/// Slow enough that a kill comes in the middle.
fn slow_program() -> Program {
    Program::new().emulator(|settings| {
        settings.incidents = "1-1000".parse().expect("incidents");
        settings.latency = Duration::from_millis(30)..=Duration::from_millis(30);
    })
}

#[test]
fn killed_fetch_resumes_after_what_was_read() {
    for signal in by_api(vec![Signal::KILL, Signal::INT], vec![Signal::KILL]) {
        let program = slow_program();
        let running = started(fetch_command(&program, &["-o", "open.csv", "--created-since", "20000h"]));
        program.wait_for_requests(5);
        running.signal(signal);
        let ended = running.end();
        assert!(matches!((signal, ended.code), (Signal::KILL, None) | (Signal::INT, Some(4))), "{}", ended.printed());
        if signal == Signal::INT {
            let next = format!(
                "to resume:\n  bulk-triage fetch -o open.csv --base-url {} --quota 100000/1s --created-since 20000h\n",
                program.origin()
            );
            assert!(ended.stderr.contains(&next), "{}", ended.printed());
        }
        assert!(!program.path("open.csv").exists());
        let mode = fs::metadata(program.path("open.csv.part")).expect("a part").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // A kill in the middle of a line leaves this.
        let part = program.read("open.csv.part");
        let whole = part.lines().count() as u64 - 1;
        assert!(whole >= 100, "{whole}");
        program.write("open.csv.part", format!("{part}{{\"id\":7,\"fetched"));

        let before = program.requests().len() as u64;
        let again = fetch(&program, &["-o", "open.csv", "--created-since", "20000h"]).expect_code(0);
        again.expect_text(&format!("resuming after the {whole} incidents"));
        assert_eq!(ids(&program, "open.csv"), (1..=1_000).rev().collect::<Vec<_>>());
        assert!(!program.path("open.csv.part").exists());
        // Each page of the classic API shows 95 new incidents, and one more request shows that there are no others.
        let calls = program.requests().len() as u64 - before;
        assert!(calls <= (1_000 - whole).div_ceil(by_api(95, 50)) + 2, "{calls} calls for what was left of {whole}");
    }
}

#[test]
fn partial_file_of_another_query_is_discarded() {
    let program = slow_program();
    let running = started(fetch_command(&program, &["-o", "open.csv"]));
    program.wait_for_requests(4);
    running.kill();
    let ended = fetch(&program, &["-o", "open.csv", "--status", "Active", "--limit", "120"]).expect_code(0);
    ended.expect_text("is for a different query or too old; starting over");
    assert_eq!(ids(&program, "open.csv"), (881..=1_000).rev().collect::<Vec<_>>());
}

#[test]
fn incidents_leaving_the_list_hide_no_others() {
    let program = slow_program().file("close.csv", {
        let rows: Vec<String> = (800..=1_000).map(|id| format!("{id},Resolved\n")).collect();
        format!("incidentId,status\n{}", rows.concat())
    });
    let arguments = ["-o", "open.csv", "--status", "Active"];
    let running = started(fetch_command(&program, &arguments));
    program.wait_for_requests(4);
    running.kill();
    let read = program.read("open.csv.part").lines().count() - 1;
    program.send("close.csv --concurrency 100").expect_code(0);
    fetch(&program, &arguments).expect_code(0);
    let ids = ids(&program, "open.csv");
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "one stands there twice");
    assert!((1..800).all(|id| once.contains(&id)), "some were lost; {read} had been read before");
}

#[test]
fn fetch_waits_for_429_and_retries_errors() {
    let program = Program::new().emulator(|settings| {
        settings.incidents = "1-350".parse().expect("incidents");
        settings.faults =
            ["429@2=time/1s", "503@3", "cut@4", "html@5"].map(crate::program::fault_of).into_iter().collect();
    });
    fetch(&program, &["-o", "open.csv"]).expect_code(0);
    assert_eq!(ids(&program, "open.csv").len(), 350);
    assert_eq!(throttled(&program.requests()), 1);
}

#[test]
fn fetch_and_runs_share_the_quota() {
    let program =
        Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n3,Resolved\n").emulator(|settings| {
            settings.incidents = "1-1000".parse().expect("incidents");
            settings.quota = Some("4/400ms".parse().expect("a quota"));
        });
    program.send("a.csv --quota 4/400ms").expect_code(0);
    let mut command = program.command("fetch -o open.csv --quota 4/400ms --base-url");
    command.arg(program.origin());
    started(command).end().expect_code(0);
    assert_eq!(throttled(&program.requests()), 0);
    assert_eq!(ids(&program, "open.csv").len(), 1_000);
}

#[test]
fn other_and_filled_in_files_are_kept() {
    let program = program("1-3");
    fetch(&program, &["-o", "open.csv"]).expect_code(0);
    fetch(&program, &["-o", "open.jsonl"]).expect_code(0);
    fetch(&program, &["-o", "open.csv"]).expect_code(0);
    fetch(&program, &["-o", "open.jsonl"]).expect_code(0);
    let requests = program.requests().len();
    let refused = |name: &str, said: &str| {
        let before = fs::read(program.path(name)).ok();
        fetch(&program, &["-o", name]).expect_code(2).expect_text(said);
        assert_eq!(fs::read(program.path(name)).ok(), before, "{name}");
    };
    program.write("open.csv", program.read("open.csv").replacen("\n3,,", "\n3,Resolved,", 1));
    refused("open.csv", "has been edited");
    program.write(
        "open.jsonl",
        program.read("open.jsonl").replacen("\"current_s", "\"status\":\"Active\",\"current_s", 1),
    );
    refused("open.jsonl", "has been edited");
    program.write("own.csv", "incidentId,status\n1,Resolved\n");
    refused("own.csv", "was not fetched");
    program.write("own.jsonl", "{\"incidentId\":1}\n");
    refused("own.jsonl", "was not fetched");
    fs::create_dir(program.path("folder.csv")).expect("makes");
    refused("folder.csv", "a directory");
    symlink("own.csv", program.path("link.csv")).expect("links");
    refused("link.csv", "a symbolic link");
    assert!(finished(Command::new("mkfifo").arg(program.path("pipe.csv"))).expect("mkfifo").success());
    fetch(&program, &["-o", "pipe.csv"]).expect_code(2).expect_text("a named pipe");
    program.write("new.csv.part", "notes\n");
    fetch(&program, &["-o", "new.csv"]).expect_code(2).expect_text("new.csv.part");
    assert_eq!(program.read("new.csv.part"), "notes\n");
    assert_eq!(program.requests().len(), requests, "nothing was read for any of these");
}

#[test]
fn two_fetches_of_one_file_do_not_mix() {
    let program = slow_program();
    let first = started(fetch_command(&program, &["-o", "open.csv"]));
    program.wait_for_requests(2);
    fetch(&program, &["-o", "open.csv"]).expect_code(4).expect_text("another fetch is writing it");
    first.end().expect_code(0);
    assert_eq!(ids(&program, "open.csv").len(), 1_000);
}

/// Without the header `Prefer` the service shows a newer status as `unknownFutureValue`.
#[test]
fn graph_shows_new_members_and_missing_owners() {
    with_contract("graph", || {
        let program = Program::new().file("a.csv", "incidentId,assignedTo\n2,a@contoso.com\n").emulator(|settings| {
            settings.incidents = "1-3".parse().expect("incidents");
            settings.awaiting_action = [3].into();
        });
        program.send("a.csv").expect_code(0);
        fetch(&program, &["-o", "open.csv", "--unassigned"]).expect_code(0);
        let status = |row: &BTreeMap<String, String>| format!("{} {}", row["incidentId"], row["current_status"]);
        assert_eq!(rows(&program, "open.csv").iter().map(status).collect::<Vec<_>>(), ["3 awaitingAction", "1 active"]);
    });
}

/// From the service to a spreadsheet and back: no cell is run, and every column is known.
#[test]
fn fetched_file_is_valid_input_of_run() {
    let program = Program::new()
        .file("tags.csv", "incidentId,tags\n1,\"[\"\"=1+1\"\",\"\"a;b\"\"]\"\n2,x; y\n")
        .emulator(|settings| {
            settings.incidents = "1-3".parse().expect("incidents");
            let titles = ["=HYPERLINK(\"http://x\")", "a\r\nb,\"c\"", "\u{1b}[2J@SUM(1)"];
            settings.titles = (1..).zip(titles.map(str::to_owned)).collect();
        });
    program.send("tags.csv").expect_code(0);
    for file in ["open.csv", "open.jsonl"] {
        let ended = fetch(&program, &["-o", file]).expect_code(0);
        let requests = by_api("2 requests", "1 request");
        let ended = ended.expect_text(&format!("3 incidents in {file}, {requests}"));
        let next = format!("  bulk-triage run {file} --set status=Resolved --dry-run --base-url {}", program.origin());
        assert!(ended.printed().contains(&next), "{}", ended.printed());
        let set = ["--set", "status=Resolved"];
        let mut check = program.command(&format!("check {file}"));
        check.args(set);
        let checked = started(check).end().expect_code(0).expect_text("3 rows, all valid");
        checked.expect_text("fetched 0 min ago, ");
        let mut dry_run = program.command(&format!("run {file} --dry-run --base-url {}", program.origin()));
        dry_run.args(set);
        started(dry_run)
            .end()
            .expect_code(0)
            .expect_text(" UTC; columns current_* are ignored\n")
            .expect_text("3  Resolved");
        // The fetched value is shown beside the change, with its age; beside a newer value only if they differ.
        let seen = program.path("seen.md");
        let with_page = |options: &[&str]| {
            let mut command = program.command(&format!("run {file} --dry-run --base-url {}", program.origin()));
            command.args(set).args(options).arg("--report").arg(&seen);
            (started(command).end().expect_code(0), program.read("seen.md"))
        };
        let (ended, page) = with_page(&[]);
        ended.expect_text("  {\"status\":\"Resolved\"}\n  0 min ago: status Active\n");
        assert_eq!(
            page.matches(&spelled("<code>Resolved</code><br><code>was Active 0 min ago</code>")).count(),
            3,
            "{page}"
        );
        let (_, page) = with_page(&["--compare"]);
        assert!(
            page.contains(&spelled("<code>Active</code> → **<code>Resolved</code>**"))
                && !page.contains(&spelled("was Active")),
            "{page}"
        );
        // Unedited, the file changes nothing.
        program.run(&format!("check {file}")).expect_code(0).expect_text("3 rows set nothing: skipped.");
    }
    for row in rows(&program, "open.csv") {
        for (name, cell) in row {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{name}: {cell:?}");
            assert!(!cell.contains('\u{1b}'), "{name}: {cell:?}");
        }
    }
    // Setting the current values changes nothing.
    let csv = program.read("open.csv");
    assert!(csv.starts_with('\u{feff}'), "a spreadsheet knows it as UTF-8");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns = reader.headers().expect("a header").clone();
    let place = |name: &str| columns.iter().position(|column| column == name).expect("a column");
    let mut back = csv::Writer::from_writer(Vec::new());
    back.write_record(["incidentId", "tags"]).expect("writes");
    for record in reader.records() {
        let record = record.expect("a record");
        if !record[place("current_tags")].is_empty() {
            back.write_record([&record[0], &record[place("current_tags")]]).expect("writes");
        }
    }
    program.write("back.csv", back.into_inner().expect("writes"));
    program.send("back.csv --compare --remember 0").expect_code(0).expect_outcomes(&[("unchanged", 2)]);
}

#[test]
fn fetched_columns_are_known_to_every_contract() {
    const CONTRACTS: [&str; 3] = ["defender", "defender-classic", "graph"];
    for fetched in CONTRACTS {
        let program = program("1-3");
        fetch(&program, &["-o", "open.csv", "--contract", fetched]).expect_code(0);
        for contract in CONTRACTS {
            let ended = program.run(&format!("check open.csv --contract {contract} --set status=Resolved"));
            ended.expect_code(0).expect_text("3 rows, all valid");
        }
    }
}
