//! The queue: the rows of a run that have not finished, each in one place, by what its next request waits for.
//!
//! Promises: of the rows of one incident only one is in hand at a time, in the input's order; memory is bounded by the
//! rows in hand, not by the run.

use std::collections::{HashMap, HashSet, VecDeque};

use super::due::DueQueue;
use super::row_state::RowState;
use crate::clock::BootTime;
use crate::contract::Contract;
use crate::journal::PendingRow;
use crate::model::change::IncidentId;
use crate::model::edit::Never;

/// No more rows than this are in hand: what is taken up ahead, and what waits to be tried again.
const MOST: usize = 2_000;

/// And no more rows are taken up while those in hand have more bytes than this.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The rows that have not finished, those in flight aside.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Read from the journal, not taken up yet.
    fresh: VecDeque<PendingRow<Never>>,
    /// The last row that was read from the journal.
    last_read: u64,
    /// The journal has no more.
    is_dry: bool,
    /// Wait for a permit, or for their time.
    pub(super) due: DueQueue<RowState>,
    /// Have no attempts left while it is not clear yet whether the service is down.
    held: Vec<RowState>,
    /// Wait for another row of the same incident.
    deferred: HashMap<IncidentId, VecDeque<RowState>>,
    deferred_rows: usize,
    /// The incidents of all rows in hand, those in flight among them.
    in_hand: HashSet<IncidentId>,
    /// The bytes of all rows that were taken up and have not finished.
    bytes: usize,
}

impl Queue {
    /// Whether more rows should be read from the journal before [`Queue::take_up`] is asked.
    pub(super) fn wants_rows(&self) -> bool {
        self.fresh.is_empty() && !self.is_dry
    }

    /// The last row that was read from the journal.
    pub(super) fn last_read(&self) -> u64 {
        self.last_read
    }

    /// Rows read from the journal; none means that there are no more.
    pub(super) fn add(&mut self, rows: Vec<PendingRow<Never>>) {
        self.is_dry = rows.is_empty();
        self.last_read = rows.last().map_or(self.last_read, |row| row.row);
        self.fresh.extend(rows);
    }

    /// The next row that was not taken up yet and whose incident is free.
    pub(super) fn take_up(&mut self, contract: &Contract) -> Option<RowState> {
        while self.in_hand.len() + self.deferred_rows < MOST && self.bytes < MOST_BYTES {
            let row = RowState::new(self.fresh.pop_front()?, contract);
            self.bytes += row.bytes;
            let incident = row.row.change.incident;
            if self.in_hand.insert(incident) {
                return Some(row);
            }
            self.deferred.entry(incident).or_default().push_back(row);
            self.deferred_rows += 1;
        }
        None
    }

    /// When the next row's time comes: `now` if it waits for nothing but a permit.
    pub(super) fn next_due(&self, now: BootTime) -> Option<BootTime> {
        if !self.fresh.is_empty() || !self.is_dry {
            return Some(now);
        }
        self.due.next_due(now)
    }

    /// This row has no attempts left.
    pub(super) fn hold(&mut self, row: RowState) {
        self.held.push(row);
    }

    /// Those that have no attempts left.
    pub(super) fn take_held(&mut self) -> Vec<RowState> {
        std::mem::take(&mut self.held)
    }

    /// Whether there is nothing to request but for rows that have no attempts left.
    pub(super) fn has_only_held(&self) -> bool {
        self.is_dry && self.fresh.is_empty() && self.due.is_empty()
    }

    /// This row has finished: the next one of the same incident may go.
    pub(super) fn let_go(&mut self, finished: &RowState) {
        let incident = &finished.row.change.incident;
        self.bytes -= finished.bytes;
        if let Some(row) = self.deferred.get_mut(incident).and_then(VecDeque::pop_front) {
            self.deferred_rows -= 1;
            self.due.last(row);
        } else {
            self.deferred.remove(incident);
            self.in_hand.remove(incident);
        }
    }

    /// The attempts of a streak do not count; those that had none left are ready again.
    pub(super) fn forgive(&mut self, streak: u64) {
        for row in self.held.drain(..) {
            self.due.last(row);
        }
        for row in self.due.iter_mut() {
            row.forgive(streak);
        }
    }

    /// Whether every row has finished.
    pub(super) fn is_empty(&self) -> bool {
        self.has_only_held() && self.held.is_empty() && self.deferred_rows == 0
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
        PendingRow {
            row,
            line: row,
            source,
            change,
            attempts: 0,
            is_in_doubt: false,
            is_recorded: false,
            differed_at: None,
            merged: None,
            asked: None,
        }
    }

    fn queue(rows: impl IntoIterator<Item = PendingRow<Never>>) -> Queue {
        let mut queue = Queue::default();
        queue.add(rows.into_iter().collect());
        queue
    }

    fn take_all(queue: &mut Queue) -> Vec<RowState> {
        let contract = crate::contract::load("defender").expect("built in");
        std::iter::from_fn(|| queue.take_up(&contract)).collect()
    }

    fn rows(hands: &[RowState]) -> Vec<u64> {
        hands.iter().map(|hand| hand.row.row).collect()
    }

    #[test]
    fn rows_due_together_keep_their_order() {
        let mut queue = queue((1..=3).map(|row| pending(row, row, 2)));
        // Those that were not taken up yet wait for nothing, and neither does the journal's next page.
        assert_eq!(queue.next_due(BootTime(1)), Some(BootTime(1)));
        let hands = take_all(&mut queue);
        assert_eq!(queue.next_due(BootTime(1)), Some(BootTime(1)));
        queue.add(Vec::new());
        assert_eq!(queue.next_due(BootTime(1)), None);
        assert!(queue.has_only_held());
        for hand in hands.into_iter().rev() {
            queue.due.wait(BootTime(5), hand);
        }
        assert!(!queue.has_only_held());
        assert_eq!(queue.next_due(BootTime(1)), Some(BootTime(5)));
        assert!(queue.due.pop(BootTime(4)).is_none());
        let due: Vec<RowState> = std::iter::from_fn(|| queue.due.pop(BootTime(5))).collect();
        assert_eq!(rows(&due), [3, 2, 1]);
        for hand in due {
            queue.hold(hand);
        }
        assert!(queue.has_only_held() && !queue.is_empty());
        queue.forgive(1);
        assert_eq!((queue.due.ready(), queue.next_due(BootTime(1))), (3, Some(BootTime(1))));
        assert_eq!(rows(&std::iter::from_fn(|| queue.due.pop(BootTime(0))).collect::<Vec<_>>()), [3, 2, 1]);
        assert!(queue.is_empty());
    }

    #[test]
    fn rows_of_one_incident_are_taken_in_sequence() {
        let mut queue = queue([pending(1, 7, 2), pending(2, 7, 2), pending(3, 8, 2), pending(4, 7, 2)]);
        let hands = take_all(&mut queue);
        assert_eq!(rows(&hands), [1, 3]);
        queue.add(Vec::new());
        assert!(!queue.is_empty());
        let mut over = hands.into_iter().next().expect("the first");
        for next in [2, 4] {
            queue.let_go(&over);
            over = queue.due.pop(BootTime(0)).expect("the next one");
            assert_eq!(over.row.row, next);
        }
        queue.let_go(&over);
        assert!(queue.due.pop(BootTime(0)).is_none());
        assert!(queue.is_empty());
        // Its incident is free again.
        queue.add(vec![pending(5, 7, 2)]);
        assert_eq!(rows(&take_all(&mut queue)), [5]);
        assert_eq!(queue.last_read(), 5);
    }

    #[test]
    fn queued_rows_stay_within_the_memory_limit() {
        let mut many = queue((1..=3_000).map(|row| pending(row, row, 2)));
        let hands = take_all(&mut many);
        assert_eq!(hands.len(), 2_000);
        many.let_go(&hands[0]);
        assert_eq!(rows(&take_all(&mut many)), [2_001]);

        // Rows behind others of their incident count, too.
        let mut alike = queue((1..=3_000).map(|row| pending(row, 7, 2)));
        take_all(&mut alike);
        assert_eq!(alike.deferred_rows, 1_999);

        // And so do their bytes: 16 MiB, and the row that passes it.
        let mut long = queue((1..=30).map(|row| pending(row, row, 1 << 20)));
        let hands = take_all(&mut long);
        assert_eq!(hands.len(), 16);
        assert!(!long.wants_rows());
        for hand in &hands[..3] {
            long.let_go(hand);
        }
        assert_eq!(rows(&take_all(&mut long)), [17, 18, 19]);
    }
}
