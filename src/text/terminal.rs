//! Escapes text for terminals.
//!
//! Promises: [`Printable`] writes no line end, and no character that moves the cursor, changes a color, reorders the line
//! or is invisible.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Displays text so that it can't control the terminal: control and invisible characters are written as escapes. All
/// text from outside is printed through this type.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| is_hidden(*character)) {
            f.write_str(&rest[..at])?;
            match character {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                other => write!(f, "\\u{{{:x}}}", u32::from(other))?,
            }
            rest = &rest[at + character.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// The text as [`Printable`] displays it.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_hidden) { Cow::Owned(Printable(text).to_string()) } else { Cow::Borrowed(text) }
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

/// JSON with the same meaning that is safe to print: hidden characters in strings become `\\u` escapes. Line ends between
/// tokens stay.
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let is_hidden = |character: &char| is_hidden(*character) && *character != '\n';
    if !json.chars().any(|character| is_hidden(&character)) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_hidden(&character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(escaped, "\\u{unit:04x}").expect("a String takes all that is written");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// TOML with the same meaning that is safe to print: hidden characters in basic strings become escapes. Line ends stay.
#[must_use]
pub fn escape_toml(toml: &str) -> Cow<'_, str> {
    let is_hidden = |character: char| is_hidden(character) && character != '\n';
    if !toml.chars().any(is_hidden) {
        return Cow::Borrowed(toml);
    }
    let escaped = |character| match u32::from(character) {
        number @ ..=0xffff if is_hidden(character) => format!("\\u{number:04x}"),
        number if is_hidden(character) => format!("\\U{number:08x}"),
        _ => character.to_string(),
    };
    Cow::Owned(toml.chars().map(escaped).collect())
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
        ] {
            assert_eq!(Printable(text).to_string(), shown);
            assert_eq!(printable(text), shown);
        }
    }

    proptest! {
        #[test]
        fn no_hidden_character_is_printed(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(is_hidden));
        }
    }
}
