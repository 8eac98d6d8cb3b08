//! Complete means complete: an incomplete list replaces no file, and a command tries another way of reading before it
//! gives up.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use crate::program::{Ended, Program, Request, at_once, by_api, fault_of, incidents, results_at, started, with_graph};

with_graph!(incomplete_list_is_resumed_by_the_printed_command, too_large_incident_is_named,);

/// A program whose service holds these incidents and has these faults.
fn program(incidents: &str, faults: &[&str]) -> Program {
    Program::new().emulator(|settings| {
        settings.incidents = incidents.parse().expect("incidents");
        settings.faults = faults.iter().map(|fault| fault_of(fault)).collect();
    })
}

fn fetch(program: &Program, arguments: &str) -> Ended {
    let quota = "--quota 100000/1s";
    program.run(&format!("fetch {arguments} {quota} --base-url {}", program.origin()))
}

fn rows(program: &Program, name: &str) -> usize {
    results_at(&program.path(name)).len()
}

/// The sizes of the requested pages.
fn page_sizes(requests: &[Request]) -> Vec<u32> {
    let size = |request: &Request| request.path.split("top=").nth(1)?.split('&').next()?.parse().ok();
    requests.iter().filter_map(size).collect()
}

fn single_reads(requests: &[Request]) -> usize {
    requests.iter().filter(|request| request.method == "GET" && request.id.is_some()).count()
}

/// Twelve incidents so far apart that no page has two of them, with this column and value.
fn scattered(column: &str, value: &str) -> String {
    (1..=12).fold(format!("incidentId,{column}\n"), |mut text, n| {
        let _ = writeln!(text, "{},{value}", n * 150);
        text
    })
}

#[test]
fn outage_in_a_list_is_waited_out() {
    at_once(["503@2-6", "500@2-6", "502@2-3", "504@2-4", "cut@2-6", "down@2-6", "html@3-7", "cut-half@2-4"], |fault| {
        let program = program("1-350", &[fault]);
        fetch(&program, "-o open.csv").expect_code(0);
        assert_eq!(rows(&program, "open.csv"), 350, "{fault}");
    });
}

#[test]
fn failed_fetch_leaves_the_earlier_file() {
    let faults = ["503", "500", "502", "504", "cut", "down", "html", "cut-half", "error-200", "404", "418"];
    at_once(faults, |fault| {
        at_once(["open.csv", "open.jsonl"], |file| {
            let program = program("1-60", &[&format!("{fault}@3-")]);
            fetch(&program, &format!("-o {file}")).expect_code(0);
            let before = fs::read(program.path(file)).expect("a file");
            let ended = fetch(&program, &format!("-o {file} --patience 0")).expect_code(4);
            ended.expect_text("list incomplete: 0 incidents read");
            assert_eq!(fs::read(program.path(file)).expect("a file"), before, "{fault}");
        });
    });
}

#[test]
fn incomplete_list_is_resumed_by_the_printed_command() {
    at_once(["503@2-8", "cut@2-8"], |fault| {
        let program = program("1-350", &[fault]);
        let ended = fetch(&program, "-o open.csv --patience 0").expect_code(4);
        let ended =
            ended.expect_text(by_api("list incomplete: 100 incidents read", "list incomplete: 50 incidents read"));
        assert_eq!(program.names(), ["open.csv.part", "requests.jsonl", "state"]);
        let next = ended.stderr.split("to resume:\n").nth(1).expect("a command").trim();
        let arguments = next.strip_prefix("bulk-triage ").expect("the program");
        program
            .run(arguments)
            .expect_code(0)
            .expect_text(by_api("resuming after the 100 incidents", "resuming after the 50 incidents"));
        assert_eq!(rows(&program, "open.csv"), 350);
    });
}

#[test]
fn empty_complete_list_replaces_and_says_so() {
    let program = program("1-60", &[]);
    fetch(&program, "-o open.csv").expect_code(0);
    let ended = fetch(&program, "-o open.csv --status resolved").expect_code(0);
    ended.expect_text("0 incidents (open.csv had 60), 1 request");
    assert_eq!(rows(&program, "open.csv"), 0);
    fetch(&program, "-o open.csv").expect_code(0);
    let ended = fetch(&program, "-o open.csv --status resolved --format json").expect_code(0);
    assert_eq!(ended.json()["replaced"], 60);
}

#[test]
fn too_large_pages_are_requested_smaller() {
    let program = program("1-350", &["huge@lists*2"]);
    fetch(&program, "-o open.csv").expect_code(0);
    assert_eq!(rows(&program, "open.csv"), 350);
    let sizes = page_sizes(&program.requests());
    assert_eq!(sizes[..2], [100, 50]);
    assert!(sizes[2..].iter().all(|size| *size == 25), "the list keeps its size: {sizes:?}");
}

/// A service whose list is linked to a next page at another host.
#[test]
fn link_to_another_host_leaves_the_list_incomplete() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let link = "https://graph.example/v1.0/security/incidents?$skip=1";
        let body = format!(r#"{{"value":[{{"id":"7","status":"active"}}],"@odata.nextLink":"{link}"}}"#);
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4_096]);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    let program = Program::new();
    let fetch = format!("fetch -o open.csv --contract graph --quota 1000/1s --base-url http://{address}");
    let ended = program.run(&fetch).expect_code(4).expect_text("leads elsewhere, to https://graph.example/v1.0/");
    ended.expect_text("list incomplete: 0 incidents read");
    assert!(!program.path("open.csv").exists());
}

/// 250 KB each, like incidents with many alerts.
#[test]
fn list_of_large_incidents_is_complete() {
    let program = Program::new().emulator(|settings| {
        settings.incidents = "1-100".parse().expect("incidents");
        settings.incident_size = 250_000;
    });
    fetch(&program, "-o open.csv --patience 10s").expect_code(0);
    assert_eq!(rows(&program, "open.csv"), 100);
}

#[test]
fn too_large_incident_is_named() {
    let program = program("1-9", &["huge@lists"]);
    let ended = fetch(&program, "-o open.csv").expect_code(4).expect_text("incident 1 of the list");
    ended.expect_text("list incomplete: 0 incidents read");
    let sizes = page_sizes(&program.requests());
    assert!(sizes.starts_with(by_api(&[100, 50, 25, 10, 1], &[50, 25, 10, 1])), "{sizes:?}");
    assert!(!program.path("open.csv").exists());
}

#[test]
fn failing_list_is_replaced_by_single_reads() {
    at_once(["500", "502", "503", "504", "cut", "html", "cut-half", "404"], |fault| {
        at_once([("", "tags", "+tuned"), (" --compare", "status", "Resolved")], |(option, column, value)| {
            let text: Vec<String> = (1..=40).map(|id| format!("{id},{value}\n")).collect();
            let program = program("1-5000", &[&format!("{fault}@lists")])
                .file("a.csv", format!("incidentId,{column}\n{}", text.concat()));
            let ended = program.send(&format!("a.csv{option}")).expect_code(0);
            ended.expect_outcomes(&[("updated", 40)]);
            let requests = program.requests();
            assert_eq!(single_reads(&requests), 40, "{fault}");
            assert!(page_sizes(&requests).len() <= 3, "{fault}: {:?}", page_sizes(&requests));
        });
    });
}

/// A command that reads incidents first: its setup, its arguments, and the requests before its first read.
struct Reading {
    name: &'static str,
    column: &'static str,
    value: &'static str,
    before: &'static [&'static str],
    command: &'static str,
    requests_before: usize,
    output: Option<&'static str>,
}

const READINGS: [Reading; 7] = [
    Reading {
        name: "run",
        column: "status",
        value: "Resolved",
        before: &[],
        command: "run a.csv --compare --yes",
        requests_before: 0,
        output: None,
    },
    Reading {
        name: "dry run",
        column: "status",
        value: "Resolved",
        before: &[],
        command: "run a.csv --compare --dry-run",
        requests_before: 0,
        output: None,
    },
    Reading {
        name: "plan",
        column: "status",
        value: "Resolved",
        before: &[],
        command: "plan a.csv --compare -o a.plan",
        requests_before: 0,
        output: Some("a.plan"),
    },
    Reading {
        name: "apply",
        column: "status",
        value: "Resolved",
        before: &["plan a.csv --compare -o a.plan"],
        command: "apply a.plan --yes",
        requests_before: 12,
        output: None,
    },
    Reading {
        name: "tags",
        column: "tags",
        value: "+tuned",
        before: &[],
        command: "run a.csv --yes",
        requests_before: 0,
        output: None,
    },
    Reading {
        name: "redirects",
        column: "status",
        value: "Resolved",
        before: &[],
        command: "run a.csv --follow-redirects --yes",
        requests_before: 0,
        output: None,
    },
    Reading {
        name: "undo",
        column: "status",
        value: "Resolved",
        before: &["run a.csv --compare --yes"],
        command: "runs undo RUN -o undo.plan",
        requests_before: 24,
        output: Some("undo.plan"),
    },
];

impl Reading {
    /// The program after its setup, and the command.
    fn prepare(&self, fault: &str, failing: usize) -> (Program, Command) {
        let first = self.requests_before + 3;
        let last = if failing == 0 { String::new() } else { (first + failing - 1).to_string() };
        let fault = format!("{fault}@{first}-{last}");
        let program = program("1-5000", &[&fault]).file("a.csv", scattered(self.column, self.value));
        let quota = "--quota 100000/1s --concurrency 1";
        let target =
            |text: &str| if text.contains("undo") { String::new() } else { format!("--base-url {}", program.origin()) };
        for before in self.before {
            program.run(&format!("{before} {quota} {}", target(before))).expect_code(0);
        }
        assert_eq!(program.requests().len(), self.requests_before, "{}", self.name);
        let text = if self.command.contains("RUN") {
            self.command.replace("RUN", &program.last_run())
        } else {
            self.command.to_owned()
        };
        let command = program.command(&format!("{text} {quota} {}", target(self.command)));
        (program, command)
    }
}

#[test]
fn every_reading_command_waits_out_an_outage() {
    at_once(READINGS, |reading| {
        let (program, command) = reading.prepare("503", 6);
        started(command).end().expect_code(0);
        let reads = single_reads(&program.requests());
        assert!(reads >= reading.requests_before.min(12) + 12 + 6, "{}: {reads}", reading.name);
    });
}

#[test]
fn every_reading_command_stops_without_patience() {
    at_once(
        ["503", "cut"].into_iter().flat_map(|fault| READINGS.map(|reading| (fault, reading))),
        |(fault, reading)| {
            let (program, mut command) = reading.prepare(fault, 0);
            let updates = incidents(&program.updates());
            command.args(["--patience", "0"]);
            started(command).end().expect_code(4).expect_text("stopped before anything was sent");
            assert_eq!(incidents(&program.updates()), updates, "{}", reading.name);
            assert!(reading.output.is_none_or(|output| !program.path(output).exists()), "{}", reading.name);
        },
    );
}

#[test]
fn fetch_to_stdout_is_complete_or_empty() {
    let incidents = |faults: &[&str]| {
        let faults: Vec<_> = faults.iter().map(|fault| fault_of(fault)).collect();
        Program::new().emulator(move |settings| {
            settings.incidents = "1-150".parse().expect("incidents");
            settings.faults = faults.into_iter().collect();
        })
    };
    let program = incidents(&[]);
    let arguments = format!("fetch -o - --quota 1000/1s --base-url {}", program.origin());
    let fetched = program.run(&arguments).expect_code(0);
    assert_eq!(fetched.stdout.lines().count(), 151, "{}", fetched.printed());
    assert!(fetched.stdout.starts_with("incidentId,"));
    assert!(fetched.stderr.contains("150 incidents written to standard output, 3 requests\n"), "{}", fetched.printed());
    let file = program.run(&arguments.replace("-o -", "-o open.csv")).expect_code(0);
    assert!(file.stdout.contains("150 incidents in open.csv"), "{}", file.printed());
    let without_time =
        |text: &str| text.lines().map(|line| line.rsplit_once(',').expect("cells").0.to_owned()).collect::<Vec<_>>();
    assert_eq!(without_time(&fetched.stdout).len(), without_time(&program.read("open.csv")).len());
    let names = program.names();
    assert!(!names.iter().any(|name| name == "-" || name.contains(".part")), "{names:?}");

    let stopped = incidents(&["503@2-"]);
    let arguments = format!("fetch -o - --patience 0 --quota 1000/1s --base-url {}", stopped.origin());
    let ended = stopped.run(&arguments).expect_code(4).expect_text("list incomplete");
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("nothing was written; to start over:\n  bulk-triage fetch -o - "),
        "{}",
        ended.printed()
    );
    assert!(!stopped.names().iter().any(|name| name == "-" || name.contains(".part")));
}
