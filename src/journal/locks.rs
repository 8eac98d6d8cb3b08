//! Locks on files: whose turn it is to write, who is alive, who holds a run.
//!
//! The kernel releases them when a process ends, however it ends; process numbers, which containers share and reuse,
//! decide nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::JournalError;

/// The turn to write. `SQLite`'s own busy handler lets one of two processes wait for seconds; waiting in the kernel is
/// fair and short.
#[derive(Debug)]
pub(super) struct Turn(File);

impl Turn {
    pub(super) fn open(dir: &Path) -> io::Result<Turn> {
        open(&dir.join("journal.lock")).map(Turn)
    }

    /// Waits for the turn and holds it until the guard is dropped.
    pub(super) fn take(&self) -> io::Result<TurnGuard> {
        let file = self.0.try_clone()?;
        file.lock()?;
        Ok(TurnGuard(file))
    }
}

/// The turn, held.
#[derive(Debug)]
pub(super) struct TurnGuard(File);

impl Drop for TurnGuard {
    fn drop(&mut self) {
        // A lock that can't be released is released when the process ends; nothing better can be done here.
        let _ = self.0.unlock();
    }
}

/// A process's sign of life.
#[derive(Debug)]
pub(super) struct Alive {
    _file: File,
    path: PathBuf,
}

impl Alive {
    pub(super) fn show(dir: &Path, process: i64) -> io::Result<Alive> {
        let path = alive_path(dir, process);
        let file = open(&path)?;
        file.lock()?;
        Ok(Alive { _file: file, path })
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // What is left behind is removed by the next process that looks.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the process is gone. Removes what it left behind.
pub(super) fn is_gone(dir: &Path, process: i64) -> io::Result<bool> {
    let path = alive_path(dir, process);
    match OpenOptions::new().read(true).write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(file) => match file.try_lock() {
            Ok(()) => {
                let _ = std::fs::remove_file(&path);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        },
    }
}

/// A run that nobody else can send while this lives. Its file says which process holds it.
#[derive(Debug)]
pub(super) struct Hold(#[expect(dead_code, reason = "holding it is its use")] File);

impl Hold {
    /// Fails with [`JournalError::RunIsHeld`] where another process holds the run.
    pub(super) fn take(dir: &Path, run: &str) -> Result<Hold, JournalError> {
        let mut file = open(&run_path(dir, run))?;
        match file.try_lock() {
            Ok(()) => {
                // For people only: where it can't be written the lock holds all the same.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                Ok(Hold(file))
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
    let file = OpenOptions::new().read(true).open(run_path(dir, run));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Removes the lock file of a run that is over: nobody has to hold it any more.
pub(super) fn forget_run(dir: &Path, run: &str) {
    let _ = std::fs::remove_file(run_path(dir, run));
}

/// Removes what processes that are gone have left: their signs of life, and the lock files of runs of which
/// `is_to_be_sent` is false. For the one whose turn it is: nobody makes such a file now. What can't be removed stays.
pub(super) fn remove_what_was_left(dir: &Path, is_to_be_sent: impl Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let named = |kind: &str| name.strip_prefix(kind)?.strip_suffix(".lock");
        if let Some(process) = named("process-").and_then(|number| number.parse().ok()) {
            let _ = is_gone(dir, process);
        } else if named("run-").is_some_and(|run| !is_to_be_sent(run)) {
            let _ = std::fs::remove_file(dir.join(&name));
        }
    }
}

fn run_path(dir: &Path, run: &str) -> PathBuf {
    dir.join(format!("run-{run}.lock"))
}

fn alive_path(dir: &Path, process: i64) -> PathBuf {
    dir.join(format!("process-{process}.lock"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
