//! One trial: a run of twenty rows is struck once (or again, at its restart), restarted until it finishes, and checked
//! against the emulator's log.

use std::fmt;
use std::process::Command;
use std::str::FromStr;

use super::shim::{Errno, How, Point, Strike, noted, shim};
use crate::final_checks::{check_final_state, check_final_state_of_steps, rows_with_comments};
use crate::program::{Ended, Program, started, with_contract};

const ROWS: u64 = 20;
/// A run that is unfinished after so many starts without faults will never finish.
const MOST_STARTS: usize = 8;

/// The faults of the server itself.
#[derive(Clone, Debug)]
pub(super) struct World {
    seed: u64,
    faults: Vec<String>,
    /// The request that a single fault strikes.
    loses: Option<usize>,
    /// Whether the contract is `graph`: a comment is a step of its own.
    two_steps: bool,
}

impl World {
    /// Seed 1 has no faults; the others have some of the service's own.
    fn of_seed(seed: u64) -> World {
        let faults: &[&str] = match seed {
            1 => &[],
            2 => &["503:10%"],
            _ => &["cut-after:7%", "503-after:7%"],
        };
        World { seed, faults: faults.iter().map(|fault| (*fault).to_owned()).collect(), loses: None, two_steps: false }
    }

    /// No faults but this one, at one request.
    pub(super) fn losing(fault: &str, at: usize) -> World {
        World { seed: 1, faults: vec![format!("{fault}@{at}")], loses: Some(at), two_steps: false }
    }
}

/// A trial, written as `SEED HOW@AT` or `SEED HOW@AT+STEP`.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) world: World,
    /// Where the first start is struck.
    pub(super) first: Option<(usize, How)>,
    /// Each restart also ends, so many calls later than the one before, until one gets through; 0: none does.
    pub(super) step: usize,
}

/// The result of a trial.
pub(super) struct Held {
    /// The call that the first start was struck at, if it got there.
    pub(super) struck: Option<Point>,
    pub(super) starts: usize,
    pub(super) breach: Option<String>,
}

impl Trial {
    pub(super) fn first(seed: u64, at: usize, how: How) -> Trial {
        Trial { world: World::of_seed(seed), first: Some((at, how)), step: 0 }
    }

    pub(super) fn undisturbed() -> Trial {
        Trial { world: World::of_seed(1), first: None, step: 0 }
    }

    /// The same with two steps.
    pub(super) fn in_two_steps(mut self) -> Trial {
        self.world.two_steps = true;
        self
    }

    /// Runs the trial.
    pub(super) fn hold(&self) -> Held {
        let program = self.program();
        let mut held = Held { struck: None, starts: 0, breach: None };
        held.breach = self.hold_with(&program, &mut held).err();
        if let Some(at) = self.world.loses {
            let came_to_it = program.requests().len() >= at;
            held.struck =
                came_to_it.then(|| Point { number: at, call: "answer".to_owned(), file: "network".to_owned() });
        }
        held
    }

    fn hold_with(&self, program: &Program, held: &mut Held) -> Result<(), String> {
        if let Some((at, how)) = self.first {
            held.struck = self.strike(program, at, how)?;
            held.starts += 1;
        }
        if self.step > 0 {
            for at in (1..).step_by(self.step) {
                held.starts += 1;
                if self.strike(program, at, How::Before)?.is_none() {
                    break;
                }
            }
        }
        let point = held.struck.as_ref();
        for _ in 0..MOST_STARTS {
            let ended = started(command(program)).end();
            held.starts += 1;
            match ended.code {
                Some(0) => {
                    let check = if self.world.two_steps { check_final_state_of_steps } else { check_final_state };
                    return check(program, ROWS, "r.csv").map_err(|breach| self.told(&breach, point, &ended));
                }
                Some(4) => {}
                code => return Err(self.told(&format!("a restart ends with {code:?}"), point, &ended)),
            }
        }
        Err(self.told("it is never done", point, &started(command(program)).end()))
    }

    /// Runs the command with this strike. Returns the struck call, if it was reached.
    fn strike(&self, program: &Program, at: usize, how: How) -> Result<Option<Point>, String> {
        // The disk is full or broken, alternately.
        let error = if at.is_multiple_of(2) { Errno::Io } else { Errno::NoSpace };
        let strike = Strike { at, how, error, name: "" };
        let requests = program.requests().len();
        let ended = started(strike.prepare(shim().ok_or("no shim")?, program, command(program))).end();
        let point = noted(program).pop();
        let is_quiet = program.requests().len() == requests;
        let well = ended_well(&ended, &strike, point.as_ref(), is_quiet);
        well.map_err(|breach| self.told(&breach, point.as_ref(), &ended)).map(|()| point)
    }

    fn program(&self) -> Program {
        let program = if self.world.two_steps { with_contract("graph", Program::new) } else { Program::new() };
        let program = program.file("a.csv", rows_with_comments(ROWS));
        let World { seed, faults, .. } = &self.world;
        program.emulator(|settings| {
            settings.seed = seed + self.first.map_or(0, |(at, _)| at as u64);
            settings.faults = faults.iter().map(|fault| crate::program::fault_of(fault)).collect();
        })
    }

    fn told(&self, breach: &str, point: Option<&Point>, ended: &Ended) -> String {
        let at = point.map_or_else(String::new, |point| format!(" ({} {})", point.call, point.file));
        format!("{self}{at}: {breach}\n{}", ended.printed())
    }
}

fn command(program: &Program) -> Command {
    let arguments =
        "a.csv --results r.csv --quota 100000/1s --concurrency 8 --patience 0 --max-attempts 20 --no-progress";
    program.send_command(arguments)
}

/// The counted calls of a run without faults.
pub(super) fn calls_of_a_good_run() -> Vec<Point> {
    Trial::undisturbed().calls()
}

impl Trial {
    /// The counted calls of it, if nothing is struck.
    pub(super) fn calls(&self) -> Vec<Point> {
        let program = self.program();
        let command = command(&program);
        started(Strike::listing().prepare(shim().expect("a shim"), &program, command)).end().expect_code(0);
        noted(&program)
    }
}

/// Whether a struck run ended as the exit code table says. `is_quiet`: it sent no request.
fn ended_well(ended: &Ended, strike: &Strike<'_>, point: Option<&Point>, is_quiet: bool) -> Result<(), String> {
    let Some(point) = point else { return expect_code(ended, &[0, 4]) };
    if strike.how.is_crash() {
        return if ended.code.is_none() { Ok(()) } else { Err(format!("it survives with {:?}", ended.code)) };
    }
    if ended.stderr.contains("panicked") || ended.stderr.contains("defect") {
        return Err("it has a defect".to_owned());
    }
    match ended.code {
        None => return Err("a signal ends it".to_owned()),
        Some(0 | 4) => return Ok(()),
        Some(2) if is_quiet => {}
        // If nothing can be written any more, the journal can't report it either. If space was missing for one call
        // only, nothing shows afterwards why SQLite could not create a file.
        Some(70) if strike.how == How::On && strike.error == Errno::Io => {}
        Some(70) if strike.how == How::Once && point.is_journal() => {}
        code => return Err(format!("it ends with {code:?}")),
    }
    if ended.stderr.contains("error: ") { Ok(()) } else { Err("it doesn't say why".to_owned()) }
}

fn expect_code(ended: &Ended, codes: &[i32]) -> Result<(), String> {
    match ended.code {
        Some(code) if codes.contains(&code) => Ok(()),
        code => Err(format!("it ends with {code:?}")),
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.world.seed)?;
        if self.world.two_steps {
            f.write_str(" two-steps")?;
        }
        if let Some(at) = self.world.loses {
            return write!(f, " {} (request {at})", self.world.faults.concat());
        }
        if let Some((at, how)) = self.first {
            write!(f, " {how}@{at}")?;
        }
        if self.step > 0 { write!(f, "+{}", self.step) } else { Ok(()) }
    }
}

impl FromStr for Trial {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Trial, &'static str> {
        let (first, step) = text.split_once('+').unwrap_or((text, "0"));
        let step = step.parse().map_err(|_| "a step")?;
        let (seed, strike) = first.split_once(' ').ok_or("SEED HOW@AT+STEP")?;
        let (two_steps, strike) = strike.strip_prefix("two-steps ").map_or((false, strike), |strike| (true, strike));
        let (how, at) = strike.split_once('@').ok_or("HOW@AT")?;
        let how = How::ALL.into_iter().find(|one| one.to_string() == how).ok_or("once, on, before or after")?;
        let seed = seed.parse().map_err(|_| "a seed")?;
        let trial = Trial { step, ..Trial::first(seed, at.parse().map_err(|_| "a point")?, how) };
        Ok(if two_steps { trial.in_two_steps() } else { trial })
    }
}
