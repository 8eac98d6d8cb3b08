//! The promises, checked against the model of the server. Shares no code with what it checks.

use std::collections::BTreeMap;
use std::path::Path;

use bulk_triage::model::quota_spec::Window;
use serde_json::Value;

use super::scenario::Command;
use super::server::Server;
use super::step_checks;
use super::world::World;

/// A line of a results file, parsed independently of the program.
pub(super) struct Line {
    pub(super) row: u64,
    incident: String,
    pub(super) outcome: String,
    pub(super) code: String,
    pub(super) message: String,
}

/// Checks the results of a finished start: every row once, in order, and true to the server. Returns the outcomes.
pub(super) fn results(world: &World, command: &Command, run: &str, path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("results are there");
    let lines: Vec<Line> = text.lines().map(line).collect();
    let numbers: Vec<u64> = lines.iter().map(|line| line.row).collect();
    let wanted: Vec<u64> = (1..).take(command.rows.len()).collect();
    if numbers != wanted {
        world.breach(format_args!("the results of {} have the rows {numbers:?}, not {wanted:?}", command.name));
    }
    for (line, row) in lines.iter().zip(&command.rows) {
        if line.incident != row.incident.to_string() {
            world.breach(format_args!("row {} is for incident {}, not {}", line.row, line.incident, row.incident));
        }
        let judged = if world.scenario.two_steps {
            step_checks::truth(world, run, line, row)
        } else {
            truth(world, run, line, &row.body, row.incident, row.appends)
        };
        if let Err(lie) = judged {
            let (row, outcome, code) = (line.row, &line.outcome, &line.code);
            world.breach(format_args!("row {row} of {run} is `{outcome}` ({code}), but {lie}"));
        }
    }
    lines.into_iter().map(|line| line.outcome).collect()
}

/// Compares what the server knows about a row with its result.
fn truth(world: &World, run: &str, line: &Line, body: &str, incident: u64, appends: bool) -> Result<(), &'static str> {
    let state = &mut *world.state();
    let run = state.witness.run(run);
    let server = &state.server;
    // A comment that another change has added is not added again: only the rest is sent.
    let left = without_comment(body);
    let made_the_rest = |done: &str| done == left && is_comment_there(server, incident, body);
    // After a read that shows all values, the comment is sent alone.
    let made_the_comment =
        |done: &str| world.scenario.compares && comment_of(done).is_some() && without_comment(done) == "{}";
    let made_it = |done: &str| {
        let is_comment = (left == "{}" || made_the_comment(done)) && has_comment(done, body);
        done == body || appends && (made_the_rest(done) || is_comment)
    };
    let same = || server.applied.iter().filter(|done| done.incident == incident && made_it(&done.body));
    let own_updates = || same().filter(|done| done.origin.run == run && done.origin.row == line.row);
    let own = own_updates().count();
    let added = own_updates().filter(|done| done.body.contains("comment")).count();
    let may_be_anothers = line.code == "found-by-reading" && !appends;
    // If the clock of comments is off by more than is tolerated, a comment of an earlier run may seem to be from this
    // one, and a change that is not remembered may be applied twice.
    let is_misdated = world.scenario.may_stay_in_doubt && world.scenario.remember.is_zero();
    let may_be_anothers =
        may_be_anothers || line.code == "found-by-reading" && is_misdated && same().any(|done| done.origin.run < run);
    let may_come = server.pending.iter().any(|(origin, _)| origin.run == run && origin.row == line.row);
    match line.outcome.as_str() {
        // Without a comment nobody can tell whose request it was, only that it was applied.
        "updated" if own == 0 && !(may_be_anothers && same().count() > 0) => Err("the server has never applied it"),
        "updated" if added > 1 => Err("the server has applied it more than once"),
        "unchanged" if same().count() == 0 => Err("nobody has ever applied it"),
        // It was merged into another incident: the update went to the merged one, and the row says so.
        "failed" if line.code == "redirected" => Ok(()),
        // Another update may have changed it since.
        "failed" if own > 0 && (appends || server.shows(incident, body)) => Err("the server has applied it"),
        "not-attempted" if own > 0 => Err("the server has applied it"),
        "failed" | "not-attempted" if may_come => Err("the server may still apply it"),
        _ => Ok(()),
    }
}

pub(super) fn comment_of(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).expect("an update is an object");
    body["comment"].as_str().map(str::to_owned)
}

pub(super) fn without_comment(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).expect("an update is an object");
    body.as_object_mut().expect("an update is an object").shift_remove("comment");
    body.to_string()
}

pub(super) fn has_comment(done: &str, body: &str) -> bool {
    comment_of(body).is_some() && comment_of(done) == comment_of(body)
}

fn is_comment_there(server: &Server, incident: u64, body: &str) -> bool {
    server.applied.iter().any(|done| done.incident == incident && has_comment(&done.body, body))
}

fn line(text: &str) -> Line {
    let line: Value = serde_json::from_str(text).expect("a line of the results is an object");
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    Line {
        row: line["row"].as_u64().unwrap_or_default(),
        incident: text("incident_id"),
        outcome: text("outcome"),
        code: text("code"),
        message: text("message"),
    }
}

/// At the end: what the server has counted and applied.
pub(super) fn server(world: &World) {
    let (mut counted, applied) = {
        let server = &world.state().server;
        (server.counted.clone(), server.applied.clone())
    };
    counted.sort_unstable();
    for Window { calls, length } in world.scenario.quota.windows() {
        for (first, last) in counted.iter().zip(counted.iter().skip(*calls as usize)) {
            if last.saturating_sub(*first) < *length {
                let more = calls + 1;
                world.breach(format_args!(
                    "{more} requests between {first:?} and {last:?}, but {calls} in {length:?} are allowed"
                ));
            }
        }
    }
    // By incident and body: how often each run has applied it.
    let mut made: BTreeMap<(u64, &str), BTreeMap<i64, u32>> = BTreeMap::new();
    for done in applied.iter().filter(|done| done.body.contains("comment")) {
        *made.entry((done.incident, &done.body)).or_default().entry(done.origin.run).or_default() += 1;
    }
    for ((incident, body), runs) in made {
        if let Some((run, times)) = runs.iter().find(|(_, times)| **times > 1) {
            world.breach(format_args!("run {run} has applied {body} to incident {incident} {times} times"));
        }
        let remembers = !world.scenario.remember.is_zero() && !world.scenario.conflicts(incident);
        if remembers && runs.len() > 1 {
            world.breach(format_args!("more than one run has applied {body} to incident {incident}"));
        }
    }
}
