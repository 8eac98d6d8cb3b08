//! The request log: one JSON object per line, written when the request is decided, in the order of the decisions.
//!
//! It has all that is needed to evaluate a client: the time of each request, its content, the response and the effect.
//! It has no headers, and so no token.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::windows::Windows;
use crate::files::open_log;

/// One request.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    /// Counted from 1, in order of arrival.
    pub(super) seq: u64,
    /// The time of arrival, in microseconds since the server started.
    pub(super) at_us: i64,
    /// The same by the wall clock.
    pub(super) wall: Timestamp,
    pub(super) method: &'a str,
    /// Includes the query.
    pub(super) path: &'a str,
    /// The incident in the path.
    pub(super) id: Option<u64>,
    /// `null` if there was none, or if it was too large.
    pub(super) body: Option<&'a str>,
    /// The status of the response, or `cut` or `stall`.
    pub(super) status: Status,
    /// As it was typed.
    pub(super) fault: Option<&'a str>,
    /// Whether the incident was changed.
    pub(super) took_effect: bool,
    /// The requests in each window, including this one.
    pub(super) windows: &'a Windows,
    /// The time that a 429 states, on the clock of `at_us`.
    pub(super) resume_us: Option<i64>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Status {
    Sent(u16),
    None(&'static str),
}

impl Serialize for Windows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.used())
    }
}

/// The file of the request log.
pub(super) struct RequestLog(File);

impl RequestLog {
    /// Opens the file to append to it, or creates it.
    pub(super) fn open(path: &Path) -> io::Result<RequestLog> {
        Ok(RequestLog(open_log(path, &[], None)?))
    }

    /// Writes a line in one call.
    pub(super) fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.0.write_all(&bytes)
    }
}
