//! What waits for a permit, and what waits for its time.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::BootTime;

/// Items in the order in which their requests are sent.
#[derive(Debug)]
pub(super) struct DueQueue<T> {
    /// They wait for nothing but a permit.
    ready: VecDeque<T>,
    /// They wait for their time. The number keeps equal times apart, in the order in which they came.
    waiting: BTreeMap<(BootTime, u64), T>,
    serial: u64,
}

impl<T> Default for DueQueue<T> {
    fn default() -> DueQueue<T> {
        DueQueue { ready: VecDeque::new(), waiting: BTreeMap::new(), serial: 0 }
    }
}

impl<T> DueQueue<T> {
    /// This one is next.
    pub(super) fn first(&mut self, item: T) {
        self.ready.push_front(item);
    }

    /// This one comes after those that are ready.
    pub(super) fn last(&mut self, item: T) {
        self.ready.push_back(item);
    }

    /// This one comes at its time.
    pub(super) fn wait(&mut self, due: BootTime, item: T) {
        self.serial += 1;
        self.waiting.insert((due, self.serial), item);
    }

    /// Takes the next one whose time has come.
    pub(super) fn pop(&mut self, now: BootTime) -> Option<T> {
        self.ready.pop_front().or_else(|| {
            let next = self.waiting.first_entry().filter(|next| next.key().0 <= now)?;
            Some(next.remove())
        })
    }

    /// When the next one's time comes: `now` if it waits for nothing but a permit.
    pub(super) fn next_due(&self, now: BootTime) -> Option<BootTime> {
        if self.ready.is_empty() { self.waiting.first_key_value().map(|((due, _), _)| *due) } else { Some(now) }
    }

    /// How many wait for nothing but a permit.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.waiting.values_mut().chain(&mut self.ready)
    }
}
