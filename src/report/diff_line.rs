//! The changes of a row as text: before → after.
//!
//! Promises: a property takes one line if it fits, and is otherwise wrapped between words; text from outside is escaped.

use std::io::{self, Write};

use serde_json::Value;

use super::humanize::{columns_of, fitted, wrapped};
use super::layout::{GREEN, Layout, RED};
use crate::compare::PropertyDiff;
use crate::session::RowDiff;
use crate::text::printable;

/// The longest part of a value and of a name that is shown, in characters.
const LONGEST: usize = 1_000;
const LONGEST_NAME: usize = 60;

/// The indentation of a property.
const LEFT: &str = "    ";

impl RowDiff {
    /// Writes each property with its old and new value on a line, which is wrapped if it doesn't fit the terminal.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write(&self, out: &mut impl Write, layout: Layout) -> io::Result<()> {
        let merged = self.merged.map(|merged| format!(" (for {merged}, which was merged into it)"));
        writeln!(out, "  line {}, {}{}:", self.line, self.incident, merged.unwrap_or_default())?;
        for PropertyDiff { property, before, after } in &self.differences {
            let (old, new) = (shown(before), format!("→ {}", shown(after)));
            write_change(out, layout, property, [(&old, RED), (&new, GREEN)])?;
        }
        self.adds.iter().try_for_each(|(property, text)| {
            write_change(out, layout, property, [(&format!("+ {}", shortened(text)), GREEN)])
        })
    }
}

/// Writes a property and its values: on one line, or if they don't fit, each on its own lines.
fn write_change<const N: usize>(
    out: &mut impl Write,
    layout: Layout,
    property: &str,
    parts: [(&String, &str); N],
) -> io::Result<()> {
    let name = fitted(property, LONGEST_NAME);
    let columns = LEFT.len() + columns_of(&name) + parts.iter().map(|(text, _)| columns_of(text) + 1).sum::<usize>();
    write!(out, "{LEFT}{name}")?;
    for (text, color) in parts {
        match layout.width {
            Some(width) if columns > width => {
                let lines = wrapped(text, width.saturating_sub(LEFT.len() + 2));
                for line in lines.lines() {
                    write!(out, "\n{LEFT}  {}", layout.painted(line, color))?;
                }
            }
            _ => write!(out, " {}", layout.painted(text, color))?,
        }
    }
    writeln!(out)
}

/// A value as text.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(not set)".to_owned(),
        Value::String(text) if text.is_empty() => "(not set)".to_owned(),
        Value::Array(list) if list.is_empty() => "(none)".to_owned(),
        Value::String(text) => shortened(text),
        other => shortened(&other.to_string()),
    }
}

/// Text from outside, safe to print. Very long text is cut after a word.
fn shortened(text: &str) -> String {
    if text.chars().nth(LONGEST).is_none() {
        return printable(text).into_owned();
    }
    let start: String = text.chars().take(LONGEST).collect();
    let end = start.rfind(' ').unwrap_or(start.len());
    format!("{} …", printable(&start[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes() -> RowDiff {
        let difference = |property: &str, before, after| PropertyDiff { property: property.to_owned(), before, after };
        let differences = vec![
            difference("status", json!("Active"), json!("Resolved")),
            difference("assignedTo", json!(null), json!("a\u{1b}[2Jb")),
            difference("tags", json!(["x"]), json!([])),
        ];
        let added = ("comment", "two\nlines, and many words more than a narrow terminal has room for");
        RowDiff::new(2, 7, Some(added), differences)
    }

    fn written(changes: &RowDiff, layout: Layout) -> String {
        let mut out = Vec::new();
        changes.write(&mut out, layout).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_property_is_a_line_in_a_pipe() {
        insta::assert_snapshot!(written(&changes(), Layout::PIPE), @r#"
        line 2, 7:
          status Active → Resolved
          assignedTo (not set) → a\u{1b}[2Jb
          tags ["x"] → (none)
          comment + two\nlines, and many words more than a narrow terminal has room for
        "#);
    }

    #[test]
    fn narrow_terminal_wraps_between_words() {
        insta::assert_snapshot!(written(&changes(), Layout { width: Some(40), color: false }), @r#"
        line 2, 7:
          status Active → Resolved
          assignedTo (not set) → a\u{1b}[2Jb
          tags ["x"] → (none)
          comment
            + two\nlines, and many words more
            than a narrow terminal has room
            for
        "#);
    }

    #[test]
    fn old_is_red_and_new_is_green() {
        let said = written(&changes(), Layout { width: Some(80), color: true });
        assert!(said.contains("    status \u{1b}[31mActive\u{1b}[0m \u{1b}[32m→ Resolved\u{1b}[0m\n"), "{said}");
    }

    #[test]
    fn very_long_comment_ends_with_whole_word() {
        let text = "seven77 ".repeat(10_000);
        let said = written(&RowDiff::new(2, 7, Some(("comment", &text)), Vec::new()), Layout::PIPE);
        assert!(said.ends_with("seven77 …\n") && said.len() < 1_100, "{said}");
    }
}
