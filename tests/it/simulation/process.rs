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
use bulk_triage::apply::{Completion, StopReason};
use bulk_triage::check::Rules;
use bulk_triage::client::Client;
use bulk_triage::clock::Clock;
use bulk_triage::contract::{Contract, load};
use bulk_triage::input::InputShape;
use bulk_triage::input::{Input, Source};
use bulk_triage::journal::{Durability, Journal, JournalError, ReadScope, RunState};
use bulk_triage::model::change::TenantKey;
use bulk_triage::output::results::{Destination, ResultsFile};
use bulk_triage::report::progress::{Progress, Screen};
use bulk_triage::report::reporter::Reporter;
use bulk_triage::report::summary::RunStats;
use bulk_triage::session::{
    CallOptions, PreflightListener, PreflightOptions, PreparedRun, Reading, RunEnd, RunInput, SendOptions, Session,
    SessionError, Target, result_rows,
};
use tokio::sync::watch;

use crate::program::wait_for_forks;

use super::life::{Death, Life};
use super::network::Network;
use super::pace::PaceWatch;
use super::renewal;
use super::scenario::{Command, FileRow, Scenario};
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
    /// The preflight was stopped; nothing was sent.
    Stopped,
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

    /// The command's file. It is written once, by the first start.
    fn input(&self, command: &Command) -> PathBuf {
        let path = self.directory.join(format!("{}.jsonl", command.name));
        if !path.exists() {
            let line = |row: &FileRow| format!("{{\"incidentId\":{},{}\n", row.incident, &row.body[1..]);
            std::fs::write(&path, command.rows.iter().map(line).collect::<String>()).expect("can be written");
        }
        path
    }

    pub(super) fn results(&self, command: &Command) -> PathBuf {
        self.directory.join(format!("{}.results.jsonl", command.name))
    }
}

/// Rows that are loaded at a time: some runs take several commits.
const ROWS_LOADED: usize = 3;

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
    let ended = {
        let whole = pin!(whole(world, disk, command, meant, Arc::clone(&life)));
        tokio::select! {
            biased;
            () = died => Ended::Dead,
            ended = mortal(whole) => ended,
        }
    };
    // The locks of a process that has ended are free.
    wait_for_forks();
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

/// The steps of `bulk-triage run`.
async fn whole(world: &Arc<World>, disk: &Disk, command: &Command, meant: Meant, life: Arc<Life>) -> Ended {
    let clock = world.clock();
    let Some(tokens) = renewal::tokens(world, &clock).await else { return Ended::NoToken };
    let tokens = Arc::new(tokens);
    let (ask, stop) = watch::channel(false);
    let asks = async {
        if let Meant::StopsAfter(after) = meant {
            world.sleep(after).await;
            ask.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    // A client for each phase, with connections of its own.
    let phase = |run: &str, reporter| {
        let pace = Arc::new(PaceWatch::new(&world.scenario, command, world.time()));
        let network = Network::new(world, Arc::clone(&life), Arc::clone(&pace));
        let client =
            Arc::new(Client::new(network, Arc::clone(&tokens), contract(world.scenario.two_steps), clock.clone()));
        let (world, life, run) = (Arc::clone(world), Arc::clone(&life), run.to_owned());
        (client, Witnessed { world, life, run, clock: clock.clone(), pace, reporter })
    };
    let steps = async {
        let mut run = prepared(world, disk, command, &life).await?;
        if world.scenario.compares {
            let options = PreflightOptions { scope: ReadScope::All, follow_redirects: false };
            let (client, mut listener) = phase(&run.handle.name, None);
            let calls = call_options(&world.scenario);
            run = run.preflight(client, options, &calls, stop.clone(), &mut listener).await?;
            step(&life).await;
        }
        run.publish(disk.results(command).to_string_lossy().into_owned())?;
        step(&life).await;
        let name = run.handle.name.clone();
        let destination = Destination::examine(&disk.results(command), None, &SHAPE).expect("can be written");
        wait_for_forks();
        let results = ResultsFile::create(&destination, SHAPE, result_rows(&run.journal, &name, true));
        let progress = Progress::new(Screen::plain(std::io::sink()), clock.clone(), false);
        let (client, mut listener) =
            phase(&name, Some(Reporter::new(results.expect("can be written"), progress, RunStats::default())));
        let end = run.send(client, &send_options(&world.scenario, meant), stop.clone(), &mut listener).await?;
        Ok((end, listener))
    };
    let steps: Result<(RunEnd, Witnessed), SessionError> = tokio::select! {
        biased;
        steps = steps => steps,
        () = asks => unreachable!("it waits for ever"),
    };
    let (end, Witnessed { pace, reporter, .. }) = match steps {
        Ok(steps) => steps,
        Err(SessionError::Journal(JournalError::RunIsHeld { .. } | JournalError::StartedElsewhere { .. })) => {
            return Ended::Held;
        }
        Err(SessionError::Stopped(_)) => return Ended::Stopped,
        Err(error) => panic!("{error}"),
    };
    if let Some(error) = end.failed {
        panic!("{error}");
    }
    match &end.completion {
        Completion::Finished => pace.finishes().into_iter().for_each(|why| world.breach(why)),
        Completion::Stopped(stop) => {
            world.note(format_args!("stopped: {stop}"));
            let is_in_time = world.scenario.renewals.is_some_and(|renewals| renewals.must_be_waited_for());
            // A fault may be a 401 for a good token.
            if is_in_time && world.scenario.faults == 0 && matches!(stop, StopReason::NotRenewed { .. }) {
                world.breach(format_args!("the run did not wait for a token that comes in time: {stop}"));
            }
        }
    }
    let name = end.handle.name.clone();
    let (results, _) = reporter.expect("one of sending").into_results_and_stats();
    results.finish(result_rows(&end.journal, &name, false)).expect("can be written");
    Ended::Accounted { run: name, state: end.state }
}

/// A moment between two steps, at which the process may die.
async fn step(life: &Life) {
    life.point();
    // Another process may come between.
    tokio::task::yield_now().await;
}

/// The run of this command: a new one, or the one to resume.
async fn prepared(
    world: &World,
    disk: &Disk,
    command: &Command,
    life: &Arc<Life>,
) -> Result<PreparedRun, SessionError> {
    let journal = Journal::open(&disk.state_dir().into(), world.clock(), Durability::Unsynced).expect("opens");
    let target = Target {
        contract: contract(world.scenario.two_steps).clone(),
        origin: "http://127.0.0.1".to_owned(),
        tenant: TenantKey::named("simulation"),
        quota: world.scenario.quota.clone(),
    };
    let seed = world.state().dice.u64(..);
    let dies = |life: &Life| {
        if life.point() {
            std::panic::resume_unwind(Box::new(Death));
        }
    };
    let owner = Arc::clone(life);
    let session = Session::open(target, journal, world.clock()).with_seed(seed);
    // The process may die in the middle of the import, too.
    let session = session.with_observer(ROWS_LOADED, move |_| dies(&owner));
    step(life).await;
    let input = Input::open(&Source::File(disk.input(command))).expect("opens");
    let rules = Rules::new(contract(world.scenario.two_steps));
    let run = RunInput::new(input, format!("{}.jsonl", command.name), &rules);
    // Comments end with white space, which is a warning.
    let run = session.import(run, &mut |_| dies(life))?;
    step(life).await;
    let run = run.or_resume_matching(world.scenario.remember.max(Duration::from_hours(12)))?;
    step(life).await;
    Ok(run)
}

fn call_options(scenario: &Scenario) -> CallOptions {
    let Scenario { concurrency, max_attempts, patience, .. } = *scenario;
    CallOptions { concurrency, max_attempts, patience }
}

fn send_options(scenario: &Scenario, meant: Meant) -> SendOptions {
    SendOptions {
        calls: call_options(scenario),
        max_failures: None,
        stop_after: if let Meant::Deadline(after) = meant { Some(after) } else { None },
        remember: scenario.remember,
        settle: scenario.settle,
    }
}

/// The reporter, with a witness beside it: what it is told must be in the journal already.
struct Witnessed {
    world: Arc<World>,
    life: Arc<Life>,
    run: String,
    clock: Clock,
    pace: Arc<PaceWatch>,
    /// None while incidents are read.
    reporter: Option<Reporter>,
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
        self.reporter.as_mut().map_or(Ok(()), |reporter| reporter.on_event(event))
    }
}

impl PreflightListener for Witnessed {
    fn on_reading(&mut self, reading: &Reading) {
        self.world.note(format_args!("reads   {reading:?}"));
    }
}

/// `graph`, whose rows have two steps, or `defender`.
pub(super) fn contract(has_two_steps: bool) -> &'static Contract {
    static CONTRACTS: [OnceLock<Contract>; 2] = [OnceLock::new(), OnceLock::new()];
    let name = if has_two_steps { "graph" } else { "defender" };
    CONTRACTS[usize::from(has_two_steps)].get_or_init(|| load(name).expect("is built in"))
}

/// Where seeds keep their disks: in memory, if there is such a file system.
pub(super) fn disk() -> (tempfile::TempDir, Disk) {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let directory = made.expect("a directory");
    let disk = Disk { directory: directory.path().to_owned() };
    (directory, disk)
}
