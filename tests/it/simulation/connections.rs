//! Connections that are kept for the next request, and that the server may close at any time.
//!
//! Promises: a request is lost on a reused connection only if an earlier one of the same process got a response on it.
//! After the first such loss no connection is kept, as in the real transport.

use std::sync::{Mutex, MutexGuard};

/// The connections of one process.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    idle: u32,
    /// A connection was closed under a request, so each request gets a new one from now on.
    keeps_none: bool,
}

impl Connections {
    /// A request leaves. Returns whether its connection was used before.
    pub(super) fn take(&self) -> bool {
        let mut kept = self.kept();
        let is_reused = kept.idle > 0 && !kept.keeps_none;
        kept.idle -= u32::from(is_reused);
        is_reused
    }

    /// A request got its response, and its connection is kept.
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
