//! Placeholders: text that portals, spreadsheets and programs write instead of an empty value.

use crate::text::trimmed;

/// Placeholders in lower case. Those that begin with a letter or digit are no longer than [`LONGEST`].
const WORDS: [&str; 38] = [
    "unassigned",
    "not assigned",
    "not set",
    "none",
    "null",
    "undefined",
    "nil",
    "nan",
    "n/a",
    "n.a.",
    "-",
    "--",
    "---",
    "–",
    "—",
    "(none)",
    "(null)",
    "(blank)",
    "(not set)",
    "(unassigned)",
    "<none>",
    "<null>",
    "<unassigned>",
    "<not set>",
    "(empty)",
    "<empty>",
    "<na>",
    "<nil>",
    "(undefined)",
    "[object object]",
    "#n/a",
    "#ref!",
    "#name?",
    "#value!",
    "#null!",
    "#num!",
    "#div/0!",
    "@{}",
];

/// The longest word that begins with a letter or digit, in bytes.
const LONGEST: usize = 12;

/// Types that PowerShell writes instead of their content: `System.String[]`, `System.Collections.Hashtable`.
const NAMESPACES: [&str; 2] = ["System.", "Microsoft."];
const HOLDERS: [&str; 2] = ["System.Collections.", "System.Management.Automation."];

/// Whether the text is a placeholder, in any case and with any white space around it.
#[inline]
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = trimmed(text);
    // A quick test: most text does not begin like a placeholder.
    let is_other =
        |first: &u8| first.is_ascii_alphanumeric() && !matches!(first.to_ascii_lowercase(), b'n' | b'u' | b's' | b'm');
    !text.as_bytes().first().is_none_or(is_other) && is_known(text)
}

fn is_known(text: &str) -> bool {
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)) || is_type_name(text)
}

fn is_type_name(text: &str) -> bool {
    let starts = |name: &&str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    text.ends_with("[]") && NAMESPACES.iter().any(starts) || HOLDERS.iter().any(starts)
}

/// Whether a text that begins with a letter or digit may be a placeholder: a quick test with many false positives.
#[inline]
pub(super) fn may_be_placeholder(text: &str) -> bool {
    text.len() <= LONGEST || text.ends_with(']') || matches!(text.as_bytes(), [b's' | b'S', _, _, _, _, _, b'.', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_recognized_in_any_case() {
        for word in WORDS.into_iter().chain(["System.String[]", "system.object[]", "System.Collections.Hashtable"]) {
            for text in [word.to_owned(), word.to_uppercase(), format!(" {word}\u{a0}")] {
                assert!(is_placeholder(&text), "{text}");
            }
            let is_plain = word.starts_with(|first: char| first.is_ascii_alphanumeric());
            assert!(!is_plain || may_be_placeholder(word), "{word}");
        }
    }

    #[test]
    fn real_values_are_not_placeholders() {
        for text in [
            "",
            "ana.silva@contoso.com",
            "nonesuch",
            "null@contoso.com",
            "nancy",
            "undefined owner",
            "System owner",
            "a-b",
            "NA",
            "Unknown",
            "[]",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
