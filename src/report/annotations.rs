//! Diagnostics as annotations of a CI job: one line for each, then their number.
//!
//! Promises: no text of the input begins a command; memory does not grow with the number of diagnostics.

use std::io::{self, Write};

use super::humanize::counted;
use crate::model::diagnostic::{Diagnostic, Severity};
use crate::text::{azure_message, azure_property, github_message, github_property};

/// GitHub shows ten annotations of each kind for a step
/// (<https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>). The tenth says how many are left.
const SHOWN_BY_GITHUB: usize = 9;

/// A service that shows annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnnotationStyle {
    /// GitHub Actions.
    GitHub,
    /// Azure Pipelines.
    Azure,
}

/// Writes diagnostics as annotations.
pub(crate) struct Annotations<W> {
    out: W,
    style: AnnotationStyle,
    errors: Kind,
    warnings: Kind,
}

/// The annotations of one severity.
#[derive(Default)]
struct Kind {
    count: u64,
    /// The lines that wait for the end: GitHub gets errors first.
    kept: Vec<String>,
}

impl<W: Write> Annotations<W> {
    /// Writes to `out`.
    pub(crate) fn new(out: W, style: AnnotationStyle) -> Annotations<W> {
        Annotations { out, style, errors: Kind::default(), warnings: Kind::default() }
    }

    /// Writes a diagnostic, or keeps it for the end.
    ///
    /// # Errors
    /// If `out` fails.
    pub(crate) fn add(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        let kind = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        kind.count += 1;
        match self.style {
            AnnotationStyle::Azure => writeln!(self.out, "{}", azure_line(diagnostic)),
            AnnotationStyle::GitHub => {
                if kind.kept.len() < SHOWN_BY_GITHUB {
                    kind.kept.push(github_line(diagnostic));
                }
                Ok(())
            }
        }
    }

    /// Writes what was kept, and the numbers of errors and warnings if these are all. Returns `out`.
    ///
    /// # Errors
    /// If `out` fails.
    pub(crate) fn finish(mut self, are_all: bool) -> io::Result<W> {
        let kinds = [(Severity::Error, &self.errors), (Severity::Warning, &self.warnings)];
        for (severity, kind) in kinds {
            for line in &kind.kept {
                writeln!(self.out, "{line}")?;
            }
            let more = kind.count - kind.kept.len() as u64;
            if self.style == AnnotationStyle::GitHub && more > 0 {
                writeln!(self.out, "::{}::and {more} more", severity.name())?;
            }
        }
        if are_all {
            let [errors, warnings] = kinds.map(|(severity, kind)| counted(kind.count, severity.name()));
            writeln!(self.out, "{errors}, {warnings}")?;
        }
        Ok(self.out)
    }
}

/// `::error file=close.csv,line=8,col=7,title=unknown-value::…`
fn github_line(diagnostic: &Diagnostic) -> String {
    let mut line = format!("::{} file={}", diagnostic.severity.name(), github_property(&diagnostic.file));
    for (property, number) in [("line", diagnostic.line), ("col", diagnostic.column)] {
        line.extend(number.map(|number| format!(",{property}={number}")));
    }
    line + &format!(",title={}::{}", github_property(diagnostic.code), github_message(&diagnostic.message))
}

/// `##vso[task.logissue type=error;sourcepath=close.csv;linenumber=8;columnnumber=7;code=unknown-value]…`
fn azure_line(diagnostic: &Diagnostic) -> String {
    let file = azure_property(&diagnostic.file);
    let mut line = format!("##vso[task.logissue type={};sourcepath={file}", diagnostic.severity.name());
    for (property, number) in [("linenumber", diagnostic.line), ("columnnumber", diagnostic.column)] {
        line.extend(number.map(|number| format!(";{property}={number}")));
    }
    line + &format!(";code={}]{}", azure_property(diagnostic.code), azure_message(&diagnostic.message))
}
