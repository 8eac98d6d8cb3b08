//! What can't be undone of a run, in words.

use super::humanize::counted;
use super::preview::named;
use crate::session::UndoStats;
use crate::text::{printable, truncate};

/// More of a value is not shown.
const SHOWN_VALUE: usize = 40;

impl UndoStats {
    /// Why no incident needs to be read for the undo of a run. `names_incidents`: only some are to be undone.
    #[must_use]
    pub fn nothing_recorded(&self, run: &str, names_incidents: bool) -> String {
        match (self.updated, names_incidents) {
            (1.., _) => format!("run {run} did not use --compare, so the previous values were not recorded"),
            (0, false) => format!("nothing to undo: run {run} updated no incident"),
            (0, true) => format!("nothing to undo: run {run} updated none of these incidents"),
        }
    }

    /// Why no row can be undone: each reason with its rows.
    #[must_use]
    pub fn reasons(&self) -> String {
        let impossible = (self.updated - self.not_recorded)
            .saturating_sub(self.unreadable.rows + self.changed_rows + self.left_as_they_are);
        let reasons = [
            (self.changed_rows, "changed by others since"),
            (self.left_as_they_are, "with the previous values already"),
            (self.unreadable.rows, "whose incident cannot be read"),
            (self.not_recorded, "without recorded values"),
            (impossible, "with values that the API does not accept"),
        ];
        let reasons = reasons.iter().filter(|(rows, _)| *rows > 0);
        reasons.map(|(rows, why)| format!("{} {why}", counted(*rows, "row"))).collect::<Vec<_>>().join(", ")
    }

    /// What a person has to know beside the plan, in a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let not_recorded = (self.not_recorded > 0).then(|| {
            let why = "the run did not use --compare, so the previous values were not recorded";
            format!("{} of the updated rows cannot be undone: {why}", self.not_recorded)
        });
        let unreadable = (self.unreadable.rows > 0)
            .then(|| format!("left out, the incident cannot be read: {}", named(&self.unreadable)));
        let changed = self.changed_since.iter().map(|(property, lines)| {
            format!("left out, others have changed `{}` since: {}", printable(property), named(lines))
        });
        let impossible = self.impossible.iter().map(|((property, value), lines)| {
            let (property, value) = (printable(property), truncate(value, SHOWN_VALUE));
            format!("cannot be undone, the API does not accept {value} for `{property}`: {}", named(lines))
        });
        let comments = (self.comments > 0).then(|| format!("{} cannot be removed", counted(self.comments, "comment")));
        let alerts = (self.resolved > 0).then(|| {
            let incidents = counted(self.resolved, "incident");
            format!(
                "check the alerts of {incidents}: no documentation says that reopening an incident reopens its alerts"
            )
        });
        not_recorded
            .into_iter()
            .chain(unreadable)
            .chain(changed)
            .chain(impossible)
            .chain(comments)
            .chain(alerts)
            .collect()
    }
}
