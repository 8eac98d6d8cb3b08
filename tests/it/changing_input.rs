//! Promise 7: a file that changes while it is read is not sent.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::faults::is_root;
use crate::program::{Ended, Program, Started, eventually, started};

/// Much more than is read at once.
fn long_file() -> String {
    let rows = (1..30_000).map(|id| format!("{id},Resolved,ana.silva@contoso.com\n"));
    ["incidentId,status,assignedTo\n".to_owned()].into_iter().chain(rows).collect()
}

type Change = fn(&Path);

/// What happens to the file during the read.
const CHANGES: [(&str, Change); 5] = [
    ("truncated", |path| {
        let content = fs::read_to_string(path).expect("the file");
        let line_end = content[..content.len() / 2].rfind('\n').expect("a line") as u64 + 1;
        OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(line_end)).expect("it is truncated");
    }),
    ("extended", |path| {
        let file = OpenOptions::new().append(true).open(path);
        file.and_then(|mut file| file.write_all(b"70000,Resolved,x@y.example\n")).expect("it is extended");
    }),
    ("rewritten", |path| {
        let content = fs::read(path).expect("the file");
        let file = OpenOptions::new().write(true).open(path);
        file.and_then(|mut file| file.write_all(&content)).expect("it is rewritten");
    }),
    ("replaced", |path| {
        let other = path.with_extension("other");
        fs::copy(path, &other).and_then(|_| fs::rename(&other, path)).expect("it is replaced");
    }),
    ("removed", |path| fs::remove_file(path).expect("it is removed")),
];

/// Starts a command, stops it once it has read part of the file, changes the file and continues it. If the command was
/// too fast to be stopped in time, tries again.
fn change_during(start: impl Fn() -> Command, file: &Path, change: Change) -> Ended {
    let length = fs::metadata(file).expect("the file").len();
    loop {
        let mut running = started(start());
        eventually("the file is being read", || {
            position_in(&running, file) >= length / 8 || running.ends_within(Duration::ZERO)
        });
        let is_stopped = running.try_signal(Signal::STOP).is_ok() && has_stopped(&running);
        // `plan` first opens it to see whether it is a plan, and reads no more than its beginning.
        if is_stopped && (length / 8..length).contains(&position_in(&running, file)) {
            change(file);
            running.signal(Signal::CONT);
            return running.end();
        }
        let _ = running.try_signal(Signal::KILL);
        running.end();
    }
}

/// Waits until all threads have stopped: the signal stops one, and on a busy machine the others read on. False if the
/// process has ended.
fn has_stopped(running: &Started) -> bool {
    let process = Pid::from_raw(running.number()).expect("a process");
    let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(process), options).is_ok_and(|status| status.is_some_and(|status| status.stopped()))
}

/// How much of the file was read; 0 if it is not open. The first byte fixes the identity of the file.
fn position_in(running: &Started, file: &Path) -> u64 {
    let process = format!("/proc/{}", running.number());
    let open = fs::read_dir(format!("{process}/fd")).into_iter().flatten().flatten();
    let mut its = open.filter(|open| fs::read_link(open.path()).is_ok_and(|target| target == file));
    let position = its.next().and_then(|open| {
        let info = fs::read_to_string(format!("{process}/fdinfo/{}", open.file_name().to_string_lossy())).ok()?;
        info.lines().next()?.split_whitespace().nth(1)?.parse().ok()
    });
    position.unwrap_or_default()
}

#[test]
fn changed_input_is_refused_by_every_command() {
    if !is_root("files that change while they are read") {
        return;
    }
    let content = long_file();
    for (what, change) in CHANGES {
        for arguments in ["check a.csv", "run a.csv --yes", "run a.csv --dry-run", "plan a.csv -o a.plan"] {
            let program = Program::new().file("a.csv", &content).emulator(|_| ());
            let command = || {
                let mut command = program.command(arguments);
                if !arguments.starts_with("check") {
                    command.args(["--base-url", &program.origin()]);
                }
                command
            };
            let path = fs::canonicalize(program.path("a.csv")).expect("a path");
            let ended = change_during(command, &path, change);
            let ended = ended.expect_code(3).expect_text("input-changed");
            assert!(program.requests().is_empty(), "{arguments}, {what}: {}", ended.printed());
            assert!(!program.path("a.plan").exists(), "{arguments}, {what}");
        }
    }
}

#[test]
fn changed_standard_input_is_refused() {
    if !is_root("files that change while they are read") {
        return;
    }
    let program = Program::new().file("a.csv", long_file());
    let path = fs::canonicalize(program.path("a.csv")).expect("a path");
    let (_, truncate) = CHANGES[0];
    let command = || {
        let mut command = program.command("check -");
        command.stdin(File::open(&path).expect("the file"));
        command
    };
    change_during(command, &path, truncate).expect_code(3).expect_text("input-changed");
}

#[test]
fn truncated_id_in_last_line_is_named() {
    let program =
        Program::new().file("a.csv", "incidentId\n48212\n482").file("whole.csv", "incidentId\n48212\n48213\n");
    let ended = program.run("check a.csv --set status=Resolved").expect_code(0);
    ended.expect_text("warning[unterminated-line]").expect_text("line 3").expect_text("482").expect_text("a.csv:3");
    let ended = program.run("check whole.csv --set status=Resolved").expect_code(0);
    assert!(!ended.printed().contains("unterminated-line"));
}
