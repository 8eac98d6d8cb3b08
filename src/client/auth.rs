//! Tokens: where they come from, and when they are read again.
//!
//! Promises: a token is shown by nothing here, neither `Debug` nor an error; a token file that others can read is
//! refused; a token of another tenant never takes the place of this one's.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use super::claims::TokenFacts;

/// The largest token: several times what a token with every group of a large directory needs.
const LONGEST_TOKEN: usize = 64 * 1024;

/// A token file is looked at again this long before the token expires: whoever writes it may have done so by then.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// How it went to get a new token.
#[derive(Debug)]
pub enum Renewal {
    /// There is a new one.
    Renewed,
    /// The source still has the one that was refused.
    Same,
    /// The source has a token of another tenant: it was not taken.
    OtherTenant,
    /// The source can't be read.
    Failed(TokenError),
}

/// Why there is no token. Tells the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No such file, or no right to read it.
    #[error("can't read the token file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("the token file {path} is not a regular file: write the token to one that only you can read")]
    NotAFile {
        /// What is none.
        path: PathBuf,
    },
    /// The mode lets a group or everyone read or write it.
    #[error("the token file {path} is open to others (mode {mode:03o}): run `chmod 600 {path}`")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Nothing but white space.
    #[error("{place} is empty")]
    Empty {
        /// `the token`, or which file.
        place: String,
    },
    /// More than any token is long.
    #[error("{place} is longer than {LONGEST_TOKEN} bytes: it should hold a token and nothing else")]
    TooLong {
        /// `the token`, or which file.
        place: String,
    },
    /// White space inside, a control character, or not ASCII.
    #[error(
        "{place} has a character at byte {at} that no token has: it should hold the bare token as plain ASCII text, \
         without `Bearer`"
    )]
    Malformed {
        /// `the token`, or which file.
        place: String,
        /// From 1, white space before the token not counted.
        at: usize,
    },
}

/// The token in use and where the next one comes from.
#[derive(Debug)]
pub struct Tokens {
    /// `None`: the token was given, and there is no other.
    file: Option<PathBuf>,
    current: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    token: SecretString,
    /// Counts the tokens of this process, from 0.
    generation: u64,
    facts: TokenFacts,
}

impl Tokens {
    /// A token that stays as it is: from the environment.
    ///
    /// # Errors
    /// Where it is not one word of visible ASCII.
    pub fn given(token: &SecretString) -> Result<Tokens, TokenError> {
        let token = checked(token.expose_secret(), || "the token".to_owned())?;
        Ok(Tokens::holding(None, token))
    }

    /// The token in a file, which is read again when the token has expired or was refused.
    ///
    /// # Errors
    /// Where the file can't be read, is open to others, or holds no token.
    pub fn from_file(path: &Path) -> Result<Tokens, TokenError> {
        let token = read_file(path)?;
        Ok(Tokens::holding(Some(path.to_owned()), token))
    }

    fn holding(file: Option<PathBuf>, token: SecretString) -> Tokens {
        let facts = TokenFacts::read(token.expose_secret());
        Tokens { file, current: Mutex::new(Held { token, generation: 0, facts }) }
    }

    /// The token and its generation.
    #[must_use]
    pub fn current(&self) -> (SecretString, u64) {
        let held = self.held();
        (held.token.clone(), held.generation)
    }

    /// The token in use at `now`: the file is read again first where the token has expired. Without a better one it is
    /// the old one: the server's 401 then decides.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> (SecretString, u64) {
        let (token, generation) = self.current();
        let expired = self.claims().expires.is_some_and(|expires| expires.duration_since(now) <= EARLY);
        if expired && matches!(self.renew(generation), Renewal::Renewed) { self.current() } else { (token, generation) }
    }

    /// What the token in use says about itself.
    #[must_use]
    pub fn claims(&self) -> TokenFacts {
        self.held().facts.clone()
    }

    /// Gets another token than that of `generation`. Where that was replaced already, nothing is left to do.
    pub fn renew(&self, generation: u64) -> Renewal {
        let mut held = self.held();
        if held.generation != generation {
            return Renewal::Renewed;
        }
        let token = match self.file.as_deref().map(read_file) {
            None => return Renewal::Same,
            Some(Err(error)) => return Renewal::Failed(error),
            Some(Ok(token)) => token,
        };
        if token.expose_secret() == held.token.expose_secret() {
            return Renewal::Same;
        }
        let facts = TokenFacts::read(token.expose_secret());
        if facts.tenant != held.facts.tenant {
            return Renewal::OtherTenant;
        }
        *held = Held { token, generation: generation + 1, facts };
        Renewal::Renewed
    }

    /// A panic elsewhere leaves the token whole: it is replaced in one step.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_file(path: &Path) -> Result<SecretString, TokenError> {
    let unreadable = |source| TokenError::Unreadable { path: path.to_owned(), source };
    // Looked at before it is opened, for opening a pipe can wait for ever; symbolic links are followed.
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        return Err(TokenError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(unreadable)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::OpenToOthers { path: path.to_owned(), mode });
        }
    }
    let bound = u64::try_from(LONGEST_TOKEN).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    file.take(bound).read_to_end(&mut bytes).map_err(unreadable)?;
    // Bytes that are not UTF-8 become characters that no token has.
    let text = SecretString::from(String::from_utf8_lossy(&bytes).into_owned());
    checked(text.expose_secret(), || format!("the token file {}", path.display()))
}

/// The token in `text`, without white space around it.
fn checked(text: &str, place: impl Fn() -> String) -> Result<SecretString, TokenError> {
    if text.len() > LONGEST_TOKEN {
        return Err(TokenError::TooLong { place: place() });
    }
    let token = text.trim();
    if token.is_empty() {
        return Err(TokenError::Empty { place: place() });
    }
    match token.bytes().position(|byte| !byte.is_ascii_graphic()) {
        Some(at) => Err(TokenError::Malformed { place: place(), at: at + 1 }),
        None => Ok(SecretString::from(token)),
    }
}

/// `text` without the token, where the server repeats it. Told by the token's beginning, for the end may be cut off; a
/// word that short of a token is no secret and may be part of any text.
pub(super) fn hide(text: &str, token: &SecretString) -> String {
    const TELLING: usize = 16;
    const SHORTEST: usize = 8;
    let token = token.expose_secret();
    if token.len() < SHORTEST {
        return text.to_owned();
    }
    let mut parts = text.split(&token[..token.len().min(TELLING)]);
    let mut hidden = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        hidden.push_str("***");
        hidden.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c)));
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"tid":"72f988bf","upn":"ana@contoso.com","exp":1795514437}`: 2026-11-24T10:00:37Z.
    const JWT: &str =
        "eyJhbGciOiJub25lIn0.eyJ0aWQiOiI3MmY5ODhiZiIsInVwbiI6ImFuYUBjb250b3NvLmNvbSIsImV4cCI6MTc5NTUxNDQzN30.c2ln";
    /// The same an hour later.
    const LATER: &str =
        "eyJhbGciOiJub25lIn0.eyJ0aWQiOiI3MmY5ODhiZiIsInVwbiI6ImFuYUBjb250b3NvLmNvbSIsImV4cCI6MTc5NTUxODAzN30.c2ln";

    struct TokenFile(tempfile::NamedTempFile);

    impl TokenFile {
        fn holding(text: &str) -> TokenFile {
            let file = TokenFile(tempfile::NamedTempFile::new().expect("a temporary file, mode 0600"));
            file.write(text);
            file
        }

        fn write(&self, text: &str) {
            std::fs::write(self.0.path(), text).expect("our own file");
        }

        fn read(&self) -> Result<Tokens, TokenError> {
            Tokens::from_file(self.0.path())
        }
    }

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a plain time")
    }

    #[test]
    fn a_jwt_says_whose_it_is_and_how_long_it_lives() {
        let tokens = Tokens::given(&SecretString::from(format!(" {JWT}\n"))).expect("a token");
        let facts = tokens.claims();
        assert_eq!(facts.tenant.as_deref(), Some("72f988bf"));
        assert_eq!(facts.caller.as_deref(), Some("ana@contoso.com"));
        assert_eq!(facts.expires, Some(at("2026-11-24T10:00:37Z")));
        assert_eq!(tokens.current().0.expose_secret(), JWT);
    }

    #[test]
    fn a_file_is_read_again_when_the_token_has_expired_and_not_before() {
        let file = TokenFile::holding(JWT);
        let tokens = file.read().expect("a token");
        file.write(LATER);
        assert_eq!(tokens.at(at("2026-11-24T09:30:00Z")).1, 0);
        let (token, generation) = tokens.at(at("2026-11-24T10:00:37Z"));
        assert_eq!((token.expose_secret(), generation), (LATER, 1));
        assert_eq!(tokens.at(at("2026-11-24T12:00:00Z")).1, 1, "expired, and there is no other");
    }

    #[test]
    fn a_refused_token_is_renewed_once_for_all_that_held_it() {
        let file = TokenFile::holding("first");
        let tokens = file.read().expect("a token");
        assert!(matches!(tokens.renew(0), Renewal::Same));
        file.write("second");
        assert!(matches!(tokens.renew(0), Renewal::Renewed));
        assert!(matches!(tokens.renew(0), Renewal::Renewed), "a late answer to the first token");
        assert!(matches!(tokens.renew(1), Renewal::Same));
        std::fs::remove_file(file.0.path()).expect("our own file");
        assert!(matches!(tokens.renew(1), Renewal::Failed(TokenError::Unreadable { .. })));
        assert_eq!(tokens.current().0.expose_secret(), "second");
    }

    #[test]
    fn a_token_of_another_tenant_is_not_taken() {
        let file = TokenFile::holding(JWT);
        let tokens = file.read().expect("a token");
        for other in ["opaque", "a.eyJ0aWQiOiJvdGhlciJ9.c"] {
            file.write(other);
            assert!(matches!(tokens.renew(0), Renewal::OtherTenant), "{other}");
            assert_eq!(tokens.at(Timestamp::MAX).0.expose_secret(), JWT);
        }
    }

    #[test]
    fn a_given_token_has_no_other() {
        let tokens = Tokens::given(&SecretString::from("given")).expect("a token");
        assert!(matches!(tokens.renew(0), Renewal::Same));
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_shown() {
        for (text, error) in [
            ("", "is empty"),
            (" \r\n", "is empty"),
            ("Bearer s3cret", "byte 7"),
            ("s3cret\nmore", "byte 7"),
            ("s3cret\u{0}", "byte 7"),
            ("\u{feff}s3cret", "byte 1"),
            (&"s3cret".repeat(20_000), "longer than"),
        ] {
            let shown = TokenFile::holding(text).read().expect_err(text).to_string();
            assert!(shown.contains(error) && !shown.contains("s3cret"), "{shown}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_a_regular_file_of_ones_own_is_read() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let file = TokenFile::holding("token");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let link = folder.path().join("link");
        symlink(file.0.path(), &link).expect("our own directory");
        assert!(Tokens::from_file(&link).is_ok());
        assert!(matches!(Tokens::from_file(folder.path()), Err(TokenError::NotAFile { .. })));
        for mode in [0o640, 0o604, 0o620, 0o666] {
            std::fs::set_permissions(file.0.path(), std::fs::Permissions::from_mode(mode)).expect("our own file");
            let error = Tokens::from_file(&link).expect_err("open to others").to_string();
            assert!(error.contains(&format!("chmod 600 {}", link.display())), "{error}");
        }
    }

    #[test]
    fn nothing_shows_the_token() {
        let tokens = Tokens::given(&SecretString::from(JWT)).expect("a token");
        assert!(!format!("{tokens:?}").contains("eyJ"));
        let token = tokens.current().0;
        assert_eq!(hide(&format!("token '{JWT}' has expired"), &token), "token '***' has expired");
        assert_eq!(hide(&format!("bad {}…", &JWT[..40]), &token), "bad ***…");
        assert_eq!(hide("nothing of it", &token), "nothing of it");
        assert_eq!(hide("a token", &SecretString::from("token")), "a token");
    }
}
