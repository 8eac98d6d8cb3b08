//! Secret files: which files are read for a token or another secret, by their location, owner and mode.
//!
//! Promises: a file that group or others can write is never read; one that they can read, only in a directory where a
//! platform mounts secrets, or if the user allowed it; opening never blocks; no error shows the content.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::SecretSlice;

use super::token_text::LONGEST;
use crate::files::{Refusal, open_named_secret, resolve};

/// Where platforms mount secrets. systemd's credentials are in `$CREDENTIALS_DIRECTORY`.
const MOUNTS: [&str; 3] = ["/run/credentials", "/run/secrets", "/var/run/secrets"];

/// A file that holds a secret.
#[derive(Clone, Debug)]
pub struct SecretFile {
    /// What it is, for errors: `token file`.
    pub what: &'static str,
    /// Its path, as it was named.
    pub path: PathBuf,
    /// `--token-file-mode any`: its owner and who can read it don't matter.
    pub any_mode: bool,
    /// Another directory in which a platform mounts secrets.
    pub credentials_directory: Option<PathBuf>,
}

/// Why a secret file is not read.
#[derive(Debug)]
pub struct SecretFileError {
    /// What it is.
    pub what: &'static str,
    /// The file, or the link that is not followed.
    pub path: PathBuf,
    /// Why not.
    pub problem: SecretFileProblem,
}

/// What is wrong with a secret file.
#[derive(Debug)]
pub enum SecretFileProblem {
    /// It doesn't exist, or can't be read.
    Unreadable(io::Error),
    /// A directory, a pipe, a device.
    NotAFile,
    /// Longer than any secret.
    TooLong,
    /// Group or others can read it.
    Readable {
        /// Its permission bits.
        mode: u32,
        /// Whether the user may change them.
        can_change: bool,
    },
    /// Group or others can write it.
    Writable {
        /// Its permission bits.
        mode: u32,
        /// Whether the user may change them.
        can_change: bool,
    },
    /// It belongs to neither the user nor root.
    OfAnotherUser {
        /// Its owner.
        owner: u32,
    },
}

/// What it is and its path, for errors: `the token file /run/secrets/token`.
impl fmt::Display for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.what, self.path.display())
    }
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, path) = (self.what, self.path.display());
        match &self.problem {
            SecretFileProblem::Unreadable(error) => write!(f, "cannot read the {what} {path}: {error}"),
            SecretFileProblem::NotAFile => write!(f, "the {what} {path} is not a regular file"),
            SecretFileProblem::TooLong => write!(f, "the {what} {path} is longer than {LONGEST} bytes"),
            SecretFileProblem::Readable { mode, .. } => {
                write!(f, "the {what} {path} can be read by others (mode {mode:03o})")
            }
            SecretFileProblem::Writable { mode, .. } => {
                write!(f, "the {what} {path} can be written by others (mode {mode:03o})")
            }
            SecretFileProblem::OfAnotherUser { owner } => {
                write!(f, "the {what} {path} belongs to another user (uid {owner})")
            }
        }
    }
}

impl std::error::Error for SecretFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            SecretFileProblem::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

impl SecretFile {
    /// A file that only its owner can read, or that is in a directory of secrets.
    #[must_use]
    pub fn new(what: &'static str, path: &Path) -> SecretFile {
        SecretFile { what, path: path.to_owned(), any_mode: false, credentials_directory: None }
    }

    /// Its content. Waits for the disk.
    ///
    /// # Errors
    /// If the file must not or can't be read, or is longer than any secret.
    pub fn read(&self) -> Result<SecretSlice<u8>, SecretFileError> {
        let file = self.open()?;
        let mut bytes = Vec::new();
        let bound = u64::try_from(LONGEST).unwrap_or(u64::MAX) + 1;
        file.take(bound).read_to_end(&mut bytes).map_err(|error| self.error(SecretFileProblem::Unreadable(error)))?;
        let is_too_long = bytes.len() > LONGEST;
        let content = SecretSlice::from(bytes);
        if is_too_long { Err(self.error(SecretFileProblem::TooLong)) } else { Ok(content) }
    }

    /// Its content, read without blocking the thread.
    ///
    /// # Errors
    /// As [`SecretFile::read`].
    pub(super) async fn read_async(&self) -> Result<SecretSlice<u8>, SecretFileError> {
        let file = self.clone();
        let reading = tokio::task::spawn_blocking(move || file.read());
        // It isn't cancelled, so it has panicked.
        reading.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    fn error(&self, problem: SecretFileProblem) -> SecretFileError {
        SecretFileError { what: self.what, path: self.path.clone(), problem }
    }

    fn open(&self) -> Result<File, SecretFileError> {
        let path = &self.path;
        let unreadable = |error| self.error(SecretFileProblem::Unreadable(error));
        // Checked before it is opened, because opening a pipe blocks; symbolic links are followed.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(self.error(SecretFileProblem::NotAFile));
        }
        // Whoever creates the link chooses which secret is sent.
        if let (false, Err(Refusal::Link { link, owner })) = (self.any_mode, resolve(path)) {
            let problem = SecretFileProblem::OfAnotherUser { owner };
            return Err(SecretFileError { what: self.what, path: link, problem });
        }
        // The location of the file itself counts, not that of a link to it.
        let resolved = std::fs::canonicalize(path).map_err(unreadable)?;
        let file = open_named_secret(&resolved).map_err(unreadable)?;
        let facts = file.metadata().map_err(unreadable)?;
        if !facts.is_file() {
            return Err(self.error(SecretFileProblem::NotAFile));
        }
        self.check_access(&resolved, &facts).map_err(|problem| self.error(problem))?;
        Ok(file)
    }

    /// Checks who owns the opened file, and who can read and write it.
    #[cfg(unix)]
    fn check_access(&self, resolved: &Path, facts: &Metadata) -> Result<(), SecretFileProblem> {
        use std::os::unix::fs::MetadataExt as _;
        let (mode, owner, ourselves) = (facts.mode() & 0o777, facts.uid(), rustix::process::geteuid().as_raw());
        let can_change = owner == ourselves || ourselves == 0;
        if mode & 0o022 != 0 {
            return Err(SecretFileProblem::Writable { mode, can_change });
        }
        if self.any_mode || self.is_mounted(resolved) {
            return Ok(());
        }
        if owner != ourselves && owner != 0 {
            return Err(SecretFileProblem::OfAnotherUser { owner });
        }
        if mode & 0o077 != 0 && mode != 0o440 {
            return Err(SecretFileProblem::Readable { mode, can_change });
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn check_access(&self, _: &Path, _: &Metadata) -> Result<(), SecretFileProblem> {
        Ok(())
    }

    fn is_mounted(&self, resolved: &Path) -> bool {
        let own = self.credentials_directory.iter().map(PathBuf::as_path).filter(|dir| dir.parent().is_some());
        let places = MOUNTS.iter().map(Path::new).chain(own).filter(|dir| dir.is_absolute());
        places.filter_map(|dir| std::fs::canonicalize(dir).ok()).any(|dir| resolved.starts_with(dir))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            let dir = tempfile::tempdir().expect("a directory");
            std::fs::create_dir(dir.path().join("mounted")).expect("makes");
            Place { dir }
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.dir.path().join(name);
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, "a-token\n").expect("writes");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("our own file");
            path
        }

        fn read(&self, path: &Path, any_mode: bool) -> Result<String, SecretFileProblem> {
            let credentials_directory = Some(self.dir.path().join("mounted"));
            let file = SecretFile { any_mode, credentials_directory, ..SecretFile::new("token file", path) };
            let content = file.read().map_err(|error| error.problem)?;
            Ok(String::from_utf8(content.expose_secret().to_vec()).expect("text"))
        }
    }

    #[test]
    fn mode_owner_and_location_decide_as_documented() {
        let place = Place::new();
        for mode in [0o600, 0o400, 0o440] {
            assert!(place.read(&place.file("token", mode), false).is_ok(), "{mode:o}");
        }
        for mode in [0o644, 0o640, 0o604, 0o444, 0o404] {
            let path = place.file("token", mode);
            assert!(matches!(place.read(&path, false), Err(SecretFileProblem::Readable { .. })), "{mode:o}");
            assert!(place.read(&path, true).is_ok(), "{mode:o}");
            assert!(place.read(&place.file("mounted/token", mode), false).is_ok(), "{mode:o}");
        }
        for mode in [0o660, 0o620, 0o602, 0o666, 0o646] {
            for name in ["token", "mounted/token"] {
                let path = place.file(name, mode);
                for any_mode in [false, true] {
                    let error = place.read(&path, any_mode).expect_err("can be written by others");
                    assert!(matches!(error, SecretFileProblem::Writable { .. }), "{mode:o} {error:?}");
                }
            }
        }
        // Only root can give a file away.
        let others = place.file("token", 0o600);
        if chown(&others, Some(12_345), None).is_ok() {
            let error = place.read(&others, false).expect_err("another user's");
            assert!(matches!(error, SecretFileProblem::OfAnotherUser { owner: 12_345 }), "{error:?}");
            assert!(place.read(&others, true).is_ok());
            let mounted = place.file("mounted/token", 0o400);
            chown(&mounted, Some(12_345), None).expect("as before");
            assert!(place.read(&mounted, false).is_ok());
        }
    }

    #[test]
    fn links_are_judged_by_their_target() {
        let place = Place::new();
        let at = |name: &str| place.dir.path().join(name);
        // As Kubernetes mounts a secret: token -> ..data/token, ..data -> a directory with its time.
        std::fs::create_dir(at("mounted/..2026")).expect("makes");
        place.file("mounted/..2026/token", 0o644);
        symlink("..2026", at("mounted/..data")).expect("links");
        symlink("..data/token", at("mounted/token")).expect("links");
        assert_eq!(place.read(&at("mounted/token"), false).expect("mounted"), "a-token\n");
        symlink(at("mounted/token"), at("inward")).expect("links");
        assert!(place.read(&at("inward"), false).is_ok());
        symlink(place.file("token", 0o644), at("mounted/outward")).expect("links");
        assert!(matches!(place.read(&at("mounted/outward"), false), Err(SecretFileProblem::Readable { .. })));
    }

    #[test]
    fn only_a_regular_file_is_read() {
        let place = Place::new();
        let pipe = place.dir.path().join("mounted/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("makes");
        for path in [place.dir.path(), &pipe, Path::new("/dev/null")] {
            for any_mode in [false, true] {
                assert!(matches!(place.read(path, any_mode), Err(SecretFileProblem::NotAFile)), "{}", path.display());
            }
        }
        let missing = place.dir.path().join("missing");
        assert!(matches!(place.read(&missing, true), Err(SecretFileProblem::Unreadable(_))));
        let long = place.file("long", 0o600);
        std::fs::write(&long, vec![b'x'; LONGEST + 1]).expect("writes");
        assert!(matches!(place.read(&long, false), Err(SecretFileProblem::TooLong)));
    }
}
