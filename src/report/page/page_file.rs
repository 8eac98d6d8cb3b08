//! The file of a page: its format, which files it may replace, and how it is written.
//!
//! Promises: examining a path changes nothing; only an empty file or a page is replaced; a page is written atomically and
//! durably, and only its owner can read it.

use std::ffi::OsStr;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::wording::{DOCTYPE, MARK};
use super::{Review, ReviewRow, RunReport, RunReportRow, html, markdown};
use crate::files::{self, OutputError, OutputKind, PathError, PathProblem, Readers, Refusal};
use crate::report::humanize::count;

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFormat {
    /// HTML.
    Html,
    /// Markdown.
    Markdown,
}

/// A path at which a page can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFile {
    path: PathBuf,
    format: PageFormat,
    /// Whether the page is appended to any existing file.
    appends: bool,
    others: Vec<PathBuf>,
}

const KIND: OutputKind =
    OutputKind { name: "the report", option: "--report", used: "the command already reads or writes that file" };

impl PageFile {
    /// Examines the path without changing anything. `format` counts if the extension is not `.html` or `.md`. `others` are
    /// further files that the command reads or writes.
    ///
    /// # Errors
    /// If neither tells the format; if it is a link, a directory, a device, a pipe, one of the others, or a
    /// file that is not a page; if its directory can't be written.
    pub fn examine(path: &Path, format: Option<PageFormat>, others: &[&Path]) -> Result<PageFile, PathError> {
        let named = match path.extension().and_then(OsStr::to_str) {
            Some(extension) if extension.eq_ignore_ascii_case("html") => Some(PageFormat::Html),
            Some(extension) if extension.eq_ignore_ascii_case("md") => Some(PageFormat::Markdown),
            _ => format,
        };
        let Some(format) = named else {
            let why = "its name must end in `.html` or `.md`, unless you add `--report-format`";
            return Err(PathError::at(&KIND, path)(PathProblem::Other(why.to_owned())));
        };
        PageFile::examined(path, format, false, others)
    }

    /// A file to which other programs append Markdown, too, such as the summary of a job in GitHub Actions.
    ///
    /// # Errors
    /// If it is a link, a directory, a device, a pipe, or one of the others; if its directory can't be written.
    pub fn appending(path: &Path, others: &[&Path]) -> Result<PageFile, PathError> {
        PageFile::examined(path, PageFormat::Markdown, true, others)
    }

    fn examined(path: &Path, format: PageFormat, appends: bool, others: &[&Path]) -> Result<PageFile, PathError> {
        let others = others.iter().map(|other| (*other).to_owned()).collect();
        let file = PageFile { path: path.to_owned(), format, appends, others };
        file.examine_again()?;
        Ok(file)
    }

    /// Where the page can still be written if it could not: a file of others may have no room.
    #[must_use]
    pub fn second_path(&self) -> &Path {
        if self.appends { Path::new("report.md") } else { &self.path }
    }

    /// The path as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the review of a run, with its rows in order.
    ///
    /// # Errors
    /// If a different file exists by now, if it can't be written, or if `rows` yields an error.
    pub fn write_review<E>(
        &self,
        review: &Review<'_>,
        rows: impl Iterator<Item = Result<ReviewRow, E>>,
    ) -> Result<(), OutputError<E>> {
        self.write(|out| match self.format {
            PageFormat::Html => html::review(out, review, rows),
            PageFormat::Markdown => markdown::review(out, self.used(), review, rows),
        })
    }

    /// Writes the run report, with its rows in the order of [`RunReportRow`].
    ///
    /// # Errors
    /// As [`PageFile::write_review`].
    pub fn write_run_report<E>(
        &self,
        report: &RunReport<'_>,
        rows: impl Iterator<Item = Result<RunReportRow, E>>,
    ) -> Result<(), OutputError<E>> {
        self.write(|out| match self.format {
            PageFormat::Html => html::run_report(out, report, rows),
            PageFormat::Markdown => markdown::run_report(out, self.used(), report, rows),
        })
    }

    fn write<E>(&self, write: impl FnOnce(&mut dyn Write) -> Result<(), OutputError<E>>) -> Result<(), OutputError<E>> {
        // Time has passed since the first check, because a run was sent.
        self.examine_again().map_err(OutputError::Path)?;
        let named = |error: io::Error| {
            OutputError::Write(io::Error::new(error.kind(), format!("report `{}`: {error}", self.path.display())))
        };
        let write = |out: &mut dyn Write| {
            write(out).map_err(|error| match error {
                OutputError::Write(error) => named(error),
                other => other,
            })
        };
        if self.appends {
            let mut page = Vec::new();
            write(&mut page)?;
            if self.used() + page.len() as u64 >= markdown::LONGEST {
                let why = format!("no room: with it the file would have {} bytes or more", count(markdown::LONGEST));
                return Err(named(io::Error::other(why)));
            }
            return append(&self.path, &page).map_err(named);
        }
        files::replace(&self.path, Readers::Owner, write, named).map(drop)
    }

    fn examine_again(&self) -> Result<(), PathError> {
        examine(&self.path, &self.others, self.appends).map_err(PathError::at(&KIND, &self.path))
    }

    /// The number of bytes before the page.
    fn used(&self) -> u64 {
        if self.appends { self.path.metadata().map_or(0, |found| found.len()) } else { 0 }
    }
}

/// Appends a page to a file, beginning on a new line.
fn append(path: &Path, page: &[u8]) -> io::Result<()> {
    let mut file = files::resolve_parent(path).and_then(|path| files::append_to(&path))?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let between: &[u8] = if last == *b"\n" { b"" } else { b"\n" };
    file.write_all(&[between, page].concat())?;
    file.sync_all()
}

fn examine(path: &Path, others: &[PathBuf], appends: bool) -> Result<(), PathProblem> {
    if others.iter().any(|other| files::is_same_path(path, other)) {
        return Err(Refusal::Used.into());
    }
    let others: Vec<&Path> = others.iter().map(PathBuf::as_path).collect();
    if appends {
        return Ok(files::inspect_shared(path, &others)?);
    }
    files::inspect(path, &others, |file| {
        let mut start = Vec::new();
        let longest = (DOCTYPE.len() + MARK.len()) as u64;
        file.take(longest).read_to_end(&mut start)?;
        let start = start.strip_prefix(DOCTYPE.as_bytes()).unwrap_or(&start);
        if start.starts_with(MARK.as_bytes()) { Ok(()) } else { Err(PathProblem::Kept("is not a report")) }
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn holding(text: &str) -> Result<(), String> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("page.html");
        fs::write(&path, text).expect("writes");
        let found = PageFile::examine(&path, None, &[]);
        assert_eq!(fs::read_to_string(&path).expect("reads"), text, "examining has no effect");
        let reason = |error: PathError| error.to_string().split_once("`: ").map(|(_, reason)| reason.to_owned());
        found.map(drop).map_err(|error| reason(error).expect("a path and a reason"))
    }

    #[test]
    fn only_empty_files_and_pages_are_replaced() {
        for own in [String::new(), format!("{DOCTYPE}{MARK}x"), format!("{MARK}x")] {
            assert_eq!(holding(&own), Ok(()));
        }
        let foreign = "the file exists and is not a report; move it away, or name another file with `--report`";
        for other in
            ["x".to_owned(), DOCTYPE.to_owned(), format!("{DOCTYPE}<html>"), format!(" {MARK}"), MARK[1..].to_owned()]
        {
            assert_eq!(holding(&other), Err(foreign.to_owned()), "{other}");
        }
    }

    #[test]
    fn extension_selects_format_others_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let format = |name| PageFile::examine(&directory.path().join(name), None, &[]).ok().map(|file| file.format);
        assert_eq!(["a.html", "a.HTML"].map(format), [Some(PageFormat::Html); 2]);
        assert_eq!(["a.md", "a.b.Md"].map(format), [Some(PageFormat::Markdown); 2]);
        assert_eq!(["a", "a.htm", "a.pdf", ".md", "a.md."].map(format), [None; 5]);
        let markdown = |name| {
            let file = PageFile::examine(&directory.path().join(name), Some(PageFormat::Markdown), &[]);
            file.map(|file| file.format).ok()
        };
        assert_eq!(
            ["a", "a.txt", "a.html"].map(markdown).map(|format| format == Some(PageFormat::Markdown)),
            [true, true, false]
        );
    }

    #[test]
    fn file_in_use_is_refused_under_any_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let (input, link) = (directory.path().join("a.csv"), directory.path().join("a.html"));
        fs::write(&input, "").expect("writes");
        fs::hard_link(&input, &link).expect("links");
        let refused = |path: &Path, other: &Path| {
            let examined = PageFile::examine(path, None, &[other]);
            examined.is_err_and(|error| error.to_string().contains("already reads or writes that file"))
        };
        assert!(refused(&link, &input));
        let later = directory.path().join("later.md");
        assert!(refused(&later, &directory.path().join("./later.md")));
        assert!(!refused(&later, &input));
    }
}
