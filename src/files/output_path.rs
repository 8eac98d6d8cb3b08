//! The path of an output: what is there, whether anything may be written, and why not.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::links::resolve;
use super::open::{open_output, open_to_log, unnamed_in};
use super::refusal::{Refusal, Rule, kind_of};
use crate::text::printable;

/// A kind of output, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputKind {
    /// `results`
    pub(crate) name: &'static str,
    /// The option that names another file.
    pub(crate) option: &'static str,
    /// What a file is called that the command uses already.
    pub(crate) used: &'static str,
}

/// Why an output can't be written at a path.
#[derive(Debug)]
pub struct PathError {
    kind: &'static OutputKind,
    path: PathBuf,
    problem: PathProblem,
}

/// What is wrong with the path of an output.
#[derive(Debug)]
pub(crate) enum PathProblem {
    /// What is there is not used, or can't be.
    Refused(Refusal),
    /// A file is there that may not be replaced: `is not a plan`.
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
    /// For `map_err`.
    pub(crate) fn at<P: Into<PathProblem>>(kind: &'static OutputKind, path: &Path) -> impl Fn(P) -> PathError + Copy {
        move |problem| PathError { kind, path: path.to_owned(), problem: problem.into() }
    }

    /// Whether another process is writing it, which will end.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self.problem, PathProblem::Held(_))
    }

    /// The error of the machine, if that is the reason.
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

/// Examines a path, and changes nothing. Returns what `judge` says of the file that is there, unless that is empty.
/// `used` are files that the command uses already.
///
/// # Errors
/// If nothing may be written there, or `judge` refuses the file.
pub(crate) fn inspect<T>(
    path: &Path,
    used: &[&Path],
    judge: impl FnOnce(File) -> Result<T, PathProblem>,
) -> Result<Option<T>, PathProblem> {
    let path = after_links(path)?;
    let judged = match find(&path)? {
        None => None,
        Some(found) if found.is_file() && used.iter().any(|used| is_same(used, &found)) => {
            return Err(Refusal::Used.into());
        }
        Some(found) => {
            Rule::Output.judge(&found)?;
            let file = (found.len() > 0).then(|| open_output(&path)).transpose()?;
            file.map(judge).transpose()?
        }
    };
    expect_writable(directory_of(&path))?;
    Ok(judged)
}

/// Examines the path of a file to which others append too, such as the summary of a job. Anybody may own it.
///
/// # Errors
/// If nothing may be written there.
pub(crate) fn look_at_shared(path: &Path, used: &[&Path]) -> Result<(), Refusal> {
    let path = after_links(path)?;
    match find(&path)? {
        Some(found) if !found.is_file() => return Err(Refusal::Kind(kind_of(&found))),
        Some(found) if used.iter().any(|used| is_same(used, &found)) => return Err(Refusal::Used),
        // It is added to, so its directory need not be writable.
        Some(_) => rustix::fs::access(&path, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)?,
        None => expect_writable(directory_of(&path))?,
    }
    Ok(())
}

/// Opens a log, to add to it; it is created if it is missing. `used` are files that the command uses already, and
/// `state` is the directory of the journal, in which no log may be.
///
/// # Errors
/// If nothing may be written there.
pub(crate) fn open_log(path: &Path, used: &[&Path], state: Option<&Path>) -> Result<File, Refusal> {
    let path = after_links(path)?;
    let directory = fs::metadata(directory_of(&path))?;
    let is_used = |used: &&Path| match find(&path) {
        Ok(Some(found)) => is_same(used, &found),
        _ => is_one_name(&path, used),
    };
    if used.iter().any(is_used) || state.is_some_and(|state| is_same(state, &directory)) {
        return Err(Refusal::Used);
    }
    open_to_log(&path)
}

pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether two paths lead to one place, where nothing may be yet.
pub(crate) fn is_one_name(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| Some((directory_of(path).canonicalize().ok()?, path.file_name()?.to_owned()));
    place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one))
}

/// The path after the links of its directory. A link that has the name itself is not followed.
pub(crate) fn after_links(path: &Path) -> Result<PathBuf, Refusal> {
    match path.file_name() {
        Some(name) => Ok(resolve(directory_of(path))?.join(name)),
        None => Ok(path.to_owned()),
    }
}

/// What has the name.
fn find(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Tries whether a file can be created in a directory. Nothing is left of it.
fn expect_writable(directory: &Path) -> io::Result<()> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(directory, access).map_err(io::Error::from)?;
    // Rights on paper are not rights in fact: try.
    unnamed_in(directory).map(drop)
}

/// Whether `other` leads to what was found.
fn is_same(other: &Path, found: &Metadata) -> bool {
    fs::metadata(other).is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
}
