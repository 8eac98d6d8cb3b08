//! The server's clock: how far it is from this machine's, by the `Date` of responses.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::date::http_date;
use super::transport::{Reply, Request, SendError, Transport};
use crate::clock::Clock;

/// How far the server's clock is ahead of this machine's, by the last response with a `Date`.
#[derive(Clone, Debug, Default)]
pub struct ClockOffset(Arc<Mutex<Option<SignedDuration>>>);

impl ClockOffset {
    /// The offset, if a response had a `Date`.
    #[must_use]
    pub fn get(&self) -> Option<SignedDuration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport that compares the clocks.
#[derive(Debug)]
pub struct ServerClock<T> {
    inner: T,
    clock: Clock,
    offset: ClockOffset,
}

impl<T> ServerClock<T> {
    /// Sends with `inner`, and compares each response's `Date` with `clock`.
    pub fn new(inner: T, clock: Clock, offset: ClockOffset) -> ServerClock<T> {
        ServerClock { inner, clock, offset }
    }
}

impl<T: Transport> Transport for ServerClock<T> {
    fn origin(&self) -> Option<String> {
        self.inner.origin()
    }

    async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let sent = self.clock.now().wall;
        let reply = self.inner.send(request).await?;
        let received = self.clock.now().wall;
        if let Some(date) = reply.header("date").and_then(|date| http_date(date, received)) {
            let offset = offset(date, sent, received);
            *self.offset.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
        }
        Ok(reply)
    }
}

/// The least offset that explains a response with this date, in whole seconds, between these times.
fn offset(date: Timestamp, sent: Timestamp, received: Timestamp) -> SignedDuration {
    let ahead = date.duration_since(received);
    let behind = date.saturating_add(SignedDuration::from_secs(1)).map_or(ahead, |next| next.duration_since(sent));
    if ahead.is_positive() { ahead } else { behind.min(SignedDuration::ZERO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_allows_for_whole_seconds_and_travel() {
        let at = |millis: i64| Timestamp::from_millisecond(1_795_514_400_000 + millis).expect("a time");
        for (date, sent, received, expected) in [
            (0, 900, 1_900, 0),
            (1_000, 900, 1_900, 0),
            (0, 1_900, 1_950, -900),
            (3_000, 900, 1_000, 2_000),
            (-400_000, 0, 0, -399_000),
        ] {
            let found = offset(at(date), at(sent), at(received));
            assert_eq!(found, SignedDuration::from_millis(expected), "{date} {sent} {received}");
        }
    }
}
