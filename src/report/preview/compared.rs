//! What looking at the incidents has shown: how many rows need no update, which ones can't have one, what changes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::outcome::{Outcome, OutcomeCode, RowCode};
use crate::report::humanize::{count, counted};
use crate::text::printable;

/// So many lines are named of the rows that can't be updated.
pub const NAMED: usize = 5;

/// Why incidents are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadReason {
    /// They are those of the rows.
    First,
    /// Those were merged into them.
    Merged,
}

/// What a preflight costs: `incidents`, and the fewest and the most requests that it can take. A page of a list shows up to
/// 100 incidents whose numbers are close together; others are read alone.
#[must_use]
pub fn looking(why: ReadReason, incidents: u64, (fewest, most): (u64, u64)) -> String {
    let counted_incidents = counted(incidents, "incident");
    let reads = match why {
        ReadReason::First => format!("reading {counted_incidents}"),
        ReadReason::Merged => format!("reading {counted_incidents} into which others were merged"),
    };
    if fewest == most {
        return format!("{reads} ({})", counted(most, "request"));
    }
    format!("{reads} ({} to {})", count(fewest), counted(most, "request"))
}

/// `lines 2, 7, …`, of so many rows.
pub(super) fn named(rows: u64, lines: &[u64]) -> String {
    let named: Vec<String> = lines.iter().map(u64::to_string).collect();
    let more = if rows > lines.len() as u64 { ", …" } else { "" };
    format!("{} {}{more}", if rows == 1 { "line" } else { "lines" }, named.join(", "))
}

/// What looking has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreflightSummary {
    /// The incidents that were looked at.
    pub incidents: u64,
    /// By so many calls; `None`: by a plan, when that was made.
    pub calls: Option<u64>,
    /// Rows whose incident is already as they ask for.
    pub already_so: u64,
    /// Rows that can't be updated: by code how many, and the lines of the first.
    problems: BTreeMap<String, (RowCode, u64, Vec<u64>)>,
}

impl PreflightSummary {
    /// So many incidents, by so many calls.
    #[must_use]
    pub fn new(incidents: u64, calls: Option<u64>) -> PreflightSummary {
        PreflightSummary { incidents, calls, ..PreflightSummary::default() }
    }

    /// Counts a row that is not sent.
    pub fn add_end(&mut self, outcome: &Outcome, line: u64) {
        if outcome.kind.is_done() {
            self.already_so += 1;
            return;
        }
        let (_, rows, lines) =
            self.problems.entry(outcome.code.to_string()).or_insert_with(|| (outcome.code.clone(), 0, Vec::new()));
        *rows += 1;
        if lines.len() < NAMED {
            lines.push(line);
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let how = match self.calls {
            Some(calls) => format!("in {}", counted(calls, "request")),
            None => "when the plan was created".to_owned(),
        };
        let looked = format!("{} read {how}", counted(self.incidents, "incident"));
        vec![looked]
    }

    /// Rows that are not sent because of it.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.already_so + self.problems.values().map(|(_, rows, _)| rows).sum::<u64>()
    }

    /// The rows that need no change, as they are left out.
    pub(super) fn skipped_line(&self) -> Option<String> {
        let rows = self.already_so;
        (rows > 0).then(|| format!("{} with all values already set: skipped", counted(rows, "row")))
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.problems.values().map(|(code, rows, lines)| {
            format!("{} not sent, {} ({})", counted(*rows, "row"), reason(code), named(*rows, lines))
        })
    }
}

/// Why rows are not sent, in words.
fn reason(code: &RowCode) -> Cow<'_, str> {
    let text = match code {
        RowCode::Outcome(code) => match code {
            OutcomeCode::NotFound => "no such incident",
            OutcomeCode::Redirected => "the incident was merged into another one",
            OutcomeCode::Contradiction => "another row has a conflicting change",
            OutcomeCode::ChangedSince => "the incident has changed since the plan was created",
            OutcomeCode::Unreadable => "the incident cannot be read",
            // Known only once a row was sent; or it needs no update, and is not counted here.
            OutcomeCode::Differs
            | OutcomeCode::FoundByReading
            | OutcomeCode::DoneBefore
            | OutcomeCode::AlreadySo
            | OutcomeCode::NothingAsked
            | OutcomeCode::Rejected
            | OutcomeCode::Forbidden
            | OutcomeCode::Conflict
            | OutcomeCode::NotApplied
            | OutcomeCode::Unexpected
            | OutcomeCode::GaveUp
            | OutcomeCode::Unexplained
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
    use crate::model::outcome::OutcomeKind;

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
