//! Makes text from outside safe to print, to open or to run: one function for each kind of reader.
//!
//! | for | file | function |
//! | --- | --- | --- |
//! | a terminal | `terminal` | [`Printable`], [`printable`], [`truncate`], [`escape_json`], [`escape_toml`] |
//! | a spreadsheet | `spreadsheet` | [`escape_formula`], and its inverse [`unescape_formula`] |
//! | a CI job that annotates files | `annotation` | [`github_message`], [`github_property`], [`azure_message`], [`azure_property`] |
//! | a shell | `shell` | [`shell_word`] |
//! | a Markdown page | `markdown` | [`Markdown`] |
//! | anyone who must not see the token | `redact` | [`Secrets`] |

mod annotation;
mod markdown;
mod redact;
mod shell;
mod spreadsheet;
mod terminal;

pub use annotation::{azure_message, azure_property, github_message, github_property};
pub use markdown::Markdown;
pub use redact::{REDACTED, Secrets, is_redacted};
pub use shell::shell_word;
pub use spreadsheet::{escape_formula, escape_formula_bytes, needs_quotes, unescape_formula, unescape_formula_bytes};
pub use terminal::{Printable, escape_json, escape_toml, printable, truncate};

/// The byte order mark.
pub const BOM: &str = "\u{feff}";

/// Like [`str::trim`], but faster for text that begins and ends with ASCII.
#[inline]
#[must_use]
pub fn trimmed(text: &str) -> &str {
    let text = text.trim_ascii();
    match text.as_bytes() {
        [] | [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn trimmed_equals_std_trim(text in "[ \t\u{a0}\u{2003}aü]{0,5}") {
            prop_assert_eq!(trimmed(&text), text.trim());
        }
    }
}
