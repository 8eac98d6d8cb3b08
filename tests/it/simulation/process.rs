//! One start of the program: the same steps as on the command line, in a process that can die between any two.
//!
//! Promises: a start leaves behind what a real one would: the journal as far as it is committed, and the results file
//! as far as it is written.

use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bulk_triage::apply::events::{Event, Listener};
use bulk_triage::apply::{ApplyError, Completion, EngineSettings, RunEnd, StopReason, apply};
use bulk_triage::client::{Client, TokenCache};
use bulk_triage::clock::Clock;
use bulk_triage::contract::{Contract, load};
use bulk_triage::journal::{Durability, Journal, JournalError, LoadRow, RunHandle, RunKey, RunMetadata, RunState};
use bulk_triage::model::change::{Change, IncidentId, TenantKey};
use bulk_triage::model::outcome::{InputShape, ResultRow};
use bulk_triage::output::results::{Destination, ResultsFile};
use bulk_triage::report::progress::{Progress, Screen};
use bulk_triage::report::reporter::Reporter;
use tokio::sync::watch;

use super::life::{Death, Life};
use super::network::Network;
use super::pace::PaceWatch;
use super::renewal;
use super::scenario::{Command, FileRow};
use super::world::World;

/// How a start is meant to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meant {
    /// By itself.
    Whole,
    /// The process dies at this point (there are some before the first request, then in each request, and at each
    /// reported commit).
    DiesAt(u32),
    /// The process dies after this time.
    DiesAfter(Duration),
    /// The user asks it to stop after this time.
    StopsAfter(Duration),
    /// `--stop-after`.
    Deadline(Duration),
}

/// How a start ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Dead,
    /// Another process holds the run.
    Held,
    /// There is no token.
    NoToken,
    /// The results are written. The run's ID, and whether every row has its outcome.
    Accounted {
        run: String,
        state: RunState,
    },
}

/// Where the journal and the results of a seed are.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) directory: PathBuf,
}

impl Disk {
    pub(super) fn state_dir(&self) -> PathBuf {
        self.directory.join("state")
    }

    pub(super) fn results(&self, command: &Command) -> PathBuf {
        self.directory.join(format!("{}.results.jsonl", command.name))
    }
}

const SHAPE: InputShape = InputShape::Jsonl { bom: false };

/// Starts the program once.
pub(super) async fn start(world: &Arc<World>, disk: &Disk, command: &Command, meant: Meant) -> Ended {
    world.note(format_args!("start of {}: {meant:?}", command.name));
    let life = Arc::new(Life::new(if let Meant::DiesAt(point) = meant { point } else { 0 }));
    let died = async {
        match meant {
            Meant::DiesAfter(time) => world.sleep(time).await,
            _ => life.death().await,
        }
        life.end();
    };
    let whole = pin!(whole(world, disk, command, meant, Arc::clone(&life)));
    let ended = tokio::select! {
        biased;
        () = died => Ended::Dead,
        ended = mortal(whole) => ended,
    };
    // Tasks that it left running are dead too.
    if ended == Ended::Dead {
        life.end();
    }
    world.note(format_args!("end of {}: {ended:?}", command.name));
    ended
}

/// Polls `process` until it finishes, or dies in the middle of its work.
async fn mortal(mut process: Pin<&mut impl Future<Output = Ended>>) -> Ended {
    std::future::poll_fn(|context| {
        let poll = std::panic::AssertUnwindSafe(|| process.as_mut().poll(context));
        std::panic::catch_unwind(poll).unwrap_or_else(|panic| match panic.downcast::<Death>() {
            Ok(_) => Poll::Ready(Ended::Dead),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
    .await
}

/// The program that another test starts has copies of all locks of this process from its fork to its exec: then the
/// results of a start that has died are locked for a moment.
fn destination(path: &Path) -> Destination {
    for _ in 0..1_000_000 {
        match Destination::examine(path, None, &SHAPE) {
            Err(error) if error.to_string().contains("another run is writing it") => std::thread::yield_now(),
            examined => return examined.expect("can be written"),
        }
    }
    panic!("{} stays locked", path.display())
}

/// The steps of `bulk-triage run`.
async fn whole(world: &Arc<World>, disk: &Disk, command: &Command, meant: Meant, life: Arc<Life>) -> Ended {
    let clock = world.clock();
    let Some(tokens) = renewal::tokens(world).await else { return Ended::NoToken };
    let dir = disk.state_dir().into();
    let mut journal = Journal::open(&dir, clock.clone(), Durability::Unsynced).expect("opens");
    let run = match run_of(world, &mut journal, command, &life).await {
        Ok(run) => Arc::new(run),
        Err(JournalError::RunIsHeld { .. }) => return Ended::Held,
        Err(error) => panic!("{error}"),
    };
    let destination = destination(&disk.results(command));
    let over = rows(&journal, &run.name, true);
    let results = ResultsFile::create(&destination, SHAPE, over).expect("can be written");
    let reporter = Reporter::new(results, Progress::new(Screen::plain(std::io::sink()), clock.clone(), false));
    let pace = Arc::new(PaceWatch::new(&world.scenario, command, world.time()));
    let mut listener = Witnessed {
        world: Arc::clone(world),
        life: Arc::clone(&life),
        run: run.name.clone(),
        clock: clock.clone(),
        pace: Arc::clone(&pace),
        reporter,
    };
    let network = Network::new(world, life, Arc::clone(&pace));

    let ends = sent(world, journal, &run, &clock, meant, (network, tokens), &mut listener).await;
    let mut ends = ends.unwrap_or_else(|error| panic!("{error}"));
    match &ends.ending {
        Completion::Over => pace.finishes().into_iter().for_each(|why| world.breach(why)),
        Completion::Stopped(stop) => {
            world.note(format_args!("stopped: {stop}"));
            let is_in_time = world.scenario.renewals.is_some_and(|renewals| renewals.must_be_waited_for());
            // A fault may be a 401 for a good token.
            if is_in_time && world.scenario.faults == 0 && matches!(stop, StopReason::NotRenewed { .. }) {
                world.breach(format_args!("the run did not wait for a token that comes in time: {stop}"));
            }
        }
    }
    let state = ends.journal.close(&run).expect("closes");
    let (results, _) = listener.reporter.into_results_and_tally();
    results.finish(rows(&ends.journal, &run.name, false)).expect("can be written");
    Ended::Accounted { run: run.name.clone(), state }
}

/// The run of this command: a new one, or the one to resume.
async fn run_of(
    world: &World,
    journal: &mut Journal,
    command: &Command,
    life: &Life,
) -> Result<RunHandle, JournalError> {
    let scope = TenantKey::named("simulation");
    let facts = RunMetadata {
        input: format!("{}.jsonl", command.name),
        shape: SHAPE,
        origin: "http://127.0.0.1".to_owned(),
        contract: String::new(),
        results: String::new(),
        options: Vec::new(),
        typed: bulk_triage::model::typed::Typed::default(),
        remember: Duration::from_hours(12),
    };
    let mut rng = fastrand::Rng::with_seed(world.state().dice.u64(..));
    let step = async || {
        life.point();
        // Another process may come between.
        tokio::task::yield_now().await;
    };
    let loading = journal.create_run(&scope, &contract().name, &facts, &mut rng)?;
    step().await;
    journal.load(&loading, &loaded(&command.rows))?;
    step().await;
    let digest: Vec<u8> =
        command.rows.iter().flat_map(|row| [&row.incident.to_le_bytes(), row.body.as_bytes()].concat()).collect();
    let remember = world.scenario.remember.max(Duration::from_hours(12));
    let run = if let Some(name) = journal.unfinished_same(&scope, &contract().name, &digest, remember)? {
        journal.discard(&loading)?;
        step().await;
        journal.acquire(&name)?
    } else {
        journal.publish(&loading, &facts, &RunKey::Changes(digest.clone()))?;
        loading
    };
    step().await;
    Ok(run)
}

fn loaded(rows: &[FileRow]) -> Vec<LoadRow> {
    let numbered = rows.iter().zip(1..);
    let rows = numbered.map(|(row, number)| LoadRow {
        row: number,
        line: number,
        incident: row.incident.to_string(),
        change: Ok(Change {
            incident: IncidentId::new(row.incident).expect("an id"),
            edits: bulk_triage::plan::decode(&row.body, row.appends).expect("a body"),
        }),
        source: row.body.clone().into_bytes(),
        planned: None,
    });
    rows.collect()
}

/// Sends the run.
async fn sent(
    world: &Arc<World>,
    journal: Journal,
    run: &Arc<RunHandle>,
    clock: &Clock,
    meant: Meant,
    (network, tokens): (Network, TokenCache),
    listener: &mut impl Listener,
) -> Result<RunEnd, ApplyError> {
    let scenario = &world.scenario;
    let client = Arc::new(Client::new(network, Arc::new(tokens), contract(), clock.clone()));
    let settings = EngineSettings {
        quota: scenario.quota.clone(),
        concurrency: scenario.concurrency,
        max_attempts: scenario.max_attempts,
        patience: scenario.patience,
        max_failures: None,
        stop_after: if let Meant::Deadline(after) = meant { Some(after) } else { None },
        remember: scenario.remember,
        settle: scenario.settle,
        same_as: bulk_triage::contract::SameAs::default(),
        seed: world.state().dice.u64(..),
    };
    let (ask, stop) = watch::channel(false);
    let asks = async {
        if let Meant::StopsAfter(after) = meant {
            world.sleep(after).await;
            ask.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        ends = apply(journal, run, client, settings, clock.clone(), stop, listener) => ends,
        () = asks => unreachable!("it waits for ever"),
    }
}

/// The reporter, with a witness beside it: what it is told must be in the journal already.
struct Witnessed {
    world: Arc<World>,
    life: Arc<Life>,
    run: String,
    clock: Clock,
    pace: Arc<PaceWatch>,
    reporter: Reporter,
}

impl Listener for Witnessed {
    fn on_event(&mut self, event: Event) -> std::io::Result<()> {
        if let Event::Finished(rows) = &event {
            for row in rows {
                let (number, outcome) = (row.row, &row.outcome);
                self.world.note(format_args!("row     {number} of {}: {} {}", self.run, outcome.kind, outcome.code));
                if !self.world.state().witness.is_over(&self.run, number) {
                    self.world.breach(format_args!("row {number} was reported before it was committed"));
                }
            }
        }
        let (now, wall) = (self.world.time(), self.clock.now().wall);
        match &event {
            Event::Pace(pace) => self.pace.hears(pace, now, wall),
            Event::Throttled { until, .. } | Event::Busy { until, .. } => {
                let until = now + until.duration_since(wall).try_into().unwrap_or(Duration::ZERO);
                let longest = self.world.state().witness.longest_pause(now);
                if let Some(longest) = longest.filter(|longest| until > *longest + Duration::from_millis(2)) {
                    self.world.breach(format_args!("a pause until {until:?}, but {longest:?} was named"));
                }
            }
            _ => {}
        }
        if self.life.point() {
            std::panic::resume_unwind(Box::new(Death));
        }
        self.reporter.on_event(event)
    }
}

fn rows(journal: &Journal, run: &str, only_over: bool) -> Vec<Result<ResultRow, JournalError>> {
    let rows = journal.results(run, 0, u32::MAX, only_over).expect("reads");
    rows.into_iter().map(Ok).collect()
}

pub(super) fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| load("defender").expect("is built in"))
}

/// Where seeds keep their disks: in memory, if there is such a file system.
pub(super) fn disk() -> (tempfile::TempDir, Disk) {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let directory = made.expect("a directory");
    let disk = Disk { directory: directory.path().to_owned() };
    (directory, disk)
}
