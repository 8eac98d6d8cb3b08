//! File locks: who may write, which processes are alive, who sends a run.
//!
//! The kernel releases them when a process ends, however it ends; process IDs, which containers share and reuse,
//! decide nothing.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::error::{JournalError, untrusted};
use crate::files::{self, For};

/// What happens during a long wait for another process.
pub trait Patience: std::fmt::Debug + Send + Sync {
    /// The wait has taken some seconds. `holder`: the process that has the write lock, if known.
    fn begins(&self, holder: Option<u32>);

    /// Whether the user has asked to stop since then.
    fn is_asked_to_stop(&self) -> bool;

    /// The wait has ended.
    fn ends(&self);
}

/// Waits silently, however long it takes.
#[derive(Debug)]
pub(super) struct Silent;

impl Patience for Silent {
    fn begins(&self, _: Option<u32>) {}

    fn is_asked_to_stop(&self) -> bool {
        false
    }

    fn ends(&self) {}
}

/// The write lock. `SQLite`'s own busy handler can make one of two processes wait for seconds; waiting in the kernel is
/// fair and short.
#[derive(Debug)]
pub(super) struct WriteLock {
    file: File,
    path: PathBuf,
    patience: Arc<dyn Patience>,
}

/// A wait longer than this is reported.
const LONG: Duration = Duration::from_secs(2);
/// How often it checks whether the user wants to stop.
const STEP: Duration = Duration::from_millis(50);

impl WriteLock {
    pub(super) fn open(dir: &Path, patience: Arc<dyn Patience>) -> Result<WriteLock, JournalError> {
        let path = turn_path(dir);
        Ok(WriteLock { file: open(&path, For::Creating)?, path, patience })
    }

    /// Waits for the lock and holds it until the guard is dropped.
    ///
    /// # Errors
    /// [`JournalError::Interrupted`] if the user asks to stop during a long wait.
    pub(super) fn take(&self) -> Result<TurnGuard, JournalError> {
        let file = self.file.try_clone()?;
        match file.try_lock() {
            Ok(()) => Ok(TurnGuard(file)),
            Err(TryLockError::WouldBlock) => self.wait(),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Waits in the kernel, on a thread of its own: this one can continue without the lock. The thread opens the file
    /// again; otherwise a lock that it gets too late would stay with this process.
    fn wait(&self) -> Result<TurnGuard, JournalError> {
        let file = open(&self.path, For::Writing)?;
        let (hand_over, turn) = mpsc::channel();
        std::thread::Builder::new().name("turn".to_owned()).spawn(move || {
            let taken = file.lock().map(|()| TurnGuard(file));
            // If nobody waits any more, the guard comes back and is dropped.
            let _ = hand_over.send(taken);
        })?;
        let mut waited = Duration::ZERO;
        let taken = loop {
            match turn.recv_timeout(STEP) {
                Ok(taken) => break taken,
                Err(RecvTimeoutError::Timeout) => waited += STEP,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("a lock can't be waited for").into());
                }
            }
            if waited == LONG {
                self.patience.begins(self.holder());
            }
            if waited >= LONG && self.patience.is_asked_to_stop() {
                return Err(JournalError::Interrupted { by: self.holder() });
            }
        };
        if waited >= LONG {
            self.patience.ends();
        }
        Ok(taken?)
    }

    /// The process that holds the lock, as Linux lists it: for people only.
    fn holder(&self) -> Option<u32> {
        let number = self.file.metadata().ok()?.ino();
        holder_in(&files::read_kernel_text("/proc/locks").ok()?, number)
    }
}

/// The process with a lock on the file of this number, by the lines of `/proc/locks` (`proc_locks(5)`), such as
/// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:5595143 0 EOF`. A process that waits has `->` in its line.
fn holder_in(locks: &str, number: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let [_, "FLOCK", _, "WRITE", process, file, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return None;
        };
        let is_it = file.rsplit_once(':').is_some_and(|(_, found)| found.parse() == Ok(number));
        process.parse().ok().filter(|process| is_it && *process > 0)
    })
}

/// Releases the lock when it is dropped.
#[derive(Debug)]
pub(super) struct TurnGuard(File);

impl Drop for TurnGuard {
    fn drop(&mut self) {
        // A lock that can't be released is released when the process ends; nothing better can be done here.
        let _ = self.0.unlock();
    }
}

/// A lock that a process holds for life: whoever can take it knows that the process is dead.
#[derive(Debug)]
pub(super) struct LivenessLock {
    _file: File,
    path: PathBuf,
}

impl LivenessLock {
    pub(super) fn show(dir: &Path, process: i64) -> Result<LivenessLock, JournalError> {
        let path = alive_path(dir, process);
        let file = open(&path, For::Creating)?;
        file.lock()?;
        Ok(LivenessLock { _file: file, path })
    }
}

impl Drop for LivenessLock {
    fn drop(&mut self) {
        // The next process that checks removes what is left.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the process is dead. Removes its lock file.
pub(super) fn is_gone(dir: &Path, process: i64) -> Result<bool, JournalError> {
    let path = alive_path(dir, process);
    match open(&path, For::Writing) {
        Err(JournalError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(file) => match file.try_lock() {
            Ok(()) => {
                let _ = std::fs::remove_file(&path);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error.into()),
        },
    }
}

/// The lock of a run: no other process can send it. Its file names the process that holds it.
#[derive(Debug)]
pub(super) struct RunLock(#[expect(dead_code, reason = "holding it is its use")] File);

impl RunLock {
    /// Fails with [`JournalError::RunIsHeld`] if another process holds the run.
    pub(super) fn take(dir: &Path, run: &str) -> Result<RunLock, JournalError> {
        let mut file = open(&run_path(dir, run), For::Creating)?;
        match file.try_lock() {
            Ok(()) => {
                // For people only: the lock holds even if it can't be written.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                Ok(RunLock(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                let _ = file.take(20).read_to_string(&mut by);
                Err(JournalError::RunIsHeld { run: run.to_owned(), by: by.parse().ok() })
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// Whether a process holds the run now. Leaves no trace.
pub(super) fn is_held(dir: &Path, run: &str) -> bool {
    let file = open(&run_path(dir, run), For::Reading);
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Removes the lock file of a finished run, which nobody needs any more.
pub(super) fn forget_run(dir: &Path, run: &str) {
    remove(&run_path(dir, run));
}

/// Another user's file stays.
fn remove(path: &Path) {
    if files::expect_own(path).is_ok() {
        let _ = std::fs::remove_file(path);
    }
}

/// Removes the lock files of dead processes, and of runs for which `is_to_be_sent` is false. Call it with the write
/// lock: then nobody creates such a file. A file that can't be removed stays.
pub(super) fn remove_what_was_left(dir: &Path, is_to_be_sent: impl Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let named = |kind: &str| name.strip_prefix(kind)?.strip_suffix(".lock");
        if let Some(process) = named("process-").and_then(|number| number.parse().ok()) {
            let _ = is_gone(dir, process);
        } else if named("run-").is_some_and(|run| !is_to_be_sent(run)) {
            remove(&dir.join(&name));
        }
    }
}

/// Keeps others from opening or changing the journal; `None` if somebody has it open, or nobody ever had. Doesn't wait.
pub(super) fn keep_turns_away(dir: &Path) -> Option<File> {
    let file = open(&turn_path(dir), For::Reading).ok()?;
    file.try_lock_shared().ok().map(|()| file)
}

fn turn_path(dir: &Path) -> PathBuf {
    dir.join("journal.lock")
}

fn run_path(dir: &Path, run: &str) -> PathBuf {
    dir.join(format!("run-{run}.lock"))
}

fn alive_path(dir: &Path, process: i64) -> PathBuf {
    dir.join(format!("process-{process}.lock"))
}

fn open(path: &Path, what_for: For) -> Result<File, JournalError> {
    files::open_own(path, what_for).map_err(|why| untrusted(path, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_holder_is_found_in_kernel_list() {
        let locks = "1: POSIX  ADVISORY  WRITE 29 fe:00:7 0 EOF\n2: FLOCK  ADVISORY  READ 30 fe:00:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 4711 fe:00:7 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 4712 fe:00:7 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 fe:00:8 0 EOF\n5: FLOCK  ADVISORY  WRITE x\n";
        assert_eq!(holder_in(locks, 7), Some(4711));
        // In another container: no process ID.
        assert_eq!(holder_in(locks, 8), None);
        assert_eq!(holder_in(locks, 70), None);
    }
}
