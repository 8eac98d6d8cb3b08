//! The path of an output: what exists there, whether it may be written, and why not.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::links::resolve;
use super::open::{open_output, open_to_log, unnamed_in};
use super::refusal::{Refusal, Rule, kind_of, ourselves};
use crate::text::printable;

/// A kind of output, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputKind {
    /// `results`
    pub(crate) name: &'static str,
    /// The option that sets the path.
    pub(crate) option: &'static str,
    /// The message about a file that the command already uses.
    pub(crate) used: &'static str,
}

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError<E> {
    /// The path has something that must not be replaced.
    #[error(transparent)]
    Path(PathError),
    /// An I/O error, such as a full disk.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// The iterator of the rows failed.
    #[error(transparent)]
    Rows(E),
}

/// Why a path can't be used for an output.
#[derive(Debug)]
pub struct PathError {
    kind: &'static OutputKind,
    path: PathBuf,
    problem: PathProblem,
}

/// What is wrong with the path of an output.
#[derive(Debug)]
pub(crate) enum PathProblem {
    /// The existing file, or its directory, is refused.
    Refused(Refusal),
    /// The existing file must not be replaced: `is not a plan`.
    Kept(&'static str),
    /// Another process is writing it: `another fetch`.
    Held(&'static str),
    /// Anything else, as a sentence.
    Other(String),
}

impl<E: Into<Refusal>> From<E> for PathProblem {
    fn from(why: E) -> PathProblem {
        PathProblem::Refused(why.into())
    }
}

impl PathError {
    /// Returns a function for `map_err`.
    pub(crate) fn at<P: Into<PathProblem>>(kind: &'static OutputKind, path: &Path) -> impl Fn(P) -> PathError + Copy {
        move |problem| PathError { kind, path: path.to_owned(), problem: problem.into() }
    }

    /// Whether another process is writing the file: a later attempt may succeed.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self.problem, PathProblem::Held(_))
    }

    /// The I/O error, if that is the reason.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.problem {
            PathProblem::Refused(Refusal::Io(error)) => Some(error),
            _ => None,
        }
    }
}

impl Error for PathError {}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutputKind { name, option, used } = self.kind;
        write!(f, "cannot write {name} to `{}`: ", printable(&self.path.to_string_lossy()))?;
        match &self.problem {
            PathProblem::Refused(Refusal::Used) => write!(f, "{used}; name another file with `{option}`"),
            PathProblem::Refused(Refusal::Io(error)) => write!(f, "{error}"),
            PathProblem::Refused(why) => write!(f, "{why}; name another file with `{option}`"),
            PathProblem::Kept(why) => {
                write!(f, "the file exists and {why}; move it away, or name another file with `{option}`")
            }
            PathProblem::Held(other) => write!(f, "{other} is writing it"),
            PathProblem::Other(why) => f.write_str(why),
        }
    }
}

/// Examines a path without changing anything. If a file exists and is not empty, returns the result of `check`. `used` are
/// files that the command already uses.
///
/// # Errors
/// If the path must not be written, or `check` refuses the file.
pub(crate) fn inspect<T>(
    path: &Path,
    used: &[&Path],
    check: impl FnOnce(File) -> Result<T, PathProblem>,
) -> Result<Option<T>, PathProblem> {
    let path = resolve_parent(path)?;
    let checked = match find(&path)? {
        None => None,
        Some(found) if found.is_file() && used.iter().any(|used| is_same(used, &found)) => {
            return Err(Refusal::Used.into());
        }
        Some(found) => {
            Rule::Output.check(&found)?;
            expect_replaceable(directory_of(&path), &found)?;
            let file = (found.len() > 0).then(|| open_output(&path)).transpose()?;
            file.map(check).transpose()?
        }
    };
    expect_writable(directory_of(&path))?;
    Ok(checked)
}

/// Examines the path of a file to which others append, too, such as the summary of a job. Anyone may own it.
///
/// # Errors
/// If the path must not be written.
pub(crate) fn inspect_shared(path: &Path, used: &[&Path]) -> Result<(), Refusal> {
    let path = resolve_parent(path)?;
    match find(&path)? {
        Some(found) if !found.is_file() => return Err(Refusal::Kind(kind_of(&found))),
        Some(found) if used.iter().any(|used| is_same(used, &found)) => return Err(Refusal::Used),
        // The file is appended to, so its directory need not be writable.
        Some(_) => rustix::fs::access(&path, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)?,
        None => expect_writable(directory_of(&path))?,
    }
    Ok(())
}

/// Opens a log and appends to it. It is created if it is missing. `used` are files that the command already uses, and
/// `state` is the directory of the journal, where logs are not allowed.
///
/// # Errors
/// If the path must not be written.
pub(crate) fn open_log(path: &Path, used: &[&Path], state: Option<&Path>) -> Result<File, Refusal> {
    let path = resolve_parent(path)?;
    let directory = fs::metadata(directory_of(&path))?;
    let is_used = |used: &&Path| match find(&path) {
        Ok(Some(found)) => is_same(used, &found),
        _ => is_same_path(&path, used),
    };
    if used.iter().any(is_used) || state.is_some_and(|state| is_same(state, &directory)) {
        return Err(Refusal::Used);
    }
    open_to_log(&path)
}

/// Deletes an output that this user owns and nobody else can write, if `check` accepts the open file.
///
/// # Errors
/// If it is refused, or can't be deleted.
pub(crate) fn delete_own(path: &Path, check: impl FnOnce(File) -> bool) -> Result<(), Refusal> {
    let file = open_output(path)?;
    let owner = file.metadata()?.uid();
    if owner != ourselves() {
        return Err(Refusal::Owner(owner));
    }
    if !check(file) {
        return Err(Refusal::Used);
    }
    Ok(fs::remove_file(path)?)
}

pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether two paths name the same file, which need not exist.
pub(crate) fn is_same_path(a: &Path, b: &Path) -> bool {
    let canonical = |path: &Path| Some((directory_of(path).canonicalize().ok()?, path.file_name()?.to_owned()));
    canonical(a).is_some_and(|a| canonical(b) == Some(a))
}

/// Resolves the links of a path, except the last component.
pub(crate) fn resolve_parent(path: &Path) -> Result<PathBuf, Refusal> {
    match path.file_name() {
        Some(name) => Ok(resolve(directory_of(path))?.join(name)),
        None => Ok(path.to_owned()),
    }
}

/// The metadata of the file or link; `None` if it doesn't exist.
fn find(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Fails if no file can be created in the directory. Leaves no file there.
fn expect_writable(directory: &Path) -> io::Result<()> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(directory, access).map_err(io::Error::from)?;
    // Permissions don't tell everything, so try it.
    unnamed_in(directory).map(drop)
}

/// Fails if the file that was found can't be replaced: in a sticky directory, only its owner and the directory's may.
fn expect_replaceable(directory: &Path, found: &Metadata) -> Result<(), Refusal> {
    let directory = fs::metadata(directory)?;
    let is_sticky = directory.mode() & STICKY != 0;
    if is_sticky && ourselves() != 0 && ![found.uid(), directory.uid()].contains(&ourselves()) {
        return Err(Refusal::Owner(found.uid()));
    }
    Ok(())
}

/// `S_ISVTX`
const STICKY: u32 = 0o1000;

/// Whether two paths lead to the same file, links resolved.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    fs::metadata(one).is_ok_and(|found| is_same(other, &found))
}

/// Whether `other` is the file that was found.
fn is_same(other: &Path, found: &Metadata) -> bool {
    fs::metadata(other).is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
}
