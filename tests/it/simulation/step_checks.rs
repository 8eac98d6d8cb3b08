//! The promises for rows with two steps: what the server knows of the update and of the comment, against the row's line.

use super::checks::{Line, has_comment, without_comment};
use super::scenario::FileRow;
use super::world::World;

/// Compares what the server knows about a row with its result.
pub(super) fn truth(world: &World, run: &str, line: &Line, row: &FileRow) -> Result<(), &'static str> {
    let state = &mut *world.state();
    let run = state.witness.run(run);
    let server = &state.server;
    let left = without_comment(&row.body);
    let (sets, incident) = (left != "{}", row.incident);
    // When, in the order of the server.
    let times = |is_part: &dyn Fn(&str) -> bool, is_own: bool| -> Vec<usize> {
        let done = server.applied.iter().enumerate();
        let done = done.filter(|(_, done)| done.incident == incident && is_part(&done.body));
        let done = done.filter(|(_, done)| !is_own || done.origin.run == run && done.origin.row == line.row);
        done.map(|(at, _)| at).collect()
    };
    let applied = |is_part: &dyn Fn(&str) -> bool, is_own: bool| times(is_part, is_own).len();
    let is_set = |body: &str| body == left;
    let is_comment = |body: &str| has_comment(body, &row.body);
    let (own_sets, own_comments) = (applied(&is_set, true), applied(&is_comment, true));
    let is_comment_first = sets && own_comments > 0 && times(&is_comment, true).first() < times(&is_set, false).first();
    // Without the journal nobody can tell whose update it was. Reads beforehand show values that nobody has to set.
    let has_values = !sets || applied(&is_set, false) > 0 || world.scenario.compares;
    let has_comment = !row.appends || applied(&is_comment, false) > 0;
    let is_whole_by_own = (!sets || own_sets > 0) && (!row.appends || own_comments > 0);
    let may_come = server
        .pending
        .iter()
        .any(|(origin, adds)| origin.run == run && origin.row == line.row && (*adds || own_sets == 0));
    let names_update = line.message.contains("was set") || line.message.contains("were set");
    match line.outcome.as_str() {
        _ if own_comments > 1 => Err("the server has added its comment more than once"),
        _ if is_comment_first => Err("the server has added its comment before its values"),
        "updated" if !has_values => Err("nobody has ever set its values"),
        "updated" if !has_comment => Err("nobody has ever added its comment"),
        "unchanged" if !(has_values && has_comment) => Err("nobody has ever applied it"),
        // It was merged into another incident: the update went to the merged one, and the row says so.
        "failed" if line.code == "redirected" => Ok(()),
        // Another update may have changed it since.
        "failed" if is_whole_by_own && (row.appends || server.shows(incident, &left)) => {
            Err("the server has applied it in full")
        }
        "failed" if sets && row.appends && own_sets > 0 && server.shows(incident, &left) && !names_update => {
            Err("the server has applied its update, and the row doesn't say so")
        }
        "failed" if names_update && !has_values => Err("its update was never applied"),
        "failed" if line.code == "comment-rejected" && !names_update => Err("it doesn't say what was applied"),
        "in-doubt" if line.code == "half-done" && own_sets == 0 => Err("its update was never applied"),
        "in-doubt" if line.code == "half-done" && own_comments > 0 => Err("its comment was added"),
        "not-attempted" if own_sets + own_comments > 0 => Err("the server has applied a part of it"),
        "failed" | "not-attempted" if may_come => Err("the server may still apply it"),
        _ => Ok(()),
    }
}
