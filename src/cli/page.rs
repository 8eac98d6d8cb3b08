//! The file of `--report`.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::global::GlobalArgs;
use crate::cli::error::Error;
use crate::files::OutputError;
use crate::report::page::{PageFile, PageFormat};

/// `--report-format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// A page for a browser
    Html,
    /// A page for a wiki, a ticket or a job summary
    Md,
}

impl From<ReportFormat> for PageFormat {
    fn from(format: ReportFormat) -> PageFormat {
        match format {
            ReportFormat::Html => PageFormat::Html,
            ReportFormat::Md => PageFormat::Markdown,
        }
    }
}

/// The file of `--report`, checked before anything is read.
///
/// # Errors
/// If no page can be written there.
pub(super) fn page_file(
    report: Option<&PathBuf>,
    format: Option<ReportFormat>,
    others: &[Option<&Path>],
    global: &GlobalArgs,
    env: &Environment,
) -> Result<Option<PageFile>, Error> {
    let others: Vec<&Path> = others.iter().copied().flatten().chain(global.log_file.as_deref()).collect();
    let file = |path: &PathBuf| {
        if env.step_summary.as_ref() == Some(path) {
            PageFile::appending(path, &others)
        } else {
            PageFile::examine(path, format.map(PageFormat::from), &others)
        }
    };
    Ok(report.map(file).transpose()?)
}

pub(super) fn page_error<E: Into<Error>>(error: OutputError<E>) -> Error {
    match error {
        OutputError::Path(error) => error.into(),
        OutputError::Write(error) => Error::Report(error),
        OutputError::Rows(error) => error.into(),
    }
}
