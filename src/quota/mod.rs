//! The quota: how many requests may be sent now, and when the next one may be sent.
//!
//! Each window is a token bucket ([`TokenBucket`]), and a request takes a token from each of them. A token returns one full
//! window after the *end* of the request that used it. The server counted that request before its end and will count the
//! next one after its start, so no window of the server (sliding, fixed or a bucket) is ever exceeded. A request without a
//! response ends [`crate::model::permit::LATE_COUNT`] after its connection was lost or its process was found dead, because
//! the server may count it late. During a pause after a 429 ([`crate::model::permit::Pause`]), no request is sent.
//!
//! Pure: no clock, no I/O. The usage comes from the journal, which does not depend on this module.

mod buckets;
mod forecast;
mod token_bucket;

pub use buckets::Buckets;
pub use forecast::{Forecast, arrival, run_ahead};
pub use token_bucket::TokenBucket;

#[cfg(test)]
mod tests;
