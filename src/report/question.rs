//! The question before anything is sent.

use std::io::{self, BufRead, Write};

/// Asks a yes-or-no question; everything but `y` and `yes` is a no, the end of the input too.
///
/// # Errors
/// Where the question can't be shown or the answer not be read.
pub fn ask(question: &str, input: impl BufRead, mut output: impl Write) -> io::Result<bool> {
    write!(output, "{question} [y/N] ")?;
    output.flush()?;
    let mut answer = Vec::new();
    let mut line = input.take(1024);
    line.read_until(b'\n', &mut answer)?;
    if !answer.ends_with(b"\n") {
        // The terminal's cursor still stands behind the question.
        writeln!(output)?;
    }
    let answer = answer.trim_ascii();
    Ok(answer.eq_ignore_ascii_case(b"y") || answer.eq_ignore_ascii_case(b"yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_a_yes() {
        for (typed, yes) in [
            ("y\n", true),
            (" Yes \r\n", true),
            ("y", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
            ("yesterday\n", false),
            ("n\ny\n", false),
        ] {
            let mut shown = Vec::new();
            assert_eq!(ask("Send 3 updates?", typed.as_bytes(), &mut shown).expect("reads"), yes, "{typed:?}");
            assert!(shown.starts_with(b"Send 3 updates? [y/N] "));
        }
        assert!(!ask("?", &b"\xffy\n"[..], io::sink()).expect("reads"));
    }
}
