//! Secrets of credentials: in a variable or a file.
//!
//! Promise: neither `Debug` nor an error shows one.

use secrecy::{ExposeSecret as _, SecretString};

use crate::client::secret_file::SecretFile;
use crate::client::sign_in_error::SignInError;
use crate::client::token_source::TokenError;
use crate::client::token_text::TokenTextError;

/// A secret, given in a variable or kept in a file, which is read for each token.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The value of a variable.
    Given(SecretString),
    /// A file.
    File(SecretFile),
}

impl Secret {
    /// Its text, without a byte order mark and white space around it.
    pub(super) async fn text(&self) -> Result<SecretString, TokenError> {
        match self {
            Secret::Given(text) => Ok(text.clone()),
            Secret::File(file) => text_in(file).await,
        }
    }
}

/// The text in a file, without a byte order mark and white space around it. An empty one may be filled in a moment.
pub(super) async fn text_in(file: &SecretFile) -> Result<SecretString, TokenError> {
    let content = file.read_async().await?;
    let text = std::str::from_utf8(content.expose_secret());
    let text = text.map_err(|_| SignInError::refused(file.to_string(), "it is not UTF-8 text"))?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.is_empty() {
        return Err(TokenError::Text { place: file.to_string(), why: TokenTextError::Empty });
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_secret() {
        let secret = Secret::Given("s3cret-s3cret-s3cret".to_owned().into());
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn secret_in_file_is_trimmed_and_never_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = |bytes: &[u8]| {
            let path = dir.path().join("secret");
            std::fs::write(&path, bytes).expect("writes");
            SecretFile { any_mode: true, ..SecretFile::new("client secret file", &path) }
        };
        let found = text_in(&text(b"\xef\xbb\xbf a~b+c&d%e \r\n")).await.expect("a secret");
        assert_eq!(found.expose_secret(), "a~b+c&d%e");
        assert!(text_in(&text(b" \n")).await.expect_err("empty").is_empty());
        let error = text_in(&text(b"s3cret\xff")).await.expect_err("not text").to_string();
        assert!(error.ends_with(": it is not UTF-8 text") && !error.contains("s3cret"), "{error}");
    }
}
