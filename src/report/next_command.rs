//! The one next command, ready to be copied.
//!
//! Promises: pasted into a POSIX shell, it gives exactly the arguments that were put in; shown, it can't drive the
//! terminal, whatever a file is called.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use crate::text::printable;

/// A command line that grows by arguments, and displays quoted for a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextCommand(String);

impl NextCommand {
    /// A call of `program`.
    #[must_use]
    pub fn new(program: &str) -> NextCommand {
        NextCommand(quoted(program.as_ref()).into_owned())
    }

    /// With one more word, as it is: a subcommand, a flag, a run's id.
    #[must_use]
    pub fn word(mut self, word: impl AsRef<OsStr>) -> NextCommand {
        self.0.push(' ');
        self.0.push_str(&quoted(word.as_ref()));
        self
    }

    /// With a path in a place where an option could stand: `-x.csv` becomes `./-x.csv`; `-` alone stays.
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

    /// With an option and its value, in one word where the value looks like an option.
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

fn quoted(word: &OsStr) -> Cow<'_, str> {
    match word.to_str() {
        Some(text) if printable(text) != text => escaped(word.as_bytes()).into(),
        Some(text) if is_plain(text) => text.into(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")).into(),
        None => escaped(word.as_bytes()).into(),
    }
}

/// Nothing in it means something to a shell.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=,@+%".contains(&byte))
}

/// `$'…'` of POSIX.1-2024: for bytes that a terminal must not get.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.extend(['\\'].into_iter().chain(format!("{byte:03o}").chars())),
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_needs_it_is_quoted() {
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
        assert_eq!(NextCommand::new("b").path("a\u{1b}[2J\n'\\").to_string(), r"b $'a\033[2J\012\'\\'");
    }

    /// What bash makes of the words of a command.
    fn read_by_bash(command: &str) -> Vec<u8> {
        let script = format!("printf '%s\\0' {command}");
        std::process::Command::new("bash").args(["-c", &script]).output().expect("bash is there").stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_the_same_words(words in prop::collection::vec(prop::collection::vec(1u8.., 0..12), 1..4)) {
            let mut command = NextCommand::new("x");
            for word in &words {
                command = command.word(OsStr::from_bytes(word));
            }
            let expected: Vec<u8> = words.iter().fold(b"x\0".to_vec(), |all, word| [&all, &word[..], b"\0"].concat());
            prop_assert_eq!(read_by_bash(&command.to_string()), expected);
        }
    }
}
