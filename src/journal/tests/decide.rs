//! The rule of deduplication.

use std::time::Duration;

use crate::clock::Now;
use crate::journal::AttemptId;
use crate::journal::decide::{DedupDecision, DedupQuery, PriorUpdate, deduplicate, since, was_set_differently};
use crate::journal::sql::{boot, wall};
use crate::model::change::{Change, IncidentId};
use crate::model::edit::Edits;
use crate::model::step::Part;
use crate::plan::decode;

const RESOLVED: &str = r#"{"status":"Resolved","comment":"closed"}"#;
const ACTIVE: &str = r#"{"status":"Active","comment":"opened"}"#;

fn edits(body: &str) -> Edits {
    decode(body, body.contains("comment")).expect("a body")
}

fn change(body: &str) -> Change {
    Change { incident: IncidentId::new(7).expect("an id"), edits: edits(body) }
}

/// An update that was applied, for row 1.
fn update(run: i64, body: &str, ended: i64) -> PriorUpdate {
    PriorUpdate {
        attempt: AttemptId { session: 1, number: ended },
        run,
        row: 1,
        run_name: format!("run {run}"),
        run_is_finished: false,
        started: boot(ended - 1),
        ended: Some(boot(ended)),
        ended_wall: wall(ended),
        applied: Some(true),
        verdict: None,
        change: change(body),
        part: Part::Whole,
        asked: edits(body),
    }
}

/// Where row 1 of run 1 stands, with what was applied since 100.
fn standing_of(pasts: &[PriorUpdate]) -> DedupDecision {
    deduplicate_all(
        pasts,
        &edits(RESOLVED),
        DedupQuery {
            run: 1,
            row: 1,
            since: boot(100),
            comments_since: boot(100),
            asked: &edits(RESOLVED),
            part: Part::Whole,
        },
    )
}

fn deduplicate_all(pasts: &[PriorUpdate], ours: &Edits, query: DedupQuery<'_>) -> DedupDecision {
    deduplicate(&pasts.iter().collect::<Vec<_>>(), ours, query)
}

fn run_of(standing: DedupDecision) -> Option<String> {
    if let DedupDecision::Applied(applied) = standing { Some(applied.run) } else { None }
}

#[test]
fn remembered_change_counts_until_undone() {
    assert_eq!(run_of(standing_of(&[update(2, RESOLVED, 200)])).as_deref(), Some("run 2"));
    assert_eq!(standing_of(&[update(2, RESOLVED, 100)]), DedupDecision::Send);
    assert_eq!(standing_of(&[update(2, RESOLVED, 200), update(3, ACTIVE, 300)]), DedupDecision::CommentApplied);
    assert_eq!(standing_of(&[update(2, RESOLVED, 100), update(3, ACTIVE, 300)]), DedupDecision::Send);
    let same_again = [update(3, ACTIVE, 200), update(2, RESOLVED, 300)];
    assert_eq!(run_of(standing_of(&same_again)).as_deref(), Some("run 2"));
}

/// Whatever whole list it became: the same change is what is asked for in the same words.
#[test]
fn list_edits_are_compared_as_requested() {
    let asked = r#"{"tags":{"add":["a"],"remove":["x"]},"comment":"c"}"#;
    let of_list = |run, list: &str, ended| {
        let body = format!(r#"{{"tags":{list},"comment":"c"}}"#);
        PriorUpdate { asked: edits(asked), ..update(run, &body, ended) }
    };
    let standing_of = |pasts: &[PriorUpdate]| {
        let ours = edits(r#"{"tags":["a","new"],"comment":"c"}"#);
        deduplicate_all(
            pasts,
            &ours,
            DedupQuery {
                run: 1,
                row: 1,
                since: boot(100),
                comments_since: boot(100),
                asked: &edits(asked),
                part: Part::Whole,
            },
        )
    };
    assert_eq!(run_of(standing_of(&[of_list(2, r#"["a"]"#, 200)])).as_deref(), Some("run 2"));
    assert_eq!(run_of(standing_of(&[of_list(1, r#"["a"]"#, 50)])).as_deref(), Some("run 1"));
    // Another call that leaves it so undoes nothing; one that does not, does.
    let other = |tags: &str| update(3, &format!(r#"{{"tags":{tags}}}"#), 300);
    let after = |tags: &str| run_of(standing_of(&[of_list(2, r#"["a"]"#, 200), other(tags)]));
    assert_eq!(after(r#"["b","a"]"#).as_deref(), Some("run 2"));
    assert_eq!(after(r#"["b"]"#), None);
    assert_eq!(after(r#"["a","x"]"#), None);
}

/// The same comment is not repeated, whatever else is set with it.
#[test]
fn comments_are_judged_separately_from_properties() {
    let other = |body: &str, ended| update(2, body, ended);
    let with_comment = r#"{"classification":"FalsePositive","comment":"closed"}"#;
    assert_eq!(standing_of(&[other(with_comment, 200)]), DedupDecision::CommentApplied);
    assert_eq!(standing_of(&[other(with_comment, 100)]), DedupDecision::Send);
    assert_eq!(standing_of(&[PriorUpdate { applied: Some(false), ..other(with_comment, 200) }]), DedupDecision::Send);
    let without = PriorUpdate {
        change: Change { edits: edits(with_comment).without_added(), ..change(with_comment) },
        ..other(with_comment, 200)
    };
    assert_eq!(standing_of(&[without]), DedupDecision::Send);
    // Nothing is left of a row that only adds it.
    let alone = r#"{"comment":"closed"}"#;
    let asker = DedupQuery {
        run: 1,
        row: 1,
        since: boot(300),
        comments_since: boot(100),
        asked: &edits(alone),
        part: Part::Whole,
    };
    let standing_alone = |pasts: &[PriorUpdate]| deduplicate_all(pasts, &edits(alone), asker);
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
    let set =
        |pasts: &[PriorUpdate]| was_set_differently(&pasts.iter().collect::<Vec<_>>(), &edits(RESOLVED), boot(100));
    assert!(set(&[update(2, ACTIVE, 200)]));
    assert!(set(&[PriorUpdate { ended: None, applied: None, ..update(2, ACTIVE, 200) }]));
    assert!(!set(&[update(2, ACTIVE, 100)]));
    assert!(!set(&[update(2, ACTIVE, 200), update(3, RESOLVED, 300)]));
    assert!(!set(&[PriorUpdate { applied: Some(false), ..update(2, ACTIVE, 200) }]));
}

#[test]
fn change_of_the_run_itself_never_expires() {
    assert_eq!(run_of(standing_of(&[update(1, RESOLVED, 50)])).as_deref(), Some("run 1"));
    let undone_by_others = [update(1, RESOLVED, 200), update(2, ACTIVE, 300)];
    assert_eq!(run_of(standing_of(&undone_by_others)).as_deref(), Some("run 1"));
}

#[test]
fn change_in_flight_waits_doubt_resolves_first() {
    let under_way = PriorUpdate { ended: None, applied: None, ..update(2, RESOLVED, 200) };
    assert_eq!(standing_of(&[under_way]), DedupDecision::InFlight);
    let in_doubt = PriorUpdate { applied: None, ..update(2, ACTIVE, 200) };
    assert!(matches!(standing_of(&[in_doubt]), DedupDecision::InDoubt(doubts) if !doubts[0].own_row));
}
