//! Tokens: where the command line and the environment say that they are, and whether they can be used.

use std::time::Duration;

use super::arguments::{CallArgs, TokenFileMode};
use super::environment::Environment;
use super::terminal::say;
use crate::cli::error::Error;
use crate::client::{TokenCache, TokenError, TokenFile, TokenNeeds};
use crate::clock::{Clock, wait_here};

/// A token file may be empty, or hold the old token, for so long: something is writing a new one.
const GRACE: Duration = Duration::from_secs(5);
/// It is read again this often.
const READ_AGAIN: Duration = Duration::from_millis(250);

/// The tokens that were named, if any were. An empty file is read again for a while.
///
/// # Errors
/// If what was named is no token, or the file is not to be read.
pub(super) fn from(calls: &CallArgs, env: &Environment) -> Result<Option<TokenCache>, Error> {
    let Some(path) = &calls.token_file else {
        return Ok(env.token.as_ref().map(TokenCache::given).transpose()?);
    };
    let file = TokenFile {
        path: path.clone(),
        any_mode: calls.token_file_mode == TokenFileMode::Any,
        credentials_directory: env.credentials_directory.clone(),
    };
    let mut tokens = TokenCache::from_source(file.clone());
    again(|| {
        let is_empty = tokens.as_ref().is_err_and(TokenError::is_empty);
        if is_empty {
            tokens = TokenCache::from_source(file.clone());
        }
        !is_empty
    });
    Ok(Some(tokens?))
}

/// Checks that a request may be sent with the token in use. A file with an expired one is read again for a while.
///
/// # Errors
/// If it has expired, or is for another service, tenant or use.
pub(super) fn expect(tokens: &TokenCache, clock: &Clock, needs: TokenNeeds) -> Result<(), Error> {
    let has_expired = || tokens.claims().has_expired(clock.now().wall);
    again(|| {
        if has_expired() {
            let _ = tokens.renew(tokens.current().1);
        }
        !(tokens.can_be_renewed() && has_expired())
    });
    if has_expired() {
        let at = tokens.claims().expiry(clock.now().wall).unwrap_or_default();
        return Err(Error::Token(if tokens.can_be_renewed() {
            TokenError::NotRenewed { at }
        } else {
            TokenError::Expired { at }
        }));
    }
    Ok(tokens.require(needs)?)
}

/// Does it again and again until it is done, or for as long as a token may take to be written.
fn again(mut done: impl FnMut() -> bool) {
    let mut left = GRACE;
    while !done() {
        if left == GRACE {
            say("waiting for a new token in the token file");
        }
        if left.is_zero() {
            return;
        }
        wait_here(READ_AGAIN);
        left = left.saturating_sub(READ_AGAIN);
    }
}
