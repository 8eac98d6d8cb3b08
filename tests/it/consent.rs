//! Only the user decides where the token goes, by typing an origin; the author of a file does not. The target is shown
//! before the first request.

mod family;
mod forged;
mod restored;
mod shown_first;
mod variables;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::program::{Ended, Program, started};
use crate::tokens::jwt;

/// A tenant's token for the API.
pub(crate) fn token() -> String {
    jwt(
        r#"{"tid":"11111111-1111-1111-1111-111111111111","aud":"https://api.security.microsoft.com","roles":["Incident.ReadWrite.All"]}"#,
    )
}

/// Somebody else's server, reached directly and as the proxy to every other host. It records what it receives.
pub(crate) struct EvilServer {
    port: u16,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<u8>>>,
}

impl EvilServer {
    pub(crate) fn start() -> EvilServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (connections, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, kept) = (Arc::clone(&connections), Arc::clone(&received));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut bytes = [0; 16_384];
                let read = stream.read(&mut bytes).unwrap_or(0);
                kept.lock().expect("no panic").extend(&bytes[..read]);
                let body = r#"{"incidentId":1,"status":"Resolved","comments":[{"comment":"one"}]}"#;
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length:";
                let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
            }
        });
        EvilServer { port, connections, received }
    }

    /// The command of `program` with a tenant's token and this proxy.
    fn command(&self, program: &Program, arguments: &str) -> Command {
        let mut command = program.command(arguments);
        let proxy = format!("http://127.0.0.1:{}", self.port);
        command.env("BULK_TRIAGE_TOKEN", token()).env("HTTPS_PROXY", proxy);
        command
    }

    fn run(&self, program: &Program, arguments: &str) -> Ended {
        started(self.command(program, arguments)).end()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Whether the server received the token.
    fn has_token(&self) -> bool {
        let received = self.received.lock().expect("no panic");
        let token = token();
        received.windows(token.len()).any(|window| window == token.as_bytes())
    }
}

/// A plan with a changed header or changed rows, and a valid checksum.
pub(crate) fn forged(plan: &str, change: impl FnOnce(&mut Value, &mut Vec<String>)) -> String {
    let mut lines: Vec<String> = plan.lines().map(str::to_owned).collect();
    lines.pop();
    let mut header: Value = serde_json::from_str(&lines.remove(0)).expect("a header");
    change(&mut header, &mut lines);
    let members = header.as_object_mut().expect("an object");
    let format = members.remove("plan").expect("a format");
    let rest = header.to_string();
    lines.insert(0, format!("{{\"plan\":{format},{}", &rest[1..]));
    let text = lines.join("\n") + "\n";
    let checksum = <sha2::Sha256 as sha2::Digest>::digest(&text);
    format!("{text}{{\"seal\":\"sha256:{}\"}}\n", bulk_triage::plan::digits(&checksum))
}

/// The text between the backticks of the hint.
pub(crate) fn advised(ended: &Ended) -> String {
    let help = ended.stderr.lines().find_map(|line| line.trim().strip_prefix("help: ")).expect("help");
    help.split('`').nth(1).expect("a command").to_owned()
}

/// The words that a shell makes of a printed command, with the environment of `command`.
pub(crate) fn pasted(command: &Command, line: &str) -> Ended {
    let mut shell = crate::program::in_place_of(command, "bash");
    let script = format!("bulk-triage() {{ {} \"$@\"; }}\n{line}", env!("CARGO_BIN_EXE_bulk-triage"));
    shell.args(["-c", &script]);
    started(shell).end()
}
