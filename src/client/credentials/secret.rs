//! Secrets of credentials: in a variable or a file.
//!
//! Promise: neither `Debug` nor an error shows one.

use secrecy::{ExposeSecret as _, SecretString};

use crate::client::secret_file::SecretFile;
use crate::client::sign_in_error::SignInError;
use crate::client::token_source::TokenError;
use crate::client::token_text::{TokenTextError, token_in};

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
            Secret::Given(text) => Ok(trimmed(text.expose_secret()).into()),
            Secret::File(file) => text_in(file).await,
        }
    }
}

/// The text in a file, without a byte order mark and white space around it. An empty one may be filled in a moment.
pub(super) async fn text_in(file: &SecretFile) -> Result<SecretString, TokenError> {
    let content = file.read_async().await?;
    let refused = |message: &str| TokenError::from(SignInError::refused(file.to_string(), message));
    let text = std::str::from_utf8(content.expose_secret()).map_err(|_| refused("it is not UTF-8 text"))?;
    let text = trimmed(text);
    if text.is_empty() {
        return Err(TokenError::Text { from: file.to_string(), why: TokenTextError::Empty });
    }
    // UTF-16 text without a byte order mark is full of zero bytes.
    if text.contains(char::is_control) {
        return Err(refused(
            "it has more than one line, or a control character: it should hold one secret as plain text",
        ));
    }
    if text.starts_with(['"', '\'']) && text.ends_with(['"', '\'']) {
        return Err(refused("its secret is in quotation marks: remove them"));
    }
    Ok(SecretString::from(text))
}

/// The token in a file. Any other text, such as somebody's private key, is refused: the token is sent.
pub(super) async fn token_in_file(file: &SecretFile) -> Result<SecretString, TokenError> {
    let content = file.read_async().await?;
    token_in(content.expose_secret()).map_err(|why| TokenError::Text { from: file.to_string(), why })
}

/// Variables that a platform sets from a file end with its line break, too.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
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
    async fn only_tokens_are_taken_from_token_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        let file = SecretFile { any_mode: true, ..SecretFile::new("federated token file", &path) };
        std::fs::write(&path, "\u{feff}eyJ0.eyJ1.c2ln\r\n").expect("writes");
        assert_eq!(token_in_file(&file).await.expect("a token").expose_secret(), "eyJ0.eyJ1.c2ln");
        for text in ["-----BEGIN PRIVATE KEY-----\ns3cret\n", "Bearer s3cret", "\"s3cret\"", "s\0e\0c\0r\0", ""] {
            std::fs::write(&path, text).expect("writes");
            let error = token_in_file(&file).await.expect_err(text).to_string();
            assert!(error.starts_with("the federated token file /") && !error.contains("s3cret"), "{error}");
        }
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
        let given = Secret::Given(" a~b+c&d%e\n".to_owned().into());
        assert_eq!(given.text().await.expect("a secret").expose_secret(), "a~b+c&d%e");
        for (bytes, why) in [
            (&b"s3cret\nmore"[..], "more than one line"),
            (b"s\0e\0c\0", "a control character"),
            (b"\"s3cret\"\n", "in quotation marks"),
        ] {
            let error = text_in(&text(bytes)).await.expect_err(why).to_string();
            assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
        }
        let error = text_in(&text(b"s3cret\xff")).await.expect_err("not text").to_string();
        assert!(error.ends_with(": it is not UTF-8 text") && !error.contains("s3cret"), "{error}");
    }
}
