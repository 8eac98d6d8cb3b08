//! What a server or program replied: a token, or that it has none for the moment.

use std::time::Duration;

use crate::client::sign_in_error::SignInError;
use crate::client::token_source::Token;
use crate::client::token_text::{TokenTextError, token_with_lifetime};
use crate::client::transport::Reply;
use crate::clock::Now;
use crate::text::printable;

/// The token in a text that was not written before `now`.
pub(super) fn fresh_token(text: &[u8], now: Now) -> Result<Token, TokenTextError> {
    let (token, lifetime) = token_with_lifetime(text)?;
    let after = |time: Duration| now.wall.checked_add(time).ok();
    let expires = lifetime.expires_in.and_then(after).or(lifetime.expires_on);
    Ok(Token { text: token, expires, refresh: lifetime.refresh_in.and_then(after) })
}

/// The token in the response of `from` to a request that was sent at `now`; `None` if the response gives none. Unlike a
/// program or a file, an endpoint never has a token without JSON around it: such a text is what a proxy says.
///
/// # Errors
/// If the response claims success, but has no usable token.
pub(super) fn issued_token(from: &str, reply: &Reply, now: Now) -> Option<Result<Token, SignInError>> {
    if reply.status != 200 || reply.incomplete.is_some() {
        return None;
    }
    let text = reply.body.trim_ascii_start();
    let found = if text.starts_with(b"{") { fresh_token(text, now) } else { Err(TokenTextError::NotJson) };
    Some(found.map_err(|why| SignInError::refused(from, format!("its response {why}"))))
}

/// If a server answered that it can't serve a token for the moment.
pub(super) fn unavailable(from: &str, reply: &Reply) -> Option<SignInError> {
    let is_temporary = matches!(reply.status, 408 | 429 | 500..) || (reply.status == 200 && reply.incomplete.is_some());
    is_temporary.then(|| {
        let retry_after = reply.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let message = reply.incomplete.as_ref().map_or_else(|| status_text(reply), ToString::to_string);
        SignInError::Unavailable { from: from.to_owned(), message, retry_after: retry_after.map(Duration::from_secs) }
    })
}

/// A response's status, with the first line of its error where it has one.
pub(super) fn status_text(reply: &Reply) -> String {
    let body: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let texts = ["error_description", "message", "error"].into_iter();
    let said = texts.filter_map(|name| body.get(name)?.as_str()).find_map(|text| text.lines().next());
    match said {
        None if (300..400).contains(&reply.status) => format!("status {}: redirects are not followed", reply.status),
        Some(said) => format!("status {}: {}", reply.status, printable(said)),
        None => format!("status {}", reply.status),
    }
}
