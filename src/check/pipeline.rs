//! The pipeline: two threads check the chunks of an input; their results are collected in the input's order.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::scope;

use bumpalo::Bump;

use super::checker::{CheckedChunk, Checker};
use super::duplicates::{self, RowFingerprint};
use super::stats::CheckStats;
use super::{CheckedRow, Rules};
use crate::input::{Chunk, Input, InputError};
use crate::model::diagnostic::{Diagnostic, Repetition, Severity};

/// How many checked chunks of each thread may wait for their turn.
const AHEAD: usize = 2;

/// Gets the rows of the run in batches, in the input's order.
type TakeRows<'a> = &'a mut dyn FnMut(Vec<CheckedRow>) -> io::Result<()>;

/// Checks all rows of `input`.
///
/// `rows` gets the rows of the run, valid or not. Without it, only a fingerprint of each row is kept, to find duplicates.
/// `diagnostics` gets the diagnostics in the order of the rows, and then those about several rows.
///
/// # Errors
/// If the input can't be read completely, is invalid as a whole, or `rows` fails. Problems of rows are not errors: they are
/// passed to `diagnostics` and counted.
pub fn check(
    input: Input,
    rules: &Rules<'_>,
    rows: Option<TakeRows<'_>>,
    diagnostics: &mut dyn FnMut(Diagnostic),
) -> Result<CheckStats, InputError> {
    let arena = Bump::new();
    let checker = Checker::new(&input, rules, rows.is_some(), &arena)?;
    let mut collector = Collector {
        stats: CheckStats::default(),
        overridden: vec![0; checker.contract.properties.len()],
        fingerprints: Vec::new(),
        limit: rules.limit.unwrap_or(u64::MAX),
        checker: &checker,
        rows,
        diagnostics,
        counted: Vec::new(),
        had_first_help: false,
    };
    for warning in &checker.warnings {
        collector.report(warning.clone());
    }
    let source = Source { shared: Mutex::new(Unread { input, next: 0, is_finished: false, spare: Vec::new() }) };
    let read = scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let (source, checker) = (&source, &checker);
        scope.spawn(move || check_chunks(source, checker, &sender));
        // Checked chunks that wait for their turn, by number.
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        loop {
            let next = source.next();
            let is_finished = next.is_none();
            match next {
                Some((number, chunk)) => {
                    waiting.insert(number, chunk.map(|chunk| checker.check(chunk, u64::MAX)));
                    waiting.extend(receiver.try_iter());
                }
                None => waiting.extend(receiver.iter()),
            }
            while waiting.len() > AHEAD && !waiting.contains_key(&turn) {
                // If the thread ended without sending its chunk, it has panicked; the scope propagates that.
                let Ok((number, chunk)) = receiver.recv() else { return Ok(()) };
                waiting.insert(number, chunk);
            }
            while let Some(chunk) = waiting.remove(&turn) {
                source.put_back(collector.take(chunk?)?);
                turn += 1;
            }
            if is_finished {
                return Ok(());
            }
        }
    });
    // If the file has changed, this is the cause of any other error.
    source.verify_unchanged()?;
    read?;
    Ok(collector.finish())
}

/// The number of a chunk, counted from 0, and its result.
type Numbered<T> = (u64, Result<T, InputError>);

/// Checks chunks until there are no more, or the receiver is gone.
fn check_chunks(source: &Source, checker: &Checker<'_>, sender: &SyncSender<Numbered<CheckedChunk>>) {
    while let Some((number, chunk)) = source.next() {
        if sender.send((number, chunk.map(|chunk| checker.check(chunk, u64::MAX)))).is_err() {
            break;
        }
    }
}

/// The input, shared by both threads.
struct Source {
    shared: Mutex<Unread>,
}

struct Unread {
    input: Input,
    next: u64,
    is_finished: bool,
    /// Chunks to reuse.
    spare: Vec<Chunk>,
}

impl Source {
    /// The next chunk; or once, at the end, the error.
    fn next(&self) -> Option<Numbered<Chunk>> {
        // After a panic of the other thread, nothing more is read: the scope propagates it.
        let mut unread = self.shared.lock().ok().filter(|unread| !unread.is_finished)?;
        let used = unread.spare.pop().unwrap_or_default();
        let chunk = unread.input.next_chunk(used).transpose();
        unread.is_finished = !matches!(chunk, Some(Ok(_)));
        let number = unread.next;
        unread.next += 1;
        chunk.map(|chunk| (number, chunk))
    }

    fn verify_unchanged(&self) -> Result<(), InputError> {
        self.shared.lock().map_or(Ok(()), |unread| unread.input.verify_unchanged())
    }

    fn put_back(&self, chunk: Chunk) {
        if let Ok(mut unread) = self.shared.lock() {
            unread.spare.push(chunk);
        }
    }
}

/// Collects the results of chunks, in order.
struct Collector<'c, 'a, 'r, 'd> {
    stats: CheckStats,
    overridden: Vec<u64>,
    fingerprints: Vec<RowFingerprint>,
    limit: u64,
    checker: &'c Checker<'a>,
    rows: Option<TakeRows<'r>>,
    diagnostics: &'d mut dyn FnMut(Diagnostic),
    /// Diagnostics that are reported once, and their number of rows.
    counted: Vec<(Diagnostic, u64)>,
    /// Whether the first diagnostic with a [`Repetition::FirstHelp`] was reported.
    had_first_help: bool,
}

impl Collector<'_, '_, '_, '_> {
    /// Takes the result of a chunk. Returns the chunk, to be reused.
    fn take(&mut self, mut checked: CheckedChunk) -> Result<Chunk, InputError> {
        let left = self.limit - self.stats.selected;
        if left == 0 {
            checked.select_none();
        } else if checked.taken >= left {
            // `--limit` is reached in this chunk: check it again, up to the limit.
            checked = self.checker.check(checked.chunk, left);
        }
        let stats = &mut self.stats;
        // The rows of a chunk are numbered from 1.
        let before = stats.rows;
        if checked.last_selected > 0 && left > 0 {
            stats.last_selected = before + checked.last_selected;
        }
        stats.rows += checked.read;
        stats.valid += checked.valid;
        stats.skipped += checked.skipped;
        stats.selected += checked.taken.min(left);
        stats.sendable += checked.sendable;
        stats.nothing_asked += checked.nothing_asked;
        stats.comments.resolving += checked.comments.resolving;
        stats.comments.others += checked.comments.others;
        self.overridden.iter_mut().zip(&checked.overridden).for_each(|(total, cells)| *total += cells);
        let row_before = u32::try_from(before).unwrap_or(u32::MAX);
        self.make_room(checked.fingerprints.len());
        let numbered = |row: &RowFingerprint| RowFingerprint { row: row_before + row.row, ..*row };
        self.fingerprints.extend(checked.fingerprints.iter().map(numbered));
        for diagnostic in checked.diagnostics {
            let row = diagnostic.row.map(|row| before + row);
            self.report(Diagnostic { row, ..diagnostic });
        }
        checked.rows.iter_mut().for_each(|row| row.row += before);
        if let Some(rows) = self.rows.as_mut().filter(|_| !checked.rows.is_empty()) {
            rows(checked.rows).map_err(InputError::NotKept)?;
        }
        checked.broken.map_or(Ok(checked.chunk), Err)
    }

    /// Reserves memory for more rows. Grows by a quarter, because doubling could exceed the available memory.
    fn make_room(&mut self, more: usize) {
        if self.fingerprints.capacity() - self.fingerprints.len() < more {
            self.fingerprints.reserve_exact(more + self.fingerprints.len() / 4);
        }
    }

    fn finish(mut self) -> CheckStats {
        for (diagnostic, rows) in std::mem::take(&mut self.counted) {
            let message = diagnostic.message;
            let message = if rows > 1 { format!("{message} (in {rows} rows)") } else { message };
            self.report(Diagnostic { message, repetition: Repetition::Each, ..diagnostic });
        }
        let repeats = duplicates::find(std::mem::take(&mut self.fingerprints));
        for diagnostic in repeats.diagnostics(&self.checker.file) {
            self.stats.valid -= u64::from(diagnostic.severity == Severity::Error);
            self.report(diagnostic);
        }
        self.stats.repeats = repeats;
        let names = self.checker.contract.properties.iter().map(|property| property.name.to_owned());
        self.stats.overridden = names.zip(self.overridden).filter(|(_, cells)| *cells > 0).collect();
        self.stats
    }

    fn report(&mut self, mut diagnostic: Diagnostic) {
        match std::mem::take(&mut diagnostic.repetition) {
            Repetition::Each => {}
            Repetition::FirstHelp(help) => {
                if !std::mem::replace(&mut self.had_first_help, true) {
                    diagnostic.help = Some(help);
                }
            }
            Repetition::Counted => {
                let is_same = |other: &Diagnostic| (other.code, &other.help) == (diagnostic.code, &diagnostic.help);
                match self.counted.iter_mut().find(|(other, _)| is_same(other)) {
                    Some((_, rows)) => *rows += 1,
                    None => self.counted.push((diagnostic, 1)),
                }
                return;
            }
        }
        let counts = match diagnostic.severity {
            Severity::Error => &mut self.stats.errors,
            Severity::Warning => &mut self.stats.warnings,
        };
        *counts.entry(diagnostic.code).or_default() += 1;
        (self.diagnostics)(diagnostic);
    }
}
