//! What a decision never does, whatever the facts.

use std::time::Duration;

use proptest::prelude::*;

use super::process::{change, resolved, updated_at};
use crate::clock::{BootTime, Now};
use crate::journal::decide::{Decision, Facts, PriorUpdate, Rules, decide};
use crate::journal::ledger::Ledger;
use crate::journal::sql::{boot, wall};
use crate::journal::{AttemptEnd, AttemptId, Batch, CallKind, Receipt, StartRequest};
use crate::model::change::{Change, IncidentId};
use crate::model::permit::{Grant, NextPermit, QuotaUsage};
use crate::model::step::Part;

/// What rows ask for: two comments, with and without properties.
const BODIES: [&str; 5] = [
    r#"{"status":"Resolved"}"#,
    r#"{"status":"Active"}"#,
    r#"{"status":"Resolved","comment":"closed"}"#,
    r#"{"comment":"closed"}"#,
    r#"{"status":"Active","comment":"opened"}"#,
];
const NOW: Now = Now { boot: BootTime(1_000), wall: jiff::Timestamp::UNIX_EPOCH };
/// The session whose decisions these are.
const OURS: i64 = 1;

fn rules() -> Rules {
    Rules { run: 1, remember: Duration::from_micros(500) }
}

/// An update: which session applied it, for which run and row, and how it ended.
fn update() -> impl Strategy<Value = PriorUpdate> {
    let verdict = prop_oneof![Just("updated"), Just("partly"), Just("in-doubt"), Just("redirected")];
    let ended = prop::option::of((400i64..1_000, prop::option::of(any::<bool>()), verdict));
    let origin = (1i64..3, 1i64..4, 1u64..4);
    let request = (0..BODIES.len(), part());
    (origin, 1u64..3, request, ended).prop_map(|((session, run, row), incident, (body, part), ended)| PriorUpdate {
        attempt: AttemptId { session, number: 0 },
        run,
        row,
        run_name: format!("run {run}"),
        run_is_finished: false,
        started: boot(300),
        ended: ended.map(|(at, ..)| boot(at)),
        ended_wall: wall(0),
        applied: ended.and_then(|(_, applied, _)| applied),
        verdict: ended.map(|(.., verdict)| verdict.to_owned()),
        change: sent(incident, BODIES[body], part),
        part,
        asked: change(incident, BODIES[body]).edits,
    })
}

/// What a request sends of its row.
fn part() -> impl Strategy<Value = Part> {
    prop_oneof![Just(Part::Whole), Just(Part::Properties), Just(Part::Comment)]
}

fn sent(incident: u64, body: &str, part: Part) -> Change {
    let whole = change(incident, body);
    Change { edits: part.of(&whole.edits), ..whole }
}

/// Updates of some incidents, numbered in their order, and reads in flight.
fn facts() -> impl Strategy<Value = Facts> {
    let reads = prop::collection::vec((1u64..3, 1i64..3), 0..2);
    (prop::collection::vec(update(), 0..6), reads).prop_map(|(updates, reads)| {
        let mut facts = Facts::default();
        for (number, update) in (1..).zip(updates) {
            let attempt = AttemptId { number, ..update.attempt };
            facts.updates.entry(update.change.incident).or_default().push(PriorUpdate { attempt, ..update });
        }
        for (number, (incident, session)) in (100..).zip(reads) {
            facts.reads.insert((IncidentId::new(incident).expect("an id"), AttemptId { session, number }));
        }
        facts
    })
}

fn batch() -> impl Strategy<Value = Batch> {
    let request = (1u64..4, 1u64..3, 0..BODIES.len(), part(), any::<bool>());
    let requests = prop::collection::vec(request, 0..5);
    (requests, 0usize..3, 0u32..8).prop_map(|(requests, reads, slots)| {
        let starts = requests.into_iter().map(|(row, incident, body, part, is_read)| StartRequest {
            row,
            change: resolved(&sent(incident, BODIES[body], part)),
            part,
            kind: if is_read { CallKind::Read(Vec::new()) } else { CallKind::Update },
            differed_at: None,
            asked: Some(change(incident, BODIES[body]).edits),
            merged: None,
        });
        Batch { starts: starts.collect(), reads: vec![None; reads], slots, ..Batch::default() }
    })
}

/// The ledger that fits the facts.
fn ledger(facts: &Facts) -> Ledger {
    let updates = facts.updates.values().flatten().filter(|update| update.ended.is_none()).map(|update| update.attempt);
    let reads = facts.reads.iter().map(|(_, attempt)| *attempt);
    let (mut ledger, mut in_flight) = (Ledger::default(), 0);
    for attempt in updates.chain(reads) {
        in_flight += 1;
        if attempt.session == OURS {
            ledger.ours.insert(attempt.number);
        }
    }
    ledger.usage = QuotaUsage { in_flight, ..QuotaUsage::default() };
    ledger
}

fn decided(facts: Facts, ledger: &mut Ledger, batch: &Batch, permits: u32) -> Decision {
    let grant = |_: &QuotaUsage, _, _, wanted: u32| {
        assert!(wanted <= batch.slots, "more are wanted than there are slots");
        Grant { permits: permits.min(wanted), next: NextPermit::AfterACallInFlight }
    };
    decide(&rules(), facts, ledger, batch, NOW, grant)
}

/// How an attempt in flight ends.
fn end_of(attempt: AttemptId, at: i64, applied: Option<bool>) -> AttemptEnd {
    AttemptEnd { applied, ..updated_at(attempt, boot(at)) }
}

proptest! {
    #[test]
    fn permits_go_in_order_to_rows_first(facts in facts(), batch in batch(), permits in 0u32..8) {
        let decision = decided(facts.clone(), &mut ledger(&facts), &batch, permits);
        let started = decision.starts.iter().filter(|start| start.is_ok()).count() + decision.reads.len();
        prop_assert!(started <= permits.min(batch.slots) as usize);
        let is_waiting = |start: &Result<_, Receipt>| *start == Err(Receipt::NoPermit);
        if let Some(first) = decision.starts.iter().position(is_waiting) {
            prop_assert!(decision.starts[first..].iter().all(Result::is_err), "a later one went first");
            prop_assert!(decision.reads.is_empty(), "a read for no row went first");
        }
    }

    /// Two comments could be taken for each other, and a row is applied once in its run.
    #[test]
    fn comments_start_alone_and_no_change_twice(facts in facts(), batch in batch()) {
        let decision = decided(facts.clone(), &mut ledger(&facts), &batch, 8);
        for (request, start) in batch.starts.iter().zip(&decision.starts) {
            if start.is_err() || request.kind != CallKind::Update {
                continue;
            }
            let prior = facts.updates.get(&request.change.incident).into_iter().flatten();
            for update in prior {
                // Of a part, too: whoever else sent it.
                let is_same = update.part.of(&update.asked) == request.change.edits.clone().into();
                prop_assert!(!(is_same && update.ended.is_none()), "the same change is in flight");
                prop_assert!(!(is_same && update.run == 1 && update.applied == Some(true)), "its run has applied it");
                let has_comment = update.change.edits.added().is_some() && update.verdict.as_deref() != Some("partly");
                if request.change.edits.added().is_some() && has_comment {
                    prop_assert!(update.ended.is_some(), "a comment is in flight");
                    prop_assert!(update.applied.is_some(), "a comment is in doubt");
                }
            }
            let is_read = facts.reads.iter().any(|(incident, _)| *incident == request.change.incident);
            prop_assert!(!(request.change.edits.added().is_some() && is_read), "a read could take it for the one in doubt");
        }
    }

    /// Also that each is counted once.
    #[test]
    fn ends_in_a_batch_count_like_earlier_ends(
        facts in facts(), batch in batch(), at in 400i64..1_000, applied in prop::option::of(any::<bool>()),
    ) {
        let mut before = ledger(&facts);
        let ours = before.ours.clone();
        let (mut earlier, mut ends) = (facts.clone(), Vec::new());
        for number in &ours {
            let end = end_of(AttemptId { session: OURS, number: *number }, at, applied);
            for update in earlier.updates.values_mut().flatten().filter(|update| update.attempt == end.attempt) {
                update.ended = Some(boot(at));
                update.ended_wall = NOW.wall_at(boot(at));
                update.applied = applied;
                update.verdict = Some("updated".to_owned());
            }
            earlier.reads.retain(|(_, attempt)| *attempt != end.attempt);
            ends.extend([end.clone(), end]);
        }
        let then = decided(earlier.clone(), &mut ledger(&earlier), &batch, 8);
        let now = decided(facts, &mut before, &Batch { ends, ..batch }, 8);
        prop_assert_eq!(now.starts, then.starts);
        prop_assert_eq!(before.usage.ended.len(), ours.len());
        prop_assert_eq!(before.usage.in_flight, ledger(&earlier).usage.in_flight);
    }
}
