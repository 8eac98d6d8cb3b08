//! The pipeline: chunks are cut and found things taken here, in the input's order; two threads check in between.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, scope};

use super::across::{self, Seen};
use super::chunk::{CheckedChunk, Checker};
use super::tally::{Count, Tally, counts, named};
use super::{CheckedRow, Rules};
use crate::diagnostic::{Diagnostic, Severity};
use crate::input::{Chunk, Input, InputError};

/// Threads that check. The third, which reads and takes, waits most of the time.
const WORKERS: usize = 2;

/// Chunks under way at once: each thread has one to go on with.
const UNDER_WAY: usize = 2 * WORKERS;

/// Takes the rows of the run in batches, in the input's order.
type TakeRows<'a> = &'a mut dyn FnMut(Vec<CheckedRow>) -> io::Result<()>;

/// Checks all rows of `input`.
///
/// `rows` takes the rows of the run, valid or not, as they come; without it nothing is kept of a row but what finding
/// duplicates needs. `diagnostics` takes what is wrong: in the rows' order, then across rows.
///
/// # Errors
/// Where the input can't be read to its end, is not valid as a whole, or `rows` fails. What is wrong with the rows is no
/// error here: it is told to `diagnostics` and counted.
pub fn check(
    mut input: Input,
    rules: &Rules<'_>,
    rows: Option<TakeRows<'_>>,
    diagnostics: &mut dyn FnMut(Diagnostic),
) -> Result<Tally, InputError> {
    let checker = Checker::new(&input, rules, rows.is_some())?;
    let mut taker = Taker {
        tally: Tally::default(),
        counts: counts(&checker.contract),
        seen: Vec::new(),
        limit: rules.limit.unwrap_or(u64::MAX),
        checker: &checker,
        rows,
        diagnostics,
    };
    for warning in &checker.set_warnings {
        taker.tell(warning.clone());
    }
    scope(|scope| {
        let workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::start(scope, &checker)).collect();
        let mut spare: Vec<Chunk> = Vec::new();
        let (mut sent, mut received) = (0, 0);
        let mut end = None;
        loop {
            while end.is_none() && sent - received < UNDER_WAY {
                match input.next_chunk(spare.pop().unwrap_or_default()) {
                    Ok(Some(chunk)) => {
                        // A worker is gone only if it panicked; the scope passes that on.
                        let _ = workers[sent % WORKERS].chunks.send(chunk);
                        sent += 1;
                    }
                    Ok(None) => end = Some(Ok(())),
                    Err(error) => end = Some(Err(error)),
                }
            }
            if sent == received {
                return end.unwrap_or(Ok(()));
            }
            // In turn: what was sent first is taken first, so the order is the input's.
            let Ok(found) = workers[received % WORKERS].done.recv() else { return Ok(()) };
            received += 1;
            spare.push(taker.take(found)?);
        }
    })?;
    Ok(taker.finish())
}

/// A thread that checks chunks, one after the other.
struct Worker {
    chunks: SyncSender<Chunk>,
    done: Receiver<CheckedChunk>,
}

impl Worker {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, checker: &'scope Checker<'_>) -> Worker {
        let (chunks, to_check) = sync_channel::<Chunk>(UNDER_WAY);
        let (give_back, done) = sync_channel(UNDER_WAY);
        scope.spawn(move || {
            // Ends when the pipeline drops its ends of the channels.
            while let Ok(chunk) = to_check.recv() {
                if give_back.send(checker.check(chunk, u64::MAX)).is_err() {
                    break;
                }
            }
        });
        Worker { chunks, done }
    }
}

/// Takes what was found, in order.
struct Taker<'c, 'a, 'r, 'd> {
    tally: Tally,
    counts: Vec<Count>,
    seen: Vec<Seen>,
    limit: u64,
    checker: &'c Checker<'a>,
    rows: Option<TakeRows<'r>>,
    diagnostics: &'d mut dyn FnMut(Diagnostic),
}

impl Taker<'_, '_, '_, '_> {
    /// Takes a chunk's findings; gives the chunk back.
    fn take(&mut self, mut checked: CheckedChunk) -> Result<Chunk, InputError> {
        let left = self.limit - self.tally.selected;
        if left == 0 {
            checked.select_none();
        } else if checked.taken > left {
            // The run ends in this chunk: once more, up to there.
            checked = self.checker.check(checked.chunk, left);
        }
        self.tally.rows += checked.chunk.records.len() as u64;
        self.tally.valid += checked.valid;
        self.tally.skipped += checked.skipped;
        self.tally.selected += checked.taken.min(left);
        self.tally.sendable += checked.sendable;
        self.counts.iter_mut().zip(&checked.counts).for_each(|(ours, theirs)| ours.merge(theirs));
        self.seen.append(&mut checked.seen);
        checked.diagnostics.into_iter().for_each(|diagnostic| self.tell(diagnostic));
        if let Some(rows) = self.rows.as_mut().filter(|_| !checked.rows.is_empty()) {
            rows(checked.rows).map_err(InputError::NotKept)?;
        }
        Ok(checked.chunk)
    }

    fn finish(mut self) -> Tally {
        let across = across::look(std::mem::take(&mut self.seen), &self.checker.file);
        for diagnostic in across.diagnostics {
            self.tally.valid -= u64::from(diagnostic.severity == Severity::Error);
            self.tell(diagnostic);
        }
        self.tally.contradicting = across.contradicting;
        self.tally.sets = named(&self.checker.contract, self.counts);
        self.tally
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        let counts = match diagnostic.severity {
            Severity::Error => &mut self.tally.errors,
            Severity::Warning => &mut self.tally.warnings,
        };
        *counts.entry(diagnostic.code).or_default() += 1;
        (self.diagnostics)(diagnostic);
    }
}
