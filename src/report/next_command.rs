//! The command to run next, ready to be copied.
//!
//! Promises: bash and zsh read exactly the original arguments, as does any POSIX shell if these are printable. No file name
//! can control the terminal.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use crate::text::shell_word;

/// A command line, displayed with its arguments quoted for a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextCommand(String);

impl NextCommand {
    /// A command without arguments.
    #[must_use]
    pub fn new(program: &str) -> NextCommand {
        NextCommand(shell_word(program.as_ref()).into_owned())
    }

    /// Adds a subcommand, a flag or a run's ID.
    #[must_use]
    pub fn word(mut self, word: impl AsRef<OsStr>) -> NextCommand {
        self.0.push(' ');
        self.0.push_str(&shell_word(word.as_ref()));
        self
    }

    /// Adds a path as a positional argument: `-x.csv` becomes `./-x.csv`; `-` stays.
    #[must_use]
    pub fn path(self, path: impl AsRef<OsStr>) -> NextCommand {
        let path = path.as_ref();
        if path.len() > 1 && path.as_bytes().starts_with(b"-") {
            let mut safe = std::ffi::OsString::from("./");
            safe.push(path);
            self.word(safe)
        } else {
            self.word(path)
        }
    }

    /// Adds an option and its value, as one word if the value looks like an option.
    #[must_use]
    pub fn option(self, name: &str, value: impl AsRef<OsStr>) -> NextCommand {
        let value = value.as_ref();
        if value.len() > 1 && value.as_bytes().starts_with(b"-") {
            let mut word = std::ffi::OsString::from(name);
            word.push("=");
            word.push(value);
            self.word(word)
        } else {
            self.word(name).word(value)
        }
    }
}

impl fmt::Display for NextCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arguments_that_need_it_are_quoted() {
        let command = NextCommand::new("bulk-triage")
            .word("run")
            .path("-close all.csv")
            .option("--set", "comment=it's tuned; $HOME")
            .option("--set", "-x")
            .option("--quota", "50/1m,1500/1h")
            .word("--yes");
        assert_eq!(
            command.to_string(),
            r"bulk-triage run './-close all.csv' --set 'comment=it'\''s tuned; $HOME' --set=-x --quota 50/1m,1500/1h --yes"
        );
        assert_eq!(NextCommand::new("b").path("-").word("").to_string(), "b - ''");
        assert_eq!(NextCommand::new("b").path("a\u{1b}[2J\n'\\").to_string(), r"b $'a\033[2J\012\047\134'");
    }
}
