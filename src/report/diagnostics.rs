//! Diagnostics as a person reads them (the first ones in full, then counts), and as a script does (all of them).
//!
//! Promises: a line fits into 80 columns unless a word does not; nothing that is written drives the terminal; memory
//! does not grow with the number of diagnostics.

use std::collections::BTreeMap;
use std::io::{self, Write};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::wording::{columns_of as columns, width_of, wrapped};
use crate::diagnostic::{Diagnostic, Severity};
use crate::text::{escape_json, printable};

/// How many diagnostics are shown in full.
const IN_FULL: u64 = 20;

/// The columns of the narrowest terminal that is cared for.
const WIDTH: usize = 80;

/// Shows diagnostics as they come: the first twenty with their source lines, then only counted.
pub struct HumanDiagnostics<W> {
    out: W,
    renderer: Renderer,
    shown: u64,
    counts: BTreeMap<(Severity, &'static str), u64>,
}

impl<W: Write> HumanDiagnostics<W> {
    /// Writes to `out`, with colours or without.
    pub fn new(out: W, with_colour: bool) -> HumanDiagnostics<W> {
        let renderer = if with_colour { Renderer::styled() } else { Renderer::plain() };
        HumanDiagnostics { out, renderer: renderer.term_width(WIDTH), shown: 0, counts: BTreeMap::new() }
    }

    /// Shows or counts one.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn tell(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        *self.counts.entry((diagnostic.severity, diagnostic.code)).or_default() += 1;
        if self.shown == IN_FULL {
            return Ok(());
        }
        self.shown += 1;
        writeln!(self.out, "{}\n", render(diagnostic, &self.renderer))
    }

    /// Shows the counts for each code, where not all were shown. Gives back what it wrote to.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn finish(mut self) -> io::Result<W> {
        let all: u64 = self.counts.values().sum();
        if all > self.shown {
            writeln!(self.out, "These are the first {} of {all}:\n", self.shown)?;
            for ((severity, code), count) in &self.counts {
                writeln!(self.out, "{count:>10} {} {code}", name(*severity))?;
            }
            writeln!(self.out)?;
        }
        Ok(self.out)
    }
}

/// Writes one JSON object with all diagnostics, one a line, as they come.
pub struct JsonDiagnostics<W> {
    out: W,
    is_first: bool,
}

impl<W: Write> JsonDiagnostics<W> {
    /// Writes to `out`.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn new(mut out: W) -> io::Result<JsonDiagnostics<W>> {
        write!(out, "{{\"diagnostics\":[")?;
        Ok(JsonDiagnostics { out, is_first: true })
    }

    /// Writes one.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn tell(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        let json = serde_json::to_string(diagnostic)?;
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        write!(self.out, "{comma}\n{}", escape_json(&json))
    }

    /// Ends the object with the numbers of rows; `None` where the input could not be read to its end.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn finish(mut self, rows: Option<u64>, valid: Option<u64>) -> io::Result<W> {
        let number = |number: Option<u64>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
        let end = if self.is_first { "" } else { "\n" };
        writeln!(self.out, "{end}],\"rows\":{},\"valid\":{}}}", number(rows), number(valid))?;
        Ok(self.out)
    }
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn render(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let before_title = name(diagnostic.severity).len() + diagnostic.code.len() + 4;
    let title = wrapped(&printable(&diagnostic.message), WIDTH - before_title);
    let title_lines = title.lines().count();
    let file = printable(&diagnostic.file);
    let line = diagnostic.line.and_then(|line| usize::try_from(line).ok());
    let mut origin = Origin::path(file);
    if let Some(line) = line {
        origin = origin.line(line);
    }
    if let Some(column) = diagnostic.column.and_then(|column| usize::try_from(column).ok()) {
        origin = origin.char_column(column);
    }
    let mut group = level.primary_title(title).id(diagnostic.code).element(origin);
    if let (Some(snippet), Some(line)) = (&diagnostic.snippet, line) {
        let gutter = line.to_string().len() + 3;
        let Shown { text, mark } = shown(snippet, WIDTH - gutter);
        let source = Snippet::source(text).line_start(line).annotation(AnnotationKind::Primary.span(mark));
        group = group.element(source);
    }
    if let Some(help) = &diagnostic.help {
        // The gutter, "= help: ".
        group = group.element(Level::HELP.message(wrapped(&printable(help), WIDTH - 20)));
    }
    let report: [Group<'_>; 1] = [group];
    without_elision(&renderer.render(&report), title_lines)
}

/// The source line is shown alone, so the `:::` that says "somewhere else in the file" is left out: it comes two lines
/// after the title's.
fn without_elision(rendered: &str, title_lines: usize) -> String {
    let is_elision = |place: usize, line: &str| place == title_lines + 2 && line.contains(":::");
    let lines = rendered.lines().enumerate().filter(|(place, line)| !is_elision(*place, line));
    lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

/// A snippet as it is printed: safe, and cut to a width.
struct Shown {
    text: String,
    mark: std::ops::Range<usize>,
}

/// Makes the snippet safe first and cuts it then: an escape is longer than what it stands for.
fn shown(snippet: &crate::diagnostic::Snippet, width: usize) -> Shown {
    let part = |range: std::ops::Range<usize>| printable(snippet.text.get(range).unwrap_or_default()).into_owned();
    let before = part(0..snippet.mark.start);
    let mark = part(snippet.mark.clone());
    let after = part(snippet.mark.end..snippet.text.len());
    let mark = cut_end(&mark, width * 2 / 3);
    let left = width - columns(&mark);
    let before = cut_start(&before, left.saturating_sub(columns(&after).min(left / 3)));
    let after = cut_end(&after, left - columns(&before));
    let start = before.len();
    let end = start + mark.len();
    Shown { text: before + &mark + &after, mark: start..end }
}

fn cut_end(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let kept: String = text.chars().take_while(|character| take(&mut left, *character)).collect();
    if width == 0 { kept } else { kept + "…" }
}

fn cut_start(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let cut = text.char_indices().rev().take_while(|(_, character)| take(&mut left, *character)).last();
    let kept = cut.map_or("", |(at, _)| &text[at..]);
    if width == 0 { kept.to_owned() } else { format!("…{kept}") }
}

fn take(left: &mut usize, character: char) -> bool {
    let fits = width_of(character) <= *left;
    *left = left.saturating_sub(width_of(character));
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::codes::{DUPLICATE, UNKNOWN_VALUE};
    use proptest::prelude::*;

    fn of_source(source: &str, mark: std::ops::Range<usize>) -> Diagnostic {
        Diagnostic::new(&UNKNOWN_VALUE, "close.csv", "`x` is not a value of status").at(source.as_bytes(), 7, mark)
    }

    fn text_of(diagnostics: &[Diagnostic]) -> String {
        let mut human = HumanDiagnostics::new(Vec::new(), false);
        for diagnostic in diagnostics {
            human.tell(diagnostic).expect("memory");
        }
        String::from_utf8(human.finish().expect("memory")).expect("text")
    }

    #[test]
    fn a_diagnostic_marks_the_value_in_its_source_line() {
        let diagnostic =
            Diagnostic { help: Some("did you mean `Resolved`?".to_owned()), ..of_source("12,resolvd,x", 3..10) };
        insta::assert_snapshot!(text_of(&[diagnostic]), @r"
        error[unknown-value]: `x` is not a value of status
         --> close.csv:7:4
          |
        7 | 12,resolvd,x
          |    ^^^^^^^
          |
          = help: did you mean `Resolved`?
        ");
    }

    #[test]
    fn after_twenty_only_counts_are_shown() {
        let mut all = vec![of_source("1,x", 2..3); 22];
        all.push(Diagnostic::new(&DUPLICATE, "close.csv", "m"));
        let text = text_of(&all);
        assert_eq!(text.matches("--> close.csv").count(), 20);
        assert!(text.ends_with(
            "These are the first 20 of 23:\n\n        22 error unknown-value\n         1 warning duplicate\n\n"
        ));
    }

    #[test]
    fn json_is_one_object_and_keeps_the_values() {
        let mut json = JsonDiagnostics::new(Vec::new()).expect("memory");
        let value = "\u{1b}[31m\u{202e}\u{9b}\u{e0041}";
        let diagnostic = Diagnostic { value: Some(value.to_owned()), ..of_source("1,x", 2..3) };
        json.tell(&diagnostic).expect("memory");
        json.tell(&of_source("1,x", 2..3)).expect("memory");
        let text = String::from_utf8(json.finish(Some(2), Some(0)).expect("memory")).expect("text");
        assert_eq!(printable(&text.replace('\n', "")), text.replace('\n', ""));
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["diagnostics"][0]["value"], value);
        assert_eq!(read["diagnostics"][1]["line"], 7);
        assert_eq!((&read["rows"], &read["valid"]), (&2.into(), &0.into()));
    }

    proptest! {
        #[test]
        fn whatever_the_source_is_lines_are_safe_and_fit(
            before in ".{0,120}", mark in ".{0,120}", after in ".{0,120}",
        ) {
            let source = format!("{before}{mark}{after}");
            let text = text_of(&[of_source(&source, before.len()..before.len() + mark.len())]);
            for line in text.lines() {
                prop_assert!(line.chars().count() <= WIDTH, "{}", line);
                prop_assert_eq!(&printable(line), line);
            }
        }
    }
}
