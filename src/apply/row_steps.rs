//! The steps of one row: which one is due, and the outcome of all of them.
//!
//! Promises: pure; if a row was applied in part, its outcome says which part.

use crate::contract::Contract;
use crate::journal::PendingRow;
use crate::model::edit::{Edits, Never};
use crate::model::outcome::{Outcome, OutcomeCode, OutcomeKind, RowCode};
use crate::model::step::Part;

/// The progress of a row through its steps. Its change is always that of the current step.
#[derive(Clone, Debug)]
pub(super) struct RowSteps {
    /// What the current step sends.
    pub(super) part: Part,
    /// The comment, if it is sent after this step.
    comment: Option<Edits<Never>>,
    /// The update, if it was applied before this step.
    update: Option<AppliedUpdate>,
}

/// An update that was applied.
#[derive(Clone, Debug)]
struct AppliedUpdate {
    /// What it has set, in words.
    set: String,
    /// What the row's outcome would be without a comment.
    outcome: Outcome,
}

impl RowSteps {
    /// Starts with the first step: narrows the row's change to it.
    pub(super) fn first(row: &mut PendingRow<Never>, contract: &Contract) -> RowSteps {
        let mut parts = contract.parts(&row.change.edits);
        let part = parts.next().unwrap_or(Part::Whole);
        let comment = parts.next().map(|part| part.of(&row.change.edits));
        if part != Part::Whole {
            row.asked.get_or_insert_with(|| row.change.edits.clone().into());
            row.change.edits = part.of(&row.change.edits);
        }
        RowSteps { part, comment, update: None }
    }

    /// Whether another step follows.
    pub(super) fn has_next(&self) -> bool {
        self.comment.is_some()
    }

    /// The current step has ended with this outcome. Returns the row's outcome; `None` if the next step is due: the
    /// row's change is now that of the next step.
    pub(super) fn end(&mut self, row: &mut PendingRow<Never>, outcome: Outcome) -> Option<Outcome> {
        if let Some(update) = self.update.take() {
            return Some(update.with_comment(outcome));
        }
        let Some(comment) = self.comment.take() else { return Some(outcome) };
        if !outcome.kind.is_done() {
            return Some(without_comment(outcome));
        }
        self.update = Some(AppliedUpdate { set: set_by(&row.change.edits), outcome });
        self.part = Part::Comment;
        row.change.edits = comment;
        None
    }
}

impl AppliedUpdate {
    /// The outcome of both, given that of the comment.
    fn with_comment(self, comment: Outcome) -> Outcome {
        let AppliedUpdate { set, outcome: update } = self;
        match comment.kind {
            OutcomeKind::Unchanged if update.kind == OutcomeKind::Updated => {
                Outcome { finished_at: comment.finished_at, ..update }
            }
            OutcomeKind::Updated if update.kind == OutcomeKind::Updated => {
                let says_more =
                    !update.code.is_empty() && comment.code.is_empty() || update.code == OutcomeCode::Differs;
                let (code, message) = match comment.code {
                    _ if says_more => (update.code, update.message),
                    RowCode::Outcome(OutcomeCode::FoundByReading) => (comment.code, COMMENT_FOUND.to_owned()),
                    _ => (comment.code, comment.message),
                };
                Outcome { code, message, ..comment }
            }
            OutcomeKind::Failed | OutcomeKind::InDoubt => {
                let code = if is_refusal(&comment.code) { OutcomeCode::CommentRejected.into() } else { comment.code };
                let what = match &code {
                    RowCode::Outcome(OutcomeCode::CommentRejected) => "was refused",
                    RowCode::Outcome(OutcomeCode::GaveUp) => "was not added",
                    _ if comment.kind == OutcomeKind::InDoubt => "is in doubt",
                    _ => "failed",
                };
                let message = format!("{set}, but the comment {what}: {}", comment.message);
                Outcome { code, message, ..comment }
            }
            _ => comment,
        }
    }
}

/// The message of a row whose comment had no usable response, and is shown by a read.
const COMMENT_FOUND: &str = "no response to the comment was received; the incident shows it";

/// Whether the API has refused a comment.
fn is_refusal(code: &RowCode) -> bool {
    use OutcomeCode::{Conflict, Forbidden, NotApplied, NotFound, Rejected};
    matches!(code, RowCode::Outcome(Rejected | NotFound | Forbidden | Conflict | NotApplied))
}

/// The outcome of a row whose update failed or is in doubt. Its message says that the comment is missing.
fn without_comment(update: Outcome) -> Outcome {
    Outcome { message: format!("{}; the comment was not sent", update.message.trim_end_matches('.')), ..update }
}

/// `status was set`
fn set_by(edits: &Edits<Never>) -> String {
    let names: Vec<&str> = edits.iter().map(|one| &*one.property).collect();
    match &names[..] {
        [one] => format!("{one} was set"),
        [first @ .., last] => format!("{} and {last} were set", first.join(", ")),
        [] => "nothing was set".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::steps::tests::two_steps;
    use crate::model::change::{Change, IncidentId};
    use crate::plan::decode;

    const BOTH: &str = r#"{"status":"Resolved","assignedTo":"","comment":"done"}"#;

    fn row(body: &str) -> PendingRow<Never> {
        let edits = decode(body, body.contains("comment")).expect("a body").resolved().expect("no list edit");
        PendingRow::first(Change { incident: IncidentId::new(7).expect("an ID"), edits })
    }

    fn outcome(kind: OutcomeKind, code: impl Into<RowCode>) -> Outcome {
        Outcome::new(kind, code, "why")
    }

    /// The outcome of a row whose two steps end like these.
    fn of_both(update: Outcome, comment: Outcome) -> String {
        let mut row = row(BOTH);
        let mut steps = RowSteps::first(&mut row, &two_steps());
        let outcome = match steps.end(&mut row, update) {
            Some(outcome) => outcome,
            None => steps.end(&mut row, comment).expect("the last step"),
        };
        format!("{} {}: {}", outcome.kind, outcome.code, outcome.message)
    }

    #[test]
    fn change_is_that_of_the_present_step() {
        let mut row = row(BOTH);
        let whole = row.change.edits.clone();
        let mut steps = RowSteps::first(&mut row, &two_steps());
        assert_eq!((steps.part, steps.has_next()), (Part::Properties, true));
        assert_eq!(row.change.edits.to_json(), r#"{"status":"Resolved","assignedTo":""}"#);
        assert_eq!(steps.end(&mut row, outcome(OutcomeKind::Updated, RowCode::Empty)), None);
        assert_eq!((steps.part, steps.has_next()), (Part::Comment, false));
        assert_eq!(row.change.edits.to_json(), r#"{"comment":"done"}"#);
        assert_eq!(row.asked, Some(whole.into()));
    }

    #[test]
    fn single_steps_end_the_row() {
        let one_step = crate::contract::load("defender").expect("built in");
        for (body, contract, part) in [
            (BOTH, &one_step, Part::Whole),
            (r#"{"status":"Resolved"}"#, &two_steps(), Part::Whole),
            (r#"{"comment":"done"}"#, &two_steps(), Part::Comment),
        ] {
            let mut row = row(body);
            let mut steps = RowSteps::first(&mut row, contract);
            assert_eq!((steps.part, steps.has_next(), row.change.edits.to_json()), (part, false, body.to_owned()));
            for (kind, code) in
                [(OutcomeKind::Updated, RowCode::Empty), (OutcomeKind::Failed, OutcomeCode::Rejected.into())]
            {
                let ended = outcome(kind, code);
                assert_eq!(steps.end(&mut row, ended.clone()), Some(ended));
            }
        }
    }

    #[test]
    fn outcome_says_which_part_was_applied() {
        use OutcomeCode::{
            Differs, DoneBefore, Forbidden, FoundByReading, GaveUp, Redirected, Rejected, Unexpected, Unreadable,
        };
        use OutcomeKind::{Failed, InDoubt, Unchanged, Updated};
        let fine = || outcome(Updated, RowCode::Empty);
        for (update, comment, expected) in [
            (fine(), fine(), "updated : why"),
            (outcome(Updated, Differs), outcome(Updated, FoundByReading), "updated differs: why"),
            (outcome(Updated, FoundByReading), fine(), "updated found-by-reading: why"),
            (
                fine(),
                outcome(Updated, FoundByReading),
                "updated found-by-reading: no response to the comment was received; the incident shows it",
            ),
            (outcome(Unchanged, DoneBefore), fine(), "updated : why"),
            (fine(), outcome(Unchanged, DoneBefore), "updated : why"),
            (outcome(Unchanged, DoneBefore), outcome(Unchanged, DoneBefore), "unchanged done-before: why"),
            (outcome(Failed, Rejected), fine(), "failed rejected: why; the comment was not sent"),
            (Outcome::new(Failed, Rejected, "Wrong."), fine(), "failed rejected: Wrong; the comment was not sent"),
            (outcome(Failed, Redirected), fine(), "failed redirected: why; the comment was not sent"),
            (outcome(InDoubt, Unreadable), fine(), "in-doubt unreadable: why; the comment was not sent"),
            (
                fine(),
                outcome(Failed, Rejected),
                "failed comment-rejected: status and assignedTo were set, but the comment was refused: why",
            ),
            (
                outcome(Unchanged, DoneBefore),
                outcome(Failed, Forbidden),
                "failed comment-rejected: status and assignedTo were set, but the comment was refused: why",
            ),
            (
                fine(),
                outcome(Failed, GaveUp),
                "failed gave-up: status and assignedTo were set, but the comment was not added: why",
            ),
            (
                fine(),
                outcome(InDoubt, Unreadable),
                "in-doubt unreadable: status and assignedTo were set, but the comment is in doubt: why",
            ),
            (
                fine(),
                outcome(Failed, Unexpected),
                "failed unexpected: status and assignedTo were set, but the comment failed: why",
            ),
        ] {
            assert_eq!(of_both(update, comment), expected);
        }
    }
}
