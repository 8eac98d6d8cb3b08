//! Promise 3 against a power cut: when a request's bytes leave, its intent is on disk, not only in the kernel's memory.
//!
//! `strace` records in order what the program writes, syncs and sends. The test rebuilds the journal from it as a power
//! cut at each request would leave it: with the writes before the last sync only.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::faults::{is_root, left_out};
use crate::final_checks::{check_final_state, rows_with_comments};
use crate::program::{Program, finished, in_place_of, started};

const ROWS: u64 = 120;
const FILES: [&str; 2] = ["journal.db", "journal.db-wal"];

/// A file's bytes: those that a reader sees now, and those that a power cut would leave.
#[derive(Default)]
struct Traced {
    now: Vec<u8>,
    synced: Vec<u8>,
}

/// The disk according to the trace.
#[derive(Default)]
struct Disk {
    files: HashMap<&'static str, Traced>,
    /// The incidents with an open intent on disk; `None` if it must be looked up.
    intents: Option<HashSet<u64>>,
}

impl Disk {
    fn apply(&mut self, call: &str, arguments: &str, bytes: &[u8]) {
        // `7<PATH>, …`
        let path = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| plain(path));
        let is = |name: &&&str| path.as_ref().is_some_and(|path| path.ends_with(format!("/{name}").as_bytes()));
        let Some(name) = FILES.iter().find(is) else { return };
        let file = self.files.entry(name).or_default();
        let last = || arguments.rsplit(", ").next().and_then(|last| last.parse::<usize>().ok()).expect("a number");
        match call {
            "pwrite64" => {
                let end = last() + bytes.len();
                file.now.resize(file.now.len().max(end), 0);
                file.now[last()..end].copy_from_slice(bytes);
            }
            "ftruncate" => file.now.resize(last(), 0),
            "fsync" | "fdatasync" => {
                file.synced.clone_from(&file.now);
                self.intents = None;
            }
            other => panic!("{other} of {name} is not understood"),
        }
    }

    /// Whether a power cut now would leave the intent to update this incident.
    fn has_intent(&mut self, incident: u64) -> bool {
        let files = &self.files;
        self.intents.get_or_insert_with(|| open_intents(files)).contains(&incident)
    }
}

fn open_intents(files: &HashMap<&'static str, Traced>) -> HashSet<u64> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, file) in files {
        fs::write(dir.path().join(name), &file.synced).expect("a file");
    }
    #[expect(clippy::disallowed_methods, reason = "what is on the disk is not seen through the journal's eyes")]
    let db = Connection::open(dir.path().join(FILES[0])).expect("a database");
    let Ok(mut open) = db.prepare("SELECT incident FROM attempts WHERE ended IS NULL AND kind > 0") else {
        return HashSet::new(); // not even the tables are there
    };
    let found = open.query_map([], |row| row.get(0)).expect("attempts");
    found.collect::<Result<_, _>>().expect("incidents")
}

/// The traced system calls.
const CALLS: [&str; 9] =
    ["pwrite64", "ftruncate", "fsync", "fdatasync", "sendto", "sendmsg", "write", "writev", "pwritev"];

/// A complete system call of a trace.
struct Call {
    name: String,
    arguments: String,
}

/// Joins the calls that `strace` split because other threads' calls came between. A call is ordered by its return, one
/// that may send by its start.
fn calls(trace: &str) -> Vec<Call> {
    let may_send = |call: &str| call.starts_with("send") || call.starts_with("write");
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (thread, text) = line.split_once(' ').expect("THREAD CALL");
        let text = text.trim_start();
        let whole = if let Some(first) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, first);
            may_send(first).then(|| first.to_owned())
        } else if let Some((_, rest)) = text.split_once(" resumed>") {
            let first = begun.remove(thread).filter(|first| !may_send(first));
            first.map(|first| format!("{first}{rest}"))
        } else {
            Some(text.to_owned())
        };
        // `NAME(ARGUMENTS) = RESULT`; lines with `+++` or `---` are not calls.
        if let Some((name, rest)) = whole.as_deref().and_then(|whole| whole.split_once('(')) {
            let arguments = &rest[..rest.rfind(')').unwrap_or(rest.len())];
            calls.push(Call { name: name.to_owned(), arguments: arguments.to_owned() });
        }
    }
    calls
}

/// The bytes of all strings among the arguments.
fn bytes(arguments: &str) -> Vec<u8> {
    arguments.split('"').skip(1).step_by(2).flat_map(plain).collect()
}

/// Decodes the `\x2f\x74` of `strace -xx`.
fn plain(hex: &str) -> Vec<u8> {
    let byte = |digits| u8::from_str_radix(digits, 16).expect("two digits");
    hex.split("\\x").skip(1).map(byte).collect()
}

/// The incident that this request updates.
fn update(bytes: &[u8]) -> Option<u64> {
    let text = str::from_utf8(bytes).ok()?.strip_prefix("PATCH /api/incidents/")?;
    text.split_once(' ')?.0.parse().ok()
}

fn traced(program: &Program, trace: &Path) -> Option<Command> {
    let sent = program.send_command("a.csv --results r.csv --quota 100000/1s --no-progress");
    // The program is closed to other processes of its user, but root in a user namespace may trace it.
    let as_root: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["unshare", "--user", "--map-root-user"] };
    let command = [as_root, &["strace"]].concat();
    let mut strace = in_place_of(&sent, command[0]);
    strace.args(&command[1..]);
    strace.args(["-f", "-y", "-xx", "-s", "100000", "-e"]).arg(format!("trace={}", CALLS.join(",")));
    strace.arg("-e").arg("signal=none").arg("-o").arg(trace);
    let mut tried = Command::new(command[0]);
    let can = finished(tried.args(&command[1..]).args(["-o", "/dev/null", "true"]).stderr(Stdio::null()));
    if !can.is_ok_and(|status| status.success()) {
        if !is_root("what a power cut leaves, without user namespaces") {
            return None;
        }
        return left_out("there is no strace, or it may not look: what a power cut leaves is not known");
    }
    strace.arg(sent.get_program()).args(sent.get_args());
    Some(strace)
}

#[test]
fn intent_is_on_disk_at_every_request() {
    let program = Program::new().file("a.csv", rows_with_comments(ROWS)).emulator(|_| ());
    let trace = program.path("trace");
    let Some(command) = traced(&program, &trace) else { return };
    started(command).end().expect_code(0);
    check_final_state(&program, ROWS, "r.csv").expect("all is done");

    let trace = fs::read_to_string(trace).expect("a trace");
    let (mut disk, mut sent) = (Disk::default(), HashSet::new());
    for call in calls(&trace) {
        let bytes = bytes(&call.arguments);
        match update(&bytes) {
            Some(incident) => {
                assert!(
                    disk.has_intent(incident),
                    "the request for {incident} leaves before its intent is on the disk"
                );
                sent.insert(incident);
            }
            None => disk.apply(&call.name, &call.arguments, &bytes),
        }
    }
    assert_eq!(sent.len() as u64, ROWS, "every row's request was seen");
}
