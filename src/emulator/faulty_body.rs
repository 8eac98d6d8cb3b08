//! Faulty bodies: half a body, a slow one, an endless one, compressed ones.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use hyper::body::{Frame, SizeHint};

use crate::clock::Clock;

pub(super) fn gzip(text: &str) -> Vec<u8> {
    all_of(GzEncoder::new(text.as_bytes(), Compression::fast()))
}

pub(super) fn deflate(text: &str) -> Vec<u8> {
    all_of(ZlibEncoder::new(text.as_bytes(), Compression::fast()))
}

fn all_of(mut compressed: impl io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What is in memory is read without an error.
    let _ = compressed.read_to_end(&mut bytes);
    bytes
}

/// Half of the text under the length of the whole; then the connection is cut.
pub(super) fn half(text: String) -> Body {
    let length = text.len();
    let mut bytes = Bytes::from(text);
    Body::new(Half { length, sent: 0, bytes: bytes.split_to(length / 2) })
}

struct Half {
    /// Of the whole.
    length: usize,
    /// How often it was polled: the half, a pause in which that is flushed, the cut.
    sent: u8,
    bytes: Bytes,
}

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.sent = self.sent.saturating_add(1);
        match self.sent {
            1 => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes))))),
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Some(Err(io::Error::other("cut by a fault")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}

/// The text, byte by byte, with a pause before each.
pub(super) fn slow(text: String, pause: Duration, clock: Clock) -> Body {
    let nap = nap(&clock, pause);
    Body::new(Slow { rest: Bytes::from(text), pause, nap, clock })
}

struct Slow {
    rest: Bytes,
    pause: Duration,
    nap: Nap,
    clock: Clock,
}

type Nap = Pin<Box<dyn Future<Output = ()> + Send>>;

fn nap(clock: &Clock, pause: Duration) -> Nap {
    let (clock, end) = (clock.clone(), clock.now().boot + pause);
    Box::pin(async move { clock.sleep_until(end).await })
}

impl hyper::body::Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        std::task::ready!(self.nap.as_mut().poll(cx));
        self.nap = nap(&self.clock, self.pause);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(1)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// The beginning of an incident, alone or on a page of a list, with an endless member.
pub(super) fn endless(is_list: bool) -> Body {
    let start =
        if is_list { r#"{"value":[{"incidentId":1,"incidentName":""# } else { r#"{"incidentId":1,"incidentName":""# };
    Body::new(Endless { start: Some(start) })
}

struct Endless {
    /// What is sent first; empty afterwards.
    start: Option<&'static str>,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static MORE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
        let bytes: &[u8] = self.start.take().map_or(&MORE, str::as_bytes);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes)))))
    }
}
