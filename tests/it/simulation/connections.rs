//! Connections that are kept for the next request, and that the server closes when it likes.
//!
//! Promises: a request is lost on a reused connection only if an earlier one of the same process was answered on it;
//! after the first such loss no connection is kept, as in the real transport.

use std::sync::{Mutex, MutexGuard};

/// The connections of one process.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    idle: u32,
    /// One was closed under a request: each request gets a new one from now on.
    keeps_none: bool,
}

impl Connections {
    /// A request leaves: returns whether it leaves on a connection that was used before.
    pub(super) fn take(&self) -> bool {
        let mut kept = self.kept();
        let is_reused = kept.idle > 0 && !kept.keeps_none;
        kept.idle -= u32::from(is_reused);
        is_reused
    }

    /// A request was answered: its connection is kept.
    pub(super) fn give_back(&self) {
        self.kept().idle += 1;
    }

    /// A reused connection was closed under a request.
    pub(super) fn is_lost(&self) {
        self.kept().keeps_none = true;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("a panic ends the seed")
    }
}
