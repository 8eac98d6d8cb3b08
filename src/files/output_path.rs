//! The place of an output: what is there, and whether anything may be written.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::links::resolve;
use super::open::{open_output, open_to_log, unnamed_in};
use super::refusal::{Refusal, Rule};

/// Why nothing may be written at a place, whatever it is that would be.
#[derive(Debug)]
pub(crate) enum PathProblem {
    /// It is a file that the command uses already.
    Used,
    /// What is there is not used, or can't be.
    Refused(Refusal),
}

impl<E: Into<Refusal>> From<E> for PathProblem {
    fn from(why: E) -> PathProblem {
        PathProblem::Refused(why.into())
    }
}

/// Looks at a place, and changes nothing. What `judge` says of the file that is there comes back; an empty one, or none,
/// is not judged. `used` are files that the command uses already.
///
/// # Errors
/// Where there is an [`PathProblem`], or the file is not one that may be replaced.
pub(crate) fn inspect<T, R: From<PathProblem>>(
    path: &Path,
    used: &[&Path],
    judge: impl FnOnce(File) -> Result<T, R>,
) -> Result<Option<T>, R> {
    let path = after_links(path).map_err(PathProblem::Refused)?;
    let judged = match find(&path)? {
        None => None,
        Some(found) if found.is_file() && used.iter().any(|used| is_same(used, &found)) => {
            return Err(PathProblem::Used.into());
        }
        Some(found) => {
            Rule::Output.judge(&found).map_err(PathProblem::Refused)?;
            let file = (found.len() > 0).then(|| open_output(&path)).transpose().map_err(PathProblem::Refused)?;
            file.map(judge).transpose()?
        }
    };
    expect_writable(directory_of(&path)).map_err(PathProblem::from)?;
    Ok(judged)
}

/// The place of a file to which others add too, such as the summary of a job: it belongs to whoever made it.
///
/// # Errors
/// Where there is an [`PathProblem`].
pub(crate) fn look_at_shared(path: &Path, used: &[&Path]) -> Result<(), PathProblem> {
    let path = after_links(path)?;
    match find(&path)? {
        Some(found) if !found.is_file() => return Err(Refusal::Kind(super::kind_of(&found)).into()),
        Some(found) if used.iter().any(|used| is_same(used, &found)) => return Err(PathProblem::Used),
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
/// Where there is an [`PathProblem`].
pub(crate) fn open_log(path: &Path, used: &[&Path], state: Option<&Path>) -> Result<File, PathProblem> {
    let path = after_links(path)?;
    let directory = fs::metadata(directory_of(&path))?;
    let is_used = |used: &&Path| match find(&path) {
        Ok(Some(found)) => is_same(used, &found),
        _ => is_one_name(&path, used),
    };
    if used.iter().any(is_used) || state.is_some_and(|state| is_same(state, &directory)) {
        return Err(PathProblem::Used);
    }
    Ok(open_to_log(&path)?)
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
fn find(path: &Path) -> Result<Option<Metadata>, PathProblem> {
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
