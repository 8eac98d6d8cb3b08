//! Tokens as tools write them, platforms mount them and services issue them: only a token for this service is sent, and
//! a refusal explains what to do before any request.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bulk_triage::clock::Clock;

use crate::program::{Ended, Program, at_once, closing, eventually, files_below, started, started_as_it_is};

/// A token that the emulator accepts.
const GOOD: &str = "eyJhbGciOiJub25lIn0.eyJpZCI6NywgfQ.c2ln";
/// A part of every text that must be refused.
const MARK: &str = "s3cret-that-is-not-a-token";

/// An unsigned JWT with these claims, as JSON.
pub(crate) fn jwt(claims: &str) -> String {
    format!("eyJhbGciOiJub25lIn0.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
}

/// Three rows, and a service that accepts only this token.
fn program(token: &str) -> Program {
    let token = token.to_owned();
    Program::new().file("a.csv", closing(1..=3)).emulator(|settings| {
        settings.token = Some(token.into());
    })
}

fn write(program: &Program, content: impl AsRef<[u8]>, mode: u32) {
    let _ = fs::remove_file(program.path("token"));
    program.write("token", content);
    fs::set_permissions(program.path("token"), Permissions::from_mode(mode)).expect("its owner");
}

/// `run`, with only the token of `BULK_TRIAGE_TOKEN`.
fn send_with(program: &Program, token: &str) -> Ended {
    let mut command = program.send_command("a.csv");
    command.env("BULK_TRIAGE_TOKEN", token);
    started(command).end()
}

/// `run`, with the token of the file.
fn command_with_file(program: &Program, options: &str) -> Command {
    let mut command = program.send_command(&format!("a.csv --token-file token {options}"));
    command.env_remove("BULK_TRIAGE_TOKEN");
    command
}

fn send_with_file(program: &Program, options: &str) -> Ended {
    started(command_with_file(program, options)).end()
}

#[test]
fn token_is_found_in_output_of_tools() {
    let texts = [
        format!("{GOOD}\r\n"),
        format!("\u{feff}{GOOD}\n"),
        format!(r#"{{"accessToken":"{GOOD}","expiresOn":"2026-11-28 12:00:00.000000","tokenType":"Bearer"}}"#),
        format!(
            "{{\n  \"token_type\": \"Bearer\",\n  \"access_token\": \"{GOOD}\",\n  \"refresh_token\": \"{MARK}\"\n}}\n"
        ),
        format!("\u{feff}{{\"token\":\"{GOOD}\"}}"),
    ];
    at_once(texts, |text| {
        let by_file = program(GOOD);
        write(&by_file, &text, 0o600);
        send_with_file(&by_file, "").expect_code(0).expect_outcomes(&[("updated", 3)]);
        send_with(&program(GOOD), &text).expect_code(0).expect_outcomes(&[("updated", 3)]);
    });
}

#[test]
fn invalid_token_text_is_refused_before_any_request() {
    let utf16: Vec<u8> = format!("\u{feff}{MARK}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let program = program(GOOD);
    for (text, said) in [
        (format!("\"{MARK}\"\n").into_bytes(), "quotation marks"),
        (format!("'{MARK}'\n").into_bytes(), "quotation marks"),
        (format!("Bearer {MARK}\n").into_bytes(), "begins with `Bearer`"),
        (format!("authorization: bearer {MARK}").into_bytes(), "begins with `Bearer`"),
        (utf16, "UTF-16"),
        (format!("{{\"refresh_token\":\"{MARK}\"}}").into_bytes(), "JSON without a token"),
        (format!("{{\"access_token\":\"{MARK}\"").into_bytes(), "JSON without a token"),
        (b"null\n".to_vec(), "holds the word `null`"),
        (br#"{"accessToken":"None"}"#.to_vec(), "holds the word `null`"),
        (format!("{MARK}\n{MARK}\n").into_bytes(), "white space inside, at byte 27"),
        (format!("{MARK}\u{e9}").into_bytes(), "a character that tokens don't have, at byte 27"),
        (format!("{MARK}=x").into_bytes(), "a character that tokens don't have, at byte 27"),
        ([MARK.as_bytes(), b"\xff"].concat(), "a character that tokens don't have, at byte 27"),
    ] {
        write(&program, &text, 0o600);
        let by_file = send_with_file(&program, "").expect_code(5).expect_text("error: the token file token ");
        let mut by_variable = program.send_command("a.csv");
        if !text.contains(&0) {
            use std::os::unix::ffi::OsStrExt as _;
            by_variable.env("BULK_TRIAGE_TOKEN", std::ffi::OsStr::from_bytes(&text));
            let ended = started(by_variable).end().expect_code(5).expect_text("error: BULK_TRIAGE_TOKEN ");
            assert!(!ended.expect_text(said).printed().contains(MARK));
        }
        assert!(!by_file.expect_text(said).printed().contains(MARK));
    }
    assert!(program.requests().is_empty());
}

#[test]
fn token_file_mode_and_location_are_checked() {
    for mode in [0o600, 0o400, 0o440] {
        let program = program(GOOD);
        write(&program, GOOD, mode);
        send_with_file(&program, "").expect_code(0);
    }
    for mode in [0o644, 0o444, 0o640, 0o404] {
        let program = program(GOOD);
        write(&program, GOOD, mode);
        let ended = send_with_file(&program, "").expect_code(5);
        let said = format!(
            "error: the token file token can be read by others (mode {mode:03o})\n  help: run `chmod 600 token`; for a \
             secret mounted by a container platform, add --token-file-mode any\n"
        );
        assert_eq!(ended.stderr, said);
        assert!(program.requests().is_empty());
        send_with_file(&program, "--token-file-mode any").expect_code(0).expect_outcomes(&[("updated", 3)]);
    }
    let program = program(GOOD);
    for mode in [0o660, 0o602, 0o666] {
        write(&program, GOOD, mode);
        for options in ["", "--token-file-mode any"] {
            let ended = send_with_file(&program, options).expect_code(5);
            ended.expect_text("can be written by others").expect_text("help: run `chmod 600 token`\n");
        }
    }
    for path in ["/dev/null", "."] {
        let options = format!("--token-file {path} --token-file-mode any");
        let ended = program.send(&format!("a.csv {options}")).expect_code(5).expect_text("is not a regular file");
        ended.expect_text("help: write the token to a file that only you can read, or use --token-command");
    }
    assert!(program.requests().is_empty());
}

/// As systemd and Kubernetes mount a secret.
#[test]
fn mounted_secret_is_read_unless_link_leaves() {
    let program = program(GOOD);
    let send = |mode: u32, name: &str| {
        fs::set_permissions(program.path("mounted/..2026/token"), Permissions::from_mode(mode)).expect("its owner");
        let mut command = program.send_command(&format!("a.csv --remember 0 --token-file {name}"));
        command.env_remove("BULK_TRIAGE_TOKEN").env("CREDENTIALS_DIRECTORY", program.path("mounted"));
        started(command).end()
    };
    fs::create_dir_all(program.path("mounted/..2026")).expect("directories");
    program.write("mounted/..2026/token", GOOD);
    symlink("..2026", program.path("mounted/..data")).expect("a link");
    symlink("..data/token", program.path("mounted/token")).expect("a link");
    for mode in [0o400, 0o440, 0o444, 0o644] {
        send(mode, "mounted/token").expect_code(0);
    }
    let sent = program.requests().len();
    send(0o666, "mounted/token").expect_code(5).expect_text("can be written by others");
    write(&program, GOOD, 0o644);
    symlink(program.path("token"), program.path("mounted/outward")).expect("a link");
    send(0o400, "mounted/outward").expect_code(5).expect_text("can be read by others");
    assert_eq!(program.requests().len(), sent);
}

/// A service that accepts only the new token, and a file with the old one, whose refusal is on its way.
fn refused_once() -> (Program, crate::program::Started) {
    let program = program("the-new-token");
    write(&program, "the-old-token", 0o600);
    let running = started(command_with_file(&program, "--concurrency 1"));
    eventually("the old token is refused", || program.requests().iter().any(|request| request.status() == 401));
    (program, running)
}

#[test]
fn token_renewed_late_is_used() {
    let by_truncation = |program: &Program| {
        program.write("token", "");
        program.write("token", "the-new-token\n");
    };
    let by_rename = |program: &Program| {
        program.write("token.new", "the-new-token");
        fs::set_permissions(program.path("token.new"), Permissions::from_mode(0o600)).expect("its owner");
        fs::rename(program.path("token.new"), program.path("token")).expect("renames");
    };
    at_once([by_truncation as fn(&Program), by_rename], |renew| {
        let (program, running) = refused_once();
        renew(&program);
        running.end().expect_code(0).expect_outcomes(&[("updated", 3)]);
        assert_eq!(program.requests().len(), 4);
    });
}

#[test]
fn unrenewed_token_file_ends_the_run() {
    at_once(["the-old-token", ""], |left| {
        let (program, running) = refused_once();
        program.write("token", left);
        let ended = running.end().expect_code(5).expect_outcomes(&[("not-attempted", 3)]);
        ended.expect_text("the token file has no new token; the old one was refused");
        assert_eq!(program.requests().len(), 1);
    });
}

#[test]
fn renewed_token_for_another_service_is_not_sent() {
    let (program, running) = {
        let program = program("the-new-token");
        let ours = r#"{"aud":"https://api.security.microsoft.com","roles":["Incident.ReadWrite.All"]}"#;
        write(&program, jwt(ours), 0o600);
        let running = started(command_with_file(&program, "--concurrency 1"));
        eventually("it is refused", || program.requests().iter().any(|request| request.status() == 401));
        (program, running)
    };
    program.write("token", jwt(r#"{"aud":"https://graph.microsoft.com","roles":["Incident.ReadWrite.All"]}"#));
    let ended = running.end().expect_code(5);
    ended.expect_text("the token is for graph.microsoft.com, not for api.security.microsoft.com");
    assert_eq!(program.requests().len(), 1);
}

#[test]
fn empty_token_file_is_reread_at_start() {
    for content in ["", "\n"] {
        let program = program(GOOD);
        write(&program, content, 0o600);
        let mut command = command_with_file(&program, "");
        command.stdout(Stdio::piped()).stderr(File::create(program.path("said")).expect("a file"));
        let running = started_as_it_is(command);
        eventually("it waits", || program.read("said").contains("waiting for a token from the token file"));
        program.write("token", GOOD);
        running.end().expect_code(0).expect_outcomes(&[("updated", 3)]);
    }
    let program = program(GOOD);
    write(&program, "", 0o600);
    send_with_file(&program, "").expect_code(5).expect_text("error: the token file token is empty");
    assert!(program.requests().is_empty());
}

#[test]
fn expired_token_is_not_sent() {
    let program = program(GOOD);
    let now = Clock::machine().now().wall.as_second();
    let expired = jwt(&format!(r#"{{"exp":{}}}"#, now - 60));
    send_with(&program, &expired).expect_code(5).expect_text("error: the token expired at ");
    write(&program, &expired, 0o600);
    let ended = send_with_file(&program, "").expect_code(5);
    ended.expect_text("error: the token file has no new token; the old one expired at ");
    assert!(program.requests().is_empty());
    // A dry run sends nothing.
    let mut dry = program.command(&format!("run a.csv --dry-run --base-url {}", program.origin()));
    dry.env("BULK_TRIAGE_TOKEN", &expired);
    started(dry).end().expect_code(0);
}

#[test]
fn token_expiring_during_run_is_not_reused() {
    // The token expires in a few seconds; the quota makes the run longer.
    let now = Clock::machine().now().wall.as_second();
    let token = jwt(&format!(r#"{{"exp":{}}}"#, now + 4));
    let program = program(&token);
    program.write("a.csv", closing(1..=12));
    write(&program, &token, 0o600);
    let ended = send_with_file(&program, "--quota 1/2s").expect_code(5);
    ended.expect_text("the token file has no new token; the old one expired at ").expect_text("exit 5");
    let requests = program.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.status() == 200));
}

#[test]
fn token_for_another_service_is_refused_before_requests() {
    let program = program(GOOD);
    let (api, app) = ("https://api.security.microsoft.com", "8ee8fdad-f234-4243-8f3b-15c294843740");
    for (claims, said) in [
        (
            r#"{"aud":"https://graph.microsoft.com","scp":"User.Read"}"#.to_owned(),
            "error: the token is for graph.microsoft.com, not for api.security.microsoft.com",
        ),
        (
            format!(r#"{{"aud":"{api}","scp":"User.Read"}}"#),
            "error: the token has the permission `User.Read`; it needs `Incident.ReadWrite.All` (an application) or \
             `Incident.ReadWrite` (a user)",
        ),
        (format!(r#"{{"aud":"{app}","roles":["Incident.Read.All"]}}"#), "the permission `Incident.Read.All`; it needs"),
        (format!(r#"{{"aud":"{api}/"}}"#), "error: the token has no permission"),
    ] {
        send_with(&program, &jwt(&claims)).expect_code(5).expect_text(said);
    }
    let tenant = |scope: &str| {
        let mut command = program.send_command(&format!("a.csv --scope {scope}"));
        command.env("BULK_TRIAGE_TOKEN", jwt(r#"{"tid":"11111111-1111-1111-1111-111111111111"}"#));
        started(command).end()
    };
    let ended = tenant("22222222-2222-2222-2222-222222222222").expect_code(5);
    ended.expect_text("the token is for tenant 11111111-1111-1111-1111-111111111111, not for 22222222");
    assert!(program.requests().is_empty());
}

/// Reading needs no write permission.
#[test]
fn read_permission_is_enough_to_read() {
    let token = jwt(r#"{"aud":"8ee8fdad-f234-4243-8f3b-15c294843740","scp":"Incident.Read"}"#);
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|settings| {
        settings.token = Some(token.clone().into());
        settings.incidents = "1-9".parse().expect("incidents");
    });
    let origin = program.origin();
    let with_token = |arguments: &str| {
        let mut command = program.command(&format!("{arguments} --base-url {origin}"));
        command.env("BULK_TRIAGE_TOKEN", &token);
        started(command).end()
    };
    with_token("fetch -o open.csv").expect_code(0);
    with_token("run a.csv --dry-run --compare").expect_code(0);
    with_token("plan a.csv -o a.plan --compare").expect_code(0);
    let reads = program.requests().len();
    with_token("run a.csv --yes").expect_code(5).expect_text("the permission `Incident.Read`; it needs");
    let mut apply = program.command("apply a.plan --yes");
    apply.env("BULK_TRIAGE_TOKEN", &token);
    started(apply).end().expect_code(5).expect_text("the permission `Incident.Read`; it needs");
    assert_eq!(program.requests().len(), reads);
}

#[test]
fn renewed_token_is_in_no_output() {
    let old = "eyJ-the-first-token-0123456789-0123456789";
    let new = "eyJ-the-second-token-9876543210-9876543210";
    for format in ["text", "json"] {
        let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n");
        program.write("token", old);
        fs::set_permissions(program.path("token"), Permissions::from_mode(0o600)).expect("its owner");
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
        assert!(told.printed().contains("DEBUG"), "it is logged at its highest level: {}", told.printed());
        for token in [old, new] {
            for said in [told.printed(), again.printed()] {
                assert!(!said.contains(&token[..20]), "{said}");
            }
            expect_in_no_file(program.dir(), token.as_bytes());
        }
    }
}

/// Refuses the old token, after writing the new one to its file. Returns which token came.
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
    for path in files_below(dir) {
        let bytes = fs::read(&path).expect("a file");
        let is_there = bytes.windows(20).any(|window| window == &secret[..20]);
        assert!(!is_there, "the token is in {}", path.display());
    }
}
