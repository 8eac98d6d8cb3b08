//! The report of `doctor`: a table of checks, then what to do about those that are not ok; and the same as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::layout::{GREEN, Layout, RED, YELLOW};
use super::table::{Cell, Table};
use crate::text::{escape_json, printable};

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A run can rely on it.
    Ok,
    /// A run can start, but something needs attention.
    Warn,
    /// No run can start.
    Fail {
        /// The exit code, if this is the first failure.
        exit: u8,
    },
    /// Not checked, because another check failed.
    Skip,
}

impl State {
    /// Its name, in the table and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail { .. } => "fail",
            State::Skip => "skip",
        }
    }

    fn color(self) -> Option<&'static str> {
        match self {
            State::Ok => Some(GREEN),
            State::Warn => Some(YELLOW),
            State::Fail { .. } => Some(RED),
            State::Skip => None,
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked, such as `state directory`.
    pub name: &'static str,
    /// What that means for a run.
    pub state: State,
    /// What was found, in words.
    pub finding: String,
    /// What to do about it, unless the finding says so.
    pub help: Option<String>,
}

impl Check {
    /// A check that found no problem.
    #[must_use]
    pub fn ok(name: &'static str, finding: impl Into<String>) -> Check {
        Check { name, state: State::Ok, finding: finding.into(), help: None }
    }

    /// A check that found something that needs attention.
    #[must_use]
    pub fn warn(name: &'static str, finding: impl Into<String>, help: impl Into<String>) -> Check {
        Check { state: State::Warn, help: Some(help.into()), ..Check::ok(name, finding) }
    }

    /// A check that failed.
    #[must_use]
    pub fn fail(name: &'static str, finding: impl Into<String>, help: Option<String>, exit: u8) -> Check {
        Check { state: State::Fail { exit }, help, ..Check::ok(name, finding) }
    }

    /// A check that was left out, because these failed.
    #[must_use]
    pub fn skip(name: &'static str, failed: &[&Check]) -> Check {
        let needs = failed.iter().map(|check| check.name).collect::<Vec<_>>().join(", ");
        Check { state: State::Skip, ..Check::ok(name, format!("not checked: needs {needs}")) }
    }

    /// Whether no run can start because of it.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self.state, State::Fail { .. })
    }
}

/// The first failure and its exit code.
fn first_failure(checks: &[Check]) -> Option<(&Check, u8)> {
    checks.iter().find_map(|check| match check.state {
        State::Fail { exit } => Some((check, exit)),
        _ => None,
    })
}

/// The exit code of these checks: that of the first failure.
#[must_use]
pub fn exit_code(checks: &[Check]) -> u8 {
    first_failure(checks).map_or(0, |(_, exit)| exit)
}

/// Writes them for people.
///
/// # Errors
/// If `out` fails.
pub fn write_text(checks: &[Check], mut out: impl Write, layout: Layout) -> io::Result<()> {
    let mut table = Table::new(&["check", "state", "finding"], &[]);
    for check in checks {
        let state = Cell::whole(check.state.name()).painted(layout, check.state.color());
        table.add([Cell::whole(check.name), state, Cell::words(&check.finding)]);
    }
    table.write(&mut out, layout.width)?;
    // A line each, so that commands can be copied.
    for (check, help) in checks.iter().filter_map(|check| Some((check, check.help.as_ref()?))) {
        writeln!(out, "help: {}: {}", check.name, printable(help))?;
    }
    if let Some((check, exit)) = first_failure(checks) {
        writeln!(out, "failed: {} (exit {exit})", check.name)?;
    }
    Ok(())
}

/// Writes them as one JSON object.
///
/// # Errors
/// If `out` fails.
pub fn write_json(checks: &[Check], mut out: impl Write) -> io::Result<()> {
    let object = |check: &Check| json!({ "check": check.name, "state": check.state.name(), "finding": check.finding, "help": check.help });
    let all: Vec<Value> = checks.iter().map(object).collect();
    writeln!(out, "{}", escape_json(&json!({ "checks": all, "exit": exit_code(checks) }).to_string()))
}
