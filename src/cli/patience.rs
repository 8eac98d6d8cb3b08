//! Patience: what the user is told, and can do, while another process keeps the journal, or a token does not come.
//!
//! A signal ends the process by default until somebody listens for signals; during a long wait it is heard here, so that
//! the command ends in order. Once the wait is over it ends the process again, unless the run listens by then.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::terminal::{is_ignored, say};
use crate::cli::error::Error;
use crate::clock::{BootTime, Clock};
use crate::journal::{Durability, Journal, JournalError, Patience, StoreLocation, holder};

/// How long a brief wait goes on after the first seconds.
const BRIEF: Duration = Duration::from_secs(3);
/// How often a wait looks whether a signal has come.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A signal has come since the first long wait.
static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// A signal that is heard here does what it does by default.
static BY_DEFAULT: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Somebody else listens.
static IS_LISTENED: AtomicBool = AtomicBool::new(false);

/// From now on a signal is heard by somebody else.
pub(super) fn others_listen() {
    IS_LISTENED.store(true, Ordering::SeqCst);
    BY_DEFAULT.store(false, Ordering::SeqCst);
}

/// Opens the journal in a directory. A long wait for another process is told, and can be ended by a signal.
///
/// # Errors
/// If it can't be used.
pub(super) fn open_journal(dir: &Path, clock: &Clock) -> Result<Journal, Error> {
    Ok(open(dir, clock, Arc::new(Told))?)
}

/// Opens the journal in a directory. A long wait for another process ends silently after some seconds.
///
/// # Errors
/// If it can't be used; [`JournalError::Interrupted`] after the wait.
pub(super) fn open_journal_briefly(dir: &Path, clock: &Clock) -> Result<Journal, JournalError> {
    open(dir, clock, Arc::new(Briefly { clock: clock.clone(), until: OnceLock::new() }))
}

fn open(dir: &Path, clock: &Clock, patience: Arc<dyn Patience>) -> Result<Journal, JournalError> {
    let location = StoreLocation::Directory(dir.to_owned());
    Journal::open_with_patience(&location, clock.clone(), Durability::Synced, patience)
}

/// Tells of the wait on standard error.
#[derive(Debug)]
struct Told;

impl Patience for Told {
    fn begins(&self, by: Option<u32>) {
        begin();
        say(&format!("waiting for the journal, which is locked by {}", holder(by)));
    }

    fn is_asked_to_stop(&self) -> bool {
        ASKED.load(Ordering::SeqCst)
    }

    fn ends(&self) {
        end();
    }
}

/// Gives up after [`BRIEF`].
#[derive(Debug)]
struct Briefly {
    clock: Clock,
    until: OnceLock<BootTime>,
}

impl Patience for Briefly {
    fn begins(&self, _: Option<u32>) {
        let _ = self.until.set(self.clock.now().boot + BRIEF);
    }

    fn is_asked_to_stop(&self) -> bool {
        self.until.get().is_some_and(|until| *until <= self.clock.now().boot)
    }

    fn ends(&self) {}
}

/// A signal is heard here until [`end`].
fn begin() {
    static ONCE: LazyLock<()> = LazyLock::new(|| {
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)) {
            // If we can't listen for it, it ends the process immediately.
            let _ = flag::register_conditional_default(signal, Arc::clone(&BY_DEFAULT));
            let _ = flag::register(signal, Arc::clone(&ASKED));
        }
    });
    BY_DEFAULT.store(false, Ordering::SeqCst);
    LazyLock::force(&ONCE);
}

fn end() {
    BY_DEFAULT.store(!IS_LISTENED.load(Ordering::SeqCst), Ordering::SeqCst);
}

/// Waits for `done`, or for a signal: then `None`, and `done` is dropped, which ends what it started.
pub(super) async fn until_asked_to_stop<T>(clock: &Clock, done: impl Future<Output = T>) -> Option<T> {
    begin();
    let asked = async {
        while !ASKED.load(Ordering::SeqCst) {
            clock.sleep_until(clock.now().boot + LOOK_AGAIN).await;
        }
    };
    let done = tokio::select! {
        biased;
        done = done => Some(done),
        () = asked => None,
    };
    end();
    done
}
