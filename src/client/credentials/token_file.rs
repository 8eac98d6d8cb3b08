//! Token file: a token that another program keeps up to date.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::client::secret_file::SecretFile;
use crate::client::token_source::{BoxFuture, Token, TokenError, TokenSource};
use crate::client::token_text::token_with_lifetime;

/// A file that holds a token.
#[derive(Clone, Debug)]
pub struct TokenFile(pub SecretFile);

impl TokenFile {
    /// A file that only its owner can read, or that is in a directory of secrets.
    #[must_use]
    pub fn new(path: &Path) -> TokenFile {
        TokenFile(SecretFile::new("token file", path))
    }

    /// The token in it. Waits for the disk.
    ///
    /// # Errors
    /// If the file holds no token, or must not be read.
    pub fn read(&self) -> Result<SecretString, TokenError> {
        Ok(self.token_in(&self.0.read()?)?.text)
    }

    /// `expires_in` and `refresh_in` count from when the file was written, which is not known.
    fn token_in(&self, content: &SecretSlice<u8>) -> Result<Token, TokenError> {
        let found = token_with_lifetime(content.expose_secret());
        let (text, lifetime) = found.map_err(|why| TokenError::Text { from: self.0.to_string(), why })?;
        Ok(Token { text, expires: lifetime.expires_on, refresh: None })
    }
}

impl TokenSource for TokenFile {
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(async { self.token_in(&self.0.read_async().await?) })
    }

    fn name(&self) -> String {
        "the token file".to_owned()
    }
}
