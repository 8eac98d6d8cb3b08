//! Connection errors that no retry can fix: the run ends with exit code 2 within seconds, with a hint, and uses no
//! quota. A name lookup without an answer is not one of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::geteuid;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::faults::tell;
use crate::program::{Ended, Program, closing, finished, in_place_of, started};
use crate::sign_in::kinds::{CLIENT, TENANT, write_secret};

/// Starts a server that handles each connection with this function. Returns its port.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.expect("a connection"))));
    port
}

/// A proxy that refuses every tunnel with this status.
pub(crate) fn refusing_proxy(status: &'static str) -> u16 {
    server(move |mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
            head.push(byte[0]);
        }
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
    })
}

/// Sends three rows to this URL with these variables. A failed connection must not use up the quota of one request an
/// hour.
fn send_to(url: &str, variables: &[(&str, &str)]) -> Ended {
    let program = Program::new().file("a.csv", closing(1..=3));
    let send = || {
        let mut command = program.command(&format!("run a.csv --yes --quota 1/1h --base-url {url}"));
        command.envs(variables.iter().copied());
        started(command).end().expect_code(2).expect_outcomes(&[("not-attempted", 3)])
    };
    send();
    send()
}

/// A server whose certificate nobody trusts. Returns its port.
pub(crate) fn server_with_unknown_certificate() -> u16 {
    let certificate = CertificateDer::from_slice(include_bytes!("connections/certificate.der")).into_owned();
    let key = PrivatePkcs8KeyDer::from(include_bytes!("connections/key.der").to_vec());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .expect("a key that fits");
    let config = Arc::new(config);
    server(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).expect("TLS");
        // The handshake ends with the client's alert.
        while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
    })
}

/// A server without TLS. Returns its port.
pub(crate) fn plain_server() -> u16 {
    server(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    })
}

#[test]
fn unknown_certificate_ends_the_run() {
    let port = server_with_unknown_certificate();
    let ended = send_to(&format!("https://127.0.0.1:{port}"), &[]);
    ended.expect_text("SSL_CERT_FILE").expect_text("certificate");
}

#[test]
fn server_without_tls_ends_the_run() {
    send_to(&format!("https://127.0.0.1:{}", plain_server()), &[])
        .expect_text("no TLS with")
        .expect_text("check the base URL");
}

#[test]
fn refusing_proxy_ends_the_run() {
    for (status, shown) in [("407 Proxy Authentication Required", "407"), ("403 Forbidden", "403")] {
        let port = refusing_proxy(status);
        let with_password = format!("http://me:s3cret@127.0.0.1:{port}");
        let ended = send_to("https://api.example.com", &[("HTTPS_PROXY", &with_password)]);
        assert!(!ended.printed().contains("s3cret"), "{}", ended.printed());
        let url = format!("the proxy http://127.0.0.1:{port} refuses the connection with status {shown}");
        ended.expect_text(&url).expect_text("HTTPS_PROXY").expect_text("NO_PROXY");
    }
}

#[test]
fn unsupported_proxy_scheme_ends_the_run() {
    let program = Program::new().file("a.csv", closing(1..=3));
    let mut command = program.command("run a.csv --yes --base-url https://api.example.com");
    command.env("ALL_PROXY", "socks5://me:s3cret@127.0.0.1:9");
    let ended = started(command).end().expect_code(2).expect_text("socks5://127.0.0.1:9").expect_text("http://");
    assert!(!ended.printed().contains("s3cret"), "{}", ended.printed());
}

#[test]
fn unknown_host_ends_the_run() {
    send_to("https://no-such-host.invalid", &[]).expect_text("host `no-such-host.invalid`");
}

/// Without a network, nobody says whether a host exists: a job that a scheduler starts too early must be started again.
#[test]
fn unanswered_name_lookup_is_an_outage() {
    let namespace: &[&str] = if geteuid().is_root() { &["--net"] } else { &["--net", "--user", "--map-root-user"] };
    let can = finished(Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()));
    if !can.is_ok_and(|status| status.success()) {
        tell("LEFT OUT: a name lookup without a network: no permission to leave it");
        return;
    }
    let program = Program::new().file("a.csv", closing(1..=3));
    write_secret(&program, "secret", "s3cret");
    let without_network = |arguments: &str, variables: &[(&str, &str)]| {
        let inside = program.command(&format!("{arguments} --patience 0 --base-url https://api.example.com"));
        let mut command = in_place_of(&inside, "unshare");
        command.args(namespace).arg(inside.get_program()).args(inside.get_args()).envs(variables.iter().copied());
        started(command).end().expect_code(4).expect_text("failed to lookup address information")
    };
    without_network("run a.csv --yes", &[]).expect_outcomes(&[("not-attempted", 3)]);
    without_network("doctor", &[]).expect_text("connection\tfail");
    let sign_in = [
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_AUTHORITY_HOST", "https://sign-in.example.com"),
    ];
    without_network("run a.csv --yes --auth client-secret --client-secret-file secret", &sign_in);
}

#[test]
fn preview_names_the_proxy_without_password() {
    let program = Program::new().file("a.csv", closing(1..=3));
    let mut command = program.command("run a.csv --dry-run --base-url https://api.example.com");
    command.env("HTTPS_PROXY", "http://me:s3cret@proxy.example:8080");
    let ended = started(command).end().expect_code(0).expect_text("through the proxy http://proxy.example:8080");
    assert!(!ended.printed().contains("s3cret"), "{}", ended.printed());
}
