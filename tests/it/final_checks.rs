//! The final checks: the emulator's log, its incidents and the results file must agree.
//!
//! They share no code with the program: they count lines of the log.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::program::{Program, Request, names_in, results_at};

/// What a comment that is a request of its own says it is.
const COMMENT_TYPE: &str = "microsoft.graph.security.alertComment";

/// Every fifth row has no comment.
const PLAIN: u64 = 5;

/// A file that closes the incidents 1 to `rows`, most of them with a comment of their own.
pub(crate) fn rows_with_comments(rows: u64) -> String {
    let row = |id| format!("{id},Resolved,{}\n", comment(id).unwrap_or_default());
    ["incidentId,status,comment\n".to_owned()].into_iter().chain((1..=rows).map(row)).collect()
}

fn comment(id: u64) -> Option<String> {
    (!id.is_multiple_of(PLAIN)).then(|| format!("Comment on {id}"))
}

/// The expected request body of a row in one step.
fn body(id: u64) -> Value {
    match comment(id) {
        Some(comment) => json!({"status": "Resolved", "comment": comment}),
        None => json!({"status": "Resolved"}),
    }
}

/// Whether all of [`rows_with_comments`] was applied and is in the results: no update lost, no comment twice, every row
/// once and in order, no temporary file left behind.
pub(crate) fn check_final_state(program: &Program, rows: u64, results: &str) -> Result<(), String> {
    check_updates(&program.requests(), rows)?;
    check_incidents(program, rows, results)
}

/// The same with the contract `graph`: the comment is a step of its own.
pub(crate) fn check_final_state_of_steps(program: &Program, rows: u64, results: &str) -> Result<(), String> {
    check_steps(&program.requests(), rows)?;
    check_incidents(program, rows, results)
}

fn check_incidents(program: &Program, rows: u64, results: &str) -> Result<(), String> {
    for id in 1..=rows {
        let expected: Vec<String> = comment(id).into_iter().collect();
        let found = program.comments(id);
        if found != expected {
            return Err(format!("incident {id} has the comments {found:?}, not {expected:?}"));
        }
        let status = &program.incident(id)["status"];
        if *status != "Resolved" {
            return Err(format!("incident {id} is {status}"));
        }
    }
    check_results(program, rows, results)?;
    let drafts = program.names().into_iter().filter(|name| name.starts_with(".bulk-triage"));
    let locks = names_in(&program.path("state")).into_iter().filter(|name| !name.starts_with("journal."));
    match drafts.chain(locks).next() {
        Some(left) => Err(format!("`{left}` was left behind")),
        None => Ok(()),
    }
}

/// By the log alone: each update took effect, those with a comment exactly once.
fn check_updates(requests: &[Request], rows: u64) -> Result<(), String> {
    let mut times: BTreeMap<u64, u32> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.method == "PATCH") {
        let id = request.id.ok_or_else(|| format!("a request to {}", request.path))?;
        let said = request.body.as_deref().unwrap_or_default();
        if serde_json::from_str::<Value>(said).ok() != Some(body(id)) {
            return Err(format!("the request for {id} says {said}"));
        }
        *times.entry(id).or_default() += u32::from(request.took_effect);
    }
    for id in 1..=rows {
        match times.get(&id).copied().unwrap_or_default() {
            0 => return Err(format!("the update of incident {id} is lost")),
            1 => {}
            more if comment(id).is_some() => return Err(format!("incident {id} got its comment {more} times")),
            _ => {}
        }
    }
    Ok(())
}

/// By the log alone: each update took effect, and each comment exactly once.
fn check_steps(requests: &[Request], rows: u64) -> Result<(), String> {
    let mut times: BTreeMap<(u64, &str), u32> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.method != "GET") {
        let id = request.id.ok_or_else(|| format!("a request to {}", request.path))?;
        let said: Option<Value> = serde_json::from_str(request.body.as_deref().unwrap_or_default()).ok();
        let expected = match request.method.as_str() {
            "PATCH" => Some(json!({"status": "resolved"})),
            _ => comment(id).map(|comment| json!({"@odata.type": COMMENT_TYPE, "comment": comment})),
        };
        if said != expected {
            return Err(format!("the {} for {id} says {said:?}", request.method));
        }
        *times.entry((id, &request.method)).or_default() += u32::from(request.took_effect);
    }
    for id in 1..=rows {
        let times = |method| times.get(&(id, method)).copied().unwrap_or_default();
        if times("PATCH") == 0 {
            return Err(format!("the update of incident {id} is lost"));
        }
        if times("POST") != u32::from(comment(id).is_some()) {
            return Err(format!("incident {id} got its comment {} times", times("POST")));
        }
    }
    Ok(())
}

/// The results have every row once, in order, as applied.
fn check_results(program: &Program, rows: u64, results: &str) -> Result<(), String> {
    let lines = results_at(&program.path(results));
    let numbers: Vec<&str> = lines.iter().map(|line| line["row"].as_str()).collect();
    let wanted: Vec<String> = (1..=rows).map(|row| row.to_string()).collect();
    if numbers != wanted {
        return Err(format!("the results have the rows {numbers:?}"));
    }
    for line in &lines {
        let is_done = ["updated", "unchanged"].contains(&line["outcome"].as_str());
        if !is_done || line["incident_id"] != line["row"] {
            return Err(format!("all is done, and the results say {line:?}"));
        }
    }
    Ok(())
}
