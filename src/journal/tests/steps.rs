//! Rows with two steps: an update, and a comment that has a request of its own.

use tokio::time::advance;

use super::process::{HOUR, Place, Process, REMEMBERED, change, comment, resolve};
use crate::contract::steps::tests::two_steps;
use crate::journal::{AttemptEnd, AttemptId, PriorRuns, Receipt, RowFilter, WillSend};
use crate::model::outcome::{OutcomeCode, OutcomeKind, RowCode};
use crate::model::step::Part;

fn start(process: &mut Process, row: usize, part: Part) -> AttemptId {
    match process.offer_step(row, part) {
        Receipt::Started(attempt) => attempt,
        other => panic!("{part:?} of row {row} was not started: {other:?}"),
    }
}

/// Starts and ends a step of a row; `applied` says whether it was applied.
fn make(process: &mut Process, row: usize, part: Part, applied: Option<bool>) -> AttemptId {
    let attempt = start(process, row, part);
    process.end(AttemptEnd { applied, ..process.ended(attempt) });
    attempt
}

/// Of an earlier run or row: whether it is the run, and the row, that asks.
fn applied(receipt: Receipt) -> Option<(bool, bool)> {
    if let Receipt::AlreadyApplied(applied) = receipt { Some((applied.own_run, applied.own_row)) } else { None }
}

fn will_send(process: &Process) -> Vec<WillSend> {
    let rows = process.journal.pending(&process.run, 0, 10).expect("reads");
    let rows: Vec<_> = rows.iter().collect();
    let mut earlier = PriorRuns::default();
    process.journal.add_prior_runs(&process.run, &rows, &two_steps(), REMEMBERED, &mut earlier).expect("reads")
}

#[tokio::test(start_paused = true)]
async fn only_the_missing_step_is_due() {
    let place = Place::new();
    let mut first = place.process(&[comment(1)]);
    make(&mut first, 1, Part::Properties, Some(true));
    make(&mut first, 1, Part::Comment, Some(false));
    // In its own run, and in another one.
    assert_eq!(applied(first.offer_step(1, Part::Properties)), Some((true, true)));
    let mut second = place.process(&[comment(1)]);
    assert_eq!(will_send(&second), [WillSend::OnlyComment]);
    assert_eq!(applied(second.offer_step(1, Part::Properties)), Some((false, false)));
    make(&mut second, 1, Part::Comment, Some(true));
    let mut third = place.process(&[comment(1), change(1, r#"{"status":"Resolved","comment":"another"}"#)]);
    assert_eq!(will_send(&third), [WillSend::Nothing, WillSend::OnlyComment]);
    assert_eq!(applied(third.offer_step(1, Part::Comment)), Some((false, false)));
    start(&mut third, 2, Part::Comment);
    advance(REMEMBERED).await;
    assert_eq!(will_send(&place.process(&[comment(1)])), [WillSend::All]);
}

#[tokio::test(start_paused = true)]
async fn steps_and_whole_rows_know_each_other() {
    let place = Place::new();
    let mut whole = place.process(&[comment(1), resolve(2)]);
    whole.make(1, Some(true));
    whole.make(2, Some(true));
    let mut steps = place.process(&[comment(1), comment(2)]);
    // The whole row set more than this step does.
    assert_eq!(will_send(&steps), [WillSend::WithoutComment, WillSend::OnlyComment]);
    assert_eq!(applied(steps.offer_step(1, Part::Comment)), Some((false, false)));
    assert_eq!(applied(steps.offer_step(2, Part::Properties)), Some((false, false)));
    make(&mut steps, 2, Part::Comment, Some(true));
    assert_eq!(place.process(&[comment(2)]).offer(1), Receipt::CommentApplied);
}

#[tokio::test(start_paused = true)]
async fn only_a_comment_in_doubt_is_read_about() {
    let place = Place::new();
    let mut process = Process::with(place.open(), &[comment(1)], HOUR);
    make(&mut process, 1, Part::Properties, None);
    make(&mut process, 1, Part::Properties, Some(true));
    let lost = make(&mut process, 1, Part::Comment, None);
    assert_eq!(applied(process.offer_step(1, Part::Properties)), Some((true, true)));
    let Receipt::InDoubt(doubts) = process.offer_step(1, Part::Comment) else { panic!("it is not in doubt") };
    assert_eq!(doubts.iter().map(|doubt| (doubt.attempt, doubt.own_row)).collect::<Vec<_>>(), [(lost, true)]);
    assert_eq!(doubts[0].change, change(1, r#"{"comment":"tuned"}"#));
    // Of its own run, and of another one, only the comment is open.
    assert_eq!(will_send(&process), [WillSend::CommentInDoubt]);
    assert_eq!(will_send(&place.process(&[comment(1)])), [WillSend::CommentInDoubt]);
    let mut other = place.process(&[change(1, r#"{"status":"Active","comment":"more"}"#)]);
    start(&mut other, 1, Part::Properties);
    assert!(matches!(other.offer_step(1, Part::Comment), Receipt::InDoubt(doubts) if !doubts[0].own_row));
}

#[tokio::test(start_paused = true)]
async fn later_update_makes_only_the_update_due() {
    let place = Place::new();
    let mut first = place.process(&[comment(1)]);
    make(&mut first, 1, Part::Properties, Some(true));
    make(&mut first, 1, Part::Comment, Some(true));
    place.process(&[change(1, r#"{"status":"Active"}"#)]).make(1, Some(true));
    let mut again = place.process(&[comment(1)]);
    assert_eq!(will_send(&again), [WillSend::WithoutComment]);
    assert_eq!(applied(again.offer_step(1, Part::Comment)), Some((false, false)));
    start(&mut again, 1, Part::Properties);
}

#[tokio::test(start_paused = true)]
async fn row_between_its_steps_is_half_done() {
    let place = Place::new();
    let mut process = place.process(&[comment(1), comment(2), comment(3), comment(4)]);
    make(&mut process, 1, Part::Properties, Some(true));
    make(&mut process, 2, Part::Properties, Some(true));
    make(&mut process, 2, Part::Comment, Some(false));
    make(&mut process, 3, Part::Properties, Some(true));
    start(&mut process, 3, Part::Comment);
    make(&mut process, 4, Part::Properties, Some(false));
    let run = process.run.name.clone();
    let results = process.journal.results(&run, 0, 10, false).expect("reads");
    let (half, unsettled) = (RowCode::from(OutcomeCode::HalfDone), RowCode::from(OutcomeCode::Unsettled));
    let codes: Vec<_> = results.iter().map(|row| (row.outcome.kind, row.outcome.code.clone(), row.attempts)).collect();
    assert_eq!(
        codes,
        [
            (OutcomeKind::InDoubt, half.clone(), 1),
            (OutcomeKind::InDoubt, half.clone(), 2),
            (OutcomeKind::InDoubt, unsettled.clone(), 2),
            (OutcomeKind::NotAttempted, RowCode::Empty, 1),
        ]
    );
    assert!(results[0].outcome.message.contains("the comment was not added"), "{}", results[0].outcome.message);
    let message = &results[2].outcome.message;
    assert!(message.starts_with("the comment may have been added: "), "{message}");
    let updated = process.journal.report_rows(&run, RowFilter::Updated, 0, 10).expect("reads");
    assert_eq!(updated.iter().map(|row| row.result.row).collect::<Vec<_>>(), [1, 2, 3]);
    let groups = process.journal.outcome_groups(&run).expect("reads");
    let groups: Vec<_> = groups.into_iter().map(|group| (group.code, group.rows)).collect();
    assert_eq!(groups, [(half, 2), (unsettled, 1), (RowCode::Empty, 1)]);
}
