//! The prompt before anything is sent.

use std::io::{self, BufRead, Read as _, Write};

/// The answer that confirms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// `y` or `yes`.
    Word,
    /// This number: you type how many changes can't be undone.
    Number(u64),
}

/// Prompts for confirmation. Any other answer means no, as does the end of the input. If a number is expected, a `y` is not
/// enough: the prompt asks for the number again.
///
/// # Errors
/// If the prompt can't be shown or the answer can't be read.
pub fn ask(question: &str, yes: Confirmation, mut input: impl BufRead, mut output: impl Write) -> io::Result<bool> {
    match yes {
        Confirmation::Word => write!(output, "{question} [y/N] ")?,
        Confirmation::Number(number) => write!(output, "{question} Type {number} to continue: ")?,
    }
    loop {
        output.flush()?;
        let mut answer = Vec::new();
        input.by_ref().take(1024).read_until(b'\n', &mut answer)?;
        if !answer.ends_with(b"\n") {
            // The cursor is still on the line of the prompt.
            writeln!(output)?;
        }
        let answer = String::from_utf8_lossy(answer.trim_ascii());
        let is_word = answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes");
        match yes {
            Confirmation::Word => return Ok(is_word),
            Confirmation::Number(number) if is_word => write!(output, "type {number} to confirm: ")?,
            // With or without thousands separators.
            Confirmation::Number(number) => return Ok(answer.replace(',', "") == number.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_y_or_yes_confirms() {
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
            assert_eq!(
                ask("Send 3 updates?", Confirmation::Word, typed.as_bytes(), &mut shown).expect("reads"),
                yes,
                "{typed:?}"
            );
            assert!(shown.starts_with(b"Send 3 updates? [y/N] "));
        }
        assert!(!ask("?", Confirmation::Word, &b"\xffy\n"[..], io::sink()).expect("reads"));
    }

    #[test]
    fn only_the_number_asked_for_confirms() {
        for (typed, yes) in [("1234\n", true), ("1,234\n", true), ("y\n", false), ("123\n", false), ("\n", false)] {
            let mut shown = Vec::new();
            let said = ask("Send 1,234 updates?", Confirmation::Number(1_234), typed.as_bytes(), &mut shown);
            assert_eq!(said.expect("reads"), yes, "{typed:?}");
            assert!(shown.starts_with(b"Send 1,234 updates? Type 1234 to continue: "));
        }
    }

    #[test]
    fn y_for_a_number_says_what_to_type() {
        for (typed, yes) in [("y\n1234\n", true), ("Yes\n\n", false), ("y\ny\n", false)] {
            let mut shown = Vec::new();
            let said = ask("Send 1,234 updates?", Confirmation::Number(1_234), typed.as_bytes(), &mut shown);
            assert_eq!(said.expect("reads"), yes, "{typed:?}");
            assert!(String::from_utf8_lossy(&shown).contains("type 1234 to confirm: "));
        }
    }
}
