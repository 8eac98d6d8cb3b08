//! Looking: the calls of a command that only reads, with their progress and the signals that stop them.

use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::arguments::CallArgs;
use super::send::{ended_at_once, settings};
use super::target::Target;
use super::terminal::{Terminal, listen};
use crate::apply::events::{Event, Listener};
use crate::apply::{ReadEnds, ReadSource, read};
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::report::progress::Progress;

/// Where it is looked, and how.
pub(super) struct ReadCalls<'a> {
    /// Where.
    pub(super) target: &'a Target,
    /// How calls are made.
    pub(super) calls: &'a CallArgs,
    /// What time it is.
    pub(super) clock: &'a Clock,
}

impl ReadCalls<'_> {
    /// Makes the reader's calls; the journal's session has begun. `of`: of so many incidents, where that is known, and
    /// so many are known already.
    ///
    /// # Errors
    /// Where there is no token, the journal fails, or it is ended at once.
    pub(super) fn read(
        &self,
        runtime: &Runtime,
        journal: Journal,
        reader: &mut impl ReadSource,
        of: (Option<u64>, u64),
        terminal: &Terminal,
    ) -> Result<ReadEnds, Error> {
        let ReadCalls { target, calls, clock } = *self;
        let client = target.client(calls.concurrency, clock, terminal)?;
        let progress = Progress::new(terminal.screen(), clock.clone(), terminal.err.colour);
        let show_progress = progress.shows_on(terminal.asked_for());
        let mut onlooker = ProgressListener(progress);
        onlooker.0.on_event(&Event::ReadingStarted(of.0));
        onlooker.0.on_event(&Event::IncidentsRead(of.1));
        runtime.block_on(async {
            let signals = listen(clock.clone(), show_progress)?;
            let settings = settings(target, calls, Duration::ZERO);
            let reading = read(journal, client, settings, clock.clone(), signals.stop, reader, &mut onlooker);
            tokio::select! {
                read = reading => read.map_err(Error::from),
                code = signals.end_at_once => Err(ended_at_once(code.unwrap_or(exit::INTERRUPTED))),
            }
        })
    }
}

/// Shows the progress of a look.
struct ProgressListener(Progress);

impl Listener for ProgressListener {
    fn on_event(&mut self, event: Event) -> io::Result<()> {
        // With no request in flight the end follows at once, and the command says why.
        if !matches!(&event, Event::Stopping { reason, in_flight: 0 } if !reason.is_asked()) {
            self.0.on_event(&event);
        }
        Ok(())
    }
}
