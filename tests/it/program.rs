//! The program as a user starts it: with its own directory, its own journal, and its own emulator, whose log shows what
//! really happened.
//!
//! Nothing here waits for a guessed time: a test waits for a condition, and fails if that takes far too long.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Once, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bulk_triage::contract;
use bulk_triage::emulator::{self, Fault, Settings, SignInRequest};
use bulk_triage::model::change::IncidentId;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// The token of every run.
pub(crate) const TOKEN: &str = "eyJ-a-token-that-must-be-found-nowhere-0123456789";

/// A quota that no test reaches.
const UNBOUND: &str = "100000/1s";

/// The emulator shows a change at once, unless a test says otherwise.
const SOON: &str = "150ms";

/// Anything that takes longer hangs. No test needs a tenth of it, but the machine may be busy.
const FAR_TOO_LONG: Duration = Duration::from_mins(2);

/// The contract of a test, unless it is one of [`with_graph`].
const CLASSIC: &str = "defender-classic";

thread_local! {
    static CONTRACT: Cell<&'static str> = const { Cell::new(CLASSIC) };
}

/// Runs tests of the module again with the contract `graph`, under the same names in a module `graph`.
macro_rules! with_graph {
    ($($test:ident),+ $(,)?) => {
        mod graph {
            $(
                #[test]
                fn $test() {
                    $crate::program::with_contract("graph", super::$test);
                }
            )+
        }
    };
}
pub(crate) use with_graph;

/// Runs something with this contract: every program that it makes uses it, unless a command names another one.
pub(crate) fn with_contract<T>(contract: &'static str, run: impl FnOnce() -> T) -> T {
    struct Restored(&'static str);
    impl Drop for Restored {
        fn drop(&mut self) {
            CONTRACT.set(self.0);
        }
    }
    let _restored = Restored(CONTRACT.replace(contract));
    run()
}

/// Whether the test runs with the contract `graph`.
pub(crate) fn is_graph() -> bool {
    CONTRACT.get() == "graph"
}

/// One of two values: for the classic API, and for Graph.
pub(crate) fn by_api<T>(classic: T, graph: T) -> T {
    if is_graph() { graph } else { classic }
}

/// A text with the values of the classic API, in the spelling of the test's contract.
pub(crate) fn spelled(text: &str) -> String {
    const VALUES: [&str; 5] = ["Active", "Resolved", "FalsePositive", "Malware", "Unknown"];
    if !is_graph() {
        return text.to_owned();
    }
    let in_graph = |text: String, value: &str| text.replace(value, &(value[..1].to_lowercase() + &value[1..]));
    VALUES.into_iter().fold(text.to_owned(), in_graph)
}

/// Under `nohup`, programs started by the tests would ignore hangups too. A handled signal is not inherited as ignored.
static HANGUPS_ARE_HEARD: Once = Once::new();

fn hear_hangups() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    // The handler stays after its listener is dropped.
    drop(signal(SignalKind::hangup()).expect("a handler"));
}

/// The program, with a directory to work in.
pub(crate) struct Program {
    dir: TempDir,
    emulator: Option<Emulator>,
    contract: &'static str,
}

impl Program {
    pub(crate) fn new() -> Program {
        HANGUPS_ARE_HEARD.call_once(hear_hangups);
        Program { dir: tempfile::tempdir().expect("a directory"), emulator: None, contract: CONTRACT.get() }
    }

    /// Adds a file to its directory.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Program {
        self.write(name, content);
        self
    }

    /// Starts an emulator without faults or a binding quota, unless `change` sets some.
    pub(crate) fn emulator(mut self, change: impl FnOnce(&mut Settings)) -> Program {
        let mut settings = Settings::new(contract::load(self.contract).expect("a built-in contract"));
        settings.log = Some(self.path("requests.jsonl"));
        settings.quota = Some(UNBOUND.parse().expect("a quota"));
        change(&mut settings);
        self.emulator = Some(Emulator::start(settings));
        self
    }

    /// Starts an emulator with the contract and the incidents (`1-9`) that are named.
    pub(crate) fn emulator_of(self, contract: &str, incidents: &str, change: impl FnOnce(&mut Settings)) -> Program {
        self.emulator(|settings| {
            settings.contract = contract::load(contract).expect("a built-in contract");
            settings.incidents = incidents.parse().expect("incidents");
            change(settings);
        })
    }

    /// Starts an emulator with these faults.
    pub(crate) fn faulty_emulator(self, faults: &[&str]) -> Program {
        self.emulator(|settings| settings.faults = faults.iter().map(|fault| fault_of(fault)).collect())
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file that is UTF-8")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The names in its directory, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names_in(self.dir.path())
    }

    /// The origin of its emulator.
    pub(crate) fn origin(&self) -> String {
        self.emulator.as_ref().expect("an emulator").running.origin()
    }

    /// Opens its journal, as another program could.
    pub(crate) fn journal(&self) -> rusqlite::Connection {
        journal_in(&self.path("state"))
    }

    /// Moves all requests so many seconds into the past.
    pub(crate) fn age_the_journal(&self, seconds: i64) {
        let earlier = "UPDATE attempts SET started = started - ?1, started_wall = started_wall - ?1,
                       ended = ended - ?1, ended_wall = ended_wall - ?1";
        self.journal().execute(earlier, [seconds * 1_000_000]).expect("it is changed");
    }

    /// Moves a stored pause into the past.
    pub(crate) fn age_the_pause(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).expect("some hours");
        let earlier = "UPDATE scopes SET pause_until = pause_until - ?1, pause_until_wall = pause_until_wall - ?1";
        self.journal().execute(earlier, [by]).expect("it is changed");
    }

    /// The requests to the services of its emulator that issue tokens.
    pub(crate) fn sign_in_requests(&self) -> Vec<SignInRequest> {
        self.emulator.as_ref().expect("an emulator").running.sign_in_requests()
    }

    /// The tokens, assertions and keys that its emulator has issued.
    pub(crate) fn issued_secrets(&self) -> Vec<String> {
        let issued = self.emulator.as_ref().expect("an emulator").running.issued_secrets();
        issued.iter().map(|secret| secret.expose_secret().to_owned()).collect()
    }

    /// The present state of an incident, in the classic API's spelling.
    pub(crate) fn incident(&self, id: u64) -> Value {
        let id = IncidentId::new(id).expect("an id");
        self.emulator.as_ref().expect("an emulator").running.incident(id).expect("an incident")
    }

    /// The present state of an incident, as the test's API shows it.
    pub(crate) fn shown(&self, id: u64) -> Value {
        let id = IncidentId::new(id).expect("an id");
        let running = &self.emulator.as_ref().expect("an emulator").running;
        if is_graph() { running.graph_incident(id) } else { running.incident(id) }.expect("an incident")
    }

    /// The comments of an incident.
    pub(crate) fn comments(&self, id: u64) -> Vec<String> {
        let comments = &self.incident(id)["comments"];
        let text = |comment: &Value| comment["comment"].as_str().expect("a text").to_owned();
        comments.as_array().expect("a list").iter().map(text).collect()
    }

    /// The program with these arguments, separated by white space.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        self.command_of(arguments.split_whitespace())
    }

    /// The program with these arguments, which may contain anything.
    pub(crate) fn command_of<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = without_settings();
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.path(".config"))
            .env("BULK_TRIAGE_SYSTEM_CONFIG", self.path("etc/config.toml"))
            .env("BULK_TRIAGE_STATE_DIR", self.path("state"))
            .env("BULK_TRIAGE_TOKEN", TOKEN)
            .stdin(Stdio::null());
        if self.contract != CLASSIC {
            command.env("BULK_TRIAGE_CONTRACT", self.contract);
        }
        command
    }

    /// `run` to its own emulator, without a prompt, with a quota that does not bind unless one is given.
    pub(crate) fn send_command(&self, arguments: &str) -> Command {
        let mut command = self.command(&format!("run {arguments}"));
        if !arguments.contains("--quota") {
            command.args(["--quota", UNBOUND]);
        }
        if !arguments.contains("--settle") {
            command.args(["--settle", SOON]);
        }
        command.args(["--yes", "--base-url", &self.origin()]);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &str) -> Ended {
        started(self.command(arguments)).end()
    }

    /// Runs [`Program::send_command`] to its end.
    pub(crate) fn send(&self, arguments: &str) -> Ended {
        started(self.send_command(arguments)).end()
    }

    /// Sends a file from another state directory, so that this program's journal does not know about it.
    pub(crate) fn send_as_others(&self, input: &str) {
        let mut others = self.send_command(input);
        others.env("BULK_TRIAGE_STATE_DIR", self.path("of-others"));
        started(others).end().expect_code(0);
    }

    /// Starts [`Program::send_command`].
    pub(crate) fn start_sending(&self, arguments: &str) -> Started {
        started(self.send_command(arguments))
    }

    /// All requests that the emulator has decided, in order.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let log = fs::read_to_string(self.path("requests.jsonl")).expect("a log");
        // The last line may be half written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a line of the log")).collect()
    }

    /// The update requests, applied or not.
    pub(crate) fn updates(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.method == "PATCH").collect()
    }

    /// The ID of the last run.
    pub(crate) fn last_run(&self) -> String {
        let runs = self.run("runs").expect_code(0);
        let line = runs.stdout.lines().nth(1).expect("a run").to_owned();
        line.split_whitespace().next().expect("a name").to_owned()
    }

    /// Waits until the emulator has decided so many requests.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let emulator = self.emulator.as_ref().expect("an emulator");
        let count = u64::try_from(count).expect("a small number");
        eventually("so many requests have come", || emulator.running.requests() >= count);
    }
}

/// The emulator, in threads of this process.
struct Emulator {
    running: emulator::Running,
    _runtime: Runtime,
}

impl Emulator {
    fn start(settings: Settings) -> Emulator {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let running = runtime.block_on(emulator::start(settings)).expect("a free port");
        Emulator { running, _runtime: runtime }
    }
}

pub(crate) fn fault_of(text: &str) -> Fault {
    text.parse().expect("a fault")
}

/// A request in the emulator's log.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    /// Microseconds since the emulator started.
    pub(crate) at_us: i64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) id: Option<u64>,
    pub(crate) body: Option<String>,
    status: Value,
    /// Whether the incident was changed.
    pub(crate) took_effect: bool,
    /// The time that a 429 named.
    pub(crate) resume_us: Option<i64>,
}

impl Request {
    /// The status of the response; 0 if there was none.
    pub(crate) fn status(&self) -> u64 {
        self.status.as_u64().unwrap_or(0)
    }
}

/// The number of 429s.
pub(crate) fn throttled(requests: &[Request]) -> usize {
    requests.iter().filter(|request| request.status() == 429).count()
}

/// The incidents of the requests, sorted.
pub(crate) fn incidents(requests: &[Request]) -> Vec<u64> {
    let mut ids: Vec<u64> = requests.iter().map(|request| request.id.expect("the path of an incident")).collect();
    ids.sort_unstable();
    ids
}

/// Another program, started in the environment of this one; the caller adds the arguments.
pub(crate) fn in_place_of(command: &Command, other: &str) -> Command {
    let mut other = Command::new(other);
    other.current_dir(command.get_current_dir().expect("the directory it was given")).stdin(Stdio::null());
    // The variables of who runs the tests are not those of the program.
    other.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other
}

/// The program, which reads no settings of this machine or of who runs the tests.
pub(crate) fn without_settings() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-triage"));
    command.env_clear().env("BULK_TRIAGE_SYSTEM_CONFIG", "/nowhere/config.toml");
    command
}

/// A command, quoted for a shell.
pub(crate) fn shell_words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = |word: &OsStr| format!("'{}'", word.to_str().expect("a word").replace('\'', "'\\''"));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// A running process.
pub(crate) struct Started {
    pid: Pid,
    ended: Receiver<io::Result<std::process::Output>>,
    dir: PathBuf,
}

/// From its fork to its exec a child has copies of all files of this process, and so of the locks that simulated
/// processes hold on them.
static FORKS: RwLock<()> = RwLock::new(());

/// Starts a command, as every test must.
pub(crate) fn spawned(command: &mut Command) -> io::Result<Child> {
    let _fork = FORKS.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Runs a command to its end.
pub(crate) fn finished(command: &mut Command) -> io::Result<ExitStatus> {
    spawned(command)?.wait()
}

/// Waits until no child has a copy of a file that this process has closed.
pub(crate) fn wait_for_forks() {
    drop(FORKS.write().unwrap_or_else(PoisonError::into_inner));
}

/// Starts a command and keeps its output.
pub(crate) fn started(mut command: Command) -> Started {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    started_as_it_is(command)
}

/// Starts a command whose streams are already set.
pub(crate) fn started_as_it_is(mut command: Command) -> Started {
    let dir = command.get_current_dir().expect("the directory it was given").to_owned();
    let child = spawned(&mut command).expect("the program starts");
    let pid = Pid::from_child(&child);
    let (end, ended) = mpsc::channel();
    std::thread::spawn(move || end.send(child.wait_with_output()));
    Started { pid, ended, dir }
}

impl Started {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it is still running");
    }

    /// As [`Started::signal`], for a process that may have ended.
    pub(crate) fn try_signal(&self, signal: Signal) -> rustix::io::Result<()> {
        kill_process(self.pid, signal)
    }

    /// Its process ID.
    pub(crate) fn number(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether it holds or waits for a lock on this file. Only root can see which files it has open.
    pub(crate) fn locks(&self, path: &Path) -> bool {
        let number = fs::metadata(path).expect("it is there").ino().to_string();
        let locks = fs::read_to_string("/proc/locks").expect("Linux lists them");
        locks.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().filter(|word| *word != "->").collect();
            let file = words.get(5).and_then(|file| file.rsplit(':').next());
            file == Some(&number) && words.get(4) == Some(&&*self.number().to_string())
        })
    }

    /// The part of its command line that any user can see.
    pub(crate) fn command_line(&self) -> Vec<u8> {
        fs::read(format!("/proc/{}/cmdline", self.number())).expect("it is still running")
    }

    /// The resource limits of the process.
    pub(crate) fn limits(&self) -> String {
        fs::read_to_string(format!("/proc/{}/limits", self.pid.as_raw_nonzero())).expect("it is still running")
    }

    pub(crate) fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.end()
    }

    /// Kills it after this time, unless it has ended by itself.
    pub(crate) fn kill_after(mut self, time: Duration) -> Ended {
        if !self.ends_within(time) {
            let _ = self.try_signal(Signal::KILL);
        }
        self.end()
    }

    /// Whether it ends within this time.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        let output = self.ended.recv_timeout(time);
        let has_ended = output.is_ok();
        if let Ok(output) = output {
            // `end` needs it again.
            let (end, ended) = mpsc::channel();
            let _ = end.send(output);
            self.ended = ended;
        }
        has_ended
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Ended {
        let Ok(output) = self.ended.recv_timeout(FAR_TOO_LONG) else {
            let _ = kill_process(self.pid, Signal::KILL);
            panic!("the program hangs");
        };
        let output = output.expect("its output");
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
            dir: self.dir,
        }
    }
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    dir: PathBuf,
}

impl Ended {
    /// Fails with all output, unless this is the exit code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless the output contains this, [`spelled`] for the test's contract.
    #[track_caller]
    pub(crate) fn expect_text(self, text: &str) -> Ended {
        let (said, text) = (self.printed(), spelled(text));
        assert!(said.contains(&text), "`{text}` is missing in:\n{said}");
        self
    }

    /// All output.
    pub(crate) fn printed(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.printed()))
    }

    /// The results file that the summary names.
    #[track_caller]
    pub(crate) fn results_path(&self) -> PathBuf {
        let path = match serde_json::from_str::<Value>(&self.stdout) {
            Ok(summary) => summary["results"].as_str().map(str::to_owned),
            Err(_) => self.stdout.lines().find_map(|line| line.strip_prefix("results: ")).map(str::to_owned),
        };
        self.dir.join(path.unwrap_or_else(|| panic!("no results: {}", self.printed())))
    }

    /// The rows of the results file, by column name.
    #[track_caller]
    pub(crate) fn results(&self) -> Vec<BTreeMap<String, String>> {
        results_at(&self.results_path())
    }

    /// The outcomes of the results file, and how many rows have each.
    #[track_caller]
    pub(crate) fn outcomes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for row in self.results() {
            *counts.entry(row["outcome"].clone()).or_default() += 1;
        }
        counts
    }

    /// Fails unless these are the outcomes of the results file.
    #[track_caller]
    pub(crate) fn expect_outcomes(self, expected: &[(&str, usize)]) -> Ended {
        let expected: BTreeMap<_, _> = expected.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
        assert_eq!(self.outcomes(), expected, "{}", self.printed());
        self
    }
}

/// The rows of a results file: all columns of CSV, the members of JSONL that are not objects.
pub(crate) fn results_at(path: &Path) -> Vec<BTreeMap<String, String>> {
    if path.extension() == Some(OsStr::new("jsonl")) {
        let text = fs::read_to_string(path).expect("results");
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let row = |line| {
            let members: BTreeMap<String, Value> = serde_json::from_str(line).expect("an object");
            members.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        };
        return text.lines().map(row).collect();
    }
    let mut reader = csv::Reader::from_reader(File::open(path).expect("results"));
    let columns = reader.headers().expect("a header").clone();
    let row = |record: Result<csv::StringRecord, _>| {
        let record = record.expect("a record");
        columns.iter().zip(record.iter()).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
    };
    reader.records().map(row).collect()
}

/// The journal of a state directory, opened as another program could.
#[expect(clippy::disallowed_methods, reason = "tests look at what the program has written, and change it")]
pub(crate) fn journal_in(state: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(state.join("journal.db")).expect("a journal")
}

/// The files below a directory, at any depth, sorted.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
    let mut files: Vec<PathBuf> = entries.flat_map(below).collect();
    files.sort_unstable();
    files
}

/// Names in a directory, sorted.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort_unstable();
    names
}

/// Polls until the condition holds.
#[expect(clippy::disallowed_methods, reason = "a bound on waiting for another process, and the pause between looks")]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < FAR_TOO_LONG, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs it for all of them in parallel, because these tests mostly wait.
pub(crate) fn at_once<T: Send>(all: impl IntoIterator<Item = T>, hold: impl Fn(T) + Sync) {
    let contract = CONTRACT.get();
    std::thread::scope(|scope| {
        for one in all {
            let hold = &hold;
            scope.spawn(move || with_contract(contract, || hold(one)));
        }
    });
}

/// A CSV file that closes these incidents, each with a comment of its own.
pub(crate) fn closing(ids: impl IntoIterator<Item = u64>) -> String {
    let row = |id| format!("{id},Resolved,Comment on {id}\n");
    ["incidentId,status,comment\n".to_owned()].into_iter().chain(ids.into_iter().map(row)).collect()
}

/// The path of a project file.
pub(crate) fn of_the_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
