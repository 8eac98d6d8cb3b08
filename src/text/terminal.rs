//! Escapes text for terminals.
//!
//! Promises: [`Printable`] writes no line end, and no character that moves the cursor, changes a color, reorders the line
//! or is invisible. In the log of a CI job it is no command: Azure Pipelines runs `##vso[…]` and GitHub Actions `##[…]`
//! anywhere in a line, and GitHub `::…` at its start.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Displays text so that it can't control the terminal or a CI job: control and invisible characters, and the first
/// character of a command, are written as escapes. All text from outside is printed through this type.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for (at, character) in escaped(self.0) {
            f.write_str(&self.0[written..at])?;
            match character {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                other => write!(f, "\\u{{{:x}}}", u32::from(other))?,
            }
            written = at + character.len_utf8();
        }
        f.write_str(&self.0[written..])
    }
}

/// The characters that are written as escapes, with their positions.
fn escaped(text: &str) -> impl Iterator<Item = (usize, char)> {
    let first = text.trim_start();
    let command = first.starts_with("::").then(|| text.len() - first.len());
    let is_command =
        move |at: usize, character| command == Some(at) || (character == '#' && begins_command(&text[at..]));
    text.char_indices().filter(move |(at, character)| is_hidden(*character) || is_command(*at, *character))
}

/// Whether a CI job would run a command here, wherever in a line it is
/// (<https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands>).
fn begins_command(text: &str) -> bool {
    text.starts_with("##vso[") || text.starts_with("##[")
}

/// The text as [`Printable`] displays it.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if escaped(text).next().is_some() { Cow::Owned(Printable(text).to_string()) } else { Cow::Borrowed(text) }
}

/// The text on one line of at most `width` characters, safe to print, with `…` where it was cut.
#[must_use]
pub fn truncate(text: &str, width: usize) -> String {
    let mut short = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == width {
            short.push('…');
            break;
        }
        short.push(character);
    }
    printable(&short).into_owned()
}

/// JSON with the same meaning that is safe to print: what [`Printable`] escapes in strings becomes `\\u` escapes. Line ends
/// between tokens stay.
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let as_units = |character: char, out: &mut String| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").expect("a String takes all that is written");
        }
    };
    with_escapes(json, as_units)
}

/// The text with all that [`Printable`] escapes written by `escape`, except line ends.
fn with_escapes(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let mut out = String::new();
    let mut written = 0;
    for (at, character) in escaped(text).filter(|(_, character)| *character != '\n') {
        out.push_str(&text[written..at]);
        escape(character, &mut out);
        written = at + character.len_utf8();
    }
    if written == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[written..]);
    Cow::Owned(out)
}

/// TOML with the same meaning that is safe to print: what [`Printable`] escapes in basic strings becomes escapes. Line ends
/// stay.
#[must_use]
pub fn escape_toml(toml: &str) -> Cow<'_, str> {
    let as_number = |character, out: &mut String| match u32::from(character) {
        number @ ..=0xffff => write!(out, "\\u{number:04x}").expect("a String takes all that is written"),
        number => write!(out, "\\U{number:08x}").expect("a String takes all that is written"),
    };
    with_escapes(toml, as_number)
}

/// Whether a terminal acts on the character, or a reader can't see it: C0, DEL, C1; bidirectional controls; line and
/// paragraph separators; zero-width, filler and tag characters.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_are_shown_not_sent() {
        for (text, shown) in [
            ("\u{1b}]0;owned\u{7}", "\\u{1b}]0;owned\\u{7}"),
            ("a\r\n\tb", "a\\r\\n\\tb"),
            ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("\u{202e}fdp.exe", "\\u{202e}fdp.exe"),
            ("\u{2066}\u{2069}\u{200f}\u{61c}", "\\u{2066}\\u{2069}\\u{200f}\\u{61c}"),
            ("\u{feff}\u{200b}\u{2028}", "\\u{feff}\\u{200b}\\u{2028}"),
            ("Größe 漢字 '=1'", "Größe 漢字 '=1'"),
            ("a ##vso[task.complete]b", "a \\u{23}#vso[task.complete]b"),
            ("###[error]", "#\\u{23}#[error]"),
            (" ::add-mask::a", " \\u{3a}:add-mask::a"),
            ("a::b ## [c]", "a::b ## [c]"),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn commands_in_json_and_toml_are_escaped() {
        assert_eq!(escape_json("[\"##vso[x]\"]"), "[\"\\u0023#vso[x]\"]");
        assert_eq!(escape_toml("a = \"##[x]\"\n"), "a = \"\\u0023#[x]\"\n");
    }

    proptest! {
        #[test]
        fn no_command_is_printed(text in "(#|:|vso|\\[| |\\PC){0,12}") {
            let printed = printable(&text);
            prop_assert!(!printed.contains("##vso[") && !printed.contains("##["), "{}", printed);
            prop_assert!(!printed.trim_start().starts_with("::"), "{}", printed);
        }

        #[test]
        fn no_hidden_character_is_printed(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(is_hidden));
        }
    }
}
