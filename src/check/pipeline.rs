//! The pipeline: two threads take the next chunk in turn and check it; what they found is taken in the input's order.

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

/// Chunks that may be checked before their turn to be taken, by each of the two threads.
const AHEAD: usize = 2;

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
    input: Input,
    rules: &Rules<'_>,
    rows: Option<TakeRows<'_>>,
    diagnostics: &mut dyn FnMut(Diagnostic),
) -> Result<CheckStats, InputError> {
    let arena = Bump::new();
    let checker = Checker::new(&input, rules, rows.is_some(), &arena)?;
    let mut taker = Taker {
        tally: CheckStats::default(),
        overridden: vec![0; checker.contract.properties.len()],
        seen: Vec::new(),
        limit: rules.limit.unwrap_or(u64::MAX),
        checker: &checker,
        rows,
        diagnostics,
        counted: Vec::new(),
        had_first_help: false,
    };
    for warning in &checker.warnings {
        taker.tell(warning.clone());
    }
    let source = Source { shared: Mutex::new(Unread { input, next: 0, is_over: false, spare: Vec::new() }) };
    let read = scope(|scope| {
        let (give, found) = sync_channel(AHEAD);
        let (source, checker) = (&source, &checker);
        scope.spawn(move || check_for(source, checker, &give));
        // What was found before its turn, by the chunk's number.
        let mut early = BTreeMap::new();
        let mut turn = 0;
        loop {
            let next = source.next();
            let is_over = next.is_none();
            match next {
                Some((number, chunk)) => {
                    early.insert(number, chunk.map(|chunk| checker.check(chunk, u64::MAX)));
                    early.extend(found.try_iter());
                }
                None => early.extend(found.iter()),
            }
            while early.len() > AHEAD && !early.contains_key(&turn) {
                // A thread that is gone without giving what it took has panicked; the scope passes that on.
                let Ok((number, chunk)) = found.recv() else { return Ok(()) };
                early.insert(number, chunk);
            }
            while let Some(chunk) = early.remove(&turn) {
                source.put_back(taker.take(chunk?)?);
                turn += 1;
            }
            if is_over {
                return Ok(());
            }
        }
    });
    // What a change of the file has broken is not the file's fault.
    source.verify_unchanged()?;
    read?;
    Ok(taker.finish())
}

/// A chunk's number, from 0, and what was found in it.
type Numbered<T> = (u64, Result<T, InputError>);

/// Checks chunks until there are no more, or nobody takes what was found.
fn check_for(source: &Source, checker: &Checker<'_>, give: &SyncSender<Numbered<CheckedChunk>>) {
    while let Some((number, chunk)) = source.next() {
        if give.send((number, chunk.map(|chunk| checker.check(chunk, u64::MAX)))).is_err() {
            break;
        }
    }
}

/// The input, from which either thread takes the next chunk.
struct Source {
    shared: Mutex<Unread>,
}

struct Unread {
    input: Input,
    next: u64,
    is_over: bool,
    /// Chunks to be used again.
    spare: Vec<Chunk>,
}

impl Source {
    /// The next chunk, or, last of all, why there is none.
    fn next(&self) -> Option<Numbered<Chunk>> {
        // After a panic of the other thread nothing more is read: the scope passes it on.
        let mut unread = self.shared.lock().ok().filter(|unread| !unread.is_over)?;
        let used = unread.spare.pop().unwrap_or_default();
        let chunk = unread.input.next_chunk(used).transpose();
        unread.is_over = !matches!(chunk, Some(Ok(_)));
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

/// Takes what was found, in order.
struct Taker<'c, 'a, 'r, 'd> {
    tally: CheckStats,
    overridden: Vec<u64>,
    seen: Vec<RowFingerprint>,
    limit: u64,
    checker: &'c Checker<'a>,
    rows: Option<TakeRows<'r>>,
    diagnostics: &'d mut dyn FnMut(Diagnostic),
    /// The first of each kind that is told once, and how many rows have it.
    counted: Vec<(Diagnostic, u64)>,
    /// Whether help that is given once was given.
    had_first_help: bool,
}

impl Taker<'_, '_, '_, '_> {
    /// Takes a chunk's findings; gives the chunk back.
    fn take(&mut self, mut checked: CheckedChunk) -> Result<Chunk, InputError> {
        let left = self.limit - self.tally.selected;
        if left == 0 {
            checked.select_none();
        } else if checked.taken >= left {
            // The run ends in this chunk, with the last row that sets something: once more, up to there.
            checked = self.checker.check(checked.chunk, left);
        }
        // So far its rows are numbered by themselves.
        let before = self.tally.rows;
        if checked.last_selected > 0 && left > 0 {
            self.tally.last_selected = before + checked.last_selected;
        }
        self.tally.rows += checked.read;
        self.tally.valid += checked.valid;
        self.tally.skipped += checked.skipped;
        self.tally.selected += checked.taken.min(left);
        self.tally.sendable += checked.sendable;
        self.tally.nothing_asked += checked.nothing_asked;
        self.overridden.iter_mut().zip(&checked.overridden).for_each(|(ours, theirs)| *ours += theirs);
        let row_before = u32::try_from(before).unwrap_or(u32::MAX);
        self.make_room(checked.seen.len());
        self.seen.extend(checked.seen.iter().map(|seen| RowFingerprint { row: row_before + seen.row, ..*seen }));
        for diagnostic in checked.diagnostics {
            let row = diagnostic.row.map(|row| before + row);
            self.tell(Diagnostic { row, ..diagnostic });
        }
        checked.rows.iter_mut().for_each(|row| row.row += before);
        if let Some(rows) = self.rows.as_mut().filter(|_| !checked.rows.is_empty()) {
            rows(checked.rows).map_err(InputError::NotKept)?;
        }
        checked.broken.map_or(Ok(checked.chunk), Err)
    }

    /// Makes room for more rows: by a quarter, because the double of much is more than there may be.
    fn make_room(&mut self, more: usize) {
        if self.seen.capacity() - self.seen.len() < more {
            self.seen.reserve_exact(more + self.seen.len() / 4);
        }
    }

    fn finish(mut self) -> CheckStats {
        for (diagnostic, rows) in std::mem::take(&mut self.counted) {
            let message = diagnostic.message;
            let message = if rows > 1 { format!("{message} (in {rows} rows)") } else { message };
            self.tell(Diagnostic { message, repetition: Repetition::Each, ..diagnostic });
        }
        let repeats = duplicates::find(std::mem::take(&mut self.seen));
        for diagnostic in repeats.diagnostics(&self.checker.file) {
            self.tally.valid -= u64::from(diagnostic.severity == Severity::Error);
            self.tell(diagnostic);
        }
        self.tally.repeats = repeats;
        let names = self.checker.contract.properties.iter().map(|property| property.name.to_owned());
        self.tally.overridden = names.zip(self.overridden).filter(|(_, cells)| *cells > 0).collect();
        self.tally
    }

    fn tell(&mut self, mut diagnostic: Diagnostic) {
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
            Severity::Error => &mut self.tally.errors,
            Severity::Warning => &mut self.tally.warnings,
        };
        *counts.entry(diagnostic.code).or_default() += 1;
        (self.diagnostics)(diagnostic);
    }
}
