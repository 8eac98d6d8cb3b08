//! What gets tokens for the kinds that take them from another program: a keeper asks the emulator's metadata service, and
//! hands the tokens to a file or to the scripts that ask it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bulk_triage::clock::Clock;
use serde_json::Value;
use tokio::runtime::Builder;

use crate::program::finished;

/// A token and when it expires, in seconds since 1970.
pub(super) struct Fetched {
    pub(super) token: String,
    pub(super) expires_on: String,
}

/// Asks the metadata service at this address for a token; `None` if it has none.
fn fetch(address: &str) -> Option<Fetched> {
    let mut stream = TcpStream::connect(address).ok()?;
    let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://api.security.microsoft.com";
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nMetadata: true\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    let (_, body) = response.split_once("\r\n\r\n").filter(|(head, _)| head.starts_with("HTTP/1.1 200 "))?;
    let body: Value = serde_json::from_str(body).ok()?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Some(Fetched { token: text("access_token")?, expires_on: text("expires_on")? })
}

/// Another program that has tokens, in a thread. It ends when it is dropped.
pub(super) struct Keeper {
    stop: Arc<AtomicBool>,
    /// The tokens that it handed out.
    fetched: Arc<AtomicU64>,
    /// Wakes it, if it waits for a script.
    asks: Option<PathBuf>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Keeps a file up to date: it has a new token every so often. If there is none, the file stays.
    pub(super) fn of_file(address: String, file: PathBuf, every: Duration) -> Keeper {
        let write = move |fetched: &Fetched| {
            let next = file.with_extension("next");
            let mut options = OpenOptions::new();
            let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(&next).expect("a file");
            opened.write_all(fetched.token.as_bytes()).expect("room for a token");
            fs::rename(&next, &file).expect("the same directory");
        };
        write(&fetch(&address).expect("the first token"));
        Keeper::start(1, None, move |stop, fetched| {
            let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
            let clock = Clock::machine();
            let mut next = clock.now().boot + every;
            while !stop.load(Ordering::Relaxed) {
                runtime.block_on(clock.sleep_until(clock.now().boot + Duration::from_millis(50)));
                if clock.now().boot >= next {
                    next = next + every;
                    if let Some(token) = fetch(&address) {
                        fetched.fetch_add(1, Ordering::Relaxed);
                        write(&token);
                    }
                }
            }
        })
    }

    /// Answers the scripts of this directory, each with a new token in the form that it prints.
    pub(super) fn of_scripts(address: String, dir: &Path, form: fn(&Fetched) -> String) -> Keeper {
        let [asks, answers] = ["asks", "answers"].map(|name| dir.join(name));
        assert!(finished(Command::new("mkfifo").args([&asks, &answers])).expect("mkfifo").success());
        let waiting = asks.clone();
        Keeper::start(0, Some(asks), move |stop, fetched| {
            loop {
                // Opening waits for a script, or for the end.
                drop(fs::read(&waiting).expect("a pipe"));
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let token = fetch(&address);
                fetched.fetch_add(u64::from(token.is_some()), Ordering::Relaxed);
                let answer = token.as_ref().map_or_else(String::new, form);
                // A script that was killed reads nothing.
                let _ = fs::write(&answers, answer);
            }
        })
    }

    fn start(
        fetched: u64,
        asks: Option<PathBuf>,
        run: impl FnOnce(&AtomicBool, &AtomicU64) + Send + 'static,
    ) -> Keeper {
        let (stop, fetched) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(fetched)));
        let thread = {
            let (stop, fetched) = (Arc::clone(&stop), Arc::clone(&fetched));
            std::thread::spawn(move || run(&stop, &fetched))
        };
        Keeper { stop, fetched, asks, thread: Some(thread) }
    }

    /// The tokens that it has handed out.
    pub(super) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(asks) = &self.asks {
            // Without waiting: if it is not listening, it will see the stop.
            let mut options = File::options();
            let _ = options.write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed()).open(asks);
        }
        if let Some(thread) = self.thread.take().filter(|_| self.asks.is_none()) {
            let _ = thread.join();
        }
    }
}
