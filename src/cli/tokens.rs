//! Tokens: where the command line and the environment say that they are, and whether they can be used.

use std::time::Duration;

use super::arguments::{CallArgs, TokenFileMode};
use super::environment::Environment;
use super::terminal::say;
use crate::cli::error::Error;
use crate::client::{TokenCache, TokenError, TokenFile, TokenNeeds};
use crate::clock::Clock;

/// A wait for a token that is longer than this is announced.
const UNNOTICED: Duration = Duration::from_millis(100);

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
    let clock = Clock::machine();
    Ok(Some(wait(&clock, TokenCache::open(file, clock.clone()))??))
}

/// Checks that a request may be sent with the token in use. A file with an expired one is read again for a while.
///
/// # Errors
/// If it has expired, or is for another service, tenant or use.
pub(super) fn expect(tokens: &TokenCache, clock: &Clock, needs: TokenNeeds) -> Result<(), Error> {
    let expired_at = || {
        let (facts, now) = (tokens.claims(), clock.now().wall);
        facts.expiry(now).filter(|_| facts.has_expired(now))
    };
    if expired_at().is_some() && wait(clock, tokens.token(clock))?.is_err() {
        let at = expired_at().unwrap_or_default();
        return Err(Error::Token(if tokens.can_be_renewed() {
            TokenError::NotRenewed { at }
        } else {
            TokenError::Expired { at }
        }));
    }
    Ok(tokens.require(needs)?)
}

/// Waits for a token, and says so if that takes a while.
fn wait<T>(clock: &Clock, token: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|source| Error::Io { what: "cannot start a timer", source })?;
    let announced = async {
        clock.sleep_until(clock.now().boot + UNNOTICED).await;
        say("waiting for a new token in the token file");
        std::future::pending::<T>().await
    };
    Ok(runtime.block_on(async {
        tokio::select! {
            biased;
            token = token => token,
            never = announced => never,
        }
    }))
}
