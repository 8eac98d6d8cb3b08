//! The shim between the program and the kernel, see `shim.c`: built on demand, configured by environment variables.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::program::Program;

/// The shim, or `None` if this machine can't build it: that is printed, and in CI it is a failure.
pub(crate) fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<PathBuf>> = OnceLock::new();
    SHIM.get_or_init(|| if cfg!(target_os = "linux") { build() } else { None }).as_deref().or_else(|| {
        super::left_out("there is no C compiler, or this is not Linux: no call of the program can be struck")
    })
}

fn build() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/shim.c");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (draft, shim) = (place.join(format!("shim.{}.so", std::process::id())), place.join("shim.so"));
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&draft).arg(source);
    let output = compiler.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Another process may be loading the existing file.
    fs::rename(&draft, &shim).expect("the shim's place");
    Some(shim)
}

/// What happens at the struck call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The call fails.
    Once,
    /// The call fails, and so do all later ones.
    On,
    /// The process ends before the call.
    Before,
    /// The process ends after the call took effect.
    After,
}

impl How {
    pub(crate) const ALL: [How; 4] = [How::Once, How::On, How::Before, How::After];

    pub(crate) fn is_crash(self) -> bool {
        matches!(self, How::Before | How::After)
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Once => "once",
            How::On => "on",
            How::Before => "before",
            How::After => "after",
        })
    }
}

/// Which call is struck, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike<'a> {
    /// Its number among the counted calls; 0 strikes none and lists all.
    pub(crate) at: usize,
    pub(crate) how: How,
    /// The error with which a file call fails.
    pub(crate) error: Errno,
    /// Only files with this in their name count.
    pub(crate) name: &'a str,
}

/// The kernel's errors for a file that can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errno {
    Io,
    NoSpace,
    ReadOnly,
}

impl Strike<'_> {
    pub(crate) fn listing() -> Strike<'static> {
        Strike { at: 0, how: How::Once, error: Errno::Io, name: "" }
    }

    /// Makes the command run under the shim.
    pub(crate) fn prepare(&self, shim: &Path, program: &Program, mut command: Command) -> Command {
        let _ = fs::remove_file(log(program));
        let error = match self.error {
            Errno::Io => rustix::io::Errno::IO,
            Errno::NoSpace => rustix::io::Errno::NOSPC,
            Errno::ReadOnly => rustix::io::Errno::ROFS,
        };
        command
            .env("LD_PRELOAD", shim)
            .env("FAULT_DIR", program.dir())
            .env("FAULT_AT", self.at.to_string())
            .env("FAULT_HOW", self.how.to_string())
            .env("FAULT_ERRNO", error.raw_os_error().to_string())
            .env("FAULT_NAME", self.name)
            .env("FAULT_LOG", log(program));
        command
    }
}

/// A counted call: its number, what it does, and to which file (or `network`).
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) number: usize,
    pub(crate) call: String,
    pub(crate) file: String,
}

impl FromStr for Point {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Point, &'static str> {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().ok_or("NUMBER CALL FILE");
        let number = word()?.parse().map_err(|_| "a number")?;
        Ok(Point { number, call: word()?.to_owned(), file: word()?.to_owned() })
    }
}

impl Point {
    pub(crate) fn is_journal(&self) -> bool {
        self.file.starts_with("/state")
    }

    /// Its kind and target, without random names.
    pub(crate) fn kind(&self) -> String {
        let name = self.file.rsplit('/').next().unwrap_or_default();
        let name = if name.starts_with(".bulk-triage") { "draft of the results" } else { name };
        let name = if name.starts_with("run-") { "run.lock" } else { name };
        format!("{} {name}", self.call)
    }
}

/// The calls that the last start recorded: all of them, or the struck one.
pub(crate) fn noted(program: &Program) -> Vec<Point> {
    let log = fs::read_to_string(log(program)).unwrap_or_default();
    log.lines().map(|line| line.parse().expect("the shim's line")).collect()
}

fn log(program: &Program) -> PathBuf {
    program.path("calls.log")
}
