//! Faulty bodies: half a body, a slow one, an endless one, compressed ones.

use std::convert::Infallible;
use std::io;
use std::iter;
use std::time::Duration;

use axum::body::{Body, Bytes};
use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::clock::Clock;

pub(super) fn gzip(text: &str) -> Vec<u8> {
    read_all(GzEncoder::new(text.as_bytes(), Compression::fast()))
}

pub(super) fn deflate(text: &str) -> Vec<u8> {
    read_all(ZlibEncoder::new(text.as_bytes(), Compression::fast()))
}

fn read_all(mut compressed: impl io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Reading from memory doesn't fail.
    let _ = compressed.read_to_end(&mut bytes);
    bytes
}

/// The first half of the text; then the connection is cut. The response must declare the length of the whole text.
pub(super) fn half(text: String) -> Body {
    let mut bytes = Bytes::from(text);
    let half = bytes.split_to(bytes.len() / 2);
    let cut = stream::once(async {
        // The half is flushed before the error closes the connection.
        tokio::task::yield_now().await;
        Err(io::Error::other("cut by a fault"))
    });
    Body::from_stream(stream::iter([Ok(half)]).chain(cut))
}

/// The text, byte by byte, with a pause before each.
pub(super) fn slow(text: String, pause: Duration, clock: Clock) -> Body {
    let next_byte = move |mut rest: Bytes| {
        let clock = clock.clone();
        async move {
            if rest.is_empty() {
                return None;
            }
            clock.sleep_until(clock.now().boot + pause).await;
            Some((Ok::<_, Infallible>(rest.split_to(1)), rest))
        }
    };
    Body::from_stream(stream::unfold(Bytes::from(text), next_byte))
}

/// A text that begins with a member, whose value is endless.
pub(super) fn endless(start: &'static str) -> Body {
    static MORE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    let parts = iter::once(start.as_bytes()).chain(iter::repeat(&MORE[..]));
    Body::from_stream(stream::iter(parts.map(|part| Ok::<_, Infallible>(Bytes::from_static(part)))))
}
