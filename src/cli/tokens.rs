//! Tokens: waiting for them, and whether they can be used.

use std::time::Duration;

use super::patience::until_asked_to_stop;
use super::terminal::say;
use crate::cli::error::Error;
use crate::client::{TokenCache, TokenError, TokenNeeds};
use crate::clock::Clock;

/// A wait for a token that is longer than this is announced.
const UNNOTICED: Duration = Duration::from_secs(1);

/// Checks that a request may be sent with the token in use. An expired one is renewed, if it can be.
///
/// # Errors
/// If it has expired, or is for another service, tenant or use.
pub(super) fn expect(tokens: &TokenCache, clock: &Clock, needs: TokenNeeds) -> Result<(), Error> {
    if tokens.claims().has_expired(clock.now().wall) {
        wait(clock, &tokens.source_name(), tokens.token(clock))?.map_err(|error| match &*error {
            TokenError::ExpiredInUse { at } => Error::from(TokenError::Expired { at: at.clone() }),
            _ => Error::Token(error),
        })?;
    }
    Ok(tokens.require(needs)?)
}

/// Waits for a token of this source, and says so if that takes a while. A signal ends the wait.
pub(super) fn wait<T>(clock: &Clock, source: &str, token: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Io { what: "cannot start a timer", source })?;
    let announced = async {
        clock.sleep_until(clock.now().boot + UNNOTICED).await;
        say(&format!("waiting for a token from {source}"));
        std::future::pending::<T>().await
    };
    // A signal must not leave a token command behind.
    let found = runtime.block_on(until_asked_to_stop(clock, async {
        tokio::select! {
            biased;
            token = token => token,
            never = announced => never,
        }
    }));
    let message = "interrupted while waiting for a token; nothing was sent".to_owned();
    found.ok_or(Error::SignIn { message, hint: None, is_temporary: true })
}
