//! The log of requests: one JSON object a line, written when the request is decided, in the order of the decisions.
//!
//! Enough to judge a client by: when each call came, what it asked, what it was told and whether that was done. Headers
//! are not in it, so no token is.

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
    /// From 1, in the order in which the requests came.
    pub(super) seq: u64,
    /// When it came: microseconds since the server started.
    pub(super) at_us: i64,
    /// The same by the wall clock.
    #[serde(serialize_with = "shown")]
    pub(super) wall: Timestamp,
    pub(super) method: &'a str,
    /// With the query.
    pub(super) path: &'a str,
    /// The incident that the path names.
    pub(super) id: Option<u64>,
    /// As it was sent; `null` where there was none, or one too large to be read.
    pub(super) body: Option<&'a str>,
    /// The number of the answer, else `cut` or `stall`.
    pub(super) status: Status,
    /// As it was written.
    pub(super) fault: Option<&'a str>,
    /// Whether the incident was changed.
    pub(super) took_effect: bool,
    /// The calls in each window, this one included.
    pub(super) windows: &'a Windows,
    /// Of a 429: the moment it named, as `at_us`.
    pub(super) resume_us: Option<i64>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Status {
    Answered(u16),
    None(&'static str),
}

fn shown<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

impl Serialize for Windows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.used())
    }
}

/// Where the lines go.
pub(super) struct RequestLog(File);

impl RequestLog {
    /// Opens the file to add to it, and makes it where there is none.
    pub(super) fn open(path: &Path) -> io::Result<RequestLog> {
        Ok(RequestLog(open_log(path, &[], None)?))
    }

    /// Writes one line in one piece.
    pub(super) fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.0.write_all(&bytes)
    }
}
