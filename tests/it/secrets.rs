//! Promise 6: secrets stay secret. The token is in no file, log, error, output or process list; it goes over https only
//! (except to loopback), and no redirect is followed.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::program::{Ended, Program, TOKEN, closing, files_below, started};
use crate::untrusted_data::server;

/// Enough of it to be of use to an attacker.
fn is_in(bytes: &[u8]) -> bool {
    let telling = &TOKEN.as_bytes()[..20];
    bytes.windows(telling.len()).any(|window| window == telling)
}

#[track_caller]
fn expect_silent(ended: &Ended) {
    assert!(!is_in(ended.stdout.as_bytes()) && !is_in(ended.stderr.as_bytes()), "{}", ended.printed());
}

/// Looks into every file below a directory, and says how many there are.
fn expect_in_no_file(dir: &Path) -> usize {
    let files = files_below(dir);
    for path in &files {
        assert!(!is_in(&fs::read(path).expect("a file")), "{}", path.display());
    }
    files.len()
}

#[test]
fn token_is_in_no_output_file_or_argument() {
    let faults = ["cut-after@#2*1", "503@#3*1", "400@#4", "404@#5", "redirect@#6", "html@#7*1", "401@#8*1"];
    let program = Program::new().file("a.csv", closing(1..=20)).faulty_emulator(&faults);
    let running = program.start_sending("a.csv -vvv --log-file log.txt --metrics-file job.prom");
    program.wait_for_requests(1);
    assert!(!is_in(&running.command_line()));
    expect_silent(&running.end());
    expect_silent(&program.send("a.csv -vvv"));
    expect_silent(&program.run("runs list -vvv"));
    let shown = program.run(&format!("runs show {} --format json --report page.html", program.last_run()));
    expect_silent(&shown.expect_text(r#"{"name":"token","value":"(set)","origin":"env BULK_TRIAGE_TOKEN"}"#));
    assert!(program.read("log.txt").contains("request ended"), "the log is at its highest level");
    assert!(expect_in_no_file(&program.path("")) > 5);
}

/// The user who runs the program if root runs the tests.
const ANYBODY: u32 = 20_001;

/// Not even another process of the same user can read it.
#[test]
fn process_memory_is_closed_to_others() {
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
    // If a process is not dumpable, the kernel gives these files to root, otherwise to its user.
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
    assert!(ended.code != Some(0) && ended.stdout.is_empty(), "{}", ended.printed());
    running.kill();
}

#[test]
fn killed_process_leaves_no_token_behind() {
    let program = Program::new().file("a.csv", closing(1..=20)).faulty_emulator(&["stall@5-"]);
    let running = program.start_sending("a.csv -vvv --log-file log.txt");
    program.wait_for_requests(8);
    running.kill();
    expect_in_no_file(&program.path(""));
}

/// The token as a server may echo it: whole, in part, in other case, percent-encoded, in JSON escapes, in base64.
fn repeated(token: &str) -> String {
    let percent = token.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let escaped = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat();
    let encoded = ["", "x", "Bearer "].map(|before| BASE64_STANDARD.encode(format!("{before}{token}"))).join(" ");
    [token, &token[10..30], &token.to_uppercase(), &percent, &escaped, &encoded].join(" ")
}

/// Whether a file holds 16 bytes of it in any of these forms.
fn holds(bytes: &[u8], token: &str) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let pieces = token.as_bytes().windows(16).map(|piece| str::from_utf8(piece).expect("ASCII").to_lowercase());
    let encoded = |piece: &str, form: &dyn Fn(u8) -> String| piece.bytes().map(form).collect::<String>();
    let in_base64 = (0..3)
        .map(|skipped| BASE64_STANDARD.encode(&token.as_bytes()[skipped..token.len() - (token.len() - skipped) % 3]));
    let of_base64 = |encoded: String| {
        encoded.to_lowercase().as_bytes().windows(16).any(|piece| text.contains(str::from_utf8(piece).expect("ASCII")))
    };
    in_base64.into_iter().any(of_base64)
        || pieces.into_iter().any(|piece| {
            let percent = encoded(&piece, &|byte| format!("%{byte:02x}"));
            let escaped = encoded(&piece, &|byte| format!("\\u{byte:04x}"));
            [piece, percent, escaped].iter().any(|form| text.contains(form.as_str()))
        })
}

fn expect_held_nowhere(dir: &Path, token: &str) {
    for path in files_below(dir).iter().filter(|path| path.file_name() != Some("token".as_ref())) {
        assert!(!holds(&fs::read(path).expect("a file"), token), "{}", path.display());
    }
}

/// A server that echoes `text` in every text of a response. `refuse` selects the requests that get a 401; the others
/// get this status. It keeps the bodies of updates.
fn parrot(
    status: &'static str,
    text: String,
    refuse: impl Fn(&str) -> bool + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let updates = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&updates);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let (mut head, mut length) = (String::new(), 0);
            while reader.read_line(&mut head).unwrap_or(0) > 2 {
                let last = head.lines().last().unwrap_or_default().to_ascii_lowercase();
                length =
                    last.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().expect("one"));
            }
            let mut body = String::new();
            // The client may have cut the request.
            let _ = reader.by_ref().take(length).read_to_string(&mut body);
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let incident = |id: &str| {
                format!(
                    "{{\"incidentId\":{id},\"incidentName\":\"{text}\",\"status\":\"Active\",\"severity\":\"{text}\",\
                     \"assignedTo\":\"{text}\",\"tags\":[\"{text}\",\"b\"],\"classification\":\"{text}\",\
                     \"comments\":[{{\"comment\":\"{text}\",\"createdTime\":\"2026-11-24T10:00:00Z\"}}]}}"
                )
            };
            let answer = match path.strip_prefix("/api/incidents/") {
                _ if status.starts_with('4') => {
                    format!("{{\"error\":{{\"code\":\"{text}\",\"message\":\"Bearer {text}\",\"target\":\"{text}\"}}}}")
                }
                Some(id) => incident(id),
                None if path.contains("skip=0") => format!("{{\"value\":[{},{}]}}", incident("1"), incident("2")),
                // Pages overlap, so that no incident is missed.
                None if path.contains("skip=1") => format!("{{\"value\":[{}]}}", incident("2")),
                None => "{\"value\":[]}".to_owned(),
            };
            if head.starts_with("PATCH") {
                kept.lock().expect("no panic").push(body);
            }
            let status = if refuse(&head) { "401 No" } else { status };
            let plain = text.split(' ').next().unwrap_or_default();
            let response = format!(
                "HTTP/1.1 {status}\r\nrequest-id: {plain}\r\nx-echo: {plain}\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{answer}",
                answer.len()
            );
            let _ = reader.into_inner().write_all(response.as_bytes());
        }
    });
    (origin, updates)
}

/// Any command that reads the token, with any of its outputs.
#[test]
fn token_echoed_by_server_is_redacted_everywhere() {
    for status in ["400 Bad", "200 OK"] {
        let (origin, _) = parrot(status, repeated(TOKEN), |_| false);
        let rows = "incidentId,status,comment\n1,Resolved,c\n2,Active,\n";
        let program = Program::new().file("a.csv", rows).file("tags.csv", "incidentId,tags\n1,+a; -b\n");
        let to = format!("--base-url {origin} --quota 100000/1s --max-attempts 1 --patience 0");
        for arguments in [
            format!("run a.csv --yes -vvv --settle 10ms --log-file log.txt --report r.html {to}"),
            format!("run a.csv --yes -vvv --settle 10ms --remember 0 --report r.md --format json {to}"),
            format!("run a.csv --compare --dry-run --report d.html {to}"),
            format!("run a.csv --compare --yes --settle 10ms --remember 0 --results r.csv {to}"),
            format!("run tags.csv --yes -vvv --settle 10ms {to}"),
            format!("plan a.csv --compare -o a.plan {to}"),
            format!("fetch -o open.csv {to}"),
            format!("fetch -o open.jsonl --log-format json -vvv {to}"),
            "runs list --format json".to_owned(),
        ] {
            let ended = program.run(&arguments);
            assert!(!holds(ended.printed().as_bytes(), TOKEN), "{arguments}\n{}", ended.printed());
        }
        let run = program.last_run();
        for arguments in [format!("runs show {run} --all"), format!("runs undo {run} -o u.plan --base-url {origin}")] {
            let ended = program.run(&arguments);
            assert!(!holds(ended.printed().as_bytes(), TOKEN), "{arguments}\n{}", ended.printed());
        }
        if status.starts_with('2') {
            assert!(program.read("open.csv").contains("***token***"), "what was redacted is marked");
        }
        expect_held_nowhere(&program.path(""), TOKEN);
    }
}

/// The token from before a renewal is still a secret.
#[test]
fn earlier_token_is_redacted_too() {
    const NEXT: &str = "another-token-of-the-same-tenant-9876543210";
    let program = Program::new().file("a.csv", closing(1..=2)).file("token", TOKEN);
    let file = program.path("token");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its owner");
    let (origin, _) = parrot("400 Bad", repeated(TOKEN), move |head| {
        let is_first = head.contains(TOKEN);
        if is_first {
            fs::write(&file, NEXT).expect("a token");
        }
        is_first
    });
    let to = format!("--base-url {origin} --token-file token --log-file log.txt --results r.csv -vvv");
    let ended = program.run(&format!("run a.csv --yes --patience 0 {to}")).expect_code(1);
    assert!(!holds(ended.printed().as_bytes(), TOKEN), "{}", ended.printed());
    assert!(program.read("r.csv").contains("***token***"));
    expect_held_nowhere(&program.path(""), TOKEN);
}

/// A list or an owner that was redacted is not sent back.
#[test]
fn redacted_text_is_never_sent_back() {
    let (origin, updates) = parrot("200 OK", repeated(TOKEN), |_| false);
    let program = Program::new()
        .file("tags.csv", "incidentId,tags\n1,+a; -b\n")
        .file("copied.csv", "incidentId,assignedTo\n1,***token***\n")
        .file("own.csv", format!("incidentId,comment\n1,{TOKEN}\n"))
        .file("a.csv", "incidentId,assignedTo\n1,me\n");
    let to = format!("--base-url {origin} --yes --settle 10ms --patience 0");
    program.run(&format!("run tags.csv --results t.csv {to}")).expect_code(1).expect_outcomes(&[("failed", 1)]);
    program.run(&format!("run copied.csv --results c.csv {to}")).expect_code(1).expect_text("not sent");
    let own = program.run(&format!("run own.csv --results o.csv {to}")).expect_code(1).expect_text("not sent");
    let own = own.expect_text("\n0 requests in ").expect_outcomes(&[("failed", 1)]);
    assert_eq!(own.results()[0]["attempts"], "0");
    assert!(updates.lock().expect("no panic").is_empty());

    program.run(&format!("run a.csv --compare --results a.results.csv {to}"));
    let run = program.last_run();
    let undo = program.run(&format!("runs undo {run} -o u.plan --base-url {origin}"));
    assert!(undo.code != Some(0) || !program.path("u.plan").exists(), "{}", undo.printed());
    let sent = updates.lock().expect("no panic").concat();
    assert!(!sent.contains("***") && !holds(sent.as_bytes(), TOKEN), "{sent}");
}

/// The token in the file is sent, and stored nowhere.
#[test]
fn token_file_is_used_but_not_copied() {
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
fn token_file_readable_by_others_is_refused() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("token", TOKEN).emulator(|_| ());
    for mode in [0o644, 0o640, 0o602] {
        fs::set_permissions(program.path("token"), fs::Permissions::from_mode(mode)).expect("its owner");
        let ended = program.send("a.csv --token-file token").expect_code(5).expect_text("chmod 600");
        expect_silent(&ended);
    }
    assert!(program.requests().is_empty());
}

#[test]
fn invalid_token_is_refused_and_not_shown() {
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
            assert!(!ended.printed().contains("s3cret"), "{}", ended.printed());
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

/// Pages are counted: the list's link to the next one is not used.
#[test]
fn next_link_to_another_host_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("a socket");
    let next = format!("http://{}/api/incidents?$skip=1", elsewhere.local_addr().expect("an address"));
    let list = serde_json::json!({
        "@odata.context": next, "@odata.nextLink": next, "nextLink": next,
        "value": [{"incidentId": 1, "incidentUri": next, "status": "Active"}],
    });
    let origin = server("200 OK", "application/json", list.to_string().into_bytes());
    let program = Program::new().file("a.csv", closing(1..=1));
    let to = format!("--quota 100000/1s --patience 0 --base-url {origin}");
    program.run(&format!("fetch -o open.csv {to}"));
    program.run(&format!("fetch -o one.csv --limit 1 {to}")).expect_code(0);
    program.run(&format!("run a.csv --compare --dry-run {to}"));
    let error = elsewhere.accept().expect_err("nobody came");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

/// A proxy from the environment would see the token of an http request.
#[test]
fn loopback_requests_use_no_proxy() {
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
