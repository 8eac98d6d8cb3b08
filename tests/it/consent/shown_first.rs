//! Standard error names the target before the first request, for every command.

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use crate::program::{Program, finished};

/// A proxy before an emulator that records at each connection what the program has printed so far.
struct Watched {
    origin: String,
    said: PathBuf,
    at_arrival: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    fn start(program: &Program) -> Watched {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let (said, at_arrival) = (program.path("said"), Arc::new(Mutex::new(Vec::new())));
        let (emulator, path, kept) = (program.origin().replace("http://", ""), said.clone(), Arc::clone(&at_arrival));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                kept.lock().expect("no panic").push(read(&path));
                let far = TcpStream::connect(&emulator).expect("an emulator");
                forward(&near, &far);
                forward(&far, &near);
            }
        });
        Watched { origin, said, at_arrival }
    }

    /// Runs it with standard error in a file. Returns its content at the first connection, and at the end.
    fn run(&self, program: &Program, arguments: &str) -> (Option<String>, String) {
        self.at_arrival.lock().expect("no panic").clear();
        let mut command = program.command(arguments);
        command.stdout(Stdio::null()).stderr(File::create(&self.said).expect("a file"));
        finished(&mut command).expect("it starts");
        (self.at_arrival.lock().expect("no panic").first().cloned(), read(&self.said))
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn forward(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

#[test]
fn target_is_printed_before_the_first_request() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n").emulator(|_| ());
    let watched = Watched::start(&program);
    let origin = &watched.origin;
    let expect_first = |arguments: &str| {
        let (at_arrival, _) = watched.run(&program, arguments);
        let said = at_arrival.unwrap_or_else(|| panic!("no request: {arguments}: {}", read(&watched.said)));
        assert!(said.contains("target") && said.contains(origin.as_str()), "{arguments}: {said:?}");
    };
    for arguments in [
        format!("run a.csv --yes --settle 150ms --base-url {origin}"),
        format!("run a.csv --dry-run --compare --base-url {origin}"),
        format!("plan a.csv --compare --set status=Active --base-url {origin} -o a.plan"),
        "apply a.plan --yes --settle 150ms".to_owned(),
        format!("plan a.csv --compare --base-url {origin}"),
        format!("fetch -o b.csv --base-url {origin}"),
        format!("fetch -o - --base-url {origin}"),
        format!("run a.csv --compare --remember 0 --settle 150ms --yes --base-url {origin}"),
    ] {
        expect_first(&arguments);
    }
    expect_first(&format!("runs undo {} -o undo.plan", program.last_run()));
    expect_first("apply undo.plan --yes --settle 150ms");
}

#[test]
fn resumed_run_prints_its_target_first() {
    let program = Program::new()
        .file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n")
        .faulty_emulator(&["503@#1*9", "503@#2*9"]);
    let watched = Watched::start(&program);
    let to = format!("--settle 150ms --patience 0 --base-url {}", watched.origin);
    watched.run(&program, &format!("run a.csv --yes {to}"));
    let run = program.last_run();
    let (at_arrival, _) = watched.run(&program, &format!("runs resume {run} --yes {to}"));
    let said = at_arrival.expect("a request");
    assert!(said.contains("target") && said.contains(&watched.origin), "{said:?}");
}

/// `-q` prints no target; instead the summary, the log and a JSON summary name it.
#[test]
fn quiet_run_names_target_in_summary_and_log() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n").emulator(|_| ());
    let origin = program.origin();
    let ended = program.send("a.csv -q --log-file log.txt").expect_code(0);
    assert!(!ended.stderr.contains("target"), "{}", ended.printed());
    assert!(ended.stdout.contains(&origin), "{}", ended.printed());
    assert!(program.read("log.txt").contains(&origin), "{}", program.read("log.txt"));
    let ended = program.send("a.csv -q --remember 0 --format json").expect_code(0);
    assert_eq!(ended.json()["origin"], origin.as_str());
    let fetch = program.run(&format!("fetch -o b.csv -q --format json --base-url {origin}")).expect_code(0);
    assert_eq!(fetch.json()["origin"], origin.as_str());
    let fetch = program.run(&format!("fetch -o b.csv -q --base-url {origin}")).expect_code(0);
    assert!(fetch.stdout.contains(&origin) && !fetch.stderr.contains("target"), "{}", fetch.printed());
    let running = program.run("runs --format json").expect_code(0);
    assert_eq!(running.json()[0]["origin"], origin.as_str());
}
