//! The preflight: reads the incidents of a run before anything is sent.
//!
//! It reads pages of the list if that is cheaper (`planner`), otherwise one incident at a time, through
//! [`super::reads`]. The journal stores the snapshots with the rows; [`crate::compare`] compares them.

mod planner;

use super::StopReason;
use super::reads::{ReadResult, ReadSource, Wanted};
use crate::model::call::{Call, CallResult, Page, Verdict};
use crate::model::change::IncidentId;
use crate::model::snapshot::{IncidentState, Snapshot};

use planner::MAX_EXTRA_CALLS;

/// Reads the snapshots of incidents.
#[derive(Debug)]
pub struct PreflightSource {
    planner: planner::ReadPlanner,
    /// Incident and row, sorted.
    rows: Vec<(IncidentId, u64)>,
}

impl PreflightSource {
    /// Reads the incidents of these rows. `page_sizes`: those of the contract.
    #[must_use]
    pub fn new(mut rows: Vec<(IncidentId, u64)>, page_sizes: &[u32]) -> PreflightSource {
        rows.sort_unstable();
        let planner = planner::ReadPlanner::new(rows.iter().map(|(incident, _)| *incident), page_sizes);
        PreflightSource { planner, rows }
    }

    /// How many incidents are left to read.
    #[must_use]
    pub fn incidents(&self) -> u64 {
        self.planner.left()
    }

    /// The minimum and the maximum number of requests.
    #[must_use]
    pub fn calls(&self) -> (u64, u64) {
        let most = self.planner.left();
        let mut newest_first: Vec<u64> = self.rows.iter().rev().map(|(incident, _)| incident.get()).collect();
        newest_first.dedup();
        let fewest = self.planner.fewest_calls(newest_first.into_iter());
        (fewest, if fewest < most { most + MAX_EXTRA_CALLS } else { most })
    }

    /// The snapshots, for each row of their incidents.
    fn result_of(&self, snapshots: impl Iterator<Item = (IncidentId, Snapshot)>) -> ReadResult {
        let mut found = ReadResult::default();
        for (incident, snapshot) in snapshots {
            found.incidents += 1;
            let from = self.rows.partition_point(|(one, _)| *one < incident);
            let rows = self.rows[from..].iter().take_while(|(one, _)| *one == incident);
            let text = snapshot.to_json();
            found.snapshots.extend(rows.map(|(_, row)| (*row, text.clone())));
        }
        found
    }
}

impl ReadSource for PreflightSource {
    fn next(&mut self) -> Wanted {
        self.planner.next()
    }

    fn on_result(&mut self, call: &Call, result: &CallResult) -> Result<ReadResult, StopReason> {
        Ok(match (call, &result.verdict) {
            (Call::List(page), Verdict::Listed { incidents, .. }) => {
                let found = self.planner.shown(page, incidents.clone()).into_iter();
                self.result_of(found.filter_map(|shown| {
                    let incident = IncidentId::new(shown.id)?;
                    Some((incident, Snapshot::There(IncidentState::from(shown))))
                }))
            }
            (Call::List(_), _) => {
                self.planner.refused();
                ReadResult::default()
            }
            (Call::Read(incident), verdict) => {
                let snapshot = match verdict {
                    Verdict::Read { incident, .. } => Snapshot::There(IncidentState::from(incident.clone())),
                    Verdict::NotFound => Snapshot::Missing { message: result.message.clone() },
                    _ => Snapshot::Unreadable { message: result.message.clone() },
                };
                self.result_of(std::iter::once((*incident, snapshot)))
            }
            (Call::Step(_), _) => ReadResult::default(),
        })
    }

    fn calls_left(&self) -> u64 {
        self.planner.calls_left()
    }

    fn page_failed(&mut self, _: &Page, result: &CallResult) -> Result<Option<Call>, StopReason> {
        Ok(self.planner.failed(result))
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
    fn source(incidents: &[u64]) -> PreflightSource {
        PreflightSource::new(incidents.iter().copied().map(id).zip(1..).collect(), &SIZES)
    }

    /// The snapshots of the rows, and how many incidents were read.
    fn result_of(source: &mut PreflightSource, call: &Call, verdict: Verdict) -> (Vec<(u64, String)>, u64) {
        let result =
            source.on_result(call, &CallResult { verdict, ..failure(Some(200), false) }).expect("keeps nothing");
        let short = |text: String| text.split('"').nth(1).expect("an object").to_owned();
        (result.snapshots.into_iter().map(|(row, snapshot)| (row, short(snapshot))).collect(), result.incidents)
    }

    #[test]
    fn read_estimate_is_available_before_and_during() {
        // Neighbors: by a page, or one by one after failed pages. Scattered incidents: one by one.
        assert_eq!((source(&[1, 2, 3]).calls(), source(&[1, 1_000]).calls()), ((1, 6), (2, 2)));
        let mut scattered = source(&[1, 1_000, 2_000]);
        assert_eq!((scattered.incidents(), scattered.calls_left()), (3, 3));
        scattered.next();
        assert_eq!(scattered.calls_left(), 2);
    }

    #[test]
    fn snapshot_goes_to_every_row_of_incident() {
        let mut source = source(&[7, 5_000, 7, 9_000]);
        let read =
            |number| Verdict::Read { incident: Incident { id: number, ..Incident::default() }, server_time: None };
        let snapshot =
            |text: &str, rows: &[u64]| (rows.iter().map(|row| (*row, text.to_owned())).collect::<Vec<_>>(), 1);
        assert_eq!(result_of(&mut source, &Call::Read(id(7)), read(7)), snapshot("there", &[1, 3]));
        assert_eq!(result_of(&mut source, &Call::Read(id(5_000)), Verdict::NotFound), snapshot("missing", &[2]));
        assert_eq!(result_of(&mut source, &Call::Read(id(9_000)), Verdict::Rejected), snapshot("unreadable", &[4]));
    }
}
