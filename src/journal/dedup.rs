//! What earlier calls have made of an incident, or may have made: the rule of "the same again".
//!
//! A row is not sent when a run of this scope has made the same change, unless a later call set one of its properties
//! to another value, or its response showed only a part of it; then its properties are sent again, and its comment is
//! not, unless the response did not show it. A change under way elsewhere is waited for; comments go to an incident one
//! at a time, and an attempt in doubt is resolved before. [`standing`] is that rule, pure; it is looked up in the
//! transaction that writes the intent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::{AttemptId, JournalError, boot, stored_id, wall};
use crate::clock::{BootTime, Now};
use crate::compare::parts;
use crate::model::call::{PARTLY, PARTLY_WITH_COMMENT, REDIRECTED};
use crate::model::change::{Change, IncidentId};
use crate::model::list_edit::ListEdit;

/// Where the change of a row stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DedupDecision {
    /// Nothing speaks against sending it.
    Send,
    /// The same change is under way, or both add a comment.
    UnderWay,
    /// It has been made.
    Made(AppliedBy),
    /// Its comment has been added; its properties have to be set.
    CommentMade,
    /// A comment may have been added by these attempts: read the incident first.
    InDoubt(Vec<Doubt>),
}

/// The call that made a change before.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedBy {
    /// The run's name.
    pub run: String,
    /// Whether that is the run that asks.
    pub own_run: bool,
    /// Whether it is even the same row: its answer was lost, and found by reading.
    pub own_row: bool,
    /// Whether the incident had been merged into another one: the update went to the old one.
    pub was_redirected: bool,
    /// When, by the wall clock.
    pub at: Timestamp,
}

/// An attempt that may have added its comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// The attempt.
    pub attempt: AttemptId,
    /// What it asked for.
    pub change: Change,
    /// When it was sent, or a moment before.
    pub started: BootTime,
    /// The server has had its last byte by then.
    pub ended: BootTime,
    /// Whether it is an attempt at the row that asks.
    pub own_row: bool,
    /// The changes with a comment that are known to have been made of this incident.
    pub known: Arc<[KnownUpdate]>,
}

/// A change that is known to have been made: the server did it between these two times, or shortly after.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownUpdate {
    /// What was asked for.
    pub change: Change,
    /// When it was sent, or a moment before.
    pub started: BootTime,
    /// When its call was over.
    pub ended: BootTime,
}

/// One update of an incident, over or under way.
#[derive(Clone, Debug)]
pub(super) struct PriorUpdate {
    attempt: AttemptId,
    run: i64,
    row: u64,
    run_name: String,
    run_is_over: bool,
    started: BootTime,
    pub(super) ended: Option<BootTime>,
    pub(super) ended_wall: Timestamp,
    made: Option<bool>,
    /// It went to an incident that was merged into another one.
    was_redirected: bool,
    /// The response showed only a part of it: the properties are sent again, and a comment that was not shown.
    was_partly_shown: bool,
    /// What was sent.
    change: Change,
    /// What the row asked for: by that changes are the same, whatever whole lists they became.
    asked: Arc<str>,
}

/// Whose question it is, and how far back it looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct DedupQuery<'a> {
    pub(super) run: i64,
    pub(super) row: u64,
    /// What other runs made before this is forgotten.
    pub(super) since: BootTime,
    /// The same for comments: no read shows whether somebody else has removed one.
    pub(super) comments_since: BootTime,
    /// The property that is added to what is there.
    pub(super) appended: Option<&'a str>,
    /// What the row asks for: its body, before whole lists were known.
    pub(super) asked: &'a str,
}

pub(super) const UPDATES_OF_INCIDENT: &str = "
    SELECT a.id, a.run, a.row, runs.name, runs.state = 'over', a.started, a.ended, a.ended_wall, a.applied,
           rows.body, rows.appends AND a.kind = 1, rows.asked, a.verdict
    FROM attempts AS a
    JOIN rows ON rows.run = a.run AND rows.row = a.row
    JOIN runs ON runs.id = a.run
    WHERE a.scope = ?1 AND a.incident = ?2 AND a.kind > 0
    ORDER BY a.id";

pub(super) const READS_UNDER_WAY: &str =
    "SELECT 1 FROM attempts WHERE scope = ?1 AND incident = ?2 AND kind = 0 AND ended IS NULL";

/// Whether a read of the incident is under way.
pub(super) fn is_read(db: &Connection, scope: i64, incident: IncidentId) -> Result<bool, JournalError> {
    Ok(db.prepare_cached(READS_UNDER_WAY)?.exists(params![scope, stored_id(incident)])?)
}

/// All updates of an incident in a scope, oldest first.
pub(super) fn updates_of(db: &Connection, scope: i64, incident: IncidentId) -> Result<Vec<PriorUpdate>, JournalError> {
    let mut statement = db.prepare_cached(UPDATES_OF_INCIDENT)?;
    let pasts = statement.query_map(params![scope, stored_id(incident)], |row| {
        let body: Arc<str> = row.get::<_, Option<String>>(9)?.unwrap_or_default().into();
        let asked: Option<String> = row.get(11)?;
        let verdict: Option<String> = row.get(12)?;
        let is = |name| verdict.as_deref() == Some(name);
        Ok(PriorUpdate {
            attempt: AttemptId(row.get(0)?),
            run: row.get(1)?,
            row: row.get(2)?,
            run_name: row.get(3)?,
            run_is_over: row.get(4)?,
            started: boot(row.get(5)?),
            ended: row.get::<_, Option<i64>>(6)?.map(boot),
            ended_wall: wall(row.get::<_, Option<i64>>(7)?.unwrap_or(0)),
            made: row.get(8)?,
            was_redirected: is(REDIRECTED),
            was_partly_shown: is(PARTLY) || is(PARTLY_WITH_COMMENT),
            asked: asked.map_or_else(|| Arc::clone(&body), Arc::from),
            change: Change { incident, body, appends: row.get(10)? && !is(PARTLY) },
        })
    })?;
    Ok(pasts.collect::<Result<_, _>>()?)
}

/// The same for a row whose own incident, `merged`, was merged into this one: what was made of that before then counts.
pub(super) fn updates_for(
    db: &Connection,
    scope: i64,
    incident: IncidentId,
    merged: Option<IncidentId>,
) -> Result<Vec<PriorUpdate>, JournalError> {
    let mut pasts = updates_of(db, scope, incident)?;
    if let Some(merged) = merged {
        let of_merged = updates_of(db, scope, merged)?;
        pasts.extend(of_merged.into_iter().filter(|past| past.made == Some(true) && !past.was_redirected));
        pasts.sort_by_key(|past| past.attempt);
    }
    Ok(pasts)
}

/// A read may lag: what we wrote within this time before it wins over what it shows.
pub(super) const READS_LAG: Duration = Duration::from_mins(1);

/// How far back it is looked for a row whose incident was, perhaps, read and found to be otherwise: what was read wins
/// over what is remembered from before. For comments what is remembered always wins.
pub(super) fn since(now: Now, remember: Duration, differed_at: Option<Timestamp>) -> (BootTime, BootTime) {
    let remembered = now.boot - remember;
    let otherwise = differed_at.map(|at| now.boot_at(at) - READS_LAG);
    (otherwise.map_or(remembered, |at| remembered.max(at)), remembered)
}

/// Whether an update of ours that ended since `since`, or is under way, set one of the properties of `asked` to another
/// value, and none set it back.
pub(super) fn was_set_otherwise(pasts: &[PriorUpdate], asked: &str, since: BootTime, appended: Option<&str>) -> bool {
    let recent = pasts.iter().rev().filter(|past| past.made != Some(false));
    let recent = recent.take_while(|past| past.ended.is_none_or(|ended| ended > since));
    recent.take_while(|past| *past.asked != *asked).any(|past| sets_otherwise(&past.change.body, asked, appended))
}

/// The rule.
pub(super) fn standing(pasts: &[PriorUpdate], ours: &Change, asker: DedupQuery<'_>) -> DedupDecision {
    let made = |past: &PriorUpdate| {
        DedupDecision::Made(AppliedBy {
            run: past.run_name.clone(),
            own_run: past.run == asker.run,
            own_row: past.run == asker.run && past.row == asker.row,
            was_redirected: past.was_redirected,
            at: past.ended_wall,
        })
    };
    // A change is made once in one run, whatever others have set since.
    let is_own = |past: &&PriorUpdate| past.run == asker.run && past.made == Some(true) && *past.asked == *asker.asked;
    if let Some(past) = pasts.iter().rev().find(is_own) {
        return made(past);
    }
    // Of two comments in doubt, sent at the same time with the same text, nobody could tell which one was made.
    let excludes = |past: &PriorUpdate| *past.asked == *asker.asked || past.change.appends && ours.appends;
    if pasts.iter().any(|past| past.ended.is_none() && excludes(past)) {
        return DedupDecision::UnderWay;
    }
    if ours.appends {
        let doubts = doubts(pasts, asker);
        if !doubts.is_empty() {
            return DedupDecision::InDoubt(doubts);
        }
    }
    for past in pasts.iter().rev().filter(|past| past.made != Some(false)) {
        let same = *past.asked == *asker.asked;
        let is_remembered = past.ended.is_some_and(|ended| ended > asker.since);
        if same && past.made == Some(true) && is_remembered {
            if past.was_partly_shown {
                break;
            }
            return made(past);
        }
        if !same && sets_otherwise(&past.change.body, asker.asked, asker.appended) {
            break;
        }
    }
    match comment_made(pasts, ours, asker) {
        Some(past) if parts(&ours.body, asker.appended.unwrap_or_default()).0.is_none() => made(past),
        Some(_) => DedupDecision::CommentMade,
        None => DedupDecision::Send,
    }
}

/// The last update that added the same comment, if that is remembered.
fn comment_made<'a>(pasts: &'a [PriorUpdate], ours: &Change, asker: DedupQuery<'_>) -> Option<&'a PriorUpdate> {
    let comment = |body: &str| parts(body, asker.appended?).1;
    // Mostly there is no update of its incident; then the body is not read.
    if pasts.is_empty() || !ours.appends {
        return None;
    }
    let ours = comment(&ours.body)?;
    pasts.iter().rev().find(|past| {
        let is_remembered = past.run == asker.run || past.ended.is_some_and(|ended| ended > asker.comments_since);
        past.made == Some(true)
            && past.change.appends
            && is_remembered
            && comment(&past.change.body).as_deref() == Some(ours.as_str())
    })
}

fn doubts(pasts: &[PriorUpdate], asker: DedupQuery<'_>) -> Vec<Doubt> {
    let known: Arc<[KnownUpdate]> = pasts
        .iter()
        .filter(|past| past.made == Some(true) && past.change.appends)
        .filter_map(|past| Some(KnownUpdate { change: past.change.clone(), started: past.started, ended: past.ended? }))
        .collect();
    pasts
        .iter()
        .filter(|past| past.made.is_none() && past.change.appends)
        .filter_map(|past| {
            Some(Doubt {
                attempt: past.attempt,
                change: past.change.clone(),
                started: past.started,
                ended: past.ended?,
                own_row: past.run == asker.run && past.row == asker.row,
                known: Arc::clone(&known),
            })
        })
        .collect()
}

/// Whether `theirs` sets a property to something else than `ours` asks for. A comment is added, not set.
fn sets_otherwise(theirs: &str, ours: &str, appended: Option<&str>) -> bool {
    let parse = |body: &str| serde_json::from_str::<Map<String, Value>>(body).unwrap_or_default();
    let theirs = parse(theirs);
    let differs = |value: &Value, other: &Value| match ListEdit::of(value) {
        // It is so already where making the change of their list changes nothing.
        Some(change) => change.apply_to(other).is_none_or(|whole| whole != *other),
        None => other != value,
    };
    parse(ours)
        .iter()
        .filter(|(name, _)| Some(name.as_str()) != appended)
        .any(|(name, value)| theirs.get(name).is_some_and(|other| differs(value, other)))
}

/// What earlier runs have to do with rows that are about to be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriorRuns {
    /// Changes that were made before: by run, and whether they will be made again (it is longer ago than remembered).
    pub made: BTreeMap<(String, bool), Made>,
    /// Rows whose incident was touched, with another change, by a run that is not over.
    pub unfinished: BTreeMap<String, u64>,
}

/// What of a row will be sent, as far as that is known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WillSend {
    /// Nothing: the same change was made.
    Nothing,
    /// Its properties: the same comment was added.
    WithoutComment,
    /// All of it.
    All,
}

/// Changes that a run made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// How many.
    pub rows: u64,
    /// The last of them.
    pub last: Timestamp,
}

impl PriorRuns {
    /// Adds what the updates of its incident mean for one change. Says what of it will be sent.
    pub(super) fn add(&mut self, pasts: &[PriorUpdate], ours: &Change, asker: DedupQuery<'_>) -> WillSend {
        let forever = DedupQuery { since: BootTime(i64::MIN), comments_since: BootTime(i64::MIN), ..asker };
        let (standing_now, will_send) = match standing(pasts, ours, asker) {
            DedupDecision::Made(made) => (DedupDecision::Made(made), WillSend::Nothing),
            DedupDecision::CommentMade => (standing(pasts, ours, forever), WillSend::WithoutComment),
            _ => (standing(pasts, ours, forever), WillSend::All),
        };
        if let DedupDecision::Made(made) = standing_now {
            let is_sent = will_send != WillSend::Nothing;
            let entry = self.made.entry((made.run, is_sent)).or_insert(Made { rows: 0, last: made.at });
            *entry = Made { rows: entry.rows + 1, last: entry.last.max(made.at) };
        }
        let mut runs: Vec<&str> = pasts
            .iter()
            .filter(|past| past.run != asker.run && !past.run_is_over && *past.asked != *asker.asked)
            .map(|past| past.run_name.as_str())
            .collect();
        runs.dedup();
        for run in runs {
            *self.unfinished.entry(run.to_owned()).or_insert(0) += 1;
        }
        will_send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOLVED: &str = r#"{"status":"Resolved","comment":"closed"}"#;
    const ACTIVE: &str = r#"{"status":"Active","comment":"opened"}"#;

    fn change(body: &str) -> Change {
        Change { incident: IncidentId::new(7).expect("an id"), body: body.into(), appends: true }
    }

    /// An update that was made, for row 1.
    fn made(run: i64, body: &str, ended: i64) -> PriorUpdate {
        PriorUpdate {
            attempt: AttemptId(ended),
            run,
            row: 1,
            run_name: format!("run {run}"),
            run_is_over: false,
            started: boot(ended - 1),
            ended: Some(boot(ended)),
            ended_wall: wall(ended),
            made: Some(true),
            was_redirected: false,
            was_partly_shown: false,
            change: change(body),
            asked: body.into(),
        }
    }

    /// Where row 1 of run 1 stands, with what was made since 100.
    fn standing_of(pasts: &[PriorUpdate]) -> DedupDecision {
        standing(
            pasts,
            &change(RESOLVED),
            DedupQuery {
                run: 1,
                row: 1,
                since: boot(100),
                comments_since: boot(100),
                appended: Some("comment"),
                asked: RESOLVED,
            },
        )
    }

    fn run_of(standing: DedupDecision) -> Option<String> {
        if let DedupDecision::Made(made) = standing { Some(made.run) } else { None }
    }

    #[test]
    fn remembered_change_counts_until_undone() {
        assert_eq!(run_of(standing_of(&[made(2, RESOLVED, 200)])).as_deref(), Some("run 2"));
        assert_eq!(standing_of(&[made(2, RESOLVED, 100)]), DedupDecision::Send);
        assert_eq!(standing_of(&[made(2, RESOLVED, 200), made(3, ACTIVE, 300)]), DedupDecision::CommentMade);
        assert_eq!(standing_of(&[made(2, RESOLVED, 100), made(3, ACTIVE, 300)]), DedupDecision::Send);
        let same_again = [made(3, ACTIVE, 200), made(2, RESOLVED, 300)];
        assert_eq!(run_of(standing_of(&same_again)).as_deref(), Some("run 2"));
    }

    /// Whatever whole list it became: the same change is what is asked for in the same words.
    #[test]
    fn list_edits_are_compared_as_requested() {
        let asked = r#"{"tags":{"add":["a"],"remove":["x"]},"comment":"c"}"#;
        let of_list = |run, list: &str, ended| {
            let body = format!(r#"{{"tags":{list},"comment":"c"}}"#);
            PriorUpdate { asked: asked.into(), ..made(run, &body, ended) }
        };
        let standing_of = |pasts: &[PriorUpdate]| {
            let ours = change(r#"{"tags":["a","new"],"comment":"c"}"#);
            standing(
                pasts,
                &ours,
                DedupQuery {
                    run: 1,
                    row: 1,
                    since: boot(100),
                    comments_since: boot(100),
                    appended: Some("comment"),
                    asked,
                },
            )
        };
        assert_eq!(run_of(standing_of(&[of_list(2, r#"["a"]"#, 200)])).as_deref(), Some("run 2"));
        assert_eq!(run_of(standing_of(&[of_list(1, r#"["a"]"#, 50)])).as_deref(), Some("run 1"));
        // Another call that leaves it so undoes nothing; one that does not, does.
        let other = |tags: &str| made(3, &format!(r#"{{"tags":{tags}}}"#), 300);
        let after = |tags: &str| run_of(standing_of(&[of_list(2, r#"["a"]"#, 200), other(tags)]));
        assert_eq!(after(r#"["b","a"]"#).as_deref(), Some("run 2"));
        assert_eq!(after(r#"["b"]"#), None);
        assert_eq!(after(r#"["a","x"]"#), None);
    }

    /// The same comment is not repeated, whatever else is set with it.
    #[test]
    fn comments_are_judged_separately_from_properties() {
        let other = |body: &str, ended| made(2, body, ended);
        let with_comment = r#"{"classification":"FalsePositive","comment":"closed"}"#;
        assert_eq!(standing_of(&[other(with_comment, 200)]), DedupDecision::CommentMade);
        assert_eq!(standing_of(&[other(with_comment, 100)]), DedupDecision::Send);
        assert_eq!(standing_of(&[PriorUpdate { made: Some(false), ..other(with_comment, 200) }]), DedupDecision::Send);
        let without =
            PriorUpdate { change: Change { appends: false, ..change(with_comment) }, ..other(with_comment, 200) };
        assert_eq!(standing_of(&[without]), DedupDecision::Send);
        // Nothing is left of a row that only adds it.
        let alone = r#"{"comment":"closed"}"#;
        let asker = DedupQuery {
            run: 1,
            row: 1,
            since: boot(300),
            comments_since: boot(100),
            appended: Some("comment"),
            asked: alone,
        };
        let standing_alone = |pasts: &[PriorUpdate]| standing(pasts, &change(alone), asker);
        assert_eq!(run_of(standing_alone(&[other(RESOLVED, 200)])).as_deref(), Some("run 2"));
        assert_eq!(standing_alone(&[other(RESOLVED, 100)]), DedupDecision::Send);
    }

    #[test]
    fn reads_override_memory_except_comments_and_recent_updates() {
        let now = |seconds: i64| Now { boot: boot(seconds * 1_000_000), wall: wall(seconds * 1_000_000) };
        let at = |seconds: i64| boot(seconds * 1_000_000);
        let hour = Duration::from_hours(1);
        assert_eq!(since(now(9_000), hour, None), (at(5_400), at(5_400)));
        assert_eq!(since(now(9_000), hour, Some(now(8_000).wall)), (at(7_940), at(5_400)));
        assert_eq!(since(now(9_000), hour, Some(now(5_000).wall)), (at(5_400), at(5_400)));
    }

    #[test]
    fn own_recent_update_outranks_a_read() {
        let set = |pasts: &[PriorUpdate]| was_set_otherwise(pasts, RESOLVED, boot(100), Some("comment"));
        assert!(set(&[made(2, ACTIVE, 200)]));
        assert!(set(&[PriorUpdate { ended: None, made: None, ..made(2, ACTIVE, 200) }]));
        assert!(!set(&[made(2, ACTIVE, 100)]));
        assert!(!set(&[made(2, ACTIVE, 200), made(3, RESOLVED, 300)]));
        assert!(!set(&[PriorUpdate { made: Some(false), ..made(2, ACTIVE, 200) }]));
    }

    #[test]
    fn change_of_the_run_itself_never_expires() {
        assert_eq!(run_of(standing_of(&[made(1, RESOLVED, 50)])).as_deref(), Some("run 1"));
        let undone_by_others = [made(1, RESOLVED, 200), made(2, ACTIVE, 300)];
        assert_eq!(run_of(standing_of(&undone_by_others)).as_deref(), Some("run 1"));
    }

    #[test]
    fn change_in_flight_waits_doubt_resolves_first() {
        let under_way = PriorUpdate { ended: None, made: None, ..made(2, RESOLVED, 200) };
        assert_eq!(standing_of(&[under_way]), DedupDecision::UnderWay);
        let in_doubt = PriorUpdate { made: None, ..made(2, ACTIVE, 200) };
        assert!(matches!(standing_of(&[in_doubt]), DedupDecision::InDoubt(doubts) if !doubts[0].own_row));
    }
}
