//! Quotes words for shells.
//!
//! Promises: bash and zsh read exactly the original word. A shell without `$'…'` (dash) reads a printable word exactly, and
//! any other as one wrong word; it runs nothing. The quoted word is printable.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::printable;

/// The word, quoted if necessary.
#[must_use]
pub fn shell_word(word: &OsStr) -> Cow<'_, str> {
    match word.to_str() {
        Some(text) if printable(text) != text => escaped(word.as_bytes()).into(),
        Some(text) if is_plain(text) => text.into(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")).into(),
        None => escaped(word.as_bytes()).into(),
    }
}

/// Whether no character has a meaning to a shell. A leading `=` has one to zsh: the path of a command.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('=')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=,@+%".contains(&byte))
}

/// `$'…'` of POSIX.1-2024, for bytes that a terminal must not get. Quotes and backslashes are escaped as numbers, so that a
/// shell without this syntax reads it as one word in single quotes; `#`, because it may begin a command of a CI job.
fn escaped(bytes: &[u8]) -> String {
    let part = |byte: &u8| match byte {
        b' '..=b'~' if !matches!(byte, b'\'' | b'\\' | b'#') => char::from(*byte).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    format!("$'{}'", bytes.iter().map(part).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;
    use std::process::Command;

    /// The words that a shell makes of these, each ended by a NUL; `None` if it is not installed.
    fn read_by(shell: &str, words: &[Vec<u8>]) -> Option<Vec<u8>> {
        let words: Vec<Cow<'_, str>> = words.iter().map(|word| shell_word(OsStr::from_bytes(word))).collect();
        let script = format!("printf '%s\\0' {}; exit 7", words.join(" "));
        let directory = tempfile::tempdir().expect("a directory");
        match Command::new(shell).args(["-c", &script]).current_dir(&directory).env("PATH", "").output() {
            Ok(output) => {
                assert_eq!(output.status.code(), Some(7), "{script}: {}", String::from_utf8_lossy(&output.stderr));
                assert!(output.stderr.is_empty(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
                Some(output.stdout)
            }
            Err(_) => None,
        }
    }

    /// The shell, where it is installed.
    fn installed(shell: &str) -> Option<String> {
        let path =
            ["/bin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(|folder| format!("{folder}/{shell}"));
        let found = path.into_iter().find(|path| std::path::Path::new(path).exists());
        if found.is_none() {
            // Not captured, so that it is seen of a test that passes.
            let _ = writeln!(std::io::stderr(), "LEFT OUT: words as {shell} reads them ({shell} is not installed)");
        }
        found
    }

    fn with_ends(words: &[Vec<u8>]) -> Vec<u8> {
        words.iter().flat_map(|word| word.iter().copied().chain([0])).collect()
    }

    fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let telling = prop::sample::select(&b"'\\\"$`;&|<>()[]{}*?~=!#%^ -n\x1b\n\t\xff"[..]);
        let byte = prop_oneof![3 => telling, 1 => 1u8..];
        prop::collection::vec(prop::collection::vec(byte, 0..12), 1..4)
    }

    fn hostile() -> Vec<Vec<u8>> {
        let words = ["=ls", "~", "~root", "-n", "a\u{1b}'$(touch x)'\\", "'\n;touch x;'", "\\'\u{7};exit 1;'", "{a,b}"];
        words.map(|word| word.as_bytes().to_vec()).into()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bash_and_zsh_read_the_same_words(words in words()) {
            for shell in ["bash", "zsh"].into_iter().filter_map(installed) {
                for words in [&words, &hostile()] {
                    prop_assert_eq!(read_by(&shell, words), Some(with_ends(words)), "{}", shell);
                }
            }
        }

        #[test]
        fn dash_reads_as_many_words_and_runs_nothing(words in words()) {
            let Some(dash) = installed("dash") else { return Ok(()) };
            for words in [&words, &hostile()] {
                let read = read_by(&dash, words).expect("it is installed");
                prop_assert_eq!(read.split(|byte| *byte == 0).count(), words.len() + 1);
                let read = read.split(|byte| *byte == 0);
                for (word, read) in words.iter().zip(read) {
                    let is_printed = str::from_utf8(word).is_ok_and(|word| printable(word) == word);
                    prop_assert!(!is_printed || word == read, "{:?} is read as {:?}", word, read);
                }
            }
        }
    }

    #[test]
    fn plain_words_are_not_quoted() {
        for (word, written) in [
            ("a-b_c.csv", "a-b_c.csv"),
            ("comment=x", "comment=x"),
            ("=x", "'=x'"),
            ("~x", "'~x'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("a\u{1b}'\\", r"$'a\033\047\134'"),
        ] {
            assert_eq!(shell_word(OsStr::new(word)), written);
        }
    }
}
