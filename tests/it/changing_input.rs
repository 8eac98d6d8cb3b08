//! Promise 7: what is sent comes from a file that did not change while it was read.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::program::{Ended, Program, Started, eventually, started_as_it_is};

/// Longer than all that is read ahead. Its first row gives a warning.
fn long_file() -> String {
    let rows = (2..60_000).map(|id| format!("{id},Resolved,ana.silva@contoso.com\n"));
    ["incidentId,status,assignedTo\n1,Resolved, ana.silva@contoso.com\n".to_owned()].into_iter().chain(rows).collect()
}

type Change = fn(&Path);

/// What happens to the file while it is read.
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

/// Starts a command that stops at its first line on standard error or output, because the pipe is full; changes the
/// file when it is open and partly read; and reads the pipe.
fn change_during(mut command: Command, file: &Path, on_stdout: bool, change: Change) -> Ended {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags");
    while writer.write(&[b' '; 1024]).is_ok() {}
    while writer.write(b" ").is_ok() {}
    fcntl_setfl(&writer, flags).expect("flags");
    if on_stdout {
        command.stdout(writer).stderr(File::create(file.with_extension("err")).expect("a file"));
    } else {
        command.stderr(writer).stdout(File::create(file.with_extension("out")).expect("a file"));
    }
    let running = started_as_it_is(command);
    eventually("the file is being read", || has_read(&running, file));
    change(file);
    let mut said = String::new();
    reader.read_to_string(&mut said).expect("what it says");
    let mut ended = running.end();
    if on_stdout { &mut ended.stdout } else { &mut ended.stderr }.push_str(said.trim_start());
    ended
}

/// Whether something of the file was read: by then it was compared with what it was.
fn has_read(running: &Started, file: &Path) -> bool {
    let process = format!("/proc/{}", running.number());
    let Ok(open) = fs::read_dir(format!("{process}/fd")) else { return false };
    open.flatten().any(|open| {
        let is_it = fs::read_link(open.path()).is_ok_and(|target| target == file);
        let info = fs::read_to_string(format!("{process}/fdinfo/{}", open.file_name().to_string_lossy()));
        let position =
            info.unwrap_or_default().lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        is_it && position.is_some_and(|position: u64| position > 0)
    })
}

#[test]
fn changed_input_is_refused_by_every_command() {
    let content = long_file();
    for (what, change) in CHANGES {
        for arguments in ["check a.csv", "run a.csv --yes", "run a.csv --dry-run", "plan a.csv -o a.plan"] {
            let program = Program::new().file("a.csv", &content).emulator(|_| ());
            let mut command = program.command(arguments);
            if !arguments.starts_with("check") {
                command.args(["--base-url", &program.origin()]);
            }
            let path = fs::canonicalize(program.path("a.csv")).expect("a path");
            let ended = change_during(command, &path, arguments.starts_with("check"), change);
            let ended = ended.expect_code(3).expect_text("input-changed");
            assert!(program.requests().is_empty(), "{arguments}, {what}: {}", ended.said());
            assert!(!program.path("a.plan").exists(), "{arguments}, {what}");
        }
    }
}

#[test]
fn changed_standard_input_is_refused() {
    let program = Program::new().file("a.csv", long_file());
    let path = fs::canonicalize(program.path("a.csv")).expect("a path");
    let (_, truncate) = CHANGES[0];
    let mut command = program.command("check -");
    command.stdin(File::open(&path).expect("the file"));
    change_during(command, &path, true, truncate).expect_code(3).expect_text("input-changed");
}

#[test]
fn cut_id_in_the_last_line_is_named() {
    let program =
        Program::new().file("a.csv", "incidentId\n48212\n482").file("whole.csv", "incidentId\n48212\n48213\n");
    let ended = program.run("check a.csv --set status=Resolved").expect_code(0);
    ended.expect_text("warning[unterminated-line]").expect_text("line 3").expect_text("482").expect_text("a.csv:3");
    let ended = program.run("check whole.csv --set status=Resolved").expect_code(0);
    assert!(!ended.said().contains("unterminated-line"));
}
