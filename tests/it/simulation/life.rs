//! The life of a process: it can end at any moment, and does nothing afterwards.
//!
//! Promises: bytes that have left the process go their way without it.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;

/// A process. It ends at its last point, or when it is killed.
#[derive(Debug)]
pub(super) struct Life {
    /// The points that are left; at a point something may be lost.
    points: AtomicU32,
    dead: watch::Sender<bool>,
}

/// The panic that unwinds a process that dies in the middle of its work.
#[derive(Debug)]
pub(super) struct Death;

impl Life {
    /// A process that dies at its point number `points`, from 1; 0: at none.
    pub(super) fn new(points: u32) -> Life {
        Life { points: AtomicU32::new(points), dead: watch::Sender::new(false) }
    }

    /// Passes a point. Returns whether the process is dead now.
    pub(super) fn point(&self) -> bool {
        let left = self.points.load(Ordering::Relaxed);
        if left > 0 {
            self.points.store(left - 1, Ordering::Relaxed);
        }
        if left == 1 {
            self.end();
        }
        self.is_dead()
    }

    pub(super) fn end(&self) {
        self.dead.send_replace(true);
    }

    pub(super) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Waits for its end.
    pub(super) async fn death(&self) {
        let mut dead = self.dead.subscribe();
        // The sender lives as long as `self`.
        let _ = dead.wait_for(|dead| *dead).await;
    }
}
