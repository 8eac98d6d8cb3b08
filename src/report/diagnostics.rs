//! Diagnostics as text (the first ones in full, then counts) and as JSON (all of them).
//!
//! Promises: lines fit into 80 columns, unless a word is longer; no text can control the terminal; memory does not grow with
//! the number of diagnostics.

use std::collections::BTreeMap;
use std::io::{self, Write};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::humanize::{columns_of as columns, width_of, wrapped};
use crate::model::diagnostic::{Diagnostic, Severity};
use crate::text::{escape_json, printable};

/// How many diagnostics are shown in full.
const IN_FULL: usize = 20;

/// The columns of the narrowest supported terminal.
const WIDTH: usize = 80;

/// The maximum number of further lines listed for equal diagnostics.
const NAMED: usize = 5;

/// Writes diagnostics as text. It groups those that differ only in their line, shows the first twenty groups, each with the
/// source line of its first diagnostic, and counts the others.
pub struct HumanDiagnostics<W> {
    out: W,
    renderer: Renderer,
    groups: Vec<Equal>,
    counts: BTreeMap<(Severity, &'static str), u64>,
}

/// A group of equal diagnostics.
struct Equal {
    first: Diagnostic,
    more: u64,
    /// The lines of the diagnostics after the first.
    lines: Vec<u64>,
}

impl Equal {
    fn includes(&self, other: &Diagnostic) -> bool {
        let first = &self.first;
        (first.code, &first.message, &first.help, &first.field, first.line.is_some())
            == (other.code, &other.message, &other.help, &other.field, other.line.is_some())
    }

    /// `the same on 29 more lines: 3, 4, 5, 6, 7, …`
    fn others(&self) -> Option<String> {
        let lines: Vec<String> = self.lines.iter().map(u64::to_string).collect();
        let (plural, rest) = (if self.more == 1 { "" } else { "s" }, if self.more > NAMED as u64 { ", …" } else { "" });
        (self.more > 0).then(|| format!("the same on {} more line{plural}: {}{rest}", self.more, lines.join(", ")))
    }
}

impl<W: Write> HumanDiagnostics<W> {
    /// Writes to `out`, with or without colors.
    pub fn new(out: W, with_color: bool) -> HumanDiagnostics<W> {
        let renderer = if with_color { Renderer::styled() } else { Renderer::plain() };
        HumanDiagnostics { out, renderer: renderer.term_width(WIDTH), groups: Vec::new(), counts: BTreeMap::new() }
    }

    /// Adds a diagnostic to its group, or only to the counts.
    pub fn add(&mut self, diagnostic: &Diagnostic) {
        *self.counts.entry((diagnostic.severity, diagnostic.code)).or_default() += 1;
        if let Some(group) = self.groups.iter_mut().find(|group| group.includes(diagnostic)) {
            group.more += 1;
            if group.lines.len() < NAMED {
                group.lines.extend(diagnostic.line);
            }
        } else if self.groups.len() < IN_FULL {
            self.groups.push(Equal { first: diagnostic.clone(), more: 0, lines: Vec::new() });
        }
    }

    /// Writes the groups. If these are not all diagnostics, also writes the count of each code, the largest first. Returns
    /// `out`.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn finish(mut self) -> io::Result<W> {
        for group in &self.groups {
            writeln!(self.out, "{}", render(&group.first, &self.renderer))?;
            writeln!(self.out, "{}", group.others().map(|others| format!("{others}\n")).unwrap_or_default())?;
        }
        let all: u64 = self.counts.values().sum();
        let shown: u64 = self.groups.iter().map(|group| 1 + group.more).sum();
        if all > shown {
            writeln!(self.out, "These are the first {shown} of {all}:\n")?;
            let mut counts: Vec<_> = self.counts.into_iter().collect();
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            for ((severity, code), count) in counts {
                writeln!(self.out, "{count:>10} {} {code}", severity.name())?;
            }
            writeln!(self.out)?;
        }
        Ok(self.out)
    }
}

/// Writes a JSON object with all diagnostics, one per line.
pub struct JsonDiagnostics<W> {
    out: W,
    is_first: bool,
}

impl<W: Write> JsonDiagnostics<W> {
    /// Writes to `out`.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn new(mut out: W) -> io::Result<JsonDiagnostics<W>> {
        write!(out, "{{\"diagnostics\":[")?;
        Ok(JsonDiagnostics { out, is_first: true })
    }

    /// Writes a diagnostic.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn add(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        let json = serde_json::to_string(diagnostic)?;
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        write!(self.out, "{comma}\n{}", escape_json(&json))
    }

    /// Ends the object if the check failed, with the members of `error`, a JSON object.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn finish_early(mut self, error: &str) -> io::Result<W> {
        let end = if self.is_first { "" } else { "\n" };
        writeln!(self.out, "{end}],\"rows\":null,\"valid\":null,{}", error.trim_start_matches('{'))?;
        Ok(self.out)
    }

    /// Ends the object with the numbers of rows; `None` if the input could not be read completely.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn finish(mut self, rows: Option<u64>, valid: Option<u64>) -> io::Result<W> {
        let number = |number: Option<u64>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
        let end = if self.is_first { "" } else { "\n" };
        writeln!(self.out, "{end}],\"rows\":{},\"valid\":{}}}", number(rows), number(valid))?;
        Ok(self.out)
    }
}

fn render(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let before_title = diagnostic.severity.name().len() + diagnostic.code.len() + 4;
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
        let PrintedSnippet { text, mark } = fit(snippet, WIDTH - gutter);
        let source = Snippet::source(text).line_start(line).annotation(AnnotationKind::Primary.span(mark));
        group = group.element(source);
    }
    if let Some(help) = &diagnostic.help {
        // Leaves room for the gutter and `= help: `.
        group = group.element(Level::HELP.message(wrapped(&printable(help), WIDTH - 20)));
    }
    let report: [Group<'_>; 1] = [group];
    without_elision(&renderer.render(&report), title_lines)
}

/// Removes the `:::` line, two lines after the title: it marks a different part of the file, but there is only one line.
fn without_elision(rendered: &str, title_lines: usize) -> String {
    let is_elision = |at: usize, line: &str| at == title_lines + 2 && line.contains(":::");
    let lines = rendered.lines().enumerate().filter(|(at, line)| !is_elision(*at, line));
    lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

/// A snippet that is safe to print and has a limited width.
struct PrintedSnippet {
    text: String,
    mark: std::ops::Range<usize>,
}

/// Escapes the snippet and then cuts it, because an escape is longer than its character.
fn fit(snippet: &crate::model::diagnostic::Snippet, width: usize) -> PrintedSnippet {
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
    PrintedSnippet { text: before + &mark + &after, mark: start..end }
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
    use crate::model::diagnostic::codes::{DUPLICATE, UNKNOWN_VALUE};
    use proptest::prelude::*;

    fn of_source(source: &str, mark: std::ops::Range<usize>) -> Diagnostic {
        Diagnostic::new(&UNKNOWN_VALUE, "close.csv", "`x` is not a value of status").at(source.as_bytes(), 7, mark)
    }

    fn text_of(diagnostics: &[Diagnostic]) -> String {
        let mut human = HumanDiagnostics::new(Vec::new(), false);
        for diagnostic in diagnostics {
            human.add(diagnostic);
        }
        String::from_utf8(human.finish().expect("memory")).expect("text")
    }

    #[test]
    fn diagnostic_marks_its_value_in_source_line() {
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
    fn equal_diagnostics_are_shown_once() {
        let text = text_of(&vec![of_source("1,x", 2..3); 8]);
        assert_eq!(text.matches("--> close.csv").count(), 1);
        assert!(text.ends_with("\nthe same on 7 more lines: 7, 7, 7, 7, 7, …\n\n"), "{text}");
    }

    #[test]
    fn groups_beyond_twenty_are_shown_as_counts() {
        let other = |n| Diagnostic::new(&DUPLICATE, "close.csv", format!("m{n}"));
        let mut all = vec![of_source("1,x", 2..3)];
        all.extend((0..24).map(other));
        let text = text_of(&all);
        assert_eq!(text.matches("--> close.csv").count(), 20);
        let counts =
            "These are the first 20 of 25:\n\n        24 warning duplicate\n         1 error unknown-value\n\n";
        assert!(text.ends_with(counts), "{text}");
    }

    #[test]
    fn json_diagnostic_keeps_the_original_values() {
        let mut json = JsonDiagnostics::new(Vec::new()).expect("memory");
        let value = "\u{1b}[31m\u{202e}\u{9b}\u{e0041}";
        let diagnostic = Diagnostic { value: Some(value.to_owned()), ..of_source("1,x", 2..3) };
        json.add(&diagnostic).expect("memory");
        json.add(&of_source("1,x", 2..3)).expect("memory");
        let text = String::from_utf8(json.finish(Some(2), Some(0)).expect("memory")).expect("text");
        assert_eq!(printable(&text.replace('\n', "")), text.replace('\n', ""));
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["diagnostics"][0]["value"], value);
        assert_eq!(read["diagnostics"][1]["line"], 7);
        assert_eq!((&read["rows"], &read["valid"]), (&2.into(), &0.into()));
    }

    proptest! {
        #[test]
        fn any_source_gives_safe_lines_that_fit(
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
