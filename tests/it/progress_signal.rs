//! SIGUSR1 prints the progress, and ends no command.

use std::io::{BufRead as _, Write as _};
use std::process::Stdio;

use rustix::process::Signal;

use crate::program::{Program, closing, eventually, started, started_as_it_is};

#[test]
fn usr1_prints_progress_and_the_run_continues() {
    let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["stall@#2*1"]);
    let mut command = program.send_command("a.csv --concurrency 1 -q");
    let (mut said, stderr) = std::io::pipe().expect("a pipe");
    command.stdout(Stdio::piped()).stderr(stderr);
    let running = started_as_it_is(command);
    program.wait_for_requests(2);
    running.signal(Signal::USR1);
    let mut line = String::new();
    std::io::BufReader::new(&mut said).read_line(&mut line).expect("a line");
    assert!(line.starts_with("1 of 3 rows: 1 updated"), "{line}");
    running.signal(Signal::INT);
    running.signal(Signal::USR1);
    running.kill();
}

/// Even if there is no progress to show.
#[test]
fn usr1_ends_no_command() {
    let program = Program::new();
    let mut command = program.command("check -");
    let (input, mut rows) = std::io::pipe().expect("a pipe");
    command.stdin(input);
    let running = started(command);
    rows.write_all(b"incidentId,status\n").expect("it reads");
    let status = format!("/proc/{}/status", running.number());
    eventually("it catches the signal", || {
        let status = std::fs::read_to_string(&status).expect("it is running");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask").trim().to_owned();
        u64::from_str_radix(&mask, 16).expect("a number") >> (Signal::USR1.as_raw() - 1) & 1 == 1
    });
    running.signal(Signal::USR1);
    rows.write_all(b"1,Active\n").expect("it reads on");
    drop(rows);
    running.end().expect_code(0).expect_text("1 row, valid");
}
