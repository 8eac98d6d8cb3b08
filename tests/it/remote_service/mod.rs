//! A service that is not on loopback, for tests with tenants: on loopback the tenant key is the origin, whatever the
//! token says.
//!
//! The program reaches `https://api.tenants.test` (and the other hosts of the certificate) through a proxy of the test,
//! which terminates TLS and passes each request to the emulator of the token's tenant. The keys here protect nothing
//! but these tests.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::program::Program;
use crate::tokens::jwt;

/// An origin of the certificate.
pub(crate) const ORIGIN: &str = "https://api.tenants.test";

/// A tenant: its token, and the program whose emulator holds its incidents.
pub(crate) struct Tenant<'a> {
    pub(crate) token: String,
    pub(crate) program: &'a Program,
}

impl Tenant<'_> {
    /// The tenant with this ID; the program's emulator holds its incidents.
    pub(crate) fn new<'a>(id: &str, program: &'a Program) -> Tenant<'a> {
        Tenant { token: jwt(&format!(r#"{{"tid":"{id}"}}"#)), program }
    }
}

/// The proxy, as the program sees it.
pub(crate) struct RemoteService {
    proxy: String,
    connects: Arc<Mutex<Vec<Connect>>>,
}

/// A connection through the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    /// `graph.microsoft.us:443`
    pub(crate) to: String,
    /// What the watched file held at that time.
    pub(crate) said: String,
}

impl RemoteService {
    /// Starts it. It ends with the test's process.
    pub(crate) fn start(tenants: &[&Tenant<'_>]) -> RemoteService {
        RemoteService::watching(tenants, Path::new(""))
    }

    /// Starts it. It reads the file at each connection.
    pub(crate) fn watching(tenants: &[&Tenant<'_>], file: &Path) -> RemoteService {
        let (connects, file) = (Arc::new(Mutex::new(Vec::new())), Arc::new(file.to_owned()));
        let kept = Arc::clone(&connects);
        let routes: Vec<(String, String)> = tenants
            .iter()
            .map(|tenant| (tenant.token.clone(), tenant.program.origin().replace("http://", "")))
            .collect();
        let (routes, tls) = (Arc::new(routes), Arc::new(tls()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let proxy = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (routes, tls, kept, file) =
                    (Arc::clone(&routes), Arc::clone(&tls), Arc::clone(&kept), Arc::clone(&file));
                let note = move |to| {
                    let said = fs::read_to_string(&*file).unwrap_or_default();
                    kept.lock().expect("no panic").push(Connect { to, said });
                };
                // A cut connection ends the exchange.
                std::thread::spawn(move || drop(serve(stream, tls, &routes, note)));
            }
        });
        RemoteService { proxy, connects }
    }

    /// The connections so far.
    pub(crate) fn connects(&self) -> Vec<Connect> {
        self.connects.lock().expect("no panic").clone()
    }

    /// The command of `program`, with this token, to this service.
    pub(crate) fn command(&self, program: &Program, token: &str, arguments: &str) -> Command {
        let mut command = program.command(arguments);
        let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/remote_service/ca.pem");
        command.env("BULK_TRIAGE_TOKEN", token).env("HTTPS_PROXY", &self.proxy).env("SSL_CERT_FILE", ca);
        command
    }
}

fn tls() -> ServerConfig {
    let file =
        |name| fs::read(format!("{}/tests/it/remote_service/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a fixture");
    let chain = vec![CertificateDer::from_pem_slice(&file("cert.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(&file("key.pem")).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .expect("the key fits")
}

/// One connection: `CONNECT`, TLS, then requests.
fn serve(
    mut stream: TcpStream,
    tls: Arc<ServerConfig>,
    routes: &[(String, String)],
    note: impl Fn(String),
) -> std::io::Result<()> {
    let Some(connect) = message(&mut stream)? else { return Ok(()) };
    note(String::from_utf8_lossy(&connect).split(' ').nth(1).unwrap_or_default().to_owned());
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let mut near = StreamOwned::new(ServerConnection::new(tls).map_err(std::io::Error::other)?, stream);
    while let Some(request) = message(&mut near)? {
        let text = String::from_utf8_lossy(&request);
        let route = match routes {
            // Its emulator issues tokens, too.
            [only] => only,
            _ => routes.iter().find(|(token, _)| text.contains(token.as_str())).expect("the token of a tenant"),
        };
        let (_, emulator) = route;
        let mut far = TcpStream::connect(emulator)?;
        far.write_all(&request)?;
        let Some(response) = message(&mut far)? else { return Ok(()) };
        near.write_all(&response)?;
        near.flush()?;
    }
    Ok(())
}

/// An HTTP/1.1 message with a content length; `None` at the end of the stream.
fn message(from: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    let mut byte = [0];
    while !message.ends_with(b"\r\n\r\n") {
        if from.read(&mut byte)? == 0 {
            return Ok(None);
        }
        message.push(byte[0]);
    }
    let header = String::from_utf8_lossy(&message).to_ascii_lowercase();
    let length = header.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().expect("a length"))];
    from.read_exact(&mut body)?;
    message.extend(body);
    Ok(Some(message))
}
