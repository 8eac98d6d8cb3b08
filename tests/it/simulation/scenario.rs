//! What a seed decides in advance: files, settings, the service's habits, how much goes wrong.
//!
//! Promises: everything that varies comes from here or from the dice that a seed gives to [`super::world::World`].

use std::ops::Range;
use std::time::Duration;

use bulk_triage::model::quota_spec::{Quota, Window};
use serde_json::json;

use super::graph;
use super::renewal::Renewals;

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
    /// The longest latency without faults.
    pub(super) latency_ms: u64,
    pub(super) commands: Vec<Command>,
    /// Whether the commands run in parallel, or one after another.
    pub(super) together: bool,
    pub(super) incidents: Vec<Seeded>,
    /// The number of requests that go wrong.
    pub(super) faults: u32,
    /// How often others use up the quota.
    pub(super) throttles: u32,
    /// One request in so many goes wrong or finds the quota used up, while any such are left.
    pub(super) fault_every: u64,
    /// The outage, in the world's time: every request ends without a response.
    pub(super) outage: Option<Range<Duration>>,
    /// The number of starts that are ended early.
    pub(super) ended_early: u32,
    /// Whether the machine reboots between starts. Then nobody sets its clock: a clock that is wrong across a reboot is
    /// a documented limit.
    pub(super) reboots: bool,
    /// Whether the wall clock is set between starts.
    pub(super) steps: bool,
    /// The server's clock minus the machine's, in milliseconds.
    pub(super) server_skew_ms: i64,
    /// Whether responses have a `Date`.
    pub(super) dated: bool,
    /// Whether the server counts a request at the end of its latency, or some time after a cut or a kill.
    pub(super) counts_late: bool,
    /// `--settle`.
    pub(super) settle: Duration,
    /// An update whose response is lost takes effect up to this long after its client knows that.
    pub(super) late_ms: u64,
    /// Reads may show a change this long after it took effect. Together with the time above it is less than the settle
    /// time.
    pub(super) lag_ms: u64,
    /// How the server rewrites a comment.
    pub(super) rewrite: Rewrite,
    /// The clock of `createdTime` minus the machine's, in milliseconds.
    pub(super) created_skew_ms: i64,
    /// Whether that clock may be too wrong to tell which comment is which: rows may then stay in doubt.
    pub(super) may_stay_in_doubt: bool,
    /// Every response to an update of this incident is lost.
    pub(super) loses: Option<u64>,
    /// Whether 408 and 5xx name a time.
    pub(super) names_times: bool,
    /// Whether connections are kept for the next request.
    pub(super) keeps_alive: bool,
    /// Whether the server closes kept connections at any time, even just as a request is sent.
    pub(super) closes: bool,
    /// Whether the server counts by fixed windows, and rounds the time that it names.
    pub(super) has_fixed_windows: bool,
    /// The tokens that expire, if any.
    pub(super) renewals: Option<Renewals>,
    /// `--compare`: the incidents are read before anything is sent.
    pub(super) compares: bool,
    /// Whether the contract is `graph`: a comment is a request of its own.
    pub(super) two_steps: bool,
}

/// How a server rewrites a comment before storing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rewrite {
    Exact,
    Trimmed,
    CrLf,
    Composed,
    PlainSpaces,
    NoBreakSpaces,
    Entities,
    Paragraph,
    Cut,
}

impl Rewrite {
    const ALL: [Rewrite; 9] = [
        Rewrite::Exact,
        Rewrite::Trimmed,
        Rewrite::CrLf,
        Rewrite::Composed,
        Rewrite::PlainSpaces,
        Rewrite::NoBreakSpaces,
        Rewrite::Entities,
        Rewrite::Paragraph,
        Rewrite::Cut,
    ];

    pub(super) fn stored(self, text: &str) -> String {
        match self {
            Rewrite::Exact => text.to_owned(),
            Rewrite::Trimmed => text.trim().to_owned(),
            Rewrite::CrLf => text.replace('\n', "\r\n"),
            Rewrite::Composed => text.replace("e\u{301}", "\u{e9}"),
            Rewrite::PlainSpaces => text.replace('\u{a0}', " "),
            Rewrite::NoBreakSpaces => text.replace(' ', "\u{a0}"),
            Rewrite::Entities => text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;"),
            Rewrite::Paragraph => format!("<p>{text}</p>"),
            Rewrite::Cut => text.chars().take(20).collect(),
        }
    }
}

/// A command: a file, and the run that it becomes.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) rows: Vec<FileRow>,
}

/// A row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileRow {
    pub(super) incident: u64,
    pub(super) body: String,
    pub(super) appends: bool,
}

impl FileRow {
    /// Whether it sets properties.
    fn sets(&self) -> bool {
        !self.body.starts_with("{\"comment\"")
    }
}

/// An incident as it is on the server at first.
#[derive(Clone, Debug)]
pub(super) struct Seeded {
    pub(super) id: u64,
    pub(super) habit: Habit,
    /// A comment that exists already.
    pub(super) comment: Option<String>,
}

/// How the server treats updates of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    Takes,
    /// It does not exist: 404.
    Missing,
    /// The values are rejected: 400.
    Refuses,
    /// A request that adds a comment alone is rejected: 400.
    RefusesComments,
    /// Somebody else is editing it: 409.
    Conflicts,
    /// It was merged into another one: the update goes to the merged one.
    Merged,
    /// A 200 with the old values: nothing is applied.
    Ignores,
    /// Of several values and a comment, only the last one is applied.
    IgnoresPartly,
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
            settle: Duration::from_secs(30),
            late_ms: 1_900,
            lag_ms: 0,
            rewrite: Rewrite::Exact,
            created_skew_ms: 0,
            may_stay_in_doubt: false,
            loses: None,
            names_times: false,
            keeps_alive: false,
            closes: false,
            has_fixed_windows: false,
            renewals: None,
            compares: fastrand::Rng::with_seed(seed ^ 0xc0_3b).u8(..3) == 0,
            two_steps: false,
        }
        .with_steps(&mut fastrand::Rng::with_seed(seed ^ 0x57e9))
        .with_server_clock(&mut rng)
        .with_field(&mut fastrand::Rng::with_seed(seed ^ 0xf1e1d))
        .with_wire(&mut fastrand::Rng::with_seed(seed ^ 0x3173))
    }

    /// In a quarter of the seeds the contract is `graph`: a comment is a request of its own, which some incidents refuse.
    fn with_steps(mut self, rng: &mut fastrand::Rng) -> Scenario {
        self.two_steps = rng.u8(..4) == 0;
        for row in self.commands.iter_mut().flat_map(|command| &mut command.rows).filter(|_| self.two_steps) {
            row.body = graph::body(&row.body);
        }
        let refuses_some = self.two_steps && rng.u8(..4) == 0;
        for incident in self.incidents.iter_mut().filter(|incident| refuses_some && incident.habit == Habit::Takes) {
            incident.habit = if rng.bool() { Habit::RefusesComments } else { Habit::Takes };
        }
        self
    }

    /// Connections, windows and tokens, with dice of their own.
    fn with_wire(mut self, rng: &mut fastrand::Rng) -> Scenario {
        self.keeps_alive = rng.bool();
        self.closes = self.keeps_alive && rng.bool();
        self.has_fixed_windows = rng.bool();
        // If the machine's clock is set, it can't tell when a token expires.
        self.renewals = (rng.u8(..4) == 0).then(|| Renewals::draw(rng, !self.steps));
        self
    }

    /// What services do in the field. It has dice of its own, so that seeds keep everything else that they decide.
    fn with_field(mut self, rng: &mut fastrand::Rng) -> Scenario {
        self.counts_late = rng.u8(..3) == 0;
        self.settle = Duration::from_secs(rng.choice([30, 30, 10]).unwrap_or(30));
        if rng.bool() {
            let most = u64::try_from(self.settle.as_millis()).expect("some seconds") * 9 / 20;
            self.late_ms = rng.u64(0..=most);
            self.lag_ms = rng.u64(0..=most);
        }
        if rng.bool() {
            self.rewrite = rng.choice(Rewrite::ALL).unwrap_or(Rewrite::Exact);
        }
        // It follows the clock of `Date` or, unless that is set meanwhile, the machine's.
        let goes_with_date = self.steps || rng.bool();
        self.created_skew_ms = if goes_with_date { self.server_skew_ms } else { 0 };
        match rng.u8(..8) {
            0 => {
                self.created_skew_ms += rng.i64(-7_000_000..=7_000_000);
                self.may_stay_in_doubt = true;
            }
            1..=4 => self.created_skew_ms += rng.i64(-100_000..=100_000),
            _ => {}
        }
        // Five lost responses in a row are an outage, unless reads between them work: those of a row with a comment.
        self.names_times = rng.bool();
        let row = self.commands[0].rows[0].clone();
        let is_read = row.appends && !(self.two_steps && row.sets());
        let is_told_from_outage = is_read || self.max_attempts < 5;
        let ignores_some = self.may_fail() && rng.bool();
        for incident in self.incidents.iter_mut().filter(|incident| ignores_some && incident.habit == Habit::Takes) {
            incident.habit = rng.choice([Habit::Takes, Habit::Ignores, Habit::IgnoresPartly]).unwrap_or(Habit::Takes);
        }
        self.loses = (is_told_from_outage && rng.u8(..6) == 0).then_some(row.incident);
        self
    }

    /// A server that states its time may be wrong by an hour; another one, by some seconds.
    fn with_server_clock(mut self, rng: &mut fastrand::Rng) -> Scenario {
        self.dated = rng.bool() || self.steps;
        let most = if self.dated { 3_600_000 } else { 20_000 };
        self.server_skew_ms = if rng.bool() { 0 } else { rng.i64(-most..=most) };
        self
    }

    /// Whether a row can be finished for good without being applied.
    pub(super) fn may_fail(&self) -> bool {
        // A 429 that is lost looks like any lost response.
        let is_throttled_in_silence = self.loses.is_some() && self.throttles > 0;
        self.max_attempts <= self.faults
            || is_throttled_in_silence
            || self.incidents.iter().any(|incident| incident.habit != Habit::Takes)
    }

    /// Whether two files request different changes of this incident.
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

/// It ends with white space, and every [`Rewrite`] changes something in it.
fn comment(incident: u64) -> String {
    format!("closed by tuning {incident}\ncafe\u{301}\u{a0}& \"lab\" < 5 ")
}

/// Most rows add a comment, because a second comment can't be undone.
fn file_row(incident: u64, rng: &mut fastrand::Rng) -> FileRow {
    let appends = rng.u8(..4) > 0;
    let body = match rng.u8(..3) {
        _ if !appends => r#"{"status":"Resolved","classification":"FalsePositive"}"#.to_owned(),
        0 => json!({"comment": comment(incident)}).to_string(),
        _ => json!({"status": "Resolved", "comment": comment(incident)}).to_string(),
    };
    FileRow { incident, body, appends }
}

/// What somebody else requests for the same incident.
fn other_row(incident: u64) -> FileRow {
    let body = format!(r#"{{"status":"InProgress","comment":"looked at again {incident}"}}"#);
    FileRow { incident, body, appends: true }
}

fn few_or_many(rng: &mut fastrand::Rng) -> u32 {
    if rng.bool() { rng.u32(1..=2) } else { rng.u32(1..=16) }
}

/// With so many attempts an outage alone can't use them up: five failures in a row are the service's fault.
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
