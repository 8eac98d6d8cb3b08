//! Promise 6: secrets stay secret. The token is in no file, log, error, output or process list; it goes over https only
//! (loopback aside), and no redirect is followed.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::program::{Ended, Program, TOKEN, closing, started};

/// As much of it as would help anybody.
fn is_in(bytes: &[u8]) -> bool {
    let telling = &TOKEN.as_bytes()[..20];
    bytes.windows(telling.len()).any(|window| window == telling)
}

#[track_caller]
fn expect_silent(ended: &Ended) {
    assert!(!is_in(ended.stdout.as_bytes()) && !is_in(ended.stderr.as_bytes()), "{}", ended.said());
}

/// Looks into every file below a directory.
fn expect_in_no_file(dir: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files += expect_in_no_file(&path);
        } else {
            assert!(!is_in(&fs::read(&path).expect("a file")), "{}", path.display());
            files += 1;
        }
    }
    files
}

#[test]
fn the_token_is_found_nowhere() {
    let faults = ["cut-after@#2*1", "503@#3*1", "400@#4", "404@#5", "redirect@#6", "html@#7*1", "401@#8*1"];
    let program = Program::new().file("a.csv", closing(1..=20)).faulty_emulator(&faults);
    let running = program.start_sending("a.csv -vvv --log-file log.txt");
    program.wait_for_requests(1);
    assert!(!is_in(&running.command_line()));
    expect_silent(&running.end());
    expect_silent(&program.send("a.csv -vvv"));
    expect_silent(&program.run("runs list -vvv"));
    assert!(program.read("log.txt").contains("call ended"), "the log is at its highest level");
    assert!(expect_in_no_file(&program.path("")) > 5);
}

/// Who runs the program if root runs the tests.
const ANYBODY: u32 = 20_001;

/// Not even another process of the same user.
#[test]
fn memory_of_a_token_holder_is_closed_to_others() {
    let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["stall@1-"]);
    let mut command = program.send_command("a.csv");
    if rustix::process::geteuid().is_root() {
        chown(program.dir(), Some(ANYBODY), Some(ANYBODY)).expect("root may");
        command.uid(ANYBODY).gid(ANYBODY);
    }
    let running = started(command);
    program.wait_for_requests(1);
    let limits = running.limits();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of Linux");
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{cores}");
    // The kernel gives these files of a process to root if it is not dumpable, and else to its user.
    let process = format!("/proc/{}", running.number());
    for file in ["environ", "mem", "maps"] {
        assert_eq!(fs::metadata(format!("{process}/{file}")).expect("is there").uid(), 0, "{file}");
    }
    let mut other = Command::new("cat");
    other.arg(format!("{process}/environ")).current_dir(program.dir());
    if rustix::process::geteuid().is_root() {
        other.uid(ANYBODY).gid(ANYBODY);
    }
    let ended = started(other).end();
    assert!(ended.code != Some(0) && ended.stdout.is_empty(), "{}", ended.said());
    running.kill();
}

#[test]
fn a_killed_process_leaves_no_token_behind() {
    let program = Program::new().file("a.csv", closing(1..=20)).faulty_emulator(&["stall@5-"]);
    let running = program.start_sending("a.csv -vvv --log-file log.txt");
    program.wait_for_requests(8);
    running.kill();
    expect_in_no_file(&program.path(""));
}

/// A server that sends back what it got, in every place there is.
#[test]
fn a_server_that_repeats_the_token_does_not_spread_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            // The request may be gone before it is read: so is the answer then.
            let _ = stream.read(&mut [0; 8_192]);
            let body = format!(
                "{{\"error\":{{\"code\":\"{TOKEN}\",\"message\":\"Bearer {TOKEN} is {TOKEN}\",\"target\":\"{TOKEN}\"}}}}"
            );
            let answer = format!(
                "HTTP/1.1 400 {TOKEN}\r\nrequest-id: {TOKEN}\r\nx-echo: {TOKEN}\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let program = Program::new().file("a.csv", closing(1..=4));
    for format in ["human", "json"] {
        let arguments = format!("run a.csv --yes -vvv --log-file log.txt --format {format} --base-url {origin}");
        expect_silent(&program.run(&arguments).expect_code(1));
    }
    expect_silent(&program.run(&format!("run a.csv --yes -vvv --base-url {origin}")).expect_code(1));
    expect_in_no_file(&program.path(""));
}

/// The token of a file goes where it shall, and into nothing else.
#[test]
fn a_token_file_is_used_and_not_copied() {
    let program =
        Program::new().file("a.csv", closing(1..=3)).file("token", format!("{TOKEN}\n")).emulator(|settings| {
            settings.token = Some(TOKEN.to_owned().into());
        });
    fs::set_permissions(program.path("token"), fs::Permissions::from_mode(0o600)).expect("its owner");
    let mut command = program.send_command("a.csv -vvv --log-file log.txt --token-file token");
    command.env("BULK_TRIAGE_TOKEN", "another one");
    expect_silent(&started(command).end().expect_code(0));
    fs::remove_file(program.path("token")).expect("it is there");
    expect_in_no_file(&program.path(""));
}

#[test]
fn a_token_file_that_others_can_read_is_refused() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("token", TOKEN).emulator(|_| ());
    for mode in [0o644, 0o640, 0o602] {
        fs::set_permissions(program.path("token"), fs::Permissions::from_mode(mode)).expect("its owner");
        let ended = program.send("a.csv --token-file token").expect_code(5).expect_text("chmod 600");
        expect_silent(&ended);
    }
    assert!(program.requests().is_empty());
}

#[test]
fn a_token_that_is_none_is_refused_and_not_shown() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    for token in [String::new(), format!("Bearer {TOKEN}"), format!("{TOKEN}\n{TOKEN}"), format!("{TOKEN}\u{e9}")] {
        let mut command = program.send_command("a.csv");
        command.env("BULK_TRIAGE_TOKEN", &token);
        expect_silent(&started(command).end().expect_code(5).expect_text("token"));
    }
    let mut command = program.send_command("a.csv");
    command.env_remove("BULK_TRIAGE_TOKEN");
    started(command).end().expect_code(5).expect_text("BULK_TRIAGE_TOKEN").expect_text("--token-file");
    for file in ["missing", "."] {
        program.send(&format!("a.csv --token-file {file}")).expect_code(5).expect_text(file);
    }
    assert!(program.requests().is_empty());
}

#[test]
fn http_goes_to_loopback_only() {
    let program = Program::new().file("a.csv", closing(1..=3));
    for url in [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://[::2]",
        "http://user:s3cret@127.0.0.1",
        "ftp://127.0.0.1",
        "https://api.example.com/path",
        "https://api.example.com?sig=s3cret",
        "https://api.example.com/?sig=s3cret#s3cret",
        "https:api.example.com?s3cret",
        "api.example.com",
    ] {
        for command in ["run a.csv --yes", "run a.csv --dry-run"] {
            let ended = program.run(&format!("{command} --base-url {url}")).expect_code(2);
            assert!(!ended.said().contains("s3cret"), "{}", ended.said());
        }
    }
    assert_eq!(program.names(), ["a.csv"], "nothing was begun");
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("a socket");
    let address = elsewhere.local_addr().expect("an address");
    let program = Program::new()
        .file("a.csv", closing(1..=2))
        .faulty_emulator(&[&format!("redirect@#1=http://{address}/"), "redirect@#2=/api/incidents/9"]);
    program.send("a.csv").expect_code(1).expect_outcomes(&[("failed", 2)]);
    let error = elsewhere.accept().expect_err("nobody came");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(program.requests().len(), 2);
}

/// A proxy of the environment would see the token of an http call.
#[test]
fn no_proxy_stands_between_the_program_and_loopback() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    proxy.set_nonblocking(true).expect("a socket");
    let address = proxy.local_addr().expect("an address");
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
    let mut command = program.send_command("a.csv");
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(variable, format!("http://{address}"));
    }
    started(command).end().expect_code(0);
    assert!(proxy.accept().is_err(), "nobody came");
}
