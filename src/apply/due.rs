//! The queue: what waits for a permit, for its time, or to learn whether the service was at fault.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::BootTime;

/// Items in the order in which their requests are sent.
#[derive(Debug)]
pub(super) struct DueQueue<T> {
    /// They wait only for a permit.
    ready: VecDeque<T>,
    /// They wait for their time. The number orders equal times by arrival.
    waiting: BTreeMap<(BootTime, u64), T>,
    serial: u64,
    /// They have no attempts left, and it is not clear yet whether that was the service's fault.
    held: Vec<T>,
}

impl<T> Default for DueQueue<T> {
    fn default() -> DueQueue<T> {
        DueQueue { ready: VecDeque::new(), waiting: BTreeMap::new(), serial: 0, held: Vec::new() }
    }
}

impl<T> DueQueue<T> {
    /// Puts an item first.
    pub(super) fn first(&mut self, item: T) {
        self.ready.push_front(item);
    }

    /// Puts an item behind those that are ready.
    pub(super) fn last(&mut self, item: T) {
        self.ready.push_back(item);
    }

    /// Puts an item off until a time.
    pub(super) fn wait(&mut self, due: BootTime, item: T) {
        self.serial += 1;
        self.waiting.insert((due, self.serial), item);
    }

    /// Takes the next item whose time has come.
    pub(super) fn pop(&mut self, now: BootTime) -> Option<T> {
        self.ready.pop_front().or_else(|| {
            let next = self.waiting.first_entry().filter(|next| next.key().0 <= now)?;
            Some(next.remove())
        })
    }

    /// When the next item is due: `now` if it waits only for a permit. Exhausted items are never due.
    pub(super) fn next_due(&self, now: BootTime) -> Option<BootTime> {
        if self.ready.is_empty() { self.waiting.first_key_value().map(|((due, _), _)| *due) } else { Some(now) }
    }

    /// How many items wait only for a permit.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Adds an item that has no attempts left.
    pub(super) fn hold(&mut self, item: T) {
        self.held.push(item);
    }

    /// Takes the items that have no attempts left.
    pub(super) fn take_held(&mut self) -> Vec<T> {
        std::mem::take(&mut self.held)
    }

    /// Makes the items that had no attempts left ready again.
    pub(super) fn release_held(&mut self) {
        self.ready.extend(self.held.drain(..));
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.waiting.len() + self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All items that have attempts left.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.waiting.values_mut().chain(&mut self.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_due_together_keep_their_order() {
        let mut queue = DueQueue::default();
        assert_eq!(queue.next_due(BootTime(1)), None);
        for item in [3, 2, 1] {
            queue.wait(BootTime(5), item);
        }
        assert_eq!(queue.next_due(BootTime(1)), Some(BootTime(5)));
        assert!(queue.pop(BootTime(4)).is_none());
        let due: Vec<u32> = std::iter::from_fn(|| queue.pop(BootTime(5))).collect();
        assert_eq!(due, [3, 2, 1]);
        for item in due {
            queue.hold(item);
        }
        assert!(queue.next_due(BootTime(9)).is_none() && !queue.is_empty());
        queue.release_held();
        assert_eq!((queue.ready(), queue.next_due(BootTime(1))), (3, Some(BootTime(1))));
        queue.last(4);
        queue.first(5);
        assert_eq!(std::iter::from_fn(|| queue.pop(BootTime(0))).collect::<Vec<_>>(), [5, 3, 2, 1, 4]);
        assert!(queue.is_empty());
    }
}
