//! The file of `--log-file`.
//!
//! Promises: it survives rotation by rename: once a second, before it writes, it opens the path again if that names another
//! file by then. If that is impossible, such as in a directory that is gone, it keeps writing to the open file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::files::{Refusal, open_log};

/// How often it checks which file the path names.
const CHECK_AGAIN: Duration = Duration::from_secs(1);

/// A log that is being written.
pub(super) struct LogFile {
    path: PathBuf,
    used: Vec<PathBuf>,
    state: Option<PathBuf>,
    file: File,
    clock: Clock,
    checked_at: BootTime,
}

impl LogFile {
    /// Opens the log and appends to it. `used` are files that the command already uses, and `state` is the directory of
    /// the journal, where logs are not allowed.
    ///
    /// # Errors
    /// If the path must not be written.
    pub(super) fn open(
        path: &Path,
        used: &[PathBuf],
        state: Option<PathBuf>,
        clock: Clock,
    ) -> Result<LogFile, Refusal> {
        let (path, used, checked_at) = (path.to_owned(), used.to_owned(), clock.now().boot);
        let file = open(&path, &used, state.as_deref())?;
        Ok(LogFile { path, used, state, file, clock, checked_at })
    }

    /// Whether the path names the open file.
    fn is_at_path(&self) -> io::Result<bool> {
        let (found, open) = (fs::symlink_metadata(&self.path)?, self.file.metadata()?);
        Ok((found.dev(), found.ino()) == (open.dev(), open.ino()))
    }
}

fn open(path: &Path, used: &[PathBuf], state: Option<&Path>) -> Result<File, Refusal> {
    let used: Vec<&Path> = used.iter().map(PathBuf::as_path).collect();
    open_log(path, &used, state)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = self.clock.now().boot;
        if now >= self.checked_at + CHECK_AGAIN {
            self.checked_at = now;
            if !self.is_at_path().unwrap_or(false)
                && let Ok(file) = open(&self.path, &self.used, self.state.as_deref())
            {
                self.file = file;
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    #[tokio::test(start_paused = true)]
    async fn log_follows_its_path_once_a_second() {
        let directory = tempfile::tempdir().expect("a directory");
        let logs = directory.path().join("logs");
        let at = |name: &str| logs.join(name);
        let read = |name: &str| fs::read_to_string(at(name)).expect("reads");
        fs::create_dir(&logs).expect("makes");
        let wall = "2026-11-24T10:00:00Z".parse().expect("valid");
        let clock = Clock::simulated(Now { boot: BootTime(0), wall }, "a");
        let mut log = LogFile::open(&at("log"), &[], None, clock.clone()).expect("opens");
        let mut write = async |line: &[u8], after: u64| {
            tokio::time::advance(Duration::from_millis(after)).await;
            log.write_all(line).expect("writes");
        };

        write(b"1\n", 0).await;
        fs::rename(at("log"), at("log.1")).expect("rotates");
        write(b"2\n", 999).await;
        write(b"3\n", 1).await;
        assert_eq!((read("log.1"), read("log")), ("1\n2\n".to_owned(), "3\n".to_owned()));

        // Another file at the path is appended to; a link is not followed.
        fs::rename(at("log"), at("log.2")).expect("rotates");
        fs::write(at("log"), "new\n").expect("creates");
        write(b"4\n", 1_000).await;
        assert_eq!(read("log"), "new\n4\n");
        fs::rename(at("log"), at("log.3")).expect("rotates");
        fs::write(at("victim"), "precious\n").expect("writes");
        std::os::unix::fs::symlink(at("victim"), at("log")).expect("links");
        write(b"5\n", 1_000).await;
        assert_eq!((read("victim"), read("log.3")), ("precious\n".to_owned(), "new\n4\n5\n".to_owned()));

        fs::rename(&logs, directory.path().join("gone")).expect("moves");
        write(b"6\n", 1_000).await;
        fs::create_dir(&logs).expect("makes");
        write(b"7\n", 1_000).await;
        assert_eq!(read("log"), "7\n");
        let gone = fs::read_to_string(directory.path().join("gone/log.3")).expect("reads");
        assert_eq!(gone, "new\n4\n5\n6\n");
    }
}
