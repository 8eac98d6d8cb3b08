//! Reads with their progress and the signals that stop them.

use std::io;

use tokio::runtime::Runtime;

use super::arguments::CallArgs;
use super::signals::until_ended;
use super::target::Target;
use super::terminal::{Terminal, say};
use crate::apply::events::{Event, Listener};
use crate::apply::{EngineEnd, ReadSource, read};
use crate::cli::error::Error;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::report::preview::read_announcement;
use crate::report::progress::Progress;
use crate::session::{PreflightListener, Reading};

/// Reads a list; the journal's session has started. `known`: incidents that were read before.
///
/// # Errors
/// If there is no token, the journal fails, or the user stops it immediately.
pub(super) fn read_list(
    (target, calls): (&Target, &CallArgs),
    runtime: &Runtime,
    journal: Journal,
    source: &mut impl ReadSource,
    known: u64,
    terminal: &Terminal,
) -> Result<EngineEnd, Error> {
    let clock = journal.clock().clone();
    let calls = calls.options();
    let client = target.client(calls.concurrency, &clock)?;
    let mut listener = ProgressListener::new(target, &clock, terminal);
    listener.announce();
    listener.progress.on_event(&Event::ReadingStarted(None));
    listener.progress.on_event(&Event::IncidentsRead(known));
    let settings = calls.to_read(&target.for_session(target.scope_or_origin()), fastrand::u64(..));
    let shows = listener.shows_progress();
    let reading = until_ended(clock, shows, |stop| read(journal, client, &settings, stop, source, &mut listener));
    Ok(runtime.block_on(reading)??)
}

/// Shows the progress of reads.
pub(super) struct ProgressListener<'a> {
    progress: Progress,
    target: &'a Target,
    terminal: &'a Terminal,
}

impl<'a> ProgressListener<'a> {
    pub(super) fn new(target: &'a Target, clock: &Clock, terminal: &'a Terminal) -> ProgressListener<'a> {
        let progress = Progress::new(terminal.screen(), clock.clone(), terminal.err.color);
        ProgressListener { progress, target, terminal }
    }

    /// Shows the progress when a signal asks for it.
    pub(super) fn shows_progress(&self) -> impl Fn() + Send + 'static {
        self.progress.shows_on(self.terminal.asked_for())
    }

    fn announce(&self) {
        self.target.announce(self.terminal);
    }
}

impl Listener for ProgressListener<'_> {
    fn on_event(&mut self, event: Event) -> io::Result<()> {
        self.terminal.stats.on_event(&event);
        // With no request in flight the end follows at once, and the command says why.
        if !matches!(&event, Event::Stopping { reason, in_flight: 0 } if !reason.is_asked()) {
            self.progress.on_event(&event);
        }
        Ok(())
    }
}

impl PreflightListener for ProgressListener<'_> {
    fn on_reading(&mut self, reading: &Reading) {
        if !self.terminal.quiet {
            say(&read_announcement(reading.reason, reading.incidents, reading.requests));
        }
        self.announce();
    }
}
