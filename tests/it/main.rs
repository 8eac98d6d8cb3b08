//! The one test binary: one file for each promise.

mod docs;
