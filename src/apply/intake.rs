//! The intake: the rows of a run on their way from the journal to their first request.
//!
//! Promises: only one row of an incident is active at a time, in the input's order; memory is bounded by the active
//! rows, not by the run.

use std::collections::{HashMap, HashSet, VecDeque};

use super::row_state::RowState;
use crate::contract::Contract;
use crate::journal::PendingRow;
use crate::model::change::IncidentId;
use crate::model::edit::Never;

/// Maximum number of active rows: those taken up ahead, and those that wait for a retry.
const MOST: usize = 2_000;

/// In bytes: no more rows are taken up while the active rows are larger than this.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The rows of a run that have not been taken up, and the incidents of those that have.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Read from the journal, not taken up yet.
    fresh: VecDeque<PendingRow<Never>>,
    /// The last row that was read from the journal.
    last_read: u64,
    /// The journal has no more.
    is_dry: bool,
    /// Wait for another row of the same incident.
    deferred: HashMap<IncidentId, VecDeque<RowState>>,
    deferred_rows: usize,
    /// The incidents of all active rows.
    active: HashSet<IncidentId>,
    /// The size of all active rows in bytes.
    bytes: usize,
}

impl Intake {
    /// Whether more rows should be read from the journal before [`Intake::take_up`] is asked.
    pub(super) fn wants_rows(&self) -> bool {
        self.fresh.is_empty() && !self.is_dry
    }

    /// The last row that was read from the journal.
    pub(super) fn last_read(&self) -> u64 {
        self.last_read
    }

    /// Takes rows read from the journal; none means that there are no more.
    pub(super) fn add(&mut self, rows: Vec<PendingRow<Never>>) {
        self.is_dry = rows.is_empty();
        self.last_read = rows.last().map_or(self.last_read, |row| row.row);
        self.fresh.extend(rows);
    }

    /// Takes up the next row whose incident has no active row.
    pub(super) fn take_up(&mut self, contract: &Contract) -> Option<RowState> {
        while self.has_room() {
            let row = RowState::new(self.fresh.pop_front()?, contract);
            self.bytes += row.bytes;
            let incident = row.row.change.incident;
            if self.active.insert(incident) {
                return Some(row);
            }
            self.deferred.entry(incident).or_default().push_back(row);
            self.deferred_rows += 1;
        }
        None
    }

    /// Whether another row can be taken up: there may be one, and there is room for it.
    pub(super) fn can_take_up(&self) -> bool {
        self.has_room() && !(self.fresh.is_empty() && self.is_dry)
    }

    fn has_room(&self) -> bool {
        self.active.len() + self.deferred_rows < MOST && self.bytes < MOST_BYTES
    }

    /// Ends an active row. Returns the next row of the same incident.
    pub(super) fn let_go(&mut self, finished: &RowState) -> Option<RowState> {
        let incident = &finished.row.change.incident;
        self.bytes -= finished.bytes;
        let next = self.deferred.get_mut(incident).and_then(VecDeque::pop_front);
        if next.is_some() {
            self.deferred_rows -= 1;
        } else {
            self.deferred.remove(incident);
            self.active.remove(incident);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::Change;
    use crate::model::edit::{Edit, PropertyEdit};

    fn pending(row: u64, incident: u64, bytes: usize) -> PendingRow<Never> {
        let incident = IncidentId::new(incident).expect("an id");
        let text = Edit::Append("x".repeat(bytes / 2));
        let change = Change { incident, edits: [PropertyEdit::new("", text)].into_iter().collect() };
        let source = vec![b'x'; bytes - bytes / 2];
        PendingRow { row, line: row, source, ..PendingRow::first(change) }
    }

    fn intake(rows: impl IntoIterator<Item = PendingRow<Never>>) -> Intake {
        let mut intake = Intake::default();
        intake.add(rows.into_iter().collect());
        intake
    }

    fn take_all(intake: &mut Intake) -> Vec<RowState> {
        let contract = crate::contract::load("defender").expect("built in");
        std::iter::from_fn(|| intake.take_up(&contract)).collect()
    }

    fn numbers(rows: &[RowState]) -> Vec<u64> {
        rows.iter().map(|row| row.row.row).collect()
    }

    #[test]
    fn rows_of_one_incident_are_taken_in_sequence() {
        let mut intake = intake([pending(1, 7, 2), pending(2, 7, 2), pending(3, 8, 2), pending(4, 7, 2)]);
        let rows = take_all(&mut intake);
        assert_eq!(numbers(&rows), [1, 3]);
        assert!(intake.can_take_up(), "the journal may have more");
        intake.add(Vec::new());
        assert!(!intake.can_take_up());
        let mut finished = rows.into_iter().next().expect("the first");
        for next in [2, 4] {
            finished = intake.let_go(&finished).expect("the next one");
            assert_eq!(finished.row.row, next);
        }
        assert!(intake.let_go(&finished).is_none());
        // Its incident is free again.
        intake.add(vec![pending(5, 7, 2)]);
        assert_eq!(numbers(&take_all(&mut intake)), [5]);
        assert_eq!(intake.last_read(), 5);
    }

    #[test]
    fn queued_rows_stay_within_the_memory_limit() {
        let mut many = intake((1..=3_000).map(|row| pending(row, row, 2)));
        let rows = take_all(&mut many);
        assert_eq!((rows.len(), many.can_take_up()), (2_000, false));
        many.let_go(&rows[0]);
        assert_eq!(numbers(&take_all(&mut many)), [2_001]);

        // Rows behind others of their incident count, too.
        let mut alike = intake((1..=3_000).map(|row| pending(row, 7, 2)));
        take_all(&mut alike);
        assert_eq!(alike.deferred_rows, 1_999);

        // And so do their bytes: 16 MiB, and the row that passes it.
        let mut long = intake((1..=30).map(|row| pending(row, row, 1 << 20)));
        let rows = take_all(&mut long);
        assert_eq!(rows.len(), 16);
        assert!(!long.wants_rows());
        for row in &rows[..3] {
            long.let_go(row);
        }
        assert_eq!(numbers(&take_all(&mut long)), [17, 18, 19]);
    }
}
