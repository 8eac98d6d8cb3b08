//! What a run would do, shown without sending it.

use std::io;

use super::arguments::CallArgs;
use super::page::page_error;
use super::target::Target;
use super::terminal::Terminal;
use crate::cli::error::Error;
use crate::input::{Input, InputError, Source};
use crate::journal::RunKey;
use crate::model::diagnostic::Diagnostic;
use crate::report::Layout;
use crate::report::diagnostics::HumanDiagnostics;
use crate::report::next_command::NextCommand;
use crate::report::page::{PageFile, Review, Warnings, forecast, review_rows};
use crate::report::preview::Preview;
use crate::session::{PreparedRun, RunInput, Session};
use crate::text::printable;

/// Shows diagnostics on standard error, and keeps the warnings for a review. If standard error is gone, nobody can be
/// told, which is no reason to stop.
pub(super) struct Diagnostics {
    out: HumanDiagnostics<io::Stderr>,
    warnings: Warnings,
}

impl Diagnostics {
    pub(super) fn new(terminal: &Terminal) -> Diagnostics {
        Diagnostics { out: HumanDiagnostics::new(io::stderr(), terminal.err.color), warnings: Warnings::default() }
    }

    pub(super) fn show(&mut self, diagnostic: &Diagnostic) {
        self.warnings.add(diagnostic);
        self.out.add(diagnostic);
    }

    /// Ends the output. Returns the warnings.
    pub(super) fn finish(self) -> Warnings {
        let _ = self.out.finish();
        self.warnings
    }
}

/// Opens the input; what is wrong with it as a whole is shown.
///
/// # Errors
/// If it can't be read, or is invalid as a whole.
pub(super) fn opened(source: &Source, terminal: &Terminal) -> Result<Input, Error> {
    let show_invalid = |error: &InputError| {
        let InputError::Invalid(found) = error else { return };
        let mut diagnostics = Diagnostics::new(terminal);
        for diagnostic in found {
            diagnostics.show(diagnostic);
        }
        diagnostics.finish();
    };
    Ok(Input::open(source).inspect_err(show_invalid)?)
}

/// Imports an input, and shows what is wrong with it. Returns the warnings too.
///
/// # Errors
/// If the input is not valid, or the journal can't be written.
pub(super) fn import(
    session: Session,
    input: RunInput<'_>,
    terminal: &Terminal,
) -> Result<(PreparedRun, Warnings), Error> {
    let mut diagnostics = Diagnostics::new(terminal);
    let run = session.import(input, &mut |diagnostic| diagnostics.show(&diagnostic));
    let warnings = diagnostics.finish();
    Ok((run?, warnings))
}

/// Shows a run on `out`, with every change if its incidents were read.
///
/// # Errors
/// If the journal can't be read, or `out` fails.
pub(super) fn show(
    run: &PreparedRun,
    mut preview: Preview,
    mut out: impl io::Write,
    layout: Layout,
) -> Result<(), Error> {
    // All of them follow, not only these.
    preview.run.first_changes.clear();
    preview.write(&mut out, layout)?;
    if run.compared.is_some() && preview.run.counts.rows > 0 {
        writeln!(out, "\nChanges:")?;
        run.each_change(&preview.run.counts, usize::MAX, |change| change.write(&mut out, layout))?;
    }
    Ok(())
}

/// Writes the review of a run.
///
/// # Errors
/// If the journal can't be read, or the page can't be written.
pub(super) fn write_review(
    run: &PreparedRun,
    target: &Target,
    page: &PageFile,
    preview: &Preview,
    calls: &CallArgs,
    warnings: Warnings,
    next: &NextCommand,
) -> Result<(), Error> {
    let requests = preview.run.counts.requests;
    let contract = &target.contract;
    let review = Review {
        preview,
        contract: &contract.name,
        appended: contract.appended(),
        quota: &target.quota,
        forecast: forecast(&target.quota, calls.concurrency, &preview.run.outlook, run.clock().now(), requests),
        warnings,
        checksum: if let RunKey::Plan(checksum) = &run.key { Some(checksum.clone()) } else { None },
        next: Some(next.to_string()),
    };
    let rows = review_rows(&run.journal, &run.handle.name, &run.metadata.shape, contract, &preview.run.counts);
    page.write_review(&review, rows).map_err(page_error)
}

/// Says that nothing was sent, and how to send `rows` rows.
///
/// # Errors
/// If `out` fails.
pub(super) fn say_next(mut out: impl io::Write, rows: u64, next: &NextCommand) -> Result<(), Error> {
    if rows == 0 {
        return Ok(writeln!(out, "\nnothing to send")?);
    }
    Ok(writeln!(out, "\nnothing was sent; to send it:\n  {next}")?)
}

/// Says where the report is; on standard error if standard output is for something else.
///
/// # Errors
/// If it can't be written.
pub(super) fn say_report(page: &PageFile, on_stderr: bool) -> Result<(), Error> {
    let out: &mut dyn io::Write = if on_stderr { &mut io::stderr() } else { &mut io::stdout() };
    Ok(writeln!(out, "\nreport: {}", printable(&page.path().to_string_lossy()))?)
}
