//! Where a page goes: the form that its name asks for, what may stand there already, and how it gets there.
//!
//! Promises: looking has no effect; nothing is replaced but an empty file or a page of ours; a page is complete and on
//! the disk before it takes the name, and its owner's alone.

use std::ffi::OsStr;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::wording::{DOCTYPE, MARK};
use super::{Review, ReviewRow, RunReport, RunReportRow, html, markdown};
use crate::files::{self, OutputError, OutputKind, PathError, PathProblem, Refusal};

/// The forms of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageFormat {
    Html,
    Markdown,
}

/// A path at which a page can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFile {
    path: PathBuf,
    form: PageFormat,
    /// Whether it goes behind what is there, whatever that is.
    appends: bool,
    others: Vec<PathBuf>,
}

const KIND: OutputKind =
    OutputKind { name: "the report", option: "--report", used: "the command already reads or writes that file" };

impl PageFile {
    /// Looks at what is there, and changes nothing. `others` are files that the command reads or writes beside it.
    ///
    /// # Errors
    /// Where the name ends in something else than `.html` or `.md`; where it is a link, a directory, a device or a
    /// pipe, one of the others, or a file that is no page; where its directory can't be written.
    pub fn examine(path: &Path, others: &[&Path]) -> Result<PageFile, PathError> {
        let others: Vec<PathBuf> = others.iter().map(|other| (*other).to_owned()).collect();
        let failed = PathError::at(&KIND, path);
        let no_form = || failed(PathProblem::Other("its name must end in `.html` or `.md`".to_owned()));
        let form = form_of(path).ok_or_else(no_form)?;
        examine(path, &others, false).map_err(failed)?;
        Ok(PageFile { path: path.to_owned(), form, appends: false, others })
    }

    /// A file to which everybody appends Markdown, such as the summary of a job in GitHub Actions. What is there stays.
    ///
    /// # Errors
    /// Where it is a link, a directory, a device or a pipe, or one of the others; where its directory can't be written.
    pub fn appending(path: &Path, others: &[&Path]) -> Result<PageFile, PathError> {
        let others: Vec<PathBuf> = others.iter().map(|other| (*other).to_owned()).collect();
        let file = PageFile { path: path.to_owned(), form: PageFormat::Markdown, appends: true, others };
        file.examine_again()?;
        Ok(file)
    }

    /// The path as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the review of a run that is to be sent, with its rows in their order.
    ///
    /// # Errors
    /// Where something else stands there by now, where it can't be written, and where `rows` ends in an error.
    pub fn write_review<E>(
        &self,
        review: &Review<'_>,
        rows: impl Iterator<Item = Result<ReviewRow, E>>,
    ) -> Result<(), OutputError<E>> {
        self.write(|out| match self.form {
            PageFormat::Html => html::review(out, review, rows),
            PageFormat::Markdown => markdown::review(out, self.used(), review, rows),
        })
    }

    /// Writes the run report, with its rows in the order that [`RunReportRow`] names.
    ///
    /// # Errors
    /// As [`PageFile::write_review`].
    pub fn write_run_report<E>(
        &self,
        report: &RunReport<'_>,
        rows: impl Iterator<Item = Result<RunReportRow, E>>,
    ) -> Result<(), OutputError<E>> {
        self.write(|out| match self.form {
            PageFormat::Html => html::run_report(out, report, rows),
            PageFormat::Markdown => markdown::run_report(out, self.used(), report, rows),
        })
    }

    fn write<E>(&self, write: impl FnOnce(&mut dyn Write) -> Result<(), OutputError<E>>) -> Result<(), OutputError<E>> {
        // Time has passed since the first look: a run was sent.
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
            return append(&self.path, &page).map_err(named);
        }
        files::replace(&self.path, write, named).map(drop)
    }

    fn examine_again(&self) -> Result<(), PathError> {
        examine(&self.path, &self.others, self.appends).map_err(PathError::at(&KIND, &self.path))
    }

    /// The number of bytes before the page.
    fn used(&self) -> u64 {
        if self.appends { self.path.metadata().map_or(0, |found| found.len()) } else { 0 }
    }
}

/// Adds a page behind what is there, on a line of its own.
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

fn form_of(path: &Path) -> Option<PageFormat> {
    let ending = path.extension().and_then(OsStr::to_str)?;
    if ending.eq_ignore_ascii_case("html") {
        Some(PageFormat::Html)
    } else if ending.eq_ignore_ascii_case("md") {
        Some(PageFormat::Markdown)
    } else {
        None
    }
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
        let found = PageFile::examine(&path, &[]);
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
        let form = |name: &str| form_of(Path::new(name));
        assert_eq!([form("a.html"), form("a.HTML")], [Some(PageFormat::Html); 2]);
        assert_eq!([form("x/a.md"), form("a.b.Md")], [Some(PageFormat::Markdown); 2]);
        assert_eq!([form("a"), form("a.htm"), form("a.pdf"), form(".md"), form("a.md.")], [None; 5]);
    }

    #[test]
    fn file_in_use_is_refused_under_any_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let (input, link) = (directory.path().join("a.csv"), directory.path().join("a.html"));
        fs::write(&input, "").expect("writes");
        fs::hard_link(&input, &link).expect("links");
        let refused = |path: &Path, other: &Path| {
            let examined = PageFile::examine(path, &[other]);
            examined.is_err_and(|error| error.to_string().contains("already reads or writes that file"))
        };
        assert!(refused(&link, &input));
        let later = directory.path().join("later.md");
        assert!(refused(&later, &directory.path().join("./later.md")));
        assert!(!refused(&later, &input));
    }
}
