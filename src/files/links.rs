//! Links: resolves the links of a path, if this user or root created each of them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::refusal::{Refusal, is_trusted};

/// The maximum number of links in a path, as in the kernel.
const MAX_LINKS: usize = 40;

/// Resolves all links of a path, including the last one. Components that don't exist stay as they are.
///
/// # Errors
/// [`Refusal::Link`] if another user created one of the links; if a link is broken or can't be followed.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, Refusal> {
    let mut resolved = PathBuf::new();
    // The next component is the last element.
    let mut pending = reversed(path);
    let mut links = 0;
    // The remaining components of the path itself; further ones come from links.
    let mut left = pending.len();
    while let Some(name) = pending.pop() {
        let is_of_link = pending.len() >= left;
        left = left.min(pending.len());
        if name == "/" {
            resolved = PathBuf::from("/");
            continue;
        }
        if name == ".." {
            step_up(&mut resolved);
            continue;
        }
        let next = resolved.join(&name);
        let found = match fs::symlink_metadata(&next) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_of_link => None,
            found => Some(found?),
        };
        let Some(found) = found.filter(fs::Metadata::is_symlink) else {
            resolved = next;
            continue;
        };
        if !is_trusted(found.uid()) {
            return Err(Refusal::Link { link: next, owner: found.uid() });
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::from(rustix::io::Errno::LOOP).into());
        }
        pending.extend(reversed(&fs::read_link(&next)?));
    }
    Ok(if resolved.as_os_str().is_empty() { PathBuf::from(".") } else { resolved })
}

fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().filter(|component| *component != Component::CurDir);
    let mut names: Vec<_> = names.map(|component| component.as_os_str().to_owned()).collect();
    names.reverse();
    names
}

/// Moves to the parent directory. The path has no links, so a name and `..` cancel each other.
fn step_up(resolved: &mut PathBuf) {
    match resolved.components().next_back() {
        Some(Component::Normal(_)) => drop(resolved.pop()),
        Some(Component::RootDir) => {}
        _ => resolved.push(".."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn path_without_own_links_is_unchanged() {
        for path in ["/", ".", "..", "../../x", "/nowhere/at/all", "nowhere/at-all"] {
            assert_eq!(resolve(Path::new(path)).expect("resolves"), Path::new(path));
        }
        assert_eq!(resolve(Path::new("./nowhere/../x")).expect("resolves"), Path::new("x"));
    }

    #[test]
    fn own_links_are_followed_as_the_kernel_does() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().canonicalize().expect("is there").join(name);
        fs::create_dir_all(at("private/state")).expect("creates");
        symlink("private", at("relative")).expect("links");
        symlink(at("relative/state"), at("absolute")).expect("links");
        symlink("loop", at("loop")).expect("links");
        symlink("missing/state", at("dangling")).expect("links");
        for path in ["relative/state", "absolute", "absolute/.", "absolute/../state"] {
            assert_eq!(resolve(&at(path)).expect("resolves"), at("private/state"), "{path}");
        }
        assert_eq!(resolve(&at("absolute/new/state")).expect("resolves"), at("private/state/new/state"));
        for path in ["dangling", "dangling/new", "loop"] {
            assert!(matches!(resolve(&at(path)), Err(Refusal::Io(_))), "{path}");
        }
        // Only root can give a link away.
        if lchown(at("relative"), Some(20_002), None).is_ok() {
            let refused = resolve(&at("absolute"));
            assert!(matches!(refused, Err(Refusal::Link { owner: 20_002, .. })), "{refused:?}");
        }
    }
}
