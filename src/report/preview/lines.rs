//! The counts of a run as text.

use std::borrow::Cow;

use crate::model::outcome::{OutcomeCode, RowCode};
use crate::report::humanize::{WIDTH, count, counted, fitted, left_alone};
use crate::session::{Counts, NamedLines, PreflightSummary, PropertyCounts, ReadReason, SetCounts};
use crate::text::printable;

impl Counts {
    /// The skipped rows, with a line for each reason.
    pub(in crate::report) fn skipped_lines(&self) -> Vec<String> {
        let line = |rows: u64, what: &str| (rows > 0).then(|| format!("{} {what}: skipped", counted(rows, "row")));
        let lines = [
            line(self.invalid, "invalid"),
            (self.nothing_asked > 0).then(|| left_alone(self.nothing_asked)),
            line(self.repeated, "with the same change as an earlier row"),
            line(self.finished_in_plan, "left out by the plan"),
            line(self.limited, "beyond --limit"),
            (!self.without_comment.is_empty()).then(|| {
                format!("{} added before: not repeated", counted(self.without_comment.len() as u64, "comment"))
            }),
            (!self.only_comment.is_empty()).then(|| {
                format!(
                    "{} applied before: only the comment is sent",
                    counted(self.only_comment.len() as u64, "update")
                )
            }),
        ];
        lines.into_iter().flatten().collect()
    }

    /// Why the run can't be undone, if it can't.
    pub(in crate::report) fn undo_line(&self) -> Option<String> {
        match self.not_undoable {
            0 => None,
            rows if rows == self.rows => {
                Some("cannot be undone: without --compare, previous values are not recorded".to_owned())
            }
            rows => Some(format!("{} cannot be undone: previous values are not recorded", counted(rows, "row"))),
        }
    }
}

impl SetCounts {
    /// The properties and their most frequent values.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for counts in self.properties() {
            let name = fitted(&counts.property, 16);
            for (at, line) in counts.value_lines().into_iter().enumerate() {
                lines.push(format!("{:<16}{line}", if at == 0 { &name } else { "" }));
            }
            if counts.replaces_list > 0 {
                lines.push(format!("{:<16}           replaces the current {name}", ""));
            }
            if counts.changes_list > 0 {
                lines.push(format!("{:<16}           edits the current list: read first", ""));
            }
        }
        lines
    }
}

impl PropertyCounts {
    /// One line for each value shown, the most frequent first.
    fn value_lines(&self) -> Vec<String> {
        let (values, others) = self.most_frequent();
        let others = (others > 0).then(|| format!("{:>9}  other values", count(others)));
        let shown = values.into_iter().map(|(value, rows)| format!("{:>9}  {}", count(*rows), fitted(value, WIDTH)));
        shown.chain(others).collect()
    }
}

/// The announcement of a preflight: the number of incidents, and the minimum and maximum number of requests. A page of a
/// list has up to 100 incidents with similar IDs; other incidents are read one by one.
#[must_use]
pub fn read_announcement(why: ReadReason, incidents: u64, (min, max): (u64, u64)) -> String {
    let counted_incidents = counted(incidents, "incident");
    let reads = match why {
        ReadReason::First => format!("reading {counted_incidents}"),
        ReadReason::Merged => format!("reading {counted_incidents} into which others were merged"),
    };
    if min == max {
        return format!("{reads} ({})", counted(max, "request"));
    }
    format!("{reads} ({} to {})", count(min), counted(max, "request"))
}

/// `lines 2, 7, …`
pub(in crate::report) fn named(lines: &NamedLines) -> String {
    let named: Vec<String> = lines.first.iter().map(u64::to_string).collect();
    let more = if lines.rows > lines.first.len() as u64 { ", …" } else { "" };
    format!("{} {}{more}", if lines.rows == 1 { "line" } else { "lines" }, named.join(", "))
}

impl PreflightSummary {
    pub(super) fn line(&self) -> String {
        let how = match self.calls {
            Some(calls) => format!("in {}", counted(calls, "request")),
            None => "when the plan was created".to_owned(),
        };
        format!("{} read {how}", counted(self.incidents, "incident"))
    }

    /// The skipped rows that need no change.
    pub(super) fn skipped_line(&self) -> Option<String> {
        let rows = self.already_so;
        (rows > 0).then(|| format!("{} with all values already set: skipped", counted(rows, "row")))
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.problems.values().map(|(code, lines)| {
            format!("{} not sent, {} ({})", counted(lines.rows, "row"), reason(code), named(lines))
        })
    }
}

/// Why rows are not sent.
fn reason(code: &RowCode) -> Cow<'_, str> {
    let text = match code {
        RowCode::Outcome(code) => match code {
            OutcomeCode::NotFound => "no such incident",
            OutcomeCode::Redirected => "the incident was merged into another one",
            OutcomeCode::Contradiction => "another row has a conflicting change",
            OutcomeCode::ChangedSince => "the incident has changed since the plan was created",
            OutcomeCode::Unreadable => "the incident cannot be read",
            // Only possible after a row was sent; or the row needs no update, and is not counted here.
            OutcomeCode::Differs
            | OutcomeCode::FoundByReading
            | OutcomeCode::DoneBefore
            | OutcomeCode::AlreadySo
            | OutcomeCode::NothingAsked
            | OutcomeCode::Rejected
            | OutcomeCode::Forbidden
            | OutcomeCode::CommentRejected
            | OutcomeCode::Conflict
            | OutcomeCode::NotApplied
            | OutcomeCode::Unexpected
            | OutcomeCode::GaveUp
            | OutcomeCode::Unexplained
            | OutcomeCode::HalfDone
            | OutcomeCode::Unsettled => code.name(),
        },
        RowCode::Diagnostic(code) => code.name,
        RowCode::Other(text) => return printable(text),
        RowCode::Empty => "no reason given",
    };
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::{Outcome, OutcomeKind};
    use serde_json::json;

    #[test]
    fn undo_line_counts_rows_without_a_snapshot() {
        let counts = |rows, not_undoable| Counts { rows, not_undoable, ..Counts::default() };
        assert_eq!(counts(5, 0).undo_line(), None);
        assert!(counts(5, 5).undo_line().is_some_and(|line| line.starts_with("cannot be undone: without --compare")));
        assert!(counts(5, 2).undo_line().is_some_and(|line| line.starts_with("2 rows cannot be undone")));
    }

    #[test]
    fn list_edit_shows_additions_and_removals() {
        let edits = |body: &str| crate::plan::decode(body, false).expect("a body");
        let mut counts = SetCounts::default();
        counts.add(&edits(r#"{"tags":{"add":["vip"],"remove":["old"]}}"#), None);
        let before = json!({"tags": ["old", "x"]});
        let before = before.as_object();
        // The whole list that the same edit became, and one that stays as it is.
        counts.add(&edits(r#"{"tags":["x","vip"]}"#), before);
        counts.add(&edits(r#"{"tags":["x","old"]}"#), before);
        counts.add(&edits(r#"{"tags":[]}"#), before);
        let lines = counts.lines().join("\n");
        assert!(lines.contains("        2  adds vip; removes old\n"), "{lines}");
        assert!(lines.contains("1  <clear>") && !lines.contains("removes old, x"), "{lines}");
        assert!(!lines.contains("replaces"), "{lines}");
        assert!(counts.clears());
    }

    #[test]
    fn rows_that_are_not_sent_have_their_reason() {
        let mut summary = PreflightSummary::new(3, None);
        for (line, code) in ["unreadable", "not-found", "from-the-\u{1b}future", "not-found"].into_iter().enumerate() {
            summary.add_end(&Outcome::new(OutcomeKind::Failed, code, ""), line as u64 + 2);
        }
        let warnings: Vec<String> = summary.warnings().collect();
        let expected = [
            r"1 row not sent, from-the-\u{1b}future (line 4)",
            "2 rows not sent, no such incident (lines 3, 5)",
            "1 row not sent, the incident cannot be read (line 2)",
        ];
        assert_eq!(warnings, expected);
    }
}
