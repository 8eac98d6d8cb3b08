//! What a seed decides before anything moves: files, settings, the service's habits, how much goes wrong.
//!
//! Promises: everything that varies comes from here or from the dice that a seed gives to [`super::world::World`].

use std::ops::Range;
use std::time::Duration;

use bulk_triage::window::{Quota, Window};

/// All that is decided beforehand.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) quota: Quota,
    pub(super) concurrency: u32,
    pub(super) max_attempts: u32,
    pub(super) patience: Duration,
    pub(super) remember: Duration,
    /// A call takes up to this, if nothing happens to it.
    pub(super) latency_ms: u64,
    pub(super) commands: Vec<Command>,
    /// Whether the commands run at the same time, or one after another.
    pub(super) together: bool,
    pub(super) incidents: Vec<Seeded>,
    /// So many calls go wrong, and no more.
    pub(super) faults: u32,
    /// So many times others use up the quota.
    pub(super) throttles: u32,
    /// One call in so many goes wrong or finds the quota used up, as long as there are such left.
    pub(super) fault_every: u64,
    /// When the service is down, in the world's time: every call ends without an answer.
    pub(super) outage: Option<Range<Duration>>,
    /// So many starts are ended before their time.
    pub(super) ended_early: u32,
    /// Whether the machine starts anew between starts. Then nobody sets its clock: a clock that is wrong across a start
    /// of the machine is a limit that the docs name.
    pub(super) reboots: bool,
    /// Whether the wall clock is set between starts.
    pub(super) steps: bool,
    /// The server's clock minus the machine's, in milliseconds.
    pub(super) server_skew_ms: i64,
    /// Whether answers have a `Date`.
    pub(super) dated: bool,
    /// Whether the server counts a request at the end of its latency, or after a cut or a kill some time later.
    pub(super) counts_late: bool,
}

/// One command: a file, and the run that it becomes.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) rows: Vec<FileRow>,
}

/// One row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileRow {
    pub(super) incident: u64,
    pub(super) body: String,
    pub(super) appends: bool,
}

/// An incident as the server has it in the beginning.
#[derive(Clone, Debug)]
pub(super) struct Seeded {
    pub(super) id: u64,
    pub(super) habit: Habit,
    /// A comment that is there already.
    pub(super) comment: Option<String>,
}

/// How the server treats updates of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    Takes,
    /// It is not there: 404.
    Missing,
    /// The values are refused: 400.
    Refuses,
    /// Somebody else is at it: 409.
    Conflicts,
    /// It was merged into another one: the update goes to the old one.
    Merged,
}

impl Scenario {
    /// Draws a scenario.
    pub(super) fn draw(seed: u64) -> Scenario {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rows = rng.u64(1..=8);
        let has_refusals = rng.u8(..4) == 0;
        let two = rng.bool();
        let files_overlap = rng.bool();
        let files_conflict = rng.u8(..4) == 0;
        let incidents: Vec<Seeded> = (1..=rows * 2)
            .map(|at| Seeded {
                id: at + 1_000,
                habit: if has_refusals { refusal(&mut rng) } else { Habit::Takes },
                comment: rng.bool().then(|| comment(at + 1_000)),
            })
            .collect();
        let mut first: Vec<FileRow> = (0..rows).map(|at| file_row(incidents[index(at)].id, &mut rng)).collect();
        if rng.u8(..3) == 0 {
            let twice = first[rng.usize(..first.len())].clone();
            first.insert(rng.usize(..=first.len()), twice);
        }
        let mut commands = vec![Command { name: "first", rows: first }];
        if two {
            let from = if files_overlap { rows / 2 } else { rows };
            let second = (from..from + rows).map(|at| {
                let id = incidents[index(at)].id;
                let same = commands[0].rows.iter().find(|row| row.incident == id).cloned();
                match same {
                    Some(same) if !(files_conflict && rng.bool()) => same,
                    Some(_) => other_row(id),
                    None => file_row(id, &mut rng),
                }
            });
            let second = second.collect();
            commands.push(Command { name: "second", rows: second });
        }
        let outage = (rng.u8(..8) == 0).then(|| outage(&mut rng));
        let faults = if outage.is_some() || rng.u8(..4) == 0 { 0 } else { few_or_many(&mut rng) };
        let reboots = !two && rng.u8(..3) == 0;
        Scenario {
            seed,
            quota: quota(&mut rng),
            concurrency: rng.u32(1..=8),
            max_attempts: max_attempts(faults, outage.is_some(), &mut rng),
            patience: Duration::from_secs(if rng.u8(..4) == 0 { rng.u64(0..=30) } else { 600 }),
            remember: if rng.u8(..3) == 0 { Duration::ZERO } else { Duration::from_hours(12) },
            latency_ms: rng.u64(2..=1_000),
            commands,
            together: two && rng.u8(..3) > 0,
            incidents,
            faults,
            throttles: if rng.bool() { 0 } else { rng.u32(1..=8) },
            fault_every: rng.u64(1..=6),
            outage,
            ended_early: if rng.u8(..4) == 0 { 0 } else { rng.u32(1..=5) },
            reboots,
            steps: !reboots && rng.u8(..3) == 0,
            server_skew_ms: 0,
            dated: true,
            counts_late: false,
        }
        .with_server_clock(&mut rng)
        .with_field(&mut fastrand::Rng::with_seed(seed ^ 0xf1e1d))
    }

    /// What services do in the field. It has dice of its own: what else a seed decides stays as it was.
    fn with_field(mut self, rng: &mut fastrand::Rng) -> Scenario {
        self.counts_late = rng.u8(..3) == 0;
        self
    }

    /// A server that says what time it has may be wrong by an hour; one that does not, by some seconds.
    fn with_server_clock(mut self, rng: &mut fastrand::Rng) -> Scenario {
        self.dated = rng.bool() || self.steps;
        let most = if self.dated { 3_600_000 } else { 20_000 };
        self.server_skew_ms = if rng.bool() { 0 } else { rng.i64(-most..=most) };
        self
    }

    /// Whether a row can be over for good without having been made.
    pub(super) fn may_fail(&self) -> bool {
        self.max_attempts <= self.faults || self.incidents.iter().any(|incident| incident.habit != Habit::Takes)
    }

    /// Whether two files ask for different things of this incident.
    pub(super) fn conflicts(&self, incident: u64) -> bool {
        let mut asked = self.commands.iter().flat_map(|command| &command.rows).filter(|row| row.incident == incident);
        let first = asked.next();
        asked.any(|row| Some(row) != first)
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at).expect("a few rows")
}

fn refusal(rng: &mut fastrand::Rng) -> Habit {
    match rng.u8(..12) {
        0 => Habit::Missing,
        1 => Habit::Refuses,
        2 => Habit::Conflicts,
        3 => Habit::Merged,
        _ => Habit::Takes,
    }
}

fn comment(incident: u64) -> String {
    format!("closed by tuning {incident}")
}

/// Most rows add a comment: that is what can go wrong for good.
fn file_row(incident: u64, rng: &mut fastrand::Rng) -> FileRow {
    let appends = rng.u8(..4) > 0;
    let body = match rng.u8(..3) {
        _ if !appends => r#"{"status":"Resolved","classification":"FalsePositive"}"#.to_owned(),
        0 => format!(r#"{{"comment":"{}"}}"#, comment(incident)),
        _ => format!(r#"{{"status":"Resolved","comment":"{}"}}"#, comment(incident)),
    };
    FileRow { incident, body, appends }
}

/// What somebody else wants of the same incident.
fn other_row(incident: u64) -> FileRow {
    let body = format!(r#"{{"status":"InProgress","comment":"looked at again {incident}"}}"#);
    FileRow { incident, body, appends: true }
}

fn few_or_many(rng: &mut fastrand::Rng) -> u32 {
    if rng.bool() { rng.u32(1..=2) } else { rng.u32(1..=16) }
}

/// With so many tries an outage alone can use up nobody's: five in a row are the service's fault.
fn max_attempts(faults: u32, has_outage: bool, rng: &mut fastrand::Rng) -> u32 {
    match rng.bool() {
        _ if has_outage => 5,
        true => faults + 1,
        false => rng.u32(1..=3),
    }
}

fn outage(rng: &mut fastrand::Rng) -> Range<Duration> {
    let from = Duration::from_millis(rng.u64(0..20_000));
    from..from + Duration::from_millis(rng.u64(1_000..300_000))
}

fn quota(rng: &mut fastrand::Rng) -> Quota {
    let short = Window { calls: rng.u32(1..=8), length: Duration::from_millis(rng.u64(500..=10_000)) };
    let mut windows = vec![short];
    if rng.bool() {
        let length = short.length * rng.u32(2..=6);
        windows.push(Window { calls: short.calls + rng.u32(0..=8), length });
    }
    Quota::new(windows).expect("one window at least")
}
