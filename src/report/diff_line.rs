//! Changes: one row's before → after, for a person.
//!
//! Promises: a property is one line where there is room for it, and is wrapped between words where there is not; text
//! from outside is shown, not obeyed.

use std::io::{self, Write};

use serde_json::Value;

use super::humanize::{columns_of, fitted, wrapped};
use super::layout::Layout;
use crate::compare::PropertyDiff;
use crate::session::RowDiff;
use crate::text::printable;

/// What is shown of a value at most, in characters, and of a name.
const LONGEST: usize = 1_000;
const LONGEST_NAME: usize = 60;

/// Before a property.
const LEFT: &str = "    ";

/// The colors of what goes and of what comes.
const RED: u8 = 31;
const GREEN: u8 = 32;

impl RowDiff {
    /// Writes it, each property on a line of its own, old and new. What a terminal has no room for is wrapped.
    ///
    /// # Errors
    /// Where `out` fails.
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

/// Writes a property and what becomes of it: on one line, or where there is no room for it, on a line and more for each.
fn write_change<const N: usize>(
    out: &mut impl Write,
    layout: Layout,
    property: &str,
    parts: [(&String, u8); N],
) -> io::Result<()> {
    let name = fitted(property, LONGEST_NAME);
    let columns = LEFT.len() + columns_of(&name) + parts.iter().map(|(text, _)| columns_of(text) + 1).sum::<usize>();
    write!(out, "{LEFT}{name}")?;
    for (text, colour) in parts {
        match layout.width {
            Some(width) if columns > width => {
                let lines = wrapped(text, width.saturating_sub(LEFT.len() + 2));
                for line in lines.lines() {
                    write!(out, "\n{LEFT}  {}", layout.painted(line, colour))?;
                }
            }
            _ => write!(out, " {}", layout.painted(text, colour))?,
        }
    }
    writeln!(out)
}

/// A value as a person writes it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(not set)".to_owned(),
        Value::String(text) if text.is_empty() => "(not set)".to_owned(),
        Value::Array(list) if list.is_empty() => "(none)".to_owned(),
        Value::String(text) => shortened(text),
        other => shortened(&other.to_string()),
    }
}

/// Text from outside, safe to print; what is very long ends with a whole word.
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
        insta::assert_snapshot!(written(&changes(), Layout { width: Some(40), colour: false }), @r#"
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
        let said = written(&changes(), Layout { width: Some(80), colour: true });
        assert!(said.contains("    status \u{1b}[31mActive\u{1b}[0m \u{1b}[32m→ Resolved\u{1b}[0m\n"), "{said}");
    }

    #[test]
    fn very_long_comment_ends_with_whole_word() {
        let text = "seven77 ".repeat(10_000);
        let said = written(&RowDiff::new(2, 7, Some(("comment", &text)), Vec::new()), Layout::PIPE);
        assert!(said.ends_with("seven77 …\n") && said.len() < 1_100, "{said}");
    }
}
