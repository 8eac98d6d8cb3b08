//! Token file: which files are read for a token, by their location, owner and mode.
//!
//! Promises: a file that group or others can write is never read; one that they can read, only in a directory where a
//! platform mounts secrets, or if the user allowed it; opening never blocks.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::token_source::{BoxFuture, TokenError, TokenSource};
use super::token_text::{LONGEST, token_in};
use crate::files::{Refusal, open_named_secret, resolve};

/// Where platforms mount secrets. systemd's credentials are in `$CREDENTIALS_DIRECTORY`.
const MOUNTS: [&str; 3] = ["/run/credentials", "/run/secrets", "/var/run/secrets"];

/// A file that holds a token.
#[derive(Clone, Debug)]
pub struct TokenFile {
    /// Its path, as it was named.
    pub path: PathBuf,
    /// `--token-file-mode any`: its owner and who can read it don't matter.
    pub any_mode: bool,
    /// Another directory in which a platform mounts secrets.
    pub credentials_directory: Option<PathBuf>,
}

impl TokenFile {
    /// A file that only its owner can read, or that is in a directory of secrets.
    #[must_use]
    pub fn new(path: &Path) -> TokenFile {
        TokenFile { path: path.to_owned(), any_mode: false, credentials_directory: None }
    }

    fn open(&self) -> Result<File, TokenError> {
        let path = &self.path;
        let unreadable = |source| TokenError::Unreadable { path: path.clone(), source };
        // Checked before it is opened, because opening a pipe blocks; symbolic links are followed.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(TokenError::NotAFile { path: path.clone() });
        }
        // Whoever creates the link chooses which secret is sent.
        if let (false, Err(Refusal::Link { link, owner })) = (self.any_mode, resolve(path)) {
            return Err(TokenError::OfAnotherUser { path: link, owner });
        }
        // The location of the file itself counts, not that of a link to it.
        let resolved = std::fs::canonicalize(path).map_err(unreadable)?;
        let file = open_named_secret(&resolved).map_err(unreadable)?;
        let facts = file.metadata().map_err(unreadable)?;
        if !facts.is_file() {
            return Err(TokenError::NotAFile { path: path.clone() });
        }
        self.judge(&resolved, &facts)?;
        Ok(file)
    }

    #[cfg(unix)]
    fn judge(&self, resolved: &Path, facts: &Metadata) -> Result<(), TokenError> {
        use std::os::unix::fs::MetadataExt as _;
        let (mode, owner, ourselves) = (facts.mode() & 0o777, facts.uid(), rustix::process::geteuid().as_raw());
        let path = self.path.clone();
        let can_change = owner == ourselves || ourselves == 0;
        if mode & 0o022 != 0 {
            return Err(TokenError::Writable { path, mode, can_change });
        }
        if self.any_mode || self.is_mounted(resolved) {
            return Ok(());
        }
        if owner != ourselves && owner != 0 {
            return Err(TokenError::OfAnotherUser { path, owner });
        }
        if mode & 0o077 != 0 && mode != 0o440 {
            return Err(TokenError::Readable { path, mode, can_change });
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn judge(&self, _: &Path, _: &Metadata) -> Result<(), TokenError> {
        Ok(())
    }

    fn is_mounted(&self, resolved: &Path) -> bool {
        let own = self.credentials_directory.iter().map(PathBuf::as_path).filter(|dir| dir.parent().is_some());
        let places = MOUNTS.iter().map(Path::new).chain(own).filter(|dir| dir.is_absolute());
        places.filter_map(|dir| std::fs::canonicalize(dir).ok()).any(|dir| resolved.starts_with(dir))
    }
}

impl TokenFile {
    /// The token in it. Waits for the disk.
    ///
    /// # Errors
    /// If the file holds no token, or must not be read.
    pub fn read(&self) -> Result<SecretString, TokenError> {
        let file = self.open()?;
        let mut bytes = Vec::new();
        let bound = u64::try_from(LONGEST).unwrap_or(u64::MAX) + 1;
        let read = file.take(bound).read_to_end(&mut bytes);
        read.map_err(|source| TokenError::Unreadable { path: self.path.clone(), source })?;
        let token = token_in(&bytes);
        bytes.fill(0);
        token.map_err(|why| TokenError::Text { place: format!("the token file {}", self.path.display()), why })
    }
}

impl TokenSource for TokenFile {
    fn fetch(&self) -> BoxFuture<'_, Result<SecretString, TokenError>> {
        let file = self.clone();
        let reading = tokio::task::spawn_blocking(move || file.read());
        Box::pin(async {
            // It isn't cancelled, so it has panicked.
            reading.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        })
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

        fn read(&self, path: &Path, any_mode: bool) -> Result<String, TokenError> {
            let credentials_directory = Some(self.dir.path().join("mounted"));
            let file = TokenFile { path: path.to_owned(), any_mode, credentials_directory };
            file.read().map(|token| token.expose_secret().to_owned())
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
            assert!(matches!(place.read(&path, false), Err(TokenError::Readable { .. })), "{mode:o}");
            assert!(place.read(&path, true).is_ok(), "{mode:o}");
            assert!(place.read(&place.file("mounted/token", mode), false).is_ok(), "{mode:o}");
        }
        for mode in [0o660, 0o620, 0o602, 0o666, 0o646] {
            for name in ["token", "mounted/token"] {
                let path = place.file(name, mode);
                for any_mode in [false, true] {
                    let error = place.read(&path, any_mode).expect_err("can be written by others");
                    assert!(matches!(error, TokenError::Writable { .. }), "{mode:o} {error}");
                }
            }
        }
        // Only root can give a file away.
        let others = place.file("token", 0o600);
        if chown(&others, Some(12_345), None).is_ok() {
            let error = place.read(&others, false).expect_err("another user's");
            assert!(matches!(error, TokenError::OfAnotherUser { owner: 12_345, .. }), "{error}");
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
        assert_eq!(place.read(&at("mounted/token"), false).expect("mounted"), "a-token");
        symlink(at("mounted/token"), at("inward")).expect("links");
        assert!(place.read(&at("inward"), false).is_ok());
        symlink(place.file("token", 0o644), at("mounted/outward")).expect("links");
        assert!(matches!(place.read(&at("mounted/outward"), false), Err(TokenError::Readable { .. })));
    }

    #[test]
    fn only_a_regular_file_is_read() {
        let place = Place::new();
        let pipe = place.dir.path().join("mounted/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("makes");
        for path in [place.dir.path(), &pipe, Path::new("/dev/null")] {
            for any_mode in [false, true] {
                assert!(matches!(place.read(path, any_mode), Err(TokenError::NotAFile { .. })), "{}", path.display());
            }
        }
        let missing = place.dir.path().join("missing");
        assert!(matches!(place.read(&missing, true), Err(TokenError::Unreadable { .. })));
    }
}
