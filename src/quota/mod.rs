//! The quota: how many calls may go now, and when the next one.
//!
//! Each window is a token bucket ([`TokenBucket`]), and a call takes one token of each. A token comes back one whole
//! window after the *end* of the call that used it: the server counted that call at some moment before its end, and
//! will count the next one at some moment after its start, so no window of the server's, sliding, fixed or bucket, is
//! ever exceeded. A request without a response ends [`crate::model::permit::LATE_COUNT`] after it was seen cut, or its process
//! was seen gone: the server may count it after that. A pause after a 429 ([`crate::model::permit::Pause`]) stands above all buckets.
//!
//! Pure: no clock, no I/O. What was spent is read from the journal; the journal knows nothing of this.

mod buckets;
mod forecast;
mod token_bucket;

pub use buckets::Buckets;
pub use forecast::{Forecast, arrival, run_ahead};
pub use token_bucket::TokenBucket;

#[cfg(test)]
mod tests;
