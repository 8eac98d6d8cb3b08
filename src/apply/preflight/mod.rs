//! The survey: what the incidents of a run look like before anything is sent.
//!
//! It goes by pages of the list where that is cheaper (`route`), else one by one, through [`super::reads`]. What it
//! finds is kept with the rows in the journal; what that means for each row is [`crate::compare`]'s to say.

mod planner;

use super::StopReason;
use super::reads::{ReadResult, ReadSource, Wanted};
use crate::model::call::{Call, CallResult, Page, Verdict};
use crate::model::change::IncidentId;
use crate::model::snapshot::{IncidentState, Snapshot};

use planner::MAX_EXTRA_CALLS;

/// Finds out what incidents look like.
#[derive(Debug)]
pub struct PreflightSource {
    route: planner::ReadPlanner,
    /// Incident and row, sorted.
    rows: Vec<(IncidentId, u64)>,
}

impl PreflightSource {
    /// Of these rows; `page_sizes`: those of the contract.
    #[must_use]
    pub fn new(mut rows: Vec<(IncidentId, u64)>, page_sizes: &[u32]) -> PreflightSource {
        rows.sort_unstable();
        let route = planner::ReadPlanner::new(rows.iter().map(|(incident, _)| *incident), page_sizes);
        PreflightSource { route, rows }
    }

    /// How many incidents are looked at.
    #[must_use]
    pub fn incidents(&self) -> u64 {
        self.route.left()
    }

    /// The fewest calls that it can take, and the most.
    #[must_use]
    pub fn calls(&self) -> (u64, u64) {
        let most = self.route.left();
        let mut newest_first: Vec<u64> = self.rows.iter().rev().map(|(incident, _)| incident.get()).collect();
        newest_first.dedup();
        let fewest = self.route.fewest_calls(newest_first.into_iter());
        (fewest, if fewest < most { most + MAX_EXTRA_CALLS } else { most })
    }

    fn heard(&self, seen: impl Iterator<Item = (IncidentId, Snapshot)>) -> ReadResult {
        let mut heard = ReadResult::default();
        for (incident, seen) in seen {
            heard.incidents += 1;
            let from = self.rows.partition_point(|(one, _)| *one < incident);
            let rows = self.rows[from..].iter().take_while(|(one, _)| *one == incident);
            let text = seen.to_json();
            heard.snapshots.extend(rows.map(|(_, row)| (*row, text.clone())));
        }
        heard
    }
}

impl ReadSource for PreflightSource {
    fn next(&mut self) -> Wanted {
        self.route.next()
    }

    fn on_result(&mut self, call: &Call, answer: &CallResult) -> Result<ReadResult, StopReason> {
        Ok(match (call, &answer.verdict) {
            (Call::List(page), Verdict::Listed(incidents)) => {
                let found = self.route.shown(page, incidents.clone()).into_iter();
                self.heard(found.filter_map(|shown| {
                    let incident = IncidentId::new(shown.id)?;
                    Some((incident, Snapshot::There(IncidentState::from(shown))))
                }))
            }
            (Call::List(_), _) => {
                self.route.refused();
                ReadResult::default()
            }
            (Call::Read(incident), verdict) => {
                let seen = match verdict {
                    Verdict::Read { incident, .. } => Snapshot::There(IncidentState::from(incident.clone())),
                    Verdict::NotFound => Snapshot::Missing { message: answer.message.clone() },
                    _ => Snapshot::Unreadable { message: answer.message.clone() },
                };
                self.heard(std::iter::once((*incident, seen)))
            }
            (Call::Step(_), _) => ReadResult::default(),
        })
    }

    fn calls_left(&self) -> u64 {
        self.route.calls_left()
    }

    fn page_failed(&mut self, _: &Page, answer: &CallResult) -> Result<Option<Call>, StopReason> {
        Ok(self.route.failed(answer))
    }

    fn can_read_singly(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::page_size::tests::{SIZES, failure};
    use super::*;
    use crate::model::call::Incident;

    fn id(number: u64) -> IncidentId {
        IncidentId::new(number).expect("positive")
    }

    /// Row n is of the n-th incident, from 1.
    fn survey(incidents: &[u64]) -> PreflightSource {
        PreflightSource::new(incidents.iter().copied().map(id).zip(1..).collect(), &SIZES)
    }

    /// What becomes of the rows: their number, and what was seen.
    fn heard(survey: &mut PreflightSource, call: &Call, verdict: Verdict) -> (Vec<(u64, String)>, u64) {
        let heard =
            survey.on_result(call, &CallResult { verdict, ..failure(Some(200), false) }).expect("keeps nothing");
        let short = |text: String| text.split('"').nth(1).expect("an object").to_owned();
        (heard.snapshots.into_iter().map(|(row, seen)| (row, short(seen))).collect(), heard.incidents)
    }

    #[test]
    fn read_estimate_is_available_before_and_during() {
        // Neighbours: by a page, or one by one and the pages tried in vain. Scattered ones: one by one.
        assert_eq!((survey(&[1, 2, 3]).calls(), survey(&[1, 1_000]).calls()), ((1, 6), (2, 2)));
        let mut scattered = survey(&[1, 1_000, 2_000]);
        assert_eq!((scattered.incidents(), scattered.calls_left()), (3, 3));
        scattered.next();
        assert_eq!(scattered.calls_left(), 2);
    }

    #[test]
    fn snapshot_goes_to_every_row_of_incident() {
        let mut survey = survey(&[7, 5_000, 7, 9_000]);
        let read =
            |number| Verdict::Read { incident: Incident { id: number, ..Incident::default() }, server_time: None };
        let seen = |text: &str, rows: &[u64]| (rows.iter().map(|row| (*row, text.to_owned())).collect::<Vec<_>>(), 1);
        assert_eq!(heard(&mut survey, &Call::Read(id(7)), read(7)), seen("there", &[1, 3]));
        assert_eq!(heard(&mut survey, &Call::Read(id(5_000)), Verdict::NotFound), seen("missing", &[2]));
        assert_eq!(heard(&mut survey, &Call::Read(id(9_000)), Verdict::Rejected), seen("unreadable", &[4]));
    }
}
